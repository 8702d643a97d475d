"""One run = one folder with one SQLite file, so that nothing expensive is computed twice.

Write-ahead log, one writer, a transaction per finished item: a kill at any moment loses at most what was in flight, and
primary keys make duplicates impossible. Stores facts (candidates, scores, grades, behaviours); never selections.

A run of an older format is read as it is, and brought up to this one, in one transaction, when it is opened to be
written.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, TypeVar

from tts.errors import StoreError, explained
from tts.types import (
    ERRATA,
    Behaviour,
    Call,
    Candidate,
    Check,
    Grade,
    Message,
    Problem,
    Score,
    Stdin,
    Test,
    Tolerance,
    Verdict,
    program_hash,
)

FILE = "run.sqlite"
LOCK = "lock"
SCHEMA_VERSION = 3
_GRADES = """CREATE TABLE grades (
        grader TEXT NOT NULL, problem_id TEXT NOT NULL, program TEXT NOT NULL, verdict TEXT NOT NULL,
        seconds REAL NOT NULL, tests INTEGER NOT NULL, passed INTEGER NOT NULL, detail TEXT NOT NULL,{facts}
        PRIMARY KEY (grader, problem_id, program)) WITHOUT ROWID"""
GRADES = {1: _GRADES.format(facts=""), 2: _GRADES.format(facts=" facts TEXT NOT NULL,")}  # facts: an object in JSON
_SCORES = """CREATE TABLE scores (
        scorer TEXT NOT NULL, problem_id TEXT NOT NULL, idx INTEGER NOT NULL, value REAL, why TEXT NOT NULL,{usage}
        PRIMARY KEY (scorer, problem_id, idx)) WITHOUT ROWID"""
SCORES = {2: _SCORES.format(usage=""), 3: _SCORES.format(usage=" tokens REAL, passes REAL,")}
SPENT = """CREATE TABLE spent (
        stage TEXT NOT NULL, problem_id TEXT NOT NULL, seconds REAL NOT NULL,
        PRIMARY KEY (stage, problem_id)) WITHOUT ROWID"""
TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE problems (
        id TEXT PRIMARY KEY, position INTEGER NOT NULL, digest TEXT NOT NULL, data TEXT NOT NULL)""",
    """CREATE TABLE candidates (
        problem_id TEXT NOT NULL, idx INTEGER NOT NULL, text TEXT NOT NULL, code TEXT, extraction TEXT NOT NULL,
        prompt_tokens INTEGER, tokens INTEGER, logprob REAL, finish TEXT NOT NULL,
        truncated INTEGER NOT NULL, PRIMARY KEY (problem_id, idx)) WITHOUT ROWID""",
    """CREATE TABLE behaviours (
        grader TEXT NOT NULL, problem_id TEXT NOT NULL, program TEXT NOT NULL, outputs TEXT NOT NULL,
        PRIMARY KEY (grader, problem_id, program)) WITHOUT ROWID""",
)
SCHEMAS = {
    1: (*TABLES, SCORES[2], GRADES[1]),
    2: (*TABLES, SCORES[2], GRADES[2]),
    3: (*TABLES, SCORES[3], GRADES[2], SPENT),
}
FACTS = ("candidates", "scores", "grades", "behaviours", "spent")
BY_TESTS = ("scores", "grades", "behaviours")  # of these what the tests may have decided
ASKED = ("statement", "messages", "starter_code")  # what a problem's samples depend on
REMARKS = (ERRATA,)  # tags that change nothing of what is sampled or graded
NEWER = ("strict", "seconds")  # fields of tests that older files have not
# How values that JSON has not, or would change, are kept: an object of one of these names.
LONG_INTEGER = "integer in hexadecimal"
TUPLE, SET, PAIRS, COMPLEX = "tuple of items", "set of items", "dict of pairs", "complex number of parts"
DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT")
Item = TypeVar("Item")
Made = TypeVar("Made")


