"""The server without HTTP: models behind guards, one engine, the queue; a request's wish in, its outcome out."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from tts import planning, plugins
from tts.config import Labelled, ServeConfig, StoppingConfig
from tts.engine import Drawn, Engine, Rated
from tts.errors import ConfigError, InfraError
from tts.grade import Grader
from tts.pipeline import with_code
from tts.protocols import Generator, Policy, Scorer, Selector
from tts.serving.admission import Admission
from tts.serving.choosing import Choice
from tts.serving.deciding import Decider
from tts.serving.guard import GuardedGenerator, GuardedScorer, Lost
from tts.serving.meters import Meters
from tts.serving.observer import Observer
from tts.serving.order import Late, Order, Stopping, Wish, observes
from tts.serving.pump import Pump
from tts.serving.refusals import Refusal, brief
from tts.types import Candidate, Message, Problem, Sampling, Score

LOG = logging.getLogger("tts.serve")
Watch = Callable[[Order, Candidate | Score], None]
COUNT_SECONDS = 0.5  # that an answer waits, at most, to hear what was drawn of the candidates that it cancelled
WARM_UP = Problem("warm-up", "Print 1.", (Message("user", "Print 1."),))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request: the choice, and seconds by stage."""

    order: Order
    choice: Choice
    seconds: Mapping[str, float]


