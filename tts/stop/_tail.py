"""What one more sample may gain, from the scores there are: their upper half is taken for an exponential tail."""

import math
import statistics
from functools import lru_cache

from tts.types import Pool

STEP = 0.25  # of the trapezoidal rule in the logarithm: its error is about exp(-pi^2 / STEP), 1e-17
LEFT, RIGHT = -40.0, 4.0  # where the density is below 1e-17 of its mass, and below 1e-23


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
def _exponential() -> tuple[tuple[float, float], ...]:
    """Nodes t and weights w: the mean of f(t) for t ~ Exponential(1) is sum w * f(t). With t = exp(u) the integrand is
    f(exp(u)) exp(u - exp(u)); where f has no pole with a positive real part, as here at any scale, the trapezoidal rule
    converges exponentially.
    """
    places = [LEFT + STEP * i for i in range(int((RIGHT - LEFT) / STEP) + 1)]
    return tuple((math.exp(u), STEP * math.exp(u - math.exp(u))) for u in places)


def win_gain(scale: float) -> float:
    """How much more often than half the time a value wins over the best so far, on average over values that exceed it
    by t ~ Exponential(scale) log odds: E[1 / (1 + e^-t)] - 1/2, from 0 to 1/2.
    """
    return math.fsum(weight * math.tanh(scale * node / 2.0) / 2.0 for node, weight in _exponential())


def excess_gain(scale: float) -> float:
    """The same for values in units of the best so far, of which 1 + t wins over 1 with odds 1 + t: E[t / (2 (2 + t))]
    for t ~ Exponential(scale).
    """
    return math.fsum(weight * scale * node / (2.0 * (2.0 + scale * node)) for node, weight in _exponential())
