"""Right and wrong programs for the mini problem second-largest."""

REFERENCE = """class Solution:
    def secondLargest(self, nums: list[int]) -> int | None:
        values = sorted(set(nums))
        if len(values) < 2:
            return None
        return values[-2]
"""
WRONG = {
    "counts_repeats": """class Solution:
    def secondLargest(self, nums: list[int]) -> int | None:
        if len(nums) < 2:
            return None
        return sorted(nums)[-2]
""",
    "crashes_on_few": """class Solution:
    def secondLargest(self, nums: list[int]) -> int | None:
        return sorted(set(nums))[-2]
""",
    "starts_at_zero": """class Solution:
    def secondLargest(self, nums: list[int]) -> int | None:
        first = second = 0
        for x in nums:
            if x > first:
                second = first
                first = x
            elif x > second and x != first:
                second = x
        return second
""",
    "second_smallest": """class Solution:
    def secondLargest(self, nums: list[int]) -> int | None:
        values = sorted(set(nums))
        return values[1] if len(values) > 1 else None
""",
}
