"""What any selector chooses from many subsets of a pool, by the quickest way that it has, and how right that is.

Candidates that a selector holds for equal are as likely as each other, since which of them it takes is a matter of the
order in which they were sampled. A single pool's answer is the one of them that was sampled first (`pick`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tts.metrics import Bools, Floats, dense_ranks
from tts.protocols import Batched, Drawing, Ranked, Selector
from tts.select._columns import columns, everyone, first, lowest
from tts.types import Pool, Score


def highest(keys: Sequence[tuple[float, ...]] | Floats, members: Bools) -> Bools:
    """(D, n): of each row's members those of the greatest key."""
    return lowest(members, dense_ranks(keys))


def pick(selector: Selector, pool: Pool) -> int:
    """The position of what a selector with `best` or `rank_key` chooses: of equal ones the one sampled first."""
    equals = _equals(selector, pool, everyone(pool))
    if equals is None:
        raise TypeError(f"{type(selector).__name__} has neither `best` nor a rank key of this pool.")
    return int(first(equals, columns(pool).age)[0])


def odds(selector: Selector, pool: Pool, members: Bools) -> Floats | None:
    """(D, n): how likely each candidate is the choice from a row's members (D, n), over the orders in which they may
    have been sampled and over dice. None if they are not known: then the selector can only be asked.
    """
    if isinstance(selector, Drawing):
        return selector.odds(pool, members)
    equals = _equals(selector, pool, members)
    return None if equals is None else equals / np.maximum(equals.sum(axis=1, keepdims=True), 1)


def earned(
    selector: Selector, pool: Pool, members: Bools, correct: Floats, rng: np.random.Generator
) -> tuple[Floats, bool]:
    """(D,): how right the choice from each row's members is, by the correctness (n,) of the candidates; 0 where it
    abstains. And whether that is its mean over orders and dice: one that can only be asked is asked in an order drawn
    by `rng` and in the reverse of it, which agree where there are no equals.
    """
    known = odds(selector, pool, members)
    if known is not None:
        return known @ correct, True
    rows = [rng.permutation(np.flatnonzero(row)).tolist() for row in members]
    there = np.array([asked(selector, pool, row) for row in rows])
    back = np.array([asked(selector, pool, row[::-1]) for row in rows])
    padded = np.append(correct, 0.0)
    return (padded[there] + padded[back]) / 2, bool((there == back).all()) and not _draws(selector)


def asked(selector: Selector, pool: Pool, positions: Sequence[int]) -> int:
    """The position that `select` chooses of these, had they been sampled in this order; -1 for none."""
    if not positions:
        return -1
    chosen = selector.select(_renumbered(pool.take(positions))).position
    return -1 if chosen is None else positions[chosen]


def throws(selector: Selector, pool: Pool) -> bool:
    """Whether what it chooses is one throw of dice whose odds it does not know."""
    return _draws(selector) and odds(selector, pool, everyone(pool)) is None


def ignores_scores(selector: Selector) -> bool:
    """Whether it chooses alike whatever the scores are."""
    return bool(getattr(selector, "ignores_scores", False))


def _draws(selector: Any) -> bool:
    """Whether it throws dice."""
    return bool(getattr(selector, "drawn", False))


def _equals(selector: Selector, pool: Pool, members: Bools) -> Bools | None:
    if isinstance(selector, Batched):
        return selector.best(pool, members)
    keys = selector.rank_key(pool) if isinstance(selector, Ranked) else None
    return None if keys is None else highest(keys, members)


def _renumbered(pool: Pool) -> Pool:
    """The pool with its indices handed out in the order of its positions."""
    indices = sorted(c.index for c in pool.candidates)

    def anew(scores: Sequence[Score]) -> tuple[Score, ...]:
        return tuple(replace(score, index=index) for score, index in zip(scores, indices, strict=True))

    candidates = tuple(replace(c, index=index) for c, index in zip(pool.candidates, indices, strict=True))
    others = {label: anew(scores) for label, scores in pool.all_scores.items()}
    return replace(pool, candidates=candidates, scores=anew(pool.scores), all_scores=others)
