"""How sure a run's numbers are, in words: tables and sentences of what `certainty.py` computed; others show them."""

from tts.analysis import RunReport
from tts.certainty import Certainty, Comparison
from tts.errors import ConfigError, counted, unknown
from tts.sentences import leaders, level, most, sizes
from tts.wording import Sheet, interval, percent


def certainty_sheet(report: RunReport, found: Certainty, against: str | None = None) -> Sheet:
    """One selector against each other, by default the best, what the benchmark's size can show, and pass@k beyond n.
    Raises ConfigError where no selector `against` is compared.
    """
    names = list(dict.fromkeys(name for c in found.comparisons for name in (c.one, c.other)))
    if against is not None and against not in names:
        raise ConfigError(unknown(against, "the selectors that are compared (no baseline, none that draws)", names))
    best = against or next((curve.name for curve in leaders([report.curve(name) for name in names])), "")
    beside = [(name, found.between(best, name)) for name in names]
    return Sheet(
        title=f"how sure, k = {report.n}",
        headers=[f"{best or 'no selector'} against", "ahead by", "only it, other", "p", "p, Holm"],
        rows=[[name, *_cells(compared, compared.one == best)] for name, compared in beside if compared is not None],
        notes=_notes(report, found),
    )


def pairs_sheet(report: RunReport, found: Certainty) -> Sheet:
    """Every two selectors that were compared."""
    rows = [[one.one, one.other, *_cells(one, True)] for one in found.comparisons]
    headers = ["one", "other", "one - other", "only one, other", "p", "p, Holm"]
    return Sheet(f"every two selectors, k = {report.n}", headers, rows, [], grouped=True)


def _cells(found: Comparison, is_first: bool) -> list[str]:
    gap, sign = found.difference, 1 if is_first else -1
    low, high = sorted((sign * gap.low, sign * gap.high))
    alone = [str(found.only_one), str(found.only_other)][::sign]
    ahead = f"{percent(sign * gap.value, True)} {interval(low, high, True)}"
    return [ahead, ", ".join(alone), f"{found.p:.3g}", f"{found.holm:.3g}"]


def _notes(report: RunReport, found: Certainty) -> list[str]:
    said = [
        "Problems are what is paired and resampled: the candidates of one problem are not independent of each other.",
    ]
    if found.comparisons:
        said.append(
            f"p: McNemar's exact test on what each selector chose at k = n{_cut(report)}, over the problems that only "
            f"one of the two solves; Holm: corrected for {counted(len(found.comparisons), 'comparison')} of selectors."
        )
    if found.detectable is not None:
        size = found.detectable
        said.append(
            f"With {counted(size.problems, 'problem')}, of which two selectors here differ on "
            f"{percent(size.disagreement)}%, a true difference under {percent(size.difference)} points is missed "
            f"more often than {100 * (1 - size.power):.0f}% of the time (at {level(report)})."
        )
    if found.forecasts:
        foretold = ", ".join(f"{f.k}: {percent(f.value)}% {interval(f.low, f.high)}" for f in found.forecasts)
        said.append(f"pass@k if more were sampled, by a beta-binomial fit, at k = {foretold}.")
    return said


def _cut(report: RunReport) -> str:
    return f", from each problem's first {report.n} candidates" if most(report) > report.n else ""


def forecast_caption(report: RunReport, found: Certainty) -> str:
    """Of a picture of pass@k, up to n and beyond."""
    exact = f"{sizes([report])}. pass@k, which is the oracle's curve: exact up to n = {report.n}"
    if not found.forecasts:
        return f"{exact}; one sample a problem foretells no more. Shaded: {level(report)} intervals over problems."
    return (
        f"{exact}, then as a beta-binomial "
        f"fit foretells it, to k = {found.forecasts[-1].k}. Shaded: {level(report)} intervals, up to n a bootstrap "
        "over problems, beyond it of where a continued run on such problems would lie."
    )
