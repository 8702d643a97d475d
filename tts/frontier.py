"""Several runs on the problems they share: which strategy is worth its cost, and which run is better at equal cost.

A strategy is a run, a selector and a k. On the Pareto front are those that none beats in both cost and accuracy. At
equal cost, a run's k need not be whole: between two whole ones it is a draw, problem by problem, which costs on average
just as much. Computes only; `cost_report.py` shows.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tts import analysis, cost, metrics
from tts.analysis import Curve, RunReport
from tts.config import Labelled
from tts.cost import Account, Rates, Unit
from tts.errors import ConfigError, UserError, unknown
from tts.plugins import Spec
from tts.types import ORACLE

PREFERRED: tuple[Unit, ...] = ("flops", "tokens", "k")  # what cost is where nobody says: the first that all runs know


@dataclass(frozen=True, slots=True)
class Strategy:
    """A run (its number), a selector's curve and a k: its mean cost per problem, accuracy and interval over the common
    problems, and whether it is on the Pareto front.
    """

    run: int
    curve: str
    k: int
    cost: float
    value: float
    low: float
    high: float
    on_front: bool


@dataclass(frozen=True, slots=True)
class Even:
    """Two runs, each with a selector, at one mean cost per problem: the k of each, not whole, their accuracy, and the
    paired difference, second minus first.
    """

    curves: tuple[str, str]
    runs: tuple[int, int]
    cost: float
    ks: tuple[float, float]
    values: tuple[float, float]
    difference: metrics.Difference

    @property
    def curve(self) -> str:
        """The selector, or both if they are two."""
        return " and ".join(dict.fromkeys(self.curves))


@dataclass(frozen=True, slots=True)
class Frontier:
    """What the runs come to over `problems` common problems. Intervals are the first run's kind: its resamples, level
    and seed. `unit` is what cost is in, `unknown` the units that some run does not know.
    """

    unit: Unit
    unknown: tuple[Unit, ...]
    problems: int
    strategies: tuple[Strategy, ...]
    even: tuple[Even, ...]


@dataclass(frozen=True, slots=True)
class _Run:
    """A run cut to the common problems, in one order for all runs."""

    number: int
    report: RunReport
    taken: Account
    rows: tuple[int, ...]

    def rates(self, curve: Curve, unit: Unit) -> Rates | None:
        return cost.rates(self.report, self.taken, curve.scorers, unit, self.rows)


def frontier(
    reports: Sequence[RunReport], unit: Unit | None = None, selectors: Sequence[str] | None = None
) -> Frontier:
    """Compare two runs or more, at equal cost with one of `selectors` each, by default with every one that both have.
    Raises UserError if no problem is in all of them, for a selector that its run has not, or if not all know the cost
    that is asked for; by default it is the first of FLOPs, generator tokens and candidates that all know.
    """
    runs = _cut(reports)
    chosen = None if selectors is None else _named(reports, selectors)
    unknown = tuple(one for one in cost.UNITS if not all(_knows(run, one) for run in runs))
    paid: Unit = unit if unit is not None else next(one for one in PREFERRED if one not in unknown)
    if paid in unknown:
        known = ", ".join(one for one in cost.UNITS if one not in unknown)
        raise UserError(f"Not every run knows its cost in {paid}. Compare by one of: {known}.")
    strategies = [one for run in runs for one in _strategies(run, paid, reports[0])]
    return Frontier(
        unit=paid,
        unknown=unknown,
        problems=len(runs[0].rows),
        strategies=tuple(_fronted(strategies)),
        even=tuple(one for pair in combinations(runs, 2) for one in _even(pair, paid, chosen)),
    )


def _named(reports: Sequence[RunReport], selectors: Sequence[str]) -> list[str]:
    """The selectors, one for each run, which has it."""
    if len(selectors) != len(reports):
        raise ConfigError(f"Name one selector for each of {len(reports)} runs, in their order; got {len(selectors)}.")
    for report, name in zip(reports, selectors, strict=True):
        names = [curve.name for curve in report.curves if curve.name != ORACLE]
        if name not in names:
            raise ConfigError(unknown(name, f"the selectors of {report.folder}", names))
    return list(selectors)


def _cut(reports: Sequence[RunReport]) -> list[_Run]:
    rows = [{item.problem.id: row for row, item in enumerate(report.judged)} for report in reports]
    common = [name for name in rows[0] if all(name in mine for mine in rows)]
    if not common:
        folders = ", ".join(str(report.folder) for report in reports)
        raise UserError(f"No judged problem is in all of {folders}. Compare runs on the same benchmark.")
    return [
        _Run(number, report, cost.account(report), tuple(mine[name] for name in common))
        for number, (report, mine) in enumerate(zip(reports, rows, strict=True))
    ]


def _knows(run: _Run, unit: Unit) -> bool:
    return all(run.rates(curve, unit) is not None for curve in run.report.curves)


def _strategies(run: _Run, unit: Unit, first: RunReport) -> Iterator[Strategy]:
    options = first.config.report
    for curve in run.report.curves:
        rates = run.rates(curve, unit)
        if curve.name == ORACLE or rates is None:
            continue
        found = curve.per_problem[list(run.rows)]
        intervals = metrics.bootstrap_intervals(found, options.resamples, options.level, first.config.seed)
        for column, (point, (low, high)) in enumerate(zip(curve.points, intervals, strict=True)):
            value = float(found[:, column].mean())
            yield Strategy(run.number, curve.name, point.k, rates.at(point.k), value, float(low), float(high), False)


def _fronted(strategies: Sequence[Strategy]) -> Iterator[Strategy]:
    """By cost, with those marked that nothing as cheap is as good as; of equals all are."""
    best, front = -math.inf, set[tuple[float, float]]()
    for one in sorted(strategies, key=lambda one: (one.cost, -one.value)):
        if one.value > best:
            best = one.value
            front.add((one.cost, one.value))
    for one in sorted(strategies, key=lambda one: (one.cost, one.run, one.k)):
        yield Strategy(
            one.run, one.curve, one.k, one.cost, one.value, one.low, one.high, (one.cost, one.value) in front
        )


# At equal cost.


def _even(pair: tuple[_Run, _Run], unit: Unit, chosen: Sequence[str] | None) -> Iterator[Even]:
    """Each selector that both have, or those chosen for the runs, at every cost that is a k of the one and within the
    reach of the other.
    """
    theirs = {curve.name for curve in pair[1].report.curves}
    shared = [curve.name for curve in pair[0].report.curves if curve.name in theirs - {ORACLE}]
    several = [(name, name) for name in shared]
    for names in several if chosen is None else [(chosen[pair[0].number], chosen[pair[1].number])]:
        curves = [run.report.curve(name) for run, name in zip(pair, names, strict=True)]
        rates = [run.rates(curve, unit) for run, curve in zip(pair, curves, strict=True)]
        known = [one for one in rates if one is not None]
        if len(known) == len(pair):
            yield from _at_costs(pair, names, known, _costs(curves, known))


def _costs(curves: Sequence[Curve], rates: Sequence[Rates]) -> list[float]:
    """The costs of either curve's points that both can spend."""
    spans = [(one.at(1), one.at(curve.points[-1].k)) for one, curve in zip(rates, curves, strict=True)]
    low, high = max(start for start, _ in spans), min(end for _, end in spans)
    found = {one.at(point.k) for one, curve in zip(rates, curves, strict=True) for point in curve.points}
    return sorted(value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9))


