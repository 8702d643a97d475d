"""Solutions for io-count-vowels."""

REFERENCE = """line = input()
count = 0
for ch in line.lower():
    if ch in "aeiou":
        count += 1
print(count)
"""

WRONG = {
    "lower_case_only": """line = input()
print(sum(1 for ch in line if ch in "aeiou"))
""",
    "counts_y": """line = input().lower()
print(sum(1 for ch in line if ch in "aeiouy"))
""",
    "distinct_vowels": """line = input().lower()
print(len(set(line) & set("aeiou")))
""",
    "first_word_only": """word = (input().lower().split() or [""])[0]
print(sum(1 for ch in word if ch in "aeiou"))
""",
}
