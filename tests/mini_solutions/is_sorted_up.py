"""Right and wrong programs for the mini problem is-sorted-up."""

REFERENCE = """def is_sorted_up(nums: list[int]) -> bool:
    for i in range(1, len(nums)):
        if nums[i] < nums[i - 1]:
            return False
    return True
"""
WRONG = {
    "strictly": """def is_sorted_up(nums: list[int]) -> bool:
    return all(nums[i] < nums[i + 1] for i in range(len(nums) - 1))
""",
    "ends_only": """def is_sorted_up(nums: list[int]) -> bool:
    return len(nums) < 2 or nums[0] <= nums[-1]
""",
    "misses_last_pair": """def is_sorted_up(nums: list[int]) -> bool:
    for i in range(1, len(nums) - 1):
        if nums[i] < nums[i - 1]:
            return False
    return True
""",
    "crashes_on_empty": """def is_sorted_up(nums: list[int]) -> bool:
    prev = nums[0]
    for x in nums:
        if x < prev:
            return False
        prev = x
    return True
""",
    "downwards": """def is_sorted_up(nums: list[int]) -> bool:
    return nums == sorted(nums, reverse=True)
""",
}
