"""Code + tests -> Verdict. Identical programs of a problem run once; what our own machinery breaks is never a verdict.

The tests are given, in their order: where they come from is a benchmark's business, and storing grades the store's. How
a program is run and compared is `sandbox`'s. A grade tells of a hidden test only that it failed, and in which way:
what a program wrote may quote its input, and a diff quotes what was expected, so both are kept for public tests alone.
"""

import builtins
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import takewhile
from typing import TypeVar

from tts.difference import difference
from tts.errors import BrokenCheck, DataError, InfraError
from tts.sandbox import (
    PYTHON,
    Confinement,
    Isolation,
    Job,
    Limits,
    Outcome,
    Runtime,
    Status,
    canonical,
    find_confinement,
    find_runtime,
    matches,
    run_programs,
)
from tts.sandbox.compare import matches_lcb, shown
from tts.types import Behaviour, Check, Grade, Problem, Stdin, Test, Tolerance, Verdict, program_hash

VERSION = 5

_VERDICTS = {
    Status.RUNTIME_ERROR: Verdict.RUNTIME_ERROR,
    Status.TIMEOUT: Verdict.TIMEOUT,
    Status.MEMORY: Verdict.MEMORY,
    Status.OUTPUT_LIMIT: Verdict.OUTPUT_LIMIT,
}
STDERR_LINES, STDERR_CHARACTERS = 20, 1_000  # the last so many, of which a grade keeps no more
DETAIL_CHARACTERS = 2_500
GOT_CHARACTERS = 1_000  # of a wrong answer, its first
EXCEPTIONS = frozenset(
    name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)
)
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Comparison:
    """How answers are compared: `tolerance` (absolute below 1 and relative above) is for tests without one of their
    own, None asks for equality. `also_lcb` asks for LiveCodeBench's verdict beside ours.
    """

    tolerance: float | None = None
    also_lcb: bool = False

    @property
    def default(self) -> Tolerance | None:
        """The tolerance of tests without one of their own."""
        return None if self.tolerance is None else Tolerance(self.tolerance, self.tolerance)

    def __str__(self) -> str:
        """What of it a stored grade depends on; empty for the default."""
        tolerance = "" if self.tolerance is None else f" tolerance {self.tolerance!r}"
        return tolerance + " also lcb" * self.also_lcb


EQUALITY = Comparison()


@dataclass(frozen=True, slots=True)
class GradeJob:
    """One program to grade on its problem's tests, of which the first `public` are public; `code` None where none was
    extracted. Where it is only observed, what follows are inputs that no answer is known for, and the last `written`
    are tests that a model wrote.
    """

    problem_id: str
    code: str | None
    tests: Sequence[Test]
    public: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class Undecided:
    """A program without a verdict: our own machinery failed, also when tried again. To be graded another time; where
    its problem's own check is `broken`, once that is mended. Or the candidate of an `index` that was not drawn or not
    scored.
    """

    problem_id: str
    program: str
    why: str
    broken: bool = False
    index: int | None = None


@dataclass(frozen=True, slots=True)
class _Step:
    """What is kept of one test; outputs, which can be large, are not. `lcb` is LiveCodeBench's verdict or None."""

    verdict: Verdict
    lcb: Verdict | None
    seconds: float
    wall_seconds: float
    peak_bytes: int
    detail: str
    stderr: str
    diff: str
    got: str


