"""What `tts grade` does: a file of candidates in, a file of verdicts out.

Everything wrong with the input is found before any work.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from tts import metrics, prompts
from tts.errors import ConfigError, DataError, counted, unknown
from tts.grade import Comparison, GradeJob, Grader, Undecided
from tts.jsonl import expect, read_jsonl
from tts.pipeline import Progress
from tts.plugins import build
from tts.protocols import Benchmark
from tts.sandbox import Isolation, Limits, Runtime
from tts.store import encode
from tts.types import Candidate, Grade, Problem, Test, Verdict, program_hash
from tts.verdicts import Key, Verdicts, hash_of_tests
from tts.wording import percent
from tts.writing import check_writable, write_rows

LOG = logging.getLogger("tts")
INFRA_ERROR = "infra_error"
MOST_NAMED = 5  # rows in one message


def check_apart(out: Path, cache: Path) -> None:
    """Raises ConfigError for a result that would overwrite the verdicts of before, or what SQLite keeps beside them."""
    place = cache.resolve()
    names = [place, *(place.with_name(place.name + end) for end in ("-wal", "-shm", "-journal"))]
    if out.resolve() in names or (out.exists() and cache.exists() and out.samefile(cache)):
        raise ConfigError(f"--out {out} is or goes with {cache}, the file of verdicts. Give another --out or --cache.")


@dataclass(frozen=True, slots=True)
class GradeOptions:
    """What `tts grade` is asked for by its options, as they are given."""

    timeout: float
    memory_mib: int
    output_mib: int
    tolerance: float | None
    also: str | None
    isolation: str
    level: str
    unsafe: bool
    language: str
    workers: int | None

    def grader(self) -> Grader:
        """The grader that is meant. Raises ConfigError for what it cannot be."""
        if not self.timeout > 0:
            raise ConfigError(f"--timeout must be above 0 CPU seconds, got {self.timeout}.")
        if self.tolerance is not None and not 0 < self.tolerance < 1:
            raise ConfigError(f"--tolerance must be between 0 and 1, such as 1e-6, got {self.tolerance}.")
        if self.also not in (None, "lcb"):
            raise ConfigError(f"--also takes lcb, LiveCodeBench's own comparison, got {self.also!r}.")
        if self.isolation not in get_args(Isolation):
            raise ConfigError(f"--isolation takes {' or '.join(get_args(Isolation))}, got {self.isolation!r}.")
        if self.unsafe and self.level not in ("auto", "D"):
            raise ConfigError(
                f"--unsafe-no-sandbox is level D, but --level {self.level} was given. Leave one of them out."
            )
        limits = Limits(self.timeout, self.memory_mib, self.output_mib)
        comparison = Comparison(self.tolerance, also_lcb=self.also == "lcb")
        level = "D" if self.unsafe else self.level
        return Grader(limits, self.workers, comparison, cast(Isolation, self.isolation), level, self.language)


@dataclass(frozen=True, slots=True)
class Graded:
    """What came of a file: how many rows stayed undecided, and the question id and index of those with another verdict
    under LiveCodeBench's comparison; how many programs there were, and the verdicts of how many were read from the
    cache; how many rows have which verdict, of how many problems, and the mean over these of the share that passed,
    None with no row or an undecided one.
    """

    undecided: int
    differing: Sequence[tuple[str | int, int]]
    programs: int
    read: int
    verdicts: Mapping[str, int]
    problems: int
    pass_at_1: float | None


@dataclass(frozen=True, slots=True)
class _Asked:
    """A problem of the file as it is graded: how many tests it has, and their hash, empty where nothing is asked of the
    cache. The tests themselves stay with the benchmark.
    """

    problem: Problem
    tests: int
    hash: str

    def job(self, code: str | None, tests: Sequence[Test]) -> GradeJob:
        """One of its programs on all of its tests."""
        return GradeJob(self.problem.id, code, tests, len(self.problem.public_tests))


Result = Grade | Undecided
Programs = dict[tuple[str, str], str | None]  # their text by problem and hash


def grade(
    problems: Path, candidates: Path, out: Path, grader: Grader, verdicts: Verdicts, progress: Progress
) -> Graded:
    """Grade a file of candidates, reading what `verdicts` holds. Raises DataError before grading anything."""
    benchmark = build("benchmark", {"name": "jsonl", "path": str(problems)})
    known = {problem.id: problem for problem in benchmark.problems()}
    given, rows = _read_candidates(candidates, set(known), grader.runtime)
    asked = _checked(benchmark, known, {row.problem_id for row in rows}, grader, verdicts.usable)
    programs = {(row.problem_id, _program(row)): row.code for row in rows}
    check_writable(out, problems, candidates)
    if not rows:
        LOG.warning("%s holds no candidate: %s will be empty.", candidates, out)
    results: dict[tuple[str, str], Result] = {}
    results |= {pair: old for pair in programs if (old := verdicts.find(_key(*pair, asked, grader))) is not None}
    read = len(results)
    progress.stage("grade", len(programs), read)
    for result in grader.grade(_jobs(programs, set(results), asked, benchmark)):
        pair = result.problem_id, result.program
        results[pair] = result
        if isinstance(result, Grade) and _is_lasting(result):
            verdicts.keep(_key(*pair, asked, grader), result)
        progress.advance("grade")
    found = [results[row.problem_id, _program(row)] for row in rows]
    kept = " The verdicts are kept: the same command reads them." if verdicts.usable else ""
    differing = _write_grades(out, zip(given, rows, found, strict=True), asked, grader, kept)
    return _graded(found, differing, len(programs), read)


def _checked(
    benchmark: Benchmark, known: Mapping[str, Problem], wanted: Collection[str], grader: Grader, hashed: bool
) -> dict[str, _Asked]:
    """The problems as they are graded, the tests of all of them read, so that a broken one is found."""
    asked = {}
    for name, problem in known.items():
        tests = benchmark.tests(name)
        if name in wanted:
            grader.check(name, tests)
        asked[name] = _asked(problem, tests, hashed and name in wanted)
    return asked


def _graded(found: Sequence[Result], differing: Sequence[tuple[str | int, int]], programs: int, read: int) -> Graded:
    counts = Counter(INFRA_ERROR if isinstance(result, Undecided) else str(result.verdict) for result in found)
    rows = Counter(result.problem_id for result in found)
    passed = Counter(r.problem_id for r in found if isinstance(r, Grade) and r.verdict is Verdict.PASSED)
    shares = metrics.pass_at_k(list(rows.values()), [passed[name] for name in rows], 1)
    decided = bool(found) and not counts[INFRA_ERROR]
    pass_at_1 = float(shares.mean()) if decided else None
    return Graded(counts[INFRA_ERROR], differing, programs, read, counts, len(rows), pass_at_1)


def graded_lines(found: Graded, grader: Grader, out: Path) -> list[str]:
    """What came of a file of candidates, a line each."""
    said = []
    if found.read:
        said.append(f"{found.read} of {found.programs} programs were graded before: their verdicts are from the cache.")
    if grader.comparison.also_lcb:
        said.append(differing_line(found.differing))
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(found.verdicts.items())) or "no rows"
    how = f"level {grader.confinement.level}, isolation {grader.isolation}"
    if found.pass_at_1 is not None:
        candidates = counted(sum(found.verdicts.values()), "candidate")
        share = f"pass@1 {percent(found.pass_at_1)}%"
        counts = f"{share}, the mean over {counted(found.problems, 'problem')} with {candidates}: {counts}"
    return [*said, f"{counts}; {how}: {out}"]


def differing_line(differing: Sequence[tuple[str | int, int]]) -> str:
    """How many rows have another verdict under LiveCodeBench's comparison, and which, the first few."""
    first = ", ".join(f"{name} {index}" for name, index in differing[:MOST_NAMED])
    more = f" and {len(differing) - MOST_NAMED} more" if len(differing) > MOST_NAMED else ""
    have = "has" if len(differing) == 1 else "have"
    named = f": {first}{more}" if differing else ""
    return f"{counted(len(differing), 'row')} {have} another verdict under LiveCodeBench's own comparison{named}."


