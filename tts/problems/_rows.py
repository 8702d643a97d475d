"""LiveCodeBench's `code_generation_lite` row format, which every benchmark of rows shares: reading, filtering,
decoding.

Rows are large, so only what a model may see is kept; hidden tests are read again from their place in the file when they
are asked for.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from tts.errors import ConfigError, DataError, unknown
from tts.jsonl import parse_line, raw_lines, user_path
from tts.plugins import FREE
from tts.problems._tests import decode
from tts.types import Message, Problem, Test, Tolerance

# LiveCodeBench's wording for chat models (lcb_runner/prompts/code_generation.py), the same to the letter, since only
# then are results comparable.
SYSTEM = (
    "You are an expert Python programmer. You will be given a question (problem specification) and will generate a "
    "correct Python program that matches the specification and passes all tests."
)
WITH_STARTER = (
    "You will use the following starter code to write the solution to the problem and enclose your code within "
    "delimiters."
)
WITHOUT_STARTER = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample "
    "inputs). Enclose your code within delimiters as follows. Ensure that when the python program runs, it reads the "
    "inputs, runs the algorithm and writes output to STDOUT."
)

REQUIRED = ("question_id", "question_content")
TAGS = {"title": "question_title", "platform": "platform", "difficulty": "difficulty"} | {
    name: name for name in ("contest_id", "contest_date")
}


def messages(statement: str, starter_code: str) -> tuple[Message, ...]:
    """The chat that LiveCodeBench sends for a problem with or without starter code."""
    wording = WITH_STARTER if starter_code else WITHOUT_STARTER
    block = starter_code or "# YOUR CODE HERE"
    user = (
        f"### Question:\n{statement}\n\n### Format: {wording}\n```python\n{block}\n```\n\n"
        "### Answer: (use the provided format with backticks)\n\n"
    )
    return Message("system", SYSTEM), Message("user", user)


def _metadata(row: Mapping[str, Any], name: str) -> Any:
    metadata = row.get("metadata") or {}
    metadata = json.loads(metadata) if isinstance(metadata, str) else metadata
    return metadata.get(name) if isinstance(metadata, dict) else None


def _entry_point(row: Mapping[str, Any]) -> str | None:
    name = _metadata(row, "func_name")
    if name is not None and not isinstance(name, str):
        raise ValueError(f"metadata.func_name must be a string, got {name!r}")
    return name


def _tolerance(row: Mapping[str, Any], where: str) -> Tolerance | None:
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


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows of a benchmark are wanted; dates are ISO days, both ends included; empty means all."""

    start_date: str = ""
    end_date: str = ""
    difficulty: Collection[str] = ()
    platform: Collection[str] = ()
    ids: Sequence[str] = ()
    limit: int | None = None

    def admits(self, problem: Problem) -> bool:
        """Whether a problem passes everything but the limit."""
        day = problem.tags["contest_date"][:10]
        return (
            (not self.start_date or day >= self.start_date)
            and (not self.end_date or (day != "" and day <= self.end_date))
            and (not self.difficulty or problem.tags["difficulty"] in self.difficulty)
            and (not self.platform or problem.tags["platform"] in self.platform)
            and (not self.ids or problem.id in self.ids)
        )


@dataclass(slots=True)
class Rows:
    """The problems of some JSONL files of rows, read once; their hidden tests stay in the files."""

    paths: Sequence[Path]
    filter: Filter
    _places: dict[str, tuple[Path, int, int]] = field(default_factory=dict)
    _problems: list[Problem] | None = None

    def problems(self) -> list[Problem]:
        """The wanted problems in file order. Raises DataError for a bad row, a repeated or an unknown id."""
        if self._problems is None:
            self._places.clear()
            found = [problem for problem in self._scan() if self.filter.admits(problem)]
            if not self._places:
                raise DataError(f"{', '.join(map(str, self.paths))}: no problem is in there. Give a row for each.")
            self._check_ids()
            self._problems = found[: self.filter.limit]
        return self._problems

    def _scan(self) -> Iterator[Problem]:
        for path in self.paths:
            for number, offset, line in raw_lines(path):
                digest = hashlib.sha256(line.strip()).hexdigest()[:32]
                problem = _problem(parse_line(line, path, number), digest, f"{path}, line {number}")
                if problem.id in self._places:
                    raise DataError(f"{path}, line {number}: question_id {problem.id!r} is there twice. Rename one.")
                self._places[problem.id] = path, number, offset
                yield problem

    def _check_ids(self) -> None:
        for wanted in self.filter.ids:
            if wanted not in self._places:
                raise DataError(unknown(wanted, "this benchmark's ids", self._places))

    def tests(self, problem_id: str) -> tuple[Test, ...]:
        """Public, then hidden tests, read from the file now. Raises DataError."""
        self.problems()
        if problem_id not in self._places:
            raise DataError(unknown(problem_id, "this benchmark's ids", self._places))
        path, number, offset = self._places[problem_id]
        where = f"{path}, line {number} ({problem_id})"
        try:
            with path.open("rb") as file:
                file.seek(offset)
                line = file.readline()
        except OSError as error:
            raise DataError(f"{where}: the tests cannot be read: {error.strerror}. Put the file back.") from error
        row = parse_line(line, path, number)
        if str(row.get("question_id")) != problem_id:
            raise DataError(f"{where}: the file has changed since its problems were read. Start again.")
        tests = _decode(row, "public_test_cases", where) + _decode(row, "private_test_cases", where)
        if not tests:
            raise DataError(f"{where}: no tests, neither public nor private. Add some or delete the row.")
        return tests


