"""Programs that do the same on the public inputs are one class: the voters of majority and its kin.

Only valid programs that gave an output for at least one input vote; where none did, every valid program does, each for
its own text; where nothing is valid, each candidate is a class of its own. Who votes thus depends on who was sampled:
the three are levels, and of a subset those of the lowest level that it has are its voters.
"""

import math
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from tts.ballots import NEITHER, PARSES, RAN, ballot, done
from tts.chances import LARGEST, Kind, plurality
from tts.metrics import Bools, Floats, Ints, pick_chances
from tts.select._columns import columns, everyone, first, greatest, lowest, tie_break
from tts.types import Pool

MEMO = "classes"
Weigh = Callable[[Pool, Bools], Floats]  # a pool and each row's voters (D, n) -> their weights (D, n), at most 1


@dataclass(frozen=True, slots=True)
class Classes:
    """`level` (n,) says when a candidate votes, `label` (n,) which of the `count` classes it is in; no class has
    candidates of two levels.
    """

    level: Ints
    label: Ints
    count: int

    def voters(self, members: Bools) -> Bools:
        """(D, n): those of each row's members that vote there."""
        levels = np.where(members, self.level, NEITHER + 1)
        return np.asarray(members & (levels == levels.min(axis=1, keepdims=True)))

    def sums(self, values: Floats, order: Ints) -> Floats:
        """(D, count): the sum of the values (D, n) in each class. Values are added in the given order of the
        candidates, so that classes of equal values have equal sums.
        """
        rows = len(values)
        cells = self.label[order] + self.count * np.arange(rows)[:, None]
        flat = np.bincount(cells.ravel(), weights=values[:, order].ravel(), minlength=rows * self.count)
        return flat.astype(np.float64).reshape(rows, self.count)


def classes(pool: Pool) -> Classes:
    """The pool's classes by behaviour, from its memo if they are there."""
    if MEMO not in pool.memo:
        pool.memo[MEMO] = grouped(pool, [done(pool, i) for i in range(len(pool))])
    found: Classes = pool.memo[MEMO]
    return found


def grouped(pool: Pool, whats: Sequence[Hashable]) -> Classes:
    """The classes of valid candidates that did the same; `whats` has None for one that did nothing."""
    keys = [
        ballot(candidate, position, what)
        for position, (candidate, what) in enumerate(zip(pool.candidates, whats, strict=True))
    ]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    level = np.array([level for level, _ in keys], dtype=np.int64)
    return Classes(level, np.array([numbers[key] for key in keys], dtype=np.int64), len(numbers))


def elect(found: Classes, sums: Floats, voters: Bools, unit: Floats | float = 1.0) -> Bools:
    """(D, n): the voters of the class whose sum (D, count) is greatest, of equal ones of each; none where nobody votes.
    `unit` (D, count) as in `greatest`.
    """
    size = unit if isinstance(unit, float) else unit[:, found.label]
    return greatest(sums[:, found.label], voters, size)


def heaviest(pool: Pool, members: Bools, weigh: Weigh) -> Bools:
    """(D, n): the best programs of the classes whose voters are heaviest together, row by row."""
    found, known = classes(pool), columns(pool)
    voters = found.voters(members)
    return lowest(elect(found, found.sums(weigh(pool, voters), known.order), voters), known.tied)


def heaviest_of_all(pool: Pool, weigh: Weigh) -> tuple[int, float]:
    """The same of the whole pool, of equals the one sampled first, and the share that its class has of the weight."""
    found, everybody = classes(pool), everyone(pool)
    chosen = int(first(heaviest(pool, everybody, weigh), columns(pool).age)[0])
    weights = weigh(pool, found.voters(everybody))[0]
    return chosen, float(weights[found.label == found.label[chosen]].sum() / weights.sum())


def within(pool: Pool, chosen: int) -> str:
    """What decided between the chosen and programs of its class with its score, see `tie_break`."""
    label = classes(pool).label
    return tie_break(pool, chosen, label == label[chosen])


def settled(pool: Pool, found: Classes, chosen: int, coming: Collection[int], worth: Floats, most: float) -> bool:
    """Whether the class of the candidate `chosen` wins, with that one for its first, whatever comes. A class is worth
    its size times its `worth` (count,), which for a new one is at most `most`. Nobody votes at a better level than
    those who ran or, where there is nothing to run them on, than those who parse.
    """
    best = RAN if pool.problem.public_tests else PARSES
    if found.level[chosen] != best or pool.candidates[chosen].index > min(coming, default=math.inf):
        return False
    sizes = np.bincount(found.label[found.level == best], minlength=found.count)
    mine = found.label[chosen]
    others = np.delete((sizes + len(coming)) * worth, mine)
    return bool(sizes[mine] * worth[mine] > max(others.max(initial=0.0), len(coming) * most))


def class_chances(pool: Pool, found: Classes, worth: Callable[[int, int], Kind], ks: Sequence[int]) -> Floats | None:
    """(n, K): the chance that each candidate is answered with, if the class worth most wins and any member of it is
    taken; `worth` gives a class's, by its label and its size. None in a large pool.
    """
    if len(pool) > LARGEST:
        return None
    whole: Floats = pick_chances(found.level, ks) * (found.level == NEITHER)[:, None]
    for level in (RAN, PARSES):
        labels = np.unique(found.label[found.level == level])
        sizes = np.array([np.count_nonzero(found.label == label) for label in labels], dtype=np.int64)
        kinds = [worth(int(label), int(size)) for label, size in zip(labels, sizes, strict=True)]
        idle = np.count_nonzero(found.level > level)
        won = plurality(kinds, int(idle), len(pool), ks)
        for label, size, chances in zip(labels, sizes, won, strict=True):
            whole[found.label == label] = chances / size
    return whole


def share_of(found: Classes, voters: Bools, position: int) -> int:
    """How many of the voters (n,) are of one candidate's class."""
    return int(np.count_nonzero(voters & (found.label == found.label[position])))
