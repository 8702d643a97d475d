"""Right and wrong programs for the mini problem distance-between."""

REFERENCE = """def distance_between(a: int, b: int) -> int:
    return abs(a - b)
"""
WRONG = {
    "no_absolute": """def distance_between(a: int, b: int) -> int:
    return a - b
""",
    "ignores_signs": """def distance_between(a: int, b: int) -> int:
    return abs(abs(a) - abs(b))
""",
    "adds": """def distance_between(a: int, b: int) -> int:
    return abs(a + b)
""",
    "clamps_at_zero": """def distance_between(a: int, b: int) -> int:
    return max(a - b, 0)
""",
}
