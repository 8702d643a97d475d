"""Only candidates above a threshold stay; another selector chooses among them, and with none left it abstains.

Scores are not comparable across problems, so the threshold is by default relative to the problem's best score; a
quantile keeps the same share everywhere; an absolute one is for scorers that were calibrated.

Estimate: sampled; what is kept depends on who else was sampled. Of equals, and of dice whose odds the following
selector knows, the mean is taken.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np

from tts import plugins
from tts.errors import ConfigError
from tts.metrics import SAME, Bools, Floats
from tts.protocols import Selector
from tts.select._columns import columns, everyone
from tts.select._subsets import odds
from tts.types import Pool, Selection


@dataclass(frozen=True)
class Threshold:
    """Options: `mode` "relative" keeps scores at most `value` below the best, "quantile" those from that quantile on
    (0.5 keeps the upper half, ties included), "absolute" those of at least `value`; `then` is the selector that
    follows, `seed` its seed, by default the run's.
    """

    mode: Literal["relative", "quantile", "absolute"] = "relative"
    value: float = 1.0
    then: str | Mapping[str, Any] = field(default="majority")
    seed: int = 0
    own_scorer: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if math.isnan(self.value):
            raise ConfigError("threshold's value must be a number, got nan.")
        if self.mode == "quantile" and not 0 <= self.value <= 1:
            raise ConfigError(f"threshold's value is a quantile from 0 to 1, got {self.value}.")
        if self.mode == "relative" and self.value < 0:
            raise ConfigError(f"threshold's value is a distance below the best score, at least 0, got {self.value}.")
        _ = self.chooser

    @cached_property
    def chooser(self) -> Selector:
        """The selector that chooses among what is kept."""
        built: Selector = plugins.build("selector", self.then, "threshold's then", seed=self.seed)
        return built

    @property
    def needs(self) -> tuple[str, ...]:
        """What the following selector needs."""
        return getattr(self.chooser, "needs", ())

    @property
    def drawn(self) -> bool:
        """Whether the following selector throws dice."""
        return getattr(self.chooser, "drawn", False)

    @property
    def every_scorer(self) -> bool:
        """Whether the following selector looks at every scorer's scores."""
        return getattr(self.chooser, "every_scorer", False)

    @property
    def scorers(self) -> tuple[str, ...]:
        """Those that the following selector names."""
        return getattr(self.chooser, "scorers", ())

    def odds(self, pool: Pool, members: Bools) -> Floats | None:
        """The following selector's, among those kept of each row."""
        return odds(self.chooser, pool, self.kept(pool, members))

    def select(self, pool: Pool) -> Selection:
        """The following selector's choice among those kept, or none."""
        kept = np.flatnonzero(self.kept(pool, everyone(pool))[0]).tolist()
        if not kept:
            return Selection(None, f"no score reaches the threshold ({self.mode} {self.value})")
        inner = self.chooser.select(pool.take(kept))
        position = None if inner.position is None else kept[inner.position]
        return Selection(position, f"{len(kept)} of {len(pool)} kept, then {inner.why}")

    def kept(self, pool: Pool, members: Bools) -> Bools:
        """(D, n): members at or above their row's threshold; an invalid or unscored candidate is never among them."""
        known = columns(pool)
        judged = members & known.valid & known.scored
        return judged & (known.score >= self._limits(np.where(judged, known.score, np.inf)))

    def _limits(self, scores: Floats) -> Floats:
        """(D, 1) from the scores (D, n) of each row, inf for what is not judged."""
        if self.mode == "absolute":
            return np.full((len(scores), 1), self.value)
        ascending, counts = np.sort(scores, axis=1), np.isfinite(scores).sum(axis=1)
        place = counts - 1 if self.mode == "relative" else np.floor(self.value * counts).astype(np.int64)
        limits = np.take_along_axis(ascending, np.clip(place, 0, np.maximum(counts - 1, 0))[:, None], axis=1)
        known = np.where(np.isfinite(limits), limits, 0.0)
        if self.mode == "quantile":
            return known
        return np.asarray(known - self.value - SAME * (np.abs(known) + self.value))


plugin = Threshold
