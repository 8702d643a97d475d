"""Right and wrong programs for the mini problem longest-part-few-letters."""

REFERENCE = """class Solution:
    def longestPart(self, text: str, k: int) -> int:
        counts = {}
        left = 0
        best = 0
        for right, ch in enumerate(text):
            counts[ch] = counts.get(ch, 0) + 1
            while len(counts) > k:
                counts[text[left]] -= 1
                if counts[text[left]] == 0:
                    del counts[text[left]]
                left += 1
            best = max(best, right - left + 1)
        return best
"""
WRONG = {
    "restarts_window": """class Solution:
    def longestPart(self, text: str, k: int) -> int:
        best = 0
        seen = set()
        length = 0
        for ch in text:
            seen.add(ch)
            length += 1
            if len(seen) > k:
                seen = {ch}
                length = 1
            best = max(best, length)
        return best
""",
    "zero_gives_one": """class Solution:
    def longestPart(self, text: str, k: int) -> int:
        counts = {}
        left = 0
        best = 0
        for right, ch in enumerate(text):
            counts[ch] = counts.get(ch, 0) + 1
            while len(counts) > k and left < right:
                counts[text[left]] -= 1
                if counts[text[left]] == 0:
                    del counts[text[left]]
                left += 1
            best = max(best, right - left + 1)
        return best
""",
    "exactly_k": """class Solution:
    def longestPart(self, text: str, k: int) -> int:
        best = 0
        for i in range(len(text)):
            seen = set()
            for j in range(i, len(text)):
                seen.add(text[j])
                if len(seen) == k:
                    best = max(best, j - i + 1)
                elif len(seen) > k:
                    break
        return best
""",
    "off_by_one": """class Solution:
    def longestPart(self, text: str, k: int) -> int:
        counts = {}
        left = 0
        best = 0
        for right, ch in enumerate(text):
            counts[ch] = counts.get(ch, 0) + 1
            while len(counts) > k:
                counts[text[left]] -= 1
                if counts[text[left]] == 0:
                    del counts[text[left]]
                left += 1
            best = max(best, right - left)
        return best
""",
}
