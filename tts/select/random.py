"""Any candidate, each as likely: the baseline that every other selector stands beside.

Estimate: exact by rank key, all keys being equal.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tts.metrics import Bools, Floats
from tts.seeds import seed_of
from tts.select._columns import columns
from tts.types import Pool, Selection


@dataclass(frozen=True)
class Random:
    """Options: `seed` of the draw, by default the run's."""

    seed: int = 0
    ignores_scores: ClassVar[bool] = True
    drawn: ClassVar[bool] = True

    def rank_key(self, pool: Pool) -> Floats:
        """All equal: the exact estimator averages over them."""
        return np.zeros((len(pool), 1))

    def odds(self, pool: Pool, members: Bools) -> Floats:
        """Each of a row's members is as likely."""
        return np.asarray(members / np.maximum(members.sum(axis=1, keepdims=True), 1))

    def select(self, pool: Pool) -> Selection:
        """A draw that depends on the seed, the problem and which candidates there are, not on their order."""
        indices = sorted(c.index for c in pool.candidates)
        place = seed_of(self.seed, pool.problem.id, *indices) % len(indices)
        return Selection(int(np.flatnonzero(columns(pool).age == place)[0]), "drawn at random")


plugin = Random
