"""The examples in a docstring as tests, without running any of them.

They come as doctest has them (`>>>` and, on the next line, what comes of it) or, as people also write them, on a line
of its own: a call of the function with constants, one of `SHOWN_BY`, and a constant. In the latter `true` and `false`
are constants too. What says more than that, such as `not f(3) == 4`, `f(2) + f(1) = 3` or `f(n) = 2`, is no example.
"""

import ast
import doctest
import re
from collections.abc import Iterator

from tts.problems._asserts import Subject, from_assert
from tts.types import Call

SHOWN_BY = ("==>", "=>", "==", "->", "➞", "→", "returns", "=")  # a longer one before what it begins with
_SHOWN = re.compile(rf"[ \t]*(?:#[ \t]*)?(?:{'|'.join(SHOWN_BY)})(?![=~])[ \t]*(?P<shown>[^\n]*)")
_BEFORE = re.compile(r"[ \t]*(?:[*•-][ \t]+|\d+[.)][ \t]+|>>>[ \t]*|assert[ \t]+|for[ \t]+|examples?:[ \t]*)?", re.I)
_TRUTHS = {"true": True, "false": False}
_MOST_PARENTHESES = 64  # closed ones looked at before a call is taken for one without an end


def examples(docstring: str, entry_point: str) -> list[Call]:
    """The examples that call the function and show a constant, in their order; what is neither is left out."""
    return [test for test in _tests(docstring, entry_point) if test is not None]


def _tests(docstring: str, entry_point: str) -> Iterator[Call | None]:
    try:
        parts = doctest.DocTestParser().parse(docstring)
    except ValueError:  # not in the layout that doctest asks for
        parts = [docstring]
    for part in parts:
        if isinstance(part, str):
            yield from _lines(part, entry_point)
        elif not part.want:
            yield from _lines(part.source, entry_point)
        elif not part.options.get(doctest.SKIP):
            yield _test(part.source.strip(), part.want.strip(), entry_point)


def _lines(text: str, entry_point: str) -> Iterator[Call | None]:
    """Each call with constants that begins a line, and what stands behind its sign on the line where the call ends."""
    for start in re.finditer(rf"^(?P<before>.*?)(?P<call>\b{re.escape(entry_point)}\()", text, re.MULTILINE):
        asked = _call_at(text, start.start("call"))
        shown = _SHOWN.match(text, start.start("call") + len(asked))
        if asked and shown and _BEFORE.fullmatch(start["before"]):
            test = _test(asked, shown["shown"].strip().rstrip(",;"), entry_point)
            yield test if test is None or test.entry_point == entry_point else None


def _call_at(text: str, start: int) -> str:
    """The shortest text from there on that is an expression and ends with a parenthesis; empty if there is none."""
    for closed, _ in zip(re.finditer(r"\)", text[start:]), range(_MOST_PARENTHESES), strict=False):
        asked = text[start : start + closed.end()]
        if _expression(asked) is not None:
            return asked
    return ""


def _expression(text: str) -> ast.expr | None:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # no expression, or too deep
        return None


def _test(asked: str, shown: str, entry_point: str) -> Call | None:
    call, value = _expression(asked), _expression(shown)
    if isinstance(value, ast.Name) and value.id in _TRUTHS:
        value = ast.Constant(_TRUTHS[value.id])
    if call is None or value is None or (isinstance(value, ast.Tuple) and not shown.startswith("(")):
        return None  # a tuple without parentheses is as likely a message, or the thousands of a number
    try:
        (test,) = from_assert(ast.Compare(call, [ast.Eq()], [value]), Subject(entry_point))
    except (ValueError, RecursionError, MemoryError):  # not of constants, or too deep
        return None
    return test if isinstance(test, Call) else None
