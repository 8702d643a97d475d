"""A generator and its scorers side by side: what runs when, what waits for whom, what is dropped.

In mode `share` each runs in a thread of its own and candidates are scored while others are drawn. Queues hold the
quicker back: nothing is drawn while too much waits to be scored, and nothing is drawn or scored while too much waits to
be fetched. In `swap` and `sequential` there is no thread: whoever polls runs one model, while the others sleep or are
closed, until something is finished. What a memory plan gives to whom is `planning.py`'s; nothing is stored here.
"""

import math
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from typing import Any, Protocol, TypeVar

from tts.errors import InfraError, counted, shown
from tts.memory import Mode
from tts.protocols import Generator, Scorer, Stepped
from tts.types import Candidate, Key, Problem, Score

Pair = tuple[Problem, Candidate]
BACKLOG = 4096  # candidates that may wait to be scored, and results to be fetched
CHUNK = 1024  # pairs that a scorer gets at once: what it has is scored, whoever cancels it
WIDTHS = ("max_num_seqs", "batch_size", "width")  # a generator's options of that meaning
THREAD = "tts-engine"  # how the threads in which models run are named
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


@dataclass(frozen=True, slots=True)
class Failed:
    """Our own machinery failed on a candidate, again and again, and nothing more comes of it; `why` has the end of
    the machinery's log. Only engines that outlive such a failure have this to tell.
    """

    key: Key
    why: str


Event = Drawn | Rated
Tell = Callable[[Key, int | None], None]  # takes a candidate that was cancelled, and its tokens if they are known


class Working(Protocol):
    """What a run asks of an engine, whether it is one of this process or many elsewhere."""

    def submit(
        self, wanted: Sequence[tuple[Problem, int]] = (), pairs: Mapping[str, Sequence[Pair]] | None = None
    ) -> None:
        """See Engine."""

    def poll(self, timeout_seconds: float | None = None) -> "Sequence[Event | Failed]":
        """See Engine."""

    def cancel(self, keys: Collection[Key], spare_drawn: bool = False) -> set[Key]:
        """See Engine."""

    def close(self) -> "Sequence[Event | Failed]":
        """See Engine."""

    @property
    def busy(self) -> bool:
        """See Engine."""

    @property
    def seconds(self) -> dict[str, float]:
        """See Engine."""

    @property
    def notes(self) -> list[str]:
        """See Engine."""


def as_sampled(candidate: Candidate) -> Candidate:
    """No extraction: candidates are scored as the generator gives them."""
    return candidate


