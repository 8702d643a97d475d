"""A run's curves over some of its problems: those of one difficulty, platform or time, and those without errata.

At the largest k only, where selectors are compared. Computes only, from what `analysis.py` found; `report.py` shows.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from tts import metrics
from tts.analysis import Curve, Point, RunReport
from tts.types import ERRATA, Problem

DATE = "contest_date"  # the tag that says when a problem was published: text that begins with an ISO day
MOST_PERIODS = 24  # that a breakdown by date has, so that each holds problems enough to say something
TAGS = ("difficulty", "platform")
ASCENDING = ("easy", "medium", "hard", "harder", "hardest")  # any other value comes after these, by the alphabet


@dataclass(frozen=True, slots=True)
class Part:
    """Some problems of a run: what they have in common ("" where that is the lack of a tag), how many they are, and
    each curve's point over them alone, in the report's order. `se` of a sampled point is not known, so NaN.
    """

    name: str
    problems: int
    points: tuple[tuple[Curve, Point], ...]


@dataclass(frozen=True, slots=True)
class Errata:
    """Problems whose verdicts are known not to be fair, (id, kind) of each, and the run without them, which is None if
    no problem is left then.
    """

    problems: tuple[tuple[str, str], ...]
    without: Part | None


def by_tag(report: RunReport) -> dict[str, list[Part]]:
    """The parts of the run by each of TAGS of which its problems have two values or more, not counting none."""
    found = {}
    for tag in TAGS:
        values = [item.problem.tags.get(tag, "") for item in report.judged]
        if len(set(values) - {""}) >= 2:
            found[tag] = _parts(report, values)
    return found


def by_date(report: RunReport) -> tuple[str, list[Part]] | None:
    """The run's parts by "month", "quarter" or "year", whichever is the finest of at most MOST_PERIODS; None if its
    problems are not of two months or more.
    """
    days = [_day(item.problem) for item in report.judged]
    if len({_month(day) for day in days if day}) < 2:
        return None
    cut = {unit: ["" if day is None else period(day) for day in days] for unit, period in PERIODS}
    unit = next((unit for unit, values in cut.items() if len(set(values) - {""}) <= MOST_PERIODS), PERIODS[-1][0])
    return unit, _parts(report, cut[unit])


def _day(problem: Problem) -> date | None:
    try:
        return date.fromisoformat(problem.tags.get(DATE, "")[:10])
    except ValueError:  # of a benchmark that says nothing, or something else
        return None


def _month(day: date) -> str:
    return f"{day.year}-{day.month:02}"


def _quarter(day: date) -> str:
    return f"{day.year} Q{(day.month + 2) // 3}"


PERIODS: tuple[tuple[str, Callable[[date], str]], ...] = (
    ("month", _month),
    ("quarter", _quarter),
    ("year", lambda day: str(day.year)),
)


def _parts(report: RunReport, values: Sequence[str]) -> list[Part]:
    rows = {value: [row for row, mine in enumerate(values) if mine == value] for value in set(values)}
    return [_part(report, value, rows[value]) for value in sorted(rows, key=_place)]


def _place(value: str) -> tuple[bool, int, str]:
    return value == "", ASCENDING.index(value) if value in ASCENDING else len(ASCENDING), value


def errata(report: RunReport) -> Errata | None:
    """The problems with errata and the numbers without them; None if there are none."""
    kinds = [item.problem.tags.get(ERRATA, "") for item in report.judged]
    faulty = tuple((item.problem.id, kind) for item, kind in zip(report.judged, kinds, strict=True) if kind)
    if not faulty:
        return None
    sound = [row for row, kind in enumerate(kinds) if not kind]
    return Errata(faulty, _part(report, "without errata", sound) if sound else None)


def _part(report: RunReport, name: str, rows: Sequence[int]) -> Part:
    """The curves over the problems in some rows, with intervals from a bootstrap over these alone."""
    options = report.config.report
    values = np.stack([curve.per_problem[rows, -1] for curve in report.curves], axis=1)
    intervals = metrics.bootstrap_intervals(values, options.resamples, options.level, report.config.seed)
    points = (
        (curve, _point(curve.points[-1], float(mean), float(low), float(high)))
        for curve, mean, (low, high) in zip(report.curves, values.mean(axis=0), intervals, strict=True)
    )
    return Part(name, len(rows), tuple(points))


def _point(whole: Point, value: float, low: float, high: float) -> Point:
    return Point(whole.k, value, low, high, whole.estimate, 0.0 if whole.estimate == "exact" else math.nan)