def _at_costs(
    pair: tuple[_Run, _Run], names: tuple[str, str], rates: Sequence[Rates], costs: Sequence[float]
) -> Iterator[Even]:
    if not costs:
        return
    first = pair[0].report
    bootstrap = first.config.report.resamples, first.config.report.level, first.config.seed
    ks = [[_reached(run, one.k_at(spent)) for spent in costs] for run, one in zip(pair, rates, strict=True)]
    values = [_accuracy(run, name, mine) for run, name, mine in zip(pair, names, ks, strict=True)]
    for column, spent in enumerate(costs):
        left, right = (found[:, column] for found in values)
        yield Even(
            curves=names,
            runs=(pair[0].number, pair[1].number),
            cost=spent,
            ks=(ks[0][column], ks[1][column]),
            values=(float(left.mean()), float(right.mean())),
            difference=metrics.paired_difference(right, left, *bootstrap),
        )


def _reached(run: _Run, k: float) -> float:
    """Within 1 and n, and whole where only rounding keeps it from that."""
    nearest = round(min(max(k, 1.0), float(run.report.n)))
    return float(nearest) if math.isclose(k, nearest, rel_tol=1e-6) else min(max(k, 1.0), float(run.report.n))


def _accuracy(run: _Run, name: str, ks: Sequence[float]) -> metrics.Floats:
    """(P, K): the selector's accuracy on the common problems at each k, which need not be whole."""
    whole = sorted({bound for k in ks for bound in (math.floor(k), math.ceil(k))})
    curve = _curve_at(run, name, whole)
    place = {k: column for column, k in enumerate(whole)}
    found = curve.per_problem[list(run.rows)]
    columns = [
        (1 - (k - math.floor(k))) * found[:, place[math.floor(k)]] + (k - math.floor(k)) * found[:, place[math.ceil(k)]]
        for k in ks
    ]
    return np.stack(columns, axis=1)


def _curve_at(run: _Run, name: str, ks: Sequence[int]) -> Curve:
    """A curve of the run at other ks, computed as the report does."""
    report = run.report
    label = report.curve(name).selector
    chosen = next((item for item in report.config.selectors if item.label == label), None)
    labelled = chosen or Labelled(label=label, spec=Spec(label, {}))  # random, which is in every report
    config = report.config.model_copy(update={"selectors": (labelled,)})
    found = analysis.curves(report.fair, report.scores, config, ks)
    return next(curve for curve in found if curve.name == name)
