"""Models that may fail without taking the server with them: what a generator or scorer raises becomes data.

What stands for a candidate that was lost is `Lost`; a pair that could not be scored has a score of None whose `why`
begins with FAILED. A generator that broke is closed, and loads anew for the next request; a scorer that had borrowed
its weights borrows the new ones.
"""

import logging
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from tts.engine import Pair, Plain, call, scored
from tts.errors import InfraError, TtsError, UpstreamError, UserError
from tts.protocols import Generator, Scorer, Stepped
from tts.serving.refusals import brief, discreet
from tts.types import Candidate, Key, Problem, Score, token_count

LOG = logging.getLogger("tts.serve")
TRIED_AGAIN_SECONDS = 30.0  # after a generator broke, from when the next request is to find out whether it loads anew
FAILED = "the scorer failed: "


@dataclass(frozen=True, slots=True)
class Lost(Candidate):
    """In the place of a candidate that will not come: why."""

    error: TtsError = field(default_factory=lambda: InfraError("nobody said why"))


class _Notes:
    """Logs what a model has to say of how it runs, each note once."""

    def __init__(self, model: object) -> None:
        self._model = model
        self._told: set[str] = set()

    def log(self) -> None:
        """Those that are new."""
        for note in getattr(self._model, "notes", ()):
            if note not in self._told:
                self._told.add(note)
                LOG.info("%s", note)


def failed(score: Score) -> bool:
    """Whether a score is None because its scorer failed."""
    return score.value is None and score.why.startswith(FAILED)


def _with_counts(candidate: Candidate) -> Candidate:
    return replace(candidate, tokens=token_count(candidate.tokens), prompt_tokens=token_count(candidate.prompt_tokens))


class GuardedGenerator:
    """Stepped, whatever the generator is. `failure` is what it broke of last, until it gives something again or there
    was time enough for whatever it was to pass.

    `closings` is how often it broke and was closed, so that a borrower can tell whether its weights are still these.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._inner: Stepped = generator if isinstance(generator, Stepped) else Plain(generator)
        self._notes = _Notes(generator)
        self._running: set[Key] = set()
        self._lost: list[Lost] = []
        self._lock = threading.Lock()  # a model is not loaded for two at once
        self._failed: tuple[TtsError, float] | None = None  # and when
        self.closings = 0

    @property
    def failure(self) -> TtsError | None:
        """Why no request should be sent here now."""
        if self._failed is None or time.monotonic() - self._failed[1] > TRIED_AGAIN_SECONDS:
            return None
        return self._failed[0]

    def generate(self, wanted: Sequence[tuple[Problem, int]]) -> Iterator[Candidate]:
        """All of it, what is lost included."""
        self.add(wanted)
        while self.unfinished:
            yield from self.step()

    def start(self, wanted: Sequence[tuple[Problem, int]]) -> None:
        """Load the model; what goes wrong here is raised, since nothing is served yet."""
        call(self._generator, "start", wanted)

    def add(self, wanted: Sequence[tuple[Problem, int]]) -> None:
        """Ask for candidates; those of a problem that is refused are lost, the others are not."""
        for _, pairs in groupby(wanted, key=lambda pair: pair[0].id):
            mine = list(pairs)
            keys = [(problem.id, index) for problem, index in mine]
            self._running |= set(keys)
            try:
                with self._lock:
                    self._inner.add(mine)
            except UserError as error:
                self._lose(keys, error)
            except Exception as error:  # noqa: BLE001  (the server's boundary; logged)
                self._break(error)

    def step(self) -> list[Candidate]:
        """What finished or was lost."""
        found: list[Candidate] = []
        if self._inner.unfinished:
            try:
                with self._lock:
                    found = [_with_counts(candidate) for candidate in self._inner.step()]
                self._hear()
                self._notes.log()
            except Exception as error:  # noqa: BLE001  (the server's boundary; logged)
                self._break(error)
        if found:
            self._failed = None
        self._running -= {candidate.key for candidate in found}
        lost, self._lost = self._lost, []
        return [*found, *lost]

    def _hear(self) -> None:
        """Take what a generator gives up one by one, which it would else raise."""
        lost = getattr(self._inner, "lost", None)
        for key, error in lost().items() if lost is not None else ():
            LOG.warning("A candidate of %s was lost: %s", key[0], error)
            if isinstance(error, UpstreamError) and not error.of_one_request:
                self._failed = error, time.monotonic()
            self._lose([key], error)

    def _lose(self, keys: Collection[Key], error: TtsError) -> None:
        mine = self._running & set(keys)
        self._running -= mine
        self._lost += [Lost(*key, text="", error=error) for key in sorted(mine)]

    def _break(self, error: Exception) -> None:
        """Everything that runs is lost, and the model with it."""
        LOG.error("The generator broke: %s", error, exc_info=None if isinstance(error, TtsError) else error)
        failure = error if isinstance(error, TtsError) else InfraError(f"a bug: {error!r}")
        self._failed = failure, time.monotonic()
        self._lose(set(self._running), failure)
        with self._lock:
            self.closings += 1
            self.close()
        if not isinstance(self._generator, Stepped):
            self._inner = Plain(self._generator)

    def nudge(self) -> None:
        """As the generator does, if it does; while a step runs."""
        call(self._generator, "nudge")

    def abort(self, keys: Collection[Key]) -> dict[Key, int]:
        """Drop candidates; the tokens of each, as far as they are known."""
        self._running -= set(keys)
        self._lost = [lost for lost in self._lost if lost.key not in keys]
        try:
            told = {key: token_count(tokens) for key, tokens in dict(self._inner.abort(keys) or {}).items()}
            return {key: tokens for key, tokens in told.items() if tokens is not None}
        except Exception as error:  # noqa: BLE001  (the server's boundary; logged)
            self._break(error)
            return {}

    @property
    def unfinished(self) -> int:
        """How many run, or are lost and not told of."""
        return len(self._running) + len(self._lost)

    def close(self) -> None:
        """Give its memory back; it loads anew when used again."""
        call(self._generator, "close")

    def lend(self, *asked: Any) -> tuple[Any, int]:
        """(what the generator lends, None if nothing; the `closings` by then). Waits for a step that runs."""
        lend = getattr(self._generator, "lend", None)
        with self._lock:
            return None if lend is None else lend(*asked), self.closings


class _Loan:
    """Stands for the generator before a scorer that borrows its weights, and knows whether they are still its own."""

    def __init__(self, generator: GuardedGenerator) -> None:
        self.generator = generator
        self._closings: int | None = None  # of the generator when it lent something

    def lend(self, *asked: Any) -> Any:
        """As the generator does."""
        found, closings = self.generator.lend(*asked)
        self._closings = None if found is None else closings
        return found

    @property
    def over(self) -> bool:
        """Whether what was lent is a closed model's: with the next one, there would be two in memory."""
        return self._closings is not None and self._closings != self.generator.closings


