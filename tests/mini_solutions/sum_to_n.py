"""Right and wrong programs for the mini problem sum-to-n."""

REFERENCE = """def sum_to_n(n: int) -> int:
    total = 0
    for i in range(1, n + 1):
        total += i
    return total
"""
WRONG = {
    "stops_before_n": """def sum_to_n(n: int) -> int:
    return sum(range(n))
""",
    "formula_for_negative": """def sum_to_n(n: int) -> int:
    return n * (n + 1) // 2
""",
    "multiplies": """def sum_to_n(n: int) -> int:
    result = 1
    for i in range(1, n + 1):
        result *= i
    return result
""",
    "one_for_small": """def sum_to_n(n: int) -> int:
    if n <= 1:
        return 1
    return n + sum(range(n))
""",
}