class Service:
    """One event loop may use it, after `load`. `model` is the name that clients ask for, `longest` the most tokens for
    one who names no limit, None where the generator's own counts. Once it is `draining` no request is taken; `ending`
    tells those that are still on their way in.
    """

    def __init__(self, config: ServeConfig, generator: Generator, scorers: Mapping[str, Scorer]) -> None:
        self.config, self.settings = config, config.serve
        self.model = config.serve.model or _name_of(generator)
        self.honours: frozenset[str] = getattr(generator, "honours", frozenset())
        self.longest = _cap(generator, config.serve.max_tokens) if "max_tokens" in self.honours else None
        self.meters = Meters()
        self.admission = Admission(self.settings.concurrency, self.settings.queue)
        self.selectors = {item.label: _selector(config, item) for item in config.selectors}
        fallback = self.settings.fallback
        self._fallback = None if fallback is None else (fallback.label, _selector(config, fallback))
        self.stopping = None if config.stopping is None else _stopping(config, config.stopping)
        self.draining = self._drained = False
        self.ending = asyncio.Event()
        self.started = int(time.time())
        self._generator = GuardedGenerator(generator)
        self._scorers = {label: GuardedScorer(label, scorer) for label, scorer in scorers.items()}
        self._orders: dict[str, Order] = {}
        self._answering: set[asyncio.Task[Any]] = set()
        self._engine = Engine(self._generator, self._scorers, prepare=self._prepared)
        self._pump = Pump(self._engine, self._gave_up)
        self._observer = Observer(lambda: _grader(config), config.grading.workers)
        self._decider = Decider(self.settings, self._fallback, self._observer)
        self._gauges()

    @classmethod
    def build(cls, config: ServeConfig) -> "Service":
        """With the config's plug-ins under its memory plan. Raises UserError, also for models that would have to take
        turns.
        """
        generator = plugins.build("generator", config.generator.spec, "generator", seed=config.seed)
        scorers = {
            item.label: plugins.build("scorer", item.spec, f"scorer {item.label!r}", **config.context())
            for item in config.scorers
        }
        specs = {item.label: (item.spec, f"scorers.{i}") for i, item in enumerate(config.scorers)}
        models = planning.Models(config.generator.spec, specs, config.memory)
        mode, generator, scorers = planning.planned(models, generator, scorers)
        if mode != "share":
            raise ConfigError(
                f"The memory plan's mode is {mode}: the models would take turns, and a server's requests with them. "
                "Make room for all of them (`tts plan` says how), or score elsewhere with the scorer `remote`."
            )
        return cls(config, _with_fixed_slots(generator, config), scorers)

    def _gauges(self) -> None:
        self.meters.gauge("tts_requests_running", "Requests being answered", lambda: self.admission.running)
        self.meters.gauge("tts_requests_waiting", "Requests that wait", lambda: self.admission.waiting)
        self.meters.gauge("tts_candidates_running", "Candidates in the generator", lambda: self._generator.unfinished)
        self.meters.gauge("tts_tasks", "Tasks of the event loop", lambda: len(asyncio.all_tasks()))

    @property
    def executes(self) -> bool:
        """Whether any part of the config runs programs, in the sandbox."""
        chosen: list[Selector | Policy] = [*self.selectors.values()]
        chosen += [self._fallback[1]] if self._fallback else []
        chosen += [self.stopping.policy] if self.stopping else []
        return any(item.spec.name == "public_tests" for item in self.config.scorers) or any(map(observes, chosen))

    @property
    def trouble(self) -> str:
        """Why no request should be sent here now, or ""."""
        if self.draining:
            return "the server is ending"
        if self.broken is not None:
            return "the engine broke; the log has the traceback"
        if self._generator.failure:
            return f"the model failed: {brief(self._generator.failure)}"
        late = time.monotonic() - self.settings.scorer_timeout
        hanging = (label for label, scorer in self._scorers.items() if (scorer.silent_since or math.inf) < late)
        return next((f"the scorer {label!r} has not said anything for too long" for label in hanging), "")

    @property
    def broken(self) -> BaseException | None:
        """What the engine broke of, if it did, which guards should keep it from: nothing is answered any more."""
        return self._pump.broken

    # Its life.

    def load(self) -> None:
        """Load the models and answer a first request. Raises what goes wrong: nothing is served yet."""
        if self.executes:
            _ = _grader(self.config).confinement  # tried out now, that none holds should not be found by a client
        problem = replace(WARM_UP, sampling=Sampling(max_tokens=1 if "max_tokens" in self.honours else None))
        self._engine.submit([(problem, 0)])
        while self._engine.busy:
            for event in self._engine.poll():
                if isinstance(event, Drawn) and isinstance(event.candidate, Lost):
                    raise event.candidate.error
                if isinstance(event, Rated) and self._scorers[event.scorer].failure:
                    raise InfraError(f"The scorer {event.scorer!r} failed: {self._scorers[event.scorer].failure}")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While requests are taken."""
        self._pump.start()
        try:
            yield
        finally:
            await self._pump.end()

    def close(self) -> None:
        """End the models' processes, and what polls them, which an event loop that was broken off has not ended."""
        self._pump.stop()
        self._engine.close()

    def _prepared(self, candidate: Candidate) -> Candidate:
        """With its program: that of the text it continues and its own, where it continues one. A log probability that
        is no number is none.
        """
        order = self._orders.get(candidate.problem_id)
        if isinstance(candidate, Lost) or order is None:
            return candidate
        prefix = order.wish.prefix
        found = with_code(replace(candidate, text=prefix + candidate.text), self.config.prompt.extraction)
        known = found.logprob is not None and math.isfinite(found.logprob)
        return replace(found, text=candidate.text, logprob=found.logprob if known else None)

    # A request.

    async def answer(self, wish: Wish, arrived: float, watch: Watch = lambda *_: None) -> Outcome:
        """Sample, score, choose, all before the deadline of a request that `arrived` at a time.monotonic(), and then,
        COUNT_SECONDS at most, hear what was drawn of what it cancelled. Raises Refusal. Cancelled, it drops what it
        asked for at once.
        """
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        try:
            outcome = await self._in_turn(wish, arrived, watch)
        except asyncio.CancelledError:
            if not self._drained:
                raise
            task.uncancel()
            raise self._refusal() from None
        finally:
            self._answering.discard(task)
        await outcome.order.count(COUNT_SECONDS)
        outcome = replace(outcome, seconds={**outcome.seconds, "total": time.monotonic() - arrived})
        self._count(outcome)
        return outcome

    async def _in_turn(self, wish: Wish, arrived: float, watch: Watch) -> Outcome:
        left = arrived + self.settings.deadline - time.monotonic()
        until = asyncio.get_running_loop().time() + left
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout_at(until):
                    await stack.enter_async_context(self.admission.place())
            except TimeoutError:
                raise Refusal(504, "The deadline passed while the request waited.", code="deadline") from None
            order = Order(wish, watch, arrived)
            return await self._answered(order, until)

    async def _answered(self, order: Order, until: float) -> Outcome:
        try:
            late = await self._sampled(order, until)
        finally:
            self._drop(order)
        drawn_at = order.drawn_at or time.monotonic()
        choice = await self._decider.decide(order, late, until)
        seconds = {
            "queue": order.submitted - order.arrived,
            "generate": drawn_at - order.submitted,
            "score": time.monotonic() - drawn_at,
        }
        return Outcome(order, choice, seconds)

    async def _sampled(self, order: Order, until: float) -> Late:
        """Ask for all of it and wait until it is enough; who was late."""
        self._orders[order.wish.problem.id] = order
        try:
            async with asyncio.timeout_at(until):
                return "" if await self._enough(order) else "scorer"
        except TimeoutError:
            return "deadline"

    async def _enough(self, order: Order) -> bool:
        """False if the scorer took too long."""
        while True:
            await self._look(order)
            self._ask(order)
            if order.enough:
                return True
            if not await order.news(self.settings.scorer_timeout):
                return False

    async def _look(self, order: Order) -> None:
        """Run what has come, where it depends on what programs do whether they are enough."""
        unseen = order.unseen if order.wish.observes_early and not order.blind else []
        if unseen:
            try:
                await self._observer.observe(order.wish.problem, unseen, order.saw)
            except InfraError as error:
                LOG.error("%s is not decided early: %s", order.wish.problem.id, error)
                order.cannot_see()

    def _ask(self, order: Order) -> None:
        """Ask the engine for what is wanted now. Raises Refusal once it is broken, or the time to drain is over."""
        if self.broken is not None or self._drained:
            raise self._refusal()
        indices = order.step()
        if indices:
            self.meters.candidates.labels("asked").inc(len(indices))
            self._pump.submit(order.wish.problem, indices, {order.wish.scorer}, order.hear)

    def drained(self) -> None:
        """The time to drain is over: refuse what still runs or waits, at whatever it is."""
        self._drained = True
        for task in self._answering:
            task.cancel()

    def _gave_up(self) -> None:
        for order in self._orders.values():
            order.fail(self._refusal())

    def _refusal(self) -> Refusal:
        if self.broken is not None:
            return Refusal(503, f"The server ends: {self.trouble}.", code="engine_broken")
        return Refusal(503, "The server ended before the answer was there. Ask another one.", code="draining")

    def queued(self, problem_id: str) -> float | None:
        """Seconds that a request waited for its turn; None while it waits, and once it is over."""
        order = self._orders.get(problem_id)
        return None if order is None else order.submitted - order.arrived

    def _drop(self, order: Order) -> None:
        """Cancel what is still to come of a request."""
        order.close(self._over)
        if order.open_keys:
            self._pump.cancel(order.open_keys, order.told)
        del self._orders[order.wish.problem.id]
        spared = order.wish.n - len(order.asked)
        for what, count in (("cancelled", order.coming), ("spared", spared), ("drawn", len(order.candidates))):
            self.meters.candidates.labels(what).inc(count)
        for error in order.lost.values():
            self.meters.candidates.labels("refused" if error.of_one_request else "lost").inc()

    def _over(self, order: Order) -> None:
        """Of a request that was answered, or given up, it is known what it took."""
        self._pump.close(order.wish.problem.id)
        for kind, tokens in zip(("prompt", "completion"), order.tokens, strict=True):
            self.meters.tokens.labels(kind).inc(tokens)

    def _count(self, outcome: Outcome) -> None:
        for stage, seconds in outcome.seconds.items():
            self.meters.seconds.labels(stage).observe(seconds)
        for _, said in outcome.order.degraded:
            LOG.warning("%s: %s", outcome.order.wish.problem.id, said)
        for what in {what for what, _ in outcome.order.degraded}:
            self.meters.degraded.labels(what).inc()
        self.meters.stopped.inc(bool(outcome.order.stopped))
        self.meters.abstained.inc(outcome.choice.best is None)


