"""One run = one folder with one SQLite file, so that nothing expensive is computed twice.

Write-ahead log, one writer, a transaction per finished batch: a kill at any moment loses at most the batch in flight,
and primary keys make duplicates impossible. Stores facts (candidates, scores, grades, behaviours); never selections.
"""

import fcntl
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from tts.errors import StoreError
from tts.types import Behaviour, Call, Candidate, Grade, Message, Problem, Score, Stdin, Test, Verdict

FILE = "run.sqlite"
LOCK = "lock"
SCHEMA_VERSION = 1
FLUSH_SECONDS = 0.5
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE problems (id TEXT PRIMARY KEY, position INTEGER NOT NULL, digest TEXT NOT NULL, data TEXT NOT NULL);
CREATE TABLE candidates (
    problem_id TEXT NOT NULL, idx INTEGER NOT NULL, text TEXT NOT NULL, code TEXT, extraction TEXT NOT NULL,
    prompt_tokens INTEGER, tokens INTEGER, logprob REAL, finish TEXT NOT NULL,
    PRIMARY KEY (problem_id, idx)) WITHOUT ROWID;
CREATE TABLE scores (
    scorer TEXT NOT NULL, problem_id TEXT NOT NULL, idx INTEGER NOT NULL, value REAL, why TEXT NOT NULL,
    PRIMARY KEY (scorer, problem_id, idx)) WITHOUT ROWID;
CREATE TABLE grades (
    grader TEXT NOT NULL, problem_id TEXT NOT NULL, program TEXT NOT NULL, verdict TEXT NOT NULL, seconds REAL NOT NULL,
    tests INTEGER NOT NULL, passed INTEGER NOT NULL, detail TEXT NOT NULL,
    PRIMARY KEY (grader, problem_id, program)) WITHOUT ROWID;
CREATE TABLE behaviours (
    grader TEXT NOT NULL, problem_id TEXT NOT NULL, program TEXT NOT NULL, outputs TEXT NOT NULL,
    PRIMARY KEY (grader, problem_id, program)) WITHOUT ROWID;
"""
Item = TypeVar("Item")


def encode(text: str) -> str:
    """Text that SQLite can hold: a lone surrogate, which is no Unicode text, becomes a replacement character."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _dump_test(test: Test) -> dict[str, Any]:
    return {"kind": type(test).__name__, **asdict(test)}


def _load_test(data: dict[str, Any]) -> Test:
    if data["kind"] == "Stdin":
        return Stdin(data["input"], data["output"])
    return Call(data["entry_point"], tuple(data["args"]), data["returns"])


def _dump_problem(problem: Problem) -> str:
    return json.dumps(
        {
            "statement": problem.statement,
            "messages": [[m.role, m.content] for m in problem.messages],
            "public_tests": [_dump_test(test) for test in problem.public_tests],
            "starter_code": problem.starter_code,
            "tags": dict(problem.tags),
            "digest": problem.digest,
        }
    )