class Engine:
    """Admits work at any time (`submit`), gives back what is finished (`poll`), and drops what nobody wants (`cancel`).

    One thread may use it; once the models are loaded, others may submit and cancel while it polls. `prepare` turns a
    sampled candidate into what is scored (extraction); the order of scorers is kept. It is a context manager: leaving
    ends every thread and every process of its models.
    """

    def __init__(
        self,
        generator: Generator,
        scorers: Mapping[str, Scorer],
        mode: Mode = "share",
        prepare: Callable[[Candidate], Candidate] = as_sampled,
        backlog: int = BACKLOG,
    ) -> None:
        self._desk = _Desk(list(scorers), prepare, backlog if mode == "share" else None)
        stepped: Stepped = generator if isinstance(generator, Stepped) else Plain(generator)
        drawer = _Drawer(self._desk, stepped)
        raters = {label: _Rater(self._desk, label, scorer) for label, scorer in scorers.items()}
        self.mode: Mode = mode
        self._generator, self._scorers = generator, scorers
        self._started: set[str | None] = set()  # None is the generator
        self._checked: set[str] = set()
        self._turns = None if mode == "share" else _Turns(drawer, raters, mode)
        work = [drawer.run, *(rater.run for rater in raters.values())] if mode == "share" else []
        self._threads = [
            threading.Thread(target=self._desk.guard, args=(one,), daemon=True, name=THREAD) for one in work
        ]
        for scorer in scorers.values() if mode == "share" else ():
            call(scorer, "borrow", generator)

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(
        self,
        wanted: Sequence[tuple[Problem, int]] = (),
        pairs: Mapping[str, Sequence[Pair]] | None = None,
        scorers: Collection[str] | None = None,
    ) -> None:
        """Ask for candidates, which every scorer then scores, or those of these labels, and for scores of candidates
        that there are already, by scorer. The first call loads the models. Raises ValueError for what is asked for
        twice.
        """
        raters = set(self._scorers) if scorers is None else set(scorers)
        self._start(wanted, raters if wanted else {label for label, mine in (pairs or {}).items() if mine})
        self._desk.admit(wanted, pairs or {}, raters)
        if wanted:
            call(self._generator, "nudge")

    def poll(self, timeout_seconds: float | None = None) -> list[Event]:
        """What is finished: waits until there is something. [] after the timeout, or if nothing is being worked on.

        Raises what a generator or a scorer raised, after everything that was finished before. Where models take turns,
        a step that has begun is ended although the time is over.
        """
        if self._turns is not None:
            self._take_turns(self._turns, timeout_seconds)
        return self._desk.fetch(timeout_seconds)

    def _take_turns(self, turns: "_Turns", timeout_seconds: float | None) -> None:
        deadline = math.inf if timeout_seconds is None else time.monotonic() + timeout_seconds
        while self._desk.waited_for and time.monotonic() < deadline:
            turns.step()

    def cancel(self, keys: Collection[Key], spare_drawn: bool = False, tell: Tell | None = None) -> set[Key]:
        """Drop candidates wherever they are: they are not given back any more, and not drawn or scored unless a
        model is at it already. They may be asked for again. `spare_drawn` leaves those alone that are drawn, though
        not fetched yet or not scored. Returns the candidates that were dropped before they were drawn.

        `tell` is called once for each candidate that is dropped and was not fetched, unless the engine ends first: at
        once, or when the generator's step is over, from its thread (where models take turns, from whoever polls for
        something next). It must neither wait nor raise.
        """
        dropped = self._desk.drop(keys, spare_drawn, tell)
        if dropped:
            call(self._generator, "nudge")
        return dropped

    @property
    def busy(self) -> bool:
        """Whether poll has something to give or to raise, now or later."""
        return self._desk.busy

    def generate(self, wanted: Sequence[tuple[Problem, int]]) -> Iterator[Candidate]:
        """Candidates as they finish, not scored. Must not be mixed with work submitted otherwise."""
        self.submit(wanted, scorers=())
        yield from (event.candidate for event in self._until_done() if isinstance(event, Drawn))

    def score(self, pairs: Sequence[Pair], scorer: str | None = None) -> Iterator[Score]:
        """Scores as they are known, by the scorer of that label or the first. Must not be mixed either."""
        label = scorer or self._desk.labels[0]
        self._start((), {label})
        self._desk.admit((), {label: pairs}, set())
        yield from (event.score for event in self._until_done() if isinstance(event, Rated))

    @property
    def seconds(self) -> dict[str, float]:
        """How long generator ("generate") and scorers (by label) were at work, in seconds."""
        return dict(self._desk.seconds)

    @property
    def width(self) -> int | None:
        """How many candidates the generator draws at once; None where it does not say."""
        widths = (getattr(self._generator, name, None) for name in WIDTHS)
        return next((width for width in widths if isinstance(width, int)), None)

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
        with ExitStack() as closing:  # each, though another's fails
            for part in self._parts:
                closing.callback(call, part, "close")
        return self._desk.rest()

    def _start(self, wanted: Sequence[tuple[Problem, int]], labels: Collection[str]) -> None:
        """Load what is needed, one after the other, since each looks at the memory that is free; models that take turns
        load in their turn.
        """
        for label in sorted(set(labels) - self._checked):
            self._checked.add(label)
            call(self._scorers[label], "check")
        if not self._threads:
            return
        if wanted and None not in self._started:
            self._started.add(None)
            call(self._generator, "start", wanted)
        for label in sorted(set(labels) - self._started):
            self._started.add(label)
            call(self._scorers[label], "start")
        for thread in self._threads:
            if thread.ident is None:
                thread.start()

    def _until_done(self) -> Iterator[Event]:
        try:
            while self.busy:
                yield from self.poll()
        finally:
            self._desk.drop(self._desk.owed)


