"""MBPP (arXiv 2108.07732): 974 small tasks in a sentence each, with three asserts that the prompt shows.

Rows of google-research's `mbpp.jsonl` (CC BY 4.0). Nothing of it is shipped here.

The prompt is the paper's, without its marks for examples that are finished ([BEGIN] and [DONE]), since a chat has none
to follow. It shows every test, so all are public: a scorer or selector that runs public tests sees the grade itself.
`challenge_test_list` is left out, as it is in published figures. The paper's grader runs the asserts in the program's
process and says nothing of a time limit; here each has the run's limits. What else differs: `_asserts.py`.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from tts.errors import DataError
from tts.jsonl import expect
from tts.plugins import FREE
from tts.problems._asserts import from_asserts, parsed
from tts.problems._columns import Columns
from tts.problems._rows import Row, RowBenchmark, RowFormat
from tts.types import Message, Problem, Test

Split = Literal["test", "train", "validation", "prompt", "all"]
SPLITS = {
    "prompt": range(1, 11),
    "test": range(11, 511),
    "validation": range(511, 601),
    "train": range(601, 975),
    "all": range(1, 975),
}
DEFINITIONS = (ast.FunctionDef, ast.ClassDef)


def _messages(text: str, asserts: Sequence[str]) -> tuple[Message, ...]:
    tests = "\n".join(asserts)
    task = f"You are an expert Python programmer, and here is your task: {text} Your code should pass these tests:"
    return (Message("user", f"{task}\n\n{tests}\n"),)


def _asserts(row: Row, where: str) -> list[str]:
    found: list[Any] = expect(row, "test_list", list, where)
    if not found or not all(isinstance(text, str) for text in found):
        raise DataError(f"{where}: test_list must be a list of asserts as strings, got {found!r:.80}.")
    return found


def _entry_point(code: Sequence[ast.stmt], asserts: Sequence[ast.stmt]) -> str:
    """The function that the first assert calls, the outermost of those that the reference code defines."""
    defined = {node.name for node in code if isinstance(node, ast.FunctionDef)}
    for node in (node for statement in asserts for node in ast.walk(statement)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in defined:
            return node.func.id
    raise ValueError("no assert calls a function that code defines")


def _public(row: Row, where: str) -> tuple[str, tuple[Test, ...]]:
    """The entry point and the tests of a row."""
    asserts, source = _asserts(row, where), expect(row, "code", str, where)
    setup = expect(row, "test_setup_code", str, where, needed=False) or ""
    try:
        code = parsed(source)
        entry_point = _entry_point(code, [statement for text in asserts for statement in parsed(text)])
        own_names = {node.name for node in code if isinstance(node, DEFINITIONS)}
        return entry_point, from_asserts(asserts, entry_point, setup, own_names)
    except ValueError as error:
        raise DataError(f"{where}: the tests cannot be used: {error}. Mend or delete the row.") from error


def _problem(row: Row, where: str) -> Problem:
    text = expect(row, "text", str, where).strip()
    entry_point, tests = _public(row, where)
    return Problem(
        id=str(expect(row, "task_id", int, where)),
        statement="\n".join([text, *_asserts(row, where)]),
        messages=_messages(text, _asserts(row, where)),
        public_tests=tests,
        tags={"entry_point": entry_point},
    )


def _tests(row: Row, where: str) -> tuple[Test, ...]:
    return _public(row, where)[1]


@dataclass(frozen=True)
class Mbpp(RowBenchmark):
    """Options: `split` is the paper's: test (11 to 510), train (601 to 974), validation (511 to 600), prompt (1 to 10);
    or all. `path` is a JSONL file, gzipped or not, a folder of them, or a hub data set's file (owner/name/file.jsonl);
    `ids` and `limit` (the first so many) narrow further.
    """

    columns: ClassVar = Columns(("task_id", "text", "code", "test_list"))
    filters: ClassVar = ("split",)
    split: Split = field(default="test", kw_only=True, metadata=FREE)

    def row_format(self) -> RowFormat:
        """MBPP's."""
        return RowFormat(_problem, _tests)

    def admits(self, problem: Problem) -> bool:
        """Whether a problem is in the split."""
        return int(problem.id) in SPLITS[self.split]


plugin = Mbpp
