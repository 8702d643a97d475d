"""Right and wrong programs for the mini problem sum-of-list."""

REFERENCE = """def sum_of_list(nums: list[int]) -> int:
    return sum(nums)
"""
WRONG = {
    "distinct_only": """def sum_of_list(nums: list[int]) -> int:
    return sum(set(nums))
""",
    "positives_only": """def sum_of_list(nums: list[int]) -> int:
    return sum(x for x in nums if x > 0)
""",
    "skips_first": """def sum_of_list(nums: list[int]) -> int:
    total = 0
    for i in range(1, len(nums)):
        total += nums[i]
    return total
""",
    "crashes_on_empty": """def sum_of_list(nums: list[int]) -> int:
    total = nums[0]
    for x in nums[1:]:
        total += x
    return total
""",
}
