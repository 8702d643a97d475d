"""MBPP+ (EvalPlus, arXiv 2305.01210): 399 tasks of MBPP, mended, with about 110 inputs each.

Rows of EvalPlus's `MbppPlus.jsonl` (Apache-2.0, after MBPP's CC BY 4.0). Nothing of it is shipped here.

The prompt is EvalPlus's for chat models, and shows one assert, which is the public test. EvalPlus never runs it, and
here it decides nothing; where the reference solution fails it (`WRONG`), there is no public test. How values are
compared and what differs from EvalPlus: `_plus.py`.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

from tts.errors import DataError
from tts.jsonl import expect
from tts.problems import _oracles
from tts.problems._asserts import from_asserts, parsed
from tts.problems._columns import Columns
from tts.problems._evalplus import messages
from tts.problems._expected import Expected
from tts.problems._plus import COLUMNS, Inputs, PlusRows, plus_tests, read_plus
from tts.problems._rows import Row, RowFormat, public_first
from tts.types import Problem, Test

WRONG = frozenset({83, 229, 249, 295, 396, 400, 442, 461, 574, 582, 640})  # found by running all of version 0.1.0
Convert = Callable[[Any], Any]


def _tuples(value: Any) -> list[Any]:
    return [tuple(item) for item in value]


def _tuple_of_tuples(value: Any) -> tuple[Any, ...]:
    return tuple(tuple(item) for item in value)


def _tuple_with_tuples(value: Any) -> tuple[Any, ...]:
    return tuple(tuple(item) if isinstance(item, list) else item for item in value)


def _deep_tuple(value: Any) -> Any:
    return tuple(_deep_tuple(item) for item in value) if isinstance(value, list) else value


def _sets(value: Any) -> list[Any]:
    """An empty list stands for an empty dict."""
    return [set(item) if isinstance(item, list) and item else {} for item in value]


def _dict_of_tuples(value: Any) -> dict[str, Any]:
    return {key: tuple(item) for key, item in value.items()}


# The types of arguments that JSON has not, by the task's number (evalplus/data/mbpp.py, version 0.3.1).
ALL: Mapping[Convert, frozenset[int]] = MappingProxyType(
    {
        tuple: frozenset(
            {2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424, 429, 470, 560, 579, 596, 616, 630, 726, 740, 744, 809}
        ),
        _tuples: frozenset({63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780}),
        _tuple_of_tuples: frozenset({259, 401, 445}),
        _deep_tuple: frozenset({580, 615, 791}),
    }
)
FIRST: Mapping[Convert, frozenset[int]] = MappingProxyType(
    {
        tuple: frozenset({250, 307, 405, 446, 617, 720, 763, 808}),
        _tuples: frozenset({75, 413, 444, 753}),
        _sets: frozenset({115}),
        float: frozenset({124}),
        complex: frozenset({252}),
        _tuple_with_tuples: frozenset({278}),
        _dict_of_tuples: frozenset({722}),
    }
)
SECOND: Mapping[Convert, frozenset[int]] = MappingProxyType({tuple: frozenset({106, 750}), complex: frozenset({124})})


def _convert(task: int, inputs: Inputs) -> Inputs:
    for convert, tasks in ALL.items():
        if task in tasks:
            return [convert(value) for value in inputs]
    converted = list(inputs)
    for place, conversions in enumerate((FIRST, SECOND)):
        for convert, tasks in conversions.items():
            if task in tasks:
                converted[place] = convert(converted[place])
    return converted


def _number(row: Row, where: str) -> int:
    name: str = expect(row, "task_id", str, where)
    number = name.rpartition("/")[2]
    if not number.isdecimal():
        raise DataError(f"{where}: task_id must end in the task's number, such as Mbpp/2, got {name!r}.")
    return int(number)


def _public(row: Row, where: str) -> tuple[Test, ...]:
    """The asserts that the prompt's docstring shows."""
    if _number(row, where) in WRONG:
        return ()
    try:
        shown = ast.get_docstring(ast.Module(parsed(expect(row, "prompt", str, where)), []), clean=False) or ""
        asserts = [line for line in shown.splitlines() if line.startswith("assert ")]
        return from_asserts(asserts, expect(row, "entry_point", str, where))
    except ValueError as error:
        raise DataError(f"{where}: prompt cannot be used: {error}. Mend or delete the row.") from error


def _problem(row: Row, where: str) -> Problem:
    prompt = expect(row, "prompt", str, where)
    return Problem(
        id=expect(row, "task_id", str, where),
        statement=prompt.strip(),
        messages=messages(prompt),
        public_tests=_public(row, where),
        tags={"entry_point": expect(row, "entry_point", str, where)},
    )


def _tests(expected: Expected, row: Row, where: str) -> tuple[Test, ...]:
    read = read_plus(row, where, partial(_convert, _number(row, where)))
    return public_first(_public(row, where), plus_tests(read, _oracles.MBPP, expected, where))


@dataclass(frozen=True)
class MbppPlus(PlusRows):
    """Options: `path` is a JSONL file, gzipped or not, a folder of them, or a hub data set's file
    (owner/name/file.jsonl); `ids` and `limit` (the first so many) narrow; `level` is as in `grading.level`.
    """

    columns: ClassVar = Columns(COLUMNS, task_id="Mbpp/")

    def row_format(self) -> RowFormat:
        """EvalPlus's, for MBPP."""
        return RowFormat(_problem, partial(_tests, Expected(self.level)))


plugin = MbppPlus
