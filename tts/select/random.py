"""Any candidate, each as likely: the baseline that every other selector stands beside."""

from dataclasses import dataclass
from typing import ClassVar

from tts.seeds import seed_of
from tts.types import Pool, Selection


@dataclass(frozen=True)
class Random:
    """Options: `seed` of the draw, by default the run's."""

    seed: int = 0
    ignores_scores: ClassVar[bool] = True

    def rank_key(self, pool: Pool) -> list[tuple[float, ...]]:
        """All equal: the exact estimator averages over them."""
        return [(0.0,)] * len(pool)

    def select(self, pool: Pool) -> Selection:
        """A draw that depends on the seed, the problem and which candidates there are, not on their order."""
        order = sorted(range(len(pool)), key=lambda i: pool.candidates[i].index)
        indices = [pool.candidates[i].index for i in order]
        return Selection(order[seed_of(self.seed, pool.problem.id, *indices) % len(order)], "drawn at random")


plugin = Random
