"""Majority in which each program votes with softmax(score / temperature) over the pool, so that logits of either sign
are weighted rightly. Score differences of a Bradley-Terry reward model are log odds, which makes temperature 1
principled.

Estimate: sampled; which subsets a class wins is a question of subset sums, for which no closed form is known.
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
class WeightedVote:
    """Options: `temperature` of the softmax, in units of the score; towards 0 it becomes argmax."""

    temperature: float = 1.0
    needs: ClassVar[tuple[str, ...]] = ("behaviours",)

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"weighted_vote's temperature must be above 0, got {self.temperature}.")

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
        share = weights[found.label == found.label[chosen]].sum() / weights.sum()
        return Selection(chosen, f"its class holds {share:.0%} of the vote")

    def weights(self, pool: Pool, voters: Bools) -> Floats:
        """(D, n): the weight of each row's voters, the greatest 1; an unscored one has none unless no voter of the row
        is scored: then all are equal. The softmax is over the voters, so that a higher score without a vote cannot
        drown them all.
        """
        known = columns(pool)
        scored = voters & known.scored
        held = np.where(scored, known.score, -np.inf)
        top = held.max(axis=1, keepdims=True)
        distance = np.where(scored, (held - np.where(np.isfinite(top), top, 0.0)) / self.temperature, -np.inf)
        return np.where(scored.any(axis=1, keepdims=True), np.exp(distance), voters.astype(float))


plugin = WeightedVote
