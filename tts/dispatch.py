"""Who of several engines gets what next, and what becomes of the work of one that died. Pure: knows nothing of Ray.

There are no shards: an engine gets more when it has given something back, so that long and short problems balance
themselves, and never holds more than a bounded number of candidates. It stays with a problem while it can, since
candidates of one problem share their prompt.

Work that an engine held when it died is suspect. Suspects come last, to an engine that holds nothing else: after the
first death as few at once as makes the square root of what an engine holds, after the second one alone. So what kills
whoever holds it is known by the third death, and what was merely there is finished on the way.
"""

import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from tts.engine import BACKLOG, Drawn, Event, Pair
from tts.types import Candidate, Key, Problem

DEATHS = 3  # of engines that held a candidate, the last time alone, until it is given up
RESERVE = 0.25  # of what an engine draws at once: waits there, so that no place is idle for the length of a message
RATED_AT_ONCE = 256  # finished candidates that an engine gets to score at once
DEFAULT_WIDTH = 64  # candidates at once of a generator that does not say

Owed = str | None  # a score, by the scorer's label, or the candidate itself


@dataclass(frozen=True, slots=True)
class Work:
    """A candidate to draw, then to be scored by `labels`; or one that is there already and lacks these scores.

    `died_on` has the node of each engine that died while it held this.
    """

    problem: Problem
    index: int
    labels: tuple[str, ...]
    candidate: Candidate | None = None
    died_on: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """(problem id, index)."""
        return self.problem.id, self.index


@dataclass(frozen=True, slots=True)
class Orders:
    """What an engine gets: the number of this message to it, what to draw, whether to score that, and what to score."""

    number: int
    wanted: tuple[tuple[Problem, int], ...]
    rate: bool
    pairs: Mapping[str, tuple[Pair, ...]]


@dataclass(slots=True)
class _Flight:
    """Work that an engine has, since its message of that number, and what it still owes of it."""

    work: Work
    number: int
    owed: set[Owed]


@dataclass(slots=True)
class _Held:
    """An engine: how many candidates it draws at once, whether its models take turns, and all that it has."""

    limit: int
    turns: bool
    number: int = 0
    home: str = ""
    alone: bool = False
    flights: dict[Key, _Flight] = field(default_factory=dict)

    @property
    def drawing(self) -> int:
        """Candidates to come."""
        return sum(None in flight.owed for flight in self.flights.values())


class _Waiting:
    """Work by problem, in the order of the problems."""

    def __init__(self) -> None:
        self._works: dict[str, deque[Work]] = {}

    def __bool__(self) -> bool:
        return bool(self._works)

    def of(self, problems: Collection[str]) -> Iterator[Work]:
        """What waits of these."""
        return (work for name in problems for work in self._works.get(name, ()))

    def add(self, works: Iterable[Work]) -> None:
        """More."""
        for work in works:
            self._works.setdefault(work.problem.id, deque()).append(work)

    def take(self, count: int, home: str, homes: Collection[str]) -> list[Work]:
        """So many, of the problem `home` first, then of those that are nobody's home, then of whatever has most."""
        found: list[Work] = []
        while len(found) < count and self._works:
            home = home if home in self._works else self._next(homes)
            mine = self._works[home]
            found += [mine.popleft() for _ in range(min(count - len(found), len(mine)))]
            if not mine:
                del self._works[home]
        return found

    def _next(self, homes: Collection[str]) -> str:
        free = next((name for name in self._works if name not in homes), None)
        return free if free is not None else max(self._works, key=lambda name: len(self._works[name]))

    def drop(self, keys: Collection[Key]) -> None:
        """Without these."""
        for name in {name for name, _ in keys} & self._works.keys():
            self._works[name] = deque(work for work in self._works[name] if work.key not in keys)
            if not self._works[name]:
                del self._works[name]


