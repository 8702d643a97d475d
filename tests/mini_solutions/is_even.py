"""Right and wrong programs for the mini problem is-even."""

REFERENCE = """def is_even(n: int) -> bool:
    return n % 2 == 0
"""
WRONG = {
    "tests_odd": """def is_even(n: int) -> bool:
    return n % 2 == 1
""",
    "misses_zero_digit": """def is_even(n: int) -> bool:
    return str(n)[-1] in '2468'
""",
    "positive_only": """def is_even(n: int) -> bool:
    return n > 0 and n % 2 == 0
""",
    "tests_four": """def is_even(n: int) -> bool:
    return n % 4 == 0
""",
}
