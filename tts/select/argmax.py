"""The highest score wins, of equal scores the highest log probability; a program that parses goes before one that does
not (the CodeScaler recipe's validity first).

So where a scorer tells nothing apart (`public_tests` on a problem without any) this is likelihood. What is still equal
is averaged by the exact estimator, and `select` takes the lowest index. Estimate: exact by rank key.
"""

from dataclasses import dataclass

from tts.metrics import Floats
from tts.select._columns import columns, everyone, tie_break, told
from tts.select._subsets import pick
from tts.types import Pool, Selection


@dataclass(frozen=True)
class Argmax:
    """No options."""

    def rank_key(self, pool: Pool) -> Floats:
        """(n, 3): validity, score, log probability."""
        return columns(pool).quality

    def select(self, pool: Pool) -> Selection:
        """The candidate of the greatest key."""
        chosen = pick(self, pool)
        why = f"highest score ({told(pool.scores[chosen])})"
        return Selection(chosen, why + tie_break(pool, chosen, everyone(pool)[0]))


plugin = Argmax
