"""Generators and scorers that load nothing, take a fixed time and remember what was done to them; and waiting for what
they do.
"""

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

from tts.errors import PromptError, TtsError, UpstreamError
from tts.types import Candidate, Key, Pool, Problem, Sampling, Score, Selection

PATIENCE_SECONDS = 60.0


def until(so: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
    """Whether it is so within a time."""
    deadline = time.monotonic() + seconds
    while not so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def problem(name: str) -> Problem:
    """A problem of no content."""
    return Problem(id=name, statement=f"Solve {name}.", messages=())


def wanted(problems: int, n: int) -> list[tuple[Problem, int]]:
    """n candidates for each of so many problems."""
    return [(problem(f"p{i}"), index) for i in range(problems) for index in range(n)]


def sampled(name: str, index: int) -> Candidate:
    """What every stand-in draws for a (problem, index)."""
    return Candidate(name, index, f"{name} {index}", code=f"print({index})", extraction="given")


@dataclass
class Log:
    """What happened, in its order, seen from several threads."""

    entries: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, entry: str) -> None:
        """One more thing."""
        with self.lock:
            self.entries.append(entry)


@dataclass
class Batched:
    """A generator that can only run a batch to its end."""

    seconds: float = 0.0
    drawn: list[Key] = field(default_factory=list)

    def generate(self, wanted: Sequence[tuple[Problem, int]]) -> Iterator[Candidate]:
        """One after the other."""
        for one, index in wanted:
            time.sleep(self.seconds)
            self.drawn.append((one.id, index))
            yield sampled(one.id, index)


@dataclass
class Stepping:
    """A generator that runs `width` candidates at once for `steps` steps each, and takes and drops work between steps.

    `dies_after` steps it raises. Candidates of index `held_from` or more do not end until it is set to None.
    """

    seconds: float = 0.0
    width: int = 4
    steps: int = 2
    dies_after: int | None = None
    held_from: int | None = None
    log: Log = field(default_factory=Log)
    waiting: list[Key] = field(default_factory=list)
    running: dict[Key, int] = field(default_factory=dict)
    taken: int = 0
    drawn: list[Key] = field(default_factory=list)

    def generate(self, wanted: Sequence[tuple[Problem, int]]) -> Iterator[Candidate]:
        """All of it."""
        self.add(wanted)
        while self.unfinished:
            yield from self.step()

    def add(self, wanted: Sequence[tuple[Problem, int]]) -> None:
        """More."""
        self.waiting += [(one.id, index) for one, index in wanted]

    def step(self) -> list[Candidate]:
        """A step for all that run."""
        self.taken += 1
        if self.dies_after is not None and self.taken > self.dies_after:
            raise RuntimeError("the stand-in died")
        while self.waiting and len(self.running) < self.width:
            self.running[self.waiting.pop(0)] = self.steps
        time.sleep(self.seconds)
        self.running = {key: left - (not self.holds(key)) for key, left in self.running.items()}
        done = [key for key, left in self.running.items() if left == 0]
        for key in done:
            del self.running[key]
            self.drawn.append(key)
        self.log.add("draw")
        return [sampled(*key) for key in done]

    def holds(self, key: Key) -> bool:
        """Whether it goes on for now."""
        held_from = self.held_from
        return held_from is not None and key[1] >= held_from

    def abort(self, keys: Collection[Key]) -> None:
        """Less."""
        self.waiting = [key for key in self.waiting if key not in keys]
        self.running = {key: left for key, left in self.running.items() if key not in keys}

    @property
    def unfinished(self) -> int:
        """How many."""
        return len(self.waiting) + len(self.running)

    def start(self, wanted: Sequence[tuple[Problem, int]]) -> None:
        """Remembered."""
        self.log.add("start generator")

    def sleep(self) -> None:
        """Remembered; refused while something runs, as vLLM would lose it."""
        assert not self.unfinished
        self.log.add("sleep generator")

    def wake(self) -> None:
        """Remembered."""
        self.log.add("wake generator")

    def close(self) -> None:
        """Remembered."""
        self.log.add("close generator")


@dataclass
class Rating:
    """A scorer that takes a fixed time for each pair and gives its index. `dies_after` so many scores it raises."""

    seconds: float = 0.0
    name: str = "scorer"
    dies_after: int | None = None
    log: Log = field(default_factory=Log)
    scored: list[Key] = field(default_factory=list)
    batches: list[list[Key]] = field(default_factory=list)

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """One after the other."""
        self.batches.append([candidate.key for _, candidate in pairs])
        for _, candidate in pairs:
            time.sleep(self.seconds)
            if self.dies_after is not None and len(self.scored) >= self.dies_after:
                raise RuntimeError("the stand-in died")
            self.scored.append(candidate.key)
            self.log.add("rate")
            yield Score(*candidate.key, float(candidate.index))

    def start(self) -> None:
        """Remembered."""
        self.log.add(f"start {self.name}")

    def sleep(self) -> None:
        """Remembered."""
        self.log.add(f"sleep {self.name}")

    def wake(self) -> None:
        """Remembered."""
        self.log.add(f"wake {self.name}")

    def close(self) -> None:
        """Remembered."""
        self.log.add(f"close {self.name}")