def _is_lasting(grade: Grade) -> bool:
    """Whether a verdict is worth keeping: none without a program, nor one that a module to install would change."""
    return grade.verdict is not Verdict.NO_CODE and "ModuleNotFoundError" not in grade.detail


def _key(name: str, program: str, asked: Mapping[str, _Asked], grader: Grader) -> Key:
    return Key(name, asked[name].hash, program, grader.version)


def _write_grades(
    out: Path,
    graded: Iterable[tuple[str | int, Candidate, Result]],
    asked: Mapping[str, _Asked],
    grader: Grader,
    kept: str,
) -> list[tuple[str | int, int]]:
    """Write the rows; the question id and index of those with another verdict under LiveCodeBench's comparison."""
    how = {
        "isolation": grader.isolation,
        "level": str(grader.confinement.level),
        "language": grader.runtime.name,
    }
    also_lcb = grader.comparison.also_lcb
    rows = [
        {"question_id": name, "index": row.index, **_grade_row(result, asked[row.problem_id].tests, also_lcb), **how}
        for name, row, result in graded
    ]
    write_rows(out, rows, kept)
    return [(row["question_id"], row["index"]) for row in rows if row.get("lcb_verdict") is not None]


def _asked(problem: Problem, tests: Sequence[Test], hashed: bool) -> _Asked:
    found = hash_of_tests(tests, len(problem.public_tests)) if hashed else ""
    return _Asked(problem, len(tests), found)


