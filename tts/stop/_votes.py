"""How the programs of a pool vote, for policies that stop when the vote is decided."""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable
from functools import lru_cache

from tts.ballots import PARSES, RAN, ballot, done
from tts.types import Pool

TINY, CONVERGED, MOST_TERMS = 1e-300, 1e-15, 100_000


def voting(pool: Pool) -> list[list[int]]:
    """The classes of positions that vote, as in the selector `majority`: valid programs that gave an output for at
    least one public input, by what they did; where there is no input, or nobody ran them, all valid ones by their text.

    Where there are inputs and all failed on them nobody votes, not even for its own text: as soon as one runs, those
    votes would be void.
    """
    seen = any(behaviour is not None and behaviour.outputs for behaviour in pool.behaviours)
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for i, candidate in enumerate(pool.candidates):
        level, vote = ballot(candidate, i, done(pool, i))
        if level == (RAN if seen else PARSES):
            groups[vote].append(i)
    return list(groups.values())


def posterior(leader: float, second: float) -> float:
    """The chance that the first of two answers is the commoner one, after so many votes for each and a uniform prior:
    P(p > 1/2) for p ~ Beta(leader + 1, second + 1). Votes may be fractions. For whole ones it is the chance of at most
    `leader` heads among leader + second + 1 tosses of a coin.
    """
    if leader < second:
        return 1.0 - posterior(second, leader)
    return 0.5 if leader == second else 1.0 - _incomplete_beta(leader + 1.0, second + 1.0)


@lru_cache(maxsize=4096)
def _incomplete_beta(a: float, b: float) -> float:
    """I_1/2(a, b), the regularised incomplete beta function, for a > b: its continued fraction (DLMF 8.17.22) by the
    modified Lentz method, which converges fast where 1/2 < (a + 1) / (a + b + 2).
    """
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) - (a + b) * math.log(2.0)) / a
    c, d = 1.0, 1.0 / (1.0 - (a + b) / (2.0 * (a + 1.0)))
    value = d
    for m in range(1, MOST_TERMS):
        before = value
        even = m * (b - m) / (2.0 * (a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) / (2.0 * (a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / (1.0 + term * d or TINY)
            c = 1.0 + term / c or TINY
            value *= c * d
        if abs(value - before) <= CONVERGED * abs(value):
            break
    return front * value


def least(low: int, high: int, enough: Callable[[int], bool]) -> int:
    """The least number from `low` to `high` that is enough, if all beyond one that is are too; `high` if none is."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
