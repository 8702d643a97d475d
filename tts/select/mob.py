"""Majority of the bests (arXiv 2511.18630): the behaviour that the best of m bootstrapped candidates most often has.

A bootstrap of m draws from the r voters, with replacement, has as its best one of a group of c equal scores, A voters
scoring strictly higher, with the chance ((r-A)/r)^m - ((r-A-c)/r)^m, shared within the group; a class weighs the sum of
its members'. No bootstrap is drawn. With m = 1 this is majority, and as m grows it becomes argmax.

Checked against the paper's sections 4.2 and 4.3: bootstraps of m with replacement, the best of each by score, the mode
of their answers (equations 4 to 6, here without drawing), and m the root of the number of samples, rounded down, which
the paper finds close to the best m. It also fits m to each problem, to much the same effect; that is not done here. r
counts voters alone, an answer is a behaviour, and the best program of its class stands for it.

Estimate: sampled; the weights depend on every rank in the subset, and no closed form over subsets is known.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tts.errors import ConfigError
from tts.metrics import Bools, Floats
from tts.select._classes import heaviest, heaviest_of_all, within
from tts.select._columns import columns
from tts.types import Pool, Selection


@dataclass(frozen=True)
class Mob:
    """Options: `m`, how many draws a bootstrap has; None is the square root of the number of voters, rounded down."""

    m: int | None = None
    needs: ClassVar[tuple[str, ...]] = ("behaviours",)

    def __post_init__(self) -> None:
        if self.m is not None and self.m < 1:
            raise ConfigError(f"mob's m must be at least 1, got {self.m}. Leave it out for the square root.")

    def best(self, pool: Pool, members: Bools) -> Bools:
        """The best programs of the heaviest classes, row by row."""
        return heaviest(pool, members, self.weights)

    def select(self, pool: Pool) -> Selection:
        """The best program of the heaviest class."""
        chosen, share = heaviest_of_all(pool, self.weights)
        return Selection(chosen, f"its class is the best of a bootstrap {share:.0%} of the time" + within(pool, chosen))

    def weights(self, pool: Pool, voters: Bools) -> Floats:
        """(D, n): the chance that each of a row's voters is the best of m drawn from them with replacement."""
        tied = columns(pool).tied
        count = np.maximum(voters.sum(axis=1, keepdims=True), 1)
        sizes = voters.astype(float) @ (tied[:, None] == np.arange(tied.max() + 1)).astype(float)
        below = (count - np.cumsum(sizes, axis=1)) / count  # the share that ranks lower than a group
        draws = np.maximum(np.floor(np.sqrt(count)), 1.0) if self.m is None else float(self.m)
        wins = (below + sizes / count) ** draws - below**draws
        return np.where(voters, (wins / np.maximum(sizes, 1.0))[:, tied], 0.0)


plugin = Mob
