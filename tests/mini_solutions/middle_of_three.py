"""Right and wrong programs for the mini problem middle-of-three."""

REFERENCE = """def middle_of_three(a: int, b: int, c: int) -> int:
    return sorted([a, b, c])[1]
"""
WRONG = {
    "takes_second": """def middle_of_three(a: int, b: int, c: int) -> int:
    return b
""",
    "takes_average": """def middle_of_three(a: int, b: int, c: int) -> int:
    return (a + b + c) // 3
""",
    "breaks_on_ties": """def middle_of_three(a: int, b: int, c: int) -> int:
    if a < b < c or c < b < a:
        return b
    if b < a < c or c < a < b:
        return a
    return c
""",
    "ties_give_none": """def middle_of_three(a: int, b: int, c: int) -> int:
    if a < b < c or c < b < a:
        return b
    if b < a < c or c < a < b:
        return a
    if a < c < b or b < c < a:
        return c
    return None
""",
}
