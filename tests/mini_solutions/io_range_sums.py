"""Solutions for io-range-sums."""

REFERENCE = """import sys

def main():
    data = list(map(int, sys.stdin.read().split()))
    n, q = data[0], data[1]
    prefix = [0] * (n + 1)
    for i in range(n):
        prefix[i + 1] = prefix[i] + data[2 + i]
    out = []
    pos = 2 + n
    for _ in range(q):
        a, b = data[pos], data[pos + 1]
        pos += 2
        if a > b:
            a, b = b, a
        out.append(prefix[b] - prefix[a - 1])
    for value in out:
        print(value)

main()
"""

WRONG = {
    "no_swap": """n, q = map(int, input().split())
nums = list(map(int, input().split()))
prefix = [0]
for x in nums:
    prefix.append(prefix[-1] + x)
for _ in range(q):
    a, b = map(int, input().split())
    print(prefix[b] - prefix[a - 1])
""",
    "excludes_right_end": """n, q = map(int, input().split())
nums = list(map(int, input().split()))
prefix = [0]
for x in nums:
    prefix.append(prefix[-1] + x)
for _ in range(q):
    a, b = sorted(map(int, input().split()))
    print(prefix[b - 1] - prefix[a - 1])
""",
    "excludes_left_end": """n, q = map(int, input().split())
nums = list(map(int, input().split()))
prefix = [0]
for x in nums:
    prefix.append(prefix[-1] + x)
for _ in range(q):
    a, b = sorted(map(int, input().split()))
    print(prefix[b] - prefix[a])
""",
    "swapped_gives_zero": """n, q = map(int, input().split())
nums = list(map(int, input().split()))
for _ in range(q):
    a, b = map(int, input().split())
    print(sum(nums[a - 1:b]))
""",
}
