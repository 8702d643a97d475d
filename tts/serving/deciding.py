"""From an order that is over to its answer: by the selector asked for, else by the config's fallback, else a refusal.

What is missing of an order is never guessed: the answer says what was not as it was asked for.
"""

import asyncio
import logging
from dataclasses import dataclass, replace

from tts.config import ServeSettings
from tts.errors import InfraError
from tts.protocols import Selector
from tts.select import ignores_scores
from tts.serving.choosing import Choice, choose
from tts.serving.observer import Observer
from tts.serving.order import Late, Order, What, observes
from tts.serving.refusals import Refusal, brief, of_loss
from tts.types import Pool

LOG = logging.getLogger("tts.serve")


@dataclass(eq=False)
class Missing(Exception):
    """What a selector needs and does not have: who failed, why, and whether that was a matter of time."""

    what: What
    why: str
    late: bool

    @property
    def refusal(self) -> Refusal:
        """For a request that fails of it."""
        status = 504 if self.late else 503
        return Refusal(status, f"No candidate could be chosen: {self.why}.", code=f"{self.what}_failed")


class Decider:
    """Chooses for orders; `until`, a time of the event loop, is when there must be an answer."""

    def __init__(self, settings: ServeSettings, fallback: tuple[str, Selector] | None, observer: Observer) -> None:
        self._settings, self._fallback, self._observer = settings, fallback, observer

    async def decide(self, order: Order, late: Late, until: float) -> Choice:
        """The choice; the order's `degraded` says what was not as it was asked for. Raises Refusal where too little is
        there.
        """
        self._shortfall(order, late)
        selector, unscored = order.wish.selector, self._unscored(order, late)
        try:
            if unscored and not ignores_scores(selector):
                raise Missing("scorer", unscored, bool(late))
            if unscored:
                said = f"scores are missing, which {order.wish.select!r} does not look at, since {unscored}"
                order.degrade("scorer", said)
            pool = self._pool(order)
            if not ignores_scores(selector) and all(score.value is None for score in pool.scores):
                order.degrade("scorer", f"no candidate has a score: {pool.scores[0].why}")
            return await self._by(selector, order, pool, until)
        except Missing as missing:
            return await self._fallen_back(order, missing, until)

    def _shortfall(self, order: Order, late: Late) -> None:
        """Say what is missing of the candidates. Raises Refusal if fewer came than must."""
        first = next(iter(order.lost.values()), None)
        if len(order.candidates) < self._least(order):
            if first is not None:
                raise of_loss(first, order.wish.names)
            raise Refusal(504, "The deadline passed before enough candidates came.", code="deadline")
        if first is not None:
            why = of_loss(first, order.wish.names).message
            order.degrade("generator", f"{len(order.lost)} of {order.wish.n} candidates were lost: {why}")
        if late == "deadline":
            passed = f"the deadline of {self._settings.deadline:g} seconds passed"
            order.degrade("deadline", f"{passed}; {order.coming} candidates did not come")

    def _least(self, order: Order) -> int:
        """How many candidates an answer must have; with fewer than its choices, it gives back those that there are."""
        return min(self._settings.min_candidates, order.wish.n)

    def _pool(self, order: Order) -> Pool:
        """What the selector chooses from: what is scored, or all that is drawn if it does not look at scores."""
        return order.chosen_from or (order.pool() if ignores_scores(order.wish.selector) else order.scored())

    def _unscored(self, order: Order, late: Late) -> str:
        """Why scores are missing, if so many are that there is nothing to choose by."""
        if late == "deadline" and len(order.scored()) < self._least(order):
            return "the deadline passed before candidates were scored"
        return order.scorer_failed or ("the scorer took too long" if late == "scorer" else "")

    async def _by(self, selector: Selector, order: Order, pool: Pool, until: float) -> Choice:
        """A selector's choice. Raises Missing if it compares what programs do, and they could not be run."""
        wish, settled = order.wish, order.answer if selector is order.wish.selector else None
        if not (observes(selector) and wish.problem.public_tests):
            return choose(selector, replace(pool, behaviours=()), wish.choices, settled, wish.threshold)
        seen = await self._seen(order, pool, until)
        settled = settled if seen is pool else None
        return choose(selector, order.observed(seen), wish.choices, settled, wish.threshold)

    async def _seen(self, order: Order, pool: Pool, until: float) -> Pool:
        """Those of a pool whose programs have been run: all, or as many as there was time for. Raises Missing."""
        unseen = order.unseen_of(pool.candidates)
        if not unseen:
            return pool
        try:
            async with asyncio.timeout_at(until):
                await asyncio.sleep(0)  # begin nothing once it is too late
                await self._observer.observe(order.wish.problem, unseen, order.saw)
        except InfraError as error:
            LOG.error("%s: its programs could not be run: %s", order.wish.problem.id, error)
            raise Missing("sandbox", brief(error), late=False) from error
        except TimeoutError:
            left = {candidate.index for candidate in order.unseen_of(pool.candidates)}
            seen = pool.take([i for i, candidate in enumerate(pool.candidates) if candidate.index not in left])
            if len(seen) < self._least(order):
                raise Missing("sandbox", "the deadline passed before enough programs were run", late=True) from None
            order.degrade("deadline", f"the programs of {len(left)} candidates were not run before the deadline")
            return seen
        return pool

    async def _fallen_back(self, order: Order, missing: Missing, until: float) -> Choice:
        """The fallback's choice. Raises Refusal where there is none, it needs what is missing, or the request set a
        threshold, which it would not keep.
        """
        kept = order.wish.threshold is None
        if self._fallback is None or not kept or (missing.what == "sandbox" and observes(self._fallback[1])):
            raise missing.refusal
        label, selector = self._fallback
        try:
            choice = await self._by(selector, order, order.pool(), until)
        except Missing as more:
            raise replace(more, why=f"{missing.why}; for the fallback {label!r}, {more.why}").refusal from more
        order.degrade(missing.what, f"chosen by the fallback selector {label!r}, since {missing.why}")
        return choice
