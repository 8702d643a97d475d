"""Right and wrong programs for the mini problem largest-number."""

REFERENCE = """def largest_number(nums: list[int]) -> int:
    return max(nums)
"""
WRONG = {
    "starts_at_zero": """def largest_number(nums: list[int]) -> int:
    best = 0
    for x in nums:
        if x > best:
            best = x
    return best
""",
    "takes_smallest": """def largest_number(nums: list[int]) -> int:
    return min(nums)
""",
    "takes_last": """def largest_number(nums: list[int]) -> int:
    return nums[-1]
""",
    "compares_absolute": """def largest_number(nums: list[int]) -> int:
    return max(nums, key=abs)
""",
    "skips_last": """def largest_number(nums: list[int]) -> int:
    best = nums[0]
    for i in range(len(nums) - 1):
        best = max(best, nums[i])
    return best
""",
}
