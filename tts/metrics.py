"""How good is choosing one of k samples? Estimators and their intervals, in pure numpy.

Everywhere `n` is how many candidates were sampled per problem, `k` how many a strategy gets to see, and `P` the number
of problems. Correctness is a float in [0, 1], ranks are integers of which the lowest is best. This file knows neither
problems, scores nor selectors, reads no file and prints nothing; what is wrong with its arguments is a ValueError.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SAME = 1e-9  # of the size of what two computed numbers are made of: that much apart, they differ by rounding alone
_CHUNK_CELLS = 1 << 20  # resamples x problems held at once: a few arrays of 8 MiB each


@dataclass(frozen=True, slots=True)
class Estimate:
    """An expected correctness and its standard error; `exact` says that nothing was drawn (then `se` is 0)."""

    value: float
    se: float
    exact: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference between two strategies on the same problems, and the ends of its interval."""

    value: float
    low: float
    high: float


def pass_at_k(n: ArrayLike, correct: ArrayLike, k: int) -> Floats:
    """The chance that k of n samples hold a correct one: 1 - C(n-c, k) / C(n, k), unbiased.

    `n` and `correct` (how many of the n are correct) are integers or integer arrays that broadcast; the result has
    their shape. ValueError unless 1 <= k <= n and 0 <= correct <= n. Source: Chen et al. 2021, arXiv 2107.03374.
    """
    samples, right = np.broadcast_arrays(_integers("n", n), _integers("correct", correct))
    if samples.size == 0:
        return np.empty(samples.shape)
    _check_k(k, int(samples.min()))
    if (right < 0).any() or (right > samples).any():
        raise ValueError("correct must lie between 0 and n, problem by problem.")
    missed = np.ones(samples.shape)
    for drawn in range(k):  # a product of ratios in [0, 1]: no binomial is ever formed, so nothing overflows
        missed = missed * np.maximum(samples - right - drawn, 0) / (samples - drawn)
    return np.asarray(1.0 - missed)


def dense_ranks(keys: Sequence[tuple[float, ...]] | Floats) -> Ints:
    """Ranks (n,) of n keys: 0 for the greatest, equal keys the same rank, no gaps.

    Keys are compared as tuples, first entry first, greater is better; -inf stands for "no score". ValueError for NaN,
    which has no place in an order, and for keys of different lengths.
    """
    if not isinstance(keys, np.ndarray) and len({len(key) for key in keys}) > 1:
        raise ValueError(f"All keys need the same length, got lengths {sorted({len(key) for key in keys})}.")
    if len(keys) == 0:
        return np.zeros(0, dtype=np.int64)
    rows = np.asarray(keys, dtype=np.float64)
    if np.isnan(rows).any():
        raise ValueError("A key holds NaN, which cannot be ranked. Use -inf for a missing score.")
    ranks = np.zeros(len(rows), dtype=np.int64)
    order = np.lexsort(rows.T[::-1])[::-1]
    ranks[order[1:]] = np.cumsum((rows[order[1:]] != rows[order[:-1]]).any(axis=1))
    return ranks


def pick_chances(ranks: ArrayLike, ks: Sequence[int]) -> Floats:
    """(n, K): the chance that each of n samples is the best-ranked of k drawn without replacement, those of one rank
    sharing theirs. Its product with the correctness is `best_of_k`. ValueError as there.
    """
    places = _integers("ranks", ranks)
    weights = _pick_weights(len(places), ks)
    order = np.argsort(places, kind="stable")
    found = np.empty(weights.shape)
    for column, weight in enumerate(weights.T):
        found[order, column] = _tie_means(places[order][None], weight[None])[0]
    return found


def best_of_k(ranks: ArrayLike, correct: ArrayLike, ks: Sequence[int]) -> Floats:
    """The expected correctness of the best-ranked of k samples drawn without replacement from n, exactly.

    `ranks` (P, n) integers and `correct` (P, n) in [0, 1] give (P, K) for K values of k; one problem, (n,), gives (K,).
    Over tie groups g with m members, A candidates strictly above and mean correctness y, this is

        sum over g of y_g * [C(n-A, k) - C(n-A-m, k)] / C(n, k).

    A group's bracket is the sum of its members' pick weights, so the whole is one matrix product of group means with
    weights that depend on n and k alone. The rank "0 if correct else 1" gives pass@k; equal ranks give the mean.
    ValueError for shapes that differ, ranks that are no integers, correctness outside [0, 1], or k outside 1..n.
    """
    places, right = _integers("ranks", ranks), np.asarray(correct, dtype=np.float64)
    if places.shape != right.shape or places.ndim not in (1, 2):
        raise ValueError(f"ranks {places.shape} and correct {right.shape} must both be (P, n) or both (n,).")
    if not ((right >= 0) & (right <= 1)).all():
        raise ValueError("correct must lie in [0, 1] and hold no NaN.")
    weights = _pick_weights(places.shape[-1], ks)
    means = _tie_means(np.atleast_2d(places), np.atleast_2d(right))
    curve = np.minimum(means @ weights, 1.0)  # the weights sum to 1 only up to rounding
    return curve if places.ndim == 2 else curve[0]


