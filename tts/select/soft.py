"""A draw with chances in proportion to exp(score / temperature): a softmax, so that logits of either sign are weighted
rightly; towards 0 it becomes argmax, as the temperature grows random.

Only valid and scored programs are drawn from; where none is, valid ones are as likely as each other, and where nothing
is valid all are. Estimate: exact by closed form (`chances.softmax`), which averages over the draw and over all subsets.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tts.chances import LARGEST, softmax
from tts.errors import ConfigError
from tts.metrics import Floats, Ints, pick_chances
from tts.seeds import seed_of
from tts.select._columns import columns
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
        found[scored] = softmax(known.score[scored] / self.temperature, int((~scored).sum()), ks)
        return found

    def select(self, pool: Pool) -> Selection:
        """A draw that depends on the seed, the problem and which candidates there are, not on their order."""
        known, levels = columns(pool), self._levels(pool)
        order = np.argsort(known.age)
        order = order[levels[order] == levels.min()]
        scores = known.score[order] if levels.min() == 0 else np.zeros(len(order))
        weights = np.exp((scores - scores.max()) / self.temperature)
        shares = np.cumsum(weights / weights.sum())
        indices = sorted(c.index for c in pool.candidates)
        point = seed_of(self.seed, "soft", pool.problem.id, *indices) / 2**63
        drawn = min(int(np.searchsorted(shares, point, side="right")), len(order) - 1)
        return Selection(int(order[drawn]), f"drawn with a chance of {weights[drawn] / weights.sum():.0%}")

    def _levels(self, pool: Pool) -> Ints:
        """(n,): 0 for what is drawn from, 1 for what is if there is none of these, 2 for what is then."""
        known = columns(pool)
        return np.where(known.valid & known.scored, 0, np.where(known.valid, 1, 2))


plugin = Soft
