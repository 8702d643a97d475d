"""Solutions for io-most-talks."""

REFERENCE = """import sys

def main():
    data = list(map(int, sys.stdin.read().split()))
    n = data[0]
    talks = [(data[2 + 2 * i], data[1 + 2 * i]) for i in range(n)]
    talks.sort()
    count = 0
    free = -1
    for end, start in talks:
        if start >= free:
            count += 1
            free = end
    print(count)

main()
"""

WRONG = {
    "sorts_by_start": """n = int(input())
talks = sorted(tuple(map(int, input().split())) for _ in range(n))
count = 0
free = -1
for start, end in talks:
    if start >= free:
        count += 1
        free = end
print(count)
""",
    "touching_not_allowed": """n = int(input())
talks = [tuple(map(int, input().split())) for _ in range(n)]
talks.sort(key=lambda t: t[1])
count = 0
free = -1
for start, end in talks:
    if start > free:
        count += 1
        free = end
print(count)
""",
    "shortest_first": """n = int(input())
talks = [tuple(map(int, input().split())) for _ in range(n)]
talks.sort(key=lambda t: (t[1] - t[0], t[0]))
chosen = []
for a, b in talks:
    if all(b <= c or a >= d for c, d in chosen):
        chosen.append((a, b))
print(len(chosen))
""",
    "free_starts_at_one": """n = int(input())
talks = [tuple(map(int, input().split())) for _ in range(n)]
talks.sort(key=lambda t: t[1])
count = 0
free = 1
for start, end in talks:
    if start >= free:
        count += 1
        free = end
print(count)
""",
}
