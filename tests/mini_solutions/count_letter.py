"""Right and wrong programs for the mini problem count-letter."""

REFERENCE = """def count_letter(text: str, letter: str) -> int:
    count = 0
    for ch in text:
        if ch == letter:
            count += 1
    return count
"""
WRONG = {
    "ignores_case": """def count_letter(text: str, letter: str) -> int:
    return text.lower().count(letter.lower())
""",
    "only_yes_or_no": """def count_letter(text: str, letter: str) -> int:
    return 1 if letter in text else 0
""",
    "skips_last": """def count_letter(text: str, letter: str) -> int:
    count = 0
    for i in range(len(text) - 2):
        if text[i] == letter:
            count += 1
    return count
""",
    "lowers_text": """def count_letter(text: str, letter: str) -> int:
    return text.lower().count(letter)
""",
    "ignores_ends": """def count_letter(text: str, letter: str) -> int:
    return text.strip().count(letter)
""",
}
