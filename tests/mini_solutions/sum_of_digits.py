"""Right and wrong programs for the mini problem sum-of-digits."""

REFERENCE = """def sum_of_digits(n: int) -> int:
    return sum(int(d) for d in str(abs(n)))
"""
WRONG = {
    "crashes_on_minus": """def sum_of_digits(n: int) -> int:
    return sum(int(d) for d in str(n))
""",
    "zero_for_negative": """def sum_of_digits(n: int) -> int:
    total = 0
    while n > 0:
        total += n % 10
        n //= 10
    return total
""",
    "counts_digits": """def sum_of_digits(n: int) -> int:
    return len(str(abs(n)))
""",
    "repeats_to_one_digit": """def sum_of_digits(n: int) -> int:
    n = abs(n)
    while n > 9:
        n = sum(int(d) for d in str(n))
    return n
""",
    "negates": """def sum_of_digits(n: int) -> int:
    total = sum(int(d) for d in str(abs(n)))
    return total if n >= 0 else -total
""",
}
