"""Pessimistic verification (Heimdall, arXiv 2504.10337): the behaviour whose mean score, less what is uncertain of it,
is highest.

A class of n programs among N voters is worth mean(score) - alpha * ln(N) / (n + 1), the paper's bound with one
verification per program: a class that few share must score higher to win. Alpha is in units of the score. Unscored
programs count in n and N, and not in the mean; a class without a score loses to every other.

Estimate: sampled; a class's mean depends on which of its members were drawn, and no closed form is known.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tts.errors import ConfigError
from tts.metrics import Bools, Floats
from tts.select._classes import classes, elect, within
from tts.select._columns import columns, everyone, lowest
from tts.select._subsets import pick
from tts.types import Pool, Selection


@dataclass(frozen=True)
class Pessimistic:
    """Options: `alpha`, at least 0, the price of uncertainty in units of the score."""

    alpha: float = 1.0
    needs: ClassVar[tuple[str, ...]] = ("behaviours",)

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < math.inf:
            raise ConfigError(f"pessimistic's alpha must be a number of at least 0, got {self.alpha}.")

    def best(self, pool: Pool, members: Bools) -> Bools:
        """The best programs of the classes that are worth most, row by row."""
        found = classes(pool)
        voters = found.voters(members)
        worths, unit = self.worths(pool, voters)
        return lowest(elect(found, worths, voters, unit), columns(pool).tied)

    def select(self, pool: Pool) -> Selection:
        """The best program of the class that is worth most."""
        found, chosen = classes(pool), pick(self, pool)
        worth = self.worths(pool, found.voters(everyone(pool)))[0][0, found.label[chosen]]
        if worth == -np.inf:
            return Selection(chosen, "nothing that votes has a score" + within(pool, chosen))
        return Selection(chosen, f"its class scores at least {worth:.3g}" + within(pool, chosen))

    def worths(self, pool: Pool, voters: Bools) -> tuple[Floats, Floats]:
        """(D, classes) twice: the lower bound of each class's score, -inf for one without a score, and the size of the
        numbers that it is made of.
        """
        found, known = classes(pool), columns(pool)
        scored = voters & known.scored
        sizes = found.sums(voters.astype(float), known.order)
        counts = found.sums(scored.astype(float), known.order)
        sums = found.sums(np.where(scored, known.score, 0.0), known.order)
        price = self.alpha * np.log(np.maximum(voters.sum(axis=1, keepdims=True), 1)) / (sizes + 1)
        sizes_of = found.sums(np.where(scored, np.abs(known.score), 0.0), known.order) / np.maximum(counts, 1)
        return np.where(counts > 0, sums / np.maximum(counts, 1) - price, -np.inf), sizes_of + price


plugin = Pessimistic
