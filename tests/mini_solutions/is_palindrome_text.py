"""Right and wrong programs for the mini problem is-palindrome-text."""

REFERENCE = """class Solution:
    def isPalindromeText(self, text: str) -> bool:
        return text == text[::-1]
"""
WRONG = {
    "ignores_case": """class Solution:
    def isPalindromeText(self, text: str) -> bool:
        t = text.lower()
        return t == t[::-1]
""",
    "ends_only": """class Solution:
    def isPalindromeText(self, text: str) -> bool:
        return len(text) == 0 or text[0] == text[-1]
""",
    "skips_spaces": """class Solution:
    def isPalindromeText(self, text: str) -> bool:
        t = text.replace(' ', '')
        return t == t[::-1]
""",
    "empty_is_false": """class Solution:
    def isPalindromeText(self, text: str) -> bool:
        return len(text) > 0 and text == text[::-1]
""",
}
