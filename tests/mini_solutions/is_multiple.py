"""Right and wrong programs for the mini problem is-multiple."""

REFERENCE = """def is_multiple(a: int, b: int) -> bool:
    if b == 0:
        return a == 0
    return a % b == 0
"""
WRONG = {
    "crashes_on_zero": """def is_multiple(a: int, b: int) -> bool:
    return a % b == 0
""",
    "swapped": """def is_multiple(a: int, b: int) -> bool:
    if a == 0:
        return b == 0
    return b % a == 0
""",
    "zero_is_never": """def is_multiple(a: int, b: int) -> bool:
    if b == 0:
        return False
    return a % b == 0
""",
    "positive_only": """def is_multiple(a: int, b: int) -> bool:
    return a >= b and b > 0 and a % b == 0
""",
}
