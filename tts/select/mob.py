"""Majority of the bests (arXiv 2511.18630): the behaviour that the best of m bootstrapped candidates most often has.

A bootstrap of m draws from the r voters, with replacement, has as its best one of a group of c equal scores, A voters
scoring strictly higher, with the chance ((r-A)/r)^m - ((r-A-c)/r)^m, shared within the group; a class weighs the sum of
its members'. No bootstrap is drawn. With m = 1 this is majority, and as m grows it becomes argmax. The paper fits m to
each problem; here it is fixed or, by default, the square root of r, which the m-out-of-n bootstrap commonly takes.

Estimate: sampled; the weights depend on every rank in the subset, and no closed form over subsets is known.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tts.errors import ConfigError
from tts.metrics import Bools, Floats, Ints
from tts.select._classes import classes, elect
from tts.select._columns import columns, everyone
from tts.types import Pool, Selection


@dataclass(frozen=True)
class Mob:
    """Options: `m`, how many draws a bootstrap has; None is the square root of the number of voters, rounded."""

    m: int | None = None
    needs: ClassVar[tuple[str, ...]] = ("behaviours",)

    def __post_init__(self) -> None:
        if self.m is not None and self.m < 1:
            raise ConfigError(f"mob's m must be at least 1, got {self.m}. Leave it out for the square root.")

    def choose(self, pool: Pool, members: Bools) -> Ints:
        """The best program of the heaviest class, row by row."""
        found, known = classes(pool), columns(pool)
        voters = found.voters(members)
        sums = found.sums(self.weights(pool, voters), known.order)
        return elect(found, sums, voters, known, known.place)

    def select(self, pool: Pool) -> Selection:
        """The best program of the heaviest class."""
        chosen = int(self.choose(pool, everyone(pool))[0])
        found = classes(pool)
        weights = self.weights(pool, found.voters(everyone(pool)))[0]
        share = weights[found.label == found.label[chosen]].sum()
        return Selection(chosen, f"its class is the best of a bootstrap {share:.0%} of the time")

    def weights(self, pool: Pool, voters: Bools) -> Floats:
        """(D, n): the chance that each of a row's voters is the best of m drawn from them with replacement."""
        tied = columns(pool).tied
        count = np.maximum(voters.sum(axis=1, keepdims=True), 1)
        sizes = voters.astype(float) @ (tied[:, None] == np.arange(tied.max() + 1)).astype(float)
        below = (count - np.cumsum(sizes, axis=1)) / count  # the share that ranks lower than a group
        draws = np.maximum(np.rint(np.sqrt(count)), 1.0) if self.m is None else float(self.m)
        wins = (below + sizes / count) ** draws - below**draws
        return np.where(voters, (wins / np.maximum(sizes, 1.0))[:, tied], 0.0)


plugin = Mob
