"""A stored run -> numbers: pools joined with truth, then a curve of accuracy against k for each selector and scorer.

Recomputed each time, without a model: changing a selector, k or a scorer's role costs nothing here. Computes only;
`report.py` shows.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import yaml

from tts import config as configs
from tts import metrics, pipeline, plugins
from tts.config import Config, Labelled
from tts.errors import SHOWN, StoreError, counted
from tts.plugins import Spec
from tts.protocols import Chance, Ranked, Selector
from tts.seeds import seed_of
from tts.select import earned, ignores_scores
from tts.store import Store
from tts.types import (
    ORACLE,
    RANDOM,
    Behaviour,
    Candidate,
    Decision,
    Grade,
    Pool,
    Problem,
    Saved,
    Score,
    Selection,
    Verdict,
    program_hash,
)

UNSCORED = "unscored"  # stands for the scorer of a run that has none
META = (
    *("versions", "hardware", "commit", "sandbox", "timings", "fingerprint"),
    *("peaks", "parameters", "scorers", "stops", "sessions", "replaced"),
)
RANK_KEY, CLOSED_FORM, SAMPLED = "rank key", "closed form", "sampled"
Shards = Set[tuple[int, int]]  # (part, parts)
Scores = Mapping[tuple[str, int], Score]
NONE: Mapping[str, Scores] = MappingProxyType({})
NO_SCORER: Mapping[str, Scores] = MappingProxyType({UNSCORED: {}})
DIGITS = 12  # of a value, so that equal averages are equal whatever order they were added in
MIN_DRAWS = 16  # subsets per problem and k, however many problems share the budget


@dataclass(frozen=True, slots=True)
class Judged:
    """One problem of a run with the truth about its candidates: `grades` is parallel to the pool's candidates."""

    problem: Problem
    candidates: tuple[Candidate, ...]
    grades: tuple[Grade, ...]
    behaviours: tuple[Behaviour | None, ...]

    @property
    def correct(self) -> list[float]:
        """1.0 where the candidate passed, parallel to the candidates."""
        passed = Verdict.PASSED
        return [float(grade.verdict is passed) for grade in self.grades]

    def first(self, n: int) -> "Judged":
        """The problem with its first n candidates only."""
        return Judged(self.problem, self.candidates[:n], self.grades[:n], self.behaviours[:n])


@dataclass(frozen=True, slots=True)
class Point:
    """A curve at one k: the mean over problems, its bootstrap interval, and `se`, the error of drawing subsets
    alone.
    """

    k: int
    value: float
    low: float
    high: float
    estimate: str
    se: float


@dataclass(frozen=True, slots=True)
class Curve:
    """One selector with the `scorers` that it uses, by label; none, one or several. `per_problem` is (P, K); `choices`
    holds what it picks from each problem's first n candidates, n being the last k, and `over_random` the paired
    difference to random at k = n. `method` says how it is estimated: "rank key" and "closed form" are exact at every k,
    "sampled" where there are more subsets than are drawn. `drawn` says that its choices are thrown by dice, `saved`
    what a selector that prunes would not have done.
    """

    name: str
    selector: str
    scorers: tuple[str, ...]
    points: tuple[Point, ...]
    per_problem: metrics.Floats = field(repr=False)
    choices: dict[str, Selection] = field(repr=False)
    over_random: metrics.Difference
    efficiency: float
    method: str
    drawn: bool = False
    saved: Saved | None = None


