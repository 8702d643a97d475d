"""Right and wrong programs for the mini problem count-vowels."""

REFERENCE = """def count_vowels(text: str) -> int:
    count = 0
    for ch in text:
        if ch in 'aeiouAEIOU':
            count += 1
    return count
"""
WRONG = {
    "lower_case_only": """def count_vowels(text: str) -> int:
    return sum(1 for ch in text if ch in 'aeiou')
""",
    "counts_distinct": """def count_vowels(text: str) -> int:
    return len(set(text.lower()) & set('aeiou'))
""",
    "counts_y": """def count_vowels(text: str) -> int:
    return sum(1 for ch in text.lower() if ch in 'aeiouy')
""",
    "counts_consonants": """def count_vowels(text: str) -> int:
    return sum(1 for ch in text if ch.lower() not in 'aeiou')
""",
}
