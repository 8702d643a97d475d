"""Runs many programs on their tests, in several cells at once, and survives the death of any cell.

A test whose cell died has no outcome: it is tried again in a new cell, up to three times, and then the whole job ends
with an `InfraError`, given as its result so that other jobs go on. What to keep of an outcome, and whether to go on
with a program's next test, is the caller's (`judge`).
"""

import os
import resource
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from tts.environment import host_memory
from tts.errors import InfraError
from tts.sandbox.cell import Cell, CellDied, Killed
from tts.sandbox.outcome import Limits, Outcome
from tts.types import Test

ATTEMPTS = 3
MEMORY_SHARE = 0.8  # of the available memory, for all cells together
CELL_FILES = 16  # descriptors: two for as long as a cell lives, five while it runs a test, more while it starts
SPARE_FILES = 64  # for all else that this process opens meanwhile

K = TypeVar("K")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Job(Generic[K]):
    """A program to run on tests, in their order; `key` comes back with the result."""

    key: K
    code: str
    tests: Sequence[Test]


def run_programs(
    jobs: Iterable[Job[K]],
    judge: Callable[[Test, Outcome], tuple[R, bool]],
    limits: Limits,
    workers: int | None = None,
) -> Iterator[tuple[K, list[R] | InfraError]]:
    """Yields each job's judgements as it finishes, in no particular order. Closing the iterator kills what runs.

    `judge` says what to keep of an outcome and whether to go on with the program's next test; it is called in a
    worker's thread. `jobs` is read in the caller's thread, a little ahead of what is running. `workers=None` is
    `default_workers(limits)`; there are never more than this process may open files for, and its soft limit of open
    files is raised for good if that lets it have more.
    """
    count = _with_files(default_workers(limits) if workers is None else workers)
    cells = _Cells(limits)
    source = iter(jobs)
    running: dict[Future[list[R] | InfraError], K] = {}
    with ThreadPoolExecutor(count, thread_name_prefix="tts-cell") as threads:
        try:
            while True:
                for job in islice(source, 2 * count - len(running)):
                    running[threads.submit(_run_job, cells, job, judge)] = job.key
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
    return max(1, min(len(os.sched_getaffinity(0)), affordable))


def _with_files(workers: int) -> int:
    """As many of these workers as there are file descriptors for, but one at least; raises the soft limit if needed."""
    taken = len(os.listdir("/proc/self/fd")) + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = taken + workers * CELL_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return workers if soft == resource.RLIM_INFINITY else max(1, min(workers, (soft - taken) // CELL_FILES))


def _run_job(cells: "_Cells", job: Job[K], judge: Callable[[Test, Outcome], tuple[R, bool]]) -> list[R] | InfraError:
    kept: list[R] = []
    for test in job.tests:
        try:
            outcome = cells.run(job.code, test)
        except InfraError as error:
            return error
        judgement, go_on = judge(test, outcome)
        kept.append(judgement)
        if not go_on:
            break
    return kept


class _Cells:
    """The cells of one call of `run_programs`: started when first needed, replaced when they die."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._idle: list[Cell] = []
        self._live: set[Cell] = set()
        self._stopped = False

    def run(self, code: str, test: Test) -> Outcome:
        """The outcome of one test. Raises InfraError if no cell brings it about."""
        failures: list[Exception] = []
        while len(failures) < ATTEMPTS and not self._stopped:
            try:
                with self._borrow() as cell:
                    return cell.run(code, test, self._limits)
            except (CellDied, OSError) as error:
                failures.append(error)
        last = failures[-1] if failures else None
        if isinstance(last, Killed) and all(isinstance(failure, Killed) for failure in failures):
            return last.outcome  # every time: the program kills itself
        raise InfraError(f"No outcome after {len(failures)} attempts. The last: {last or 'stopped'}")

    @contextmanager
    def _borrow(self) -> Iterator[Cell]:
        cell = self._take()
        try:
            yield cell
        except Killed:  # the cell itself is well
            self._give_back(cell)
            raise
        except BaseException:
            self._discard(cell)
            raise
        self._give_back(cell)

    def _take(self) -> Cell:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        cell = Cell().__enter__()
        with self._lock:
            self._live.add(cell)
            if self._stopped:  # while it was starting, so nobody has hung up on it
                cell.interrupt()
        return cell

    def _give_back(self, cell: Cell) -> None:
        with self._lock:
            self._idle.append(cell)

    def _discard(self, cell: Cell) -> None:
        with self._lock:
            self._live.discard(cell)
        cell.__exit__(None, None, None)

    def stop(self) -> None:
        """Hangs up on every cell; runs under way end with InfraError, and none begins."""
        with self._lock:
            self._stopped = True
            for cell in self._live:
                cell.interrupt()

    def close(self) -> None:
        """Ends every cell, once no thread uses one."""
        for cell in self._live:
            cell.__exit__(None, None, None)
