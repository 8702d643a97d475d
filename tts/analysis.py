"""A stored run -> numbers: pools joined with truth, then a curve of accuracy against k for each selector and scorer.

Recomputed each time, without a model: changing a selector, k or a scorer's role costs nothing here. Computes only;
`report.py` shows.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tts import config as configs
from tts import metrics, pipeline, plugins
from tts.config import Config, Labelled
from tts.errors import StoreError, counted
from tts.plugins import Spec
from tts.protocols import Ranked, Selector
from tts.seeds import seed_of
from tts.store import Store
from tts.types import Behaviour, Candidate, Decision, Grade, Pool, Problem, Score, Selection, Verdict, program_hash

UNSCORED = "unscored"  # stands for the scorer of a run that has none
META = (
    *("versions", "hardware", "commit", "sandbox", "timings", "fingerprint"),
    *("peaks", "parameters", "scorers", "stops"),
)
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
        return [float(grade.verdict is Verdict.PASSED) for grade in self.grades]

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
    """One selector with one scorer (None where it uses none). `per_problem` is (P, K); `choices` holds what it picks
    from each problem's full pool, and `over_random` the paired difference to random at k = n.
    """

    name: str
    selector: str
    scorer: str | None
    points: tuple[Point, ...]
    per_problem: metrics.Floats = field(repr=False)
    choices: dict[str, Selection] = field(repr=False)
    over_random: metrics.Difference
    efficiency: float


@dataclass(frozen=True, slots=True)
class RunReport:
    """All that a report shows of one run. `n` is the least over problems; `graded` counts candidates; `left_out` holds
    (problem id, why) of problems that are in no number here; `scores` maps scorer label -> candidate key -> score;
    `unscored` counts by scorer why candidates with code have none. `stops` has by problem what a policy decided, if the
    run had one: then the curves are over each problem's first n, which all have, since a pool that ended because it
    looked good is no fair sample. `spent` has seconds by (stage, problem id), see `Store.spent`.
    """

    folder: Path
    config: Config
    n: int
    graded: int
    ks: tuple[int, ...]
    judged: tuple[Judged, ...]
    left_out: tuple[tuple[str, str], ...]
    curves: tuple[Curve, ...]
    scores: dict[str, dict[tuple[str, int], Score]]
    extraction: Counter[str]
    verdicts: Counter[str]
    finish: Counter[str]
    unscored: dict[str, Counter[str]]
    meta: dict[str, Any]
    stops: dict[str, Decision] = field(default_factory=dict)
    spent: dict[tuple[str, str], float] = field(default_factory=dict, repr=False)

    def curve(self, name: str) -> Curve:
        """The curve of that name."""
        return next(curve for curve in self.curves if curve.name == name)


def stored_scores(store: Store, config: Config) -> dict[str, dict[tuple[str, int], Score]]:
    """Scorer label -> candidate key -> score, for the config's scorers as they were when the run was last continued."""
    identities = store.meta("scorers") or {}
    return {item.label: store.scores(identities.get(item.label, "")) for item in config.scorers}


def stored_config(store: Store) -> Config:
    """The config that the run was last continued with. Raises StoreError if the run never got that far."""
    text = store.meta("config")
    if text is None:
        raise StoreError(f"{store.folder} holds no config: its run stopped before it began. Run `tts run` on it again.")
    return configs.parse(yaml.safe_load(text), where=f"The config stored in {store.folder}")


def judge(store: Store, config: Config) -> tuple[list[Judged], list[tuple[str, str]]]:
    """The problems about whose candidates all is known, and those left out with the reason."""
    grader = stored_grader(store)
    grades, behaviours = store.grades(grader), store.behaviours(grader)
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
            left_out.append((problem.id, "our own machinery could not decide about all its candidates"))
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


def analyse(store: Store) -> RunReport:
    """Everything that can be said of a run as it is stored now. Raises StoreError if nothing is graded."""
    config = stored_config(store)
    judged, left_out = judge(store, config)
    stops = stored_stops(store)
    if stops is not None:
        judged, more = _stopped(judged, stops)
        left_out += more
    if not judged:
        stored = counted(len(store.candidate_keys()), "candidate")
        raise StoreError(
            f"{store.folder} has {stored} of {counted(len(store.problems()), 'problem')}, and for no problem is the "
            "first one graded, so there is nothing to report yet. Continue it with the same `tts run`."
        )
    n = min(len(item.candidates) if stops is None else stops[item.problem.id].wanted for item in judged)
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
        curves=tuple(curves(judged if stops is None else [item.first(n) for item in judged], scores, config, ks)),
        scores=scores,
        extraction=Counter(c.extraction + ", cut off" * c.truncated for c in candidates),
        verdicts=Counter(str(g.verdict) for item in judged for g in item.grades),
        finish=Counter(c.finish for c in candidates),
        unscored={label: _unscored(candidates, held) for label, held in scores.items()},
        meta={key: store.meta(key) for key in META},
        stops=stops or {},
        spent=store.spent(),
    )


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


def _unscored(candidates: Sequence[Candidate], held: dict[tuple[str, int], Score]) -> Counter[str]:
    """Why candidates that have code have no score; what follows a colon is particular, so like reasons are one."""
    missing = Score("", 0, None, "not scored yet")
    reasons = [held.get(c.key, missing) for c in candidates if c.code is not None]
    return Counter(score.why.split(":")[0] for score in reasons if score.value is None)


def choose_ks(n: int, wanted: Sequence[int]) -> tuple[int, ...]:
    """The wanted ks that n allows, or powers of two; n itself is always the last."""
    below = wanted or [2**i for i in range(n.bit_length())]
    return tuple(sorted({k for k in below if k < n} | {n}))


