"""Right and wrong programs for the mini problem shrink-runs."""

REFERENCE = """def shrink_runs(text: str) -> str:
    result = ''
    i = 0
    while i < len(text):
        j = i
        while j < len(text) and text[j] == text[i]:
            j += 1
        result += text[i]
        if j - i > 1:
            result += str(j - i)
        i = j
    return result
"""
WRONG = {
    "always_writes_count": """from itertools import groupby


def shrink_runs(text: str) -> str:
    return ''.join(k + str(len(list(g))) for k, g in groupby(text))
""",
    "counts_whole_text": """def shrink_runs(text: str) -> str:
    result = ''
    for ch in dict.fromkeys(text):
        n = text.count(ch)
        result += ch + (str(n) if n > 1 else '')
    return result
""",
    "crashes_on_empty": """def shrink_runs(text: str) -> str:
    result = ''
    prev = text[0]
    count = 1
    for ch in text[1:]:
        if ch == prev:
            count += 1
        else:
            result += prev + (str(count) if count > 1 else '')
            prev = ch
            count = 1
    return result + prev + (str(count) if count > 1 else '')
""",
    "loses_last_run": """def shrink_runs(text: str) -> str:
    result = ''
    count = 1
    for i in range(1, len(text)):
        if text[i] == text[i - 1]:
            count += 1
        else:
            result += text[i - 1] + (str(count) if count > 1 else '')
            count = 1
    return result
""",
}
