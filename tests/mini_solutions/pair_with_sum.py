"""Right and wrong programs for the mini problem pair-with-sum."""

REFERENCE = """class Solution:
    def pairWithSum(self, nums: list[int], target: int) -> bool:
        seen = set()
        for x in nums:
            if target - x in seen:
                return True
            seen.add(x)
        return False
"""
WRONG = {
    "uses_one_twice": """class Solution:
    def pairWithSum(self, nums: list[int], target: int) -> bool:
        values = set(nums)
        return any(target - x in values for x in nums)
""",
    "drops_equal_numbers": """class Solution:
    def pairWithSum(self, nums: list[int], target: int) -> bool:
        values = set(nums)
        return any(target - x in values and target - x != x for x in nums)
""",
    "neighbours_only": """class Solution:
    def pairWithSum(self, nums: list[int], target: int) -> bool:
        return any(nums[i] + nums[i + 1] == target for i in range(len(nums) - 1))
""",
    "counts_single": """class Solution:
    def pairWithSum(self, nums: list[int], target: int) -> bool:
        return target in nums or any(nums[i] + nums[j] == target for i in range(len(nums)) for j in range(i))
""",
    "skips_last": """class Solution:
    def pairWithSum(self, nums: list[int], target: int) -> bool:
        n = len(nums)
        return any(nums[i] + nums[j] == target for i in range(n - 1) for j in range(i + 1, n - 1))
""",
}
