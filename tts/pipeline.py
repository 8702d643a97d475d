"""Does whatever of a run is missing: sample, extract, score, grade, observe. Resuming is set subtraction.

Knows no model, no memory and no report. Everything it finishes is in the store before the next thing begins.
"""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from tts import environment, planning, plugins, prompts
from tts.config import Config
from tts.engine import Drawn, Engine, Event, Failed, Pair, Working
from tts.errors import ConfigError, DataError, InfraError, StoreError, counted
from tts.grade import GradeJob, Grader, Undecided, leading_public
from tts.observing import Observing
from tts.protocols import Benchmark, Generator, Policy, Scorer
from tts.sandbox import Confinement
from tts.stopping import Live, Step
from tts.store import Store, encode
from tts.types import UNPARSABLE, Behaviour, Candidate, Grade, Key, Message, Problem, program_hash

LOG = logging.getLogger("tts")
MOST_NAMED = 5  # problems in one message
GENERATE, GRADE, BEHAVIOURS = "generate", "grade", "behaviours"
Stored = Callable[[str], Mapping[tuple[str, str], object]]  # by a version, what there is of each program


class Progress(Protocol):
    """Where a run says how far it is; the command line draws bars. Several stages may run at once."""

    def stage(self, name: str, total: int, done: int) -> None:
        """A stage begins, with `done` of `total` found in the store."""

    def advance(self, name: str) -> None:
        """One more of that stage is finished and stored."""


class Silent:
    """Progress that nobody watches."""

    def stage(self, name: str, total: int, done: int) -> None:
        """Nothing."""

    def advance(self, name: str) -> None:
        """Nothing."""


class Grading(Protocol):
    """What a run asks of a grader, whether it runs programs here or elsewhere."""

    @property
    def version(self) -> str:
        """See Grader."""

    def grade(self, jobs: Iterable[GradeJob]) -> Iterator[Grade | Undecided]:
        """See Grader."""

    def behaviours(self, jobs: Iterable[GradeJob]) -> Iterator[tuple[str, str, Behaviour | Undecided]]:
        """See Grader."""


class Workplace(Protocol):
    """Where a run's models and programs run. A run neither knows nor shows which one it had."""

    def engine(self, config: Config, parts: "Parts", draws: bool, scores: Collection[str]) -> Working:
        """An engine of those models that will be used: the generator if it `draws`, the scorers among `scores`."""

    def grader(self, grader: Grader) -> Grading:
        """A grader that gives what this one gives."""


class Here:
    """In this process."""

    def engine(self, config: Config, parts: "Parts", draws: bool, scores: Collection[str]) -> Working:
        """See Workplace."""
        return engine_here(config, parts, draws, scores)

    def grader(self, grader: Grader) -> Grading:
        """The same."""
        return grader


@dataclass(frozen=True, slots=True)
class Parts:
    """A run's plug-in objects, built from its config."""

    benchmark: Benchmark
    generator: Generator
    scorers: dict[str, tuple[str, Scorer]]
    needs: frozenset[str]

    @property
    def loaded(self) -> dict[str, Scorer]:
        """The scorers by label."""
        return {label: scorer for label, (_, scorer) in self.scorers.items()}


def build(config: Config) -> Parts:
    """The plug-ins of a config. Raises ConfigError."""
    scorers = {}
    for item in config.scorers:
        scorer = plugins.build("scorer", item.spec, f"scorer {item.label!r}", **config.context())
        scorers[item.label] = plugins.fingerprint(item.spec.name, scorer), scorer
    return Parts(
        benchmark=plugins.build("benchmark", config.benchmark, "benchmark"),
        generator=plugins.build("generator", config.generator.spec, "generator", seed=config.seed),
        scorers=scorers,
        needs=needs(config),
    )


def engine_here(config: Config, parts: Parts, draws: bool, scores: Collection[str]) -> Engine:
    """An engine in this process, under the plan of those models that will be used."""
    models = planning.Models.of(config, draws, scores)
    mode, generator, scorers = planning.planned(models, parts.generator, parts.loaded)
    return Engine(generator, scorers, mode, partial(with_code, rule=config.prompt.extraction))


