"""Slow calls side by side, on threads that do not keep a process alive: what Ctrl-C leaves waiting is dropped."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from tts.errors import InfraError, UserError

Given = TypeVar("Given")
Found = TypeVar("Found")


class Parallel(Generic[Given, Found]):
    """Calls `work` for whatever is put, at most `at_once` calls at a time, and gives results as they come."""

    def __init__(self, work: Callable[[Given], Found], at_once: int) -> None:
        self._work, self._at_once, self._running = work, at_once, 0
        self._ended: queue.SimpleQueue[Found | UserError | InfraError] = queue.SimpleQueue()

    def put(self, given: Given) -> Iterator[Found]:
        """Begin one more call, giving what must end before it may. Raises as `rest`."""
        while self._running >= self._at_once:
            yield from self._next()
        self._running += 1
        threading.Thread(target=self._call, args=(given,), daemon=True).start()

    def rest(self) -> Iterator[Found]:
        """Give all that still runs. Raises a call's UserError, after giving what the other calls found."""
        while self._running:
            yield from self._next()

    def _next(self) -> Iterator[Found]:
        ended = self._ended.get()
        self._running -= 1
        if isinstance(ended, UserError | InfraError):
            with contextlib.suppress(UserError):
                yield from self.rest()
            raise ended
        yield ended

    def _call(self, given: Given) -> None:
        ended: Found | UserError | InfraError = InfraError("A request ended in a bug of tts; its traceback is above.")
        try:
            ended = self._work(given)
        except UserError as error:
            ended = error
        finally:
            self._ended.put(ended)
