"""A pilot for every problem, then the rest of a total budget where the next sample gains most (compute-optimal
allocation by estimated difficulty, arXiv 2408.03314).

That paper estimates difficulty by the scores that a verifier gives to a pilot, and gives no closed form; this one is
tts's own. The pilot's scores above their median are taken for an exponential tail of mean excess sigma, in log odds.
Then the next sample after n exceeds the best with chance 1 / (n + 1), by an Exponential(sigma), and gains, in the
chance to win over the best so far,

    gain(n) = g(sigma) / (n + 1),  g(sigma) = E[1 / (1 + exp(-t))] - 1/2,  t ~ Exponential(sigma).

The budget goes out sample by sample to the greatest gain, of equals to the problem that has fewest, then to the one
that comes first; since a gain only falls with n, that is the best way to spend it, and more budget takes from no
problem. Of a pilot with fewer than two scores nothing is known: its g is 1/2, the greatest. Where a pilot's upper half
is of one score, g is 0; such problems share evenly what the others, at the most that each may have, leave. Only the
pilot is looked at, so that asking again changes nothing.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tts.errors import check_count, check_option
from tts.stop._tail import scores_of, tail, win_gain
from tts.types import Decision, Pool

NOTHING_KNOWN = 0.5


@dataclass(frozen=True)
class Allocate:
    """Options: `pilot` candidates of every problem; `budget` candidates per problem on average, the pilot's among them;
    `temperature` of the scores' log odds.
    """

    pilot: int = 4
    budget: float = 8.0
    temperature: float = 1.0
    needs: ClassVar[tuple[str, ...]] = ("scores",)
    knob: ClassVar[tuple[str, tuple[float, ...]]] = ("budget", (4, 6, 8, 12, 16, 24, 32))

    def __post_init__(self) -> None:
        check_count("allocate's pilot", self.pilot)
        check_option(self.budget >= self.pilot, "allocate's budget", f"at least the pilot, {self.pilot}", self.budget)
        check_option(self.budget < math.inf, "allocate's budget", "a number", self.budget)
        check_option(0 < self.temperature < math.inf, "allocate's temperature", "above 0", self.temperature)

    def decide(self, pool: Pool, n_max: int) -> Decision:
        """For one problem alone, whose budget is the average."""
        return self.allot([pool], [n_max])[0]

    def allot(self, pools: Sequence[Pool], n_max: Sequence[int]) -> list[Decision]:
        """Waits for every problem's pilot, then says of each how many it gets."""
        pilots = [min(self.pilot, most) for most in n_max]
        if any(len(pool) < size for pool, size in zip(pools, pilots, strict=True)):
            return [Decision(size, at_most=size) for size in pilots]  # what is drawn unasked is out of the budget
        factors = [self._factor(pool.take(range(size))) for pool, size in zip(pools, pilots, strict=True)]
        shares = self._spend(pilots, factors, n_max)
        return [Decision(share, f"{share} of the budget are its share", at_most=share) for share in shares]

    def _factor(self, pilot: Pool) -> float:
        values = [value / self.temperature for value in scores_of(pilot)]
        return win_gain(tail(values)[1]) if len(values) > 1 else NOTHING_KNOWN

    def _spend(self, pilots: Sequence[int], factors: Sequence[float], n_max: Sequence[int]) -> list[int]:
        shares = list(pilots)
        left = math.floor(self.budget * len(pilots)) - sum(pilots)
        heap = [(-factors[i] / (share + 1), share, i) for i, share in enumerate(shares) if share < n_max[i]]
        heapq.heapify(heap)
        while left > 0 and heap:
            *_, i = heapq.heappop(heap)
            shares[i] += 1
            left -= 1
            if shares[i] < n_max[i]:
                heapq.heappush(heap, (-factors[i] / (shares[i] + 1), shares[i], i))
        return shares


plugin = Allocate
