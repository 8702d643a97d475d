"""Right and wrong programs for the mini problem power-of-number."""

REFERENCE = """class Solution:
    def powerOfNumber(self, base: int, exp: int) -> int:
        result = 1
        for _ in range(exp):
            result *= base
        return result
"""
WRONG = {
    "multiplies": """class Solution:
    def powerOfNumber(self, base: int, exp: int) -> int:
        return base * exp
""",
    "exponent_zero": """class Solution:
    def powerOfNumber(self, base: int, exp: int) -> int:
        result = base
        for _ in range(exp - 1):
            result *= base
        return result
""",
    "zero_base": """class Solution:
    def powerOfNumber(self, base: int, exp: int) -> int:
        if base == 0:
            return 0
        return base ** exp
""",
    "swapped": """class Solution:
    def powerOfNumber(self, base: int, exp: int) -> int:
        return exp ** base if base >= 0 else 0
""",
    "loses_sign": """class Solution:
    def powerOfNumber(self, base: int, exp: int) -> int:
        return abs(base) ** exp
""",
}
