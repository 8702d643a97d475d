"""Expected values of rows that hold inputs only: the reference solution is run on them once, in the sandbox.

What it returns is kept in the user's cache, under the row's digest, Python's version and our own, so that a problem
costs this once on a machine. An input for which the reference itself needs more than a test may use is left out, since
every program would fail there, and is named. It compares nothing and makes no tests (`_plus.py`).
"""

import hashlib
import logging
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tts.errors import DataError, InfraError, UserError, shown
from tts.models import cache_folder
from tts.sandbox import AskedLevel, Job, Limits, Outcome, Status, find_confinement, run_programs
from tts.sandbox.guest import wire
from tts.types import Call, Test
from tts.writing import replacing

LOG = logging.getLogger("tts")
VERSION = 2  # of what is kept: raise it when a row may give other calls or values
LIMITS = Limits()  # of one call: what a test may use by default
TOO_MUCH = (Status.TIMEOUT, Status.MEMORY, Status.OUTPUT_LIMIT)

Inputs = tuple[Any, ...]
Level = AskedLevel  # as an option of a benchmark's


class Expected:
    """Runs reference solutions at a `level` of confinement, and says so before the first."""

    def __init__(self, level: Level = "auto") -> None:
        self.level = level
        self._said = False

    def cases(self, code: str, calls: Sequence[Call], digest: str, where: str) -> list[tuple[Inputs, Any, float]]:
        """The arguments of each call, what it returns, and the seconds of processor time that this takes, save for
        those that take too much; `digest` is the row's.

        Raises DataError if a call fails, returns what cannot be compared or, asked again, something else, and if every
        call takes too much.
        """
        path = _place(digest)
        found = None if path is None else _kept(path, len(calls))
        if found is None:
            self._say(path)
            found = self._run(code, calls, where)
            _keep(path, found)
        if calls and not any(found):
            raise DataError(f"{where}: the reference solution takes too much on every input. Mend or delete the row.")
        return [(call.args, wire.build(kept[0]), kept[1]) for call, kept in zip(calls, found, strict=True) if kept]

    def _say(self, path: Path | None) -> None:
        if not self._said:
            where = "not kept, as there is no home folder" if path is None else f"kept in {path.parent}"
            LOG.info("Running reference solutions for expected values, once for each problem; they are %s", where)
            self._said = True

    def _run(self, code: str, calls: Sequence[Call], where: str) -> list[list[Any]]:
        """For each call a list of its value and its seconds, or an empty one if it takes too much."""
        outcomes = self._outcomes(code, calls, where)
        for outcome, call in zip(outcomes, calls, strict=False):  # they end at the first that fails
            if outcome.status in TOO_MUCH:
                why = outcome.detail.partition("\n")[0]
                LOG.warning("%s: the reference solution takes too much on %s: %s. Left out.", where, _asked(call), why)
            elif outcome.status is not Status.OK or not _is_plain(outcome.output):
                why = _last_line(outcome.detail) or "what it returns is not made of base types"
                raise DataError(
                    f"{where}: the reference solution fails on {_asked(call)}: {why}. Mend or delete the row."
                )
        found = [[outcome.output, outcome.seconds] if outcome.status is Status.OK else [] for outcome in outcomes]
        self._check_again(code, [(call, kept[0]) for call, kept in zip(calls, found, strict=True) if kept], where)
        return found

    def _check_again(self, code: str, answered: Sequence[tuple[Call, Any]], where: str) -> None:
        """Raises DataError for an answer that the solution does not give a second time, or that is equal to nothing."""
        outcomes = self._outcomes(code, [call for call, _ in answered], where)
        for outcome, (call, value) in zip(outcomes, answered, strict=False):
            first, second = wire.build(value), wire.build(outcome.output)
            if outcome.status is Status.OK and first != second:
                raise DataError(
                    f"{where}: the reference solution answers {_asked(call)} with {shown(first)}, then with "
                    f"{shown(second)}, which is not equal: no program can be right. Mend or delete the row."
                )

    def _outcomes(self, code: str, calls: Sequence[Call], where: str) -> list[Outcome]:
        """What the solution does on each call, to the first that it fails on."""
        runs = run_programs([Job(where, code, calls)], _judge, LIMITS, 1, "program", find_confinement(self.level))
        ((_, outcomes),) = list(runs)
        if isinstance(outcomes, InfraError):
            raise outcomes
        return outcomes


def _asked(call: Call) -> str:
    return f"{call.entry_point}({', '.join(map(repr, call.args))})"[:200]


def _judge(test: Test, outcome: Outcome) -> tuple[Outcome, bool]:
    return outcome, outcome.status is Status.OK or outcome.status in TOO_MUCH


def _last_line(detail: str) -> str:
    """Of what went wrong the last line, which names the exception."""
    return detail.strip().rpartition("\n")[2][-300:]


def _is_plain(value: Any) -> bool:
    """Whether no object of another type is in a claimed value."""
    match value:
        case wire.Opaque():
            return False
        case list() | tuple():
            return all(map(_is_plain, value))
        case wire.Elements(items=items):
            return all(map(_is_plain, items))
        case wire.Pairs(items=items):
            return all(_is_plain(key) and _is_plain(item) for key, item in items)
    return True


def _place(digest: str) -> Path | None:
    """Where values are kept; None where there is no home folder."""
    key = hashlib.sha256(f"{VERSION} {platform.python_version()} {LIMITS} {digest}".encode()).hexdigest()
    try:
        return cache_folder().parent / "expected" / f"{key[:32]}.json"
    except RuntimeError:
        return None


def _kept(path: Path, count: int) -> list[list[Any]] | None:
    """The values in a file; None if it is not there, or damaged."""
    try:
        found = wire.parse(path.read_bytes(), None)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, list) and len(found) == count else None


def _keep(path: Path | None, values: list[list[Any]]) -> None:
    if path is None:
        return
    try:
        with replacing(path) as beside:
            beside.write_bytes(wire.dumps(values))
    except UserError as error:
        LOG.warning("Expected values are not kept: %s They are computed again next time.", error)
