"""CodeContests (DeepMind's AlphaCode, arXiv 2203.07814): contest problems with public, private and generated tests.

Rows of the data set `deepmind/code_contests` (CC BY 4.0; its problems come from Codeforces, from Description2Code under
the MIT licence and from CodeNet under Apache 2.0), from a file, a folder, or the hub: Parquet as it is there, or JSON
lines with the same columns. Nothing of it is shipped here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal

from tts.errors import ConfigError, DataError, check_option, shown, unknown
from tts.jsonl import expect, user_path
from tts.plugins import FREE
from tts.problems._columns import Columns
from tts.problems._files import row_files
from tts.problems._hub import data_files, is_hub_name
from tts.problems._prompt import messages
from tts.problems._rows import Row, RowBenchmark, RowFormat
from tts.types import ERRATA, Problem, Stdin, Test

HUB = "deepmind/code_contests"
SOLUTIONS = ("solutions", "incorrect_solutions")  # most of a row, and nobody's business here

# The enums of contest_problem.proto in the repository google-deepmind/code_contests; it skips source 5 and difficulty
# 18. A letter is a problem's place in its contest.
SOURCES = {
    0: "unknown_source",
    1: "codechef",
    2: "codeforces",
    3: "hackerearth",
    4: "codejam",
    6: "atcoder",
    7: "aizu",
}
LETTERS = dict(zip(chain(range(7, 18), range(19, 30)), "ABCDEFGHIJKLMNOPQRSTUV", strict=True))
DIFFICULTIES = dict(enumerate(("unknown", "easy", "medium", "hard", "harder", "hardest", "external"))) | LETTERS
IMAGE = "<image>"  # stands in a statement where a picture was
PARTS = ("input", "output")
MOST_SECONDS = 86_400  # of a time limit, as in `grading.timeout`


@dataclass(frozen=True)
class CodeContests(RowBenchmark):
    """Options: `path` is a file of rows, a folder, or a hub data set's name; `split` (test, valid or train) picks the
    folder's or the hub's files by how their names begin; `generated` says whether generated tests count beside public
    and private ones; `platform` (codeforces, aizu, ...), `difficulty` (easy, ..., A, B, ...), `min_rating` and
    `max_rating` (Codeforces', both included; a problem without one passes neither), `ids` and `limit` (the first so
    many) narrow further.

    An id is platform/name, since names may agree between platforms. A program gets the problem's time limit, which is
    also in the tag `time_limit_seconds`, unless the run has one. Two kinds of problems are kept but have the tag
    `errata`, so that a report gives both numbers: `named_files`, whose programs should read or write files of given
    names and not stdin and stdout, and `images_only`, whose statement is nothing but images, which the data set leaves
    out.
    """

    columns: ClassVar = Columns(("name", "description", "public_tests"))
    filters: ClassVar = ("platform", "difficulty", "min_rating", "max_rating")
    path: str = field(default=HUB, kw_only=True, metadata=FREE)
    split: Literal["test", "valid", "train"] = field(default="test", kw_only=True, metadata=FREE)
    generated: bool = field(default=True, kw_only=True)  # decides verdicts, so a run is not continued with another
    platform: tuple[str, ...] = field(default=(), kw_only=True, metadata=FREE)
    difficulty: tuple[str, ...] = field(default=(), kw_only=True, metadata=FREE)
    min_rating: int | None = field(default=None, kw_only=True, metadata=FREE)
    max_rating: int | None = field(default=None, kw_only=True, metadata=FREE)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_names("platform", self.platform, SOURCES)
        _check_names("difficulty", self.difficulty, DIFFICULTIES)
        for name in ("min_rating", "max_rating"):
            rating = getattr(self, name)
            check_option(rating is None or rating > 0, f"benchmark.{name}", "above 0", rating)

    def row_format(self) -> RowFormat:
        """DeepMind's."""
        return RowFormat(_problem, self._tests, unread=SOLUTIONS)

    def _tests(self, row: Row, where: str) -> tuple[Test, ...]:
        columns = ["public_tests", "private_tests", *(["generated_tests"] if self.generated else [])]
        return tuple(test for column in columns for test in _decode(row, column, where))

    def admits(self, problem: Problem) -> bool:
        """Whether a problem's platform, difficulty and rating are wanted."""
        rating = int(problem.tags.get("rating", 0))
        return (
            (not self.platform or problem.tags["platform"] in self.platform)
            and (not self.difficulty or problem.tags["difficulty"] in self.difficulty)
            and (self.min_rating is None or rating >= self.min_rating)
            and (self.max_rating is None or 0 < rating <= self.max_rating)
        )

    def files(self) -> list[Path]:
        """The files to read, downloaded if `path` names a hub data set. Raises DataError."""
        path = user_path(self.path)
        if path.is_dir():
            found = row_files(path, f"{self.split}*") or row_files(path / "data", f"{self.split}*")
            if not found:
                raise DataError(
                    f"The folder {path} holds no {self.split}*.jsonl or {self.split}*.parquet, nor does its folder "
                    "data. Name the files so, set benchmark.split to what is there, or give a file."
                )
            return found
        if path.exists() or not is_hub_name(self.path):
            return [path]
        return data_files(self.path, f"data/{self.split}-*")


