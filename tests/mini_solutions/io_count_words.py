"""Solutions for io-count-words."""

REFERENCE = """line = input()
print(len(line.split()))
"""

WRONG = {
    "spaces_plus_one": """line = input()
print(line.count(" ") + 1)
""",
    "split_on_single_space": """line = input().strip()
print(len(line.split(" ")))
""",
    "distinct_words": """line = input()
print(len(set(line.split())))
""",
    "counts_characters": """line = input()
print(len(line))
""",
}