class Grader:
    """Runs programs of one language under one set of limits, in `workers` cells at once (None: as many as cores and
    memory allow), at a `level` of confinement, which is tried out when it is first needed.
    """

    def __init__(
        self,
        limits: Limits,
        workers: int | None = None,
        comparison: Comparison = EQUALITY,
        isolation: Isolation = "test",
        level: str = "auto",
        language: str = "python",
    ) -> None:
        self.limits, self.workers, self.comparison = limits, workers, comparison
        self.level, self.language = level, language
        self.isolation: Isolation = isolation if language == PYTHON.name else "test"

    @cached_property
    def confinement(self) -> Confinement:
        """How programs are confined. Raises UserError where no sandbox holds, or not the level that is asked for."""
        return find_confinement(self.level)

    @cached_property
    def runtime(self) -> Runtime:
        """What runs programs of the language. Raises ConfigError where it is not to be had; Python always is, and asks
        for no sandbox before something is run.
        """
        return PYTHON if self.language == PYTHON.name else find_runtime(self.language, self.confinement)

    @property
    def version(self) -> str:
        """What its grades depend on besides programs and tests: change VERSION when a verdict may change."""
        limits, level = self.limits, self.confinement.level if self.level == "auto" else self.level
        own = "" if limits.firm else " or a test's own"
        return (
            f"{VERSION} {self.runtime.version} cpu {limits.cpu_seconds:g} s{own} memory {limits.memory_mib} MiB"
            f" output {limits.output_mib} MiB{self.comparison} isolation {self.isolation} level {level}"
        )

    def grade(self, jobs: Iterable[GradeJob]) -> Iterator[Grade | Undecided]:
        """One grade per distinct (problem, program), as each is known; a program's tests stop at the first failure.

        Raises DataError as `check` does.
        """
        for job, steps in self._run(self._checked(jobs), partial(_judge, self.comparison), self.isolation):
            program = _program(job)
            if isinstance(steps, InfraError):
                yield _undecided(job, steps)
            else:
                yield _grade(job, program, steps)

    def check(self, problem_id: str, tests: Sequence[Test]) -> None:
        """Raises DataError for a problem without tests, since no program can be said to pass it, and for one that calls
        a function where programs of this language only read and print.
        """
        if not tests:
            raise DataError(f"Problem {problem_id!r} has no tests: nothing can be graded on it. Leave it out.")
        if not self.runtime.calls and not all(isinstance(test, Stdin) for test in tests):
            raise DataError(
                f"Problem {problem_id!r} calls a function; programs in {self.runtime.name} are graded on standard input"
                " and output only. Leave its candidates out, or grade programs in python."
            )

    def _checked(self, jobs: Iterable[GradeJob]) -> Iterator[GradeJob]:
        for job in jobs:
            self.check(job.problem_id, job.tests)
            yield job

    def behaviours(
        self, jobs: Iterable[GradeJob], stop: Callable[[], bool] = lambda: False
    ) -> Generator[tuple[str, str, Behaviour | Undecided], None, None]:
        """(problem id, program, what it does on every test's input, and which public and written tests it passes) per
        distinct pair. A program's tests follow each other in one process: this is for choosing, not for scores.

        Jobs without code are passed over. On a problem without tests a program has the empty behaviour. Once `stop`
        says so, which is asked in the workers' threads, no other test begins and nothing more is given.
        """
        observe = partial(_observe, self.comparison)
        for job, done in self._run((job for job in jobs if job.code is not None), observe, "program", stop):
            if stop():
                return
            program = _program(job)
            if isinstance(done, InfraError):
                yield job.problem_id, program, _undecided(job, done)
            else:
                yield job.problem_id, program, _behaviour(job, done)

    def _run(
        self,
        jobs: Iterable[GradeJob],
        judge: Callable[[Test, Outcome], tuple[R, bool]],
        isolation: Isolation,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[GradeJob, list[R] | InfraError]]:
        runs = (
            Job(
                job,
                job.code or "",
                () if job.code is None else takewhile(lambda _: not stop(), job.tests),
                self.runtime,
            )
            for job in _distinct(jobs)
        )
        return run_programs(runs, judge, self.limits, self.workers, isolation, self.confinement)


def leading_public(problem: Problem, tests: Sequence[Test]) -> int:
    """How many of a problem's tests, from the first, are its public ones: all of these, or none where some of them do
    not decide, so that a number always means the same test.
    """
    public = [test.asked for test in problem.public_tests]
    return len(public) if [test.asked for test in tests[: len(public)]] == public else 0


def _program(job: GradeJob) -> str:
    return "" if job.code is None else program_hash(job.code)


def _undecided(job: GradeJob, error: InfraError) -> Undecided:
    return Undecided(job.problem_id, _program(job), str(error), isinstance(error, BrokenCheck))


def _distinct(jobs: Iterable[GradeJob]) -> Iterator[GradeJob]:
    seen: set[tuple[str, str]] = set()
    for job in jobs:
        key = job.problem_id, _program(job)
        if key not in seen:
            seen.add(key)
            yield job


