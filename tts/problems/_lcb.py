"""LiveCodeBench's `code_generation_lite` row format and filters, which `livecodebench`, `jsonl` and `mini` share."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar

from tts.errors import ConfigError, DataError, shown
from tts.jsonl import expect
from tts.plugins import FREE
from tts.problems._columns import Columns
from tts.problems._prompt import messages
from tts.problems._rows import Row, RowBenchmark, RowFormat
from tts.problems._tests import decode
from tts.types import Problem, Test, Tolerance

REQUIRED = ("question_id", "question_content")
TAGS = {"title": "question_title", "platform": "platform", "difficulty": "difficulty", "contest_id": "contest_id"}


def _metadata(row: Row, where: str) -> Mapping[str, Any]:
    """The row's metadata, which LiveCodeBench's rows have as JSON. Raises DataError."""
    found = row.get("metadata") or {}
    try:
        found = json.loads(found) if isinstance(found, str) else found
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: metadata is not JSON ({error}). Mend it or leave it out.") from error
    if not isinstance(found, dict):
        raise DataError(f"{where}: metadata must be an object or its JSON, got {found!r:.80}. Mend it or leave it out.")
    return found


def _entry_point(metadata: Mapping[str, Any], where: str) -> str | None:
    """The function that tests call; None where programs read and write."""
    name: str | None = expect(metadata, "func_name", str, f"{where}: metadata", needed=False)
    if name is not None and not name.isidentifier():
        raise DataError(f"{where}: metadata.func_name must be the name of a function, got {name!r:.80}. Mend the row.")
    return name


def _tolerance(metadata: Mapping[str, Any], where: str) -> Tolerance | None:
    """How far off a row's author allows answers to be; most say nothing."""
    value = metadata.get("tolerance")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise DataError(
            f"{where}: metadata.tolerance must be a number between 0 and 1, such as 1e-6, got {shown(value)}. "
            "Mend it or leave it out."
        )
    return Tolerance(float(value), float(value))


def _decode(row: Row, column: str, where: str) -> tuple[Test, ...]:
    metadata = _metadata(row, where)
    entry_point, tolerance = _entry_point(metadata, where), _tolerance(metadata, where)
    cases = row.get(column)
    try:
        return decode([] if cases is None else cases, entry_point, tolerance)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: {column} cannot be decoded: {error}. Mend or delete the row.") from error


def _day(row: Row, where: str) -> str:
    """When the contest was; the filters compare days as text, so that they need to have the form for it."""
    found = expect(row, "contest_date", str, where, needed=False) or ""
    if found and not _is_iso_day(found[:10]):
        raise DataError(
            f"{where}: contest_date must begin with an ISO day such as 2024-08-01, got {found!r:.80}. "
            "Mend it or leave it out."
        )
    return found


def _problem(row: Row, where: str) -> Problem:
    for name in REQUIRED:
        if row.get(name) in (None, "") or not isinstance(row[name], str | int) or isinstance(row[name], bool):
            raise DataError(f"{where}: {name} is missing or not a string. A row needs {', '.join(REQUIRED)} and tests.")
    statement = str(row["question_content"])
    starter = expect(row, "starter_code", str, where, needed=False) or ""
    tags = {tag: expect(row, column, (str, int), where, needed=False) for tag, column in TAGS.items()}
    return Problem(
        id=str(row["question_id"]),
        statement=statement,
        messages=messages(statement, starter),
        public_tests=_decode(row, "public_test_cases", where),
        starter_code=starter,
        tags={**{tag: str(value or "") for tag, value in tags.items()}, "contest_date": _day(row, where)},
    )


def _tests(row: Row, where: str) -> tuple[Test, ...]:
    return _decode(row, "public_test_cases", where) + _decode(row, "private_test_cases", where)


LCB = RowFormat(_problem, _tests)


def _is_iso_day(text: str) -> bool:
    """Whether days of this form compare as their texts do; `fromisoformat` alone also takes 20240801."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


@dataclass(frozen=True)
class LcbRows(RowBenchmark):
    """A benchmark of rows in LiveCodeBench's format: dates are ISO days, both ends included; an empty filter admits
    all.
    """

    columns: ClassVar = Columns(("question_id", "question_content"))
    filters: ClassVar = ("start_date", "end_date", "difficulty", "platform")
    start_date: str = field(default="", kw_only=True, metadata=FREE)
    end_date: str = field(default="", kw_only=True, metadata=FREE)
    difficulty: tuple[str, ...] = field(default=(), kw_only=True, metadata=FREE)
    platform: tuple[str, ...] = field(default=(), kw_only=True, metadata=FREE)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, day in (("start_date", self.start_date), ("end_date", self.end_date)):
            if day and not _is_iso_day(day):
                raise ConfigError(f"benchmark.{name} must be an ISO day such as 2024-08-01, got {day!r}.")
        if self.start_date and self.end_date and self.start_date > self.end_date:
            raise ConfigError(
                f"benchmark.start_date must not be after benchmark.end_date, got {self.start_date} and "
                f"{self.end_date}. Swap them."
            )

    def row_format(self) -> RowFormat:
        """LiveCodeBench's."""
        return LCB

    def admits(self, problem: Problem) -> bool:
        """Whether a problem's day, difficulty and platform are wanted."""
        day = problem.tags["contest_date"][:10]
        return (
            (not self.start_date or day >= self.start_date)
            and (not self.end_date or (day != "" and day <= self.end_date))
            and (not self.difficulty or problem.tags["difficulty"] in self.difficulty)
            and (not self.platform or problem.tags["platform"] in self.platform)
        )
