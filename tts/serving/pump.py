"""The one engine that all requests share, between its thread, which polls, and the event loop, where requests wait."""

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from tts.engine import Drawn, Engine, Event, Tell
from tts.types import Key, Problem

LOG = logging.getLogger("tts.serve")
POLL_SECONDS = 1.0  # after which a thread that waits looks whether it is to end
Sink = Callable[[Sequence[Event]], None]


class Pump:
    """Hands each event to the request that it is of. Its methods are the event loop's to call. If the engine breaks,
    `broken` is what of, and `broke` is called on the event loop.
    """

    def __init__(self, engine: Engine, broke: Callable[[], None]) -> None:
        self._engine, self._broke = engine, broke
        self._sinks: dict[str, Sink] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="pump", daemon=True)
        self.broken: BaseException | None = None

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def submit(self, problem: Problem, indices: Sequence[int], scorers: Collection[str], sink: Sink) -> None:
        """Ask for candidates of a problem, whose events go to `sink` until the problem is closed."""
        self._sinks[problem.id] = sink
        self._engine.submit([(problem, index) for index in indices], scorers=scorers)
        self._work.set()

    def cancel(self, keys: Collection[Key], tell: Tell) -> None:
        """Nobody wants these any more; they are dropped at the next step of the model. For each that was still to come
        either `tell` is called on the event loop, or its sink is given it since it had come already.
        """
        self._engine.cancel(keys, tell=partial(self._on_loop, tell))
        self._work.set()

    def close(self, problem_id: str) -> None:
        """Nothing more of this problem is heard."""
        self._sinks.pop(problem_id, None)

    async def end(self) -> None:
        """Stop polling."""
        await asyncio.to_thread(self.stop)

    def stop(self) -> None:
        """The same for whoever has no event loop any more."""
        self._ending = True
        self._work.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        """On the thread: until the end, or until the engine breaks, which guards should have kept it from."""
        while not self._ending:
            self._work.wait()
            self._work.clear()
            while self._engine.busy and not self._ending:
                try:
                    events = self._engine.poll(POLL_SECONDS)
                except BaseException as error:
                    LOG.error("The engine broke", exc_info=error)
                    self.broken = error
                    self._on_loop(self._broke)
                    return
                if events:
                    self._on_loop(self._deliver, events)

    def _on_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:  # it is closed: nobody waits for anything any more
            self._ending = True

    def _deliver(self, events: Sequence[Event]) -> None:
        by_problem: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            key = event.candidate.key if isinstance(event, Drawn) else event.score.key
            by_problem[key[0]].append(event)
        for problem_id, mine in by_problem.items():  # each on its own: a bug of one request's is no other's
            asyncio.get_running_loop().call_soon(self._hand, problem_id, mine)

    def _hand(self, problem_id: str, events: Sequence[Event]) -> None:
        sink = self._sinks.get(problem_id)  # looked up now, since the problem may have been closed meanwhile
        if sink is not None:
            sink(events)
