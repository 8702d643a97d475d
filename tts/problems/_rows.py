"""Benchmarks whose problems are rows of files: reading, filtering, and finding a row's tests again.

Rows are large, so only what a model may see is kept; hidden tests are read again from their place in the file when they
are asked for. What a row means is its format's to say (`RowFormat`), not this file's.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from tts.errors import ConfigError, DataError, unknown
from tts.jsonl import parse_line, user_path
from tts.plugins import FREE
from tts.problems._columns import Columns, check_columns
from tts.problems._files import is_parquet, read_row, read_rows, row_files
from tts.problems._hub import hub_file, is_hub_name
from tts.types import Problem, Test

Row = Mapping[str, Any]
AnyTest = TypeVar("AnyTest", bound=Test)


def each_once(tests: Iterable[AnyTest]) -> tuple[AnyTest, ...]:
    """Of tests that ask the same one, in the place of the first."""
    return tuple({test.asked: test for test in tests}.values())


def public_first(public: Collection[Test], decisive: Iterable[Test]) -> tuple[Test, ...]:
    """The tests that decide, each once, those of them that are public first, in the order of these, no two of which are
    alike; other public ones are not among them.
    """
    places = {test.asked: place for place, test in enumerate(public)}
    return tuple(sorted(each_once(decisive), key=lambda test: places.get(test.asked, len(places))))


@dataclass(frozen=True, slots=True)
class RowFormat:
    """What a row means. Both functions take a row and where it is, for their messages, and raise DataError.

    `problem` gives what a model may see, its digest left to `Rows`; `tests` gives all tests, the public ones first.
    `unread` names columns that neither looks at and that are large: a Parquet file's are not read.
    """

    problem: Callable[[Row, str], Problem]
    tests: Callable[[Row, str], tuple[Test, ...]]
    unread: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a row is, for people by its number from 1, and what identifies its content, hidden tests included."""

    path: Path
    number: int
    position: int
    digest: str

    def __str__(self) -> str:
        return f"{self.path}, {'row' if is_parquet(self.path) else 'line'} {self.number}"


@dataclass(slots=True)
class Rows:
    """The problems of some files of rows, read once; their hidden tests stay in the files.

    `ids`, if any, must all be there and admitted; `limit` is how many of the admitted problems are taken, from the
    first; `filters` are the options behind `admits`, in words; rows that lack one of `columns` may be another's.
    """

    paths: Sequence[Path]
    format: RowFormat
    admits: Callable[[Problem], bool]
    ids: Sequence[str] = ()
    limit: int | None = None
    filters: str = ""
    columns: Columns = field(default_factory=Columns)
    _places: dict[str, _Place] = field(default_factory=dict)
    _problems: list[Problem] | None = None

    def problems(self) -> list[Problem]:
        """The wanted problems in file order. Raises DataError for a bad row, a repeated or an unknown id, and for a
        wanted one that is not admitted.
        """
        if self._problems is None:
            self._places.clear()
            found = [problem for problem in self._scan() if self._wants(problem)]
            if not self._places:
                raise DataError(f"{', '.join(map(str, self.paths))}: no problem is in there. Give a row for each.")
            self._check_ids({problem.id for problem in found})
            self._problems = found[: self.limit]
        return self._problems

    def _check_ids(self, found: Collection[str]) -> None:
        left_out = [(wanted, self._place(wanted)) for wanted in self.ids if wanted not in found]
        if left_out:
            wanted, place = left_out[0]
            more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
            raise DataError(
                f"benchmark.ids names {wanted!r} ({place}){more}, left out by {self.filters or 'a filter'}. "
                "Widen that, or drop the id."
            )

    def _wants(self, problem: Problem) -> bool:
        return (not self.ids or problem.id in self.ids) and self.admits(problem)

    def _scan(self) -> Iterator[Problem]:
        for path in self.paths:
            for number, position, line in read_rows(path, self.format.unread):
                place = _Place(path, number, position, _digest(line))
                row = parse_line(line, path, number)
                check_columns(self.columns, row, str(place))
                with _bounded(str(place)):
                    problem = self.format.problem(row, str(place))
                _check_texts(problem, place)
                if problem.id in self._places:
                    first = self._places[problem.id]
                    raise DataError(f"{place}: the id {problem.id!r} is there twice, first at {first}. Rename one.")
                self._places[problem.id] = place
                yield replace(problem, digest=place.digest)

    @property
    def known(self) -> Collection[str]:
        """The ids of all rows, wanted or not, in file order. Raises DataError as `problems` does."""
        self.problems()
        return self._places.keys()

    def _place(self, problem_id: str) -> _Place:
        if problem_id not in self._places:
            raise DataError(unknown(problem_id, "this benchmark's ids", self._places))
        return self._places[problem_id]

    def tests(self, problem_id: str) -> tuple[Test, ...]:
        """Public, then hidden tests, read from the file now. Raises DataError."""
        self.problems()
        place = self._place(problem_id)
        where = f"{place} ({problem_id})"
        line = read_row(place.path, place.position, self.format.unread)
        if _digest(line) != place.digest:
            raise DataError(f"{where}: the file has changed since its problems were read. Start again.")
        with _bounded(where):
            tests = self.format.tests(parse_line(line, place.path, place.number), where)
        if not tests:
            raise DataError(f"{where}: no tests, neither public nor private. Add some or delete the row.")
        return tests


