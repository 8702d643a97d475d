"""Several scorers decide together, each on a scale of its own.

`rank`: the lowest mean rank, ties averaged within a scorer. `zscore`: the highest mean of z-scores, (score - mean) /
standard deviation over the subset. `bound`: the highest mean - alpha * standard deviation of these z-scores over the
scorers, which distrusts what they disagree about (arXiv 2310.02743, with z-scores, since scorers differ in unit). What
a scorer gave no score counts as its lowest. Valid programs go first; of equals the one sampled first wins, and an
estimate takes each as often.

Estimate: sampled; ranks and z-scores are relative to who else was sampled.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from tts.errors import ConfigError, unknown
from tts.metrics import Bools, Floats
from tts.select._columns import columns, greatest, score_of, z_scores
from tts.select._subsets import pick
from tts.types import Pool, Selection


@dataclass(frozen=True)
class Ensemble:
    """Options: `how` "rank", "zscore" or "bound", `alpha` of the bound, and the labels of the `scorers`, by default all
    of the run's.
    """

    how: Literal["rank", "zscore", "bound"] = "rank"
    alpha: float = 1.0
    scorers: tuple[str, ...] = ()
    every_scorer: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < math.inf:
            raise ConfigError(f"ensemble's alpha must be a number of at least 0, got {self.alpha}.")

    def best(self, pool: Pool, members: Bools) -> Bools:
        """The candidates that the scorers together like most, row by row."""
        valid = members & columns(pool).valid
        judged = np.where(valid.any(axis=1, keepdims=True), valid, members)
        scores = self._scores(pool)
        if self.how == "rank":
            values = -np.sum([_ranks(one, judged) for one in scores], axis=0)
        else:
            z = np.stack([_z(one, judged) for one in scores])
            spread = z.std(axis=0) if self.how == "bound" else np.zeros(judged.shape)
            values = z.mean(axis=0) - self.alpha * spread
        return greatest(np.broadcast_to(values, judged.shape), judged)

    def select(self, pool: Pool) -> Selection:
        """The candidate that the scorers together like most."""
        chosen = pick(self, pool)
        words = {"rank": "lowest mean rank", "zscore": "highest mean z-score", "bound": "highest lower bound"}
        return Selection(chosen, f"{words[self.how]} over {len(self._scores(pool))} scorers")

    def _scores(self, pool: Pool) -> Sequence[Floats]:
        """(n,) for each scorer: the run's, or the pool's own where it knows of no others."""
        held = pool.all_scores or {"": pool.scores}
        for label in self.scorers:
            if label not in held:
                raise ConfigError(unknown(label, "the run's scorers", list(held)))
        return [score_of(held[label]) for label in self.scorers or held]


def _ranks(scores: Floats, judged: Bools) -> Floats:
    """(D, n): twice the rank among the row's judged, less a constant, so that it is a whole number."""
    more, same = scores[None, :] > scores[:, None], scores[None, :] == scores[:, None]
    inside = judged.astype(float)
    return np.asarray(2 * (inside @ more.T) + inside @ same.T)


def _z(scores: Floats, judged: Bools) -> Floats:
    """(D, n): z-scores over the row's judged that have a score; the rest has the lowest of them."""
    held = judged & (scores > -np.inf)
    z = z_scores(scores, held)
    lowest = np.where(held, z, np.inf).min(axis=1, keepdims=True)
    return np.where(held, z, np.where(np.isfinite(lowest), lowest, 0.0))


plugin = Ensemble
