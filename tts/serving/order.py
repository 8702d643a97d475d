"""One request on its way: what is drawn and scored of it so far, and whether that is enough.

Knows neither HTTP nor the engine: events come in through `hear`, and whoever waits for `enough` is told when it is.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tts.engine import Drawn, Event, Key
from tts.errors import TtsError
from tts.protocols import Selector
from tts.serving.guard import Lost, failed
from tts.types import Candidate, Pool, Problem, Score


class Stopping(Protocol):
    """Decides early."""

    def __call__(self, pool: Pool, coming: int) -> str:
        """Why nothing of what is still to come is waited for, or "" to go on. `pool` is what is scored, never empty."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request asks for, complete: `n` candidates of `problem`, of which the best `choices` are given back."""

    problem: Problem
    n: int
    choices: int
    scorer: str
    select: str
    selector: Selector
    stopping: Stopping | None
    prefix: str = ""  # that a program begins with: the text that is continued


@dataclass
class Order:
    """A request on its way. Times are those of time.monotonic(), in seconds."""

    wish: Wish
    watch: Callable[["Order", Candidate | Score], None] = lambda *_: None
    submitted: float = field(default_factory=time.monotonic)
    drawn_at: float | None = None  # when the last candidate came
    candidates: dict[int, Candidate] = field(default_factory=dict)
    scores: dict[int, Score] = field(default_factory=dict)
    lost: dict[int, TtsError] = field(default_factory=dict)
    stopped: str = ""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, events: Sequence[Event]) -> None:
        """What the engine says of it."""
        for event in events:
            if isinstance(event, Drawn):
                self._drawn(event.candidate)
            elif event.score.index in self.candidates:
                self.scores[event.score.index] = event.score
                self.watch(self, event.score)
        self._changed.set()

    def _drawn(self, candidate: Candidate) -> None:
        if isinstance(candidate, Lost):
            self.lost[candidate.index] = candidate.error
        else:
            self.candidates[candidate.index] = candidate
            self.watch(self, candidate)
        if self.coming == 0:
            self.drawn_at = time.monotonic()

    @property
    def coming(self) -> int:
        """How many candidates are still to be drawn."""
        return self.wish.n - len(self.candidates) - len(self.lost)

    @property
    def open_keys(self) -> list[Key]:
        """Of candidates for which something is still to come."""
        done = self.scores.keys() | self.lost.keys()
        return [(self.wish.problem.id, index) for index in range(self.wish.n) if index not in done]

    @property
    def scorer_failed(self) -> str:
        """Why scores are missing, if the scorer failed for any."""
        return next((score.why for score in self.scores.values() if failed(score)), "")

    def pool(self) -> Pool:
        """What is drawn, in the order of sampling; what has no score yet says so."""
        ready = sorted(self.candidates)
        unscored = (Score(self.wish.problem.id, index, None, "not scored in time") for index in ready)
        scores = tuple(self.scores.get(index, none) for index, none in zip(ready, unscored, strict=True))
        return Pool(self.wish.problem, tuple(self.candidates[index] for index in ready), scores)

    def scored(self) -> Pool:
        """What is drawn and scored."""
        whole = self.pool()
        return whole.take([i for i, candidate in enumerate(whole.candidates) if candidate.index in self.scores])

    async def enough(self, scorer_timeout: float) -> bool:
        """Wait until everything has come or the rest is not needed. False if the scorer took too long."""
        while not self._complete():
            left = None if self.drawn_at is None else self.drawn_at + scorer_timeout - time.monotonic()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return False
            self._changed.clear()
        return True

    def _complete(self) -> bool:
        if len(self.scores) + len(self.lost) >= self.wish.n:
            return True
        pool = self.scored()
        if self.wish.stopping is not None and len(pool):
            self.stopped = self.wish.stopping(pool, self.wish.n - len(self.lost) - len(pool))
        return bool(self.stopped)
