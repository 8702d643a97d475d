"""Could a difference between two strategies be luck? Tests and sizes for strategies on the same problems.

Pure arithmetic over counts and per-problem values (docs/statistics.md has the formulas); knows no run and no selector.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

POWER = 0.8  # the chance to find a difference that is there, where "detectable" says nothing else


def mcnemar(only_one: int, only_other: int) -> float:
    """The exact two-sided p-value of so many problems that only one, and only the other, of two strategies solves.

    If the two were equally good, each problem on which they differ would be a fair coin: p = min(1, 2 P(X <= min)) with
    X binomial of only_one + only_other and 1/2; 1 where they never differ. ValueError for negative counts. Source:
    McNemar 1947; the exact binomial form.
    """
    if only_one < 0 or only_other < 0:
        raise ValueError(f"counts cannot be negative, got {only_one} and {only_other}.")
    tosses, least = only_one + only_other, min(only_one, only_other)
    tail = sum(math.comb(tosses, x) for x in range(least + 1))
    return min(1.0, 2 * tail / (1 << tosses))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for being many: with any of them below alpha called a finding, the chance of one false finding
    or more is at most alpha. The i-th smallest of m becomes the greatest of (m - j) p_j over j <= i, counted from 0, at
    most 1. Order kept. Source: Holm 1979.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, reached = [0.0] * len(p_values), 0.0
    for step, i in enumerate(order):
        reached = max(reached, min(1.0, (len(p_values) - step) * p_values[i]))
        corrected[i] = reached
    return corrected


def detectable(mean_square: float, problems: int, level: float = 0.95, power: float = POWER) -> float:
    """The least true mean difference that a paired comparison over so many problems finds with chance `power`: where
    the interval of that level leaves out 0.

    `mean_square` is that of the per-problem differences: for right and wrong answers the share of problems on which the
    two differ. (z(level) + z(power)) * sqrt(mean_square / problems). ValueError for no problems. Source: Lachin 1981,
    the paired normal approximation.
    """
    if problems < 1 or mean_square < 0:
        raise ValueError(f"A detectable difference needs problems and a spread, got {problems} and {mean_square}.")
    quantile = NormalDist().inv_cdf
    return (quantile((1 + level) / 2) + quantile(power)) * math.sqrt(mean_square / problems)
