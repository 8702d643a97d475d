"""Models that sleep, for other processes to import: they take a fixed time and nothing of a processor."""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from tts.seeds import seed_of
from tts.types import Candidate, Key, Problem, Score

TEXT = "x = int(input())\nprint(x + 1)\n" * 30  # 900 characters


@dataclass
class Fixed:
    """A generator of `width` candidates at once, a step of `seconds` for all of them, 1 to `most` steps each.

    A step ends on the clock and not so long after the last one's end, as a device does that never waits for its host.
    """

    seconds: float
    width: int
    most: int
    waiting: list[Key] = field(default_factory=list)
    running: dict[Key, int] = field(default_factory=dict)
    due: float = 0.0

    def steps(self, key: Key) -> int:
        """How long a candidate takes."""
        return 1 + seed_of(0, *key) % self.most

    def generate(self, wanted: Sequence[tuple[Problem, int]]) -> Iterator[Candidate]:
        """All of it."""
        self.add(wanted)
        while self.unfinished:
            yield from self.step()

    def add(self, wanted: Sequence[tuple[Problem, int]]) -> None:
        """More."""
        self.waiting += [(problem.id, index) for problem, index in wanted]

    def step(self) -> list[Candidate]:
        """Wait for its end."""
        room = self.width - len(self.running)
        self.running |= {key: self.steps(key) for key in self.waiting[:room]}
        del self.waiting[:room]
        late = time.monotonic() - self.due
        self.due += self.seconds if late < self.seconds else late + self.seconds
        time.sleep(max(0.0, self.due - time.monotonic()))
        self.running = {key: left - 1 for key, left in self.running.items()}
        done = [key for key, left in self.running.items() if left == 0]
        for key in done:
            del self.running[key]
        return [Candidate(*key, TEXT, TEXT, "given", tokens=self.steps(key)) for key in done]

    def abort(self, keys: Collection[Key]) -> None:
        """Less."""
        self.waiting = [key for key in self.waiting if key not in keys]
        self.running = {key: left for key, left in self.running.items() if key not in keys}

    @property
    def unfinished(self) -> int:
        """How many."""
        return len(self.waiting) + len(self.running)


@dataclass
class FixedScore:
    """A scorer that takes no time."""

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """One after the other."""
        return (Score(*candidate.key, 1.0) for _, candidate in pairs)
