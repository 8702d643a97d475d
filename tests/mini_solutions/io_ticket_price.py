"""Solutions for io-ticket-price."""

REFERENCE = """age = int(input())
if age < 6:
    print(0)
elif age < 18:
    print(5)
elif age < 65:
    print(10)
else:
    print(4)
"""

WRONG = {
    "six_is_free": """age = int(input())
if age <= 6:
    print(0)
elif age < 18:
    print(5)
elif age < 65:
    print(10)
else:
    print(4)
""",
    "eighteen_is_child": """age = int(input())
if age < 6:
    print(0)
elif age <= 18:
    print(5)
elif age < 65:
    print(10)
else:
    print(4)
""",
    "sixty_five_pays_full": """age = int(input())
if age < 6:
    print(0)
elif age < 18:
    print(5)
elif age <= 65:
    print(10)
else:
    print(4)
""",
    "no_senior_price": """age = int(input())
if age < 6:
    print(0)
elif age < 18:
    print(5)
else:
    print(10)
""",
}
