"""The behaviour that most programs share wins (self-consistency, arXiv 2203.11171, with outputs on the public inputs
for answers, as in AlphaCode, arXiv 2203.07814). Scores are not looked at; of the programs of all classes that are
largest the one sampled first wins.

Estimate: exact by closed form (`chances.plurality`), in which classes that tie share the win.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tts.metrics import Bools, Floats
from tts.select._classes import class_chances, classes, elect, settled, share_of
from tts.select._columns import columns, everyone
from tts.select._subsets import pick
from tts.types import Pool, Selection


@dataclass(frozen=True)
class Majority:
    """No options."""

    needs: ClassVar[tuple[str, ...]] = ("behaviours",)
    ignores_scores: ClassVar[bool] = True

    def chances(self, pool: Pool, ks: Sequence[int]) -> Floats | None:
        """A class is worth its members; each of them is as likely to be its first."""
        return class_chances(pool, classes(pool), lambda _, size: tuple(map(float, range(1, size + 1))), ks)

    def best(self, pool: Pool, members: Bools) -> Bools:
        """The programs of the largest classes, row by row."""
        found = classes(pool)
        voters = found.voters(members)
        return elect(found, found.sums(voters.astype(float), columns(pool).order), voters)

    def select(self, pool: Pool) -> Selection:
        """The first sampled program of the largest class."""
        found, chosen = classes(pool), pick(self, pool)
        alike = "behave alike" if pool.behaviours else "are the same text, without public inputs to run them on"
        size = share_of(found, found.voters(everyone(pool))[0], chosen)
        return Selection(chosen, f"{size} of {len(pool)} {alike}")

    def settled(self, pool: Pool, coming: Collection[int]) -> bool:
        """Once the largest class is ahead of every other by more votes than may still be cast."""
        found, chosen = classes(pool), pick(self, pool)
        return settled(pool, found, chosen, coming, np.ones(found.count), 1.0)


plugin = Majority