def encode(text: str) -> str:
    """Text that SQLite can hold: a lone surrogate, which is no Unicode text, becomes a replacement character."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def dump_test(test: Test) -> Any:
    """A test as plain JSON, the same for equal tests."""
    fields = asdict(test)
    if isinstance(test, Call):
        fields["args"] = list(fields["args"])
    for name in NEWER:
        if not fields.get(name):
            fields.pop(name, None)  # as it was written before there was such a thing
    return _packed({"kind": type(test).__name__, **fields})


def _packed(value: Any) -> Any:
    """Integers of more digits than Python prints by default are kept in hexadecimal."""
    if isinstance(value, dict):
        return _packed_dict(value)
    if isinstance(value, list):
        return [_packed(item) for item in value]
    if isinstance(value, tuple):
        return {TUPLE: [_packed(item) for item in value]}
    if isinstance(value, set | frozenset):
        return {SET: sorted((_packed(item) for item in value), key=json.dumps)}
    if isinstance(value, complex):
        return {COMPLEX: [value.real, value.imag]}
    return {LONG_INTEGER: hex(value)} if isinstance(value, int) and value.bit_length() > 14_000 else value


def _packed_dict(value: dict[Any, Any]) -> Any:
    if all(type(key) is str for key in value) and not (len(value) == 1 and value.keys() <= MARKS.keys()):
        return {key: _packed(item) for key, item in value.items()}
    return {PAIRS: [[_packed(key), _packed(item)] for key, item in value.items()]}


MARKS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        LONG_INTEGER: lambda text: int(text, 16),
        TUPLE: tuple,
        SET: set,
        PAIRS: dict,
        COMPLEX: lambda parts: complex(*parts),
    }
)


def _unpacked(data: dict[str, Any]) -> Any:
    names = list(data)
    return MARKS[names[0]](data[names[0]]) if len(names) == 1 and names[0] in MARKS else data


def _load_test(data: dict[str, Any]) -> Test:
    strict, seconds = data.get("strict", False), data.get("seconds")
    if data["kind"] == "Check":
        return Check(data["code"], data["entry_point"], strict, seconds)
    tolerance = data.get("tolerance") and Tolerance(**data["tolerance"])
    if data["kind"] == "Stdin":
        return Stdin(data["input"], data["output"], tolerance, seconds)
    return Call(data["entry_point"], tuple(data["args"]), data["returns"], tolerance, strict, seconds)


def _dump_problem(problem: Problem) -> str:
    return json.dumps(
        {
            "statement": problem.statement,
            "messages": [[m.role, m.content] for m in problem.messages],
            "public_tests": [dump_test(test) for test in problem.public_tests],
            "starter_code": problem.starter_code,
            "tags": dict(problem.tags),
            "digest": problem.digest,
        }
    )


def _without_remarks(problem: Problem) -> Problem:
    return replace(problem, tags={name: value for name, value in problem.tags.items() if name not in REMARKS})


def _load_problem(name: str, text: str) -> Problem:
    data = json.loads(text, object_hook=_unpacked)
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
class Counts:
    """How much of a run is stored: `programs` are the distinct ones that have candidates, `scored` is by scorer, and
    `verdicts` counts the graded programs.
    """

    problems: int
    candidates: int
    programs: int
    scored: dict[str, int]
    verdicts: dict[str, int]
    observed: int


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A key of the fingerprint that differs, with both values."""

    key: str
    stored: object
    given: object


