"""The examples in a docstring as tests, without running any of them.

They come as doctest has them (`>>>` and, on the next line, what comes of it) or, as people also write them, on one
line: a call, one of `SHOWN_BY`, and a constant. In the latter `true` and `false` are constants too.
"""

import ast
import doctest
import re
from collections.abc import Iterator

from tts.problems._asserts import Subject, from_assert
from tts.types import Call

SHOWN_BY = ("==>", "=>", "==", "->", "➞", "→", "returns", "=")  # a longer one before what it begins with
_SHOWN = re.compile(rf"[ \t]*(?:#[ \t]*)?(?:{'|'.join(SHOWN_BY)})[ \t]*(?P<shown>[^\n]*)")
_TRUTHS = {"true": True, "false": False}
_MOST_PARENTHESES = 64  # closed ones looked at before a call is taken for one without an end


def examples(docstring: str, entry_point: str) -> list[Call]:
    """The examples that call the function and show a constant, doctest's before the others; what is neither is left
    out.
    """
    subject = Subject(entry_point)
    tests = (_test(asked, shown, subject) for asked, shown in [*_doctests(docstring), *_lines(docstring, entry_point)])
    return [test for test in tests if test is not None]


def _doctests(docstring: str) -> list[tuple[str, str]]:
    try:
        found = doctest.DocTestParser().get_examples(docstring)
    except ValueError:  # not in the layout that doctest asks for
        return []
    return [(example.source.strip(), example.want.strip()) for example in found]


def _lines(docstring: str, entry_point: str) -> Iterator[tuple[str, str]]:
    """Each call in the text with what stands behind its sign on the line where the call ends."""
    for start in re.finditer(rf"(?<![\w.]){re.escape(entry_point)}\(", docstring):
        asked = _call_at(docstring, start.start())
        shown = _SHOWN.match(docstring, start.start() + len(asked))
        if asked and shown:
            yield asked, shown["shown"].strip()


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


def _test(asked: str, shown: str, subject: Subject) -> Call | None:
    call, value = _expression(asked), _expression(shown)
    if isinstance(value, ast.Name) and value.id in _TRUTHS:
        value = ast.Constant(_TRUTHS[value.id])
    if call is None or value is None:
        return None
    try:
        (test,) = from_assert(ast.Compare(call, [ast.Eq()], [value]), subject)
    except (ValueError, RecursionError, MemoryError):  # not of constants, or too deep
        return None
    return test if isinstance(test, Call) else None
