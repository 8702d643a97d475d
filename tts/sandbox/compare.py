"""Whether an outcome is what its test asked for: LiveCodeBench's rules, applied outside the candidate's process.

`matches` is what decides; `matches_lcb` is LiveCodeBench's comparison without the differences, to report beside it.

What is compared is data alone: printed text, or a claimed value parsed from JSON. No object of a candidate's is ever
asked whether it is equal. It runs nothing and decides no verdict (`grade.py`).

A `strict` test is compared as Python does, with its tolerance for floats.

Deliberate differences from LiveCodeBench: a tuple equals a list at any depth, not only at the top; keys of dicts and
elements of sets must be of one type (`{1: 2}` is neither `{"1": 2}` nor `{True: 2}`); decimals of over 10,000
characters are compared as text only; a tolerance may be given, and never applies to integers; an object that is not
made of base types (a range, a deque, an array of numpy's) equals nothing.
"""

import json
import math
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from tts.sandbox.guest.wire import Elements, Opaque, Pairs
from tts.sandbox.outcome import Outcome, Status
from tts.types import Call, Check, Stdin, Test, Tolerance

OPAQUE = "\0"  # in no text of a value that can be compared, whose strings are escaped
MAX_DECIMAL = 10_000  # characters; right answers are hardly longer, and wrong ones are not worth parsing
MAX_SORTED = 10_000  # keys of a dict that is shown in their order; a larger one is shown in its own
MAX_SHOWN_BITS = 2_000  # of an integer that is shown in decimal, the cost of which is the square of its length


def matches(test: Test, outcome: Outcome, default: Tolerance | None = None) -> bool:
    """Whether the outcome is right, within the test's own tolerance or else the default one; None asks for equality."""
    if outcome.status is not Status.OK:
        return False
    if isinstance(test, Check):
        return outcome.output is True
    tolerance = test.tolerance or default
    if isinstance(test, Stdin):
        return _equal_texts(test.output, outcome.output, tolerance)
    return _returned(test, outcome.output, tolerance)


def _returned(test: Call, got: Any, tolerance: Tolerance | None) -> bool:
    """A strict test asks for Python's ==, or, within its tolerance, for a value of the same type."""
    if not test.strict:
        return _equal(test.returns, got, tolerance)
    if _python_equal(test.returns, got):
        return True
    return tolerance is not None and type(test.returns) is type(got) and _equal(test.returns, got, tolerance)


def matches_lcb(test: Test, outcome: Outcome) -> bool:
    """Whether LiveCodeBench's own comparison calls the outcome right.

    Only claims are compared here too: a returned object that lies about being equal gains nothing, as it would there.
    """
    if outcome.status is not Status.OK:
        return False
    if isinstance(test, Check):
        return outcome.output is True
    if isinstance(test, Stdin):
        return _lcb_texts(test.output, outcome.output)
    got = outcome.output
    return _python_equal(test.returns, list(got) if isinstance(got, tuple) else got)


def canonical(test: Test, outcome: Outcome) -> str | None:
    """A text, mostly the same for outcomes that the rules call equal; None if it gave none to compare."""
    if outcome.status is not Status.OK or isinstance(test, Check):
        return None
    if isinstance(test, Stdin):
        return "\n".join(line.strip() for line in outcome.output.strip().split("\n"))
    text = _text(outcome.output, exact=False, tuples=isinstance(test, Call) and test.strict)
    return None if OPAQUE in text else text


def _equal_texts(want: str, got: str, tolerance: Tolerance | None) -> bool:
    want, got = want.strip(), got.strip()
    if want.count("\n") != got.count("\n"):  # before splitting: a flood of empty lines would fill the host's memory
        return False
    return all(
        equal_lines(a.strip(), b.strip(), tolerance) for a, b in zip(want.split("\n"), got.split("\n"), strict=True)
    )


def equal_lines(want: str, got: str, tolerance: Tolerance | None) -> bool:
    """Whether two stripped lines are equal by the rules of `matches`."""
    if want == got:
        return True
    wanted = want.split()
    found = got.split(maxsplit=len(wanted))
    return len(wanted) == len(found) and all(_equal_tokens(a, b, tolerance) for a, b in zip(wanted, found, strict=True))


