"""The same run on Ray: engines in actors behind an engine's own methods, grading in tasks.

Ray starts, places, feeds and buries; what to give to whom is `dispatch.py`'s, and what runs in an actor is
`hosting.py`'s. Only this process, the driver, knows the store. It takes results as it comes to them: while it does not,
each actor finishes what it has and Ray holds its stream back.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tts import environment, pipeline, planning
from tts.config import ClusterConfig, Config
from tts.dispatch import Dispatch, Work, works_of
from tts.engine import Drawn, Engine, Event, Failed, Pair, Rated, Working
from tts.errors import ConfigError, InfraError, UserError, counted
from tts.grade import Grader
from tts.hosting import Ready, Report, end_of_log
from tts.pipeline import Grading, Parts
from tts.ray_grading import RayGrader, check_graders
from tts.ray_places import BOX, Place, most_on_a_node, need_of, reserve
from tts.ray_session import Session, connect, reason
from tts.types import Candidate, Key, Problem, Score

LOG = logging.getLogger("tts")
AHEAD = 8  # reports that an actor may have sent and nobody has read
MOST_BARREN = 3  # deaths for each actor, one after the other, without a result of any
PATIENCE_SECONDS = 15.0  # for engines to end in order
LOG_SECONDS = 10.0  # for a dead actor's log
MARKS = (":job_id:", ":actor_name:")  # lines of Ray's own in it
SLICE_SECONDS = 1.0


@dataclass
class RayCluster:
    """Where a run's models and programs run when its config has `cluster`. Connects when it is first needed."""

    options: ClusterConfig
    _session: Session | None = None
    _engines: "list[RayEngine]" = field(default_factory=list)

    def __enter__(self) -> "RayCluster":
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self._session is not None:
            self._session.close(keep_logs=error is not None or any(engine.died for engine in self._engines))

    @property
    def session(self) -> Session:
        """The connection. Raises ConfigError where there can be none."""
        if self._session is None:
            at = self.options.address
            LOG.info("Ray is starting." if at is None else f"Joining the Ray cluster at {at!r}.")
            self._session = connect(self.options.address, self.options.wait_seconds)
        return self._session

    def engine(self, config: Config, parts: Parts, draws: bool, scores: Collection[str]) -> Working:
        """An engine whose models are in actors. Raises ConfigError where the cluster has no room for them."""
        options = self.options
        devices = planning.devices(planning.Models.of(config, draws, scores))
        need = need_of(options, devices, self.session.nodes())
        places = reserve(self.session, need, options.wait_seconds)
        share = 1 if need.gpus else most_on_a_node(places)
        check_graders(self.session, options.grader_cpus)  # not after days of sampling
        found_in = _Found(os.getcwd(), tuple(os.path.abspath(path) for path in sys.path))
        make = partial(_engine_there, config, draws, frozenset(scores), share, found_in)
        LOG.info("Starting %s, each of which loads its models.", counted(len(places), "engine"))
        engine = RayEngine(self.session, places, make, list(parts.scorers), options.in_flight, options.wait_seconds)
        self._engines.append(engine)
        return engine

    def grader(self, grader: Grader) -> Grading:
        """One that grades in tasks, wherever there are CPUs."""
        return RayGrader(grader, self.session, self.options.grader_cpus)


@dataclass(frozen=True, slots=True)
class _Found:
    """Where the driver finds what a config names by relative paths, and outside code."""

    folder: str
    paths: tuple[str, ...]

    def here(self) -> None:
        """Find it there in this process too, where there is such a folder."""
        if os.path.isdir(self.folder):
            os.chdir(self.folder)
        sys.path += [path for path in self.paths if path not in sys.path]


def _engine_there(config: Config, draws: bool, scores: Collection[str], share: int, found_in: _Found) -> Engine:
    """In an actor: its engine, under the plan of its device or of its share of a machine's memory."""
    found_in.here()
    config = planning.inside(config, share)
    return pipeline.engine_here(config, pipeline.build(config), draws, scores)


@dataclass(slots=True)
class _Actor:
    """An actor in its place, and the stream of what it finishes. `ready` is None until it says so."""

    number: int
    place: Place
    handle: Any
    stream: Any
    ready: Ready | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        at = f" (process {self.ready.pid} on {self.ready.host})" if self.ready is not None else ""
        return f"Engine {self.number}{at}"


