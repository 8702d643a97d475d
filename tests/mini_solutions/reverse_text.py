"""Right and wrong programs for the mini problem reverse-text."""

REFERENCE = """def reverse_text(text: str) -> str:
    return text[::-1]
"""
WRONG = {
    "loses_first": """def reverse_text(text: str) -> str:
    return text[-1:0:-1]
""",
    "reverses_words": """def reverse_text(text: str) -> str:
    return ' '.join(text.split()[::-1])
""",
    "strips_spaces": """def reverse_text(text: str) -> str:
    return text.strip()[::-1]
""",
    "lowercases": """def reverse_text(text: str) -> str:
    return text.lower()[::-1]
""",
}