def needs(config: Config) -> frozenset[str]:
    """What the config's selectors, and its policy, need beside candidates."""
    users = [plugins.build("selector", s.spec, f"selector {s.label!r}", seed=config.seed) for s in config.selectors]
    users += [policy(config)] if config.stopping is not None else []
    return frozenset(need for user in users for need in getattr(user, "needs", ()))


def policy(config: Config) -> Policy:
    """The policy of a config that has one."""
    assert config.stopping is not None
    built: Policy = plugins.build("policy", config.stopping.spec, "stopping", seed=config.seed)
    return built


def fingerprint(config: Config, benchmark: Benchmark, generator: Generator) -> dict[str, Any]:
    """What decides the samples, flat: benchmark, prompt, generator and seed; not n, scorers, selectors or filters."""
    options = plugins.identity(generator)
    return {
        "benchmark.name": config.benchmark.name,
        **{f"benchmark.{name}": value for name, value in plugins.identity(benchmark).items()},
        "prompt.system": config.prompt.system,
        "prompt.extraction": config.prompt.extraction,
        "generator.name": config.generator.spec.name,
        **{f"generator.{name}": value for name, value in options.items() if name != "seed"},
        "seed": options.get("seed", config.seed),
    }


def _known(found: dict[str, Any], store: Store) -> dict[str, Any]:
    """The fingerprint with the content of a model that is not there any more taken from the store: what was sampled may
    still be scored, and sampling will say what is missing.
    """
    stored = store.meta("fingerprint") or {}
    return {key: value for key, value in stored.items() if key == "generator.content"} | found


def run(
    config: Config,
    store: Store,
    progress: Progress | None = None,
    confined: Callable[[Confinement], object] = lambda _: None,
    where: Workplace | None = None,
) -> list[Undecided]:
    """Bring the store up to the config, and return what our own machinery could not decide (empty when all is well).
    `confined` is told how programs are confined, if any are to be run; `where` is this process unless it is given.

    Raises UserError for what a user can mend; whatever was finished stays stored.
    """
    progress, where = progress or Silent(), where or Here()
    parts = build(config)
    problems = [_with_system(problem, config.prompt.system) for problem in _shard(config, parts.benchmark.problems())]
    wanted = _wanted(problems, parts.generator, config.generator.n)
    store.claim(_known(fingerprint(config, parts.benchmark, parts.generator), store))
    _check_tests(problems, parts.benchmark, store)
    _say_changed(store.add_problems(problems), store)
    _observing(config, "")  # its file of tests should be found missing now
    grader = _settled(config, parts, problems, wanted, store)
    if grader is None:
        grader = _grader(config, config.grading.level)
        confined(grader.confinement)  # tried out now: that none holds should not be found after hours of sampling
        store.set_meta({"sandbox": _sandbox(grader)})
    observer = _observing(config, grader.version).version if "behaviours" in parts.needs else None
    _replace(store, grader.version, observer)
    _record(config, parts, store, grader)
    with _timed(store, "generate and score"):
        undecided = _sample(_Sampling(config, parts, store, progress, grader, where), problems, wanted)
    pairs, grading = list(_pairs(problems, store)), where.grader(grader)
    with _timed(store, GRADE):
        undecided += _grade(grading, parts.benchmark, pairs, store, progress)
    if "behaviours" in parts.needs:
        with _timed(store, BEHAVIOURS):
            undecided += _observe(_observing(config, grader.version), grading, pairs, store, progress)
    store.set_meta({"undecided": sorted({item.problem_id for item in undecided})})
    return undecided


def _say_changed(ids: Sequence[str], store: Store) -> None:
    if ids:
        LOG.warning(
            "The tests of %s are not what they were when %s was begun (%s%s): the samples stay, their scores and "
            "verdicts are made again.",
            counted(len(ids), "problem"),
            store.folder,
            ", ".join(ids[:MOST_NAMED]),
            ", ..." if len(ids) > MOST_NAMED else "",
        )


def _grader(config: Config, level: str) -> Grader:
    given = config.grading
    return Grader(given.limits, given.workers, isolation=given.isolation, level=level)


