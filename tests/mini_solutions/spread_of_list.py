"""Right and wrong programs for the mini problem spread-of-list."""

REFERENCE = """def spread_of_list(nums: list[int]) -> int:
    if not nums:
        return 0
    return max(nums) - min(nums)
"""
WRONG = {
    "crashes_on_empty": """def spread_of_list(nums: list[int]) -> int:
    return max(nums) - min(nums)
""",
    "ends_only": """def spread_of_list(nums: list[int]) -> int:
    if not nums:
        return 0
    return nums[-1] - nums[0]
""",
    "starts_at_zero": """def spread_of_list(nums: list[int]) -> int:
    hi = 0
    lo = 10 ** 9
    for x in nums:
        hi = max(hi, x)
        lo = min(lo, x)
    return hi - lo if nums else 0
""",
    "largest_only": """def spread_of_list(nums: list[int]) -> int:
    return max(nums) if nums else 0
""",
}
