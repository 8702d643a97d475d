"""Minimum Bayes risk on execution (MBR-Exec, arXiv 2204.11454): the program whose outputs the others contradict least.

The risk of a program is the number of disagreements over all inputs with all sampled programs,
sum over programs j and inputs t of [output_i(t) != output_j(t)]; an input on which a program failed disagrees with
everything. Unlike majority, programs that agree on most inputs support each other. Where nothing ran, programs of the
same text agree. Scores are not looked at; of equal risks the one sampled first wins.

Estimate: sampled; which program has the least risk depends on all others of the subset at once.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tts.ballots import PARSES, RAN
from tts.chances import LARGEST
from tts.metrics import Bools, Floats
from tts.select._classes import classes
from tts.select._columns import everyone, greatest
from tts.select._subsets import pick
from tts.types import Pool, Selection

MEMO = "agreements"


@dataclass(frozen=True)
class Mbr:
    """No options."""

    needs: ClassVar[tuple[str, ...]] = ("behaviours",)
    ignores_scores: ClassVar[bool] = True

    def best(self, pool: Pool, members: Bools) -> Bools:
        """The programs of the most agreements, which are those of the least risk, row by row."""
        voters = classes(pool).voters(members)
        return greatest(voters.astype(float) @ _agreements(pool), voters)

    def select(self, pool: Pool) -> Selection:
        """The program of the least risk."""
        chosen = pick(self, pool)
        others = classes(pool).voters(everyone(pool))[0] & (np.arange(len(pool)) != chosen)
        agreed = int(_agreements(pool)[chosen, others].sum())
        return Selection(chosen, f"of least risk; an output of it is another's {agreed} times")


def _agreements(pool: Pool) -> Floats:
    """(n, n): on how many inputs two candidates of one level gave the same output; kept where it is small."""
    if len(pool) > LARGEST:
        return _ran_alike(pool) + _same_text(pool)
    if MEMO not in pool.memo:
        pool.memo[MEMO] = _ran_alike(pool) + _same_text(pool)
    found: Floats = pool.memo[MEMO]
    return found


def _ran_alike(pool: Pool) -> Floats:
    ran = classes(pool).level == RAN
    agreed = np.zeros((len(pool), len(pool)))
    outputs = [
        b.outputs if b is not None and here else ()
        for b, here in zip(pool.behaviours, ran[: len(pool.behaviours)], strict=True)
    ]
    for column in range(max(map(len, outputs), default=0)):
        given = [done[column] if done else None for done in outputs]
        numbers = {output: number for number, output in enumerate(dict.fromkeys(given))}
        ids = np.array([-1 if output is None else numbers[output] for output in given])
        agreed += (ids[:, None] == ids) & (ids >= 0)
    return agreed


def _same_text(pool: Pool) -> Floats:
    found = classes(pool)
    alone = found.level == PARSES
    return np.asarray((found.label[:, None] == found.label) & alone & alone[:, None], dtype=np.float64)


plugin = Mbr
