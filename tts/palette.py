"""Which of many curves are drawn at first, and how they look, the same in a run's picture and on its page: in colours
that the colour-blind can tell apart too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from tts.analysis import RunReport
from tts.errors import ConfigError, unknown
from tts.types import BASELINES, ORACLE, RANDOM

INK, GREY = "#1b1c1f", "#8c8f96"
# Okabe and Ito 2008, its yellow, which white swallows, replaced by two others that show on white and on black.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6bb1", "#999933")
MARKERS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x")  # coprime to the colours
DASHES = ("solid", "longdash", "dashdot", "longdashdot")  # the colours once over in each
ALIKE = 9  # digits in which two values are one


@dataclass(frozen=True, slots=True)
class Look:
    """A curve's colour, marker and dash pattern, by plotly's names; baselines have no marker."""

    colour: str
    marker: str | None
    dash: str = "solid"


LOOKS = tuple(
    Look(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], DASHES[i // len(COLOURS) % len(DASHES)])
    for i in range(len(COLOURS) * len(MARKERS))
)
BASELINE_LOOKS: Mapping[str, Look] = MappingProxyType(
    {RANDOM: Look(GREY, None, "dash"), ORACLE: Look(INK, None, "dot")}
)


def looks(drawn: Sequence[str]) -> dict[str, Look]:
    """Curve name -> its look among those drawn with it: eight differ in colour, 56 in something."""
    selectors = [name for name in drawn if name not in BASELINE_LOOKS]
    return {**BASELINE_LOOKS, **{name: LOOKS[place % len(LOOKS)] for place, name in enumerate(selectors)}}


def best_first(reports: Sequence[RunReport]) -> list[str]:
    """The selectors, best first by what they solve at the largest k, in the best of the runs that have them."""
    ends = _ends(reports)
    return sorted(ends, key=lambda name: -max(value for value in ends[name] if value is not None))


def distinct(reports: Sequence[RunReport]) -> list[str]:
    """The same, one of each set that solves equally much in every run, the first of them: what is drawn where all would
    be too many.
    """
    ends = _ends(reports)
    first: dict[tuple[float | None, ...], str] = {}
    for name in best_first(reports):
        first.setdefault(ends[name], name)
    return list(first.values())


def _ends(reports: Sequence[RunReport]) -> dict[str, tuple[float | None, ...]]:
    found = [{c.name: round(c.points[-1].value, ALIKE) for c in report.curves} for report in reports]
    names = dict.fromkeys(name for one in found for name in one if name not in BASELINES)
    return {name: tuple(one.get(name) for one in found) for name in names}


def check_curves(reports: Sequence[RunReport], wanted: Sequence[str]) -> None:
    """Raises ConfigError for a curve that no run has, with the nearest name."""
    known = dict.fromkeys(curve.name for report in reports for curve in report.curves)
    for name in wanted:
        if name not in known:
            raise ConfigError(unknown(name, "the curves of these runs", list(known)))
