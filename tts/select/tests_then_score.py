"""The programs that pass the most public tests, of these the highest score, of equal scores the highest log
probability.

What execution decides goes before what a model guesses; a program that does not parse goes last.
Estimate: exact by rank key.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tts.metrics import Floats
from tts.select._columns import columns, tie_break, told
from tts.select._marks import passed, public_marks
from tts.select._subsets import pick
from tts.types import Pool, Selection


@dataclass(frozen=True)
class TestsThenScore:
    """No options."""

    needs: ClassVar[tuple[str, ...]] = ("behaviours",)
    weighs: ClassVar[str] = "public_tests"

    def rank_key(self, pool: Pool) -> Floats:
        """(n, 4): validity, public tests passed, score, log probability."""
        return np.insert(columns(pool).quality, 1, passed(pool), axis=1)

    def select(self, pool: Pool) -> Selection:
        """The candidate of the greatest key."""
        chosen = pick(self, pool)
        marks, passes = public_marks(pool, chosen), passed(pool)
        why = f"passes {sum(marks)} of {len(marks)} public tests, then its score ({told(pool.scores[chosen])})"
        return Selection(chosen, why + tie_break(pool, chosen, passes == passes[chosen]))


plugin = TestsThenScore