class Store:
    """An open run folder. Use `open_for_writing` or `open_for_reading`; it is a context manager."""

    def __init__(
        self, folder: Path, connection: sqlite3.Connection, lock: IO[str] | None = None, made: Sequence[Path] = ()
    ) -> None:
        self.folder = folder
        self._db = connection
        self._lock = lock
        self._made = made

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """A run that has begun with this and failed before its first sample leaves no folder behind."""
        futile = False
        if kind is not None and self._made:
            with suppress(StoreError):  # why it failed is told already
                futile = not self.candidate_keys()
        self._db.close()
        if futile:
            self._remove()
        if self._lock is not None:
            self._lock.close()

    def _remove(self) -> None:
        for name in (FILE, LOCK):
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # somebody else's files are there
            for folder in self._made:
                folder.rmdir()

    # -- what the run is ------------------------------------------------------------------------------------------

    @property
    def schema(self) -> Any:
        """The format of the file; None where it says nothing."""
        return self.meta("schema")

    def meta(self, key: str) -> Any:
        """A stored JSON value, or None."""
        found = self._all(json.loads, "SELECT value FROM meta WHERE key = ?", (key,))
        return found[0] if found else None

    def meta_keys(self) -> list[str]:
        """The keys of all stored JSON values."""
        return self._all(str, "SELECT key FROM meta ORDER BY key")

    def set_meta(self, values: Mapping[str, Any]) -> None:
        """Replace stored JSON values."""
        with self._writing():
            self._db.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", [(k, json.dumps(v)) for k, v in values.items()]
            )

    def claim(self, fingerprint: Mapping[str, Any]) -> None:
        """Remember what the run samples, or raise StoreError naming the key in which it differs from before.

        A run that has sampled nothing yet, say because its model was missing, may change: it begins anew.
        """
        stored = self.meta("fingerprint") or {}
        given = json.loads(json.dumps(dict(fingerprint), default=str))
        mismatch = first_mismatch(stored, given)
        if mismatch is None:
            return
        if stored and self._all(int, "SELECT 1 FROM candidates LIMIT 1"):
            raise StoreError(
                f"{self.folder} was run with {mismatch.key} = {mismatch.stored!r}; now it is {mismatch.given!r}. "
                f"Samples of the two must not mix: set {mismatch.key} back, or give another --folder."
            )
        self.set_meta({"fingerprint": given})

    def add_problems(self, problems: Sequence[Problem]) -> list[str]:
        """Store the problems in their order; those of before that are not among them stay, but out of sight.

        Where a problem asks for what it asked and is tested otherwise, its samples stay, and what its tests may have
        decided is dropped: scores, verdicts, behaviours. The ids of these are returned. What REMARKS say of it may
        change.
        Raises StoreError if one with candidates asks for something else than when it was stored.
        """
        sampled = "(SELECT problem_id FROM candidates)"
        known = dict(self._all(_row, f"SELECT id, digest FROM problems WHERE id IN {sampled}"))
        digests = {problem.id: program_hash(_dump_problem(_without_remarks(problem))) for problem in problems}
        changed = [p for p in problems if known.get(p.id, digests[p.id]) != digests[p.id]]
        for problem in changed:
            (stored,) = self._all(_load_problem, "SELECT id, data FROM problems WHERE id = ?", (problem.id,))
            if any(getattr(problem, name) != getattr(stored, name) for name in ASKED):
                raise StoreError(
                    f"Problem {problem.id!r} is not what it was when {self.folder} was begun: its prompt changed. "
                    "Restore the benchmark's file, or give another --folder."
                )
        rows = [(p.id, position, digests[p.id], encode(_dump_problem(p))) for position, p in enumerate(problems)]
        with self._writing():
            self._db.execute(f"DELETE FROM problems WHERE id NOT IN {sampled}")
            self._db.execute("UPDATE problems SET position = -1")
            self._db.executemany(
                "INSERT INTO problems VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE "
                "SET position = excluded.position, digest = excluded.digest, data = excluded.data",
                rows,
            )
            for table in BY_TESTS:
                self._db.executemany(f"DELETE FROM {table} WHERE problem_id = ?", [(p.id,) for p in changed])
        return [problem.id for problem in changed]

    def problems(self) -> list[Problem]:
        """The problems of the last config, in their order."""
        return self._all(_load_problem, "SELECT id, data FROM problems WHERE position >= 0 ORDER BY position")

    def counts(self, grader: str, observer: str, scorers: Mapping[str, str]) -> Counts:
        """What there is for the problems of the last config, without reading texts: by a grader, by what observed
        programs, and by scorers (label to identity).
        """
        mine = "problem_id IN (SELECT id FROM problems WHERE position >= 0)"
        programs = f"(SELECT DISTINCT problem_id, code FROM candidates WHERE code IS NOT NULL AND {mine})"
        scores = f"SELECT COUNT(*) FROM scores WHERE scorer = ? AND {mine}"
        grades = f"SELECT verdict, COUNT(*) FROM grades WHERE grader = ? AND {mine} GROUP BY verdict"
        behaviours = f"SELECT COUNT(*) FROM behaviours WHERE grader = ? AND {mine}"
        return Counts(
            problems=self._all(int, "SELECT COUNT(*) FROM problems WHERE position >= 0")[0],
            candidates=self._all(int, f"SELECT COUNT(*) FROM candidates WHERE {mine}")[0],
            programs=self._all(int, f"SELECT COUNT(*) FROM {programs}")[0],
            scored={label: self._all(int, scores, (name,))[0] for label, name in scorers.items()},
            verdicts=dict(self._all(_row, grades, (grader,))),
            observed=self._all(int, behaviours, (observer,))[0],
        )

    def arrange(self, ids: Sequence[str]) -> None:
        """Show these problems in this order, and no others."""
        with self._writing():
            self._db.execute("UPDATE problems SET position = -1")
            self._db.executemany("UPDATE problems SET position = ? WHERE id = ?", list(enumerate(ids)))

    def absorb(self, other: "Store") -> None:
        """Add the problems and facts of another run of the same fingerprint, all or none; of what both have, this one's
        stay. Its problems stay out of sight until they are arranged. Raises StoreError where the two differ in a
        problem or a sample.
        """
        with _translated(self.folder):
            self._db.execute("ATTACH ? AS other", (str(other.folder / FILE),))
            try:
                self._check_agrees(other.folder)
                with self._db:
                    self._db.execute("INSERT OR IGNORE INTO problems SELECT id, -1, digest, data FROM other.problems")
                    for table in FACTS:
                        self._db.execute(f"INSERT OR IGNORE INTO {table} SELECT * FROM other.{table}")
            finally:
                self._db.execute("DETACH other")

    def _check_agrees(self, other: Path) -> None:
        both = "SELECT id FROM problems JOIN other.problems AS theirs USING (id)"
        for (name,) in self._all(_row, f"{both} WHERE problems.digest <> theirs.digest LIMIT 1"):
            raise StoreError(
                f"Problem {name!r} is not the same in {other} and in the runs before it (its prompt or its tests "
                "differ). Only runs of one benchmark's file can be joined: leave one of them out."
            )
        both = "SELECT problem_id, idx FROM candidates JOIN other.candidates AS theirs USING (problem_id, idx)"
        for name, index in self._all(_row, f"{both} WHERE candidates.text <> theirs.text LIMIT 1"):
            raise StoreError(
                f"Sample {index} of problem {name!r} is in {other} and in a run before it, with another text. Runs "
                "that drew the same sample cannot be joined: give each a `shard` of its own."
            )

    def complaint(self) -> str | None:
        """What is wrong with the file's tables and pages, as far as SQLite can tell; None if nothing is."""
        tables = self._all(_without_layout, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
        if sorted(tables) != sorted(map(_without_layout, SCHEMAS.get(self.schema, ()))):
            return "its tables are not those of a run"
        (found,) = self._all(str, "PRAGMA quick_check(1)")
        return None if found == "ok" else found

    # -- facts ------------------------------------------------------------------------------------------------------

    def candidate_keys(self) -> set[tuple[str, int]]:
        """(problem id, index) of every stored candidate."""
        return set(self._all(_row, "SELECT problem_id, idx FROM candidates"))

    def candidates(self) -> Iterator[Candidate]:
        """All candidates, by problem id and index."""
        columns = "problem_id, idx, text, code, extraction, prompt_tokens, tokens, logprob, finish, truncated"
        yield from self._all(_candidate, f"SELECT {columns} FROM candidates ORDER BY problem_id, idx")

    def add_candidates(self, items: Iterable[Candidate]) -> Iterator[Candidate]:
        """Store candidates as they come; yields each once its transaction is committed."""
        return self._add(
            items, "INSERT OR IGNORE INTO candidates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _candidate_row
        )

    def scores(self, scorer: str) -> dict[tuple[str, int], Score]:
        """The scores of one scorer (its identity as stored) by candidate."""
        usage = "NULL, NULL" if self.schema < 3 else "tokens, passes"
        columns = f"problem_id, idx, value, why, {usage}"
        found = self._all(Score, f"SELECT {columns} FROM scores WHERE scorer = ?", (scorer,))
        return {score.key: score for score in found}

    def add_scores(self, scorer: str, items: Iterable[Score]) -> Iterator[Score]:
        """Store scores as they come; yields each once committed."""
        return self._add(
            items,
            "INSERT OR IGNORE INTO scores VALUES (?, ?, ?, ?, ?, ?, ?)",
            lambda s: (scorer, s.problem_id, s.index, s.value, encode(s.why), s.tokens, s.passes),
        )

    def spent(self) -> dict[tuple[str, str], float]:
        """Seconds that the models were at work by (stage, problem id), over all sessions; see `add_spent`."""
        if self.schema < 3:
            return {}
        return dict(self._all(lambda stage, name, seconds: ((stage, name), seconds), "SELECT * FROM spent"))

    def add_spent(self, seconds: Mapping[tuple[str, str], float]) -> None:
        """Add seconds of a stage ("generate", or a scorer's identity) to what a problem took before."""
        with self._writing():
            self._db.executemany(
                "INSERT INTO spent VALUES (?, ?, ?) "
                "ON CONFLICT (stage, problem_id) DO UPDATE SET seconds = seconds + excluded.seconds",
                [(*key, value) for key, value in seconds.items()],
            )

    def grades(self, grader: str) -> dict[tuple[str, str], Grade]:
        """The grades of one grader (its version and limits) by (problem id, program hash)."""
        facts = "'{}'" if self.schema == 1 else "facts"
        columns = f"problem_id, program, verdict, seconds, tests, passed, detail, {facts}"
        found = self._all(load_grade, f"SELECT {columns} FROM grades WHERE grader = ?", (grader,))
        return {(grade.problem_id, grade.program): grade for grade in found}

    def add_grades(self, grader: str, items: Iterable[Grade]) -> Iterator[Grade]:
        """Store grades as they come; yields each once committed."""
        return self._add(
            items,
            "INSERT OR IGNORE INTO grades VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            lambda g: (grader, g.problem_id, g.program, *dump_grade(g)),
        )

    def behaviours(self, observer: str, problems: Collection[str] | None = None) -> dict[tuple[str, str], Behaviour]:
        """What programs of all or some problems did when observed so, by (problem id, program hash)."""
        of = "" if problems is None else f" AND problem_id IN ({', '.join('?' * len(problems))})"
        query = f"SELECT problem_id, program, outputs FROM behaviours WHERE grader = ?{of}"
        return dict(self._all(_behaviour_row, query, (observer, *(problems or ()))))

    def add_behaviours(self, observer: str, items: Iterable[tuple[str, str, Behaviour]]) -> Iterator[Any]:
        """Store (problem id, program hash, behaviour) as they come; yields each once committed."""
        return self._add(
            items,
            "INSERT OR IGNORE INTO behaviours VALUES (?, ?, ?, ?)",
            lambda b: (observer, b[0], b[1], json.dumps(asdict(b[2]))),
        )

    # -- SQLite -----------------------------------------------------------------------------------------------------

    def _add(self, items: Iterable[Item], statement: str, row: Callable[[Item], tuple[Any, ...]]) -> Iterator[Item]:
        """A transaction per item, about 0.1 ms, since an item may be followed by minutes of work on the next batch."""
        for item in items:
            with self._writing():
                self._db.execute(statement, row(item))
            yield item

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with _translated(self.folder), self._db:
            yield

    def _all(self, make: Callable[..., Made], query: str, values: Sequence[Any] = ()) -> list[Made]:
        """What `make` makes of each row's columns. Raises StoreError where they are not what was once written."""
        with _translated(self.folder):
            try:
                return [make(*row) for row in self._db.execute(query, values)]
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise _damaged(self.folder, error) from error


def _without_layout(statement: str) -> str:
    return "".join(statement.split())


def _row(*columns: Any) -> tuple[Any, ...]:
    return columns


def dump_grade(grade: Grade) -> tuple[Any, ...]:
    """The columns of a grade after its problem and its program; what is seldom asked for is one column of JSON."""
    facts = {
        "wall_seconds": grade.wall_seconds,
        "peak_mib": grade.peak_mib,
        "stderr": grade.stderr,
        "diff": grade.diff,
        "got": grade.got,
        "public": grade.public,
        "lcb_verdict": grade.lcb_verdict,
    }
    counts = grade.seconds, grade.tests, grade.passed
    return str(grade.verdict), *counts, encode(grade.detail), json.dumps(facts)


def load_grade(problem_id: str, program: str, verdict: str, *rest: Any) -> Grade:
    """The grade of a row's columns, the last of which is JSON. Raises ValueError or TypeError where they are not."""
    *columns, text = rest
    facts = dict(json.loads(text))
    lcb = facts.pop("lcb_verdict", None)
    lcb_verdict = None if lcb is None else Verdict(lcb)
    return replace(Grade(problem_id, program, Verdict(verdict), *columns), lcb_verdict=lcb_verdict, **facts)


def _behaviour_row(problem_id: str, program: str, text: str) -> tuple[tuple[str, str], Behaviour]:
    """A row of outputs alone is of a run from before marks were kept."""
    held = json.loads(text)
    parts = {"outputs": held} if isinstance(held, list) else dict(held)
    return (problem_id, program), Behaviour(**{name: tuple(values) for name, values in parts.items()})


def _candidate(*row: Any) -> Candidate:
    return Candidate(*(*row[:-1], bool(row[-1])))


def _candidate_row(c: Candidate) -> tuple[Any, ...]:
    code = None if c.code is None else encode(c.code)
    counts = c.prompt_tokens, c.tokens, c.logprob
    return c.problem_id, c.index, encode(c.text), code, c.extraction, *counts, encode(c.finish), c.truncated


def first_mismatch(stored: Mapping[str, Any], given: Mapping[str, Any]) -> Mismatch | None:
    """The first key of two fingerprints in which they differ, or None."""
    for key in [*stored, *given]:
        if stored.get(key) != given.get(key):
            return Mismatch(key, stored.get(key), given.get(key))
    return None


def _damaged(folder: Path, reason: object) -> StoreError:
    return StoreError(
        f"{folder / FILE} is damaged or no run file ({reason}). Restore it from a copy, or give another folder."
    )


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    """Turn SQLite's errors that a user can mend into StoreErrors; the rest are bugs and keep their traceback."""
    try:
        yield
    except UnicodeDecodeError as error:  # in SQLite's own complaint about a damaged table
        raise _damaged(folder, error) from error
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorname", None) or ""
        if "FULL" in code or "IOERR" in code:
            raise StoreError(
                f"{folder} cannot be written: {error}. Nothing stored is lost: free some space and run the same "
                "command again."
            ) from error
        if "READONLY" in code or "CANTOPEN" in code:
            raise StoreError(f"{folder} cannot be opened: {error}. Check its permissions.") from error
        if "BUSY" in code or "LOCKED" in code:
            raise StoreError(
                f"{folder} is in use by another program ({error}). Try again when it has ended."
            ) from error
        undecodable = not code and isinstance(error, sqlite3.OperationalError)  # text that is not UTF-8
        if code in DAMAGE or undecodable:
            raise _damaged(folder, error) from error
        raise


@contextmanager
def _opening(folder: Path) -> Iterator[None]:
    """Like `_translated`, where a table that is missing or not understood is the file's fault and not ours."""
    try:
        with _translated(folder):
            yield
    except sqlite3.OperationalError as error:
        raise StoreError(f"{folder / FILE} is no tts run ({error}). Give another folder.") from error


def open_for_writing(folder: Path) -> Store:
    """Open or begin a run; a second writer is refused until this one is closed. Raises StoreError."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    with ExitStack() as undo:
        lock = undo.enter_context(locked(folder))
        with _opening(folder):
            connection = undo.enter_context(closing(sqlite3.connect(folder / FILE, timeout=10.0)))
            store = Store(folder, connection, lock, new)
            _begin(connection)
            _check(store)
            _migrate(connection, store.schema)
        undo.pop_all()
    return store


def _begin(connection: sqlite3.Connection) -> None:
    """Make the tables of a new file, all or none."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN IMMEDIATE")
    if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        for statement in SCHEMAS[SCHEMA_VERSION]:
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES ('schema', ?)", (json.dumps(SCHEMA_VERSION),))
    connection.commit()