def _observing(config: Config, grader: str) -> Observing:
    return Observing.of(config.behaviours, config.seed, grader)


def _settled(
    config: Config, parts: Parts, problems: Sequence[Problem], wanted: Sequence[tuple[Problem, int]], store: Store
) -> Grader | None:
    """The grader of the level that the run was graded at, if that left nothing to run: no sandbox need hold then."""
    level = (store.meta("sandbox") or {}).get("level", "")
    if config.grading.level not in ("auto", level) or not level:
        return None
    if {(problem.id, index) for problem, index in wanted} - store.candidate_keys():
        return None
    grader = _grader(config, level)
    programs = _by_program(_pairs(problems, store)).keys()
    seen = store.behaviours(_observing(config, grader.version).version).keys()
    observed = "behaviours" not in parts.needs or programs <= seen
    return grader if observed and programs <= store.grades(grader.version).keys() else None


def _replace(store: Store, grader: str, observer: str | None) -> None:
    """Say why what is stored is made again: it counts only by the grader that the config and this tts have now. What it
    took is put aside, so that it is in no sum. No observer: nobody looks at behaviours.
    """
    again: list[tuple[str, str, str, str, Stored]] = [(GRADE, "grader", "verdict", grader, store.grades)]
    again += [(BEHAVIOURS, "observer", "behaviour", observer, store.behaviours)] if observer is not None else []
    timings, replaced = store.meta("timings") or {}, store.meta("replaced") or {}
    for stage, by, what, now, stored in again:
        before = store.meta(by)
        if void := _void(store, stored, before, now):
            LOG.info("The %s's version changed from %r to %r: %s made again", by, before, now, counted(void, what))
            replaced |= {stage: replaced.get(stage, 0.0) + timings.pop(stage, 0.0)}
    store.set_meta({"timings": timings, "replaced": replaced})


def _void(store: Store, stored: Stored, before: str | None, now: str) -> int:
    """How many results of the run's problems are by the version before and not by the one that counts now."""
    mine = {problem.id for problem in store.problems()}
    if before is None or before == now:
        return 0
    return sum(problem_id in mine for problem_id, _ in stored(before).keys() - stored(now).keys())


def _sandbox(grader: Grader) -> dict[str, str]:
    return {"level": grader.confinement.level, "isolation": grader.isolation, "why": grader.confinement.why}


def _record(config: Config, parts: Parts, store: Store, grader: Grader) -> None:
    """What this session makes its results with: for the report, and one entry a session for whoever doubts them."""
    made_with = {
        "versions": environment.versions(),
        "hardware": environment.hardware(),
        "commit": environment.commit(),
        "config": config.resolved().dump(),
    }
    session = {"begun": datetime.now(UTC).isoformat(timespec="seconds"), **made_with}
    keys = {
        "grader": grader.version,
        "observer": _observing(config, grader.version).version,
        "scorers": {label: identity for label, (identity, _) in parts.scorers.items()},
        "sessions": [*(store.meta("sessions") or []), session],
        "shards": None,  # of parts that were joined: now the config says what the run has
    }
    store.set_meta(made_with | keys)


def _shard(config: Config, problems: Iterable[Problem]) -> list[Problem]:
    """Those of the config's part, or all."""
    shard = config.shard
    return list(problems) if shard is None else list(problems)[shard.part :: shard.parts]


def _with_system(problem: Problem, system: str | None) -> Problem:
    """The problem with its system message replaced ("" removes it); None keeps the benchmark's own."""
    if system is None:
        return problem
    others = tuple(message for message in problem.messages if message.role != "system")
    return replace(problem, messages=((Message("system", system),) if system else ()) + others)


def _wanted(problems: Sequence[Problem], generator: Generator, n: int | None) -> list[tuple[Problem, int]]:
    """All (problem, index) of the run. A generator with `indices` has only so many samples; others have any."""
    indices: Callable[[Problem], list[int]] | None = getattr(generator, "indices", None)
    if indices is None:
        if n is None:
            raise ConfigError("generator.n is missing: say how many candidates per problem, for example generator.n=8")
        return [(problem, index) for problem in problems for index in range(n)]
    wanted = []
    for problem in problems:
        held = indices(problem)
        if n is not None and len(held) < n:
            raise DataError(
                f"Only {len(held)} samples of problem {problem.id!r} exist and generator.n is {n}. "
                f"Set generator.n={len(held)}, or leave it out to take what each problem has."
            )
        wanted += [(problem, index) for index in held[:n]]
    return wanted


