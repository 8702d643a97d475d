"""The look of curves, the same in a run's picture and on its page: colours that the colour-blind can tell apart too."""

from collections.abc import Sequence
from dataclasses import dataclass

from tts.analysis import RunReport
from tts.types import ORACLE, RANDOM

INK, GREY = "#1b1c1f", "#8c8f96"
# Okabe and Ito 2008, its yellow, which white swallows, replaced by two others that show on white and on black.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6bb1", "#999933")
MARKERS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x")  # coprime to the colours


@dataclass(frozen=True, slots=True)
class Look:
    """A curve's colour and marker; baselines have no marker and a dash pattern, "dash" or "dot"."""

    colour: str
    marker: str | None
    dash: str | None = None


def looks(reports: Sequence[RunReport]) -> dict[str, Look]:
    """Curve name -> its look, the same in every run: 56 curves differ."""
    names = dict.fromkeys(curve.name for report in reports for curve in report.curves)
    found = {RANDOM: Look(GREY, None, "dash"), ORACLE: Look(INK, None, "dot")}
    for position, name in enumerate(name for name in names if name not in found):
        found[name] = Look(COLOURS[position % len(COLOURS)], MARKERS[position % len(MARKERS)])
    return found