def _migrate(connection: sqlite3.Connection, found: int) -> None:
    """Bring a sound file of an older format up to this one, wholly or not at all. A grade of before format 2 has no
    facts; of a score of before format 3 it is not known what it took.
    """
    if found == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    if found < 2:
        _rebuild(connection, "grades", GRADES[2], "*, '{}'")
    _rebuild(connection, "scores", SCORES[3], "*, NULL, NULL")
    connection.execute(SPENT)
    connection.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (json.dumps(SCHEMA_VERSION),))
    connection.commit()


def _rebuild(connection: sqlite3.Connection, table: str, statement: str, columns: str) -> None:
    """A table with more columns: ALTER TABLE would leave another statement in the file than a new run has."""
    connection.execute(f"ALTER TABLE {table} RENAME TO older_{table}")
    connection.execute(statement)
    connection.execute(f"INSERT INTO {table} SELECT {columns} FROM older_{table}")
    connection.execute(f"DROP TABLE older_{table}")


def is_being_written(folder: Path) -> bool:
    """Whether some process of this machine has the run open for writing, found without touching its lock."""
    try:
        inode = (folder / LOCK).stat().st_ino
        held = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:  # never written under a lock, or nobody says who holds one
        return False
    return any(" FLOCK " in line and f":{inode} " in line for line in held)


