"""What selectors and stopping policies read alike of a pool: for what a candidate votes, and which one is better."""

import math
from collections.abc import Hashable

from tts.types import Candidate, Pool

RAN, PARSES, NEITHER = range(3)  # the levels of votes: one that did something, one that only parses, any other


def done(pool: Pool, position: int) -> Hashable:
    """What a candidate did on the public inputs; None if it did nothing, or nobody has run it."""
    behaviour = pool.behaviours[position] if pool.behaviours else None
    return behaviour.outputs if behaviour is not None and behaviour.ran else None


def ballot(candidate: Candidate, position: int, what: Hashable) -> tuple[int, Hashable]:
    """(level, vote) of a candidate that did `what`: a valid program votes for what it did or, if that is nothing, for
    its own text; any other candidate for itself.
    """
    if not candidate.valid:
        return NEITHER, position
    return (PARSES, candidate.code) if what is None else (RAN, what)


def qualities(pool: Pool) -> list[tuple[bool, float, float]]:
    """(validity, score, log probability) of each candidate, greater is better; -inf for what is None."""
    return [
        (c.valid, -math.inf if s.value is None else s.value, -math.inf if c.logprob is None else c.logprob)
        for c, s in zip(pool.candidates, pool.scores, strict=True)
    ]
