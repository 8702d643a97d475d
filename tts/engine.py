"""A generator and its scorers side by side: what runs when, what waits for whom, what is dropped.

In mode `share` each runs in a thread of its own and candidates are scored while others are drawn. In `swap` and
`sequential` one runs at a time; the others sleep, or are closed. Queues hold the quicker back: nothing is drawn while
too much waits to be scored, and nothing is drawn or scored while too much waits to be fetched. What a memory plan gives
to whom is `planning.py`'s; nothing is stored here.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tts.errors import InfraError
from tts.memory import Mode
from tts.protocols import Generator, Scorer, Stepped
from tts.types import Candidate, Problem, Score

Key = tuple[str, int]
Pair = tuple[Problem, Candidate]
BACKLOG = 4096  # candidates that may wait to be scored, and results to be fetched
PATIENCE_SECONDS = 10.0  # for a thread to end what it runs, once nobody wants it


@dataclass(frozen=True, slots=True)
class Drawn:
    """A candidate is finished, its program extracted."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Rated:
    """A scorer, by its label, has a score."""

    scorer: str
    score: Score


Event = Drawn | Rated


def as_sampled(candidate: Candidate) -> Candidate:
    """No extraction: candidates are scored as the generator gives them."""
    return candidate


class Engine:
    """Admits work at any time (`submit`), gives back what is finished (`poll`), and drops what nobody wants (`cancel`).

    One thread may use it. `prepare` turns a sampled candidate into what is scored (extraction); the order of scorers is
    kept. It is a context manager: leaving ends every thread and every process of its models.
    """

    def __init__(
        self,
        generator: Generator,
        scorers: Mapping[str, Scorer],
        mode: Mode = "share",
        prepare: Callable[[Candidate], Candidate] = as_sampled,
        backlog: int = BACKLOG,
    ) -> None:
        self._desk = _Desk(list(scorers), prepare, backlog)
        stepped: Stepped = generator if isinstance(generator, Stepped) else Plain(generator)
        drawer = _Drawer(self._desk, stepped)
        raters = {label: _Rater(self._desk, label, scorer) for label, scorer in scorers.items()}
        self._generator, self._scorers, self._mode = generator, scorers, mode
        self._started: set[str | None] = set()  # None is the generator
        work = [drawer.run, *(rater.run for rater in raters.values())]
        if mode != "share":
            work = [_Turns(self._desk, drawer, raters, mode).run]
        self._threads = [threading.Thread(target=self._desk.guard, args=(one,), daemon=True) for one in work]

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(
        self, wanted: Sequence[tuple[Problem, int]] = (), pairs: Mapping[str, Sequence[Pair]] | None = None
    ) -> None:
        """Ask for candidates, which every scorer then scores, and for scores of candidates that there are already, by
        scorer. The first call loads the models. Raises ValueError for what is asked for twice.
        """
        self._start(wanted, set(self._scorers) if wanted else {label for label, mine in (pairs or {}).items() if mine})
        self._desk.admit(wanted, pairs or {})

    def poll(self, timeout_seconds: float | None = None) -> list[Event]:
        """What is finished: waits until there is something. [] after the timeout, or if nothing is being worked on.

        Raises what a generator or a scorer raised, after everything that was finished before.
        """
        return self._desk.fetch(timeout_seconds)

    def cancel(self, keys: Collection[Key]) -> None:
        """Drop candidates wherever they are: they are not drawn, not scored and not given back any more."""
        self._desk.drop(keys)

    @property
    def busy(self) -> bool:
        """Whether something is still to be fetched or worked on."""
        return self._desk.busy

    def generate(self, wanted: Sequence[tuple[Problem, int]]) -> Iterator[Candidate]:
        """Candidates as they finish, not scored. Must not be mixed with work submitted otherwise."""
        self._start(wanted, set())
        self._desk.admit(wanted, {}, rate=False)
        yield from (event.candidate for event in self._until_done() if isinstance(event, Drawn))

    def score(self, pairs: Sequence[Pair], scorer: str | None = None) -> Iterator[Score]:
        """Scores as they are known, by the scorer of that label or the first. Must not be mixed either."""
        label = scorer or self._desk.labels[0]
        self._start((), {label})
        self._desk.admit((), {label: pairs})
        yield from (event.score for event in self._until_done() if isinstance(event, Rated))

    @property
    def seconds(self) -> dict[str, float]:
        """How long generator ("generate") and scorers (by label) were at work, in seconds."""
        return dict(self._desk.seconds)

    @property
    def notes(self) -> list[str]:
        """What the models have to say of how they ran: seeds, memory that ran out."""
        return [note for part in self._parts for note in getattr(part, "notes", ())]

    @property
    def _parts(self) -> list[Any]:
        return [self._generator, *self._scorers.values()]

    def close(self) -> list[Event]:
        """End all work, threads and processes; what was finished and not fetched."""
        self._desk.stop()
        deadline = time.monotonic() + PATIENCE_SECONDS
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        for part in self._parts:
            _call(part, "close")
        return self._desk.rest()

    def _start(self, wanted: Sequence[tuple[Problem, int]], labels: Collection[str]) -> None:
        """Load what is needed, one after the other, since each looks at the memory that is free; those that take turns
        load in their turn.
        """
        if wanted and None not in self._started:
            self._started.add(None)
            _call(self._generator, "start", wanted)
        for label in sorted(set(labels) - self._started) if self._mode == "share" else ():
            self._started.add(label)
            _call(self._scorers[label], "start")
        for thread in self._threads:
            if thread.ident is None:
                thread.start()

    def _until_done(self) -> Iterator[Event]:
        try:
            while self.busy:
                yield from self.poll()
        finally:
            self._desk.drop(self._desk.owed)