@dataclass(frozen=True, slots=True)
class RunReport:
    """All that a report shows of one run. `n` is the least over problems; `graded` counts candidates; `left_out` holds
    (problem id, why) of problems that are in no number here; `scores` maps scorer label -> candidate key -> score;
    `unscored` counts by scorer why candidates with code have none. `stops` has by problem what a policy decided, if the
    run had one: then the curves are over each problem's first n, which all have, since a pool that ended because it
    looked good is no fair sample. `spent` has seconds by (stage, problem id), see `Store.spent`; `missing` names the
    parts of its benchmark that a shard, or some of them joined, does not have.
    """

    folder: Path
    config: Config
    n: int
    graded: int
    ks: tuple[int, ...]
    judged: tuple[Judged, ...]
    left_out: tuple[tuple[str, str], ...]
    curves: tuple[Curve, ...]
    scores: dict[str, Scores]
    extraction: Counter[str]
    verdicts: Counter[str]
    finish: Counter[str]
    unscored: dict[str, Counter[str]]
    meta: dict[str, Any]
    stops: dict[str, Decision] = field(default_factory=dict)
    spent: dict[tuple[str, str], float] = field(default_factory=dict, repr=False)
    missing: str = ""

    @property
    def fair(self) -> tuple[Judged, ...]:
        """The problems with the candidates that curves are over: of a run that a policy stopped, each one's first n."""
        return tuple(item.first(self.n) for item in self.judged) if self.stops else self.judged

    def curve(self, name: str) -> Curve:
        """The curve of that name."""
        return next(curve for curve in self.curves if curve.name == name)


def stored_scores(store: Store, config: Config) -> dict[str, Scores]:
    """Scorer label -> candidate key -> score, for the config's scorers as they were when the run was last continued."""
    identities = store.meta("scorers") or {}
    return {item.label: store.scores(identities.get(item.label, "")) for item in config.scorers}


def stored_config(store: Store) -> Config:
    """The config that the run was last continued with. Raises StoreError if the run never got that far."""
    text = store.meta("config")
    if text is None:
        raise StoreError(f"{store.folder} holds no config: its run stopped before it began. Run `tts run` on it again.")
    return configs.parse(yaml.safe_load(text), where=f"The config stored in {store.folder}")


def stored_shards(store: Store, config: Config) -> Shards:
    """The parts of its benchmark that a run has: a shard its own, joined ones theirs where `tts merge` noted them; none
    for a run that has all its benchmark.
    """
    if config.shard is not None:
        return {(config.shard.part, config.shard.parts)}
    return {(part, parts) for part, parts in store.meta("shards") or ()}


def missing_parts(shards: Shards) -> str:
    """The parts beside these that make a whole, in words, like "parts 1, 3 of 4"; "" for a whole. Where there are parts
    of several divisions, those of the one that lacks fewest.
    """
    lacking = {of: sorted(set(range(of)) - {part for part, parts in shards if parts == of}) for _, of in shards}
    of = min(lacking, key=lambda parts: len(lacking[parts]), default=0)
    if not lacking.get(of):
        return ""
    named = ", ".join(map(str, lacking[of][:SHOWN])) + ", ..." * (len(lacking[of]) > SHOWN)
    return f"part{'s' * (len(lacking[of]) > 1)} {named} of {of}"


def judge(store: Store, config: Config) -> tuple[list[Judged], list[tuple[str, str]]]:
    """The problems about whose candidates all is known, and those left out with the reason."""
    grader = stored_grader(store)
    grades, behaviours = store.grades(grader), store.behaviours(store.meta("observer") or grader)
    observed, undecided = "behaviours" in pipeline.needs(config), set(store.meta("undecided") or [])
    pools: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in store.candidates():
        pools[candidate.problem_id].append(candidate)
    judged, left_out = [], []
    for problem in store.problems():
        candidates = tuple(pools[problem.id])
        found = [grade_of(candidate, grades) for candidate in candidates]
        done = [_behaviour_of(candidate, behaviours) for candidate in candidates]
        known = [
            g is not None and not (observed and c.code is not None and b is None)
            for c, g, b in zip(candidates, found, done, strict=True)
        ]
        # A run that is being continued has gaps only behind what it had done: what stands before the first is complete.
        n = known.index(False) if False in known else len(known)
        if problem.id in undecided:
            left_out.append((problem.id, "not all its candidates could be decided about, as the run said at its end"))
        elif n == 0:
            left_out.append((problem.id, f"none of its {len(candidates)} candidates is graded yet"))
        else:
            judged.append(Judged(problem, candidates[:n], tuple(g for g in found[:n] if g), tuple(done[:n])))
    return judged, left_out


