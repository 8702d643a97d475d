"""Right and wrong programs for the mini problem count-words."""

REFERENCE = """def count_words(text: str) -> int:
    return len(text.split())
"""
WRONG = {
    "counts_spaces": """def count_words(text: str) -> int:
    return text.count(' ') + 1
""",
    "splits_on_each_space": """def count_words(text: str) -> int:
    return len(text.split(' '))
""",
    "empty_ok_but_runs_bad": """def count_words(text: str) -> int:
    if not text.strip():
        return 0
    return text.strip().count(' ') + 1
""",
    "counts_characters": """def count_words(text: str) -> int:
    return len(text.replace(' ', ''))
""",
}
