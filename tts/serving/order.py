"""One request on its way: what to ask for, what is drawn and scored so far, and when that is enough.

Knows neither HTTP nor the engine: events come in through `hear`, `step` says what to ask the engine for, and whoever
waits for `news` is told when there are any. It is enough when everything has come, when nothing that may still come can
change the choice, or when the stopping policy says so.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal

from tts.engine import Drawn, Event
from tts.errors import TtsError
from tts.protocols import Policy, Selector, Settling
from tts.serving.guard import Lost, failed
from tts.serving.refusals import Names, Refusal, of_bug
from tts.stop.fixed import Fixed
from tts.stopping import Live
from tts.types import Behaviour, Candidate, Decision, Key, Pool, Problem, Score, Selection, program_hash

LOG = logging.getLogger("tts.serve")
Late = Literal["", "scorer", "deadline"]  # who was not in time
What = Literal["generator", "scorer", "sandbox", "deadline"]  # of what something may be missing
SETTLED = "nothing that may still come can change the choice"


@dataclass(frozen=True, slots=True)
class Stopping:
    """The policy of a server, and how many candidates may be asked for ahead of it."""

    policy: Policy
    ahead: int

    @property
    def observes(self) -> bool:
        """Whether the policy compares what programs do."""
        return observes(self.policy)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request asks for, complete: up to `n` candidates of `problem`, of which the best `choices` are given back,
    and at least `least` are waited for.
    """

    problem: Problem
    n: int
    choices: int
    scorer: str
    select: str
    selector: Selector
    stopping: Stopping | None
    least: int = 1
    threshold: float | None = None  # below which no candidate may be chosen, whoever chooses
    prefix: str = ""  # that a program begins with: the text that is continued
    names: Names = field(default_factory=Names)

    @property
    def settling(self) -> Settling | None:
        """The selector, if it may know its choice early. The second best of several is never known early."""
        return self.selector if isinstance(self.selector, Settling) and self.choices == 1 else None

    @property
    def observes_early(self) -> bool:
        """Whether programs are run as they come, since whether they are enough depends on what they do."""
        if not self.problem.public_tests:
            return False
        return (self.settling is not None and observes(self.selector)) or bool(self.stopping and self.stopping.observes)


def observes(part: Selector | Policy) -> bool:
    """Whether a selector or a policy compares what programs do."""
    return "behaviours" in getattr(part, "needs", ())


@dataclass(frozen=True)
class AtLeast:
    """A policy that does not stop before there are so many."""

    policy: Policy
    least: int

    @property
    def needs(self) -> tuple[str, ...]:
        """The policy's."""
        return tuple(getattr(self.policy, "needs", ()))

    def decide(self, pool: Pool, n_max: int) -> Decision:
        """The policy's word, once it may."""
        decision = self.policy.decide(pool, n_max)
        return replace(decision, wanted=max(decision.wanted, min(self.least, n_max)))