class RayEngine:
    """As `engine.Engine`, with the same methods, of engines that `make` makes at `places`; `labels` are their scorers'.
    An actor waits that has sent `ahead` reports which nobody has read; -1 lets it run on.

    An actor that dies is replaced in its place, and what it had is done again. Only what kills actor after actor is
    given up, and told as `Failed`. `died` counts the deaths.
    """

    def __init__(
        self,
        session: Session,
        places: Sequence[Place],
        make: Callable[[], Engine],
        labels: Sequence[str],
        in_flight: int | None = None,
        wait_seconds: float = 60.0,
        ahead: int = AHEAD,
    ) -> None:
        self._session, self._make, self._labels = session, make, list(labels)
        self._in_flight, self._wait_seconds, self._ahead = in_flight, wait_seconds, ahead
        self._dispatch = Dispatch()
        self._actors = [self._start(number, place) for number, place in enumerate(places)]
        self._barren, self._seen = 0, time.monotonic()
        self.died = 0
        self._past: dict[str, float] = {}
        self._notes: list[str] = []
        self._closed = False
        self._failure: Exception | None = None

    def __enter__(self) -> "RayEngine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(
        self, wanted: Sequence[tuple[Problem, int]] = (), pairs: Mapping[str, Sequence[Pair]] | None = None
    ) -> None:
        """See Engine."""
        self._dispatch.add(works_of(wanted, pairs or {}, self._labels))
        self._give_out()

    def poll(self, timeout_seconds: float | None = None) -> list[Event | Failed]:
        """See Engine. Raises UserError of an actor, and InfraError once engines die without anything coming of them."""
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        found: list[Event | Failed] = []
        while self.busy and not found:
            left = SLICE_SECONDS if deadline is None else min(SLICE_SECONDS, deadline - time.monotonic())
            found = self._listen(max(0.0, left))
            self._give_out()
            if deadline is not None and time.monotonic() >= deadline:
                break
        return found

    def cancel(self, keys: Collection[Key], spare_drawn: bool = False) -> set[Key]:
        """See Engine. Drawn is what has come to this process."""
        found = self._dispatch.cancel(keys, spare_drawn)
        for number in found.engines:
            self._actors[number].handle.cancel.options(concurrency_group=BOX).remote(found.keys)
        return set(found.undrawn)

    @property
    def busy(self) -> bool:
        """See Engine."""
        return self._dispatch.busy or self._failure is not None

    @property
    def standing(self) -> int:
        """How many actors have said that they are ready."""
        return sum(actor.ready is not None for actor in self._actors)

    def generate(self, wanted: Sequence[tuple[Problem, int]]) -> Iterator[Candidate]:
        """See Engine."""
        self._dispatch.add(works_of(wanted, {}, ()))
        yield from (event.candidate for event in self._until_done() if isinstance(event, Drawn))

    def score(self, pairs: Sequence[Pair], scorer: str | None = None) -> Iterator[Score]:
        """See Engine."""
        self._dispatch.add(works_of((), {scorer or self._labels[0]: pairs}, ()))
        yield from (event.score for event in self._until_done() if isinstance(event, Rated))

    def _until_done(self) -> Iterator[Event]:
        """Raises InfraError for what had to be given up."""
        self._give_out()
        while self.busy:
            for event in self.poll():
                if isinstance(event, Failed):
                    raise InfraError(f"{event.key[0]}: {event.why}")
                yield event

    @property
    def seconds(self) -> dict[str, float]:
        """How long generators and scorers were at work, all of them together, in seconds."""
        return _sum([self._past, *(actor.seconds for actor in self._actors)])

    @property
    def notes(self) -> list[str]:
        """What the models have to say, each thing once, and which actors died."""
        said = [note for actor in self._actors for note in actor.notes]
        return [*dict.fromkeys(said), *self._notes]

    def close(self) -> list[Event | Failed]:
        """See Engine."""
        import ray

        found: list[Event | Failed] = []
        if self._closed:
            return found
        self._closed = True
        with ExitStack() as undo:
            for actor in self._actors:
                undo.callback(actor.place.free)
                undo.callback(ray.kill, actor.handle)
            for actor in self._actors:
                actor.handle.end.options(concurrency_group=BOX).remote()
            deadline = time.monotonic() + PATIENCE_SECONDS
            streams = {actor.stream: actor for actor in self._actors}
            while streams and time.monotonic() < deadline:
                ready, _ = ray.wait(list(streams), timeout=max(0.0, deadline - time.monotonic()))
                for stream in ready:
                    if (report := _last_words(stream)) is None:
                        del streams[stream]
                    else:
                        found += self._take(streams[stream], report)
        return found

    # Inside.

    def _start(self, number: int, place: Place) -> _Actor:
        handle = place.start(self._make)
        streaming = {"num_returns": "streaming", "_generator_backpressure_num_objects": self._ahead}
        return _Actor(number, place, handle, handle.events.options(**streaming).remote())

    def _give_out(self) -> None:
        for actor in self._actors:
            while orders := self._dispatch.give(actor.number):
                actor.handle.give.options(concurrency_group=BOX).remote(orders)

    def _listen(self, timeout_seconds: float) -> list[Event | Failed]:
        """What came of any actor; waits for the first. What one of them raises waits until the rest is fetched."""
        import ray

        if self._failure is not None:
            raise self._failure
        streams = {actor.stream: actor for actor in self._actors}
        ready, _ = ray.wait(list(streams), timeout=timeout_seconds)
        if ready:
            ready, _ = ray.wait(list(streams), num_returns=len(streams), timeout=0)
        self._check_alive(bool(ready))
        found: list[Event | Failed] = []
        for stream in ready:
            try:
                found += self._hear(streams[stream])
            except Exception as error:  # noqa: BLE001  (raised at the next poll)
                self._failure = error
                break
        return found

    def _check_alive(self, heard: bool) -> None:
        """Raises InfraError where no engine has been there for too long, its node gone, say, and no other there."""
        if heard or any(actor.ready is not None for actor in self._actors):
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > self._wait_seconds:
            raise InfraError(
                f"No engine has come up for {self._wait_seconds:.0f} seconds (cluster.wait_seconds). Look at `ray "
                "status`. What was finished is stored: run the same command again."
            )

    def _hear(self, actor: _Actor) -> list[Event | Failed]:
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            message = ray.get(next(actor.stream))
        except StopIteration:
            return []
        except RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise error.cause from None
            if isinstance(error.cause, InfraError):
                return list(self._replace(actor, str(error.cause)))
            raise
        except RayError as error:
            return list(self._replace(actor, reason(error)))
        return self._take(actor, message)

    def _take(self, actor: _Actor, message: Ready | Report) -> list[Event | Failed]:
        if isinstance(message, Ready):
            _check_versions(message)
            first, actor.ready = not self.standing, message
            if first:
                LOG.info("%s is ready.", actor)
            self._dispatch.join(actor.number, message.width, message.turns, self._in_flight)
            return []
        actor.seconds, actor.notes = message.seconds, message.notes
        self._barren = 0
        return [*self._dispatch.heard(actor.number, message.number, message.events)]

    def _replace(self, actor: _Actor, why: str) -> Iterator[Failed]:
        """A new actor for one that died; what is given up, with the log of the last that died of it."""
        import ray

        ray.kill(actor.handle)  # it may only have been out of reach
        self._past = _sum([self._past, actor.seconds])
        node = actor.ready.node if actor.ready is not None else ""
        held = self._dispatch.held(actor.number)
        given_up = self._dispatch.died(actor.number, node, self._session.stands)
        note = f"{actor} died with {counted(held, 'candidate')}: {' '.join(why.split()).rstrip('.')}"
        LOG.info("%s. It is replaced.", note)
        self.died += 1
        self._notes += [*actor.notes, note]
        self._barren = 0 if given_up else self._barren + 1
        log = self._log_of(actor) if given_up or self._barren > MOST_BARREN * len(self._actors) else ""
        if not given_up and log:
            raise InfraError(f"{self._barren} engines died and nothing came of any. {log}\n{note}.")
        for work in given_up:
            failed = _failed(work, note, log)
            self._notes.append(f"{work.problem.id}: {failed.why}")
            yield failed
        self._actors[actor.number] = self._start(actor.number, actor.place)

    def _log_of(self, actor: _Actor) -> str:
        """The end of what a dead actor wrote, read by a task on its node."""
        import ray
        from ray.exceptions import RayError
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if actor.ready is None:
            return "(it wrote nothing before it died)"
        there = NodeAffinitySchedulingStrategy(actor.ready.node, soft=False)
        read = ray.remote(num_cpus=0)(end_of_log).options(scheduling_strategy=there)
        try:
            text: str = ray.get(read.remote(actor.ready.log), timeout=LOG_SECONDS)
        except RayError as error:
            return f"(its log {actor.ready.log} is out of reach: {error})"
        lines = [line for line in text.splitlines() if not line.startswith(MARKS)]
        return "\n".join([f"The last one's log, {actor.ready.log}, ends with:", *lines])


