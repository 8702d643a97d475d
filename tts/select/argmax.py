"""The highest score wins, a program that parses before one that does not (the CodeScaler recipe's validity first).

Equal scores fall back on the log probability; what is still equal is averaged by the exact estimator, and `select`
takes the lowest index. Estimate: exact by rank key.
"""

from dataclasses import dataclass

from tts.metrics import Floats
from tts.select._columns import columns, told
from tts.types import Pool, Selection


@dataclass(frozen=True)
class Argmax:
    """No options."""

    def rank_key(self, pool: Pool) -> Floats:
        """(n, 3): validity, score, log probability."""
        return columns(pool).quality

    def select(self, pool: Pool) -> Selection:
        """The candidate of the greatest key."""
        chosen = int(columns(pool).order[0])
        return Selection(chosen, f"highest score ({told(pool.scores[chosen])})")


plugin = Argmax
