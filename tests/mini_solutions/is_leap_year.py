"""Right and wrong programs for the mini problem is-leap-year."""

REFERENCE = """class Solution:
    def isLeapYear(self, year: int) -> bool:
        return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
"""
WRONG = {
    "only_four": """class Solution:
    def isLeapYear(self, year: int) -> bool:
        return year % 4 == 0
""",
    "forgets_400": """class Solution:
    def isLeapYear(self, year: int) -> bool:
        return year % 4 == 0 and year % 100 != 0
""",
    "only_400_rule": """class Solution:
    def isLeapYear(self, year: int) -> bool:
        return year % 4 == 0 and year % 400 != 0
""",
    "wrong_mix": """class Solution:
    def isLeapYear(self, year: int) -> bool:
        return year % 4 == 0 and year % 100 == 0 or year % 400 == 0
""",
}