def _check_tests(problems: Sequence[Problem], benchmark: Benchmark, store: Store) -> None:
    """Decode the tests of every new or changed problem now: a broken one should not be found after hours of work."""
    known = {problem.id: problem for problem in store.problems()}
    for problem in problems:
        if known.get(problem.id) != problem:
            benchmark.tests(problem.id)


@contextmanager
def _timed(store: Store, stage: str) -> Iterator[None]:
    """Add a stage's wall seconds to what earlier runs on this folder took; keep its peak memory if that is new."""
    begun = time.monotonic()
    try:
        yield
    finally:
        timings, peaks = store.meta("timings") or {}, store.meta("peaks") or {}
        seconds = timings.get(stage, 0.0) + time.monotonic() - begun
        before, now = peaks.get(stage, {}), environment.peak_memory()
        peak = {name: max(before.get(name, 0.0), size) for name, size in now.items()}
        store.set_meta({"timings": timings | {stage: seconds}, "peaks": peaks | {stage: before | peak}})


@dataclass(frozen=True, slots=True)
class _Sampling:
    """A run's models at work: what they finish is stored at once. `seen` has the seconds of each model, by GENERATE or
    label, that are shared out already; `failed` has what was given up.
    """

    config: Config
    parts: Parts
    store: Store
    progress: Progress
    grader: Grader
    where: Workplace
    seen: dict[str, float] = field(default_factory=dict)
    failed: list[Undecided] = field(default_factory=list)

    def engine(self, draws: bool, scores: Collection[str]) -> Working:
        """The run's engine, where it is to be."""
        models = planning.Models.of(self.config, draws, scores)
        before, now = self.store.meta("parameters") or {}, planning.parameters(models)
        self.store.set_meta({"parameters": before | now | {"scorers": before.get("scorers", {}) | now["scorers"]}})
        return self.where.engine(self.config, self.parts, draws, scores)

    def keep(self, found: Sequence[Event | Failed], busy: Mapping[str, float]) -> list[Event]:
        """Store what is finished, each in a transaction of its own, and return it, without what was given up; `busy` is
        how long each model was at work.
        """
        lost = [event for event in found if isinstance(event, Failed)]
        self.failed.extend(Undecided(one.key[0], "", one.why, index=one.key[1]) for one in lost)
        events = [event for event in found if not isinstance(event, Failed)]
        for event in events:
            if isinstance(event, Drawn):
                _exhaust(self.store.add_candidates([event.candidate]))
                self.progress.advance("generate")
            else:
                _exhaust(self.store.add_scores(self.parts.scorers[event.scorer][0], [event.score]))
                self.progress.advance(f"score {event.scorer}")
        self.store.add_spent(self._shared_out(events, busy))
        return events

    def _shared_out(self, events: Sequence[Event], busy: Mapping[str, float]) -> dict[tuple[str, str], float]:
        """What each model worked since, by (stage, problem): shared among what it has finished, by tokens."""
        weights: dict[str, Counter[str]] = defaultdict(Counter)
        for event in events:
            if isinstance(event, Drawn):
                weights[GENERATE][event.candidate.problem_id] += event.candidate.tokens or 1
            else:
                weights[event.scorer][event.score.problem_id] += event.score.tokens or 1  # type: ignore[assignment]
        spent: dict[tuple[str, str], float] = {}
        for name in weights.keys() & busy.keys():
            seconds, self.seen[name] = busy[name] - self.seen.get(name, 0.0), busy[name]
            stage = name if name == GENERATE else self.parts.scorers[name][0]
            total = weights[name].total()
            spent |= {(stage, problem_id): seconds * part / total for problem_id, part in weights[name].items()}
        return spent