class Dispatch:
    """All work that was asked for: what waits, and what each engine has. Engines go by any number."""

    def __init__(self, backlog: int = BACKLOG) -> None:
        self._backlog = backlog
        self._to_draw, self._to_rate = _Waiting(), _Waiting()
        self._suspects: list[Work] = []
        self._engines: dict[int, _Held] = {}
        self._keys: set[Key] = set()

    def add(self, works: Sequence[Work]) -> None:
        """More work. Raises ValueError for a candidate that is asked for already."""
        keys = {work.key for work in works}
        if len(keys) < len(works) or keys & self._keys:
            raise ValueError("the same candidate was asked for twice")
        self._keys |= keys
        self._put(works)

    def _put(self, works: Iterable[Work]) -> None:
        for work in works:
            (self._to_draw if work.candidate is None else self._to_rate).add([work])

    def join(self, engine: int, width: int | None, turns: bool, in_flight: int | None = None) -> None:
        """An engine is there and has nothing. `in_flight` bounds what it draws, by default to its `width` and a
        reserve; with `turns` it must not score while it could draw.
        """
        width = width or DEFAULT_WIDTH
        self._engines[engine] = _Held(in_flight or width + max(1, math.ceil(width * RESERVE)), turns)

    @property
    def busy(self) -> bool:
        """Whether anything is still to come."""
        return bool(self._keys)

    def held(self, engine: int) -> int:
        """How many candidates an engine has."""
        return len(self._engines[engine].flights) if engine in self._engines else 0

    def give(self, engine: int) -> Orders | None:
        """What this engine should get now, which it then has; None for nothing."""
        mine = self._engines.get(engine)
        if mine is None or (mine.alone and mine.flights):
            return None
        mine.alone = False
        works = self._next_draws(mine)
        if not (mine.turns and (self._to_draw or mine.drawing or works)):
            works += self._next_pairs(mine)
        if not works and not mine.flights and not self._to_draw and not self._to_rate:
            works = self._next_suspects(mine)
            mine.alone = bool(works)
        return self._orders(mine, works) if works else None

    def _next_draws(self, mine: _Held) -> list[Work]:
        """As many as there is room for, once there is room for more than a little: a message for each is dear."""
        room = mine.limit - mine.drawing
        few = mine.limit - math.ceil(mine.limit / (1 + RESERVE / 2))
        if room < max(1, few) or len(mine.flights) - mine.drawing >= self._backlog:
            return []
        works = self._to_draw.take(room, mine.home, {one.home for one in self._engines.values()})
        mine.home = works[-1].problem.id if works else mine.home
        return works

    def _next_pairs(self, mine: _Held) -> list[Work]:
        rating = sum(flight.work.candidate is not None for flight in mine.flights.values())
        room = RATED_AT_ONCE - rating
        return self._to_rate.take(room, mine.home, ()) if room >= RATED_AT_ONCE // 4 else []

    def _next_suspects(self, mine: _Held) -> list[Work]:
        """Those that one engine has died with, a few; else one that more have died with."""
        once = [work for work in self._suspects if len(work.died_on) == 1][: math.isqrt(mine.limit) or 1]
        chosen = once or self._suspects[:1]
        gone = {work.key for work in chosen}
        self._suspects = [work for work in self._suspects if work.key not in gone]
        return chosen

    def _orders(self, mine: _Held, works: Sequence[Work]) -> Orders:
        mine.number += 1
        pairs: dict[str, list[Pair]] = {}
        for work in works:
            owed: set[Owed] = set(work.labels)
            if work.candidate is None:
                owed = {None} if mine.turns else owed | {None}
            mine.flights[work.key] = _Flight(work, mine.number, owed)
            if work.candidate is not None:
                for label in work.labels:
                    pairs.setdefault(label, []).append((work.problem, work.candidate))
        wanted = tuple((work.problem, work.index) for work in works if work.candidate is None)
        rate = not mine.turns and any(work.labels for work in works if work.candidate is None)
        return Orders(mine.number, wanted, rate, {label: tuple(some) for label, some in pairs.items()})

    def heard(self, engine: int, number: int, events: Iterable[Event]) -> list[Event]:
        """What an engine that had read its messages up to `number` has finished; without what nobody wants any more."""
        return [event for event in events if self._settle(self._engines[engine], number, event)]

    def _settle(self, mine: _Held, number: int, event: Event) -> bool:
        key, owed = _owed_by(event)
        flight = mine.flights.get(key)
        if flight is None or flight.number > number or owed not in flight.owed:
            return False  # cancelled, and perhaps asked for again
        flight.owed.remove(owed)
        if isinstance(event, Drawn):
            flight.work = replace(flight.work, candidate=event.candidate)
        if not flight.owed:
            del mine.flights[key]
            if isinstance(event, Drawn) and flight.work.labels:  # its scores come later, from whoever has room
                self._put([flight.work])
            else:
                self._keys.remove(key)
        return True

    def died(self, engine: int, node: str, stands: Callable[[str], bool]) -> list[Work]:
        """An engine is gone, and with it what it had: that is to be done again, but for what is returned, which is
        given up. `stands` says of a node whether it is still there: a candidate is not blamed for a node's death.
        """
        mine = self._engines.pop(engine, None)
        if mine is None:
            return []
        alone = len(mine.flights) == 1
        given_up = []
        for flight in mine.flights.values():
            labels = tuple(label for label in flight.work.labels if None in flight.owed or label in flight.owed)
            died_on = tuple(filter(stands, (*flight.work.died_on, node)))
            work = replace(flight.work, labels=labels, died_on=died_on)
            if alone and len(died_on) >= DEATHS:
                self._keys.remove(work.key)
                given_up.append(work)
            elif died_on:
                self._suspects.append(work)
            else:
                self._put([work])
        return given_up

    def cancel(self, keys: Collection[Key], spare_drawn: bool = False) -> "Cancelled":
        """Drop candidates wherever they are, or with `spare_drawn` those alone that have not come yet."""
        coming = {work.key for work in self._undrawn({name for name, _ in keys})} & set(keys)
        gone = coming if spare_drawn else set(keys) & self._keys
        self._keys -= gone
        for waiting in (self._to_draw, self._to_rate):
            waiting.drop(gone)
        self._suspects = [work for work in self._suspects if work.key not in gone]
        engines = [engine for engine, mine in self._engines.items() if gone & mine.flights.keys()]
        for mine in self._engines.values():
            mine.flights = {key: flight for key, flight in mine.flights.items() if key not in gone}
        return Cancelled(frozenset(gone), frozenset(coming), engines)

    def _undrawn(self, problems: Collection[str]) -> Iterator[Work]:
        held = (flight.work for mine in self._engines.values() for flight in mine.flights.values())
        works = chain(self._to_draw.of(problems), self._suspects, held)
        return (work for work in works if work.candidate is None)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What is dropped, what of it had not been drawn, and the engines that are to be told."""

    keys: frozenset[Key]
    undrawn: frozenset[Key]
    engines: list[int]


def _owed_by(event: Event) -> tuple[Key, Owed]:
    return (event.candidate.key, None) if isinstance(event, Drawn) else (event.score.key, event.scorer)


def works_of(
    wanted: Sequence[tuple[Problem, int]], pairs: Mapping[str, Sequence[Pair]], labels: Sequence[str]
) -> list[Work]:
    """Work for candidates that every one of `labels` shall score, and for scores of those that there are, by scorer."""
    works = {(problem.id, index): Work(problem, index, tuple(labels)) for problem, index in wanted}
    if len(works) < len(wanted):
        raise ValueError("the same candidate was asked for twice")
    for label, mine in pairs.items():
        for problem, candidate in mine:
            known = works.get(candidate.key)
            if known is not None and (known.candidate is None or label in known.labels):
                raise ValueError("the same candidate was asked for twice")
            before = known.labels if known is not None else ()
            works[candidate.key] = Work(problem, candidate.index, (*before, label), candidate)
    return list(works.values())
