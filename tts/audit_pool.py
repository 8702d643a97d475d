"""A scorer on a graded run: how it orders right and wrong candidates, and where two scorers agree.

Joins a run's candidates and grades with scores; the statistics are `ranking.py`'s and `metrics.py`'s. AUC, tau and
calibration are about candidates with a score; best-of-k and Hits@k rank as the report's `argmax` does, programs that
parse first and those without a score last, but equal scores are averaged: what breaks a tie is not the scorer's merit.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tts import metrics, ranking
from tts.analysis import Judged, pool_of, scored
from tts.metrics import Floats, Ints
from tts.ranking import Bootstrap, Calibration, Interval, OverOptimisation
from tts.scoring import Scores
from tts.select.argmax import Argmax
from tts.types import program_hash


@dataclass(frozen=True, slots=True)
class HitsAt:
    """Problems with a right candidate among the k best scored, and among k drawn at random, as shares of those that
    have right and wrong ones.
    """

    k: int
    hits: Interval
    random: float


@dataclass(frozen=True, slots=True)
class BestOf:
    """Best-of-k by the scorer, beside one drawn at random and the best that could be chosen, over all problems."""

    k: int
    scorer: Interval
    random: Interval
    oracle: Interval


@dataclass(frozen=True, slots=True)
class Ranks:
    """How a scorer orders a pool. `mixed` problems have right and wrong candidates; `unscored` counts why candidates
    with code have no score.
    """

    scored: int
    unscored: dict[str, int]
    mixed: int
    auc_within: Interval
    auc_across: Interval
    tau: Interval
    hits: tuple[HitsAt, ...]
    best_of: tuple[BestOf, ...]
    calibration: Calibration
    over_optimisation: OverOptimisation | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two scorers on the candidates that both scored: tau-b of their scores, the share of pairs that both order alike,
    the share of problems where both choose the same program, and what choosing by the first gains over the other.
    """

    one: str
    other: str
    tau: Interval
    alike: Interval
    same_choice: Interval
    gain: metrics.Difference


def ranks(judged: Sequence[Judged], scores: Scores, ks: Sequence[int], how: Bootstrap) -> Ranks:
    """All of it for one scorer."""
    problems = [scored(item, scores) for item in judged]
    candidates = [c for item in judged for c in item.candidates]
    missing = [scores[c.key].why for c in candidates if c.code is not None and scores[c.key].value is None]
    curve = best_of(judged, scores, ks)
    return Ranks(
        scored=sum(len(values) for values, _ in problems),
        unscored=dict(Counter(why.split(":")[0] for why in missing)),
        mixed=sum(_is_mixed(item) for item in judged),
        auc_within=ranking.auc_within(problems, how),
        auc_across=ranking.auc_across(problems, how),
        tau=ranking.tau_within(problems, how),
        hits=_hits(judged, scores, ks, how),
        best_of=_beside_baselines(judged, curve, ks, how),
        calibration=ranking.calibrate(problems, how),
        over_optimisation=ranking.over_optimisation(curve, ks, how),
    )


def _is_mixed(item: Judged) -> bool:
    return 0 < sum(item.correct) < len(item.correct)


def _ranks_of(item: Judged, scores: Scores) -> Ints:
    pool = pool_of(item, dict(scores))
    return metrics.dense_ranks(Argmax().rank_key(pool)[:, :2])


def best_of(judged: Sequence[Judged], scores: Scores, ks: Sequence[int]) -> Floats:
    """(P, K): best-of-k of each problem, exactly."""
    return _curve([_ranks_of(item, scores) for item in judged], judged, ks)


def _curve(ranks: Sequence[Ints], judged: Sequence[Judged], ks: Sequence[int]) -> Floats:
    """Rounded, so that equal averages are equal, whatever order they were added in."""
    pairs = [(places, item.correct) for places, item in zip(ranks, judged, strict=True)]
    return metrics.exact_curve(pairs, ks).round(12)


def _hits(judged: Sequence[Judged], scores: Scores, ks: Sequence[int], how: Bootstrap) -> tuple[HitsAt, ...]:
    mixed = [item for item in judged if _is_mixed(item)]
    if not mixed:
        return ()
    rows = np.array([ranking.hits_at_k(_ranks_of(item, scores), item.correct, ks) for item in mixed])
    n, right = [len(item.correct) for item in mixed], [int(sum(item.correct)) for item in mixed]
    return tuple(
        HitsAt(k, ranking.mean(column, how), float(metrics.pass_at_k(n, right, k).mean()))
        for k, column in zip(ks, rows.T, strict=True)
    )


def _beside_baselines(judged: Sequence[Judged], curve: Floats, ks: Sequence[int], how: Bootstrap) -> tuple[BestOf, ...]:
    correct = [np.array(item.correct, dtype=np.int64) for item in judged]
    random = _curve([np.zeros_like(right) for right in correct], judged, ks)
    oracle = _curve([1 - right for right in correct], judged, ks)
    columns = zip(ks, curve.T, random.T, oracle.T, strict=True)
    return tuple(BestOf(k, *(ranking.mean(column, how) for column in three)) for k, *three in columns)


def agreement(
    judged: Sequence[Judged], one: tuple[str, Scores], other: tuple[str, Scores], k: int, how: Bootstrap
) -> Agreement:
    """Two scorers, each with its label; `k` is what the gain is measured at."""
    (label, first), (other_label, second) = one, other
    pairs = [_both(item, first, second) for item in judged]
    same = [float(_choice(item, first) == _choice(item, second)) for item in judged]
    mine, theirs = (best_of(judged, scores, [k])[:, 0] for scores in (first, second))
    return Agreement(
        label,
        other_label,
        tau=ranking.mean([ranking.kendall_tau_b(a, b) for a, b in pairs], how),
        alike=ranking.mean([ranking.order_agreement(a, b) for a, b in pairs], how),
        same_choice=ranking.mean(same, how),
        gain=metrics.paired_difference(mine, theirs, how.resamples, how.level, how.seed),
    )


def _both(item: Judged, first: Scores, second: Scores) -> tuple[list[float], list[float]]:
    """The scores of the candidates that both scored."""
    values = [(first[c.key].value, second[c.key].value) for c in item.candidates]
    kept = [(a, b) for a, b in values if a is not None and b is not None]
    return [a for a, _ in kept], [b for _, b in kept]


def _choice(item: Judged, scores: Scores) -> str:
    """The program that is chosen; candidates of one text are one choice."""
    chosen = Argmax().select(pool_of(item, dict(scores))).position
    code = None if chosen is None else item.candidates[chosen].code
    return "" if code is None else program_hash(code)
