"""The tasks with a comparison of their own in EvalPlus's grader (evalplus/eval, version 0.3.1), as code for a `Check`.

Each is the body of a function of `got`, `expected` and `inputs`, which says whether an answer is right; `ATOL` is the
row's. The rules are EvalPlus's, the code is ours.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tts.types import Check

AS_SETS = "return set(got) == set(expected)"
NOT_NONE = "return got == expected if isinstance(got, bool) else expected == (got is not None)"
SET_TASKS = (
    *("similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly", "larg_nnum"),
    *("intersection_array", "find_dissimilar", "Diff"),
)
NOT_NONE_TASKS = (
    "check_str",
    "text_match_three",
    "text_starta_endb",
)  # their solutions return matches of an expression

MBPP: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(SET_TASKS, AS_SETS),
        **dict.fromkeys(NOT_NONE_TASKS, NOT_NONE),
        # The statement is ambiguous: whatever is returned passes.
        "are_equivalent": "return True",
        # Proper divisors of 1 and of what has none: 0 is right too.
        "sum_div": "return got == expected or got == 0",
        # The height may also be the pyramid's own, of which the slant height follows.
        "surface_Area": """
edge, height = inputs
slant = math.sqrt((edge / 2) ** 2 + height ** 2)
return got == expected or abs(got - round(edge ** 2 + 4 * edge * slant / 2)) <= ATOL
""",
        # The shorter number may also be padded with zeros on the left.
        "digit_distance_nums": """
first, second = map(str, inputs)
width = max(len(first), len(second))
pairs = zip(first.zfill(width), second.zfill(width))
return got == expected or got == sum(abs(int(a) - int(b)) for a, b in pairs)
""",
    }
)
HUMANEVAL: Mapping[str, str] = MappingProxyType(
    {
        # Any zero of the polynomial is right.
        "find_zero": """
(coefficients,) = inputs
return abs(sum(c * math.pow(got, power) for power, c in enumerate(coefficients))) <= ATOL
"""
    }
)


def check(
    rule: str, entry_point: str, cases: Sequence[tuple[tuple[Any, ...], Any]], atol: float, seconds: float
) -> Check:
    """One test of all cases, each the inputs and what the reference solution returns for them."""
    body = "\n".join(f"    {line}" for line in rule.strip().splitlines())
    code = (
        f"import math\nfrom math import inf, nan\nATOL = {atol!r}\nCASES = {list(cases)!r}\n"
        f"def right(got, expected, inputs):\n{body}\n"
        "def check(f):\n    for inputs, expected in CASES:\n        got = f(*inputs)\n"
        "        assert right(got, expected, inputs), f'{inputs!r:.200} gives {got!r:.200}'\n"
    )
    return Check(code, entry_point, True, seconds)
