"""Solutions for io-second-largest."""

REFERENCE = """n = int(input())
values = sorted(set(map(int, input().split())))
if len(values) < 2:
    print("none")
else:
    print(values[-2])
"""

WRONG = {
    "counts_duplicates": """n = int(input())
values = sorted(map(int, input().split()))
print(values[-2] if n > 1 else "none")
""",
    "starts_at_zero": """n = int(input())
values = set(map(int, input().split()))
best = second = 0
for x in values:
    if x > best:
        best, second = x, best
    elif x > second:
        second = x
print("none" if len(values) < 2 else second)
""",
    "forgets_middle_values": """n = int(input())
values = list(map(int, input().split()))
best = values[0]
second = None
for x in values[1:]:
    if x > best:
        second = best
        best = x
print("none" if second is None else second)
""",
    "second_smallest": """n = int(input())
values = sorted(set(map(int, input().split())))
print(values[1] if len(values) > 1 else "none")
""",
}
