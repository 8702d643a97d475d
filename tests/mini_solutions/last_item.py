"""Right and wrong programs for the mini problem last-item."""

REFERENCE = """def last_item(items: list[int]) -> int | None:
    if not items:
        return None
    return items[-1]
"""
WRONG = {
    "crashes_on_empty": """def last_item(items: list[int]) -> int | None:
    return items[-1]
""",
    "takes_largest": """def last_item(items: list[int]) -> int | None:
    return max(items) if items else None
""",
    "takes_first": """def last_item(items: list[int]) -> int | None:
    return items[0] if items else None
""",
    "empty_gives_zero": """def last_item(items: list[int]) -> int | None:
    return items[-1] if items else 0
""",
}