def exact_curve(per_problem: Iterable[tuple[ArrayLike, ArrayLike]], ks: Sequence[int]) -> Floats:
    """`best_of_k` (P, K) for problems with different n: pairs of ranks (n,) and correctness (n,), order kept.

    Problems of equal n are computed together. ValueError as `best_of_k`: no k may exceed any problem's n.
    """
    problems = [(np.asarray(ranks), np.asarray(correct)) for ranks, correct in per_problem]
    same_n: dict[int, list[int]] = defaultdict(list)
    for position, (ranks, correct) in enumerate(problems):
        if ranks.ndim != 1 or ranks.shape != correct.shape:
            raise ValueError(f"Problem {position}: ranks {ranks.shape} and correct {correct.shape} must both be (n,).")
        same_n[len(ranks)].append(position)
    curve = np.empty((len(problems), len(ks)))
    for positions in same_n.values():
        group = [problems[position] for position in positions]
        curve[positions] = best_of_k(np.stack([r for r, _ in group]), np.stack([c for _, c in group]), ks)
    return curve


def sampled_best_of_k(
    choose: Callable[[Bools], tuple[Floats, bool]], n: int, k: int, draws: int, rng: np.random.Generator
) -> Estimate:
    """`best_of_k` of one problem for a selector that has no rank key, by asking it about subsets.

    `choose` gets the members (D, n) of D subsets of k and returns (D,) the correctness of what it selects from each, 0
    where it abstains, and whether that is all there is to know: not one throw of dice, nor one order among equals. With
    at most `draws` subsets in all, each is asked once, and the answer is exact if it is all there is to know; otherwise
    `draws` uniform subsets are asked. `se` is the standard error of the mean, by `spread`. ValueError unless
    1 <= k <= n, draws >= 2.
    """
    _check_k(k, n)
    if draws < 2:
        raise ValueError(f"draws must be at least 2, got {draws}: one draw has no standard error.")
    if math.comb(n, k) <= draws:
        values, known = choose(all_subsets(n, k))
        if known:
            return Estimate(float(values.mean()), 0.0, exact=True)
    values, _ = choose(_drawn_subsets(n, k, draws, rng))
    return Estimate(float(values.mean()), spread(values) / math.sqrt(len(values)), exact=False)


def spread(draws: Floats, unit: float = 1.0) -> float:
    """The standard deviation of draws of up to `unit`, never 0: draws that all agree are taken for Laplace's estimate,
    one that differs among two more.
    """
    unseen = 1 / (len(draws) + 2)
    seen = float(draws.std(ddof=1)) if len(draws) > 1 else 0.0
    return max(seen, math.sqrt(unseen * (1 - unseen)) * unit)


def all_subsets(n: int, k: int) -> Bools:
    """(C(n, k), n): the members of every subset of k, in the order of `itertools.combinations`."""
    positions = np.array(list(combinations(range(n), k)), dtype=np.int64).reshape(-1, k)
    members = np.zeros((len(positions), n), dtype=np.bool_)
    np.put_along_axis(members, positions, True, axis=1)
    return members


def bootstrap_intervals(per_problem: ArrayLike, resamples: int = 2000, level: float = 0.95, seed: int = 0) -> Floats:
    """Percentile bootstrap intervals (K, 2), low and high, of the column means of a (P, K) matrix.

    Problems are resampled with replacement, the same ones for every column; equal P, seed and resamples give the same
    problems in another call too. Ends are in the unit of the values and are not clipped. ValueError for P = 0, values
    that are not finite, resamples < 1, or a level outside (0, 1). Source: Efron and Tibshirani 1993, chapter 13.
    """
    values = np.asarray(per_problem, dtype=np.float64)
    if values.ndim != 2 or len(values) == 0 or not np.isfinite(values).all():
        raise ValueError(f"A bootstrap needs a (P, K) matrix of finite values with P >= 1, got shape {values.shape}.")
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(f"resamples must be at least 1 and level in (0, 1), got {resamples} and {level}.")
    tail = (1 - level) / 2
    means = resampled_means(values, resamples, seed)
    return np.asarray(np.quantile(means, (tail, 1 - tail), axis=0).T)


