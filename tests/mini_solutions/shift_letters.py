"""Right and wrong programs for the mini problem shift-letters."""

REFERENCE = """class Solution:
    def shiftLetters(self, text: str, k: int) -> str:
        result = ''
        for ch in text:
            if 'a' <= ch <= 'z':
                result += chr((ord(ch) - 97 + k) % 26 + 97)
            elif 'A' <= ch <= 'Z':
                result += chr((ord(ch) - 65 + k) % 26 + 65)
            else:
                result += ch
        return result
"""
WRONG = {
    "lower_case_only": """class Solution:
    def shiftLetters(self, text: str, k: int) -> str:
        result = ''
        for ch in text:
            if 'a' <= ch <= 'z':
                result += chr((ord(ch) - 97 + k) % 26 + 97)
            else:
                result += ch
        return result
""",
    "loses_upper_case": """class Solution:
    def shiftLetters(self, text: str, k: int) -> str:
        result = ''
        for ch in text.lower():
            if 'a' <= ch <= 'z':
                result += chr((ord(ch) - 97 + k) % 26 + 97)
            else:
                result += ch
        return result
""",
    "wraps_once": """class Solution:
    def shiftLetters(self, text: str, k: int) -> str:
        result = ''
        for ch in text:
            if ch.isalpha():
                last = ord('Z') if ch.isupper() else ord('z')
                code = ord(ch) + k
                if code > last:
                    code -= 26
                result += chr(code)
            else:
                result += ch
        return result
""",
    "shifts_everything": """class Solution:
    def shiftLetters(self, text: str, k: int) -> str:
        return ''.join(chr((ord(ch) - 97 + k) % 26 + 97) for ch in text)
""",
    "no_wrap": """class Solution:
    def shiftLetters(self, text: str, k: int) -> str:
        return ''.join(chr(ord(ch) + k) if ch.isalpha() else ch for ch in text)
""",
}