def _exhaust(items: Iterable[object]) -> None:
    for _ in items:
        pass


def _sample(at_work: _Sampling, problems: Sequence[Problem], wanted: Sequence[tuple[Problem, int]]) -> list[Undecided]:
    """Draw the candidates that are missing, all or as far as the policy says, and score them and those that have no
    score yet. Returns what was given up and, where the policy asked for that, what could not be run on public inputs.
    """
    store, parts = at_work.store, at_work.parts
    held = store.candidate_keys()
    missing = [(problem, index) for problem, index in wanted if (problem.id, index) not in held]
    _mention_more(held, problems, wanted)
    at_work.progress.stage(GENERATE, len(wanted), len(wanted) - len(missing))
    if hasattr(parts.generator, "indices"):
        _check_unchanged([(p, i) for p, i in wanted if (p.id, i) in held], parts.generator, store)
    pairs = list(_pairs(problems, store))
    unscored = _unscored(at_work, pairs, len(missing))
    stopper = _Stopper(at_work, wanted, pairs) if at_work.config.stopping is not None else None
    if stopper is None:
        store.set_meta({"stops": None})
    else:
        missing = stopper.follow([]).ask
    try:
        if missing or any(unscored.values()):
            draws = bool(missing) or stopper is not None
            labels = [label for label, mine in unscored.items() if draws or mine]
            _run_engine(at_work.engine(draws, labels), at_work, missing, unscored, stopper)
    finally:
        if stopper is not None:
            stopper.close()
    return at_work.failed + ([] if stopper is None else stopper.undecided)


def _run_engine(
    engine: Working,
    at_work: _Sampling,
    missing: Sequence[tuple[Problem, int]],
    unscored: Mapping[str, Sequence[Pair]],
    stopper: "_Stopper | None",
) -> None:
    try:
        engine.submit(missing, unscored)
        _remember(at_work.store, engine)  # the seed that an engine drew with should outlive a kill
        while engine.busy:
            events = at_work.keep(engine.poll(), engine.seconds)
            if stopper is not None:
                step = stopper.follow(events)
                stopper.cancelled += len(engine.cancel(step.cancel, spare_drawn=True))
                if step.ask:
                    engine.submit(step.ask)
    finally:
        at_work.keep(engine.close(), engine.seconds)
        _remember(at_work.store, engine)


class _Stopper:
    """The config's policy beside the engine: it hears of what is stored and of what comes, has programs run on the
    public inputs where it compares what they do, and says what to ask for and what to drop.
    """

    def __init__(self, at_work: _Sampling, wanted: Sequence[tuple[Problem, int]], pairs: Sequence[Pair]) -> None:
        chosen = at_work.config.stopping
        assert chosen is not None
        self.at_work, self.undecided, self.cancelled = at_work, list[Undecided](), 0
        self.scorer = next(iter(at_work.parts.scorers), None)  # the first is the one that selectors use
        self.live = Live(policy(at_work.config), wanted, chosen.ahead, scored=self.scorer is not None)
        for _, candidate in pairs:
            self.live.drawn(candidate)
        if self.scorer is not None:
            for score in at_work.store.scores(at_work.parts.scorers[self.scorer][0]).values():
                self.live.rated(score)
        self.observing = _observing(at_work.config, at_work.grader.version)
        self.live.observed(at_work.store.behaviours(self.observing.version))

    def follow(self, events: Sequence[Event]) -> Step:
        """What follows from what came."""
        for event in events:
            if isinstance(event, Drawn):
                self.live.drawn(event.candidate)
            elif event.scorer == self.scorer:
                self.live.rated(event.score)
        step = self.live.step()
        while unobserved := self.live.unobserved():
            self._observe(unobserved)
            more = self.live.step()
            step = Step([*step.ask, *more.ask], step.cancel | more.cancel)
        asked = {(problem.id, index) for problem, index in step.ask}
        kept = [(problem, index) for problem, index in step.ask if (problem.id, index) not in step.cancel]
        return Step(kept, step.cancel - asked)

    def _observe(self, pairs: Sequence[Pair]) -> None:
        at_work = self.at_work
        failed = _observe(self.observing, at_work.grader, pairs, at_work.store, Silent())
        self.undecided += failed
        self.live.unknowable((item.problem_id, item.program) for item in failed)
        seen = at_work.store.behaviours(self.observing.version, {problem.id for problem, _ in pairs})
        self.live.observed(seen)

    def close(self) -> None:
        """Put what was decided, and what that saved, into the run's record."""
        store, decided = self.at_work.store, self.live.decisions
        before = store.meta("stops") or {}
        stops = {
            "n_max": self.live.n_max,
            "decided": {name: asdict(decision) for name, decision in decided.items()},
            "cancelled": before.get("cancelled", 0) + self.cancelled,
        }
        store.set_meta({"stops": stops})
        LOG.info(
            "%s of %d problems stopped, %d candidates cancelled", len(decided), len(stops["n_max"]), self.cancelled
        )


