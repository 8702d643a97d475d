"""Solutions for io-most-common-word."""

REFERENCE = """words = input().lower().split()
counts = {}
for w in words:
    counts[w] = counts.get(w, 0) + 1
best = min(counts, key=lambda w: (-counts[w], w))
print(best)
"""

WRONG = {
    "tie_by_first_seen": """from collections import Counter
words = input().lower().split()
print(Counter(words).most_common(1)[0][0])
""",
    "tie_by_last_in_alphabet": """from collections import Counter
counts = Counter(input().lower().split())
print(max(counts, key=lambda w: (counts[w], w)))
""",
    "case_sensitive": """from collections import Counter
counts = Counter(input().split())
print(min(counts, key=lambda w: (-counts[w], w)).lower())
""",
    "tie_by_length": """from collections import Counter
counts = Counter(input().lower().split())
print(min(counts, key=lambda w: (-counts[w], len(w), w)))
""",
}
