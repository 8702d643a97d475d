"""Solutions for io-digit-sum."""

REFERENCE = """n = abs(int(input()))
print(sum(int(d) for d in str(n)))
"""

WRONG = {
    "negative_gives_zero": """n = int(input())
total = 0
while n > 0:
    total += n % 10
    n //= 10
print(total)
""",
    "misses_leading_digit": """n = abs(int(input()))
total = 0
while n > 9:
    total += n % 10
    n //= 10
print(total)
""",
    "digital_root": """n = abs(int(input()))
while n > 9:
    n = sum(int(d) for d in str(n))
print(n)
""",
    "float_division": """n = abs(int(input()))
total = 0
while n > 0:
    total += n % 10
    n = int(n / 10)
print(total)
""",
}