def pool_of(item: Judged, scores: dict[tuple[str, int], Score]) -> Pool:
    """One problem's pool as a selector sees it with one scorer."""
    unscored = "not scored"
    found = tuple(scores.get(c.key) or Score(*c.key, None, unscored) for c in item.candidates)
    return Pool(item.problem, item.candidates, found, item.behaviours)


def curves(
    judged: Sequence[Judged], scores: dict[str, dict[tuple[str, int], Score]], config: Config, ks: Sequence[int]
) -> list[Curve]:
    """Random and oracle first, then every selector with every scorer, those that ignore scores once."""
    correct = [np.array(item.correct) for item in judged]
    levels = [([-1] * len(right), right) for right in correct]
    random = metrics.exact_curve(levels, ks)
    oracle = metrics.exact_curve([((1 - right).astype(int), right) for right in correct], ks)
    baseline = _Baseline(random, oracle, config, ks)
    found = []
    for item in _with_random(config.selectors):
        selector: Selector = plugins.build("selector", item.spec, f"selector {item.label!r}", seed=config.seed)
        labels = [*scores] or [UNSCORED]
        for position, label in enumerate(labels[:1] if getattr(selector, "ignores_scores", False) else labels):
            name = item.label if position == 0 else f"{item.label}:{label}"
            pools = [pool_of(one, scores.get(label, {})) for one in judged]
            estimates = _estimate(selector, name, pools, correct, config, ks)
            scorer = label if scores and not getattr(selector, "ignores_scores", False) else None
            choices = {pool.problem.id: selector.select(pool) for pool in pools}
            found.append(baseline.curve(name, item.label, scorer, estimates, choices))
    best = {item.problem.id: _oracle_choice(item) for item in judged}
    found.insert(1, baseline.curve("oracle", "oracle", None, _Estimates.of_exact(oracle), best))
    return found


def _with_random(selectors: Sequence[Labelled]) -> list[Labelled]:
    """The selectors with `random` first: it stands beside every other."""
    others = [item for item in selectors if item.label != "random"]
    mine = [item for item in selectors if item.label == "random"]
    return [*(mine or [Labelled(label="random", spec=Spec("random", {}))]), *others]


def _oracle_choice(item: Judged) -> Selection:
    correct = item.correct
    return Selection(correct.index(1.0), "passes all tests") if 1.0 in correct else Selection(None, "none passes")


@dataclass(frozen=True, slots=True)
class _Estimates:
    """Values (P, K), the sampling error of each k's mean (K,), and whether each k is exact."""

    values: metrics.Floats
    se: metrics.Floats
    exact: list[bool]

    @classmethod
    def of_exact(cls, values: metrics.Floats) -> "_Estimates":
        values = values.round(12)  # so that equal averages are equal at each k, whatever order they were added in
        return cls(values, np.zeros(values.shape[1]), [True] * values.shape[1])


@dataclass(frozen=True, slots=True)
class _Baseline:
    """What every curve is compared with, and how intervals are made."""

    random: metrics.Floats
    oracle: metrics.Floats
    config: Config
    ks: Sequence[int]

    def curve(
        self, name: str, selector: str, scorer: str | None, found: _Estimates, choices: dict[str, Selection]
    ) -> Curve:
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
            name=name,
            selector=selector,
            scorer=scorer,
            points=points,
            per_problem=found.values,
            choices=choices,
            over_random=metrics.paired_difference(found.values[:, -1], self.random[:, -1], *settings),
            efficiency=metrics.selection_efficiency(
                float(means[-1]), float(self.random[:, -1].mean()), float(self.oracle[:, -1].mean())
            ),
        )


def _estimate(
    selector: Selector,
    name: str,
    pools: Sequence[Pool],
    correct: Sequence[metrics.Floats],
    config: Config,
    ks: Sequence[int],
) -> _Estimates:
    if isinstance(selector, Ranked):
        ranked = [
            (metrics.dense_ranks(selector.rank_key(pool)), right) for pool, right in zip(pools, correct, strict=True)
        ]
        return _Estimates.of_exact(metrics.exact_curve(ranked, ks))
    draws = max(MIN_DRAWS, config.report.draws // len(pools))
    grid = [
        [_sampled(selector, name, pool, right, k, draws, config.seed) for k in ks]
        for pool, right in zip(pools, correct, strict=True)
    ]
    values = np.array([[cell.value for cell in row] for row in grid])
    squares = np.array([[cell.se**2 for cell in row] for row in grid])
    exact = [all(row[column].exact for row in grid) for column in range(len(ks))]
    return _Estimates(values, np.sqrt(squares.sum(axis=0)) / len(grid), exact)


def _sampled(
    selector: Selector, name: str, pool: Pool, correct: metrics.Floats, k: int, draws: int, seed: int
) -> metrics.Estimate:
    def choose(positions: tuple[int, ...]) -> float:
        chosen = selector.select(pool.take(positions)).position
        return 0.0 if chosen is None else float(correct[positions[chosen]])

    rng = np.random.default_rng(seed_of(seed, name, pool.problem.id, k))
    # At k = 1 all n subsets are enumerated: every selector must equal random there.
    return metrics.sampled_best_of_k(choose, len(pool), k, max(draws, len(pool)) if k == 1 else draws, rng)


def paired(report: RunReport) -> dict[tuple[str, str], metrics.Difference]:
    """For each two curves, the first minus the second at k = n, paired problem by problem, with its interval."""
    options = report.config.report
    settings = options.resamples, options.level, report.config.seed
    return {
        (one.name, two.name): metrics.paired_difference(one.per_problem[:, -1], two.per_problem[:, -1], *settings)
        for one, two in combinations(report.curves, 2)
    }
