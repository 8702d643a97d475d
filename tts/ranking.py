"""How well do scores order right programs above wrong ones? Statistics of a scorer, each with its interval.

One problem is a pair of arrays (n,): scores, which are finite, and correctness, which is 0 or 1. Whatever is averaged
is averaged within a problem first, so that each problem weighs the same, and every interval is a percentile bootstrap
over problems: pairs of one problem are not independent. A statistic that has no value is NaN. Pure numpy: knows neither
scorers nor stores.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tts.metrics import (
    Difference,
    Floats,
    Ints,
    bootstrap_interval,
    pass_at_k,
    resampled_counts,
    resampled_means,
)

MOST_PAIRS = 4096  # of one problem, drawn with a seed where there are more: what a calibration can tell is told by then
STEPS = 1000  # of Newton's method at most
GRID = np.sinh(np.linspace(-7, 7, 321))  # standard errors about a scale: dense near it, and as far as 548 of them
TINY = 1e-290  # so that a gradient that never crosses 0 does not vanish far out
Problem = tuple[Floats, Floats]


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How intervals are made."""

    resamples: int = 2000
    level: float = 0.95
    seed: int = 0

    @property
    def tails(self) -> tuple[float, float]:
        """The quantiles at an interval's ends."""
        tail = (1 - self.level) / 2
        return tail, 1 - tail


@dataclass(frozen=True, slots=True)
class Interval:
    """A value, the ends of its interval, and how many problems it rests on; NaN where no problem has one."""

    value: float
    low: float
    high: float
    problems: int


NOTHING = Interval(math.nan, math.nan, math.nan, 0)


def mean(per_problem: ArrayLike, how: Bootstrap) -> Interval:
    """The mean of one value per problem, those that are NaN left out."""
    values = np.asarray(per_problem, dtype=np.float64)
    values = values[~np.isnan(values)]
    if values.size == 0:
        return NOTHING
    low, high = bootstrap_interval(values, how.resamples, how.level, how.seed)
    return Interval(float(values.mean()), low, high, len(values))


# Orders of right and wrong.


def auc(scores: ArrayLike, correct: ArrayLike) -> float:
    """The chance that a right candidate scores above a wrong one, a tie counted half; NaN without one of either.

    The area under the ROC curve, as Mann and Whitney's statistic (1947) over its greatest value.
    """
    order = _Order.of(np.asarray(scores, dtype=np.float64), np.asarray(correct, dtype=np.float64))
    return order.auc(np.ones(len(order.positions)))


def auc_within(problems: Sequence[Problem], how: Bootstrap) -> Interval:
    """The mean AUC of the problems that have both right and wrong candidates."""
    return mean([auc(scores, correct) for scores, correct in problems], how)


def auc_across(problems: Sequence[Problem], how: Bootstrap) -> Interval:
    """The AUC of all candidates thrown together, whatever their problems: whether one threshold fits all problems."""
    if not problems:
        return NOTHING
    owner = np.repeat(np.arange(len(problems)), [len(scores) for scores, _ in problems])
    order = _Order.of(*(np.concatenate(part) for part in zip(*problems, strict=True)))
    value = order.auc(np.ones(len(owner)))
    if math.isnan(value):
        return NOTHING
    owner = owner[order.positions]
    chunks = resampled_counts(len(problems), how.resamples, how.seed)
    drawn = [order.auc(row[owner]) for rows in chunks for row in rows]
    return Interval(value, *_ends(np.array(drawn), how), len(problems))


