"""A draw with chances in proportion to exp(score / temperature): a softmax, so that logits of either sign are weighted
rightly; towards 0 it becomes argmax, as the temperature grows random.

Only valid and scored programs are drawn from; where none is, valid ones are as likely as each other, and where nothing
is valid all are. Estimate: exact by closed form (`chances.softmax`), which averages over the draw and over all subsets.
In a large pool subsets are drawn, and each is worth the mean over the draw.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tts.chances import LARGEST, softmax
from tts.errors import ConfigError
from tts.metrics import Bools, Floats, Ints, pick_chances
from tts.seeds import seed_of
from tts.select._columns import columns, everyone, softened
from tts.types import Pool, Selection


@dataclass(frozen=True)
class Soft:
    """Options: `temperature` in units of the score, and the `seed` of the draw, by default the run's."""

    temperature: float = 1.0
    seed: int = 0
    drawn: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ConfigError(f"soft's temperature must be a number above 0, got {self.temperature}.")

    def chances(self, pool: Pool, ks: Sequence[int]) -> Floats | None:
        """The chance of each candidate over the draw of k and the draw among them."""
        if len(pool) > LARGEST:
            return None
        levels, known = self._levels(pool), columns(pool)
        found = pick_chances(levels, ks)
        scored = levels == 0
        found[scored] = softmax(known.score[scored], int((~scored).sum()), ks, self.temperature)
        return found

    def odds(self, pool: Pool, members: Bools) -> Floats:
        """The softmax over a row's members that are drawn from."""
        levels = np.where(members, self._levels(pool), 3)
        among = members & (levels == levels.min(axis=1, keepdims=True))
        weights = softened(np.where(levels == 0, columns(pool).score, 0.0), among, self.temperature)
        return np.asarray(weights / np.where(among.any(axis=1, keepdims=True), weights.sum(axis=1, keepdims=True), 1.0))

    def select(self, pool: Pool) -> Selection:
        """A draw that depends on the seed, the problem and which candidates there are, not on their order."""
        order = np.argsort(columns(pool).age)
        odds = self.odds(pool, everyone(pool))[0, order]
        indices = sorted(c.index for c in pool.candidates)
        point = seed_of(self.seed, "soft", pool.problem.id, *indices) / 2**63
        drawn = min(int(np.searchsorted(np.cumsum(odds), point, side="right")), int(np.flatnonzero(odds)[-1]))
        return Selection(int(order[drawn]), f"drawn with a chance of {odds[drawn]:.0%}")

    def _levels(self, pool: Pool) -> Ints:
        """(n,): 0 for what is drawn from, 1 for what is if there is none of these, 2 for what is then."""
        known = columns(pool)
        return np.where(known.valid & known.scored, 0, np.where(known.valid, 1, 2))


plugin = Soft
