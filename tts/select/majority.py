"""The behaviour that most programs share wins (self-consistency, arXiv 2203.11171, with outputs on the public inputs
for answers, as in AlphaCode, arXiv 2203.07814). Scores are not looked at; of equal classes the one sampled first wins.
"""

from dataclasses import dataclass
from typing import ClassVar

from tts.select._classes import classes, first_index
from tts.types import Pool, Selection


@dataclass(frozen=True)
class Majority:
    """No options."""

    needs: ClassVar[tuple[str, ...]] = ("behaviours",)
    ignores_scores: ClassVar[bool] = True

    def select(self, pool: Pool) -> Selection:
        """The first sampled program of the largest class."""
        largest = max(classes(pool), key=lambda group: (len(group), -first_index(pool, group)))
        chosen = min(largest, key=lambda i: pool.candidates[i].index)
        alike = "behave alike" if pool.behaviours else "are the same text, without public inputs to run them on"
        return Selection(chosen, f"{len(largest)} of {len(pool)} {alike}")


plugin = Majority