@dataclass(frozen=True, slots=True)
class _Order:
    """Candidates by ascending score: their positions before, whether each is right, and where each group of equal
    scores begins.
    """

    positions: Ints
    correct: Floats
    starts: Ints

    @classmethod
    def of(cls, values: Floats, correct: Floats) -> "_Order":
        positions = np.argsort(values, kind="stable")
        ordered = values[positions]
        opens = np.ones(len(values), dtype=np.bool_)
        opens[1:] = ordered[1:] != ordered[:-1]
        return cls(positions, correct[positions], np.flatnonzero(opens))

    def auc(self, weights: Floats) -> float:
        """The AUC where each candidate, in this order, stands for `weights` of its kind."""
        if len(self.starts) == 0:
            return math.nan
        rights = self.correct * weights
        right, wrong = (np.add.reduceat(part, self.starts) for part in (rights, weights - rights))
        pairs = right.sum() * wrong.sum()
        below = np.cumsum(wrong) - wrong
        return float(right @ (below + wrong / 2) / pairs) if pairs > 0 else math.nan


def kendall_tau_b(x: ArrayLike, y: ArrayLike) -> float:
    """Kendall's tau-b of two lists (n,): concordant less discordant pairs over the geometric mean of the pairs untied
    in x and those untied in y. NaN where all of y are tied; 0 where only x are, since such an x orders nothing.

    Source: Kendall 1945, The treatment of ties in ranking problems.
    """
    a, b = _signs(x), _signs(y)
    untied_a, untied_b = float(np.abs(a).sum()), float(np.abs(b).sum())
    if untied_b == 0:
        return math.nan
    return 0.0 if untied_a == 0 else float((a * b).sum()) / math.sqrt(untied_a * untied_b)


def _signs(x: ArrayLike) -> Floats:
    """(n, n): the sign of each pair's difference."""
    values = np.asarray(x, dtype=np.float64)
    return np.asarray(np.sign(values[:, None] - values[None, :]))


def tau_within(problems: Sequence[Problem], how: Bootstrap) -> Interval:
    """The mean tau-b of score and correctness, over problems that have both right and wrong candidates."""
    return mean([kendall_tau_b(scores, correct) for scores, correct in problems], how)


def hits_at_k(ranks: ArrayLike, correct: ArrayLike, ks: Sequence[int]) -> Floats:
    """(K,): the chance that a right candidate is among the k best ranked, equal ranks in random order.

    `ranks` (n,) are integers of which the lowest is best; `correct` (n,) is 0 or 1. 0 without a right candidate.
    """
    places, right = np.asarray(ranks), np.asarray(correct, dtype=np.float64)
    if not right.any():
        return np.zeros(len(ks))
    best = places[right > 0].min()
    above, tied = int((places < best).sum()), places == best
    members, hits = int(tied.sum()), int(right[tied].sum())
    drawn = [min(max(k - above, 0), members) for k in ks]
    return np.array([float(pass_at_k(members, hits, k)) if k else 0.0 for k in drawn])


# Differences of scores as log odds.


@dataclass(frozen=True, slots=True)
class Bin:
    """Pairs whose scores differ by `low` to `high`: how many, how often the right one is above (a tie half), and how
    often it would be by the fitted scale.
    """

    low: float
    high: float
    pairs: int
    accuracy: Interval
    fitted: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """`scale` is what a score difference is multiplied with to be the log odds that it is right about; infinite where
    no pair, or every pair, is ordered wrongly.
    """

    scale: Interval
    pairs: int
    bins: tuple[Bin, ...]


def calibrate(problems: Sequence[Problem], how: Bootstrap, bins: int = 5) -> Calibration:
    """How often the higher score is right, by how much higher it is, and the Bradley-Terry scale.

    Over all pairs of a right and a wrong candidate of one problem; a problem's pairs share a weight of 1.
    """
    rng = np.random.default_rng(how.seed)
    margins = [found for scores, correct in problems if (found := _margins(scores, correct, rng)).size]
    if not margins:
        return Calibration(NOTHING, 0, ())
    scale = _scale(margins, how)
    return Calibration(scale, sum(map(len, margins)), _bins(margins, scale.value, how, bins))


def _margins(scores: Floats, correct: Floats, rng: np.random.Generator) -> Floats:
    """Right minus wrong, for each pair of a problem or MOST_PAIRS of them."""
    found = (scores[correct > 0][:, None] - scores[correct == 0][None, :]).ravel()
    return found if len(found) <= MOST_PAIRS else rng.choice(found, MOST_PAIRS, replace=False)


