"""Generate, prune, then rank (arXiv 2506.10056): what does not parse is dropped, then what fails the first public test,
and only what is left is scored; of equal scores the highest log probability wins.

Where a stage would drop all, it drops none. It executes nothing and scores nothing itself: it declares the behaviours
that it needs, and counts in `saved` what a run that prunes would not have done. Estimate: exact by rank key.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tts.errors import ConfigError
from tts.metrics import Floats
from tts.select._columns import columns, tie_break, told
from tts.select._marks import marks, passed
from tts.select._subsets import pick
from tts.types import Pool, Saved, Selection


@dataclass(frozen=True)
class Staged:
    """Options: `tests`, how many of the public tests a program must pass to be scored."""

    tests: int = 1
    needs: ClassVar[tuple[str, ...]] = ("behaviours",)

    def __post_init__(self) -> None:
        if self.tests < 1:
            raise ConfigError(f"staged's tests must be at least 1, got {self.tests}.")

    def rank_key(self, pool: Pool) -> Floats:
        """(n, 4): validity, whether the first tests are passed, score, log probability."""
        return np.insert(columns(pool).quality, 1, self._survives(pool), axis=1)

    def select(self, pool: Pool) -> Selection:
        """The candidate of the greatest key."""
        chosen = pick(self, pool)
        saved, survives = self.saved(pool), self._survives(pool)
        why = f"highest score ({told(pool.scores[chosen])}) of those left"
        why += tie_break(pool, chosen, survives == survives[chosen])
        return Selection(chosen, f"{why}; {saved.scores} of {saved.of_scores} not scored")

    def saved(self, pool: Pool) -> Saved:
        """What pruning saves of scoring every candidate that has code and running it on every public test."""
        known, survives = columns(pool), self._survives(pool)
        stage = 2 * known.valid + survives
        left = int((stage == stage.max()).sum())
        coded = sum(c.code is not None for c in pool.candidates)
        tests = marks(pool).shape[1]
        run = int(known.valid.sum()) * min(self.tests, tests)
        return Saved(max(coded - left, 0), coded, coded * tests - run, coded * tests)

    def _survives(self, pool: Pool) -> Floats:
        tests = min(self.tests, len(pool.problem.public_tests))
        return np.asarray(passed(pool, self.tests) >= max(tests, 1), dtype=np.float64)


plugin = Staged
