"""Plug-ins whose speed is fixed, selectable by name (`timed:Timed`, `timed:TimedScore`) and so also in other processes:
what they give follows from (seed, problem, index) alone.
"""

import os
import signal
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from standins import until

from tts.errors import ModelError
from tts.plugins import FREE
from tts.seeds import seed_of
from tts.types import Candidate, Key, Problem, Score


@dataclass(frozen=True)
class Timed:
    """`width` candidates at once, a step of `seconds` for all, as many steps as a candidate has tokens: 1 to `most`.
    Whoever draws one of `deadly`, a list of [problem, index], is killed. `log` is a file that has a line for each that
    was drawn. As long as there is a file `held`, whoever has drawn something draws no more.
    """

    seed: int = 0
    seconds: float = field(default=0.0, metadata=FREE)
    width: int = field(default=4, metadata=FREE)
    most: int = 8
    deadly: tuple[tuple[str, int], ...] = field(default=(), metadata=FREE)
    log: str = field(default="", metadata=FREE)
    held: str = field(default="", metadata=FREE)

    def generate(self, wanted: Sequence[tuple[Problem, int]]) -> Iterator[Candidate]:
        """All of it."""
        self.add(wanted)
        while self.unfinished:
            yield from self.step()

    @property
    def _state(self) -> "_State":
        if "state" not in vars(self):
            vars(self)["state"] = _State()
        state: _State = vars(self)["state"]
        return state

    def add(self, wanted: Sequence[tuple[Problem, int]]) -> None:
        """More."""
        self._state.waiting.update(dict.fromkeys(((problem.id, index) for problem, index in wanted)))

    def steps(self, key: Key) -> int:
        """How long one takes."""
        return 1 + seed_of(self.seed, *key, "steps") % self.most

    def step(self) -> list[Candidate]:
        """A step for all that run."""
        state = self._state
        while state.drew and self.held and os.path.exists(self.held):
            time.sleep(0.01)
        while state.waiting and len(state.running) < self.width:
            key = next(iter(state.waiting))
            del state.waiting[key]
            if key in self.deadly:
                os.write(2, f"killed by {key}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)
            state.running[key] = self.steps(key)
        time.sleep(self.seconds)
        state.running = {key: left - 1 for key, left in state.running.items()}
        done = [key for key, left in state.running.items() if left == 0]
        state.drew = state.drew or bool(done)
        for key in done:
            del state.running[key]
            if self.log:
                with open(self.log, "a") as file:
                    file.write(f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES', '')} {key[0]} {key[1]}\n")
        return [self.sampled(key) for key in done]

    def sampled(self, key: Key) -> Candidate:
        """What is drawn for a key."""
        draw = seed_of(self.seed, *key)
        code = f"print({draw % 5})\n"
        return Candidate(*key, f"```python\n{code}```", tokens=self.steps(key), logprob=-(draw % 100) / 100)

    def abort(self, keys: Collection[Key]) -> None:
        """Less."""
        state = self._state
        state.waiting = {key: None for key in state.waiting if key not in keys}
        state.running = {key: left for key, left in state.running.items() if key not in keys}

    @property
    def unfinished(self) -> int:
        """How many."""
        return len(self._state.waiting) + len(self._state.running)


class _State:
    def __init__(self) -> None:
        self.waiting: dict[Key, None] = {}
        self.running: dict[Key, int] = {}
        self.drew = False


@dataclass(frozen=True)
class Refusing(Timed):
    """As `Timed`, but refuses a problem of the name "refused", once one of the name "fine" is in the log."""

    def add(self, wanted: Sequence[tuple[Problem, int]]) -> None:
        """More. Raises ModelError."""
        if any(problem.id == "refused" for problem, _ in wanted):
            log = Path(self.log)
            assert until(lambda: log.exists() and " fine " in log.read_text())
            raise ModelError("it refuses")
        super().add(wanted)


@dataclass(frozen=True)
class TimedScore:
    """`seconds` for each, a number that follows from the text. Whoever scores one of `deadly` is killed."""

    seconds: float = field(default=0.0, metadata=FREE)
    deadly: tuple[tuple[str, int], ...] = field(default=(), metadata=FREE)

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """One after the other."""
        for _, candidate in pairs:
            if candidate.key in self.deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(self.seconds)
            yield Score(*candidate.key, float(seed_of(0, candidate.text) % 1000))