def _call(part: Any, name: str, *arguments: Any) -> None:
    """A method that a plug-in may have."""
    method = getattr(part, name, None)
    if method is not None:
        method(*arguments)


class Stopped(Exception):
    """Nobody wants the work any more."""


class _Desk:
    """Where work is handed in and results are laid down; every thread's view of what is to be done, under one lock.

    `owed` has what was asked for and not yet fetched or dropped: (None, key) for a candidate, (label, key) for a score.
    """

    def __init__(self, labels: list[str], prepare: Callable[[Candidate], Candidate], backlog: int) -> None:
        self.labels, self.prepare, self.backlog = labels, prepare, backlog
        self.seconds: dict[str, float] = {}
        self._changed = threading.Condition()
        self._stopped = False
        self._failure: BaseException | None = None
        self._owed: set[tuple[str | None, Key]] = set()
        self._unrated: set[Key] = set()  # drawn for their own sake
        self._problems: dict[str, Problem] = {}
        self._wanted: deque[tuple[Problem, int]] = deque()
        self._dropped: set[Key] = set()  # that the generator has still to hear of
        self._waiting: dict[str, dict[Key, Pair]] = {label: {} for label in labels}
        self._drawing: dict[str, int] = {}  # candidates of a problem that are still to come
        self._events: deque[Event] = deque()

    # The user's side.

    def admit(
        self, wanted: Sequence[tuple[Problem, int]], pairs: Mapping[str, Sequence[Pair]], rate: bool = True
    ) -> None:
        """More work. Raises ValueError for what is already asked for."""
        with self._changed:
            new: list[tuple[str | None, Key]] = [(None, (problem.id, index)) for problem, index in wanted]
            new += [(label, candidate.key) for label, mine in pairs.items() for _, candidate in mine]
            if rate:
                new += [(label, key) for who, key in new if who is None for label in self.labels]
            twice = len(set(new)) < len(new) or self._owed & set(new)
            if twice:
                raise ValueError("the same candidate was asked for twice")
            self._owed.update(new)
            for problem, index in wanted:
                self._problems[problem.id] = problem
                self._drawing[problem.id] = self._drawing.get(problem.id, 0) + 1
                if not rate:
                    self._unrated.add((problem.id, index))
            self._wanted += wanted
            for label, mine in pairs.items():
                self._waiting[label].update({candidate.key: (problem, candidate) for problem, candidate in mine})
            self._changed.notify_all()

    def fetch(self, timeout_seconds: float | None) -> list[Event]:
        """See Engine.poll."""
        with self._changed:
            self._changed.wait_for(
                lambda: bool(self._events or self._failure or not self._owed or self._stopped), timeout_seconds
            )
            if not self._events and self._failure is not None:
                raise self._failure
            found = list(self._events)
            self._events.clear()
            self._owed.difference_update(map(_owed_by, found))
            self._changed.notify_all()
            return found

    def drop(self, keys: Collection[Key]) -> None:
        """See Engine.cancel."""
        gone = set(keys)
        with self._changed:
            running = {key for who, key in self._owed if who is None and key in gone}
            waiting = {(problem.id, index) for problem, index in self._wanted}
            for problem_id, _ in running - {event.candidate.key for event in self._events if isinstance(event, Drawn)}:
                self._drawing[problem_id] -= 1
            self._dropped |= running - waiting
            self._wanted = deque(item for item in self._wanted if (item[0].id, item[1]) not in gone)
            for mine in self._waiting.values():
                for key in gone & mine.keys():
                    del mine[key]
            self._owed = {(who, key) for who, key in self._owed if key not in gone}
            self._unrated -= gone
            self._events = deque(event for event in self._events if _owed_by(event)[1] not in gone)
            self._changed.notify_all()

    @property
    def busy(self) -> bool:
        """Whether anything is owed, or something went wrong that nobody has heard of."""
        with self._changed:
            return bool(self._owed)

    @property
    def owed(self) -> set[Key]:
        """The candidates that something is owed for."""
        with self._changed:
            return {key for _, key in self._owed}

    def stop(self) -> None:
        """Make every thread end at its next step."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def rest(self) -> list[Event]:
        """What was finished and not fetched."""
        with self._changed:
            return list(self._events)

    # The threads' side. Each call raises Stopped once nobody wants the work.

    def guard(self, work: Callable[[], None]) -> None:
        """Run a thread's work; what it raises is kept for the user and ends the others."""
        try:
            work()
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001  (a thread's boundary: raised again by fetch)
            with self._changed:
                self._failure = self._failure or error
                self._changed.notify_all()

    def _wait(self, ready: Callable[[], bool]) -> None:
        """Hold the lock until it is so."""
        self._changed.wait_for(lambda: self._over or ready())
        if self._over:
            raise Stopped

    def _wait_for_room(self) -> None:
        """Hold the lock until a result may be laid down; what is finished is not lost though nobody wants more."""
        self._changed.wait_for(lambda: self._over or len(self._events) < self.backlog)

    @property
    def _over(self) -> bool:
        return self._stopped or self._failure is not None

    @property
    def _full(self) -> bool:
        """Whether too much waits to be scored for more to be drawn."""
        return any(len(mine) >= self.backlog for mine in self._waiting.values())

    def to_draw(self, idle: bool) -> tuple[list[tuple[Problem, int]], set[Key]]:
        """(candidates newly wanted, candidates no longer wanted); waits while too much waits to be scored and, if the
        generator is idle, for something to do.
        """
        with self._changed:
            self._wait(lambda: not self._full and bool(self._wanted or self._dropped or not idle))
            found = list(self._wanted), self._dropped
            self._wanted, self._dropped = deque(), set()
            return found

    def to_draw_in_turn(self, most: int) -> tuple[list[tuple[Problem, int]], set[Key]]:
        """The same for one who has the device alone: at most so many, without waiting."""
        with self._changed:
            self._wait(lambda: True)
            count = min(most, len(self._wanted))
            found = [self._wanted.popleft() for _ in range(count)], self._dropped
            self._dropped = set()
            return found

    def to_rate(self, label: str) -> list[Pair]:
        """Everything that waits for a scorer, whole problems first, since their candidates share their question; waits
        for the first.
        """
        with self._changed:
            self._wait(lambda: bool(self._waiting[label]))
            found, self._waiting[label] = list(self._waiting[label].values()), {}
            self._changed.notify_all()
            return sorted(found, key=lambda pair: self._drawing.get(pair[0].id, 0) > 0)

    def turn(self) -> tuple[bool, list[str]]:
        """(whether something is to be drawn, the scorers for which something waits); waits for either."""
        with self._changed:
            self._wait(lambda: bool(self._wanted or self._dropped or any(self._waiting.values())))
            return bool(self._wanted or self._dropped), [label for label, mine in self._waiting.items() if mine]

    def drawn(self, candidate: Candidate) -> None:
        """Lay down a finished candidate, and hand it to the scorers."""
        candidate = self.prepare(candidate)
        with self._changed:
            self._wait_for_room()
            if (None, candidate.key) not in self._owed:
                return
            self._drawing[candidate.problem_id] -= 1
            self._events.append(Drawn(candidate))
            if candidate.key not in self._unrated:
                for mine in self._waiting.values():
                    mine[candidate.key] = self._problems[candidate.problem_id], candidate
            self._unrated.discard(candidate.key)
            self._changed.notify_all()

    def rated(self, label: str, score: Score) -> None:
        """Lay down a score."""
        with self._changed:
            self._wait_for_room()
            if (label, score.key) in self._owed:
                self._events.append(Rated(label, score))
                self._changed.notify_all()
            if self._over:
                raise Stopped

    def worked(self, name: str, seconds: float) -> None:
        """Count the time of a generator or scorer."""
        with self._changed:
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds


def _owed_by(event: Event) -> tuple[str | None, Key]:
    return (None, event.candidate.key) if isinstance(event, Drawn) else (event.scorer, event.score.key)


class _Drawer:
    """Keeps a generator going."""

    def __init__(self, desk: _Desk, generator: Stepped) -> None:
        self.desk, self.generator = desk, generator
        self.running: set[Key] = set()

    def run(self) -> None:
        """Until nobody wants more."""
        while True:
            self.step(*self.desk.to_draw(idle=not self.generator.unfinished))

    def turn(self) -> None:
        """As much as may wait to be scored, to its end: a generator that sleeps forgets what it was at."""
        self.step(*self.desk.to_draw_in_turn(self.desk.backlog))
        while self.generator.unfinished:
            self.step(*self.desk.to_draw_in_turn(0))

    def step(self, wanted: Sequence[tuple[Problem, int]], dropped: set[Key]) -> None:
        """Tell the generator, let it run once, lay down what it finished."""
        begun = time.monotonic()
        if dropped:
            self.generator.abort(dropped)
        if wanted:
            self.generator.add(wanted)
        found = self.generator.step()
        self.desk.worked("generate", time.monotonic() - begun)
        self.running = (self.running | {(problem.id, index) for problem, index in wanted}) - dropped
        self.running -= {candidate.key for candidate in found}
        if self.running and not self.generator.unfinished:
            raise InfraError(_missing("generator", self.running))
        for candidate in found:
            self.desk.drawn(candidate)


class _Rater:
    """Keeps a scorer going."""

    def __init__(self, desk: _Desk, label: str, scorer: Scorer) -> None:
        self.desk, self.label, self.scorer = desk, label, scorer

    def run(self) -> None:
        """Until nobody wants more."""
        while True:
            self.step()

    def step(self) -> None:
        """Score everything that waits."""
        pairs = self.desk.to_rate(self.label)
        begun = time.monotonic()
        keys = {candidate.key for _, candidate in pairs}
        for score in expected(f"scorer {self.label!r}", keys, self.scorer.score(pairs)):
            self.desk.worked(self.label, time.monotonic() - begun)
            self.desk.rated(self.label, score)
            begun = time.monotonic()


class _Turns:
    """One model at a time. Between its turns it sleeps (swap) or is closed (sequential), and loads anew when used."""

    def __init__(self, desk: _Desk, drawer: _Drawer, raters: Mapping[str, _Rater], mode: Mode) -> None:
        self.desk, self.drawer, self.raters, self.mode = desk, drawer, raters, mode
        self.awake: Any = None
        self.asleep: list[Any] = []

    def run(self) -> None:
        """Draw while there is something to draw, then score it; begin again."""
        while True:
            drawing, waiting = self.desk.turn()
            if drawing:
                self.rouse(self.drawer.generator)
                self.drawer.turn()
                _, waiting = self.desk.turn()
            for label in waiting:
                self.rouse(self.raters[label].scorer)
                self.raters[label].step()

    def rouse(self, part: Any) -> None:
        """Give the device to one model, after the one that had it."""
        if part is self.awake:
            return
        if self.mode == "swap":
            if self.awake is not None:
                _call(self.awake, "sleep")
                self.asleep.append(self.awake)
            if any(part is one for one in self.asleep):
                _call(part, "wake")
                self.asleep = [one for one in self.asleep if one is not part]
        elif self.awake is not None:
            _call(self.awake, "close")
        self.awake = part


class Plain:
    """Any generator, stepped: a step is the next candidate of the batch that runs."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._waiting: list[tuple[Problem, int]] = []
        self._running: set[Key] = set()
        self._dropped: set[Key] = set()
        self._batch: Iterator[Candidate] | None = None

    def add(self, wanted: Sequence[tuple[Problem, int]]) -> None:
        """More for the next batch."""
        self._waiting += wanted

    def step(self) -> list[Candidate]:
        """The next candidate, if it is still wanted."""
        if self._batch is None:
            batch, self._waiting = self._waiting, []
            self._running = {(problem.id, index) for problem, index in batch}
            self._batch = expected("generator", self._running, self._generator.generate(batch)) if batch else iter(())
        candidate = next(self._batch, None)
        if candidate is None:
            self._batch, self._running, self._dropped = None, set(), set()
            return []
        self._running = self._running - {candidate.key}
        return [] if candidate.key in self._dropped else [candidate]

    def abort(self, keys: Collection[Key]) -> None:
        """Drop what waits; what runs already is finished and thrown away."""
        self._waiting = [(problem, index) for problem, index in self._waiting if (problem.id, index) not in keys]
        self._dropped |= self._running & set(keys)

    @property
    def unfinished(self) -> int:
        """How many candidates wait or run."""
        return len(self._waiting) + (0 if self._batch is None else max(1, len(self._running)))

    def sleep(self) -> None:
        """As the generator does, if it does."""
        _call(self._generator, "sleep")

    def wake(self) -> None:
        """The reverse."""
        _call(self._generator, "wake")

    def close(self) -> None:
        """Give its memory back, if it can."""
        _call(self._generator, "close")


Keyed = TypeVar("Keyed", Candidate, Score)


def expected(what: str, wanted: Collection[Key], found: Iterable[Keyed]) -> Iterator[Keyed]:
    """Pass on what was wanted, each once. Raises InfraError for anything else and, at the end, for what is missing."""
    waiting = set(wanted)
    for item in found:
        if item.key not in waiting:
            raise InfraError(f"The {what} yielded {item.key}, which was not wanted or came twice. Mend the plug-in.")
        waiting.remove(item.key)
        yield item
    if waiting:
        raise InfraError(_missing(what, waiting))


def _missing(what: str, keys: Collection[Key]) -> str:
    return (
        f"The {what} yielded nothing for {len(keys)} candidates, {min(keys)} first. What came is stored; run the same "
        "command again to try the rest."
    )
