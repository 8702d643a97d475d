"""The order that several selectors share: a valid program first, then its score, then its log probability."""

import math
from collections.abc import Iterable

from tts.types import Pool


def quality(pool: Pool, position: int) -> tuple[float, float, float]:
    """(validity, score, log probability) of one candidate; None counts as lowest."""
    candidate, score = pool.candidates[position], pool.scores[position].value
    return (
        float(candidate.valid),
        -math.inf if score is None else score,
        -math.inf if candidate.logprob is None else candidate.logprob,
    )


def best(pool: Pool, positions: Iterable[int]) -> int:
    """The position of the greatest quality; of equals the lowest index, so that the pool's order does not matter."""
    return max(positions, key=lambda i: (quality(pool, i), -pool.candidates[i].index))
