"""Right and wrong programs for the mini problem word-counts."""

REFERENCE = """def word_counts(text: str) -> dict[str, int]:
    counts = {}
    for word in text.lower().split():
        counts[word] = counts.get(word, 0) + 1
    return counts
"""
WRONG = {
    "keeps_case": """def word_counts(text: str) -> dict[str, int]:
    counts = {}
    for word in text.split():
        counts[word] = counts.get(word, 0) + 1
    return counts
""",
    "counts_empty_words": """def word_counts(text: str) -> dict[str, int]:
    counts = {}
    for word in text.lower().split(' '):
        counts[word] = counts.get(word, 0) + 1
    return counts
""",
    "counts_letters": """def word_counts(text: str) -> dict[str, int]:
    counts = {}
    for ch in text.lower():
        counts[ch] = counts.get(ch, 0) + 1
    return counts
""",
    "counts_parts_of_words": """def word_counts(text: str) -> dict[str, int]:
    text = text.lower()
    return {word: text.count(word) for word in text.split()}
""",
    "starts_at_zero": """def word_counts(text: str) -> dict[str, int]:
    counts = {}
    for word in text.lower().split():
        if word in counts:
            counts[word] += 1
        else:
            counts[word] = 0
    return counts
""",
}
