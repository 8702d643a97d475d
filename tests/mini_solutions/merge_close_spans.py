"""Right and wrong programs for the mini problem merge-close-spans."""

REFERENCE = """def merge_close_spans(spans: list[list[int]], gap: int) -> list[list[int]]:
    result = []
    for start, end in sorted(spans):
        if result and start - result[-1][1] <= gap:
            result[-1][1] = max(result[-1][1], end)
        else:
            result.append([start, end])
    return result
"""
WRONG = {
    "forgets_to_sort": """def merge_close_spans(spans: list[list[int]], gap: int) -> list[list[int]]:
    result = []
    for start, end in spans:
        if result and start - result[-1][1] <= gap:
            result[-1][1] = max(result[-1][1], end)
        else:
            result.append([start, end])
    return result
""",
    "takes_later_end": """def merge_close_spans(spans: list[list[int]], gap: int) -> list[list[int]]:
    result = []
    for start, end in sorted(spans):
        if result and start - result[-1][1] <= gap:
            result[-1][1] = end
        else:
            result.append([start, end])
    return result
""",
    "strict_gap": """def merge_close_spans(spans: list[list[int]], gap: int) -> list[list[int]]:
    result = []
    for start, end in sorted(spans):
        if result and start - result[-1][1] < gap:
            result[-1][1] = max(result[-1][1], end)
        else:
            result.append([start, end])
    return result
""",
    "ignores_gap": """def merge_close_spans(spans: list[list[int]], gap: int) -> list[list[int]]:
    result = []
    for start, end in sorted(spans):
        if result and start <= result[-1][1]:
            result[-1][1] = max(result[-1][1], end)
        else:
            result.append([start, end])
    return result
""",
    "crashes_on_empty": """def merge_close_spans(spans: list[list[int]], gap: int) -> list[list[int]]:
    spans = sorted(spans)
    result = [list(spans[0])]
    for start, end in spans[1:]:
        if start - result[-1][1] <= gap:
            result[-1][1] = max(result[-1][1], end)
        else:
            result.append([start, end])
    return result
""",
}
