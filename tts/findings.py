"""All that is worked out of one run, once, for whatever shows it: terminal, page. Computes nothing itself."""

from dataclasses import dataclass

from tts import breakdown, certainty, cost, margins
from tts.analysis import RunReport
from tts.breakdown import Part
from tts.certainty import Certainty
from tts.cost import Account, Saved
from tts.margins import Margins


@dataclass(frozen=True, slots=True)
class Findings:
    """A run with its parts by tag and by date ({} where there is nothing to part), how sure it is, what it took, what
    its policy saved (None of a run without one), and what its scorers' margins are worth.
    """

    report: RunReport
    tags: dict[str, list[Part]]
    dates: dict[str, list[Part]]
    certainty: Certainty
    account: Account
    saved: Saved | None
    margins: list[Margins]


def find(report: RunReport) -> Findings:
    """Work all of it out."""
    dated = breakdown.by_date(report)
    return Findings(
        report=report,
        tags=breakdown.by_tag(report),
        dates={} if dated is None else dict([dated]),
        certainty=certainty.certainty(report),
        account=cost.account(report),
        saved=cost.saved(report),
        margins=margins.by_scorer(report),
    )
