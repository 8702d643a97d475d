"""Solutions for io-countdown-go."""

REFERENCE = """n = int(input())
for i in range(n, 0, -1):
    print(i)
print("go")
"""

WRONG = {
    "prints_zero_when_n_is_zero": """n = int(input())
while True:
    print(n)
    n -= 1
    if n <= 0:
        break
print("go")
""",
    "includes_zero": """n = int(input())
for i in range(n, -1, -1):
    print(i)
print("go")
""",
    "counts_up": """n = int(input())
for i in range(1, n + 1):
    print(i)
print("go")
""",
    "one_line": """n = int(input())
print(*range(n, 0, -1), "go")
""",
}
