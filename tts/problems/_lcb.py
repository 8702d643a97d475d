"""LiveCodeBench's `code_generation_lite` row format and filters, which `livecodebench`, `jsonl` and `mini` share."""

import json
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from tts.errors import ConfigError, DataError
from tts.plugins import FREE
from tts.problems._prompt import messages
from tts.problems._rows import Row, RowBenchmark, RowFormat
from tts.problems._tests import decode
from tts.types import Problem, Test, Tolerance

REQUIRED = ("question_id", "question_content")
TAGS = {"title": "question_title", "platform": "platform", "difficulty": "difficulty"} | {
    name: name for name in ("contest_id", "contest_date")
}


def _metadata(row: Row, name: str) -> Any:
    metadata = row.get("metadata") or {}
    metadata = json.loads(metadata) if isinstance(metadata, str) else metadata
    return metadata.get(name) if isinstance(metadata, dict) else None


def _entry_point(row: Row) -> str | None:
    name = _metadata(row, "func_name")
    if name is not None and not isinstance(name, str):
        raise ValueError(f"metadata.func_name must be a string, got {name!r}")
    return name


def _tolerance(row: Row, where: str) -> Tolerance | None:
    """How far off a row's author allows answers to be; most say nothing."""
    value = _metadata(row, "tolerance")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise DataError(
            f"{where}: metadata.tolerance must be a number between 0 and 1, such as 1e-6, got {value!r}. "
            "Mend it or leave it out."
        )
    return Tolerance(float(value), float(value))


def _decode(row: Row, column: str, where: str) -> tuple[Test, ...]:
    try:
        return decode(row.get(column) or [], _entry_point(row), _tolerance(row, where))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: {column} cannot be decoded: {error}. Mend or delete the row.") from error


def _problem(row: Row, where: str) -> Problem:
    for name in REQUIRED:
        if not isinstance(row.get(name), str | int) or row[name] == "":
            raise DataError(f"{where}: {name} is missing or not a string. A row needs {', '.join(REQUIRED)} and tests.")
    statement, starter = str(row["question_content"]), str(row.get("starter_code") or "")
    return Problem(
        id=str(row["question_id"]),
        statement=statement,
        messages=messages(statement, starter),
        public_tests=_decode(row, "public_test_cases", where),
        starter_code=starter,
        tags={tag: str(row.get(column) or "") for tag, column in TAGS.items()},
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

    start_date: str = field(default="", kw_only=True, metadata=FREE)
    end_date: str = field(default="", kw_only=True, metadata=FREE)
    difficulty: tuple[str, ...] = field(default=(), kw_only=True, metadata=FREE)
    platform: tuple[str, ...] = field(default=(), kw_only=True, metadata=FREE)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, day in (("start_date", self.start_date), ("end_date", self.end_date)):
            if day and not _is_iso_day(day):
                raise ConfigError(f"benchmark.{name} must be an ISO day such as 2024-08-01, got {day!r}.")

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
