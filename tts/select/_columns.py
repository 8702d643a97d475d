"""A pool as arrays, worked out once: what selectors compare, and the order that several of them share.

That order is `quality`: a valid program first, then its score, then its log probability. Of equals the lowest index
comes first, so that the order of a pool does not matter.
"""

from dataclasses import dataclass

import numpy as np

from tts.ballots import qualities
from tts.metrics import Bools, Floats, Ints, dense_ranks
from tts.types import Pool, Score

MEMO = "columns"
Z_DIGITS = 9  # to which sums of z-scores are rounded, so that equal ones are equal whatever they were summed beside


@dataclass(frozen=True, slots=True)
class Columns:
    """Arrays (n,), and `quality` (n, 3). Scores and log probabilities that are None are -inf.

    `age` is each candidate's place in the order of the indices, `order` the positions from the best quality to the
    worst, `place` each candidate's place in it, `tied` its rank there, shared by those of equal quality.
    """

    age: Ints
    valid: Bools
    score: Floats
    logprob: Floats
    quality: Floats
    order: Ints
    place: Ints
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
    return Columns(age, valid, score, logprob, quality, order, places(order), tied)


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


def greatest(values: Floats, candidates: Bools, place: Ints) -> Ints:
    """(D,): of the candidates in each row the one of the greatest value (D, n), of equals the lowest place; -1 where a
    row has none.
    """
    held = np.where(candidates, values, -np.inf)
    return first(candidates & (held == held.max(axis=1, keepdims=True)), place)
