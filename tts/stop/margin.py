"""Stop when the best class of programs is probably ahead of the second, by the posterior of the top two.

As `beta`, but a program's vote counts by its score: with softmax weights w_i ~ exp(s_i / temperature) over the N
voters, class c has v_c = sum of N * w_i over its programs, and the policy stops as soon as

    P(p > 1/2) >= confidence,  p ~ Beta(v_1 + 1, v_2 + 1)

for the two heaviest. Score differences of a Bradley-Terry reward model are log odds, which makes temperature 1
principled; with equal scores this is `beta`'s posterior. No paper has this formula: it is adaptive consistency's
(arXiv 2305.11860) with weighted votes.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from tts.errors import check_option
from tts.stop._votes import least, posterior, voting
from tts.types import Decision, Pool


@dataclass(frozen=True)
class Margin:
    """Options: `confidence` at which to stop; `temperature` of the votes' softmax, in units of the score; `by`
    "behaviour" or "program": what makes programs one class, what they do on the public inputs or their text.
    """

    confidence: float = 0.95
    temperature: float = 1.0
    by: Literal["behaviour", "program"] = "behaviour"
    knob: ClassVar[tuple[str, tuple[float, ...]]] = ("confidence", (0.7, 0.8, 0.9, 0.95, 0.99, 0.999))

    def __post_init__(self) -> None:
        check_option(0.5 < self.confidence < 1, "margin's confidence", "above 0.5 and below 1", self.confidence)
        check_option(0 < self.temperature < math.inf, "margin's temperature", "above 0", self.temperature)

    @property
    def needs(self) -> tuple[str, ...]:
        """Scores; and what programs do, if that is what they are compared by."""
        return ("scores", "behaviours") if self.by == "behaviour" else ("scores",)

    def decide(self, pool: Pool, n_max: int) -> Decision:
        """Goes on at least to the first number at which one class could have all the weight and be sure enough."""
        n = len(pool)
        groups = voting(pool if self.by == "behaviour" else dataclasses.replace(pool, behaviours=()))
        voters = sum(map(len, groups))
        if n >= n_max:
            return Decision(n, "as many as there may be")
        leader, second = self._top_two(pool, groups)
        if groups and posterior(leader, second) >= self.confidence:
            return Decision(n, f"{leader:.1f} votes to {second:.1f} of {n}, weighted by score")
        more = least(1, n_max - n, lambda extra: posterior(voters + extra, 0.0) >= self.confidence)
        return Decision(n + more)

    def _top_two(self, pool: Pool, groups: list[list[int]]) -> tuple[float, float]:
        if not groups:
            return 0.0, 0.0
        weights = self._weights(pool, groups)
        votes = sorted((math.fsum(weights[i] for i in group) for group in groups), reverse=True)
        leader, second = (*votes, 0.0)[:2]
        return leader, second

    def _weights(self, pool: Pool, groups: list[list[int]]) -> dict[int, float]:
        """Each voter's weight; they sum to the number of voters. An unscored one has none, unless nobody is scored."""
        values = {i: pool.scores[i].value for group in groups for i in group}
        scored = [value for value in values.values() if value is not None]
        if not scored:
            return dict.fromkeys(values, 1.0)
        top = max(scored)
        raw = {i: 0.0 if value is None else math.exp((value - top) / self.temperature) for i, value in values.items()}
        total = math.fsum(raw.values())
        return {i: weight * len(values) / total for i, weight in raw.items()}


plugin = Margin
