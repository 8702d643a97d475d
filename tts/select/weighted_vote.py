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
        weights = self.weights(pool)
        heaviest = max(
            classes(pool),
            key=lambda group: (math.fsum(weights[i] for i in group), -first_index(pool, group)),
        )
        share = math.fsum(weights[i] for i in heaviest)
        return Selection(best(pool, heaviest), f"its class holds {share:.0%} of the vote")

    def weights(self, pool: Pool) -> list[float]:
        """One weight per candidate, summing to 1; an unscored one has none unless nothing is scored: then all are
        equal.
        """
        values = [s.value if c.valid else None for s, c in zip(pool.scores, pool.candidates, strict=True)]
        scored = [value for value in values if value is not None]
        if not scored:
            return [1 / len(pool)] * len(pool)
        top = max(scored)
        raw = [0.0 if value is None else math.exp((value - top) / self.temperature) for value in values]
        total = math.fsum(raw)
        return [weight / total for weight in raw]


plugin = WeightedVote
