"""Right and wrong programs for the mini problem repeat-text."""

REFERENCE = """def repeat_text(text: str, n: int) -> str:
    return text * n
"""
WRONG = {
    "spaces_between": """def repeat_text(text: str, n: int) -> str:
    return ' '.join([text] * n)
""",
    "uses_absolute": """def repeat_text(text: str, n: int) -> str:
    return text * abs(n)
""",
    "one_too_many": """def repeat_text(text: str, n: int) -> str:
    return text * (n + 1)
""",
    "at_least_once": """def repeat_text(text: str, n: int) -> str:
    result = text
    for _ in range(n - 1):
        result += text
    return result
""",
}
