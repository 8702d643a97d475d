"""What any selector chooses from many subsets of a pool, by the quickest way that it has, and how right that is."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tts.metrics import Bools, Floats, Ints, dense_ranks
from tts.protocols import Batched, Drawing, Ranked, Selector
from tts.select._columns import columns, everyone, first
from tts.types import Pool


def choose(selector: Selector, pool: Pool, members: Bools) -> Ints:
    """(D,): the position that `selector` chooses if only the members (D, n) of a row had been sampled; -1 for none."""
    if isinstance(selector, Batched):
        return selector.choose(pool, members)
    keys = selector.rank_key(pool) if isinstance(selector, Ranked) and not _draws(selector) else None
    if keys is not None:
        return highest(keys, pool, members)
    return np.array([_one(selector, pool, row) for row in members], dtype=np.int64)


def highest(keys: Sequence[tuple[float, ...]] | Floats, pool: Pool, members: Bools) -> Ints:
    """(D,): of each row's members the one of the greatest key, of equals the one sampled first; -1 in an empty row."""
    return first(members, np.lexsort([columns(pool).age, dense_ranks(keys)]).argsort())


def earned(selector: Selector, pool: Pool, members: Bools, correct: Floats) -> Floats:
    """(D,): how right the choice from each row's members is, by the correctness (n,) of the candidates; 0 where it
    abstains. Of a selector that throws dice it is the mean over them, if it knows their odds (see `throws`).
    """
    known = selector.odds(pool, members) if isinstance(selector, Drawing) else None
    return np.append(correct, 0.0)[choose(selector, pool, members)] if known is None else known @ correct


def odds(selector: Selector, pool: Pool, members: Bools) -> Floats | None:
    """(D, n): how likely each candidate is the choice from a row's members: one is certain, unless dice are thrown.
    None if their odds are not known.
    """
    if isinstance(selector, Drawing):
        return selector.odds(pool, members)
    if _draws(selector):
        return None
    chosen = choose(selector, pool, members)
    return np.asarray(np.arange(len(pool)) == chosen[:, None], dtype=np.float64)


def throws(selector: Selector, pool: Pool) -> bool:
    """Whether what it chooses is one throw of dice whose odds it does not know."""
    return _draws(selector) and odds(selector, pool, everyone(pool)) is None


def ignores_scores(selector: Selector) -> bool:
    """Whether it chooses alike whatever the scores are."""
    return bool(getattr(selector, "ignores_scores", False))


def _draws(selector: Any) -> bool:
    """Whether its choice among equal keys is drawn, and not the first."""
    return bool(getattr(selector, "drawn", False))


def _one(selector: Selector, pool: Pool, row: Bools) -> int:
    positions = np.flatnonzero(row)
    if len(positions) == 0:
        return -1
    chosen = selector.select(pool.take(positions.tolist())).position
    return -1 if chosen is None else int(positions[chosen])
