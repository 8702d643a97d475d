"""Runs many programs on their tests, in several cells at once, and survives the death of any cell.

A test whose cell died has no outcome: it is tried again in a new cell, six times in all, the last time while nothing
else runs, and then the whole job ends with an `InfraError`, given as its result so that other jobs go on. What to keep
of an outcome, and whether to go on with a program's next test, is the caller's (`judge`).

With isolation "test" each test has a fresh process. With "program" a program's tests follow each other in one process,
which costs a tenth; a failure in a process that had run another test is decided again in a fresh one.
"""

import os
import resource
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Generic, TypeVar

from tts.environment import host_memory, usable_cores
from tts.errors import InfraError
from tts.sandbox.cell import Cell, CellDied, Killed
from tts.sandbox.checking import run_check
from tts.sandbox.compiling import CompileFailed
from tts.sandbox.confinement import Confinement
from tts.sandbox.levels import find_confinement
from tts.sandbox.outcome import Isolation, Limits, Outcome, Status
from tts.sandbox.runtime import PYTHON, Program, Runtime, Uncompiled
from tts.types import Check, Test

ATTEMPTS = 6
MEMORY_SHARE = 0.8  # of the available memory, for all cells together
CELL_FILES = 24  # descriptors of a worker's two cells: three each for good, eight while it has a process, more at first
SPARE_FILES = 64  # for all else that this process opens meanwhile

K = TypeVar("K")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Job(Generic[K]):
    """A program to run on tests, in their order, each taken when it is its turn; `key` comes back with the result. It
    is compiled once.
    """

    key: K
    code: str
    tests: Iterable[Test]
    runtime: Runtime = PYTHON


def run_programs(
    jobs: Iterable[Job[K]],
    judge: Callable[[Test, Outcome], tuple[R, bool]],
    limits: Limits,
    workers: int | None = None,
    isolation: Isolation = "test",
    confinement: Confinement | None = None,
) -> Iterator[tuple[K, list[R] | InfraError]]:
    """Yields each job's judgements as it finishes, in no particular order. Closing the iterator kills what runs.

    `judge` says what to keep of an outcome and whether to go on with the program's next test; it is called in a
    worker's thread. `jobs` is read in the caller's thread, a little ahead of what is running. `workers=None` is
    `default_workers(limits)`; there are never more than this process may open files for, and its soft limit of open
    files is raised for good if that lets it have more. `confinement=None` is the best that holds on this machine.
    """
    count = _with_files(default_workers(limits) if workers is None else workers)
    cells = _Cells(limits, find_confinement() if confinement is None else confinement)
    source = iter(jobs)
    running: dict[Future[list[R] | InfraError], K] = {}
    with ThreadPoolExecutor(count, "tts-cell", _settle, (cycle(_places(count)),)) as threads:
        try:
            while True:
                for job in islice(source, 2 * count - len(running)):
                    running[threads.submit(_run_job, cells, job, judge, isolation)] = job.key
                if not running:
                    return
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(done), done.result()
        finally:
            cells.stop()
            threads.shutdown(cancel_futures=True)
            cells.close()


def default_workers(limits: Limits) -> int:
    """One per core that this process may use, or fewer if their memory limits would exceed 80% of what is available."""
    affordable = int(host_memory()[1] * MEMORY_SHARE) // (limits.memory_mib << 20)
    return max(1, min(usable_cores(), affordable))


def _places(workers: int) -> list[int]:
    """The processors to put workers on, none where there are more than workers: which of them is free may change.

    A worker and its cell take turns, so that on one processor neither waits for another one to wake up.
    """
    allowed = sorted(os.sched_getaffinity(0))
    return allowed if workers >= len(allowed) else []


def _settle(places: Iterator[int]) -> None:
    """In a worker's thread: stay on the next of the places, if there are any."""
    place = next(places, None)
    if place is not None:
        _stay_on({place})


def _stay_on(processors: Collection[int]) -> None:
    """This thread, and what it starts. Where that is forbidden all is only slower."""
    with suppress(OSError):
        os.sched_setaffinity(0, processors)


