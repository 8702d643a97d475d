"""A pool as arrays, worked out once: what selectors compare, and the order that several of them share.

That order is `quality`: a valid program first, then its score, then its log probability. Of equals the lowest index
comes first, so that the order of a pool does not matter.
"""

from dataclasses import dataclass

import numpy as np

from tts.ballots import qualities
from tts.metrics import SAME, Bools, Floats, Ints, dense_ranks
from tts.types import Pool, Score

MEMO = "columns"


@dataclass(frozen=True, slots=True)
class Columns:
    """Arrays (n,), and `quality` (n, 3). Scores and log probabilities that are None are -inf.

    `age` is each candidate's place in the order of the indices, `tied` its rank by quality, shared by equal ones,
    `order` the positions by that rank, then by age.
    """

    age: Ints
    valid: Bools
    score: Floats
    logprob: Floats
    quality: Floats
    order: Ints
    tied: Ints

    @property
    def scored(self) -> Bools:
        """Which candidates have a score."""
        return self.score > -np.inf


def columns(pool: Pool) -> Columns:
    """The pool's columns, from its memo if they are there."""
    if MEMO not in pool.memo:
        pool.memo[MEMO] = _columns(pool)
    found: Columns = pool.memo[MEMO]
    return found


def _columns(pool: Pool) -> Columns:
    indices = np.array([c.index for c in pool.candidates])
    quality = np.array(qualities(pool), dtype=np.float64)
    valid, score, logprob = quality[:, 0] > 0, quality[:, 1].copy(), quality[:, 2].copy()
    tied, age = dense_ranks(quality), places(np.argsort(indices))
    order = np.lexsort([age, tied])
    return Columns(age, valid, score, logprob, quality, order, tied)


def told(score: Score) -> str:
    """A score in a reason."""
    return "none" if score.value is None else f"{score.value:.4g}"


def score_of(scores: tuple[Score, ...]) -> Floats:
    """The values of some scores, -inf for None."""
    return np.array([-np.inf if score.value is None else score.value for score in scores], dtype=np.float64)


def places(order: Ints) -> Ints:
    """Where each position stands in an order."""
    found = np.empty(len(order), dtype=np.int64)
    found[order] = np.arange(len(order))
    return found


def everyone(pool: Pool) -> Bools:
    """(1, n): the subset that is the whole pool."""
    return np.ones((1, len(pool)), dtype=np.bool_)


def first(candidates: Bools, place: Ints) -> Ints:
    """(D,): of the candidates (D, n) in each row the one whose place is lowest; -1 where a row has none."""
    found = np.where(candidates, place, len(place)).argmin(axis=1)
    return np.where(candidates.any(axis=1), found, -1)


def z_scores(values: Floats, held: Bools) -> Floats:
    """(D, n): the z-scores of each row's held among the values (n,), by the standard deviation over them; 0 for any
    other, and where all held are equal.
    """
    count = np.maximum(held.sum(axis=1, keepdims=True), 1)
    known = np.where(held, values, 0.0)
    centred = np.where(held, known - known.sum(axis=1, keepdims=True) / count, 0.0)
    largest = np.abs(centred).max(axis=1, keepdims=True)
    scaled = centred / np.where(largest > 0, largest, 1.0)  # so that no square is lost, however small values are
    deviation = np.sqrt((scaled**2).sum(axis=1, keepdims=True) / count)
    return np.asarray(scaled / np.where(deviation > 0, deviation, 1.0))


def greatest(values: Floats, candidates: Bools, unit: Floats | float = 1.0) -> Bools:
    """(D, n): of the candidates in each row those of the greatest value (D, n). Values were computed: what differs by
    no more than rounding is equal. `unit` is the size of the numbers that each was made of.
    """
    held = np.where(candidates, values, -np.inf)
    return np.asarray(candidates & (held >= held.max(axis=1, keepdims=True) - SAME * unit))


def lowest(candidates: Bools, place: Ints) -> Bools:
    """(D, n): of the candidates (D, n) in each row those whose place (n,) is lowest."""
    held = np.where(candidates, place, len(place))
    return np.asarray(candidates & (held == held.min(axis=1, keepdims=True)))


def levelled(values: Floats, unit: Floats) -> Floats:
    """(n,): computed values, of which those that differ by no more than rounding are made equal; `unit` as above."""
    order = np.argsort(values)
    ascending, sizes = values[order], unit[order]
    opens = np.ones(len(values), dtype=np.bool_)
    opens[1:] = ascending[1:] > ascending[:-1] + SAME * np.maximum(sizes[1:], sizes[:-1])
    found = np.empty(len(values))
    found[order] = ascending[opens][np.cumsum(opens) - 1]
    return found


def softened(scores: Floats, candidates: Bools, temperature: float) -> Floats:
    """(D, n): exp((score - the row's greatest) / temperature) of the candidates in each row, 0 of any other."""
    held = np.where(candidates, scores, -np.inf)
    top = held.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):  # infinitely far below the greatest is a weight of 0
        return np.asarray(np.exp((held - np.where(np.isfinite(top), top, 0.0)) / temperature))


def tie_break(pool: Pool, chosen: int, among: Bools) -> str:
    """What decided between the chosen and those `among` (n,) that are as valid and have its score; "" if none has."""
    known = columns(pool)
    equal = among & (known.quality[:, :2] == known.quality[chosen, :2]).all(axis=1)
    if (count := int(equal.sum())) < 2:
        return ""
    likeliest = int((equal & (known.logprob == known.logprob[chosen])).sum())
    if likeliest == count:
        return f", the first sampled of {count} equals"
    return f", of {count} with that score the one of the highest log probability"
