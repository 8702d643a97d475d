"""The highest score wins, a program that parses before one that does not (the CodeScaler recipe's validity first).

Equal scores fall back on the log probability; what is still equal is averaged by the exact estimator, and `select`
takes the lowest index.
"""

from dataclasses import dataclass

from tts.select._keys import best, quality
from tts.types import Pool, Selection


@dataclass(frozen=True)
class Argmax:
    """No options."""

    def rank_key(self, pool: Pool) -> list[tuple[float, ...]]:
        """(validity, score, log probability) for each candidate."""
        return [quality(pool, i) for i in range(len(pool))]

    def select(self, pool: Pool) -> Selection:
        """The candidate of the greatest key."""
        chosen = best(pool, range(len(pool)))
        return Selection(chosen, f"highest score ({pool.scores[chosen].value})")


plugin = Argmax
