"""From what was drawn and scored to the best of it in order, and what is said of why."""

from dataclasses import dataclass

from tts.protocols import Selector
from tts.types import Candidate, Pool, Selection


@dataclass(frozen=True, slots=True)
class Choice:
    """`ranking` has positions in `pool`, the best first, as many as were asked for; it is empty where the selector
    abstained. `margin` is how far the best one's score lies above the best of the others, None without two scores.
    """

    pool: Pool
    ranking: tuple[int, ...]
    why: str

    @property
    def best(self) -> Candidate | None:
        """The winner, None where there is none."""
        return self.pool.candidates[self.ranking[0]] if self.ranking else None

    @property
    def score(self) -> float | None:
        """The winner's."""
        return self.pool.scores[self.ranking[0]].value if self.ranking else None

    @property
    def margin(self) -> float | None:
        """See the class."""
        others = [s.value for i, s in enumerate(self.pool.scores) if i not in self.ranking[:1] and s.value is not None]
        return None if self.score is None or not others else self.score - max(others)


def choose(
    selector: Selector, pool: Pool, count: int, first: Selection | None = None, threshold: float | None = None
) -> Choice:
    """The `count` best: `first` if that is settled on already, else the selector's choice, then its choice among the
    rest, and so on. Where it abstains, it is not asked again: nothing is chosen if that is at once, else the rest
    follows as it was sampled. Nobody whose score is under the threshold is chosen, whoever settled on it.
    """

    def allowed(position: int | None) -> bool:
        value = None if position is None else pool.scores[position].value
        return threshold is None or (value is not None and value >= threshold)

    if first is None or not allowed(first.position):
        first = selector.select(pool)
    if first.position is None:
        return Choice(pool, (), first.why)
    ranking, rest = [first.position], [i for i in range(len(pool)) if i != first.position]
    while rest and len(ranking) < count:
        position = selector.select(pool.take(rest)).position
        if position is None:
            ranking += rest
            break
        ranking.append(rest.pop(position))
    return Choice(pool, tuple(filter(allowed, ranking[:count])), first.why)
