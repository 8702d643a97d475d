"""Adaptive consistency (arXiv 2305.11860): stop when the commonest behaviour is probably the majority.

With v1 and v2 votes for the two commonest behaviours, their true shares being compared under a uniform prior, the
policy stops as soon as

    P(p > 1/2) >= confidence,  p ~ Beta(v1 + 1, v2 + 1),

the paper's Beta criterion, and also once the leader is ahead of every other by more votes than are left to be cast, so
that nothing that may yet be sampled can change the majority. With confidence 1 it stops for that reason alone, and its
majority is the one of all n candidates. Programs vote as in the selector `majority`: by what they do on the public
inputs. Where all fail there, nothing has a vote.
"""

from dataclasses import dataclass
from typing import ClassVar

from tts.errors import check_option
from tts.stop._votes import least, posterior, voting
from tts.types import Decision, Pool


@dataclass(frozen=True)
class Beta:
    """Options: `confidence` at which to stop, the paper's 0.95."""

    confidence: float = 0.95
    needs: ClassVar[tuple[str, ...]] = ("behaviours",)
    knob: ClassVar[tuple[str, tuple[float, ...]]] = ("confidence", (0.7, 0.8, 0.9, 0.95, 0.99, 1.0))

    def __post_init__(self) -> None:
        check_option(0.5 < self.confidence <= 1, "beta's confidence", "above 0.5 and at most 1", self.confidence)

    def decide(self, pool: Pool, n_max: int) -> Decision:
        """Goes on to the first number at which the leader, if all that follow vote for it, could be sure enough."""
        n = len(pool)
        sizes = sorted((len(group) for group in voting(pool)), reverse=True)
        leader, second = (*sizes, 0, 0)[:2]
        if n >= n_max:
            return Decision(n, "as many as there may be")
        if sizes and self._enough(leader, second, n_max - n):
            return Decision(n, f"{leader} votes to {second} of {n}")
        more = least(1, n_max - n, lambda extra: self._enough(leader + extra, second, n_max - n - extra))
        return Decision(n + more)

    def _enough(self, leader: int, second: int, left: int) -> bool:
        settled = leader > second + left
        return settled or (self.confidence < 1 and posterior(leader, second) >= self.confidence)


plugin = Beta
