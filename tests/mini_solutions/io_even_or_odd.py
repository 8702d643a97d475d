"""Solutions for io-even-or-odd."""

REFERENCE = """n = int(input())
if n % 2 == 0:
    print("even")
else:
    print("odd")
"""

WRONG = {
    "forgets_digit_zero": """s = input().strip()
print("even" if s[-1] in "2468" else "odd")
""",
    "float_division": """n = int(input())
half = n / 2
print("even" if half == int(half) else "odd")
""",
    "positive_only": """n = int(input())
if n > 0 and n % 2 == 0:
    print("even")
else:
    print("odd")
""",
    "swapped": """n = int(input())
print("odd" if n % 2 == 0 else "even")
""",
}