def _program(row: Candidate) -> str:
    return "" if row.code is None else program_hash(row.code)


def _jobs(
    programs: Programs, held: Collection[tuple[str, str]], asked: Mapping[str, _Asked], benchmark: Benchmark
) -> Iterator[GradeJob]:
    """Jobs problem by problem, so that the tests of one problem at a time are decoded."""
    missing: dict[str, list[str | None]] = {}
    for pair in sorted(programs.keys() - held):
        missing.setdefault(pair[0], []).append(programs[pair])
    for name, codes in missing.items():
        tests = benchmark.tests(name)
        yield from (asked[name].job(code, tests) for code in codes)


def _read_candidates(path: Path, known: set[str], runtime: Runtime) -> tuple[list[str | int], list[Candidate]]:
    """The rows' question ids as they were written, and the rows."""
    given, rows = [], []
    for number, row in read_jsonl(path):
        where = f"{path}, line {number}"
        given.append(expect(row, "question_id", (str, int), where))
        name = str(given[-1])
        if name not in known:
            raise DataError(f"{where}: {unknown(name, 'the problems', known)}")
        code = expect(row, "code", str, where, needed=not row.keys() & {"code", "text"})
        text = expect(row, "text", str, where, needed=False)
        if code is None and text is not None:
            code = _extract(encode(text), runtime)
        rows.append(
            Candidate(name, expect(row, "index", int, where), text or "", None if code is None else encode(code))
        )
    return given, rows


def _extract(text: str, runtime: Runtime) -> str | None:
    return prompts.last_block(text, runtime.tags) if runtime.tags else prompts.extract(text).code


def _grade_row(result: Result, tests: int, also_lcb: bool) -> dict[str, Any]:
    """A row of verdicts after its question id and index, with the same keys whatever came of it."""
    if isinstance(result, Undecided):
        nothing = Grade(result.problem_id, result.program, Verdict.NO_CODE, 0.0, tests, 0, detail=result.why)
        return _grade_row(nothing, tests, also_lcb) | {"verdict": INFRA_ERROR}
    row = {
        "verdict": str(result.verdict),
        "seconds": round(result.seconds, 6),
        "tests": result.tests,
        "passed": result.passed,
    }
    if also_lcb:
        other = result.lcb_verdict
        row["lcb_verdict"] = None if other in (None, result.verdict) else str(other)
    return row | details(result)


def details(grade: Grade) -> dict[str, Any]:
    """What else is known of a program's run; nothing of a hidden test's input or expected output is in it."""
    return {
        "failed_test": grade.failed_test,
        "wall_seconds": round(grade.wall_seconds, 6),
        "peak_mib": round(grade.peak_mib, 1),
        "detail": grade.detail,
        "stderr": grade.stderr,
        "diff": grade.diff,
    }
