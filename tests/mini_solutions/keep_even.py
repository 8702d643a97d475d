"""Right and wrong programs for the mini problem keep-even."""

REFERENCE = """def keep_even(nums: list[int]) -> list[int]:
    return [x for x in nums if x % 2 == 0]
"""
WRONG = {
    "keeps_odd": """def keep_even(nums: list[int]) -> list[int]:
    return [x for x in nums if x % 2 == 1]
""",
    "drops_zero": """def keep_even(nums: list[int]) -> list[int]:
    return [x for x in nums if x and x % 2 == 0]
""",
    "sorts_distinct": """def keep_even(nums: list[int]) -> list[int]:
    return sorted({x for x in nums if x % 2 == 0})
""",
    "even_positions": """def keep_even(nums: list[int]) -> list[int]:
    return nums[1::2]
""",
    "positive_only": """def keep_even(nums: list[int]) -> list[int]:
    return [x for x in nums if x > 0 and x % 2 == 0]
""",
}