def _mention_more(held: Collection[Key], problems: Sequence[Problem], wanted: Sequence[tuple[Problem, int]]) -> None:
    """A smaller n than before asks for nothing new, and hides nothing."""
    mine = {problem.id for problem in problems}
    more = {key for key in held if key[0] in mine} - {(problem.id, index) for problem, index in wanted}
    if more:
        LOG.info(
            "%s stored beyond generator.n; they are scored, graded and reported as well",
            counted(len(more), "candidate"),
        )


def _unscored(at_work: _Sampling, pairs: Sequence[tuple[Problem, Candidate]], coming: int) -> dict[str, list[Pair]]:
    """By scorer, the stored pairs that it has not scored."""
    found = {}
    for label, (identity, _) in at_work.parts.scorers.items():
        held = at_work.store.scores(identity)
        found[label] = [pair for pair in pairs if pair[1].key not in held]
        total = len(pairs) + coming
        at_work.progress.stage(f"score {label}", total, len(pairs) - len(found[label]))
    return found


def _remember(store: Store, engine: Working) -> None:
    """What happened on the way, in this session's record."""
    *others, last = store.meta("sessions") or [{}]
    seconds = {name: round(value, 3) for name, value in engine.seconds.items()}
    store.set_meta({"sessions": [*others, last | {"busy_seconds": seconds, "notes": engine.notes}]})


def _check_unchanged(held: Sequence[tuple[Problem, int]], generator: Generator, store: Store) -> None:
    """Ready-made samples cost nothing to read again: those stored must still be what the file holds."""
    wanted = {(problem.id, index) for problem, index in held}
    stored = {c.key: program_hash(c.text) for c in store.candidates() if c.key in wanted} if held else {}
    for candidate in generator.generate(held):
        if stored[candidate.key] != program_hash(encode(candidate.text)):
            raise StoreError(
                f"Sample {candidate.index} of problem {candidate.problem_id!r} is not the one in {store.folder}. "
                "Restore the file of samples, or give another --folder."
            )


def with_code(candidate: Candidate, rule: str) -> Candidate:
    """The candidate with its program extracted by a rule; one that came with code keeps it, parsing or not."""
    if candidate.code is not None:
        code = encode(candidate.code)
        return replace(candidate, code=code, extraction="given" if prompts.parses(code) else UNPARSABLE)
    found = prompts.extract(encode(candidate.text), rule)
    return replace(candidate, code=found.code, extraction=found.rule, truncated=found.truncated)


def _pairs(problems: Sequence[Problem], store: Store) -> Iterator[Pair]:
    by_id = {problem.id: problem for problem in problems}
    for candidate in store.candidates():
        if candidate.problem_id in by_id:
            yield by_id[candidate.problem_id], candidate


def _by_program(pairs: Iterable[tuple[Problem, Candidate]]) -> dict[tuple[str, str], tuple[Problem, str]]:
    """(problem id, program hash) -> problem and code, for candidates that have code."""
    return {(p.id, program_hash(c.code)): (p, c.code) for p, c in pairs if c.code is not None}


