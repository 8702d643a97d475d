"""Right and wrong programs for the mini problem factorial."""

REFERENCE = """def factorial(n: int) -> int:
    result = 1
    for i in range(2, n + 1):
        result *= i
    return result
"""
WRONG = {
    "zero_gives_zero": """def factorial(n: int) -> int:
    if n == 0:
        return 0
    result = 1
    for i in range(1, n + 1):
        result *= i
    return result
""",
    "stops_early": """def factorial(n: int) -> int:
    result = 1
    for i in range(1, n):
        result *= i
    return result
""",
    "adds": """def factorial(n: int) -> int:
    return sum(range(1, n + 1))
""",
    "starts_with_n": """def factorial(n: int) -> int:
    result = n
    for i in range(2, n):
        result *= i
    return result
""",
}
