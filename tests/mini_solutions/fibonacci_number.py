"""Right and wrong programs for the mini problem fibonacci-number."""

REFERENCE = """class Solution:
    def fibonacciNumber(self, n: int) -> int:
        a, b = 0, 1
        for _ in range(n):
            a, b = b, a + b
        return a
"""
WRONG = {
    "one_ahead": """class Solution:
    def fibonacciNumber(self, n: int) -> int:
        a, b = 1, 1
        for _ in range(n):
            a, b = b, a + b
        return a
""",
    "zero_gives_one": """class Solution:
    def fibonacciNumber(self, n: int) -> int:
        if n <= 2:
            return 1
        a, b = 1, 1
        for _ in range(n - 2):
            a, b = b, a + b
        return b
""",
    "lost_value": """class Solution:
    def fibonacciNumber(self, n: int) -> int:
        a, b = 0, 1
        for _ in range(n):
            a = b
            b = a + b
        return a
""",
    "one_behind": """class Solution:
    def fibonacciNumber(self, n: int) -> int:
        a, b = 0, 1
        for _ in range(n - 1):
            a, b = b, a + b
        return a
""",
}