class GuardedScorer:
    """A scorer that gives a score for every pair, whatever happens. `failure` is what went wrong last, if it did, and
    `silent_since` when it was given pairs or gave a score last (time.monotonic), None while it has nothing to do.
    """

    def __init__(self, label: str, scorer: Scorer) -> None:
        self.label, self._scorer = label, scorer
        self._notes = _Notes(scorer)
        self._loan: _Loan | None = None
        self.failure: str = ""
        self.silent_since: float | None = None

    def borrow(self, generator: GuardedGenerator) -> None:
        """Both stay loaded: the scorer may use the weights of the generator behind its guard."""
        self._loan = _Loan(generator)
        self._call("borrow", self._loan)

    def score(self, pairs: Sequence[Pair]) -> Iterator[Score]:
        """The scorer's, and None with the reason for those that it did not give."""
        waiting = {candidate.key for _, candidate in pairs}
        reason = ""
        self.silent_since = time.monotonic()
        try:
            if self._loan is not None and self._loan.over:
                self.close()
                self.borrow(self._loan.generator)
            for score in scored(f"scorer {self.label!r}", self._scorer, pairs):
                waiting.discard(score.key)
                self.silent_since = time.monotonic()
                yield score
        except Exception as error:
            reason = brief(error) if isinstance(error, TtsError) else discreet(f"a bug: {error!r}")
            LOG.error("The scorer %s failed: %s", self.label, error, exc_info=not isinstance(error, TtsError))
        finally:
            self.silent_since = None
        self.failure = reason if waiting else ""
        self._notes.log()
        for key in sorted(waiting):
            yield Score(*key, None, f"{FAILED}{reason}")

    def check(self) -> None:
        """As the scorer does, before anything is served."""
        self._call("check")

    def start(self) -> None:
        """Load the model."""
        self._call("start")

    def close(self) -> None:
        """Give its memory back."""
        self._call("close")

    def _call(self, name: str, *arguments: Any) -> None:
        method = getattr(self._scorer, name, None)
        if method is not None:
            method(*arguments)
