"""One engine in a process of its own, told what to do by messages and telling what it finished in a stream.

What runs in an actor of a cluster; `cluster.py` starts it there. Knows nothing of Ray. One thread uses the engine; what
another thread hands in waits in a box until the engine's next step.
"""

import os
import queue
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tts import environment
from tts.dispatch import Orders
from tts.engine import Engine, Event
from tts.types import Key

STEP_SECONDS = 0.05  # until a message is read, while nothing finishes
LOG_BYTES = 4_000  # of a log's end, which are kept with a failure


@dataclass(frozen=True, slots=True)
class Ready:
    """An engine stands and may get work: where it is, where it writes to, what it was made with, how it works."""

    node: str
    host: str
    pid: int
    log: str
    versions: dict[str, str]
    width: int | None
    turns: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What was finished since the last one, by an engine that had read the messages up to `number`."""

    number: int
    events: tuple[Event, ...]
    seconds: dict[str, float]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Cancelled:
    keys: frozenset[Key]


class Host:
    """Holds an engine, which `make` makes where it shall run; `where` names that node. `events` is called in one
    thread, all else in another.
    """

    def __init__(self, make: Callable[[], Engine], where: Callable[[], str]) -> None:
        self._make, self._where = make, where
        self._box: queue.SimpleQueue[Orders | _Cancelled | None] = queue.SimpleQueue()
        self._number = 0

    def give(self, orders: Orders) -> None:
        """More work."""
        self._box.put(orders)

    def cancel(self, keys: frozenset[Key]) -> None:
        """Less."""
        self._box.put(_Cancelled(keys))

    def end(self) -> None:
        """No more: the stream ends once the engine has ended in order."""
        self._box.put(None)

    def events(self) -> Iterator[Ready | Report]:
        """That it is ready, then what it finishes, until told to end. Raises what the engine raises."""
        with self._make() as engine:
            yield self._ready(engine)
            while self._read(engine):
                if events := engine.poll(STEP_SECONDS):
                    yield self._report(engine, events)
            yield self._report(engine, engine.close())

    def _ready(self, engine: Engine) -> Ready:
        log = os.path.realpath("/proc/self/fd/2")
        turns = engine.mode != "share"
        return Ready(
            node=self._where(),
            host=socket.gethostname(),
            pid=os.getpid(),
            log=log,
            versions=environment.versions(),
            width=engine.width,
            turns=turns,
        )

    def _report(self, engine: Engine, events: Sequence[Event]) -> Report:
        return Report(self._number, tuple(events), engine.seconds, tuple(engine.notes))

    def _read(self, engine: Engine) -> bool:
        """Read all messages, waiting for one where there is nothing to do; False once told to end."""
        while not self._box.empty() or not engine.busy:
            message = self._box.get()
            if message is None:
                return False
            if isinstance(message, _Cancelled):
                engine.cancel(message.keys)
            else:
                self._number = message.number
                engine.submit(message.wanted, message.pairs, None if message.rate else ())
        return True


def end_of_log(path: str) -> str:
    """The last lines of a log file, or that it cannot be read."""
    try:
        return Path(path).read_bytes()[-LOG_BYTES:].decode("utf-8", "replace").strip()
    except OSError as error:
        return f"(its log {path} cannot be read: {error.strerror})"