def stored_grader(store: Store) -> str:
    """The grader whose verdicts the run was last brought up to; a report may be made under another Python."""
    return store.meta("grader") or ""


def _behaviour_of(candidate: Candidate, behaviours: dict[tuple[str, str], Behaviour]) -> Behaviour | None:
    if candidate.code is None:
        return None
    return behaviours.get((candidate.problem_id, program_hash(candidate.code)))


def grade_of(candidate: Candidate, grades: dict[tuple[str, str], Grade]) -> Grade | None:
    """A candidate's grade by its program's text; without code it needs no execution."""
    if candidate.code is None:
        return Grade(candidate.problem_id, "", Verdict.NO_CODE, 0.0, 0, 0)
    return grades.get((candidate.problem_id, program_hash(candidate.code)))


def analyse(store: Store, with_curves: bool = True) -> RunReport:
    """Everything that can be said of a run as it is stored now, or all but its curves, which take the longest. Raises
    StoreError if nothing is graded.
    """
    config = stored_config(store)
    judged, left_out, stops = settled(store, config)
    if not judged:
        stored = counted(len(store.candidate_keys()), "candidate")
        raise StoreError(
            f"{store.folder} has {stored} of {counted(len(store.problems()), 'problem')}, and for no problem is the "
            "first one graded, so there is nothing to report yet. Continue it with the same `tts run`."
        )
    n = least(judged, stops)
    ks = choose_ks(n, config.ks)
    scores = stored_scores(store, config)
    candidates = [c for item in judged for c in item.candidates]
    return RunReport(
        folder=store.folder,
        config=config,
        n=n,
        graded=len(candidates),
        ks=ks,
        judged=tuple(judged),
        left_out=tuple(left_out),
        curves=tuple(curves(judged if stops is None else [item.first(n) for item in judged], scores, config, ks))
        if with_curves
        else (),
        scores=scores,
        extraction=Counter(c.extraction + ", cut off" * c.truncated for c in candidates),
        verdicts=Counter(str(g.verdict) for item in judged for g in item.grades),
        finish=Counter(c.finish for c in candidates),
        unscored={label: _unscored(candidates, held) for label, held in scores.items()},
        meta={key: store.meta(key) for key in META},
        stops=stops or {},
        spent=store.spent(),
        missing=missing_parts(stored_shards(store, config)),
    )


def settled(store: Store, config: Config) -> tuple[list[Judged], list[tuple[str, str]], dict[str, Decision] | None]:
    """As `judge`, without the problems that the run's policy has not decided on, and what it decided of the others
    (None of a run without one). What it drew beyond its decisions is still there: see `least`.
    """
    judged, left_out = judge(store, config)
    stops = stored_stops(store)
    if stops is None:
        return judged, left_out, None
    kept, more = _stopped(judged, stops)
    return kept, left_out + more, stops


def least(judged: Sequence[Judged], stops: Mapping[str, Decision] | None) -> int:
    """How many candidates every problem has or, in a run with a policy, every decision is about: a pool that ended
    because it looked good is no fair sample, its first so many are.
    """
    return min(len(item.candidates) if stops is None else stops[item.problem.id].wanted for item in judged)


def _stopped(judged: Sequence[Judged], stops: dict[str, Decision]) -> tuple[list[Judged], list[tuple[str, str]]]:
    """The problems of which all is judged that their policy decided on, and those left out with the reason."""
    whole = [item for item in judged if len(item.candidates) >= _decided(item, stops)]
    kept = {item.problem.id for item in whole}
    why = "the run was interrupted before its policy stopped, or before what it decided on was graded"
    return whole, [(item.problem.id, why) for item in judged if item.problem.id not in kept]


