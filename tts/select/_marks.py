"""Which tests a candidate passed, as the pipeline observed it: the public ones, and those that a model wrote."""

import numpy as np

from tts.metrics import Bools, Ints
from tts.types import Pool

MEMO = "public marks"


def public_marks(pool: Pool, position: int) -> tuple[bool, ...]:
    """Whether a candidate passed each public test; empty where it was not run."""
    behaviour = pool.behaviours[position] if pool.behaviours else None
    return () if behaviour is None else behaviour.passed


def written_marks(pool: Pool, position: int) -> tuple[bool, ...]:
    """Whether a candidate passed each test that a model wrote; empty where it was not run."""
    behaviour = pool.behaviours[position] if pool.behaviours else None
    return () if behaviour is None else behaviour.written


def marks(pool: Pool) -> Bools:
    """(n, tests): whether each candidate passed each public test; none where it was not run."""
    if MEMO not in pool.memo:
        rows = [public_marks(pool, i) for i in range(len(pool))]
        width = max(map(len, rows))
        none = (False,) * width
        pool.memo[MEMO] = np.array([row or none for row in rows], dtype=np.bool_).reshape(len(rows), width)
    found: Bools = pool.memo[MEMO]
    return found


def passed(pool: Pool, most: int | None = None) -> Ints:
    """(n,): how many of the first `most` public tests each candidate passed."""
    return np.asarray(marks(pool)[:, :most].sum(axis=1), dtype=np.int64)
