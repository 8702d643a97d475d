"""What one more sample may gain, from the scores there are: their upper half is taken for an exponential tail."""

import math
import statistics
from functools import lru_cache

import numpy as np

from tts.types import Pool

NODES = 40  # of the quadrature; the integrand is smooth


def scores_of(pool: Pool) -> list[float]:
    """The score of each valid candidate that has one."""
    return [
        score.value
        for candidate, score in zip(pool.candidates, pool.scores, strict=True)
        if candidate.valid and score.value is not None
    ]


def tail(values: list[float]) -> tuple[float, float]:
    """(median, mean excess of the upper half over it): place and scale of the tail of at least one value."""
    median = statistics.median_high(values)
    upper = [value - median for value in values if value >= median]
    return median, math.fsum(upper) / len(upper)


@lru_cache(maxsize=1)
def _laguerre() -> tuple[tuple[float, float], ...]:
    """Nodes and weights of Gauss-Laguerre quadrature: the mean of f(t) for t ~ Exponential(1) is sum w * f(t)."""
    nodes, weights = np.polynomial.laguerre.laggauss(NODES)
    return tuple(zip(nodes.tolist(), weights.tolist(), strict=True))


def win_gain(scale: float) -> float:
    """How much more often than half the time a value wins over the best so far, on average over values that exceed it
    by t ~ Exponential(scale) log odds: E[1 / (1 + e^-t)] - 1/2, from 0 to 1/2.
    """
    return math.fsum(weight / (1.0 + math.exp(-scale * node)) for node, weight in _laguerre()) - 0.5


def excess_gain(scale: float) -> float:
    """The same for values in units of the best so far, of which 1 + t wins over 1 with odds 1 + t: E[t / (2 (2 + t))]
    for t ~ Exponential(scale).
    """
    return math.fsum(weight * scale * node / (2.0 * (2.0 + scale * node)) for node, weight in _laguerre())