def _check_names(option: str, given: tuple[str, ...], allowed: Mapping[int, str]) -> None:
    for name in given:
        if name not in allowed.values():
            raise ConfigError(unknown(name, f"what benchmark.{option} takes", allowed.values()))


def _problem(row: Row, where: str) -> Problem:
    name, statement = (expect(row, column, str, where) for column in ("name", "description"))
    for column, text in (("name", name), ("description", statement)):
        if not text:
            raise DataError(f"{where}: {column} is empty. Mend or delete the row.")
    platform = _name(row, "source", SOURCES, where)
    return Problem(
        id=f"{platform}/{name}",
        statement=statement,
        messages=messages(statement),
        public_tests=tuple(_decode(row, "public_tests", where)),
        tags={
            "title": name,
            "platform": platform,
            "difficulty": _name(row, "difficulty", DIFFICULTIES, where),
            **dict(_tags(row, statement, where)),
        },
    )


def _name(row: Row, column: str, names: Mapping[int, str], where: str) -> str:
    """The word for an enum's number; an absent one is number 0, as in a protocol buffer."""
    number = expect(row, column, int, where, needed=False) or 0
    if number not in names:
        allowed = ", ".join(f"{key} ({word})" for key, word in names.items())
        raise DataError(f"{where}: {column} must be one of {allowed}, got {number}.")
    return names[number]


def _tags(row: Row, statement: str, where: str) -> Iterator[tuple[str, str]]:
    """The tags that only some problems have."""
    rating = _size(row, "cf_rating", where)
    if rating:
        yield "rating", str(rating)
    topics = expect(row, "cf_tags", list, where, needed=False) or []
    if any(topics):
        yield "topics", ", ".join(str(topic) for topic in topics if topic)
    seconds = _seconds(row, where)
    if seconds:
        yield "time_limit_seconds", f"{seconds:g}"
    size_bytes = _size(row, "memory_limit_bytes", where)
    if size_bytes:
        yield "memory_limit_mib", f"{size_bytes / 2**20:g}"
    if any(expect(row, column, str, where, needed=False) for column in ("input_file", "output_file")):
        yield ERRATA, "named_files"
    elif not statement.replace(IMAGE, "").strip():
        yield ERRATA, "images_only"


def _seconds(row: Row, where: str) -> float:
    """The time limit, 0 where there is none."""
    limit: Mapping[str, Any] = expect(row, "time_limit", dict, where, needed=False) or {}
    seconds, nanos = (_size(limit, name, f"{where}: time_limit") for name in ("seconds", "nanos"))
    if seconds > MOST_SECONDS:
        raise DataError(f"{where}: time_limit: seconds must be at most {MOST_SECONDS}, got {seconds}. Mend the row.")
    return seconds + nanos / 1e9


def _size(row: Row, column: str, where: str) -> int:
    """A whole number that is no protocol buffer's if it is negative or takes over 63 bits; 0 if it is absent."""
    found: int = expect(row, column, int, where, needed=False) or 0
    if not 0 <= found < 2**63:
        raise DataError(f"{where}: {column} must not be negative and below 2^63, got {shown(found)}. Mend the row.")
    return found


def _decode(row: Row, column: str, where: str) -> Iterator[Stdin]:
    seconds = _seconds(row, where) or None
    tests: Mapping[str, Any] = expect(row, column, dict, where, needed=False) or {}
    inputs, outputs = (expect(tests, part, list, f"{where}: {column}", needed=bool(tests)) or [] for part in PARTS)
    if len(inputs) != len(outputs):
        raise DataError(
            f"{where}: {column} has {len(inputs)} inputs and {len(outputs)} outputs; they go in pairs. Mend the row."
        )
    for given, expected in zip(inputs, outputs, strict=True):
        if not isinstance(given, str) or not isinstance(expected, str):
            raise DataError(f"{where}: {column} must hold texts, got {given!r:.40} and {expected!r:.40}. Mend the row.")
        yield Stdin(given, expected, seconds=seconds)


plugin = CodeContests
