"""Majority in which each program votes with softmax(score / temperature) over the pool, so that logits of either sign
are weighted rightly. Score differences of a Bradley-Terry reward model are log odds, which makes temperature 1
principled.

Estimate: sampled; which subsets a class wins is a question of subset sums, for which no closed form is known.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tts.errors import ConfigError
from tts.metrics import Bools, Floats
from tts.select._classes import heaviest, heaviest_of_all, within
from tts.select._columns import columns, softened
from tts.types import Pool, Selection


@dataclass(frozen=True)
class WeightedVote:
    """Options: `temperature` of the softmax, in units of the score; towards 0 it becomes argmax."""

    temperature: float = 1.0
    needs: ClassVar[tuple[str, ...]] = ("behaviours",)

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"weighted_vote's temperature must be above 0, got {self.temperature}.")

    def best(self, pool: Pool, members: Bools) -> Bools:
        """The best programs of the heaviest classes, row by row."""
        return heaviest(pool, members, self.weights)

    def select(self, pool: Pool) -> Selection:
        """The best program of the heaviest class."""
        chosen, share = heaviest_of_all(pool, self.weights)
        return Selection(chosen, f"its class holds {share:.0%} of the vote" + within(pool, chosen))

    def weights(self, pool: Pool, voters: Bools) -> Floats:
        """(D, n): the weight of each row's voters, the greatest 1; an unscored one has none unless no voter of the row
        is scored: then all are equal. The softmax is over the voters, so that a higher score without a vote cannot
        drown them all.
        """
        known = columns(pool)
        scored = voters & known.scored
        weights = softened(known.score, scored, self.temperature)
        return np.where(scored.any(axis=1, keepdims=True), weights, voters.astype(float))


plugin = WeightedVote