def _digest(line: bytes) -> str:
    return hashlib.sha256(line.strip()).hexdigest()[:32]


@contextmanager
def _bounded(where: str) -> Iterator[None]:
    """Python's own limit, where code in a row is nested beyond it, as a DataError."""
    try:
        yield
    except RecursionError as error:
        raise DataError(f"{where}: code in it is nested too deeply to be read. Mend or delete the row.") from error


def _check_texts(problem: Problem, place: _Place) -> None:
    """Raises DataError for an empty id, and for half a surrogate pair in what models are told, which no tokenizer
    takes.
    """
    if not problem.id:
        raise DataError(f"{place}: the id is empty. Give the row one.")
    for text in (problem.id, problem.statement, problem.starter_code, *(one.content for one in problem.messages)):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            around = text[max(0, error.start - 20) : error.end + 20]
            raise DataError(f"{place}: {around!r} is no Unicode text. Mend or delete the row.") from error


@dataclass(frozen=True)
class RowBenchmark(ABC):
    """A benchmark of rows: `path` is a file of JSON lines, gzipped or not, or of Parquet, a folder of them, or a file
    of a data set on the hub (owner/name/file.jsonl); `ids` and `limit`, the first so many, narrow.

    A benchmark says what its rows mean in `row_format`; where it can, also in `files` where they are and in `admits`
    which are wanted, by its options that are named in `filters`. `columns` are what every row has.
    """

    filters: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[Columns] = Columns()
    path: str = field(kw_only=True, metadata=FREE)
    ids: tuple[str, ...] = field(default=(), kw_only=True, metadata=FREE)
    limit: int | None = field(default=None, kw_only=True, metadata=FREE)

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"benchmark.limit must be at least 1, got {self.limit}. Leave it out for all problems.")

    @abstractmethod
    def row_format(self) -> RowFormat:
        """What a row means."""

    def files(self) -> list[Path]:
        """The files to read, in order. Raises DataError."""
        path = hub_file(self.path) or user_path(self.path)
        if is_hub_name(self.path) and not path.exists():
            raise DataError(
                f"No file or folder {self.path!r}. Of a data set on the hub, name the file: {self.path}/FILE.jsonl, or "
                "its path there if it ends in .jsonl.gz or .parquet."
            )
        found = row_files(path) if path.is_dir() else [path]
        if not found:
            raise DataError(f"The folder {path} holds no .jsonl or .parquet file. Put rows there, or give a file.")
        return found

    def admits(self, problem: Problem) -> bool:
        """Whether a problem passes the filters other than `ids` and `limit`."""
        return True

    def problems(self) -> list[Problem]:
        """The wanted problems, in file order. Raises DataError."""
        found = self._rows.problems()
        if not found:
            raise DataError(f"No problem of {self.path} passes the filters. Widen them or leave some out.")
        return found

    def tests(self, problem_id: str) -> tuple[Test, ...]:
        """Public, then hidden tests of one problem. Raises DataError."""
        return self._rows.tests(problem_id)

    @cached_property
    def _rows(self) -> Rows:
        given = {name: getattr(self, name) for name in self.filters}
        filters = ", ".join(f"benchmark.{name}={value!r}" for name, value in given.items() if value)
        return Rows(self.files(), self.row_format(), self.admits, self.ids, self.limit, filters, self.columns)