def _load_problem(name: str, text: str) -> Problem:
    data = json.loads(text)
    return Problem(
        id=name,
        statement=data["statement"],
        messages=tuple(Message(role, content) for role, content in data["messages"]),
        public_tests=tuple(_load_test(test) for test in data["public_tests"]),
        starter_code=data["starter_code"],
        tags=data["tags"],
        digest=data["digest"],
    )


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A key of the fingerprint that differs, with both values."""

    key: str
    stored: object
    given: object


class Store:
    """An open run folder. Use `open_for_writing` or `open_for_reading`; it is a context manager."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, lock: IO[str] | None = None) -> None:
        self.folder = folder
        self._db = connection
        self._lock = lock

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
        if self._lock is not None:
            self._lock.close()

    # -- what the run is ------------------------------------------------------------------------------------------

    def meta(self, key: str) -> Any:
        """A stored JSON value, or None."""
        row = self._one("SELECT value FROM meta WHERE key = ?", (key,))
        return json.loads(row[0]) if row else None

    def set_meta(self, values: Mapping[str, Any]) -> None:
        """Replace stored JSON values."""
        with self._writing():
            self._db.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", [(k, json.dumps(v)) for k, v in values.items()]
            )

    def claim(self, fingerprint: Mapping[str, Any]) -> None:
        """Remember what the run samples, or raise StoreError naming the key in which it differs from before."""
        stored = self.meta("fingerprint")
        given = json.loads(json.dumps(dict(fingerprint)))
        if stored is None:
            self.set_meta({"fingerprint": given})
        elif (mismatch := _first_mismatch(stored, given)) is not None:
            raise StoreError(
                f"{self.folder} was run with {mismatch.key} = {mismatch.stored!r}; now it is {mismatch.given!r}. "
                f"Samples of the two must not mix: set {mismatch.key} back, or give another --folder."
            )

    def add_problems(self, problems: Sequence[Problem]) -> None:
        """Store the problems in their order. Raises StoreError if one has changed since it was stored."""
        known = dict(self._all("SELECT id, digest FROM problems"))
        for problem in problems:
            if known.get(problem.id, problem.digest) != problem.digest:
                raise StoreError(
                    f"Problem {problem.id!r} is not what it was when {self.folder} was begun (its text or its tests "
                    "changed). Restore the benchmark's file, or give another --folder."
                )
        rows = [(p.id, position, p.digest, encode(_dump_problem(p))) for position, p in enumerate(problems)]
        with self._writing():
            self._db.executemany(
                "INSERT INTO problems VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET position = excluded.position",
                rows,
            )

    def problems(self) -> list[Problem]:
        """The stored problems in their order."""
        return [_load_problem(*row) for row in self._all("SELECT id, data FROM problems ORDER BY position, id")]

    # -- facts ------------------------------------------------------------------------------------------------------

    def candidate_keys(self) -> set[tuple[str, int]]:
        """(problem id, index) of every stored candidate."""
        return set(self._all("SELECT problem_id, idx FROM candidates"))

    def candidates(self) -> Iterator[Candidate]:
        """All candidates, by problem id and index."""
        columns = "problem_id, idx, text, code, extraction, prompt_tokens, tokens, logprob, finish"
        for row in self._all(f"SELECT {columns} FROM candidates ORDER BY problem_id, idx"):
            yield Candidate(*row)

    def add_candidates(self, items: Iterable[Candidate]) -> Iterator[Candidate]:
        """Store candidates as they come; yields each once its transaction is committed."""
        return self._add(items, "INSERT OR IGNORE INTO candidates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", _candidate_row)

    def scores(self, scorer: str) -> dict[tuple[str, int], Score]:
        """The scores of one scorer (its identity as stored) by candidate."""
        rows = self._all("SELECT problem_id, idx, value, why FROM scores WHERE scorer = ?", (scorer,))
        return {(row[0], row[1]): Score(*row) for row in rows}

    def add_scores(self, scorer: str, items: Iterable[Score]) -> Iterator[Score]:
        """Store scores as they come; yields each once committed."""
        return self._add(
            items,
            "INSERT OR IGNORE INTO scores VALUES (?, ?, ?, ?, ?)",
            lambda s: (scorer, s.problem_id, s.index, s.value, encode(s.why)),
        )

    def grades(self, grader: str) -> dict[tuple[str, str], Grade]:
        """The grades of one grader (its version and limits) by (problem id, program hash)."""
        columns = "problem_id, program, verdict, seconds, tests, passed, detail"
        rows = self._all(f"SELECT {columns} FROM grades WHERE grader = ?", (grader,))
        return {(row[0], row[1]): Grade(row[0], row[1], Verdict(row[2]), *row[3:]) for row in rows}

    def add_grades(self, grader: str, items: Iterable[Grade]) -> Iterator[Grade]:
        """Store grades as they come; yields each once committed."""
        return self._add(
            items,
            "INSERT OR IGNORE INTO grades VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            lambda g: (
                grader, g.problem_id, g.program, str(g.verdict), g.seconds, g.tests, g.passed, encode(g.detail)
            ),
        )  # fmt: skip

    def behaviours(self, grader: str) -> dict[tuple[str, str], Behaviour]:
        """What programs did on public inputs, by (problem id, program hash)."""
        rows = self._all("SELECT problem_id, program, outputs FROM behaviours WHERE grader = ?", (grader,))
        return {(row[0], row[1]): Behaviour(tuple(json.loads(row[2]))) for row in rows}

    def add_behaviours(self, grader: str, items: Iterable[tuple[str, str, Behaviour]]) -> Iterator[Any]:
        """Store (problem id, program hash, behaviour) as they come; yields each once committed."""
        return self._add(
            items,
            "INSERT OR IGNORE INTO behaviours VALUES (?, ?, ?, ?)",
            lambda b: (grader, b[0], b[1], json.dumps(b[2].outputs)),
        )

    # -- SQLite -----------------------------------------------------------------------------------------------------

    def _add(self, items: Iterable[Item], statement: str, row: Callable[[Item], tuple[Any, ...]]) -> Iterator[Item]:
        """Write in transactions of at most FLUSH_SECONDS of work; what came before an error or Ctrl-C is kept."""
        pending: list[Item] = []
        deadline = time.monotonic() + FLUSH_SECONDS
        try:
            for item in items:
                pending.append(item)
                if time.monotonic() >= deadline:
                    self._write(statement, map(row, pending))
                    yield from pending
                    pending, deadline = [], time.monotonic() + FLUSH_SECONDS
        finally:
            self._write(statement, map(row, pending))
        yield from pending

    def _write(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        with self._writing():
            self._db.executemany(statement, rows)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with _explained(self.folder), self._db:
            yield

    def _all(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with _explained(self.folder):
            return self._db.execute(query, values).fetchall()

    def _one(self, query: str, values: Sequence[Any] = ()) -> Any:
        with _explained(self.folder):
            return self._db.execute(query, values).fetchone()


def _candidate_row(c: Candidate) -> tuple[Any, ...]:
    code = None if c.code is None else encode(c.code)
    return (
        c.problem_id, c.index, encode(c.text), code, c.extraction, c.prompt_tokens, c.tokens, c.logprob, c.finish
    )  # fmt: skip


def _first_mismatch(stored: Mapping[str, Any], given: Mapping[str, Any]) -> Mismatch | None:
    for key in [*stored, *given]:
        if stored.get(key) != given.get(key):
            return Mismatch(key, stored.get(key), given.get(key))
    return None


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn SQLite's errors that a user can mend into StoreErrors; the rest are bugs and keep their traceback."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorname", "") or ""
        if "FULL" in code or "IOERR" in code:
            raise StoreError(
                f"{folder} cannot be written: {error}. Nothing stored is lost: free some space and run the same command "
                "again."
            ) from error
        if "CORRUPT" in code or "NOTADB" in code:
            raise StoreError(
                f"{folder / FILE} is damaged or no run file ({error}). Restore it from a copy, or give another folder."
            ) from error
        if "READONLY" in code or "CANTOPEN" in code:
            raise StoreError(f"{folder} cannot be opened for writing: {error}. Check its permissions.") from error
        raise


def open_for_writing(folder: Path) -> Store:
    """Open or begin a run; a second writer is refused until this one is closed. Raises StoreError."""
    lock = _lock(folder)
    with _explained(folder):
        connection = sqlite3.connect(folder / FILE, timeout=10.0)
        store = Store(folder, connection, lock)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
            for statement in SCHEMA.split(";"):
                connection.execute(statement)
            connection.execute("INSERT INTO meta VALUES ('schema', ?)", (json.dumps(SCHEMA_VERSION),))
        connection.commit()
        _check_schema(store)
    return store


def _lock(folder: Path) -> IO[str]:
    """Take the folder for this process until the file is closed or the process dies, however it dies."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise StoreError(f"The run folder {folder} cannot be made: {error.strerror}. Give another --folder.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise StoreError(f"{folder} is in use by another tts. Wait for it to end, or give another --folder.") from error
    return lock


def open_for_reading(folder: Path) -> Store:
    """Open a finished or running run without changing it. Raises StoreError."""
    path = folder / FILE
    if not path.is_file():
        raise StoreError(f"{folder} is no run folder: it has no {FILE}. Give a folder that `tts run` made.")
    with _explained(folder):
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2.0)
        store = Store(folder, connection)
        _check_schema(store)
    return store


def _check_schema(store: Store) -> None:
    try:
        found = store.meta("schema")
    except sqlite3.OperationalError as error:
        raise StoreError(f"{store.folder / FILE} is no tts run ({error}). Give another --folder.") from error
    if found != SCHEMA_VERSION:
        raise StoreError(
            f"{store.folder} has run format {found}; this tts reads {SCHEMA_VERSION}. Install the tts that wrote it."
        )
