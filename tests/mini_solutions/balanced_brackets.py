"""Right and wrong programs for the mini problem balanced-brackets."""

REFERENCE = """def balanced_brackets(text: str) -> bool:
    pairs = {')': '(', ']': '[', '}': '{'}
    stack = []
    for ch in text:
        if ch in '([{':
            stack.append(ch)
        elif ch in pairs:
            if not stack or stack.pop() != pairs[ch]:
                return False
    return not stack
"""
WRONG = {
    "only_counts": """def balanced_brackets(text: str) -> bool:
    return all(text.count(a) == text.count(b) for a, b in ('()', '[]', '{}'))
""",
    "leftover_open": """def balanced_brackets(text: str) -> bool:
    pairs = {')': '(', ']': '[', '}': '{'}
    stack = []
    for ch in text:
        if ch in '([{':
            stack.append(ch)
        elif ch in pairs:
            if not stack or stack.pop() != pairs[ch]:
                return False
    return True
""",
    "crashes_on_extra_close": """def balanced_brackets(text: str) -> bool:
    pairs = {')': '(', ']': '[', '}': '{'}
    stack = []
    for ch in text:
        if ch in '([{':
            stack.append(ch)
        elif ch in pairs:
            if stack.pop() != pairs[ch]:
                return False
    return not stack
""",
    "ignores_kind": """def balanced_brackets(text: str) -> bool:
    depth = 0
    for ch in text:
        if ch in '([{':
            depth += 1
        elif ch in ')]}':
            depth -= 1
        if depth < 0:
            return False
    return depth == 0
""",
}
