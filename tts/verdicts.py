"""Verdicts of before, so that `tts grade` runs a program once: one SQLite file, shared by all that grade at a time.

A convenience and never a condition: a file that cannot be opened, read or written costs one warning, and grading goes
on without it. Each verdict is committed as it comes. What our own machinery could not decide is never here.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tts.models import cache_folder
from tts.store import dump_grade, dump_test, load_grade
from tts.types import Grade, Test

SCHEMA = (
    "CREATE TABLE verdicts (problem_id TEXT NOT NULL, tests TEXT NOT NULL, program TEXT NOT NULL, grader TEXT NOT NULL,"
    " grade TEXT NOT NULL, checksum TEXT NOT NULL, PRIMARY KEY (problem_id, tests, program, grader)) WITHOUT ROWID"
)
WAIT_SECONDS = 30.0  # for another program that is writing
PAUSE_SECONDS = 0.05

Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Key:
    """What a verdict depends on: the problem, its tests (`hash_of_tests`), the program, and the grader's version."""

    problem_id: str
    tests: str
    program: str
    grader: str

    @property
    def columns(self) -> tuple[str, str, str, str]:
        """In the table's order."""
        return self.problem_id, self.tests, self.program, self.grader


def hash_of_tests(tests: Sequence[Test], public: int) -> str:
    """The identity of a problem's tests as they are graded: all of them, and how many are public."""
    digest = hashlib.sha256(json.dumps(public).encode())
    for test in tests:
        digest.update(b"\n" + json.dumps(dump_test(test)).encode())
    return digest.hexdigest()[:32]


def default_path() -> Path:
    """`tts/verdicts.sqlite` in the user's cache. Raises RuntimeError where there is no home folder."""
    return cache_folder().parent / "verdicts.sqlite"


class Verdicts:
    """The verdicts in one file, or none at all without a file. A context manager; use it in one thread."""

    def __init__(self, path: Path | None, warn: Warn) -> None:
        """Opens the file and makes it where there is none; `warn` is told, once, that it is of no use."""
        self._path, self._warn = path, warn
        self._db: sqlite3.Connection | None = None
        if path is not None:
            with self._tolerated():
                self._db = _connect(path)

    def __enter__(self) -> "Verdicts":
        return self

    def __exit__(self, *_: object) -> None:
        if self._db is not None:
            self._db.close()

    @property
    def usable(self) -> bool:
        """Whether verdicts are kept."""
        return self._db is not None

    def find(self, key: Key) -> Grade | None:
        """The grade that is kept under this key."""
        found = None
        with self._tolerated():
            if self._db is not None:
                query = "SELECT grade, checksum FROM verdicts WHERE (problem_id, tests, program, grader) = (?, ?, ?, ?)"
                row = self._db.execute(query, key.columns).fetchone()
                found = None if row is None else _load(key, *row)
        return found

    def keep(self, key: Key, grade: Grade) -> None:
        """Commit a grade; one that another program was quicker to commit stays."""
        with self._tolerated():
            if self._db is not None:
                text = json.dumps(dump_grade(grade))
                row = *key.columns, text, _checksum(key, text)
                self._db.execute("INSERT OR IGNORE INTO verdicts VALUES (?, ?, ?, ?, ?, ?)", row)

    @contextmanager
    def _tolerated(self) -> Iterator[None]:
        """Where the file fails us, say so once and do without it from then on."""
        try:
            yield
        except (sqlite3.Error, OSError, ValueError, TypeError) as error:
            if self._db is not None:
                self._db.close()
            self._db = None
            self._warn(
                f"Warning: the cache of verdicts {self._path} cannot be used ({error}). Grading goes on without it, "
                "and what it finds is not kept. Mend or delete the file, or give another with --cache, or --no-cache."
            )


def _connect(path: Path) -> sqlite3.Connection:
    """Raises OSError, sqlite3.Error or ValueError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)
    try:
        _prepare(connection)
    except (sqlite3.Error, ValueError):
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    tables = _tables(connection)
    if tables not in ([], [SCHEMA]):
        raise ValueError("it is the file of something else, or of another tts")
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(SCHEMA.replace("TABLE", "TABLE IF NOT EXISTS", 1))
    if _tables(connection) != [SCHEMA]:
        raise ValueError("it is the file of something else, or of another tts")


def _tables(connection: sqlite3.Connection) -> list[str]:
    with closing(connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")) as found:
        return [sql for (sql,) in found]


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Have SQLite write ahead; it does not itself wait for another program that is just doing the same."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(PAUSE_SECONDS)


def _load(key: Key, text: str, checksum: str) -> Grade:
    if checksum != _checksum(key, text):
        raise ValueError("it is damaged: a verdict in it is not what was written")
    return load_grade(key.problem_id, key.program, *json.loads(text))


def _checksum(key: Key, text: str) -> str:
    return hashlib.sha256("\0".join((*key.columns, text)).encode("utf-8", "surrogatepass")).hexdigest()[:32]