def _with_files(workers: int) -> int:
    """As many of these workers as there are file descriptors for, but one at least; raises the soft limit if needed."""
    taken = len(os.listdir("/proc/self/fd")) + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = taken + workers * CELL_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return workers if soft == resource.RLIM_INFINITY else max(1, min(workers, (soft - taken) // CELL_FILES))


def _run_job(
    cells: "_Cells", job: Job[K], judge: Callable[[Test, Outcome], tuple[R, bool]], isolation: Isolation
) -> list[R] | InfraError:
    kept: list[R] = []
    runs = _Runs(cells, job, isolation == "program")
    try:
        for test in job.tests:
            outcome = runs.run(test)
            judgement, go_on = judge(test, outcome)
            if outcome.reused and not (go_on and outcome.status is Status.OK):
                judgement, go_on = judge(test, runs.run(test, afresh=True))
            kept.append(judgement)
            if not go_on:
                break
    except InfraError as error:
        return error
    finally:
        runs.end()
    return kept


class _Runs:
    """One program's tests, in one cell as long as that lives, and their checks in another."""

    def __init__(self, cells: "_Cells", job: Job[Any], keep: bool) -> None:
        self.cells, self.job, self.keep = cells, job, keep
        self.cell: Cell | None = None
        self.checker: Cell | None = None
        self.program: Program | None = None

    def run(self, test: Test, afresh: bool = False) -> Outcome:
        """The outcome of one test, `afresh` in a new process. Raises InfraError if no cell brings one about."""
        failures: list[Exception] = []
        while len(failures) < ATTEMPTS and not self.cells.stopped:
            try:
                with self.cells.turns.take(alone=len(failures) == ATTEMPTS - 1):
                    return self._try(test, afresh)
            except Killed as error:  # the cell itself is well
                failures.append(error)
            except (CellDied, OSError) as error:
                failures.append(error)
                self._discard()
        last = failures[-1] if failures else None
        if isinstance(last, Killed) and all(isinstance(failure, Killed) for failure in failures):
            return last.outcome  # every time: the program kills itself
        raise InfraError(f"No outcome after {len(failures)} attempts. The last: {last or 'stopped'}")

    def _try(self, test: Test, afresh: bool) -> Outcome:
        if self.program is None:
            self.program = self._compiled()
        if self.cell is None:
            self.cell = self.cells.take()
        limits = self.cells.limits.of(test)
        if isinstance(test, Check):
            self.checker = self.checker or self.cells.take()
            return run_check(self.cell, self.checker, self.job.code, test, limits, keep=not afresh)
        if afresh:
            self.cell.drop()
        return self.program.run(self.cell, test, limits, self.keep)

    def _compiled(self) -> Program:
        try:
            return self.job.runtime.compile(self.job.code, self.cells.confinement, lambda: self.cells.stopped)
        except CompileFailed as error:
            return Uncompiled(str(error))

    def _discard(self) -> None:
        for cell in filter(None, (self.cell, self.checker)):
            self.cells.discard(cell)
        self.cell = self.checker = None

    def end(self) -> None:
        """Let go of the program, and give the cell to the next one."""
        if self.program is not None:
            self.program.close()
        try:
            if self.cell is not None:
                self.cell.drop()
        except CellDied:
            self._discard()
        for cell in filter(None, (self.cell, self.checker)):
            self.cells.give_back(cell)


class _Turns:
    """Tests run side by side, but for one that has to run alone: it waits for the others, and they for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._reserved = False

    @contextmanager
    def take(self, alone: bool) -> Iterator[None]:
        """For the length of one attempt at a test."""
        with self._changed:
            self._changed.wait_for(lambda: not self._reserved)
            self._reserved = alone
            self._changed.wait_for(lambda: not (alone and self._running))
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._reserved = self._reserved and not alone
                self._changed.notify_all()


class _Cells:
    """The cells of one call of `run_programs`: started when first needed, replaced when they die.

    They are started in threads of their own, which live as long as they do: bubblewrap ends with the thread that
    started it.
    """

    def __init__(self, limits: Limits, confinement: Confinement) -> None:
        self.limits, self.stopped = limits, False
        self.turns = _Turns()
        self.confinement = confinement
        self._lock = threading.Lock()
        self._idle: dict[frozenset[int], list[Cell]] = defaultdict(list)  # by the processors that they run on
        self._live: set[Cell] = set()
        self._starter = ThreadPoolExecutor(4, thread_name_prefix="tts-start")

    def take(self) -> Cell:
        """A cell that nobody else uses, on the processors of the thread that asks."""
        processors = frozenset(os.sched_getaffinity(0))
        with self._lock:
            if self._idle[processors]:
                return self._idle[processors].pop()
        cell = Cell(self.confinement)
        self._starter.submit(_start, cell, processors).result()
        with self._lock:
            self._live.add(cell)
            if self.stopped:  # while it was starting, so nobody has hung up on it
                cell.interrupt()
        return cell

    def give_back(self, cell: Cell) -> None:
        """For another program of the thread that has it."""
        with self._lock:
            self._idle[frozenset(os.sched_getaffinity(0))].append(cell)

    def discard(self, cell: Cell) -> None:
        """End a cell that failed."""
        with self._lock:
            self._live.discard(cell)
        cell.__exit__(None, None, None)

    def stop(self) -> None:
        """Hangs up on every cell; runs under way end with InfraError, and none begins."""
        with self._lock:
            self.stopped = True
            for cell in self._live:
                cell.interrupt()

    def close(self) -> None:
        """Ends every cell, once no thread uses one."""
        for cell in self._live:
            cell.__exit__(None, None, None)
        self._starter.shutdown()


def _start(cell: Cell, processors: Collection[int]) -> None:
    """In a thread that starts cells."""
    _stay_on(processors)
    cell.__enter__()
