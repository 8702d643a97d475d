"""Right and wrong programs for the mini problem remove-spaces."""

REFERENCE = """def remove_spaces(text: str) -> str:
    return text.replace(' ', '')
"""
WRONG = {
    "only_ends": """def remove_spaces(text: str) -> str:
    return text.strip()
""",
    "only_first": """def remove_spaces(text: str) -> str:
    return text.replace(' ', '', 1)
""",
    "removes_tabs": """def remove_spaces(text: str) -> str:
    return ''.join(text.split())
""",
    "one_space_left": """def remove_spaces(text: str) -> str:
    return ' '.join(text.split())
""",
}
