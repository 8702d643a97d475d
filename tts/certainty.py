"""How sure a run's numbers are: selectors compared with each other, what its size can show at all, and pass@k beyond n.

Everything is by problem: the candidates of one problem are not independent of each other, so that a problem, with all
of them, is what is counted, paired and resampled. Computes only, from what `analysis.py` found; `report.py` shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tts import extrapolation, metrics, significance
from tts.analysis import Curve, Judged, RunReport
from tts.extrapolation import Forecast
from tts.types import BASELINES

DOUBLINGS = 3  # how far beyond n pass@k is foretold
RESAMPLES = 500  # of the forecast, each of which is fitted anew


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two selectors at k = n. `difference` is the first's accuracy minus the second's with its interval; `only_one` and
    `only_other` count the problems that only one of their choices solves, `p` is McNemar's exact p-value over these,
    and `holm` the same corrected for all comparisons of the run.
    """

    one: str
    other: str
    difference: metrics.Difference
    only_one: int
    only_other: int
    p: float
    holm: float


@dataclass(frozen=True, slots=True)
class Detectable:
    """The least difference between two selectors that a run of so many problems finds with the chance `power`, if they
    disagree as the run's own do: on the `disagreement` share of the problems, the mean over all comparisons.
    """

    difference: float
    disagreement: float
    problems: int
    power: float
    level: float


@dataclass(frozen=True, slots=True)
class Certainty:
    """All of it for one run; `detectable` is None where there are no two selectors to compare, or they always agree."""

    comparisons: tuple[Comparison, ...]
    detectable: Detectable | None
    forecasts: tuple[Forecast, ...]

    def between(self, one: str, other: str) -> Comparison | None:
        """The comparison of two selectors, whichever stands first."""
        return next((c for c in self.comparisons if {c.one, c.other} == {one, other}), None)


def certainty(report: RunReport) -> Certainty:
    """Every two selectors compared, what is detectable, and pass@k at 2, 4 and 8 times n."""
    compared = comparisons(report)
    return Certainty(compared, _detectable(report, compared), forecasts(report))


def comparisons(report: RunReport) -> tuple[Comparison, ...]:
    """Every two selectors whose choice is no throw of dice, in the report's order, with Holm's correction over all.

    McNemar's test is over what each selector chose from the first n candidates of a problem, n being the least that
    all problems have, as the curves' last k is: below k = n accuracy is an
    average over subsets, and no count of problems solved.
    """
    options = report.config.report
    settings = options.resamples, options.level, report.config.seed
    curves = [curve for curve in report.curves if curve.name not in BASELINES and not curve.drawn]
    right = {curve.name: _right(curve, report.judged) for curve in curves}
    counts = [
        (
            one,
            other,
            int((right[one.name] & ~right[other.name]).sum()),
            int((right[other.name] & ~right[one.name]).sum()),
        )
        for one, other in combinations(curves, 2)
    ]
    p_values = [significance.mcnemar(mine, theirs) for *_, mine, theirs in counts]
    return tuple(
        Comparison(one.name, other.name, _difference(one, other, settings), mine, theirs, p, corrected)
        for (one, other, mine, theirs), p, corrected in zip(counts, p_values, significance.holm(p_values), strict=True)
    )


def _difference(one: Curve, other: Curve, settings: tuple[int, float, int]) -> metrics.Difference:
    return metrics.paired_difference(one.per_problem[:, -1], other.per_problem[:, -1], *settings)


def _right(curve: Curve, judged: Sequence[Judged]) -> metrics.Bools:
    """(P,): whether the curve's choice from each problem's first n passes."""
    chosen = [(item.correct, curve.choices[item.problem.id].position) for item in judged]
    return np.array([position is not None and correct[position] == 1.0 for correct, position in chosen])


def _detectable(report: RunReport, compared: Sequence[Comparison]) -> Detectable | None:
    problems = len(report.judged)
    disagreement = sum(c.only_one + c.only_other for c in compared) / max(1, problems * len(compared))
    if disagreement == 0:
        return None
    level = report.config.report.level
    least = significance.detectable(disagreement, problems, level)
    return Detectable(least, disagreement, problems, significance.POWER, level)


def forecasts(report: RunReport) -> tuple[Forecast, ...]:
    """pass@k at the run's largest n doubled, and doubled again; none from one sample a problem, which says how often
    programs are right and not whether always the same problems' are.
    """
    samples = np.array([len(item.candidates) for item in report.fair])
    if samples.max() < 2:
        return ()
    right = np.array([int(sum(item.correct)) for item in report.fair])
    ks = [int(samples.max()) * 2**power for power in range(1, DOUBLINGS + 1)]
    level, seed = report.config.report.level, report.config.seed
    return tuple(extrapolation.forecast(samples, right, ks, RESAMPLES, level, seed))