def bootstrap_interval(
    per_problem: ArrayLike, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """`bootstrap_intervals` of one column: values (P,) give (low, high); P = 1 gives its value twice."""
    values = np.asarray(per_problem, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"Expected one value per problem, shape (P,), got {values.shape}.")
    low, high = bootstrap_intervals(values[:, None], resamples, level, seed)[0]
    return float(low), float(high)


def paired_difference(
    a: ArrayLike, b: ArrayLike, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> Difference:
    """The mean of a - b over the same P problems, with the bootstrap interval of the per-problem differences.

    Pairing removes what makes problems differ in difficulty. ValueError for shapes that differ, or as the bootstrap.
    """
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if left.shape != right.shape:
        raise ValueError(f"A paired difference needs the same problems on both sides, got {left.shape}, {right.shape}.")
    low, high = bootstrap_interval(left - right, resamples, level, seed)
    return Difference(float((left - right).mean()), low, high)


def resampled_counts(problems: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each of P problems was drawn, in chunks (rows, P) that together have `resamples` rows: what a statistic
    that is no mean over problems is recomputed with. Equal arguments give the draws of every other bootstrap here.
    """
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK_CELLS // problems)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        cells = rng.integers(problems, size=(size, problems)) + problems * np.arange(size)[:, None]
        yield np.bincount(cells.ravel(), minlength=size * problems).reshape(size, problems).astype(np.float64)


def resampled_means(values: Floats, resamples: int, seed: int) -> Floats:
    """(resamples, K): column means of the (P, K) values of P problems drawn with replacement."""
    problems = len(values)
    return np.vstack([counts @ values / problems for counts in resampled_counts(problems, resamples, seed)])


def selection_efficiency(best: float, random: float, oracle: float) -> float:
    """How much of what choosing could gain was gained: (best - random) / (oracle - random); 1 is perfect, 0 random.

    NaN when oracle and random are the `SAME`: there was nothing to gain, and at k = 1 they differ by rounding alone.
    """
    if math.isclose(oracle, random, rel_tol=0.0, abs_tol=SAME):
        return math.nan
    return (best - random) / (oracle - random)


def efficiency_interval(
    best: ArrayLike, random: ArrayLike, oracle: ArrayLike, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """The bootstrap interval of `selection_efficiency` over the same P problems, from three vectors (P,): all three
    means are of the same draws. Draws in which nothing could be gained say nothing and are passed over; NaN if all are.
    """
    means = resampled_means(np.stack([best, random, oracle], axis=1).astype(np.float64), resamples, seed)
    gained, gap = means[:, 0] - means[:, 1], means[:, 2] - means[:, 1]
    told = np.abs(gap) > SAME
    if not told.any():
        return math.nan, math.nan
    tail = (1 - level) / 2
    low, high = np.quantile(gained[told] / gap[told], (tail, 1 - tail))
    return float(low), float(high)


def _check_k(k: int, n: int) -> None:
    if not 1 <= k <= n:
        raise ValueError(f"k must lie between 1 and n, got k = {k} with n = {n}. Sample more candidates or lower k.")


def _integers(name: str, values: ArrayLike) -> Ints:
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "biu":
        raise ValueError(f"{name} must be integers, got {array.dtype}.")
    return array.astype(np.int64, copy=False)


def _pick_weights(n: int, ks: Sequence[int]) -> Floats:
    """(n, K): the chance C(n-1-j, k-1) / C(n, k) that the j-th best of n is the best of k drawn.

    Built from k/n by the ratio (n-j-k) / (n-j-1) of neighbours: only products of numbers in [0, 1], never a binomial.
    """
    drawn, above = _integers("ks", ks), np.arange(n - 1)[:, None]
    for k in drawn.tolist():
        _check_k(k, n)
    ratios = np.maximum(n - above - drawn, 0) / (n - above - 1)
    return np.asarray(np.cumprod(np.vstack([drawn / n, ratios]), axis=0))


def _tie_means(ranks: Ints, correct: Floats) -> Floats:
    """(P, n): each row's correctness from best rank to worst, every entry replaced by the mean of its tie group."""
    order = np.argsort(ranks, axis=1, kind="stable")
    ranks, correct = np.take_along_axis(ranks, order, axis=1), np.take_along_axis(correct, order, axis=1)
    opens = np.ones(ranks.shape, dtype=np.bool_)  # a row opens a group, so no group reaches across two problems
    opens[:, 1:] = ranks[:, 1:] != ranks[:, :-1]
    starts = np.flatnonzero(opens)
    sizes = np.diff(starts, append=ranks.size)
    means = np.add.reduceat(correct.ravel(), starts) / sizes
    return np.repeat(means, sizes).reshape(ranks.shape)


def _drawn_subsets(n: int, k: int, draws: int, rng: np.random.Generator) -> Bools:
    """(draws, n): the members of subsets of k drawn uniformly, each on its own."""
    members = np.zeros((draws, n), dtype=np.bool_)
    members[:, :k] = True
    return rng.permuted(members, axis=1)
