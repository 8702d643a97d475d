"""Code + tests -> Verdict. Identical programs of a problem run once; what our own machinery breaks is never a verdict.

The tests are given, in their order: where they come from is a benchmark's business, and storing grades the store's. How
a program is run and compared is `sandbox`'s.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tts.errors import DataError, InfraError
from tts.sandbox import Job, Limits, Outcome, Status, canonical, matches, run_programs
from tts.types import Behaviour, Grade, Test, Verdict, program_hash

VERSION = 2

_VERDICTS = {
    Status.RUNTIME_ERROR: Verdict.RUNTIME_ERROR,
    Status.TIMEOUT: Verdict.TIMEOUT,
    Status.MEMORY: Verdict.MEMORY,
    Status.OUTPUT_LIMIT: Verdict.OUTPUT_LIMIT,
}
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class GradeJob:
    """One program to grade on its problem's tests, the public ones first; `code` None where none was extracted."""

    problem_id: str
    code: str | None
    tests: Sequence[Test]


@dataclass(frozen=True, slots=True)
class Undecided:
    """A program without a verdict: our own machinery failed, also when tried again. To be graded another time."""

    problem_id: str
    program: str
    why: str


@dataclass(frozen=True, slots=True)
class _Step:
    """What is kept of one test; outputs, which can be large, are not."""

    verdict: Verdict
    seconds: float
    detail: str


class Grader:
    """Runs programs under one set of limits, in `workers` cells at once (None: as many as cores and memory allow)."""

    def __init__(self, limits: Limits, workers: int | None = None) -> None:
        self.limits, self.workers = limits, workers

    def grade(self, jobs: Iterable[GradeJob]) -> Iterator[Grade | Undecided]:
        """One grade per distinct (problem, program), as each is known; a program's tests stop at the first failure.

        Raises DataError for a problem without tests: no program can be said to pass it.
        """
        for job, steps in self._run(_with_tests(jobs), _judge):
            program = _program(job)
            if isinstance(steps, InfraError):
                yield Undecided(job.problem_id, program, str(steps))
            else:
                yield _grade(job, program, steps)

    def behaviours(self, jobs: Iterable[GradeJob]) -> Iterator[tuple[str, str, Behaviour | Undecided]]:
        """(problem id, program, what it does on every test's input) per distinct pair; expected outputs are not used.

        Jobs without code are passed over. On a problem without tests a program has the empty behaviour.
        """
        for job, outputs in self._run((job for job in jobs if job.code is not None), _observe):
            program = _program(job)
            if isinstance(outputs, InfraError):
                yield job.problem_id, program, Undecided(job.problem_id, program, str(outputs))
            else:
                yield job.problem_id, program, Behaviour(tuple(outputs))

    def _run(
        self, jobs: Iterable[GradeJob], judge: Callable[[Test, Outcome], tuple[R, bool]]
    ) -> Iterator[tuple[GradeJob, list[R] | InfraError]]:
        runs = (Job(job, job.code or "", () if job.code is None else job.tests) for job in _distinct(jobs))
        return run_programs(runs, judge, self.limits, self.workers)


def grader_version(limits: Limits) -> str:
    """What a stored grade depends on besides its program and tests: change VERSION when a verdict may change."""
    return (
        f"{VERSION} python {platform.python_version()}"
        f" cpu {limits.cpu_seconds:g} s memory {limits.memory_mib} MiB output {limits.output_mib} MiB"
    )


def _program(job: GradeJob) -> str:
    return "" if job.code is None else program_hash(job.code)


def _distinct(jobs: Iterable[GradeJob]) -> Iterator[GradeJob]:
    seen: set[tuple[str, str]] = set()
    for job in jobs:
        key = job.problem_id, _program(job)
        if key not in seen:
            seen.add(key)
            yield job


def _with_tests(jobs: Iterable[GradeJob]) -> Iterator[GradeJob]:
    for job in jobs:
        if not job.tests:
            raise DataError(f"Problem {job.problem_id!r} has no tests: nothing can be graded on it. Leave it out.")
        yield job


def _judge(test: Test, outcome: Outcome) -> tuple[_Step, bool]:
    if outcome.status is not Status.OK:
        return _Step(_VERDICTS[outcome.status], outcome.seconds, outcome.detail), False
    right = matches(test, outcome)
    verdict = Verdict.PASSED if right else Verdict.WRONG_ANSWER
    return _Step(verdict, outcome.seconds, "" if right else "wrong answer"), right


def _observe(test: Test, outcome: Outcome) -> tuple[str | None, bool]:
    return canonical(test, outcome), True


def _grade(job: GradeJob, program: str, steps: Sequence[_Step]) -> Grade:
    if job.code is None:
        return Grade(job.problem_id, program, Verdict.NO_CODE, 0.0, len(job.tests), 0)
    last = steps[-1]
    seconds = sum(step.seconds for step in steps)
    passed = sum(step.verdict is Verdict.PASSED for step in steps)
    detail = "" if last.verdict is Verdict.PASSED else f"test {passed}: {last.detail}"
    return Grade(job.problem_id, program, last.verdict, seconds, len(job.tests), passed, detail)
