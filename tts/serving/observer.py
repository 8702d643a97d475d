"""Runs requests' programs on their public inputs, in the sandbox, on a thread beside the event loop."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

from tts.errors import InfraError
from tts.grade import GradeJob, Grader, Undecided
from tts.types import Behaviour, Candidate, Problem

Saw = Callable[[Mapping[str, Behaviour]], Any]


class Observer:
    """One request's programs at a time, each with a grader of its own. One event loop may use it."""

    def __init__(self, make: Callable[[], Grader]) -> None:
        self._make = make
        self._turn = asyncio.Lock()
        self._looking: set[asyncio.Task[None]] = set()

    async def observe(self, problem: Problem, candidates: Sequence[Candidate], saw: Saw) -> None:
        """Run the programs of some candidates; `saw` hears what each does, by the program, as soon as it is known.

        Raises InfraError where one could not be run. Cancelled, it returns at once: what runs is killed when the next
        program ends, and until then nobody else's begin.
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
        async with self._turn:
            if not stop.is_set():
                loop = asyncio.get_running_loop()

                def tell(found: Mapping[str, Behaviour]) -> None:
                    loop.call_soon_threadsafe(saw, found)

                await asyncio.to_thread(self._run, problem, candidates, tell, stop)

    def _looked(self, task: asyncio.Task[None]) -> None:
        self._looking.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may be gone

    def _run(self, problem: Problem, candidates: Sequence[Candidate], tell: Saw, stop: threading.Event) -> None:
        tests = problem.public_tests
        jobs = [GradeJob(problem.id, c.code, tests, len(tests)) for c in candidates]
        with closing(self._make().behaviours(jobs)) as found:
            for _, program, behaviour in found:
                if isinstance(behaviour, Undecided):
                    raise InfraError(f"A program could not be run on the public inputs: {behaviour.why}")
                tell({program: behaviour})
                if stop.is_set():
                    return
