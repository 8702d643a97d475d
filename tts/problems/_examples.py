"""The examples in a docstring (`>>>` and what comes of it) as tests, without running any of them."""

import ast
import doctest

from tts.problems._asserts import Subject, from_assert
from tts.types import Call


def examples(docstring: str, entry_point: str) -> list[Call]:
    """The examples that call the function and show a constant, in their order; others are left out."""
    try:
        found = doctest.DocTestParser().get_examples(docstring)
    except ValueError:  # not in the layout that doctest asks for
        return []
    tests = (_test(example, Subject(entry_point)) for example in found)
    return [test for test in tests if test is not None]


def _test(example: doctest.Example, subject: Subject) -> Call | None:
    try:
        asked = ast.parse(example.source.strip(), mode="eval").body
        shown = ast.parse(example.want.strip(), mode="eval").body
        (test,) = from_assert(ast.Compare(asked, [ast.Eq()], [shown]), subject)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # no expression, none of constants, or too deep
        return None
    return test if isinstance(test, Call) else None