def call(part: Any, name: str, *arguments: Any) -> None:
    """A method that a plug-in may have."""
    method = getattr(part, name, None)
    if method is not None:
        method(*arguments)


class Stopped(Exception):
    """Nobody wants the work any more."""


class _Desk:
    """Where work is handed in and results are laid down; every thread's view of what is to be done, under one lock.

    `owed` has what was asked for and not yet fetched or dropped: (None, key) for a candidate, (label, key) for a score,
    each with the number of its admission, so that a result that was cancelled is not taken for one asked for later.
    """

    def __init__(self, labels: list[str], prepare: Callable[[Candidate], Candidate], backlog: int | None) -> None:
        self.labels, self.prepare, self.backlog = labels, prepare, backlog or sys.maxsize
        self.seconds: dict[str, float] = {}
        self._changed = threading.Condition()
        self._stopped = False
        self._failure: BaseException | None = None
        self._admissions = 0
        self._owed: dict[tuple[str | None, Key], int] = {}
        self._left: Counter[str] = Counter()  # how much is owed of a problem
        self._raters: dict[Key, Collection[str]] = {}  # of what is to be drawn
        self._problems: dict[str, Problem] = {}
        self._wanted: dict[Key, _Job] = {}
        self._dropped: set[Key] = set()  # that the generator has still to hear of
        self._listening: dict[tuple[Key, int], Tell] = {}  # for what was drawn of a dropped candidate, by its admission
        self._waiting: dict[str, dict[Key, tuple[Pair, int]]] = {label: {} for label in labels}
        self._drawing: Counter[str] = Counter()  # candidates of a problem that are still to come
        self._events: deque[Event] = deque()

    # The user's side.

    def admit(
        self, wanted: Sequence[tuple[Problem, int]], pairs: Mapping[str, Sequence[Pair]], raters: Collection[str]
    ) -> None:
        """More work; what is drawn is scored by `raters`. Raises ValueError for what is already asked for."""
        drawn = [(problem.id, index) for problem, index in wanted]
        new: list[tuple[str | None, Key]] = [(label, pair[1].key) for label, mine in pairs.items() for pair in mine]
        new += [(who, key) for key in drawn for who in (None, *raters)]
        with self._changed:
            if len(set(new)) < len(new) or self._owed.keys() & set(new):
                raise ValueError("the same candidate was asked for twice")
            self._admissions += 1
            self._owed.update(dict.fromkeys(new, self._admissions))
            self._left.update(key[0] for _, key in new)
            for problem, index in wanted:
                self._problems[problem.id] = problem
                self._drawing[problem.id] += 1
                self._wanted[problem.id, index] = _Job(problem, index, self._admissions)
            self._raters |= dict.fromkeys(drawn, raters)
            for label, mine in pairs.items():
                self._waiting[label].update({pair[1].key: (pair, self._admissions) for pair in mine})
            self._changed.notify_all()

    def fetch(self, timeout_seconds: float | None) -> list[Event]:
        """See Engine.poll."""
        with self._changed:
            self._changed.wait_for(lambda: not self.waited_for, timeout_seconds)
            if not self._events and self._failure is not None:
                raise self._failure
            found = list(self._events)
            self._events.clear()
            self._settle([_owed_by(event) for event in found])
            self._changed.notify_all()
            return found

    def drop(self, keys: Collection[Key], spare_drawn: bool = False, tell: Tell | None = None) -> set[Key]:
        """See Engine.cancel."""
        gone = set(keys)
        with self._changed:
            coming = {key for who, key in self._owed if who is None and key in gone}
            drawn = {event.candidate.key: event.candidate.tokens for event in self._events if isinstance(event, Drawn)}
            coming -= drawn.keys()
            gone = coming if spare_drawn else gone
            running = coming - self._wanted.keys()
            known = {key: tokens for key, tokens in drawn.items() if key in gone} | dict.fromkeys(coming - running, 0)
            if tell is not None:
                self._listening |= {(key, self._owed[None, key]): tell for key in running}
            for problem_id, _ in coming:
                self._drawing[problem_id] -= 1
            self._dropped |= running
            self._wanted = {key: job for key, job in self._wanted.items() if key not in gone}
            for label, mine in self._waiting.items():
                self._waiting[label] = {key: held for key, held in mine.items() if key not in gone}
            self._settle([owed for owed in self._owed if owed[1] in gone])
            for key in coming:
                del self._raters[key]
            self._events = deque(event for event in self._events if _owed_by(event)[1] not in gone)
            self._changed.notify_all()
        if tell is not None:
            for key, tokens in known.items():
                tell(key, tokens)
        return coming

    def _settle(self, owed: Sequence[tuple[str | None, Key]]) -> None:
        """These are not owed any more; a problem of which nothing is owed is forgotten: a server's come without end."""
        for who, key in owed:
            del self._owed[who, key]
            self._left[key[0]] -= 1
            if not self._left[key[0]]:
                for held in (self._left, self._problems, self._drawing):
                    held.pop(key[0], None)

    @property
    def waited_for(self) -> bool:
        """Whether one who polls must wait: something is owed, nothing is there, and nothing went wrong."""
        with self._changed:
            return bool(self._owed) and not (self._events or self._over)

    @property
    def busy(self) -> bool:
        """Whether anything is owed that may still come, or something went wrong that nobody has heard of."""
        with self._changed:
            return bool(self._events or self._failure or (self._owed and not self._stopped))

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

    # The workers' side. A call that waits raises Stopped once nobody wants the work.

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

    def to_draw(self, idle: bool) -> "tuple[list[_Job], set[Key]]":
        """(candidates newly wanted, candidates no longer wanted); waits while too much waits to be scored and, if the
        generator is idle, for something to do.
        """
        with self._changed:
            self._wait(lambda: bool(self._dropped) or (not self._full and bool(self._wanted or not idle)))
            return self._take()

    def _take(self) -> "tuple[list[_Job], set[Key]]":
        found = list(self._wanted.values()), self._dropped
        self._wanted, self._dropped = {}, set()
        return found

    def now(self) -> "tuple[list[_Job], set[Key], list[str]]":
        """The same without waiting, and the scorers for which something waits."""
        with self._changed:
            return *self._take(), [label for label, mine in self._waiting.items() if mine]

    def to_rate(self, label: str, wait: bool = True) -> list[tuple[Pair, int]]:
        """Pairs for a scorer, with their admissions: whole problems first, since their candidates share their question;
        waits for the first, or gives none.
        """
        with self._changed:
            if wait:
                self._wait(lambda: bool(self._waiting[label]))
            waiting = self._waiting[label]
            ready = sorted(waiting, key=lambda key: self._drawing[key[0]] > 0)[:CHUNK]
            found = [waiting.pop(key) for key in ready]
            self._changed.notify_all()
            return found

    def drawn(self, candidate: Candidate, admission: int) -> None:
        """Lay down a finished candidate, and hand it to the scorers."""
        candidate = self.prepare(candidate)
        with self._changed:
            self._wait_for_room()
            wanted = self._owed.get((None, candidate.key)) == admission
            if wanted:
                self._lay(candidate, admission)
        if not wanted:
            self.tell_of(candidate.key, admission, candidate.tokens)

    def _lay(self, candidate: Candidate, admission: int) -> None:
        """With the lock held."""
        self._drawing[candidate.problem_id] -= 1
        self._events.append(Drawn(candidate))
        pair = self._problems[candidate.problem_id], candidate
        for label in self._raters.pop(candidate.key):
            self._waiting[label][candidate.key] = pair, admission
        self._changed.notify_all()

    def tell_of(self, key: Key, admission: int, tokens: int | None) -> None:
        """Nothing more comes of a candidate that was dropped: tell who wants to know."""
        with self._changed:
            tell = self._listening.pop((key, admission), None)
        if tell is not None:
            tell(key, tokens)

    def rated(self, label: str, score: Score, admission: int) -> None:
        """Lay down a score."""
        with self._changed:
            self._wait_for_room()
            if self._owed.get((label, score.key)) == admission:
                self._events.append(Rated(label, score))
                self._changed.notify_all()
            if self._over:
                raise Stopped

    def worked(self, name: str, seconds: float) -> None:
        """Count the time of a generator or scorer."""
        with self._changed:
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds


@dataclass(frozen=True, slots=True)
class _Job:
    """A candidate to draw, and the admission with which it was asked for."""

    problem: Problem
    index: int
    admission: int

    @property
    def key(self) -> Key:
        """(problem id, index)."""
        return self.problem.id, self.index


def _owed_by(event: Event) -> tuple[str | None, Key]:
    return (None, event.candidate.key) if isinstance(event, Drawn) else (event.scorer, event.score.key)


class _Drawer:
    """Keeps a generator going. `running` has the admissions of what it has."""

    def __init__(self, desk: _Desk, generator: Stepped) -> None:
        self.desk, self.generator = desk, generator
        self.running: dict[Key, int] = {}

    def run(self) -> None:
        """Until nobody wants more."""
        while True:
            self.step(*self.desk.to_draw(idle=not self.generator.unfinished))

    def step(self, wanted: Sequence[_Job], dropped: set[Key]) -> None:
        """Tell the generator, let it run once, lay down what it finished."""
        begun = time.monotonic()
        if dropped:
            self._drop(dropped)
        if wanted:
            self.running |= {job.key: job.admission for job in wanted}
            self.generator.add([(job.problem, job.index) for job in wanted])
        found = self.generator.step()
        self.desk.worked("generate", time.monotonic() - begun)
        for candidate in found:
            admission = self.running.pop(candidate.key, None)
            if admission is not None:
                self.desk.drawn(candidate, admission)
        if self.running and not self.generator.unfinished:
            raise InfraError(_missing("generator", self.running))

    def _drop(self, keys: set[Key]) -> None:
        tokens = self.generator.abort(keys) or {}
        for key in keys & self.running.keys():
            self.desk.tell_of(key, self.running.pop(key), tokens.get(key))


