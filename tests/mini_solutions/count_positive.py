"""Right and wrong programs for the mini problem count-positive."""

REFERENCE = """def count_positive(nums: list[int]) -> int:
    count = 0
    for x in nums:
        if x > 0:
            count += 1
    return count
"""
WRONG = {
    "counts_zero": """def count_positive(nums: list[int]) -> int:
    return sum(1 for x in nums if x >= 0)
""",
    "counts_distinct": """def count_positive(nums: list[int]) -> int:
    return len({x for x in nums if x > 0})
""",
    "sums_them": """def count_positive(nums: list[int]) -> int:
    return sum(x for x in nums if x > 0)
""",
    "above_one": """def count_positive(nums: list[int]) -> int:
    return sum(1 for x in nums if x > 1)
""",
}
