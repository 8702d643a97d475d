"""The length of the program, a baseline that every reward model should beat."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tts.types import Candidate, Problem, Score


@dataclass(frozen=True)
class Length:
    """Options: `prefer` the "short" program or the "long" one, in characters of code."""

    prefer: Literal["short", "long"] = "short"

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """Plus or minus the number of characters; None without code."""
        sign = -1.0 if self.prefer == "short" else 1.0
        for _, candidate in pairs:
            if candidate.code is None:
                yield Score(*candidate.key, None, "no code")
            else:
                yield Score(*candidate.key, sign * len(candidate.code))


plugin = Length