def _decided(item: Judged, stops: dict[str, Decision]) -> float:
    decision = stops.get(item.problem.id)
    return math.inf if decision is None else decision.wanted


def stored_stops(store: Store) -> dict[str, Decision] | None:
    """What the run's policy decided, by problem, of those that have stopped; None of a run without one."""
    found = store.meta("stops")
    return None if found is None else {name: Decision(**decided) for name, decided in found["decided"].items()}


def _unscored(candidates: Sequence[Candidate], held: Scores) -> Counter[str]:
    """Why candidates that have code have no score; what follows a colon is particular, so like reasons are one."""
    missing = Score("", 0, None, "not scored yet")
    reasons = [held.get(c.key, missing) for c in candidates if c.code is not None]
    return Counter(score.why.split(":")[0] for score in reasons if score.value is None)


def choose_ks(n: int, wanted: Sequence[int]) -> tuple[int, ...]:
    """The wanted ks that n allows, or powers of two; n itself is always the last."""
    below = wanted or [2**i for i in range(n.bit_length())]
    return tuple(sorted({k for k in below if k < n} | {n}))


def pool_of(item: Judged, scores: Scores, of_all: Mapping[str, Scores] = NONE) -> Pool:
    """One problem's pool as a selector sees it with one scorer, `of_all` scorers beside."""
    every = {label: _scores_of(item, mine) for label, mine in of_all.items()}
    return Pool(item.problem, item.candidates, _scores_of(item, scores), item.behaviours, every)


def pools_of(judged: Sequence[Judged], scores: Mapping[str, Scores]) -> dict[str, list[Pool]]:
    """Scorer label -> the pools as a selector sees them with it, those of all scorers beside."""
    held = [{label: _scores_of(item, mine) for label, mine in (scores or NO_SCORER).items()} for item in judged]
    return {
        label: [
            Pool(item.problem, item.candidates, mine[label], item.behaviours, mine if scores else {})
            for item, mine in zip(judged, held, strict=True)
        ]
        for label in scores or NO_SCORER
    }


def _scores_of(item: Judged, scores: Scores) -> tuple[Score, ...]:
    name, get = item.problem.id, scores.get
    return tuple(get((name, c.index)) or Score(name, c.index, None, "not scored") for c in item.candidates)


def scored(item: Judged, scores: Scores) -> tuple[metrics.Floats, metrics.Floats]:
    """Scores and correctness of those candidates that have a score."""
    found = zip(_scores_of(item, scores), item.correct, strict=True)
    kept = [(score.value, right) for score, right in found if score.value is not None]
    return np.array([value for value, _ in kept], dtype=float), np.array([right for _, right in kept], dtype=float)


def curves(judged: Sequence[Judged], scores: dict[str, Scores], config: Config, ks: Sequence[int]) -> list[Curve]:
    """Random and oracle first, then every selector with every scorer (see `_labels`)."""
    correct = [np.array(item.correct) for item in judged]
    baseline = _Baseline.of(correct, config, ks)
    pools = pools_of(judged, scores)
    found = []
    for item in _with_random(config.selectors):
        selector: Selector = plugins.build("selector", item.spec, f"selector {item.label!r}", seed=config.seed)
        for position, label in enumerate(_labels(item, selector, config, [*pools])):
            name = item.label if position == 0 else f"{item.label}:{label}"
            used = _scorers_of(selector, label, list(scores))
            found.append(baseline.curve(Named(name, item.label, used), selector, pools[label], correct))
    best = {item.problem.id: _oracle_choice(item.first(ks[-1])) for item in judged}
    found.insert(1, baseline.drawn_up(Named(ORACLE, ORACLE, ()), _Estimates.of_exact(baseline.oracle, RANK_KEY), best))
    return found


