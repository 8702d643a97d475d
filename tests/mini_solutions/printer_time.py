"""Right and wrong programs for the mini problem printer-time."""

REFERENCE = """def printer_time(times: list[int], pages: int) -> int:
    low, high = 0, min(times) * pages
    while low < high:
        mid = (low + high) // 2
        if sum(mid // t for t in times) >= pages:
            high = mid
        else:
            low = mid + 1
    return low
"""
WRONG = {
    "at_least_one_second": """def printer_time(times: list[int], pages: int) -> int:
    low, high = 1, max(1, min(times) * pages)
    while low < high:
        mid = (low + high) // 2
        if sum(mid // t for t in times) >= pages:
            high = mid
        else:
            low = mid + 1
    return low
""",
    "parts_count": """import math
from fractions import Fraction


def printer_time(times: list[int], pages: int) -> int:
    rate = sum(Fraction(1, t) for t in times)
    return math.ceil(pages / rate)
""",
    "fastest_printer_only": """def printer_time(times: list[int], pages: int) -> int:
    low, high = 0, min(times) * pages
    while low < high:
        mid = (low + high) // 2
        if mid // min(times) >= pages:
            high = mid
        else:
            low = mid + 1
    return low
""",
    "more_than_pages": """def printer_time(times: list[int], pages: int) -> int:
    low, high = 0, min(times) * pages
    while low < high:
        mid = (low + high) // 2
        if sum(mid // t for t in times) > pages:
            high = mid
        else:
            low = mid + 1
    return low
""",
    "high_too_small": """def printer_time(times: list[int], pages: int) -> int:
    low, high = 0, min(times) * pages // len(times) + min(times)
    while low < high:
        mid = (low + high) // 2
        if sum(mid // t for t in times) >= pages:
            high = mid
        else:
            low = mid + 1
    return low
""",
}
