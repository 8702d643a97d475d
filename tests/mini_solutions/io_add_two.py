"""Solutions for io-add-two."""

REFERENCE = """a, b = map(int, input().split())
print(a + b)
"""

WRONG = {
    "absolute_values": """a, b = map(int, input().split())
print(abs(a) + abs(b))
""",
    "string_concatenation": """a, b = input().split()
print(a + b)
""",
    "float_precision": """a, b = map(float, input().split())
print(int(a + b))
""",
    "subtracts": """a, b = map(int, input().split())
print(a - b)
""",
}
