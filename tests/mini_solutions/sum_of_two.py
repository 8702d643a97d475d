"""Right and wrong programs for the mini problem sum-of-two."""

REFERENCE = """def sum_of_two(a: int, b: int) -> int:
    return a + b
"""
WRONG = {
    "subtracts": """def sum_of_two(a: int, b: int) -> int:
    return a - b
""",
    "multiplies": """def sum_of_two(a: int, b: int) -> int:
    return a * b
""",
    "ignores_signs": """def sum_of_two(a: int, b: int) -> int:
    return abs(a) + abs(b)
""",
    "uses_or": """def sum_of_two(a: int, b: int) -> int:
    return a | b
""",
}