@dataclass
class Talking(Stepping):
    """Steps as its base does and answers with the problem's own words, so that an answer tells whose it is.

    Words in them make it misbehave: "refuse me" is a prompt too long, "lose some" loses candidates of odd index, "lose
    all" all of them, "break" raises as a bug would, "silent" never ends. "alike" makes all its programs the same, "slow
    programs" take a minute each, and "no text" gives what is no candidate.
    """

    problems: dict[str, Problem] = field(default_factory=dict)
    gone: dict[Key, TtsError] = field(default_factory=dict)
    asked: list[tuple[Problem, int]] = field(default_factory=list)
    honours: frozenset[str] = frozenset(f.name for f in dataclasses.fields(Sampling))

    def add(self, wanted: Sequence[tuple[Problem, int]]) -> None:
        """More, unless it is refused."""
        for one, _ in wanted:
            if "refuse me" in words(one):
                raise PromptError("The prompt has 9000 tokens.", 9000, 64, 2048)
        self.asked += wanted
        self.problems |= {one.id: one for one, _ in wanted}
        kept = [(one, index) for one, index in wanted if not self._loses(one, index)]
        super().add(kept)

    def _loses(self, one: Problem, index: int) -> bool:
        lost = "lose all" in words(one) or ("lose some" in words(one) and index % 2 == 1)
        if lost:
            self.gone[one.id, index] = UpstreamError("the upstream is down")
        return lost

    def lost(self) -> dict[Key, TtsError]:
        """As the openai generator's."""
        found, self.gone = self.gone, {}
        return found

    def step(self) -> list[Candidate]:
        """Says what it was told."""
        for key in self.waiting:
            if "break" in words(self.problems[key[0]]):
                self.waiting, self.running = [], {}
                raise RuntimeError("the stand-in broke")
        return [self._said(candidate) for candidate in super().step()]

    def holds(self, key: Key) -> bool:
        """Also what is silent."""
        return super().holds(key) or "silent" in words(self.problems[key[0]])

    def _said(self, candidate: Candidate) -> Candidate:
        text = words(self.problems[candidate.problem_id])
        code = f"print({text!r}, {0 if 'alike' in text else candidate.index})"
        code = f"__import__('time').sleep(60); {code}" if "slow programs" in text else code
        return dataclasses.replace(
            candidate,
            text=f"```python\n{code}\n```" if "no text" not in text else cast(str, None),
            code=None,
            extraction="none",
            prompt_tokens=len(text),
            tokens=10 + candidate.index,
            logprob=-0.1 * (1 + (candidate.index * 3 + 1) % 7),
        )

    @property
    def unfinished(self) -> int:
        """What is lost and not told of counts."""
        return super().unfinished + len(self.gone)

    def close(self) -> None:
        """Forgets."""
        self.waiting, self.running = [], {}
        super().close()


@dataclass
class Counting(Talking):
    """Draws a token in each step for each candidate that runs, also for one that is held, and counts them: `drawn_of`
    has how many there are of each key, in all the times that it was asked for. Tells them of what is dropped.
    """

    drawn_of: Counter[Key] = field(default_factory=Counter)
    this_time: Counter[Key] = field(default_factory=Counter)

    def step(self) -> list[Candidate]:
        """Counts."""
        found = super().step()
        for key in [*self.running, *(candidate.key for candidate in found)]:
            self.drawn_of[key] += 1
            self.this_time[key] += 1
        return [dataclasses.replace(candidate, tokens=self.this_time.pop(candidate.key)) for candidate in found]

    def abort(self, keys: Collection[Key]) -> dict[Key, int]:
        """Less; how many tokens each had that was there."""
        there = {*self.waiting, *self.running} & set(keys)
        super().abort(keys)
        return {key: self.this_time.pop(key, 0) for key in there}


@dataclass
class Moody(Rating):
    """A scorer that fails for problems that say "scorer dies" and, for those that say "scorer sleeps", sleeps before
    until it is `woken`.
    """

    woken: threading.Event = field(default_factory=threading.Event)

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """By the problem's words."""
        for one, candidate in pairs:
            if "scorer sleeps" in words(one):
                assert self.woken.wait(PATIENCE_SECONDS)
            if "scorer dies" in words(one):
                raise RuntimeError("the scorer died")
            yield from super().score([(one, candidate)])


@dataclass(frozen=True)
class Buggy:
    """A selector that raises as a bug would."""

    def select(self, pool: Pool) -> Selection:
        """Never."""
        raise RuntimeError("the stand-in has a bug")


def words(one: Problem) -> str:
    """What the problem says."""
    return one.messages[-1].content if one.messages else one.statement
