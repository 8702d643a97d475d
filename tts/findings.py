"""All that is worked out of one run, once, for whatever shows it: terminal, page, files. Computes nothing itself."""

from dataclasses import dataclass
from functools import cached_property

from tts import analysis, breakdown, certainty, cost, margins, metrics
from tts.analysis import RunReport
from tts.breakdown import Errata, Part
from tts.certainty import Certainty
from tts.cost import Account, PolicySavings
from tts.margins import Margins


@dataclass(frozen=True)
class Findings:
    """A run and what is said of it, each worked out when it is first asked for. Selectors are compared with the one
    `against`, by default the best.
    """

    report: RunReport
    against: str | None = None

    @cached_property
    def parts(self) -> dict[str, list[Part]]:
        """By difficulty, by platform, and by month, quarter or year, as far as there is something to part."""
        dated = breakdown.by_date(self.report)
        return breakdown.by_tag(self.report) | ({} if dated is None else dict([dated]))

    @cached_property
    def errata(self) -> Errata | None:
        """The run without the problems that have errata; None if there are none."""
        return breakdown.errata(self.report)

    @cached_property
    def paired(self) -> dict[tuple[str, str], metrics.Difference]:
        """Each two selectors' difference at k = n."""
        return analysis.paired(self.report)

    @cached_property
    def certainty(self) -> Certainty:
        """How sure the numbers are."""
        return certainty.certainty(self.report)

    @cached_property
    def account(self) -> Account:
        """What the run took."""
        return cost.account(self.report)

    @cached_property
    def saved(self) -> PolicySavings | None:
        """What its policy saved; None of a run without one."""
        return cost.saved(self.report)

    @cached_property
    def margins(self) -> list[Margins]:
        """What its scorers' margins are worth."""
        return margins.by_scorer(self.report)