def _equal_tokens(want: str, got: str, tolerance: Tolerance | None) -> bool:
    if max(len(want), len(got)) > MAX_DECIMAL:
        return False
    try:
        a, b = Decimal(want), Decimal(got)
    except InvalidOperation:
        return False
    if a.is_nan() or b.is_nan():
        return False
    if a == b:
        return True
    if tolerance is None or _is_integer(want) or _is_integer(got):
        return False
    return _near(float(a), float(b), tolerance)


def _is_integer(token: str) -> bool:
    return token.lstrip("+-").isdigit()


def _near(want: float, got: float, tolerance: Tolerance) -> bool:
    allowed = max(tolerance.absolute, tolerance.relative * abs(want))
    return math.isfinite(want) and math.isfinite(got) and abs(want - got) <= allowed


def _equal(want: Any, got: Any, tolerance: Tolerance | None) -> bool:
    """Whether a parsed claim equals a trusted value. Its depth is bounded by the trusted one's."""
    if isinstance(want, list | tuple):
        if not isinstance(got, list | tuple) or len(want) != len(got):
            return False
        for a, b in zip(want, got, strict=True):  # noqa: SIM110 - `all` would take thrice as much of the recursion limit
            if not _equal(a, b, tolerance):
                return False
        return True
    if isinstance(want, dict):
        return isinstance(got, Pairs) and _equal_dicts(want, got, tolerance)
    if isinstance(want, set | frozenset):
        return isinstance(got, Elements) and _equal_sets(want, got)
    if isinstance(got, list | tuple | Pairs | Elements):
        return False
    if want == got:
        return True
    return tolerance is not None and type(want) is type(got) is float and _near(want, got, tolerance)


def _equal_dicts(want: dict[Any, Any], got: Pairs, tolerance: Tolerance | None) -> bool:
    if len(want) != len(got.items):
        return False
    missing = {_key(key): item for key, item in want.items()}  # only trusted keys are ever put into a table
    for claimed, item in got.items:
        key = _key(claimed)
        if key not in missing or not _equal(missing.pop(key), item, tolerance):
            return False
    return not missing


def _equal_sets(want: Iterable[Any], got: Elements) -> bool:
    missing = {_key(item) for item in want}
    if len(missing) != len(got.items):
        return False
    for claimed in got.items:
        key = _key(claimed)
        if key not in missing:
            return False
        missing.remove(key)
    return not missing


def _lcb_texts(want: str, got: str) -> bool:
    want, got = want.strip(), got.strip()
    if want.count("\n") != got.count("\n"):
        return False
    return all(_lcb_lines(a.strip(), b.strip()) for a, b in zip(want.split("\n"), got.split("\n"), strict=True))


def _lcb_lines(want: str, got: str) -> bool:
    if want == got:
        return True
    wanted = want.split()
    found = got.split(maxsplit=len(wanted))  # with more tokens than wanted it is wrong, numbers or not
    try:
        return len(wanted) == len(found) and [Decimal(a) for a in wanted] == [Decimal(b) for b in found]
    except InvalidOperation:  # no number; or a signalling NaN, which may not even be compared
        return False


def _python_equal(want: Any, got: Any) -> bool:
    """Python's == between a trusted value and the value that a claim stands for."""
    if isinstance(want, list | tuple):
        if type(got) is not type(want) or len(want) != len(got):
            return False
        for a, b in zip(want, got, strict=True):  # noqa: SIM110 - `all` would take thrice as much of the recursion limit
            if not _python_equal(a, b):
                return False
        return True
    if isinstance(want, dict):
        return isinstance(got, Pairs) and _python_equal_dicts(want, got)
    if isinstance(want, set | frozenset):
        return isinstance(got, Elements) and sorted(map(_loose, want)) == sorted(map(_loose, got.items))
    return not isinstance(got, list | tuple | Pairs | Elements | Opaque) and bool(want == got)


