"""Runs requests' programs on their public inputs, in the sandbox, on a thread beside the event loop."""

import asyncio
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

from tts.errors import InfraError
from tts.grade import GradeJob, Grader, Undecided
from tts.types import Behaviour, Candidate, Problem

Saw = Callable[[Mapping[str, Behaviour]], Any]


class Observer:
    """Programs of one request at a time, with a grader of their own, and `at_once` of them: then it is the next
    request's turn, so that one whose programs sleep keeps the others waiting for a few of them and not for all. One
    event loop may use it.
    """

    def __init__(self, make: Callable[[], Grader], at_once: int | None = None) -> None:
        self._make, self._at_once = make, at_once or len(os.sched_getaffinity(0))
        self._turn = asyncio.Lock()
        self._looking: set[asyncio.Task[None]] = set()

    async def observe(self, problem: Problem, candidates: Sequence[Candidate], saw: Saw) -> None:
        """Run the programs of some candidates; `saw` hears what each does, by the program, as soon as it is known.

        Raises InfraError where one could not be run. Cancelled, it returns at once: what runs ends with the test that
        it is at, and until then nobody else's begin.
        """
        stop = threading.Event()
        task = asyncio.ensure_future(self._look(problem, candidates, saw, stop))
        self._looking.add(task)
        task.add_done_callback(self._looked)
        try:
            await asyncio.shield(task)
        finally:
            stop.set()

    async def _look(self, problem: Problem, candidates: Sequence[Candidate], saw: Saw, stop: threading.Event) -> None:
        loop = asyncio.get_running_loop()

        def tell(found: Mapping[str, Behaviour]) -> None:
            loop.call_soon_threadsafe(saw, found)

        different = list({candidate.code: candidate for candidate in candidates}.values())
        for first in range(0, len(different), self._at_once):
            async with self._turn:
                if stop.is_set():
                    return
                await asyncio.to_thread(self._run, problem, different[first : first + self._at_once], tell, stop)

    def _looked(self, task: asyncio.Task[None]) -> None:
        self._looking.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may be gone

    def _run(self, problem: Problem, candidates: Sequence[Candidate], tell: Saw, stop: threading.Event) -> None:
        tests = problem.public_tests
        jobs = [GradeJob(problem.id, c.code, tests, len(tests)) for c in candidates]
        with closing(self._make().behaviours(jobs, stop.is_set)) as found:
            for _, program, behaviour in found:
                if isinstance(behaviour, Undecided):
                    raise InfraError(f"A program could not be run on the public inputs: {behaviour.why}")
                tell({program: behaviour})
