"""EvalPlus's rows (arXiv 2305.01210): inputs of two kinds and a reference solution, which gives the expected values.

A value is right if it equals the reference's or is near it, as EvalPlus's grader has it (evalplus/eval, version 0.3.1):
within the row's `atol`, or 1e-6 where that is 0 and the reference returns floats, and 1e-7 of the expected value.
Differences: the larger of the two counts and not their sum; a tolerance is for floats alone and reaches those at any
depth; the 1e-6 of one test does not stay for the tests after it. `_oracles.py` has the tasks with rules of their own.

EvalPlus gives each input 4 times the reference solution's wall time and a second at least; here it is processor time,
and that of loading the program counts. Its limit of 60 seconds for all inputs of a task is kept by checks alone.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tts.errors import DataError, shown
from tts.jsonl import expect
from tts.plugins import FREE
from tts.problems import _oracles
from tts.problems._expected import Expected, Level
from tts.problems._rows import Row, RowBenchmark
from tts.types import Call, Test, Tolerance

COLUMNS = ("task_id", "prompt", "entry_point", "canonical_solution", "base_input", "plus_input", "atol")
LEAST_SECONDS, FACTOR = 1.0, 4.0  # of an input: at least, and times what the reference solution takes
MOST_SECONDS = 60.0  # of a task
FLOAT_ATOL = 1e-6  # where a row's own is 0
RELATIVE = 1e-7
Inputs = list[Any]  # the arguments of one call
_NOT_NONE = "(lambda *a: {}(*a) is not None)"


@dataclass(frozen=True, slots=True)
class PlusRow:
    """A row's columns that tests are made of: `inputs` are EvalPlus's base and plus inputs, in their order; `digest` is
    of the whole row.
    """

    entry_point: str
    solution: str
    inputs: Sequence[tuple[Any, ...]]
    atol: float
    digest: str


def read_plus(row: Row, where: str, convert: Callable[[Inputs], Inputs] = lambda inputs: inputs) -> PlusRow:
    """A row's columns; `convert` gives arguments the types that JSON has not. Raises DataError."""
    columns = [_column(row, name, where) for name in ("base_input", "plus_input")]
    try:
        inputs = [tuple(convert(inputs)) for column in columns for inputs in column]
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(f"{where}: an input is not what its task takes: {error}. Mend or delete the row.") from error
    return PlusRow(
        entry_point=expect(row, "entry_point", str, where),
        solution=expect(row, "prompt", str, where) + expect(row, "canonical_solution", str, where),
        inputs=inputs,
        atol=_atol(row, where),
        digest=hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest(),
    )


def _column(row: Row, name: str, where: str) -> list[Inputs]:
    found = expect(row, name, (list, dict), where) or []  # EvalPlus writes {} for none
    if not isinstance(found, list) or not all(isinstance(inputs, list) for inputs in found):
        raise DataError(f"{where}: {name} must be a list of lists of arguments, got {found!r:.80}. Mend or delete it.")
    return found


def _atol(row: Row, where: str) -> float:
    found: float = expect(row, "atol", (int, float), where)
    if not 0 <= found <= 1:
        raise DataError(f"{where}: atol must be from 0 to 1, got {shown(found)}. Mend or delete the row.")
    return float(found)


def plus_tests(row: PlusRow, rules: Mapping[str, str], expected: Expected, where: str) -> tuple[Test, ...]:
    """A call for each input, or one check of all for a task with a rule of its own. Raises DataError."""
    name = row.entry_point
    asked = _NOT_NONE.format(name) if name in _oracles.NOT_NONE_TASKS else name
    cases = expected.cases(
        row.solution, [Call(asked, inputs, None, strict=True) for inputs in row.inputs], row.digest, where
    )
    if name in rules:
        seconds = min(sum(_seconds(taken) for _, _, taken in cases), MOST_SECONDS)
        return (_oracles.check(rules[name], name, [case[:2] for case in cases], row.atol, seconds),)
    return tuple(
        Call(name, inputs, value, _tolerance(value, row.atol), strict=True, seconds=_seconds(taken))
        for inputs, value, taken in cases
    )


def _seconds(taken: float) -> float:
    return max(LEAST_SECONDS, FACTOR * taken)


def _tolerance(value: Any, atol: float) -> Tolerance | None:
    absolute = atol or (FLOAT_ATOL if _is_floats(value) else 0.0)
    return Tolerance(absolute, RELATIVE) if absolute else None


def _is_floats(value: Any) -> bool:
    """Whether this is a float or a list or tuple of nothing but floats."""
    items = value if isinstance(value, list | tuple) else [value]
    return bool(items) and all(isinstance(item, float) for item in items)


@dataclass(frozen=True)
class PlusRows(RowBenchmark):
    """A benchmark of EvalPlus's rows; `level` is how reference solutions are confined, as in `grading.level`."""

    level: Level = field(default="auto", kw_only=True, metadata=FREE)
