"""Solutions for io-letter-shift."""

REFERENCE = """k = int(input())
text = input()
out = []
for ch in text:
    if "a" <= ch <= "z":
        out.append(chr((ord(ch) - ord("a") + k) % 26 + ord("a")))
    elif "A" <= ch <= "Z":
        out.append(chr((ord(ch) - ord("A") + k) % 26 + ord("A")))
    else:
        out.append(ch)
print("".join(out))
"""

WRONG = {
    "wraps_only_forward_once": """k = int(input())
text = input()
out = ""
for ch in text:
    if ch.isalpha():
        base = ord("a") if ch.islower() else ord("A")
        pos = ord(ch) - base + k
        if pos > 25:
            pos -= 26
        out += chr(base + pos)
    else:
        out += ch
print(out)
""",
    "no_wrap": """k = int(input()) % 26
text = input()
print("".join(chr(ord(ch) + k) if ch.isalpha() else ch for ch in text))
""",
    "loses_case": """k = int(input())
text = input().lower()
out = ""
for ch in text:
    if ch.isalpha():
        out += chr((ord(ch) - 97 + k) % 26 + 97)
    else:
        out += ch
print(out)
""",
    "shifts_backwards": """k = int(input())
text = input()
out = ""
for ch in text:
    if ch.isalpha():
        base = 97 if ch.islower() else 65
        out += chr((ord(ch) - base - k) % 26 + base)
    else:
        out += ch
print(out)
""",
}
