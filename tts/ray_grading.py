"""Programs graded in tasks of Ray's, each in the sandbox of the node that it runs on; with a grader's own methods.

A task takes a few programs of one problem, whose tests travel once. Every node confines programs at the driver's level
and has what the grades' version names, or the run says where not. Ray tries a task again whose process or node died; a
program that no task brings to an end is left undecided.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, islice
from typing import Any, Literal

from tts.errors import ConfigError, InfraError, UserError
from tts.grade import GradeJob, Grader, Undecided
from tts.ray_places import where
from tts.ray_session import Session, inventory, reason
from tts.sandbox import Isolation, Limits
from tts.types import Behaviour, Grade, Test, program_hash

PROGRAMS = 16  # of one problem in a task
RETRIES = 2  # by Ray: a task is tried three times
WAITING = 2  # tasks for each that can run at once

Verb = Literal["grade", "behaviours"]


@dataclass(frozen=True, slots=True)
class _There:
    """What a node needs to make the driver's grader."""

    limits: Limits
    isolation: Isolation
    level: str
    version: str

    def grader(self) -> Grader:
        """On the node. Raises ConfigError where its grades would not be the driver's."""
        grader = Grader(self.limits, 1, isolation=self.isolation, level=self.level)
        if grader.version != self.version:
            raise ConfigError(
                f"It would grade with {grader.version!r}, this process with {self.version!r}. Verdicts of the two must "
                "not mix: install the same tts and Python on every node."
            )
        return grader


@dataclass(frozen=True, slots=True)
class _Batch:
    """Programs of one problem; `tests` is a reference to its tests."""

    problem_id: str
    codes: tuple[str | None, ...]
    tests: Any
    public: int

    def one_by_one(self) -> Iterator["_Batch"]:
        """Each program for itself."""
        return (replace(self, codes=(code,)) for code in self.codes)


class RayGrader:
    """As `Grader`, for the same results: one program at once for each `cpus` of the cluster's CPUs."""

    def __init__(self, grader: Grader, session: Session, cpus: float) -> None:
        self._grader, self._session, self._cpus = grader, session, cpus

    @property
    def version(self) -> str:
        """See Grader."""
        return self._grader.version

    def grade(self, jobs: Iterable[GradeJob]) -> Iterator[Grade | Undecided]:
        """See Grader. Raises UserError where a node cannot confine programs as the driver does."""
        yield from self._run("grade", self._checked(jobs), _undecided)

    def behaviours(self, jobs: Iterable[GradeJob]) -> Iterator[tuple[str, str, Behaviour | Undecided]]:
        """See Grader. Raises as `grade`."""
        yield from self._run("behaviours", (job for job in jobs if job.code is not None), _unknown)

    def _checked(self, jobs: Iterable[GradeJob]) -> Iterator[GradeJob]:
        for job in jobs:
            self._grader.check(job.problem_id, job.tests)
            yield job

    def _run(self, verb: Verb, jobs: Iterable[GradeJob], lost: Callable[[str, str | None, str], Any]) -> Iterator[Any]:
        """Tasks, so many that no CPU waits and no more; what each gives as it comes. What no task gave is tried program
        by program, and then `lost` makes of it what is given.
        """
        import ray

        tasks, running = _batches(jobs), dict[Any, _Batch]()
        try:
            while True:
                for batch in islice(tasks, max(0, self._most() - len(running))):
                    running[self._start(verb, batch)] = batch
                if not running:
                    return
                (done,), _ = ray.wait(list(running))
                batch, found = running.pop(done), _result(done)
                if not isinstance(found, str):
                    yield from found
                elif len(batch.codes) > 1:
                    running.update({self._start(verb, one): one for one in batch.one_by_one()})
                else:
                    yield lost(batch.problem_id, batch.codes[0], found)
        finally:
            for task in running:
                ray.cancel(task, force=True)

    def _most(self) -> int:
        return WAITING * check_graders(self._session, self._cpus)

    def _start(self, verb: Verb, batch: _Batch) -> Any:
        grader, nodes = self._grader, self._session.nodes()
        there = _There(grader.limits, grader.isolation, grader.confinement.level, grader.version)
        most = max(int(node.resources.get("memory", 0)) for node in nodes)
        memory = min(grader.limits.memory_mib << 20, most)
        task = self._task.options(num_cpus=self._cpus, memory=memory, max_retries=RETRIES)
        return task.remote(verb, there, batch.problem_id, batch.codes, batch.tests, batch.public)

    @cached_property
    def _task(self) -> Any:
        """The remote function, made once: Ray keeps each that is made, on the head node, for as long as it lives."""
        import ray

        return ray.remote(_grade_there)


def check_graders(session: Session, cpus: float) -> int:
    """How many tasks of so many CPUs the cluster has room for. Raises ConfigError where no node has room for one."""
    nodes = session.nodes()
    room = sum(node.room(cpus, 0) for node in nodes)
    if not room:
        raise ConfigError(
            f"cluster.grader_cpus is {cpus:g}, and the cluster has {inventory(nodes)}, none of them with so many CPUs. "
            "Lower it, or add a node for grading."
        )
    return room


def _batches(jobs: Iterable[GradeJob]) -> Iterator[_Batch]:
    """Jobs that follow each other and share their tests, which are put where every node can get them, once."""
    import ray

    for _, alike in groupby(jobs, key=lambda job: (job.problem_id, id(job.tests))):
        mine = list(alike)
        tests, codes = ray.put(mine[0].tests), [job.code for job in mine]
        for start in range(0, len(codes), PROGRAMS):
            yield _Batch(mine[0].problem_id, tuple(codes[start : start + PROGRAMS]), tests, mine[0].public)


def _grade_there(
    verb: Verb, there: _There, problem_id: str, codes: tuple[str | None, ...], tests: tuple[Test, ...], public: int
) -> list[Any]:
    """In a task, on whatever node."""
    try:
        grader = there.grader()
    except UserError as error:
        raise ConfigError(f"On node {where()}: {error}") from error
    jobs = [GradeJob(problem_id, code, tests, public) for code in codes]
    return list(grader.grade(jobs) if verb == "grade" else grader.behaviours(jobs))


def _result(task: Any) -> list[Any] | str:
    """What a task gave, or why it gave nothing. Raises what a user can mend, and bugs."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        found: list[Any] = ray.get(task)
    except RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise error.cause from None
        if isinstance(error.cause, InfraError):
            return str(error.cause)
        raise
    except RayError as error:
        return f"its task was tried {RETRIES + 1} times: {reason(error)}"
    return found


def _undecided(problem_id: str, code: str | None, why: str) -> Undecided:
    return Undecided(problem_id, "" if code is None else program_hash(code), why)


def _unknown(problem_id: str, code: str | None, why: str) -> tuple[str, str, Undecided]:
    undecided = _undecided(problem_id, code, why)
    return problem_id, undecided.program, undecided
