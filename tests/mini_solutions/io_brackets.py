"""Solutions for io-brackets."""

REFERENCE = """s = input()
pairs = {")": "(", "]": "[", "}": "{"}
stack = []
ok = True
for ch in s:
    if ch in "([{":
        stack.append(ch)
    elif ch in pairs:
        if not stack or stack.pop() != pairs[ch]:
            ok = False
            break
if stack:
    ok = False
print("yes" if ok else "no")
"""

WRONG = {
    "counts_only": """s = input()
ok = (s.count("(") == s.count(")") and s.count("[") == s.count("]")
      and s.count("{") == s.count("}"))
print("yes" if ok else "no")
""",
    "ignores_unclosed": """s = input()
pairs = {")": "(", "]": "[", "}": "{"}
stack = []
ok = True
for ch in s:
    if ch in "([{":
        stack.append(ch)
    elif ch in pairs:
        if not stack or stack.pop() != pairs[ch]:
            ok = False
            break
print("yes" if ok else "no")
""",
    "depth_counter": """s = input()
depth = 0
ok = True
for ch in s:
    if ch in "([{":
        depth += 1
    elif ch in ")]}":
        depth -= 1
        if depth < 0:
            ok = False
print("yes" if ok and depth == 0 else "no")
""",
    "removes_pairs_but_keeps_letters": """s = input()
old = None
while old != s:
    old = s
    s = s.replace("()", "").replace("[]", "").replace("{}", "")
print("yes" if s == "" else "no")
""",
}
