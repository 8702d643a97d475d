"""So many candidates for every problem, whatever they are: uniform sampling, which every policy is compared with."""

from dataclasses import dataclass
from typing import ClassVar

from tts.errors import check_count
from tts.types import Decision, Pool


@dataclass(frozen=True)
class Fixed:
    """Options: `k` candidates, by default as many as there may be."""

    k: int | None = None
    blind: ClassVar[bool] = True
    knob: ClassVar[tuple[str, tuple[int, ...]]] = ("k", (1, 2, 4, 8, 16, 32, 64))

    def __post_init__(self) -> None:
        check_count("fixed's k", self.k)

    def decide(self, pool: Pool, n_max: int) -> Decision:
        """All at once."""
        wanted = n_max if self.k is None else min(self.k, n_max)
        return Decision(wanted, f"{wanted} were asked for", at_most=wanted)


plugin = Fixed