def _judge(comparison: Comparison, test: Test, outcome: Outcome) -> tuple[_Step, bool]:
    """What to keep of an outcome, and whether some verdict is still open."""
    verdict = _verdict(outcome, matches(test, outcome, comparison.default))
    lcb = _verdict(outcome, matches_lcb(test, outcome)) if comparison.also_lcb else None
    wrong = verdict is Verdict.WRONG_ANSWER
    step = _Step(
        verdict=verdict,
        lcb=lcb,
        seconds=outcome.seconds,
        wall_seconds=outcome.wall_seconds,
        peak_bytes=outcome.peak_bytes,
        detail=("wrong answer\n" * wrong + outcome.detail[:DETAIL_CHARACTERS]).strip(),
        stderr="" if verdict is Verdict.PASSED else _end_of(outcome.stderr),
        diff=difference(test, outcome.output, comparison.default) if wrong else "",
        got=_got(test, outcome) if wrong else "",
    )
    return step, _goes_on(verdict, lcb, outcome.reused)


def _goes_on(verdict: Verdict, lcb: Verdict | None, reused: bool) -> bool:
    """Whether to go on with the next test, since some verdict is still open. A failure in a process that had run
    another test ends it, so that it is decided again in a fresh one.
    """
    passes = [one is Verdict.PASSED for one in (verdict, lcb) if one is not None]
    return all(passes) if reused else any(passes)


def _verdict(outcome: Outcome, right: bool) -> Verdict:
    if outcome.status is not Status.OK:
        return _VERDICTS[outcome.status]
    return Verdict.PASSED if right else Verdict.WRONG_ANSWER


def _got(test: Test, outcome: Outcome) -> str:
    """The beginning of an answer, for people; a check's program has none."""
    if isinstance(test, Check):
        return ""
    answer: str = outcome.output if isinstance(test, Stdin) else shown(outcome.output, GOT_CHARACTERS)
    return answer[:GOT_CHARACTERS]


def _end_of(text: str) -> str:
    """The last lines of what was written, few and short enough to be kept with every grade."""
    return "\n".join(text[-STDERR_CHARACTERS:].splitlines()[-STDERR_LINES:])


def _observe(comparison: Comparison, test: Test, outcome: Outcome) -> tuple[tuple[str | None, bool], bool]:
    """A canonical output and whether it is what the test expects."""
    return (canonical(test, outcome), matches(test, outcome, comparison.default)), True


def _behaviour(job: GradeJob, done: Sequence[tuple[str | None, bool]]) -> Behaviour:
    inputs, passes = len(done) - job.written, [passed for _, passed in done]
    return Behaviour(
        outputs=tuple(output for output, _ in done[:inputs]),
        passed=tuple(passes[: job.public]),
        written=tuple(passes[inputs:]),
    )


def _grade(job: GradeJob, program: str, steps: Sequence[_Step]) -> Grade:
    if job.code is None:
        return Grade(job.problem_id, program, Verdict.NO_CODE, 0.0, len(job.tests), 0)
    passed = _first_failure([step.verdict for step in steps])
    counted = steps[: passed + 1]  # what only LiveCodeBench's verdict asked for counts nowhere else
    failed = None if passed == len(steps) else steps[passed]
    public = failed is not None and passed < job.public
    return Grade(
        problem_id=job.problem_id,
        program=program,
        verdict=Verdict.PASSED if failed is None else failed.verdict,
        seconds=sum(step.seconds for step in counted),
        tests=len(job.tests),
        passed=passed,
        detail="" if failed is None else f"test {passed}: {failed.detail if public else _discreet(failed)}",
        wall_seconds=sum(step.wall_seconds for step in counted),
        peak_mib=max(step.peak_bytes for step in counted) / (1 << 20),
        stderr=failed.stderr if failed and public else "",
        diff=failed.diff if failed and public else "",
        got=failed.got if failed and public else "",
        public=public,
        lcb_verdict=_lcb_verdict(steps),
    )


def _first_failure(verdicts: Sequence[Verdict | None]) -> int:
    """The position of the first verdict that is not a pass, or how many there are."""
    return next((i for i, verdict in enumerate(verdicts) if verdict is not Verdict.PASSED), len(verdicts))


def _lcb_verdict(steps: Sequence[_Step]) -> Verdict | None:
    verdicts = [step.lcb for step in steps]
    first = _first_failure(verdicts)
    return Verdict.PASSED if first == len(verdicts) else verdicts[first]


def _discreet(failed: _Step) -> str:
    """Why a hidden test failed, without anything that the program wrote but the name of a built-in exception."""
    why = failed.detail.split("\n", 1)[0].split(":", 1)[0]
    raised = failed.stderr.rpartition("\n")[2].split(":", 1)[0].strip()
    return f"{why} ({raised})" if raised in EXCEPTIONS else why