def bradley_terry(margins: ArrayLike, weights: ArrayLike) -> float:
    """The b that maximises the sum of weights * log sigmoid(b * margins), by Newton's method.

    Infinite where all margins that are not 0 have one sign, NaN where all are 0. Source: Bradley and Terry 1952.
    """
    values, weight = np.asarray(margins, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    reach = float(np.abs(values).max(initial=0.0))
    if reach == 0:
        return math.nan
    if (values >= 0).all() or (values <= 0).all():
        return math.copysign(math.inf, values.sum())
    units, scale = values / reach, 0.0
    # The gradient's slope is steepest at 0 and flattens on both sides, so steps from 0 never pass the optimum.
    for _ in range(STEPS):
        wrong = _sigmoid(-scale * units)
        step = (weight * units * wrong).sum() / (weight * units**2 * wrong * (1 - wrong)).sum()
        scale += float(step)
        if abs(step) <= 1e-12 * abs(scale):
            break
    return scale / reach


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(np.exp(-np.logaddexp(0.0, -x)))


def _scale(margins: Sequence[Floats], how: Bootstrap) -> Interval:
    """The scale and its interval: for each resample the root of the mean gradient, found on a grid."""
    weights = np.concatenate([np.full(len(found), 1 / len(found)) for found in margins])
    value = bradley_terry(np.concatenate(margins), weights)
    if not math.isfinite(value):
        return Interval(value, math.nan, math.nan, len(margins))
    spread = _standard_error(margins, value)
    if spread <= 1e-9 * abs(value):  # the problems agree, one alone with itself
        return Interval(value, value, value, len(margins))
    grid = np.asarray(value + spread * GRID)
    gradients = np.vstack([_gradients(found, grid) for found in margins])
    roots = _roots(grid, resampled_means(gradients, how.resamples, how.seed))
    low, high = np.quantile(roots, how.tails, method="inverted_cdf")  # which takes infinite ones as well
    return Interval(value, float(low), float(high), len(margins))


def _standard_error(margins: Sequence[Floats], scale: float) -> float:
    """The scale's, where problems are independent and pairs within them are not: the sandwich estimator."""
    gradients = np.array([_gradients(found, np.array([scale]))[0] for found in margins])
    wrongs = [_sigmoid(-scale * found) for found in margins]
    curvature = sum(float((found**2 * w * (1 - w)).mean()) for found, w in zip(margins, wrongs, strict=True))
    return float(np.sqrt((gradients**2).sum())) / curvature


def _gradients(margins: Floats, grid: Floats) -> Floats:
    """(M,): the gradient of one problem's mean log likelihood at each scale of a grid."""
    wrong = np.maximum(_sigmoid(-np.multiply.outer(margins, grid)), TINY)
    return np.asarray((margins[:, None] * wrong).mean(axis=0))


def _roots(grid: Floats, falling: Floats) -> Floats:
    """(B,): where rows (B, M) of falling values over a grid (M,) cross 0; infinite where they do not."""
    after = (falling > 0).sum(axis=1)
    inner = np.clip(after, 1, len(grid) - 1)
    rows = np.arange(len(falling))
    above, below = falling[rows, inner - 1], falling[rows, inner]
    with np.errstate(invalid="ignore", divide="ignore"):  # of rows that do not cross
        crossing = grid[inner - 1] + (grid[inner] - grid[inner - 1]) * above / (above - below)
    return np.where(after == 0, -np.inf, np.where(after == len(grid), np.inf, crossing))


def _bins(margins: Sequence[Floats], scale: float, how: Bootstrap, count: int) -> tuple[Bin, ...]:
    """Bins of about equally many pairs by the size of their difference."""
    sizes = np.abs(np.concatenate(margins))
    edges = np.unique(np.quantile(sizes, np.linspace(0, 1, count + 1)))
    if len(edges) == 1:
        edges = np.append(edges, edges)
    limits = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    return tuple(_bin(margins, low, high, i == len(limits) - 1, scale, how) for i, (low, high) in enumerate(limits))


def _bin(margins: Sequence[Floats], low: float, high: float, last: bool, scale: float, how: Bootstrap) -> Bin:
    inside = [found[_within(np.abs(found), low, high, last)] for found in margins]
    weights = [len(some) / len(found) for some, found in zip(inside, margins, strict=True)]
    wins = [_wins(some) / len(found) for some, found in zip(inside, margins, strict=True)]
    fits = [_fitted(some, scale) / len(found) for some, found in zip(inside, margins, strict=True)]
    pairs = sum(map(len, inside))
    return Bin(low, high, pairs, ratio(wins, weights, how), sum(fits) / sum(weights) if pairs else math.nan)


def _within(sizes: Floats, low: float, high: float, last: bool) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    return (sizes >= low) & ((sizes <= high) if last else (sizes < high))


def _wins(margins: Floats) -> float:
    return float((margins > 0).sum() + (margins == 0).sum() / 2)


def _fitted(margins: Floats, scale: float) -> float:
    """The expected wins if differences times the scale were log odds."""
    if not math.isfinite(scale):
        return math.nan
    return float(_sigmoid(scale * np.abs(margins)).sum())


def ratio(above: Sequence[float], below: Sequence[float], how: Bootstrap) -> Interval:
    """The sum of one value per problem over the sum of another, and its interval; NaN where the latter is 0."""
    parts = np.array([above, below], dtype=np.float64).T
    total = parts.sum(axis=0)
    if len(parts) == 0 or total[1] == 0:
        return NOTHING
    means = resampled_means(parts, how.resamples, how.seed)
    drawn = means[means[:, 1] > 0]
    return Interval(float(total[0] / total[1]), *_ends(drawn[:, 0] / drawn[:, 1], how), int((parts[:, 1] > 0).sum()))


def _ends(drawn: Floats, how: Bootstrap) -> tuple[float, float]:
    """The interval's ends; resamples in which there was nothing to compare say nothing."""
    low, high = np.nanquantile(drawn, how.tails)
    return float(low), float(high)


# More candidates, and another scorer.


@dataclass(frozen=True, slots=True)
class OverOptimisation:
    """Best-of-k at the largest k less that at `best_k`, the best of the smaller ones; `alarm` where all of the interval
    is below 0. The interval holds for every smaller k at once, since `best_k` was chosen after the fact.
    """

    k: int
    best_k: int
    difference: Difference
    alarm: bool


def over_optimisation(curve: ArrayLike, ks: Sequence[int], how: Bootstrap) -> OverOptimisation | None:
    """Does choosing among more candidates make the choice worse? `curve` (P, K) is best-of-k per problem, ks ascend.
    None with one k. Sources: Gao et al. 2022, arXiv 2210.10760; the interval is value - q, with the quantiles q of the
    least and of the greatest deviation over all smaller k of a resample's differences from these (Westfall and Young
    1993, single-step maxT).
    """
    values = np.asarray(curve, dtype=np.float64)
    if len(ks) < 2:
        return None
    gaps = values[:, -1:] - values[:, :-1]
    means = gaps.mean(axis=0)
    best = int(means.argmin())
    off = resampled_means(gaps, how.resamples, how.seed) - means
    below, above = np.quantile(off.min(axis=1), how.tails[0]), np.quantile(off.max(axis=1), how.tails[1])
    found = Difference(float(means[best]), float(means[best] - above), float(means[best] - below))
    return OverOptimisation(ks[-1], ks[best], found, found.high < 0)


def order_agreement(one: ArrayLike, other: ArrayLike) -> float:
    """The share of pairs that two scorers of the same candidates (n,) order alike, among those that neither ties; NaN
    if there are none.
    """
    both = _signs(one) * _signs(other)
    untied = float(np.abs(both).sum())
    return float((both > 0).sum()) / untied if untied else math.nan