def _labels(item: Labelled, selector: Selector, config: Config, labels: Sequence[str]) -> Sequence[str]:
    """The scorers that a selector is shown with: the one that it is tied to, or all that tell it something."""
    if item.scorer is not None and item.scorer in labels:
        return [item.scorer]
    names = {scorer.label: scorer.spec.name for scorer in config.scorers}
    further = [label for label in labels[1:] if names[label] != getattr(selector, "weighs", None)]
    return labels[:1] if _once(selector) else [*labels[:1], *further]


def _once(selector: Selector) -> bool:
    """Whether one curve is all: it looks at no score, or at every scorer's alike."""
    alike = getattr(selector, "every_scorer", False) and not getattr(selector, "own_scorer", False)
    return ignores_scores(selector) or alike


def _scorers_of(selector: Selector, label: str, labels: Sequence[str]) -> tuple[str, ...]:
    """Those of the run's scorers that a selector looks at, with the pool's own `label`."""
    if not labels or ignores_scores(selector):
        return ()
    if not getattr(selector, "every_scorer", False):
        return (label,)
    named = tuple(getattr(selector, "scorers", ()) or labels)
    return tuple(dict.fromkeys((label, *named))) if getattr(selector, "own_scorer", False) else named


def _with_random(selectors: Sequence[Labelled]) -> list[Labelled]:
    """The selectors with `random` first: it stands beside every other."""
    others = [item for item in selectors if item.label != RANDOM]
    mine = [item for item in selectors if item.label == RANDOM]
    return [*(mine or [Labelled(label=RANDOM, spec=Spec(RANDOM, {}))]), *others]


def _oracle_choice(item: Judged) -> Selection:
    correct = item.correct
    return Selection(correct.index(1.0), "passes all tests") if 1.0 in correct else Selection(None, "none passes")


@dataclass(frozen=True, slots=True)
class Named:
    """What a curve is of: its own name, the selector's, and the scorers'."""

    name: str
    selector: str
    scorers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Estimates:
    """Values (P, K), the sampling error of each k's mean (K,), whether each k is exact, and the method."""

    values: metrics.Floats
    se: metrics.Floats
    exact: list[bool]
    method: str

    @classmethod
    def of_exact(cls, values: metrics.Floats, method: str) -> "_Estimates":
        return cls(values.round(DIGITS), np.zeros(values.shape[1]), [True] * values.shape[1], method)

    @classmethod
    def of_cells(cls, grid: Sequence[Sequence[metrics.Estimate]]) -> "_Estimates":
        values = np.array([[cell.value for cell in row] for row in grid])
        squares = np.array([[cell.se**2 for cell in row] for row in grid])
        exact = [all(row[column].exact for row in grid) for column in range(values.shape[1])]
        return cls(values.round(DIGITS), np.sqrt(squares.sum(axis=0)) / len(grid), exact, SAMPLED)


@dataclass(frozen=True, slots=True)
class _Baseline:
    """What every curve is compared with, and how intervals are made."""

    random: metrics.Floats
    oracle: metrics.Floats
    config: Config
    ks: Sequence[int]

    @classmethod
    def of(cls, correct: Sequence[metrics.Floats], config: Config, ks: Sequence[int]) -> "_Baseline":
        """Over problems with this correctness of their candidates."""
        random = metrics.exact_curve([([-1] * len(right), right) for right in correct], ks)
        oracle = metrics.exact_curve([((1 - right).astype(int), right) for right in correct], ks)
        return cls(random, oracle, config, ks)

    def curve(self, of: Named, selector: Selector, pools: Sequence[Pool], correct: Sequence[metrics.Floats]) -> Curve:
        """A selector's curve over all problems, and what it picks from each."""
        estimates = _estimate(selector, of.name, pools, correct, self.config, self.ks)
        choices = {pool.problem.id: selector.select(_first(pool, self.ks[-1])) for pool in pools}
        drawn = self.drawn_up(of, estimates, choices)
        return replace(drawn, drawn=getattr(selector, "drawn", False), saved=_saved(selector, pools))

    def drawn_up(self, of: Named, found: _Estimates, choices: dict[str, Selection]) -> Curve:
        """Points with intervals, and what the curve is worth at k = n beside random and oracle."""
        options = self.config.report
        settings = options.resamples, options.level, self.config.seed
        intervals = metrics.bootstrap_intervals(found.values, *settings)
        means = found.values.mean(axis=0)
        points = tuple(
            Point(k, float(mean), float(low), float(high), "exact" if exact else "sampled", float(se))
            for k, mean, (low, high), exact, se in zip(self.ks, means, intervals, found.exact, found.se, strict=True)
        )
        return Curve(
            name=of.name,
            selector=of.selector,
            scorers=of.scorers,
            points=points,
            per_problem=found.values,
            choices=choices,
            over_random=metrics.paired_difference(found.values[:, -1], self.random[:, -1], *settings),
            efficiency=metrics.selection_efficiency(
                float(means[-1]), float(self.random[:, -1].mean()), float(self.oracle[:, -1].mean())
            ),
            method=found.method,
        )


