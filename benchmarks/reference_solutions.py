"""Reference solutions through the grader: how many pass, which do not and why, and what tests their rows became.

    python benchmarks/reference_solutions.py humaneval=HumanEval.jsonl.gz mbpp=mbpp.jsonl mbpp+=MbppPlus.jsonl

Each argument is a benchmark's name and the path of its file. Reference solutions are `prompt` and `canonical_solution`
together, or MBPP's `code`. Every test runs, in a process for each program and in one for each test.
"""

import argparse
import time
from collections import Counter
from pathlib import Path
from typing import Any

from _results import save

from tts import plugins
from tts.grade import Grade, GradeJob, Grader
from tts.jsonl import read_jsonl
from tts.sandbox import Isolation, Limits
from tts.types import Call, Test, Verdict

ISOLATIONS: tuple[Isolation, ...] = ("program", "test")


def kind(test: Test) -> str:
    """How a test is decided."""
    if not isinstance(test, Call):
        return type(test).__name__.lower()
    if test.entry_point.startswith("("):
        return "expression"
    return "call" if test.tolerance is None else "call within a tolerance"


def solution(row: dict[str, Any]) -> str:
    """A row's reference program."""
    return str(row["code"] if "code" in row else row["prompt"] + row["canonical_solution"])


def jobs_of(name: str, path: str) -> list[GradeJob]:
    """The reference solutions of a file, with all of their tests."""
    options = {"split": "all"} if name == "mbpp" else {}
    benchmark = plugins.build("benchmark", {"name": name, "path": path, **options})
    rows = {str(row["task_id"]): row for _, row in read_jsonl(Path(path))}
    return [
        GradeJob(problem.id, solution(rows[problem.id]), benchmark.tests(problem.id), len(problem.public_tests))
        for problem in benchmark.problems()
    ]


def measure(name: str, path: str) -> dict[str, Any]:
    """One benchmark's figures; seconds are of the wall."""
    started = time.perf_counter()
    jobs = jobs_of(name, path)
    figures: dict[str, Any] = {
        "benchmark": name,
        "problems": len(jobs),
        "with_public_tests": sum(job.public > 0 for job in jobs),
        "tests": dict(Counter(kind(test) for job in jobs for test in job.tests)),
        "reading_seconds": time.perf_counter() - started,
    }
    for isolation in ISOLATIONS:
        started = time.perf_counter()
        grades = list(Grader(Limits(), isolation=isolation).grade(jobs))
        failed = [grade for grade in grades if not isinstance(grade, Grade) or grade.verdict is not Verdict.PASSED]
        figures[isolation] = {
            "passed": len(grades) - len(failed),
            "seconds": time.perf_counter() - started,
            "failed": {grade.problem_id: grade.detail if isinstance(grade, Grade) else grade.why for grade in failed},
        }
    return figures


def show(figures: dict[str, Any]) -> None:
    """One benchmark's line, its kinds of tests and its failures."""
    for isolation in ISOLATIONS:
        found = figures[isolation]
        print(
            f"{figures['benchmark']:12} a process per {isolation:8} {found['passed']:4} of {figures['problems']:4} pass"
            f" {sum(figures['tests'].values()):7,} tests {found['seconds']:7.1f} s"
        )
        for name, why in found["failed"].items():
            print(f"    {name}: {why}")
    print("    " + ", ".join(f"{count:,} {what}" for what, count in figures["tests"].items()))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="BENCHMARK=PATH")
    parser.add_argument("--name", default="reference_solutions", help="results/NAME.json")
    arguments = parser.parse_args()
    results = []
    for given in arguments.files:
        name, _, path = given.partition("=")
        results.append(measure(name, path))
        show(results[-1])
    save(arguments.name, {"results": results})


if __name__ == "__main__":
    main()
