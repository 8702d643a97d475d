"""Runs beside each other: paired differences over the problems that they share, computed; others show them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tts import metrics
from tts.analysis import Curve, RunReport
from tts.errors import UserError, counted
from tts.sentences import level, ordered
from tts.wording import Sheet, interval, percent


@dataclass(frozen=True, slots=True)
class Paired:
    """A selector of each of two runs at one k, over their common problems: both values, whether each was sampled, and
    the second less the first. `selector` names it, or both if they are two.
    """

    selector: str
    k: int
    values: tuple[float, float]
    sampled: tuple[bool, bool]
    difference: metrics.Difference

    @property
    def cells(self) -> list[str]:
        """The row in words, after its selector: k, A, B, and B less A with its interval."""
        values = ["~" * sampled + percent(value) for sampled, value in zip(self.sampled, self.values, strict=True)]
        gap = self.difference
        return [str(self.k), *values, f"{percent(gap.value, True)} {interval(gap.low, gap.high, True)}"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs: selector by selector, and what a reader of the rows must know."""

    a: RunReport
    b: RunReport
    rows: tuple[Paired, ...]
    notes: tuple[str, ...]

    def sheet(self) -> Sheet:
        """All of it as a table."""
        headers = ["selector", "k", "A", "B", f"B - A [{level(self.a)} interval]"]
        rows = [[row.selector, *row.cells] for row in self.rows]
        return Sheet(f"A {self.a.folder} · B {self.b.folder}", headers, rows, list(self.notes), grouped=True)


def compare(a: RunReport, b: RunReport, selectors: tuple[str, str] | None = None) -> Comparison:
    """B beside A over their common problems, at each k that both have, for each selector that both have or the two
    `selectors` of A and B.

    Resamples, level and seed of the intervals are A's. Raises UserError if no problem or no k is in both.
    """
    common = _common(a, b)
    ks = sorted(set(a.ks) & set(b.ks))
    if not ks:
        raise UserError(
            f"No k is in both runs: {a.folder} has {a.ks}, {b.folder} {b.ks}. Set `ks` in one as in the other."
        )
    names = {curve.name for curve in b.curves}
    both = [(curve, b.curve(curve.name)) for curve in ordered(a) if curve.name in names]
    if selectors is not None:
        both = [(a.curve(selectors[0]), b.curve(selectors[1]))]
    rows = [_paired(a, curves, k, common) for curves in both for k in ks]
    return Comparison(a, b, tuple(rows), tuple(_notes(a, b, common)))


def _common(a: RunReport, b: RunReport) -> list[tuple[int, int]]:
    """Rows (in A, in B) of the problems that both runs judged, in A's order."""
    rows = {item.problem.id: row for row, item in enumerate(b.judged)}
    pairs = [(row, rows[item.problem.id]) for row, item in enumerate(a.judged) if item.problem.id in rows]
    if not pairs:
        raise UserError(
            f"{a.folder} and {b.folder} have no judged problem in common, so nothing can be paired: "
            f"{a.config.benchmark_label} has {a.judged[0].problem.id!r}, {b.config.benchmark_label} "
            f"{b.judged[0].problem.id!r}. Compare runs on the same benchmark."
        )
    return pairs


def _paired(a: RunReport, curves: tuple[Curve, Curve], k: int, common: Sequence[tuple[int, int]]) -> Paired:
    options = a.config.report
    columns = [[point.k for point in curve.points].index(k) for curve in curves]
    rows = zip(*common, strict=True)
    in_a, in_b = (
        curve.per_problem[list(mine), column] for curve, mine, column in zip(curves, rows, columns, strict=True)
    )
    sampled = [curve.points[column].estimate == "sampled" for curve, column in zip(curves, columns, strict=True)]
    return Paired(
        selector=" and ".join(dict.fromkeys(curve.name for curve in curves)),
        k=k,
        values=(float(in_a.mean()), float(in_b.mean())),
        sampled=(sampled[0], sampled[1]),
        difference=metrics.paired_difference(in_b, in_a, options.resamples, options.level, a.config.seed),
    )


def _notes(a: RunReport, b: RunReport, common: Sequence[tuple[int, int]]) -> list[str]:
    notes = [
        f"{counted(len(common), 'common problem')} (A has {len(a.judged)}, B {len(b.judged)}), all values over these "
        f"alone, in percent; n = {a.n} in A, {b.n} in B. [a, b] is a {level(a)} interval, a bootstrap over the paired "
        f"differences; one problem is {round(100 / len(common), 2):g} points. ~ is sampled; its noise is part of the "
        "interval."
    ]
    if _same_samples(a, b, common):
        notes.append("Both hold the same samples: what differs is how they are chosen from, and not what was sampled.")
    changed = sum(a.judged[i].problem.digest != b.judged[j].problem.digest for i, j in common)
    if changed:
        notes.append(f"{counted(changed, 'common problem')} changed between the runs (statement or tests): beware.")
    for curve in a.curves:
        other = next((found for found in b.curves if found.name == curve.name), None)
        if other is not None and other.scorers != curve.scorers:
            notes.append(f"{curve.name} scores with {_named(curve)} in A, {_named(other)} in B.")
    for one, two, place in ((a, b, "A"), (b, a, "B")):
        alone = [c.name for c in one.curves if c.name not in {other.name for other in two.curves}]
        notes += [f"Only in {place}: {', '.join(alone)}."] if alone else []
    return notes


def _same_samples(a: RunReport, b: RunReport, common: Sequence[tuple[int, int]]) -> bool:
    """Whether on every common problem the one run's texts are among the other's, in whatever order."""
    for i, j in common:
        mine, theirs = (Counter(c.text for c in run.judged[row].candidates) for run, row in ((a, i), (b, j)))
        if not (mine <= theirs or theirs <= mine):
            return False
    return True


def _named(curve: Curve) -> str:
    return ", ".join(curve.scorers) or "none"