@dataclass(repr=False)  # whose texts would be in the log where asyncio tells of a bug
class Order:
    """A request on its way. Times are those of time.monotonic(), in seconds.

    `behaviours` has what programs do, by the program, as far as anybody has looked. Once it is enough, `chosen_from`
    has the candidates among which to choose, `stopped` says why nothing more is waited for, if anything was to come,
    and `answer` which one the policy has settled on, if it has. `degraded` is what was not as it was asked for, and by
    what. `arrived` is when the request came, before its body was read and it waited for its turn. Once it is closed,
    what is still `coming` is cancelled; `partial_tokens` has by index what was drawn of it, None where nobody knows.
    """

    wish: Wish
    watch: Callable[["Order", Candidate | Score], None] = lambda *_: None
    arrived: float = field(default_factory=time.monotonic)
    submitted: float = field(default_factory=time.monotonic)
    drawn_at: float | None = None  # when the last candidate came that was asked for
    asked: set[int] = field(default_factory=set)
    candidates: dict[int, Candidate] = field(default_factory=dict)
    scores: dict[int, Score] = field(default_factory=dict)
    lost: dict[int, TtsError] = field(default_factory=dict)
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    enough: bool = False
    chosen_from: Pool | None = None
    stopped: str = ""
    answer: Selection | None = None
    blind: bool = False
    degraded: list[tuple[What, str]] = field(default_factory=list)
    refusal: Refusal | None = None
    partial_tokens: dict[int, int | None] = field(default_factory=dict)
    _closed: "Callable[[Order], None] | None" = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._live = self._following(self.wish.stopping)

    def _following(self, stopping: Stopping | None) -> Live:
        """What is told what came, and asked for more: the policy, or else all of it at once."""
        wish = self.wish
        policy: Policy = Fixed() if stopping is None else AtLeast(stopping.policy, wish.least)
        wanted = [(wish.problem, index) for index in range(wish.n) if index not in self.lost]
        live = Live(policy, wanted, 0 if stopping is None else stopping.ahead, scored=True)
        for candidate in self.candidates.values():
            _tell(live, wish.problem, candidate)
        for score in self.scores.values():
            live.rated(score)
        return live

    # What comes.

    def hear(self, events: Sequence[Event]) -> None:
        """What the engine says of it. A bug here is this request's end."""
        for event in events:
            try:
                self._heard(event)
            except Exception as error:
                LOG.error("A bug ended %s", self.wish.problem.id, exc_info=error)
                self.fail(of_bug())
        self._changed.set()

    def _heard(self, event: Event) -> None:
        if isinstance(event, Drawn):
            if self._closed is None:
                self._drawn(event.candidate)
            else:
                self.told(event.candidate.key, event.candidate.tokens)
        elif self._closed is None and event.score.index in self.candidates:
            self._rated(event.score)

    def _drawn(self, candidate: Candidate) -> None:
        if isinstance(candidate, Lost):
            self.lost[candidate.index] = candidate.error
            self._live.lost(candidate.key)
        else:
            self.candidates[candidate.index] = candidate
            _tell(self._live, self.wish.problem, candidate)
            self.watch(self, candidate)
        if self.coming == 0:
            self.drawn_at = time.monotonic()

    def _rated(self, score: Score) -> None:
        self.scores[score.index] = score
        self._live.rated(score)
        self.watch(self, score)

    def saw(self, behaviours: Mapping[str, Behaviour]) -> None:
        """What some programs do."""
        self.behaviours |= behaviours
        self._live.observed({(self.wish.problem.id, program): found for program, found in behaviours.items()})

    def cannot_see(self) -> None:
        """Programs cannot be run now: all candidates are waited for."""
        self.blind = True
        self._live = self._following(None)

    # What follows.

    def step(self) -> list[int]:
        """The indices to ask the engine for now; `enough` is true from the moment that it is."""
        step = self._live.step()
        ask = [index for _, index in step.ask if index not in self.asked]
        self.asked.update(ask)
        if ask:
            self.drawn_at = None
        decision = self._live.decisions.get(self.wish.problem.id)
        if decision is not None:
            self.answer = None if decision.answer is None else Selection(decision.answer, decision.why)
            early = decision.wanted < self.wish.n - len(self.lost)
            self._end(self._live.decided_on(self.wish.problem.id), decision.why if early else "")
        elif len(self.lost) == self.wish.n:
            self._end(self.pool(), "")
        elif self._settled():
            self._end(self.scored(), SETTLED)
        return ask

    def _end(self, pool: Pool | None, why: str) -> None:
        self.enough, self.chosen_from, self.stopped = True, pool, why

    def _settled(self) -> bool:
        """Whether the selector knows its choice."""
        settling = self.wish.settling
        if settling is None or self.blind or len(self.scores) < self.wish.least:
            return False
        pool = self.scored()
        if self.wish.observes_early and self.unseen_of(pool.candidates):
            return False
        known = {candidate.index for candidate in pool.candidates} | self.lost.keys()
        coming = [index for index in range(self.wish.n) if index not in known]
        return bool(coming) and settling.settled(self.observed(pool), coming)

    def close(self, then: "Callable[[Order], None]") -> None:
        """Nothing more is waited for but to be `told` of what is cancelled: `then` is called once that is all."""
        self._closed = then
        if self.counted:
            then(self)

    def told(self, key: Key, tokens: int | None) -> None:
        """How many tokens a candidate had when it was cancelled."""
        self.partial_tokens[key[1]] = tokens
        self._changed.set()
        if self._closed is not None and self.counted:
            self._closed(self)

    @property
    def counted(self) -> bool:
        """Whether of each candidate that is cancelled it was said how many tokens it had."""
        return len(self.partial_tokens) == self.coming

    async def count(self, patience_seconds: float) -> None:
        """Wait until it is, but not longer than this."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_seconds):
                while not self.counted:
                    self._changed.clear()
                    await self._changed.wait()

    def degrade(self, what: What, said: str) -> None:
        """Something is not as it was asked for."""
        self.degraded.append((what, said))

    def fail(self, refusal: Refusal) -> None:
        """Nothing will come of it: whoever waits for news is told so."""
        self.refusal = refusal
        self._changed.set()

    async def news(self, scorer_timeout: float) -> bool:
        """Wait until something comes. False if the scorer took too long. Raises Refusal if nothing will come."""
        left = None if self.drawn_at is None else self.drawn_at + scorer_timeout - time.monotonic()
        try:
            async with asyncio.timeout(left):  # Python 3.11's wait_for loses a cancellation that comes just then
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        if self.refusal is not None:
            raise self.refusal
        return True

    # What there is.

    @property
    def coming(self) -> int:
        """How many candidates that were asked for are still to be drawn."""
        return len(self.asked) - len(self.candidates) - len(self.lost)

    @property
    def tokens(self) -> tuple[int, int]:
        """(those of the prompt, once; those of everything that was sampled), as far as they are known."""
        prompts = (c.prompt_tokens for c in self.candidates.values() if c.prompt_tokens is not None)
        drawn = sum(c.tokens or 0 for c in self.candidates.values())
        return next(prompts, 0), drawn + sum(tokens or 0 for tokens in self.partial_tokens.values())

    @property
    def cancelled_tokens(self) -> int | None:
        """Those of all candidates that were cancelled on their way; None if they are not known of each."""
        known = [tokens for tokens in self.partial_tokens.values() if tokens is not None]
        return sum(known) if len(known) == self.coming else None

    @property
    def open_keys(self) -> list[Key]:
        """Of candidates that were asked for and of which something is still to come."""
        done = self.scores.keys() | self.lost.keys()
        return [(self.wish.problem.id, index) for index in sorted(self.asked - done)]

    @property
    def scorer_failed(self) -> str:
        """Why scores are missing, if the scorer failed for any."""
        return next((score.why for score in self.scores.values() if failed(score)), "")

    def pool(self) -> Pool:
        """What is drawn, in the order of sampling; what has no score yet says so."""
        ready = sorted(self.candidates)
        unscored = (Score(self.wish.problem.id, index, None, "not scored in time") for index in ready)
        scores = tuple(self.scores.get(index, none) for index, none in zip(ready, unscored, strict=True))
        return Pool(self.wish.problem, tuple(self.candidates[index] for index in ready), scores)

    def scored(self) -> Pool:
        """What is drawn and scored."""
        whole = self.pool()
        return whole.take([i for i, candidate in enumerate(whole.candidates) if candidate.index in self.scores])

    @property
    def unseen(self) -> list[Candidate]:
        """Drawn candidates whose programs nobody has run yet."""
        return self.unseen_of(self.candidates.values())

    def unseen_of(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """The same among some of them."""
        return [c for c in candidates if c.code is not None and program_hash(c.code) not in self.behaviours]

    def observed(self, pool: Pool) -> Pool:
        """The pool with what its programs do, all of which must have been seen if there is anything to run them on."""
        if not pool.problem.public_tests:
            return replace(pool, behaviours=())
        found = (None if c.code is None else self.behaviours[program_hash(c.code)] for c in pool.candidates)
        return replace(pool, behaviours=tuple(found))


def _tell(live: Live, problem: Problem, candidate: Candidate) -> None:
    """A candidate has come; where there is nothing to run programs on, each is known to do nothing."""
    live.drawn(candidate)
    if candidate.code is not None and not problem.public_tests:
        live.observed({(problem.id, program_hash(candidate.code)): Behaviour(())})
