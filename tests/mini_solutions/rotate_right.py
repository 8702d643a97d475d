"""Right and wrong programs for the mini problem rotate-right."""

REFERENCE = """class Solution:
    def rotateRight(self, nums: list[int], k: int) -> list[int]:
        if not nums:
            return []
        k %= len(nums)
        return nums[len(nums) - k:] + nums[:len(nums) - k]
"""
WRONG = {
    "k_too_large": """class Solution:
    def rotateRight(self, nums: list[int], k: int) -> list[int]:
        return nums[-k:] + nums[:-k]
""",
    "crashes_on_empty": """class Solution:
    def rotateRight(self, nums: list[int], k: int) -> list[int]:
        k %= len(nums)
        return nums[-k:] + nums[:-k]
""",
    "rotates_left": """class Solution:
    def rotateRight(self, nums: list[int], k: int) -> list[int]:
        if not nums:
            return []
        k %= len(nums)
        return nums[k:] + nums[:k]
""",
    "ignores_negative": """class Solution:
    def rotateRight(self, nums: list[int], k: int) -> list[int]:
        if not nums or k <= 0:
            return nums
        k %= len(nums)
        return nums[-k:] + nums[:-k]
""",
    "reverses_part": """class Solution:
    def rotateRight(self, nums: list[int], k: int) -> list[int]:
        if not nums:
            return []
        k %= len(nums)
        return nums[::-1][:k] + nums[:len(nums) - k]
""",
}