def _decode(row: Mapping[str, Any], column: str, where: str) -> tuple[Test, ...]:
    try:
        return decode(row.get(column) or [], _entry_point(row), _tolerance(row, where))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: {column} cannot be decoded: {error}. Mend or delete the row.") from error


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _problem(row: Mapping[str, Any], digest: str, where: str) -> Problem:
    for name in REQUIRED:
        if not isinstance(row.get(name), str | int) or row[name] == "":
            raise DataError(f"{where}: {name} is missing or not a string. A row needs {', '.join(REQUIRED)} and tests.")
    if _has_surrogates(str(row["question_id"])):
        raise DataError(f"{where}: question_id {row['question_id']!r} is no Unicode text. Rename it.")
    statement, starter = str(row["question_content"]), str(row.get("starter_code") or "")
    return Problem(
        id=str(row["question_id"]),
        statement=statement,
        messages=messages(statement, starter),
        public_tests=_decode(row, "public_test_cases", where),
        starter_code=starter,
        tags={tag: str(row.get(column) or "") for tag, column in TAGS.items()},
        digest=digest,
    )


def _is_iso_day(text: str) -> bool:
    """Whether days of this form compare as their texts do; `fromisoformat` alone also takes 20240801."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


@dataclass(frozen=True)
class RowBenchmark:
    """A benchmark of rows: `path` is a JSONL file or a folder of them; dates are ISO days, both ends included; `ids`
    and `limit` (the first so many) narrow further.
    """

    path: str = field(kw_only=True, metadata=FREE)
    start_date: str = field(default="", kw_only=True, metadata=FREE)
    end_date: str = field(default="", kw_only=True, metadata=FREE)
    difficulty: tuple[str, ...] = field(default=(), kw_only=True, metadata=FREE)
    platform: tuple[str, ...] = field(default=(), kw_only=True, metadata=FREE)
    ids: tuple[str, ...] = field(default=(), kw_only=True, metadata=FREE)
    limit: int | None = field(default=None, kw_only=True, metadata=FREE)

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"benchmark.limit must be at least 1, got {self.limit}. Leave it out for all problems.")
        for name, day in (("start_date", self.start_date), ("end_date", self.end_date)):
            if day and not _is_iso_day(day):
                raise ConfigError(f"benchmark.{name} must be an ISO day such as 2024-08-01, got {day!r}.")

    def problems(self) -> list[Problem]:
        """The wanted problems, in file order. Raises DataError."""
        found = self._rows.problems()
        if not found:
            raise DataError(f"No problem of {self.path} passes the filters. Widen dates, difficulty, platform or ids.")
        return found

    def tests(self, problem_id: str) -> tuple[Test, ...]:
        """Public, then hidden tests of one problem. Raises DataError."""
        return self._rows.tests(problem_id)

    @cached_property
    def _rows(self) -> Rows:
        chosen = Filter(self.start_date, self.end_date, self.difficulty, self.platform, self.ids, self.limit)
        return Rows(self.files(), chosen)

    def files(self) -> list[Path]:
        """The JSONL files to read, in order. Raises DataError."""
        path = user_path(self.path)
        found = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
        if not found:
            raise DataError(f"The folder {path} holds no .jsonl file. Put files of rows there, or give a file.")
        return found
