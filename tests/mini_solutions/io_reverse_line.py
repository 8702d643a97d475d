"""Solutions for io-reverse-line."""

REFERENCE = """s = input()
print(s[::-1])
"""

WRONG = {
    "drops_spaces": """s = "".join(input().split())
print(s[::-1])
""",
    "reverses_word_order": """print(" ".join(input().split()[::-1]))
""",
    "misses_first_character": """s = input()
print(s[:0:-1])
""",
    "collapses_spaces": """words = input().split()
print(" ".join(w[::-1] for w in reversed(words)))
""",
}
