"""Solutions for io-sum-line."""

REFERENCE = """nums = list(map(int, input().split()))
print(sum(nums))
"""

WRONG = {
    "distinct_values": """nums = set(map(int, input().split()))
print(sum(nums))
""",
    "first_is_a_count": """nums = list(map(int, input().split()))
print(sum(nums[1:]))
""",
    "ignores_negative": """total = 0
for word in input().split():
    if word.isdigit():
        total += int(word)
print(total)
""",
    "empty_prints_none": """nums = list(map(int, input().split()))
print(sum(nums) if nums else None)
""",
}
