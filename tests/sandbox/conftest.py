"""One real cell for all tests of a file, at each level that protects."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tts.sandbox import Cell, Confinement, Level, Limits, Outcome, examine, matches
from tts.types import Call, Stdin

SMALL = Limits(cpu_seconds=2.0, memory_mib=256, output_mib=1)


@pytest.fixture(scope="module", params=["A", "B"])
def confinement(request: pytest.FixtureRequest) -> Confinement:
    """Each level at which programs are graded unasked, where this machine has it."""
    report = examine(Level(request.param))
    if not report.holds:
        pytest.skip(f"level {request.param} does not hold here: {report.problem}")
    return report.confinement


@pytest.fixture(scope="module")
def cell(confinement: Confinement) -> Iterator[Cell]:
    with Cell(confinement) as started:
        yield started


@pytest.fixture
def run(cell: Cell) -> Callable[..., Outcome]:
    """Runs a whole program."""

    def run_program(code: str, given: str = "", limits: Limits = SMALL) -> Outcome:
        return cell.run(code, Stdin(given, ""), limits)

    return run_program


@pytest.fixture
def call(cell: Cell) -> Callable[..., Outcome]:
    """Calls a program's function `f`."""

    def call_function(code: str, *args: Any, limits: Limits = SMALL) -> Outcome:
        return cell.run(code, Call("f", args, None), limits)

    return call_function


@pytest.fixture
def returns(cell: Cell) -> Callable[..., bool]:
    """Whether `f(1)` is graded as equal to a value."""

    def is_right(code: str, want: Any) -> bool:
        test = Call("f", (1,), want)
        return matches(test, cell.run(code, test, SMALL))

    return is_right