def _python_equal_dicts(want: dict[Any, Any], got: Pairs) -> bool:
    missing = {_loose(key): item for key, item in want.items()}
    if len(missing) != len(got.items):
        return False
    for claimed, item in got.items:
        key = _loose(claimed)
        if key not in missing or not _python_equal(missing.pop(key), item):
            return False
    return True


def _loose(value: Any) -> str:
    """One text for keys that Python calls equal: 1, 1.0 and True."""
    return _text(value, exact=False)


def _key(value: Any) -> str:
    return _text(value, exact=True)


def _text(value: Any, exact: bool, tuples: bool = False) -> str:
    """One text per value: per type and value if `exact`, otherwise the same for values that `_equal` calls equal, or,
    with `tuples`, that Python does.

    Its lists are no generators, which would take half as much again of the recursion limit.
    """
    if isinstance(value, list | tuple):
        mark = "()" if (exact or tuples) and isinstance(value, tuple) else "[]"
        return mark[0] + ",".join([_text(item, exact, tuples) for item in value]) + mark[1]
    if isinstance(value, Elements | set | frozenset):
        items = value.items if isinstance(value, Elements) else value
        return "{" + ",".join(sorted([_text(item, exact, tuples) for item in items])) + "}" if items else "set()"
    if isinstance(value, Pairs | dict):
        pairs = value.items if isinstance(value, Pairs) else value.items()
        name = _loose if tuples else _key
        return "{" + ",".join(sorted([f"{name(key)}:{_text(item, exact, tuples)}" for key, item in pairs])) + "}"
    if isinstance(value, Opaque):
        return OPAQUE
    return _exact_scalar(value) if exact else _scalar(value)


def _exact_scalar(value: Any) -> str:
    return type(value).__name__ + " " + (hex(value) if isinstance(value, int) else repr(value))


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, float) and not value.is_integer():
        return repr(value)
    if isinstance(value, int | float):
        number = int(value)
        return str(number) if abs(number) < 1 << 63 else hex(number)  # decimal digits of a huge one cost their square
    return repr(value)


def shown(value: Any, limit: int, tuples: bool = False) -> str:
    """A value, trusted or claimed, as text for people: its first `limit` characters, at the cost of no more. `tuples`
    are told from lists, where the rules do.
    """
    pieces: list[str] = []
    size = 0
    for piece in _pieces(value, limit, tuples):
        pieces.append(piece)
        size += len(piece)
        if size >= limit:
            break
    return "".join(pieces)[:limit]


def _pieces(value: Any, limit: int, tuples: bool) -> Iterator[str]:
    """The text of a value bit by bit, none of the bits empty."""
    if isinstance(value, list | tuple):
        yield from _listed("()" if tuples and isinstance(value, tuple) else "[]", value, limit, tuples)
    elif isinstance(value, Elements | set | frozenset):
        items = value.items if isinstance(value, Elements) else value
        yield from _listed("{}", items, limit, tuples) if items else iter(["set()"])
    elif isinstance(value, Pairs | dict):
        yield from _paired(list(value.items if isinstance(value, Pairs) else value.items()), limit, tuples)
    elif isinstance(value, Opaque):
        yield "<an object>"
    else:
        yield _shown_scalar(value, limit)


def _listed(marks: str, items: Iterable[Any], limit: int, tuples: bool) -> Iterator[str]:
    yield marks[0]
    for position, item in enumerate(items):
        if position:
            yield ", "
        yield from _pieces(item, limit, tuples)
    yield marks[1]


def _paired(pairs: list[tuple[Any, Any]], limit: int, tuples: bool) -> Iterator[str]:
    if len(pairs) <= MAX_SORTED and all(type(key) is str for key, _ in pairs):
        pairs = sorted(pairs, key=lambda pair: str(pair[0]))
    yield "{"
    for position, (key, item) in enumerate(pairs):
        if position:
            yield ", "
        yield from _pieces(key, limit, tuples)
        yield ": "
        yield from _pieces(item, limit, tuples)
    yield "}"


def _shown_scalar(value: Any, limit: int) -> str:
    if isinstance(value, str):
        return json.dumps(value[:limit], ensure_ascii=False)
    if isinstance(value, int) and value.bit_length() > MAX_SHOWN_BITS:
        return hex(value)
    return repr(value)
