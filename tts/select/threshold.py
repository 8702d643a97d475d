"""Only candidates above a threshold stay; another selector chooses among them, and with none left it abstains.

Scores are not comparable across problems, so the threshold is by default relative to the problem's best score; a
quantile keeps the same share everywhere; an absolute one is for scorers that were calibrated.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from tts import plugins
from tts.errors import ConfigError
from tts.protocols import Selector
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

    def select(self, pool: Pool) -> Selection:
        """The following selector's choice among those kept, or none."""
        kept = self.kept(pool)
        if not kept:
            return Selection(None, f"no score reaches the threshold ({self.mode} {self.value})")
        inner = self.chooser.select(pool.take(kept))
        position = None if inner.position is None else kept[inner.position]
        return Selection(position, f"{len(kept)} of {len(pool)} kept, then {inner.why}")

    def kept(self, pool: Pool) -> list[int]:
        """Positions at or above the threshold; an invalid or unscored candidate is never among them."""
        values = {
            i: score.value
            for i, score in enumerate(pool.scores)
            if score.value is not None and pool.candidates[i].valid
        }
        if not values:
            return []
        limit = self._limit(sorted(values.values()))
        return [i for i, value in values.items() if value >= limit]

    def _limit(self, ascending: list[float]) -> float:
        if self.mode == "absolute":
            return self.value
        if self.mode == "relative":
            return ascending[-1] - self.value
        return ascending[min(len(ascending) - 1, math.floor(self.value * len(ascending)))]


plugin = Threshold