def _undone(
    stage: str, pairs: Sequence[tuple[Problem, Candidate]], held: Container[tuple[str, str]], progress: Progress
) -> dict[tuple[str, str], tuple[Problem, str]]:
    """The programs that a stage has still to run, which begins with this."""
    programs = _by_program(pairs)
    missing = {key: value for key, value in programs.items() if key not in held}
    progress.stage(stage, len(programs), len(programs) - len(missing))
    return missing


def _grade(
    grader: Grading,
    benchmark: Benchmark,
    pairs: Sequence[tuple[Problem, Candidate]],
    store: Store,
    progress: Progress,
) -> list[Undecided]:
    version = grader.version
    missing = _undone("grade", pairs, store.grades(version), progress)
    undecided: list[Undecided] = []
    if missing:
        for _ in store.add_grades(version, _decided(grader.grade(_grade_jobs(missing, benchmark)), undecided)):
            progress.advance("grade")
    return undecided


def _grade_jobs(programs: dict[tuple[str, str], tuple[Problem, str]], benchmark: Benchmark) -> Iterator[GradeJob]:
    """Jobs problem by problem, so that only the hidden tests of what is being graded are decoded."""
    codes: dict[str, list[str]] = defaultdict(list)
    problems = {problem.id: problem for problem, _ in programs.values()}
    for (problem_id, _), (_, code) in programs.items():
        codes[problem_id].append(code)
    for problem_id, mine in codes.items():
        tests = benchmark.tests(problem_id)
        public = leading_public(problems[problem_id], tests)
        yield from (GradeJob(problem_id, code, tests, public) for code in mine)


def _decided(results: Iterable[Grade | Undecided], undecided: list[Undecided]) -> Iterator[Grade]:
    for result in results:
        if isinstance(result, Undecided):
            undecided.append(result)
        else:
            yield result


def _observe(
    observing: Observing,
    grader: Grading,
    pairs: Sequence[tuple[Problem, Candidate]],
    store: Store,
    progress: Progress,
) -> list[Undecided]:
    """Run programs on the public inputs and further ones; those that differ in layout only share one run."""
    version = observing.version
    missing = _undone("behaviours", pairs, store.behaviours(version), progress)
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (problem_id, program), (_, code) in missing.items():
        alike[problem_id, prompts.normalised(code)].append(program)
    firsts = {(problem_id, mine[0]): mine for (problem_id, _), mine in alike.items()}
    jobs = (observing.job(*missing[key]) for key in firsts)
    undecided: list[Undecided] = []

    def spread() -> Iterator[tuple[str, str, Behaviour]]:
        for problem_id, program, behaviour in grader.behaviours(jobs):
            if isinstance(behaviour, Undecided):
                undecided.append(behaviour)
            else:
                yield from ((problem_id, other, behaviour) for other in firsts[problem_id, program])

    if missing:
        for _ in store.add_behaviours(version, spread()):
            progress.advance("behaviours")
    return undecided


def unsettled(undecided: Sequence[Undecided]) -> InfraError | DataError:
    """What to tell the user where something could not be decided, by our own machinery or because of broken checks."""
    ours = [item for item in undecided if not item.broken]
    if ours:
        return _failed(ours)
    reasons = {item.problem_id: item.why for item in undecided}
    told = "; ".join(f"{name}: {why}" for name, why in reasons.items())
    return DataError(
        f"No program can be graded on {counted(len(reasons), 'problem')}, left out of the report. {told}. Mend or "
        "delete the row, and run the same command again."
    )


def _failed(undecided: Sequence[Undecided]) -> InfraError:
    first, problems = undecided[0], len({item.problem_id for item in undecided})
    lost = {(item.problem_id, item.index) for item in undecided if item.index is not None}
    programs = {(item.problem_id, item.program) for item in undecided if item.index is None}
    failed = [f"{counted(len(lost), 'candidate')} could not be drawn or scored"] * bool(lost)
    failed += [f"{counted(len(programs), 'program')} could not be run"] * bool(programs)
    return InfraError(
        f"{' and '.join(failed)}, because our own machinery failed; {counted(problems, 'problem')} "
        f"{'is' if problems == 1 else 'are'} left out of the report. Run the same command again to try once more. "
        f"{'The first: ' * (len(undecided) > 1)}{first.problem_id}: {first.why}"
    )
