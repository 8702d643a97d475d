"""Majority in which each program votes with softmax(score / temperature) over the pool, so that logits of either sign
are weighted rightly. Score differences of a Bradley-Terry reward model are log odds, which makes temperature 1
principled.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from tts.errors import ConfigError
from tts.select._classes import classes, first_index
from tts.select._keys import best
from tts.types import Pool, Selection


@dataclass(frozen=True)
class WeightedVote:
    """Options: `temperature` of the softmax, in units of the score; towards 0 it becomes argmax."""

    temperature: float = 1.0
    needs: ClassVar[tuple[str, ...]] = ("behaviours",)

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"weighted_vote's temperature must be above 0, got {self.temperature}.")

    def select(self, pool: Pool) -> Selection:
        """The best program of the heaviest class."""
        groups = classes(pool)
        weights = self.weights(pool, groups)
        heaviest = max(
            groups,
            key=lambda group: (math.fsum(weights[i] for i in group), -first_index(pool, group)),
        )
        share = math.fsum(weights[i] for i in heaviest)
        return Selection(best(pool, heaviest), f"its class holds {share:.0%} of the vote")

    def weights(self, pool: Pool, groups: list[list[int]]) -> dict[int, float]:
        """Position -> weight of each voter, summing to 1; an unscored one has none unless nothing is scored: then all
        are equal. The softmax is over the voters, so that a higher score without a vote cannot drown them all.
        """
        values = {i: pool.scores[i].value for group in groups for i in group}
        scored = [value for value in values.values() if value is not None]
        if not scored:
            return dict.fromkeys(values, 1 / len(values))
        top = max(scored)
        raw = {i: 0.0 if value is None else math.exp((value - top) / self.temperature) for i, value in values.items()}
        total = math.fsum(raw.values())
        return {i: weight / total for i, weight in raw.items()}


plugin = WeightedVote
