"""What any selector chooses from many subsets of a pool, by the quickest way that it has."""

from typing import Any

import numpy as np

from tts.metrics import Bools, Ints, dense_ranks
from tts.protocols import Batched, Ranked, Selector
from tts.select._columns import columns, first
from tts.types import Pool


def choose(selector: Selector, pool: Pool, members: Bools) -> Ints:
    """(D,): the position that `selector` chooses if only the members (D, n) of a row had been sampled; -1 for none."""
    if isinstance(selector, Batched):
        return selector.choose(pool, members)
    keys = selector.rank_key(pool) if isinstance(selector, Ranked) and not _draws(selector) else None
    if keys is not None:
        ranks = dense_ranks(keys)
        return first(members, np.lexsort([columns(pool).age, ranks]).argsort())
    return np.array([_one(selector, pool, row) for row in members], dtype=np.int64)


def _draws(selector: Any) -> bool:
    """Whether its choice among equal keys is drawn, and not the first."""
    return bool(getattr(selector, "drawn", False))


def _one(selector: Selector, pool: Pool, row: Bools) -> int:
    positions = np.flatnonzero(row)
    if len(positions) == 0:
        return -1
    chosen = selector.select(pool.take(positions.tolist())).position
    return -1 if chosen is None else int(positions[chosen])