def locked(folder: Path) -> IO[str]:
    """Take the folder, made if need be, for this process until the file is closed or the process dies, however it dies.
    Raises StoreError where another process has it.
    """
    with explained(StoreError, f"The run folder {folder} cannot be made", "Give another --folder."):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        if isinstance(error, BlockingIOError):
            raise StoreError(
                f"{folder} is in use by another tts. Wait for it to end, or give another --folder."
            ) from error
        raise StoreError(f"{folder} cannot be locked: {error.strerror}. Give a --folder on a local disk.") from error
    return lock


def holds_candidates(folder: Path) -> bool:
    """Whether a run in this folder has stored a candidate; False where there is no run that can be read."""
    try:
        with closing(_connect_readonly(folder / FILE)) as connection:
            return connection.execute("SELECT 1 FROM candidates").fetchone() is not None
    except sqlite3.Error:
        return False


def open_for_reading(folder: Path) -> Store:
    """Open a finished or running run without changing it. Raises StoreError."""
    path = folder / FILE
    if not path.is_file():
        raise StoreError(f"{folder} is no run folder: it has no {FILE}. Give a folder that `tts run` made.")
    with ExitStack() as undo, _opening(folder):
        store = Store(folder, undo.enter_context(closing(_connect_readonly(path))))
        _check(store)
        undo.pop_all()
    return store


def _connect_readonly(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing, also to a run in a place that cannot be written, where nobody writes."""
    address = path.absolute().as_uri() + "?mode=ro"
    connection = sqlite3.connect(address, uri=True, timeout=2.0)
    try:
        connection.execute("SELECT 1 FROM sqlite_master")
    except sqlite3.OperationalError:
        connection.close()
        if os.access(path.parent, os.W_OK):
            raise
        return sqlite3.connect(address + "&immutable=1", uri=True)
    return connection


def _check(store: Store) -> None:
    """Raise StoreError for another program's file, another version's, or a damaged one."""
    if (found := store.schema) not in list(SCHEMAS):  # which may be anything that is JSON
        allowed = f"{min(SCHEMAS)} to {max(SCHEMAS)}"
        raise StoreError(
            f"{store.folder} has run format {found}; this tts reads {allowed}. Install the tts that wrote it."
        )
    if (complaint := store.complaint()) is not None:
        raise _damaged(store.folder, complaint)
