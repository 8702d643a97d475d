"""Pandora's box (arXiv 2510.01394): stop when the best score exceeds the fair cap, so that one more box is not worth
its price.

A sample of reward v costs `cost`; the fair cap is the tau with E[(v - tau)+] = cost (Weitzman 1979), and the optimal
policy stops once the best reward is at least tau. As in the paper, rewards of different problems are made comparable
by a Bradley-Terry transform: with u = exp((score - best) / temperature), a sample's reward is its chance to win over
the best, u / (u + 1), that of the best itself 1/2; the distribution of u above its median mu is taken for a shifted
exponential of mean excess sigma, whose estimate is raised to an upper confidence bound,

    sigma+ = sigma * (1 + sqrt(ln ln N * ln(1 / delta) / N)).

Because E[(v - tau)+] falls as tau grows, "the best is at least the fair cap" is the same as "the expected gain over the
best is at most the cost", which needs no root:

    1/2 * exp(-(1 - mu) / sigma+) * E[t / (2 (2 + t))] <= cost,  t ~ Exponential(sigma+).

Of the paper's experiments two things are not taken over: they know the maximum of all N rewards beforehand, here it is
the best so far; and candidates that are invalid or unscored count, as rewards of 0.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from tts.errors import check_option
from tts.stop._tail import excess_gain, scores_of, tail
from tts.types import Decision, Pool


@dataclass(frozen=True)
class Pandora:
    """Options: `cost` of one more sample, as a chance to win over the best so far (0.01 is one point); `delta` of the
    confidence bound; `minimum` samples before the tail is believed, at least 3; `temperature` of the scores' log odds.
    """

    cost: float = 0.01
    delta: float = 0.05
    minimum: int = 4
    temperature: float = 1.0
    needs: ClassVar[tuple[str, ...]] = ("scores",)
    knob: ClassVar[tuple[str, tuple[float, ...]]] = ("cost", (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001))

    def __post_init__(self) -> None:
        check_option(0 < self.cost < 0.5, "pandora's cost", "above 0 and below 0.5", self.cost)
        check_option(0 < self.delta < 1, "pandora's delta", "above 0 and below 1", self.delta)
        check_option(self.minimum >= 3, "pandora's minimum", "at least 3", self.minimum)
        check_option(0 < self.temperature < math.inf, "pandora's temperature", "above 0", self.temperature)

    def decide(self, pool: Pool, n_max: int) -> Decision:
        """Asks after each sample, from the minimum on. Goes on while nothing has a score."""
        n = len(pool)
        if n >= n_max:
            return Decision(n, "as many as there may be")
        values = scores_of(pool)
        if n < self.minimum or not values:
            return Decision(min(n_max, max(n + 1, self.minimum)))
        gain = self.gain(values, n)
        if gain <= self.cost:
            return Decision(n, f"one more of {n} is expected to gain {gain:.4f}, at most its cost {self.cost:g}")
        return Decision(n + 1)

    def gain(self, values: list[float], n: int) -> float:
        """The expected gain of one more sample in the chance to win over the best of n, whose scores are `values`."""
        best = max(values)
        rewards = [math.exp((value - best) / self.temperature) for value in values] + [0.0] * (n - len(values))
        median, mean = tail(rewards)
        scale = mean * (1.0 + math.sqrt(math.log(math.log(n)) * math.log(1.0 / self.delta) / n))
        return 0.5 * math.exp(-(1.0 - median) / scale) * excess_gain(scale) if scale > 0 else 0.0


plugin = Pandora
