"""CodeT (arXiv 2207.10397): programs that pass the same tests are a consensus set; a set is worth the root of its size
times the number of tests that it passes, and one of the set that is worth most is the answer.

Checked against the authors' code (agreement.py of github.com/microsoft/CodeT), which has the root; `size: whole` is the
plain product. Both are compared as size * tests^2 or size * tests, whole numbers of the same order, so that ties are
exact. As there, programs sampled repeatedly and tests given repeatedly count as often. The tests are those that a model
wrote (the paper's; `behaviours.tests` of a config names their file), the public ones, or both. Of the programs of all
sets that are worth most the one sampled first wins. Without any test, sets are of the same text.

Estimate: exact by closed form (`chances.plurality`), in which the programs of sets that tie share the win.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from tts.ballots import RAN
from tts.metrics import Bools, Floats
from tts.select._classes import Classes, class_chances, elect, grouped, settled, share_of
from tts.select._columns import columns, everyone
from tts.select._marks import public_marks, written_marks
from tts.select._subsets import pick
from tts.types import Pool, Selection


@dataclass(frozen=True)
class CodeT:
    """Options: `tests` "public", "written" or "both"; `size` of a set counts by its "root" or "whole"."""

    tests: Literal["public", "written", "both"] = "public"
    size: Literal["root", "whole"] = "root"
    ignores_scores: ClassVar[bool] = True

    @property
    def needs(self) -> tuple[str, ...]:
        """Behaviours hold the marks; written tests must be there to be passed."""
        return ("behaviours",) if self.tests == "public" else ("behaviours", "written_tests")

    def chances(self, pool: Pool, ks: Sequence[int]) -> Floats | None:
        """Each member of the sets that are worth most is as likely to be sampled first."""
        found, passes = self._sets(pool)
        return class_chances(pool, found, lambda label, size: self._worths(passes[label], size), ks)

    def best(self, pool: Pool, members: Bools) -> Bools:
        """The programs of the sets that are worth most, row by row."""
        found, passes = self._sets(pool)
        voters = found.voters(members)
        return elect(found, found.sums(voters.astype(float), columns(pool).order) * self._each(passes), voters)

    def select(self, pool: Pool) -> Selection:
        """The first program of the set that is worth most."""
        found, passes = self._sets(pool)
        chosen = pick(self, pool)
        size = share_of(found, found.voters(everyone(pool))[0], chosen)
        if found.level[chosen] != RAN:
            return Selection(chosen, f"{size} of {len(pool)} are the same text, without tests to run them on")
        return Selection(chosen, f"{size} of {len(pool)} pass the same {passes[found.label[chosen]]:.0f} tests")

    def settled(self, pool: Pool, coming: Collection[int]) -> bool:
        """Once no set could be worth as much, though all that come joined it and a new one passed every test."""
        found, passes = self._sets(pool)
        chosen = pick(self, pool)
        most = self._each(np.array(max(len(self._marks(pool, chosen)), 1), dtype=np.float64))
        return settled(pool, found, chosen, coming, self._each(passes), float(most))

    def _sets(self, pool: Pool) -> tuple[Classes, Floats]:
        """The consensus sets, and how many tests each passes; 1 where there are none."""
        memo = f"consensus sets over {self.tests} tests"
        if memo not in pool.memo:
            marks = [self._marks(pool, i) for i in range(len(pool))]
            found = grouped(pool, [mine or None for mine in marks])
            passes = np.ones(found.count)
            for i, mine in enumerate(marks):
                if found.level[i] == RAN:
                    passes[found.label[i]] = sum(mine)
            pool.memo[memo] = found, passes
        kept: tuple[Classes, Floats] = pool.memo[memo]
        return kept

    def _each(self, passes: Floats) -> Floats:
        """What each member adds to the worth of a set that passes so many tests."""
        return passes**2 if self.size == "root" else passes

    def _worths(self, passes: float, size: int) -> tuple[float, ...]:
        """What a set is worth by how many of its members there are."""
        return tuple((np.arange(1, size + 1) * self._each(np.asarray(passes))).tolist())

    def _marks(self, pool: Pool, position: int) -> tuple[bool, ...]:
        public = () if self.tests == "written" else public_marks(pool, position)
        return public + (() if self.tests == "public" else written_marks(pool, position))


plugin = CodeT
