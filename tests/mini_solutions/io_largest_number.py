"""Solutions for io-largest-number."""

REFERENCE = """n = int(input())
nums = list(map(int, input().split()))
print(max(nums))
"""

WRONG = {
    "starts_at_zero": """n = int(input())
nums = list(map(int, input().split()))
best = 0
for x in nums:
    if x > best:
        best = x
print(best)
""",
    "compares_strings": """n = int(input())
nums = input().split()
print(max(nums))
""",
    "skips_last": """n = int(input())
nums = list(map(int, input().split()))
best = nums[0]
for i in range(1, n - 1):
    if nums[i] > best:
        best = nums[i]
print(best)
""",
    "smallest": """n = int(input())
nums = list(map(int, input().split()))
print(min(nums))
""",
}
