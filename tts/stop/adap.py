"""Generate, rank, verify, and double (ADAP, arXiv 2605.17609): stop at the first program that passes the public tests.

Shell i has first * 2^i candidates. When a shell is full, its candidates are ranked by validity, score and log
probability, and the best `share` of them, rounded up, are verified; if one passes every public test, the policy stops
and answers with the best-ranked of those, else the shell doubles. Where higher scores are no less likely to pass, the
paper shows that progressively more samples and more verifications of the top-ranked cost at most a constant times the
optimum. The paper's verifier is the truth, here it is the public tests, since nothing of the hidden ones may be seen. A
problem without public tests gets all candidates.

Checked against the paper's abstract and a published summary of it: shells in which both numbers, of samples and of the
top-ranked that are verified, double until one passes. The full text was not at hand: the constants of its schedule and
its stopping by cost are not reproduced; here `first` and `share` set the schedule.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from tts.ballots import qualities
from tts.errors import check_count, check_option
from tts.types import Decision, Pool


@dataclass(frozen=True)
class Adap:
    """Options: `first` candidates of the first shell; `share` of a shell that is verified, the best-ranked."""

    first: int = 2
    share: float = 0.5
    needs: ClassVar[tuple[str, ...]] = ("behaviours",)
    chooses_as: ClassVar[str] = "tests_then_score"
    knob: ClassVar[tuple[str, tuple[float, ...]]] = ("share", (0.125, 0.25, 0.5, 1.0))

    def __post_init__(self) -> None:
        check_count("adap's first", self.first)
        check_option(0 < self.share <= 1, "adap's share", "above 0 and at most 1", self.share)

    def decide(self, pool: Pool, n_max: int) -> Decision:
        """Goes on to the end of the shell, of which the last is cut where there may be no more."""
        size = min(self.first, n_max)
        while size <= len(pool):
            answer = self._verified(pool.take(range(size)))
            if answer is not None:
                return Decision(size, f"candidate {answer + 1} of {size} passes the public tests", answer)
            if size == n_max:
                return Decision(size, "as many as there may be; none that was verified passes the public tests")
            size = min(2 * size, n_max)
        return Decision(size)

    def _verified(self, shell: Pool) -> int | None:
        """The best-ranked candidate that was verified and passes."""
        found = qualities(shell)
        ranked = sorted(range(len(shell)), key=lambda i: (found[i], -shell.candidates[i].index), reverse=True)
        tried = ranked[: math.ceil(self.share * len(shell))]
        return next((i for i in tried if _passes(shell, i)), None)


def _passes(pool: Pool, position: int) -> bool:
    behaviour = pool.behaviours[position] if pool.behaviours else None
    return behaviour is not None and bool(behaviour.passed) and all(behaviour.passed)


plugin = Adap