def _selector(config: ServeConfig, item: Labelled) -> Selector:
    built: Selector = plugins.build("selector", item.spec, f"selector {item.label!r}", seed=config.seed)
    return built


def _stopping(config: ServeConfig, chosen: StoppingConfig) -> Stopping:
    return Stopping(plugins.build("policy", chosen.spec, "stopping", seed=config.seed), chosen.ahead)


def _grader(config: ServeConfig) -> Grader:
    given = config.grading
    return Grader(given.limits, given.workers, isolation=given.isolation, level=given.level)


def _cap(generator: Any, most: int | None) -> int | None:
    """What a server allows, where the generator would by itself go beyond it."""
    own = getattr(generator, "max_tokens", None)
    return None if most is None or (own is not None and own <= most) else most


def _name_of(generator: Any) -> str:
    """The model's name, or its folder's."""
    return str(getattr(generator, "model", "tts")).rstrip("/").split("/")[-1]


def _with_fixed_slots(generator: Generator, config: ServeConfig) -> Generator:
    """A batch that later requests always find a place in, where the generator has such and the config says nothing."""
    if getattr(generator, "slot_tokens", 0) is not None:
        return generator
    longest = config.memory.prompt_tokens + plugins.values(generator)["max_tokens"]
    made: Generator = replace(generator, slot_tokens=longest)  # type: ignore[type-var]
    return made