def _first(pool: Pool, n: int) -> Pool:
    return pool if len(pool) <= n else pool.take(range(n))


def _saved(selector: Selector, pools: Sequence[Pool]) -> Saved | None:
    """What a selector that prunes saves, over all problems; None for any other."""
    count: Callable[[Pool], Saved] | None = getattr(selector, "saved", None)
    if count is None:
        return None
    each = [count(pool) for pool in pools]
    return Saved(*(sum(getattr(one, name) for one in each) for name in ("scores", "of_scores", "tests", "of_tests")))


def _estimate(
    selector: Selector,
    name: str,
    pools: Sequence[Pool],
    correct: Sequence[metrics.Floats],
    config: Config,
    ks: Sequence[int],
) -> _Estimates:
    """By rank key or closed form where the selector has one for every pool, else over drawn subsets."""
    if isinstance(selector, Ranked):
        keys = [selector.rank_key(pool) for pool in pools]
        ranks = [metrics.dense_ranks(key) for key in keys if key is not None]
        if len(ranks) == len(pools):
            return _Estimates.of_exact(metrics.exact_curve(zip(ranks, correct, strict=True), ks), RANK_KEY)
    if isinstance(selector, Chance):
        chances = [selector.chances(pool, ks) for pool in pools]
        values = [right @ one for one, right in zip(chances, correct, strict=True) if one is not None]
        if len(values) == len(pools):
            return _Estimates.of_exact(np.minimum(np.stack(values), 1.0), CLOSED_FORM)
    draws = max(MIN_DRAWS, config.report.draws // len(pools))
    return _Estimates.of_cells(
        [
            [_sampled(selector, name, pool, right, k, draws, config.seed) for k in ks]
            for pool, right in zip(pools, correct, strict=True)
        ]
    )


def _sampled(
    selector: Selector, name: str, pool: Pool, correct: metrics.Floats, k: int, draws: int, seed: int
) -> metrics.Estimate:
    rng = np.random.default_rng(seed_of(seed, name, pool.problem.id, k))

    def worth(members: metrics.Bools) -> tuple[metrics.Floats, bool]:
        return earned(selector, pool, members, correct, rng)

    # At k = 1 all n subsets are enumerated: every selector must equal random there.
    most = max(draws, len(pool)) if k == 1 else draws
    return metrics.sampled_best_of_k(worth, len(pool), k, most, rng)


def paired(report: RunReport) -> dict[tuple[str, str], metrics.Difference]:
    """For each two curves, the first minus the second at k = n, paired problem by problem, with its interval."""
    options = report.config.report
    settings = options.resamples, options.level, report.config.seed
    return {
        (one.name, two.name): metrics.paired_difference(one.per_problem[:, -1], two.per_problem[:, -1], *settings)
        for one, two in combinations(report.curves, 2)
    }