class _Rater:
    """Keeps a scorer going."""

    def __init__(self, desk: _Desk, label: str, scorer: Scorer) -> None:
        self.desk, self.label, self.scorer = desk, label, scorer

    def run(self) -> None:
        """Until nobody wants more."""
        while True:
            for _ in self.rate(self.desk.to_rate(self.label)):
                pass

    def rate(self, given: Sequence[tuple[Pair, int]]) -> Iterator[None]:
        """Score these, laying down each score as it is known."""
        admissions = {pair[1].key: number for pair, number in given}
        begun = time.monotonic()
        for score in scored(f"scorer {self.label!r}", self.scorer, [pair for pair, _ in given]):
            self.desk.worked(self.label, time.monotonic() - begun)
            self.desk.rated(self.label, score, admissions[score.key])
            yield
            begun = time.monotonic()


class OneAwake:
    """Gives the device to one model at a time: between its turns a model sleeps (swap) or is closed (sequential), and
    loads anew when used. Parts that hold nothing, which have no `close`, need no turn, and none does where all share
    the device.
    """

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        self.awake: Any = None
        self.asleep: list[Any] = []

    def rouse(self, part: Any) -> None:
        """The device is this part's, after the one that had it."""
        if self.mode == "share" or part is self.awake or not hasattr(part, "close"):
            return
        if self.mode == "swap":
            if self.awake is not None:
                call(self.awake, "sleep")
                self.asleep.append(self.awake)
            if any(part is one for one in self.asleep):
                call(part, "wake")
                self.asleep = [one for one in self.asleep if one is not part]
        elif self.awake is not None:
            self.awake.close()
        self.awake = part


