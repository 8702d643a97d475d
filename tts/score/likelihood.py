"""The generator's own confidence: the log probability of what it wrote, free because it was measured while sampling.

The mean per token (default) does not punish length; the sum is the log likelihood of the whole completion.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tts.types import Candidate, Problem, Score


@dataclass(frozen=True)
class Likelihood:
    """Options: `reduce` "mean" per token or "sum", in nats."""

    reduce: Literal["mean", "sum"] = "mean"

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """The stored log probability; None where the generator gave none."""
        for _, candidate in pairs:
            yield Score(*candidate.key, *self._value(candidate))

    def _value(self, candidate: Candidate) -> tuple[float | None, str]:
        if candidate.logprob is None:
            return None, "the generator gave no log probability"
        if self.reduce == "mean":
            return candidate.logprob, ""
        if candidate.tokens is None:
            return None, "the generator gave no token count"
        return candidate.logprob * candidate.tokens, ""


plugin = Likelihood
