"""Right and wrong programs for the mini problem count-slices-with-sum."""

REFERENCE = """class Solution:
    def countSlices(self, nums: list[int], target: int) -> int:
        counts = {0: 1}
        total = 0
        result = 0
        for x in nums:
            total += x
            result += counts.get(total - target, 0)
            counts[total] = counts.get(total, 0) + 1
        return result
"""
WRONG = {
    "sliding_window": """class Solution:
    def countSlices(self, nums: list[int], target: int) -> int:
        left = 0
        total = 0
        result = 0
        for right in range(len(nums)):
            total += nums[right]
            while left < right and total > target:
                total -= nums[left]
                left += 1
            if total == target:
                result += 1
        return result
""",
    "forgets_empty_prefix": """class Solution:
    def countSlices(self, nums: list[int], target: int) -> int:
        counts = {}
        total = 0
        result = 0
        for x in nums:
            total += x
            result += counts.get(total - target, 0)
            counts[total] = counts.get(total, 0) + 1
        return result
""",
    "prefix_seen_once": """class Solution:
    def countSlices(self, nums: list[int], target: int) -> int:
        seen = {0}
        total = 0
        result = 0
        for x in nums:
            total += x
            if total - target in seen:
                result += 1
            seen.add(total)
        return result
""",
    "adds_before_looking": """class Solution:
    def countSlices(self, nums: list[int], target: int) -> int:
        counts = {0: 1}
        total = 0
        result = 0
        for x in nums:
            total += x
            counts[total] = counts.get(total, 0) + 1
            result += counts.get(total - target, 0)
        return result
""",
    "stops_at_first": """class Solution:
    def countSlices(self, nums: list[int], target: int) -> int:
        result = 0
        for i in range(len(nums)):
            total = 0
            for j in range(i, len(nums)):
                total += nums[j]
                if total == target:
                    result += 1
                    break
        return result
""",
}