class _Turns:
    """One model at a time: everything is drawn, then scored."""

    def __init__(self, drawer: _Drawer, raters: Mapping[str, _Rater], mode: Mode) -> None:
        self.drawer, self.raters = drawer, raters
        self.rating: Iterator[None] | None = None
        self.device = OneAwake(mode)

    def step(self) -> None:
        """The next step of a generator, or the next score."""
        if self.rating is not None:
            if next(self.rating, self) is self:
                self.rating = None
            return
        wanted, dropped, waiting = self.drawer.desk.now()
        if wanted or self.drawer.generator.unfinished:
            self.device.rouse(self.drawer.generator)
            self.drawer.step(wanted, dropped)
        elif waiting:
            rater = self.raters[waiting[0]]
            self.device.rouse(rater.scorer)
            self.rating = rater.rate(rater.desk.to_rate(waiting[0], wait=False))


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
            draw = partial(self._generator.generate, batch)
            self._batch = expected("generator", self._running, draw) if batch else iter(())
        candidate = next(self._batch, None)
        if candidate is None:
            self._batch, self._running, self._dropped = None, set(), set()
            return []
        self._running = self._running - {candidate.key}
        return [] if candidate.key in self._dropped else [candidate]

    def abort(self, keys: Collection[Key]) -> dict[Key, int]:
        """Drop what waits, of which nothing is drawn; what runs already is finished and thrown away."""
        waiting = {(problem.id, index) for problem, index in self._waiting} & set(keys)
        self._waiting = [(problem, index) for problem, index in self._waiting if (problem.id, index) not in keys]
        self._dropped |= self._running & set(keys)
        return dict.fromkeys(waiting, 0)

    @property
    def unfinished(self) -> int:
        """How many candidates wait or run."""
        return len(self._waiting) + (0 if self._batch is None else max(1, len(self._running)))

    def sleep(self) -> None:
        """As the generator does, if it does."""
        call(self._generator, "sleep")

    def wake(self) -> None:
        """The reverse."""
        call(self._generator, "wake")

    def close(self) -> None:
        """Give its memory back, if it can."""
        call(self._generator, "close")


Keyed = TypeVar("Keyed", Candidate, Score)


def scored(what: str, scorer: Scorer, pairs: Sequence[Pair]) -> Iterator[Score]:
    """The score of each pair, as it is known: a finite number, or None with the reason. Raises as `expected` does, and
    InfraError for what is no number.
    """
    wanted = [candidate.key for _, candidate in pairs]
    return (_finite(what, score) for score in expected(what, wanted, partial(scorer.score, pairs)))


def _finite(what: str, score: Score) -> Score:
    value: Any = score.value  # a user's own scorer may say anything
    if value is None:
        return score
    if not isinstance(value, Real):  # numpy's are, a tensor and a text are not
        got = f"{type(value).__name__} {shown(value)}"
        raise InfraError(f"The {what} gives {score.key} the {got}; a score is a number or None. Mend the plug-in.")
    if not math.isfinite(value):
        return replace(score, value=None, why=f"not finite: {value}")
    return replace(score, value=float(value))


def expected(what: str, wanted: Collection[Key], ask: Callable[[], Iterable[Keyed]]) -> Iterator[Keyed]:
    """Pass on what was wanted, each once. Raises InfraError for anything else and, at the end, for what is missing.
    What is raised meanwhile, which may be a bug of a user's own, gets a note of whose it is and how far it came.
    """
    waiting = dict.fromkeys(wanted)
    for item in _noted(what, waiting, ask):
        if item.key not in waiting:
            raise InfraError(f"The {what} yielded {item.key}, which was not wanted or came twice. Mend the plug-in.")
        del waiting[item.key]
        yield item
    if waiting:
        raise InfraError(_missing(what, waiting))


def _noted(what: str, waiting: Collection[Key], ask: Callable[[], Iterable[Keyed]]) -> Iterator[Keyed]:
    try:
        yield from ask()
    except Exception as error:
        error.add_note(f"It came out of the {what}. {_missing(what, waiting)}")
        raise


def _missing(what: str, keys: Collection[Key]) -> str:
    first = f", {next(iter(keys))} first" if keys else ""
    return (
        f"The {what} yielded nothing for {counted(len(keys), 'candidate')}{first}. What came is stored; run the same "
        "command again to try the rest."
    )
