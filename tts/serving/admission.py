"""How many requests are worked on, how many wait, and what the others are told: come back later, and when."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tts.serving.refusals import Refusal

WEIGHT = 0.1  # of the newest request in the running mean of how long one takes


class Admission:
    """A bounded queue, first come, first served. One event loop may use it."""

    def __init__(self, concurrency: int, queue: int) -> None:
        self._concurrency, self._queue = concurrency, queue
        self._places = asyncio.Semaphore(concurrency)
        self._seconds = 1.0
        self._begun: dict[object, float] = {}  # of those with a place, in the order in which they got it
        self.waiting = 0

    @property
    def running(self) -> int:
        """How many have a place."""
        return len(self._begun)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place, once one is free. Raises Refusal (429) at once if too many wait already."""
        if self._places.locked() and self.waiting >= self._queue:
            raise Refusal(
                429,
                f"{self.running} requests are being answered and {self.waiting} wait: no more may. Try again in "
                f"{self.retry_after} seconds.",
                code="queue_full",
                headers={"Retry-After": str(self.retry_after)},
            )
        self.waiting += 1
        try:
            await self._places.acquire()
        finally:
            self.waiting -= 1
        me = object()
        self._begun[me] = time.monotonic()
        try:
            yield
        finally:
            self.took(time.monotonic() - self._begun.pop(me))
            self._places.release()

    def took(self, seconds: float) -> None:
        """Learn how long a place is held, whatever came of it."""
        self._seconds += WEIGHT * (seconds - self._seconds)

    @property
    def retry_after(self) -> int:
        """Whole seconds after which a place is likely to be free, at least 1. Who holds one longer than others did
        counts before the end, since it may be the first of many.
        """
        held = max((time.monotonic() - begun for begun in self._begun.values()), default=0.0)
        return max(1, math.ceil(max(self._seconds, held) * (self.waiting + 1) / self._concurrency))
