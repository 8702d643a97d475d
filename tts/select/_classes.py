"""Programs that do the same on the public inputs are one class: the voters of majority and weighted_vote.

Only valid programs that gave an output for at least one input vote; where none did, every valid program does, each for
its own text.
"""

from collections import defaultdict

from tts.types import Pool


def classes(pool: Pool) -> list[list[int]]:
    """Positions grouped by behaviour; never empty. Where nothing is valid, each candidate is a class of its own."""
    valid = [i for i in range(len(pool)) if pool.candidates[i].valid]
    groups: dict[object, list[int]] = defaultdict(list)
    for i in valid:
        behaviour = pool.behaviours[i] if pool.behaviours else None
        if behaviour is not None and behaviour.ran:
            groups[behaviour.outputs].append(i)
    if not groups:
        for i in valid:
            groups[pool.candidates[i].code].append(i)
    return list(groups.values()) or [[i] for i in range(len(pool))]


def first_index(pool: Pool, positions: list[int]) -> int:
    """The lowest index of some candidates: how ties between classes are broken whatever the pool's order."""
    return min(pool.candidates[i].index for i in positions)
