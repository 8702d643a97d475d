"""Solutions for io-run-lengths."""

REFERENCE = """s = input().strip()
out = []
i = 0
while i < len(s):
    j = i
    while j < len(s) and s[j] == s[i]:
        j += 1
    out.append(s[i] + str(j - i))
    i = j
print("".join(out))
"""

WRONG = {
    "counts_whole_string": """s = input().strip()
counts = {}
for ch in s:
    counts[ch] = counts.get(ch, 0) + 1
print("".join(ch + str(c) for ch, c in counts.items()))
""",
    "misses_last_run": """s = input().strip()
out = ""
count = 1
for i in range(1, len(s)):
    if s[i] == s[i - 1]:
        count += 1
    else:
        out += s[i - 1] + str(count)
        count = 1
print(out)
""",
    "omits_ones": """s = input().strip()
out = ""
count = 0
for i, ch in enumerate(s):
    count += 1
    if i + 1 == len(s) or s[i + 1] != ch:
        out += ch + (str(count) if count > 1 else "")
        count = 0
print(out)
""",
    "caps_runs_at_nine": """s = input().strip()
out = ""
count = 0
for i, ch in enumerate(s):
    count += 1
    if i + 1 == len(s) or s[i + 1] != ch or count == 9:
        out += ch + str(count)
        count = 0
print(out)
""",
}
