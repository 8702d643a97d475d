"""The score corrected for what reward models overrate: less beta times the z-score of the program's length (`length`),
or plus beta times its mean log probability (`logprob`), as a policy's own belief regularises a reward (arXiv
2404.01054).

Beta is in units of the score. Length is in characters; its z-score is over the valid and scored programs of the subset.
A program without a score, or without the log probability that is asked for, goes last. Estimate: `logprob` exact by
rank key; `length` sampled, since a z-score depends on who else was sampled.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tts.errors import ConfigError
from tts.metrics import Bools, Floats
from tts.select._columns import columns, greatest, levelled, told, z_scores
from tts.select._subsets import highest, pick
from tts.types import Pool, Selection


@dataclass(frozen=True)
class Regularised:
    """Options: `by` "length" or "logprob", and `beta`, the weight of the correction, any finite number."""

    by: Literal["length", "logprob"] = "length"
    beta: float = 0.5

    def __post_init__(self) -> None:
        if not math.isfinite(self.beta):
            raise ConfigError(f"regularised's beta must be a finite number, got {self.beta}.")

    @property
    def weighs(self) -> str:
        """The measure that it corrects by, whose own scores tell it nothing more."""
        return self.by

    def rank_key(self, pool: Pool) -> Floats | None:
        """(n, 3): validity, corrected score, score; None for `length`."""
        if self.by == "length":
            return None
        known = columns(pool)
        both = known.scored & (known.logprob > -np.inf)
        logprob = np.where(both, known.logprob, 0.0)
        score, correction = np.where(both, known.score, 0.0), self.beta * logprob
        value = levelled(np.where(both, score + correction, -np.inf), np.abs(score) + np.abs(correction))
        return np.column_stack([known.valid, value, known.score])

    def best(self, pool: Pool, members: Bools) -> Bools:
        """The highest corrected scores, row by row."""
        keys = self.rank_key(pool)
        if keys is not None:
            return highest(keys, members)
        known = columns(pool)
        valid = members & known.valid
        judged = np.where(valid.any(axis=1, keepdims=True), valid, members)
        size = np.where(known.scored, np.abs(known.score), 0.0) + abs(self.beta)
        return greatest(self._shortened(pool, judged), judged, size)

    def select(self, pool: Pool) -> Selection:
        """The highest corrected score."""
        chosen = pick(self, pool)
        return Selection(chosen, f"highest score ({told(pool.scores[chosen])}) corrected for its {self.by}")

    def _shortened(self, pool: Pool, judged: Bools) -> Floats:
        """(D, n): the score less beta times the z-score of the length; -inf for what has no score."""
        known = columns(pool)
        held = judged & known.scored
        lengths = np.array([len(c.code or "") for c in pool.candidates], dtype=np.float64)
        value = np.where(held, known.score, 0.0) - self.beta * z_scores(lengths, held)
        return np.where(held, value, -np.inf)


plugin = Regularised
