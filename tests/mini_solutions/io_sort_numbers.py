"""Solutions for io-sort-numbers."""

REFERENCE = """n = int(input())
nums = list(map(int, input().split()))
nums.sort()
print(*nums)
"""

WRONG = {
    "removes_duplicates": """n = int(input())
nums = set(map(int, input().split()))
print(*sorted(nums))
""",
    "sorts_as_text": """n = int(input())
nums = input().split()
print(*sorted(nums))
""",
    "sorts_by_absolute_value": """n = int(input())
nums = list(map(int, input().split()))
print(*sorted(nums, key=abs))
""",
    "descending": """n = int(input())
nums = list(map(int, input().split()))
print(*sorted(nums, reverse=True))
""",
}