def _last_words(stream: Any) -> Report | Ready | None:
    """What a stream still has; None once it has ended, in whatever way."""
    import ray
    from ray.exceptions import RayError

    try:
        report: Report | Ready = ray.get(next(stream))
    except (StopIteration, RayError):
        return None
    return report


def _failed(work: Work, note: str, log: str) -> Failed:
    said = f"candidate {work.index} was held by {len(work.died_on)} engines that died, the last time alone."
    return Failed(work.key, f"{said} {log}\n{note}.")


def _sum(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for name, seconds in part.items():
            total[name] = total.get(name, 0.0) + seconds
    return total


def _check_versions(there: Ready) -> None:
    """Raises ConfigError where an actor was made with other versions than this process has, or with packages that only
    one of the two has. A build's local part, such as +cpu, may differ.
    """
    both = there.versions, environment.versions()
    names = sorted({*both[0], *both[1]})
    differ = [name for name in names if len({versions.get(name, "").partition("+")[0] for versions in both}) > 1]
    if differ:
        theirs, ours = (
            ", ".join(f"{name} {versions[name]}" if name in versions else f"no {name}" for name in differ)
            for versions in both
        )
        raise ConfigError(
            f"Node {there.host} has {theirs}; this process has {ours}. Results of the two must not mix: install the "
            "same versions on every node (constraints.txt), and one commit of tts (tts-source is a digest of its code)."
        )
