"""What was found, shown: a terminal table, JSON, a picture of the curves, a page to read the candidates on.

Shows only: every number comes from `analysis.py` and `breakdown.py`, and each is said to be exact or sampled. Text that
a model wrote is hostile until shown otherwise: it is escaped, clipped, and its invisible characters are made visible.
"""

import base64
import hashlib
import io
import math
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import markupsafe
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tts import analysis, breakdown, certainty, metrics
from tts.analysis import Curve, Judged, Point, RunReport
from tts.breakdown import Part
from tts.certainty import Certainty, Comparison
from tts.errors import UserError
from tts.types import Candidate, Grade, Score, Verdict

if TYPE_CHECKING:
    import jinja2
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ORACLE, RANDOM = "oracle", "random"
CLIP = 20_000  # characters of one text that a page shows at most
PAGE = 30_000_000  # characters of code that a page shows at most; with more, each candidate's share shrinks
LEAST_CLIP = 600  # below this a program tells nothing
PART_WIDTH = 15  # columns of a terminal for one part of a run: an interval and a space
NO_TAG = "none given"
NO_MORE = markupsafe.Markup()
INK, GREY = "#1b1c1f", "#8c8f96"
# Okabe and Ito 2008, its yellow, which white swallows, replaced by two others that show on white and on black.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6bb1", "#999933")
MARKERS = "osD^vPX"  # as many as are coprime to the colours: 56 curves differ
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)))
_UNSEEN = re.compile(  # controls, bidi and zero-width characters, separators, tags, lone surrogates, non-characters
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff"
    "\uffa0\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff]"
)


# -- text -------------------------------------------------------------------------------------------------------------


def visible(text: str) -> str:
    """The text with each character that cannot be seen, or that hides others, written as its escape, like `\\u202e`.

    Tabs and newlines stay, CRLF becomes a newline. The result can be encoded and printed on any terminal.
    """
    return _UNSEEN.sub(lambda found: _escape(found[0]), text.replace("\r\n", "\n"))


def _escape(character: str) -> str:
    point = ord(character)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _percent(fraction: float, sign: bool = False) -> str:
    text = f"{100 * fraction:{'+' if sign else ''}.1f}"
    return text if float(text) else "0.0"


def _interval(low: float, high: float, sign: bool = False) -> str:
    return f"[{_percent(low, sign)}, {_percent(high, sign)}]"


def _level(report: RunReport) -> str:
    return f"{100 * report.config.report.level:g}%"


def _share(efficiency: float) -> str:
    return "-" if math.isnan(efficiency) else f"{100 * efficiency:.0f}%"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def ordered(report: RunReport) -> list[Curve]:
    """The curves as they are shown: in their order, random first, oracle last."""
    return sorted(report.curves, key=lambda curve: curve.name == ORACLE)


def summary_sentence(report: RunReport) -> str:
    """What the run came to in one sentence: the best selector at k = n beside random and oracle."""
    random, oracle = report.curve(RANDOM).points[-1].value, report.curve(ORACLE).points[-1].value
    baselines = f"random {_percent(random)}%, oracle {_percent(oracle)}%"
    chosen = [curve for curve in report.curves if curve.name not in (RANDOM, ORACLE)]
    if not chosen:
        return f"No selector but the baselines at k = {report.n}: {baselines}."
    best = max(chosen, key=lambda curve: curve.points[-1].value)
    gain, point = best.over_random, best.points[-1]
    pick = f", the best of {len(chosen)} selectors" if len(chosen) > 1 else ""
    unsure = f", no certain gain at {_level(report)}" if gain.low <= 0 <= gain.high else ""
    share = f"{_share(best.efficiency)} of what an oracle could gain"
    part = "nothing to gain by choosing" if math.isnan(best.efficiency) else share
    return (
        f"{best.name} at k = {point.k}{pick}: {_marked(point)}% {_interval(point.low, point.high)}, "
        f"{_percent(gain.value, True)} points over random {_interval(gain.low, gain.high, True)}{unsure}, {part} "
        f"({baselines})."
    )


def _marked(point: Point) -> str:
    """The value in percent, with ~ before one that was sampled."""
    return ("~" if point.estimate == "sampled" else "") + _percent(point.value)


def _error(point: Point) -> str:
    return f"±{_percent(point.se)}" if point.estimate == "sampled" else ""


def _notes(report: RunReport) -> list[str]:
    """What a reader of the numbers must know, a sentence or two each."""
    problems, most = len(report.judged), max(len(item.candidates) for item in report.judged)
    n = f"n = {report.n}" if most == report.n else f"n = {report.n} to {most}"
    notes = [
        f"{report.config.benchmark.name}: {_count(problems, 'problem')}, {n}, "
        f"{_count(report.graded, 'candidate')} graded; percent of problems solved.",
        f"[a, b] is a {_level(report)} interval, a bootstrap over problems ('over random': over paired differences). "
        f"With {_count(problems, 'problem')} one problem is {round(100 / problems, 2):g} points.",
    ]
    if any(point.estimate == "sampled" for curve in report.curves for point in curve.points):
        notes.append("~ is sampled: an average over drawn subsets, ± its standard error; everything else is exact.")
    else:
        notes.append("All values are exact averages over the ways to draw k of n.")
    if report.scores:
        notes.append(f"Scores are {next(iter(report.scores))}'s unless a scorer is named after a colon.")
    notes += [_unscored(label, why) for label, why in report.unscored.items() if why]
    return notes + _errata(report) + _left_out(report)


def _errata(report: RunReport) -> list[str]:
    """The numbers once more without the problems whose verdicts are known not to be fair, if there are any."""
    found = breakdown.errata(report)
    if found is None:
        return []
    kinds = Counter(kind.replace("_", " ") for _, kind in found.problems)
    faulty = f"{_count(len(found.problems), 'problem')} with errata ({', '.join(f'{n} {k}' for k, n in kinds.items())})"
    if found.without is None:
        return [f"These are {faulty}, and no others."]
    values = [
        f"{curve.name} {_marked(point)}% {_interval(point.low, point.high)}"
        for curve, point in _in_order(found.without)
    ]
    return [f"Without the {faulty}, at k = {report.n}: {', '.join(values)}."]


def _in_order(part: Part) -> list[tuple[Curve, Point]]:
    """A part's curves as they are shown: in their order, random first, oracle last."""
    return sorted(part.points, key=lambda pair: pair[0].name == ORACLE)


def _unscored(label: str, why: Counter[str]) -> str:
    reasons = "; ".join(f"{count} {reason}" for reason, count in why.most_common(3))
    return f"{label} gave no score to {_count(why.total(), 'candidate')} with code ({reasons}): they rank last."


def _left_out(report: RunReport, most: int = 3) -> list[str]:
    if not report.left_out:
        return []
    first = "; ".join(f"{name} ({why})" for name, why in report.left_out[:most])
    more = f"; and {len(report.left_out) - most} more" if len(report.left_out) > most else ""
    return [f"{_count(len(report.left_out), 'problem')} left out, in no number here: {first}{more}."]


# -- tables -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Layout:
    """How much of a table there is room for: which ks, which of them with intervals, what stands between the parts of a
    cell, and what follows the colon of a name.
    """

    ks: tuple[int, ...]
    with_intervals: tuple[int, ...]
    between: str
    colon: str = "\n"

    def name(self, curve: Curve) -> str:
        """A selector's name."""
        return curve.name.replace(":", f":{self.colon}", 1)

    def cell(self, point: Point) -> str:
        """A point as it is shown, most important part first."""
        interval = _interval(point.low, point.high) if point.k in self.with_intervals else ""
        return self.between.join(part for part in (_marked(point), _error(point), interval) if part)


def _layouts(ks: tuple[int, ...]) -> Iterator[_Layout]:
    """From the fullest to the narrowest."""
    yield _Layout(ks, ks, " ", "")
    yield _Layout(ks, ks, " ")
    yield _Layout(ks, ks, "\n")
    yield _Layout(ks, ks[-1:], "\n")
    for start in range(2, len(ks)):
        yield _Layout(ks[:1] + ks[start:], ks[-1:], "\n")


def table(report: RunReport, width: int | None = None) -> Table:
    """Selectors by k in percent, beside random and oracle, as full as `width` columns allow (None: the terminal's)."""
    console = Console(width=width)
    boundless = console.options.update(max_width=10_000)
    for layout in _layouts(report.ks):
        drawn = _table(report, layout)
        if Measurement.get(console, boundless, drawn).maximum <= console.width:
            break
    return drawn


def _table(report: RunReport, layout: _Layout) -> Table:
    drawn = _empty(f"{report.config.benchmark.name} · {report.folder.name}")
    drawn.add_column("selector", overflow="fold")
    for k in layout.ks:
        drawn.add_column(f"k = {k}", justify="right", no_wrap=True)
    drawn.add_column("over random", justify="right", no_wrap=True)
    drawn.add_column("gained", justify="right", no_wrap=True)
    curves = ordered(report)
    for curve, following in zip(curves, [*curves[1:], None], strict=True):
        cells = [layout.cell(point) for point in curve.points if point.k in layout.ks]
        row = [layout.name(curve), *cells, _over_random(curve, layout.between), _gained(curve)]
        ends = curve.name == RANDOM or following is None or following.name == ORACLE
        drawn.add_row(*map(_text, row), style="dim" if curve.name in (RANDOM, ORACLE) else "", end_section=ends)
    drawn.caption = _caption(summary_sentence(report), *_notes(report), *_explained(report, layout))
    return drawn


def tables(report: RunReport) -> list[Table]:
    """What `tts run` and `tts report` print of one run: selectors by k, then by difficulty and by platform, then how
    sure all this is.
    """
    return [table(report), *breakdown_tables(report), certainty_table(report)]


def breakdown_tables(report: RunReport, width: int | None = None) -> list[Table]:
    """Selectors by difficulty and by platform at the largest k; a tag's values are spread over as many tables as
    `width` columns demand (None: the terminal's).
    """
    names = max(len(line) for curve in report.curves for line in _Layout((), (), "").name(curve).split("\n"))
    room = max(1, (Console(width=width).width - max(names, len("selector")) - 1) // PART_WIDTH)
    return [
        _breakdown_table(report, tag, parts[start : start + room])
        for tag, parts in breakdown.by_tag(report).items()
        for start in range(0, len(parts), room)
    ]


def _breakdown_table(report: RunReport, tag: str, parts: Sequence[Part]) -> Table:
    drawn = _empty(f"percent solved by {tag}, k = {report.n}")
    drawn.add_column("selector", overflow="fold")
    for part in parts:
        header = _text(f"{part.name or NO_TAG}\n{_count(part.problems, 'problem')}")
        drawn.add_column(header, justify="right", overflow="fold", max_width=PART_WIDTH - 1)
    for curve, points in _across(parts):
        cells = [f"{_marked(point)}\n{_interval(point.low, point.high)}" for point in points]
        style = "dim" if curve.name in (RANDOM, ORACLE) else ""
        drawn.add_row(*map(_text, [_Layout((), (), "").name(curve), *cells]), style=style)
    return drawn


def _across(parts: Sequence[Part]) -> list[tuple[Curve, list[Point]]]:
    """Each curve, as they are shown, with its points over all parts."""
    return [(row[0][0], [point for _, point in row]) for row in zip(*(_in_order(part) for part in parts), strict=True)]


def certainty_table(report: RunReport) -> Table:
    """The best selector against each other, what the benchmark's size can show, and pass@k beyond n."""
    found = certainty.certainty(report)
    drawn = _empty(f"how sure, k = {report.n}")
    names = dict.fromkeys(name for c in found.comparisons for name in (c.one, c.other))
    best = max(names, key=lambda name: report.curve(name).points[-1].value, default="")
    for header in (f"{best or 'no selector'} against", "ahead by", "only it", "only other", "p", "p, Holm"):
        drawn.add_column(_text(header), justify="left" if "against" in header else "right", overflow="fold")
    for name in names:
        compared = found.between(best, name)
        if compared is not None:
            drawn.add_row(*map(_text, [name, *_compared(compared, compared.one == best)]))
    drawn.caption = _caption(*certainty_notes(report, found))
    return drawn


def _compared(found: Comparison, is_first: bool) -> list[str]:
    gap, sign = found.difference, 1 if is_first else -1
    low, high = sorted((sign * gap.low, sign * gap.high))
    alone = [str(found.only_one), str(found.only_other)]
    ahead = f"{_percent(sign * gap.value, True)} {_interval(low, high, True)}"
    return [ahead, *alone[::sign], f"{found.p:.3g}", f"{found.holm:.3g}"]


def certainty_notes(report: RunReport, found: Certainty) -> list[str]:
    """What comparisons, detectable difference and forecasts are, a sentence or two each."""
    notes = [
        "Problems are what is paired and resampled: the candidates of one problem are not independent of each other.",
    ]
    if found.comparisons:
        notes.append(
            "p: McNemar's exact test on what each selector chose at k = n, over the problems that only one of the two "
            f"solves; Holm: corrected for {_count(len(found.comparisons), 'comparison')} of selectors."
        )
    if found.detectable is not None:
        size = found.detectable
        notes.append(
            f"With {_count(size.problems, 'problem')}, of which two selectors here differ on "
            f"{_percent(size.disagreement)}%, a true difference under {_percent(size.difference)} points is missed "
            f"more often than {100 * (1 - size.power):.0f}% of the time (at {_level(report)})."
        )
    foretold = ", ".join(f"{f.k}: {_percent(f.value)}% {_interval(f.low, f.high)}" for f in found.forecasts)
    notes.append(f"pass@k if more were sampled, by a beta-binomial fit, at k = {foretold}.")
    return notes


def _explained(report: RunReport, layout: _Layout) -> list[str]:
    dropped = [str(k) for k in report.ks if k not in layout.ks]
    notes = [f"'over random' and 'gained', the share of what an oracle gains over random, are at k = {report.n}."]
    if dropped:
        notes.append(f"No room here for k = {', '.join(dropped)}: see --json or a wider terminal.")
    return notes


def _over_random(curve: Curve, between: str = " ") -> str:
    if curve.name == RANDOM:
        return "-"
    gain = curve.over_random
    return f"{_percent(gain.value, True)}{between}{_interval(gain.low, gain.high, True)}"


def _gained(curve: Curve) -> str:
    return "-" if curve.name in (RANDOM, ORACLE) else _share(curve.efficiency)


def _empty(title: str) -> Table:
    return Table(
        title=_text(title, "bold"),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title_justify="left",
        caption_justify="left",
    )


def _caption(*notes: str) -> Text:
    return _text("\n".join(notes), "dim")


def _text(text: str, style: str = "") -> Text:
    return Text(visible(text), style=style)


def compare_table(a: RunReport, b: RunReport) -> Table:
    """B beside A over their common problems, for each selector and k that both have, with the paired difference.

    Resamples, level and seed of the intervals are A's. Raises UserError if no problem or no k is in both.
    """
    common = _common(a, b)
    ks = sorted(set(a.ks) & set(b.ks))
    if not ks:
        raise UserError(
            f"No k is in both runs: {a.folder} has {a.ks}, {b.folder} {b.ks}. Set `ks` in one as in the other."
        )
    drawn = _empty(f"A {a.folder} · B {b.folder}")
    for header in ("selector", "k", "A", "B", f"B - A [{_level(a)} interval]"):
        drawn.add_column(header, justify="left" if header == "selector" else "right", overflow="fold")
    names = {curve.name for curve in b.curves}
    for curve in ordered(a):
        if curve.name in names:
            _compare_curve(drawn, a, curve, b.curve(curve.name), ks, common)
    drawn.caption = _caption(*_compare_notes(a, b, common))
    return drawn


def _common(a: RunReport, b: RunReport) -> list[tuple[int, int]]:
    """Rows (in A, in B) of the problems that both runs judged, in A's order."""
    rows = {item.problem.id: row for row, item in enumerate(b.judged)}
    pairs = [(row, rows[item.problem.id]) for row, item in enumerate(a.judged) if item.problem.id in rows]
    if not pairs:
        raise UserError(
            f"{a.folder} and {b.folder} have no judged problem in common, so nothing can be paired: "
            f"{a.config.benchmark.name} has {a.judged[0].problem.id!r}, {b.config.benchmark.name} "
            f"{b.judged[0].problem.id!r}. Compare runs on the same benchmark."
        )
    return pairs


def _compare_curve(
    drawn: Table, a: RunReport, left: Curve, right: Curve, ks: Sequence[int], common: Sequence[tuple[int, int]]
) -> None:
    """A section of rows: one selector at each common k."""
    options = a.config.report
    columns = {k: [[point.k for point in curve.points].index(k) for curve in (left, right)] for k in ks}
    for k, (of_a, of_b) in columns.items():
        in_a = left.per_problem[[row for row, _ in common], of_a]
        in_b = right.per_problem[[row for _, row in common], of_b]
        gap = metrics.paired_difference(in_b, in_a, options.resamples, options.level, a.config.seed)
        marks = ["~" if point.estimate == "sampled" else "" for point in (left.points[of_a], right.points[of_b])]
        row = [left.name if k == ks[0] else "", str(k)]
        row += [mark + _percent(float(values.mean())) for mark, values in zip(marks, (in_a, in_b), strict=True)]
        row.append(f"{_percent(gap.value, True)} {_interval(gap.low, gap.high, True)}")
        drawn.add_row(*map(_text, row), end_section=k == ks[-1])


def _compare_notes(a: RunReport, b: RunReport, common: Sequence[tuple[int, int]]) -> list[str]:
    notes = [
        f"{_count(len(common), 'common problem')} (A has {len(a.judged)}, B {len(b.judged)}), all values over these "
        f"alone, in percent; n = {a.n} in A, {b.n} in B. The interval is a bootstrap over the paired differences; "
        f"one problem is {round(100 / len(common), 2):g} points. ~ is sampled; its noise is part of the interval."
    ]
    changed = sum(a.judged[i].problem.digest != b.judged[j].problem.digest for i, j in common)
    if changed:
        notes.append(f"{_count(changed, 'common problem')} changed between the runs (statement or tests): beware.")
    for curve in a.curves:
        other = next((found for found in b.curves if found.name == curve.name), None)
        if other is not None and other.scorer != curve.scorer:
            notes.append(f"{curve.name} scores with {curve.scorer} in A, {other.scorer} in B.")
    for one, two, place in ((a, b, "A"), (b, a, "B")):
        alone = [c.name for c in one.curves if c.name not in {other.name for other in two.curves}]
        notes += [f"Only in {place}: {', '.join(alone)}."] if alone else []
    return notes


# -- JSON -------------------------------------------------------------------------------------------------------------


def as_json(reports: Sequence[RunReport]) -> dict[str, Any]:
    """What `tts report --json` prints: values are fractions from 0 to 1, what is not a number is null."""
    return {"runs": [_run_json(report) for report in reports]}


def _run_json(report: RunReport) -> dict[str, Any]:
    return {
        "folder": str(report.folder),
        "benchmark": report.config.benchmark.name,
        "problems": len(report.judged),
        "n": int(report.n),
        "graded": int(report.graded),
        "selectors": {curve.name: [_point_json(point, curve) for point in curve.points] for curve in ordered(report)},
        "over_random": {curve.name: _difference_json(curve.over_random) for curve in ordered(report)},
        "efficiency": {curve.name: _number(curve.efficiency) for curve in ordered(report)},
        "paired": [
            {"of": one, "minus": two, **_difference_json(found)}
            for (one, two), found in analysis.paired(report).items()
        ],
        "unscored": {label: dict(why) for label, why in report.unscored.items()},
        "left_out": [{"problem": name, "why": why} for name, why in report.left_out],
        "breakdown": {tag: [_part_json(part) for part in parts] for tag, parts in breakdown.by_tag(report).items()},
        "errata": _errata_json(report),
        "estimates": {curve.name: curve.method for curve in ordered(report)},
        "saved": {curve.name: asdict(curve.saved) for curve in ordered(report) if curve.saved is not None},
        "certainty": asdict(certainty.certainty(report)),
    }


def _errata_json(report: RunReport) -> dict[str, Any] | None:
    found = breakdown.errata(report)
    if found is None:
        return None
    return {
        "problems": [{"problem": name, "kind": kind} for name, kind in found.problems],
        "without": None if found.without is None else _part_json(found.without),
    }


def _part_json(part: Part) -> dict[str, Any]:
    return {
        "value": part.name,
        "problems": part.problems,
        "selectors": {curve.name: _point_json(point, curve) for curve, point in _in_order(part)},
    }


def _point_json(point: Point, curve: Curve) -> dict[str, Any]:
    return {
        "k": int(point.k),
        "value": _number(point.value),
        "low": _number(point.low),
        "high": _number(point.high),
        "estimate": point.estimate,
        "se": _number(point.se),
        "scorer": curve.scorer,
    }


def _difference_json(difference: metrics.Difference) -> dict[str, Any]:
    return {name: _number(getattr(difference, name)) for name in ("value", "low", "high")}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


# -- picture ----------------------------------------------------------------------------------------------------------


def write_picture(reports: Sequence[RunReport], path: Path) -> None:
    """The curves of one or several runs as a PNG with its caption in it. Raises OSError if it cannot be written."""
    figure = _figure(reports, picture_caption(reports))
    figure.savefig(path, format="png", dpi=200, facecolor="white")


def picture_caption(reports: Sequence[RunReport]) -> str:
    """n, k, problems and interval of a picture, in words."""
    names = _run_names(reports)
    runs = [
        f"{report.config.benchmark.name}{f' ({name})' if len(reports) > 1 else ''}: "
        f"{_count(len(report.judged), 'problem')}, n = {report.n}, k = {', '.join(map(str, report.ks))}"
        for name, report in zip(names, reports, strict=True)
    ]
    level = _level(reports[0])
    if len(reports) == 1:
        interval = f"Bars at the right: {level} intervals at k = {reports[0].n}, a bootstrap over problems"
    else:
        widest = max((p.high - p.low) / 2 for report in reports for curve in report.curves for p in curve.points)
        interval = f"{level} intervals (a bootstrap over problems) are up to ±{_percent(widest)} points and not drawn"
    return f"{'; '.join(runs)}. {interval}. Paired differences: see the table."


def _run_names(reports: Sequence[RunReport]) -> list[str]:
    """Folder names, or whole paths where two runs would share one."""
    names = [report.folder.name for report in reports]
    return [name if names.count(name) == 1 else str(r.folder) for name, r in zip(names, reports, strict=True)]


def _figure(reports: Sequence[RunReport], caption: str = "") -> "Figure":
    """Percent solved against k, a colour per selector, a dash pattern per run; no global state of matplotlib's."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.4, 4.4), layout="constrained")
    axes = figure.subplots()
    colours = _curve_styles(reports)
    for position, report in enumerate(reports):
        _draw_run(axes, report, colours, None if len(reports) == 1 else DASHES[position % len(DASHES)])
    _draw_axes(axes, reports)
    handles, labels = _legend(reports, colours)
    look = {"fontsize": 8, "labelcolor": INK, "frameon": False, "handlelength": 3.2}
    figure.legend(handles, labels, loc="outside right upper", **look)
    if caption:
        text = "\n".join(textwrap.wrap(_plain(caption), 140))
        figure.supxlabel(text, x=0.012, ha="left", fontsize=7, color=INK, linespacing=1.4)
    return figure


def _plain(text: str) -> str:
    """Text in which matplotlib finds no formula."""
    return visible(text).replace("$", r"\$")


def _curve_styles(reports: Sequence[RunReport]) -> dict[str, dict[str, Any]]:
    """Curve name -> its look, the same in every run."""
    names = dict.fromkeys(curve.name for report in reports for curve in report.curves)
    styles: dict[str, dict[str, Any]] = {
        RANDOM: {"color": GREY, "linestyle": (0, (4, 2)), "linewidth": 1.4},
        ORACLE: {"color": INK, "linestyle": (0, (1, 1.6)), "linewidth": 1.6},
    }
    for position, name in enumerate(name for name in names if name not in styles):
        own = {"color": COLOURS[position % len(COLOURS)], "marker": MARKERS[position % len(MARKERS)]}
        styles[name] = {**own, "markersize": 4.5, "linewidth": 1.6}
    return styles


def _draw_run(axes: "Axes", report: RunReport, styles: Mapping[str, Mapping[str, Any]], dashes: Any | None) -> None:
    """Every curve of a run; with `dashes` (several runs in one picture) without intervals."""
    for curve in ordered(report):
        style = {**styles[curve.name], **({} if dashes is None else {"linestyle": dashes})}
        axes.plot([p.k for p in curve.points], [100 * p.value for p in curve.points], zorder=3, **style)
    if dashes is None:
        _draw_intervals(axes, report, styles)


def _draw_intervals(axes: "Axes", report: RunReport, styles: Mapping[str, Mapping[str, Any]]) -> None:
    """Beside the last k, a bar for each curve's interval there, in the legend's order."""
    octaves = max(1.0, math.log2(report.ks[-1] / report.ks[0]))
    for position, curve in enumerate(_by_height([report])):
        last, style = curve.points[-1], styles[curve.name]
        aside = last.k * 2 ** (octaves * (0.04 + 0.02 * position))
        marker = {"color": style["color"], "marker": style.get("marker", "_"), "markersize": 3.5}
        axes.vlines(aside, 100 * last.low, 100 * last.high, color=style["color"], linewidth=1.1, zorder=2)
        axes.plot(aside, 100 * last.value, zorder=3, **marker)


def _by_height(reports: Sequence[RunReport]) -> list[Curve]:
    """One curve of each name, from the top down as they end."""
    first = {curve.name: curve for report in reversed(reports) for curve in report.curves}
    return sorted(first.values(), key=lambda curve: (-curve.points[-1].value, curve.name != ORACLE))


def _draw_axes(axes: "Axes", reports: Sequence[RunReport]) -> None:
    """A base-2 axis with whole numbers on it, a light grid and a title."""
    ks = sorted({k for report in reports for k in report.ks})
    axes.set_xscale("log", base=2)
    ticks = _ticks(ks)
    axes.set_xticks(ticks, labels=[str(k) for k in ticks])
    axes.minorticks_off()
    margin = 2 ** (0.05 * max(1.0, math.log2(ks[-1] / ks[0])))
    axes.set_xlim(ks[0] / margin, max(ks[-1] * margin, axes.dataLim.x1 * margin**0.4))
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -1.5), min(high, 101.5))
    axes.set_xlabel("k, the candidates that a selector chooses from", fontsize=9, color=INK)
    axes.set_ylabel("problems solved (%)", fontsize=9, color=INK)
    benchmarks = dict.fromkeys(report.config.benchmark.name for report in reports)
    axes.set_title(_plain(f"Best of k on {', '.join(benchmarks)}"), loc="left", fontsize=10, color=INK)
    axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
    axes.tick_params(colors=INK, labelsize=8, length=3)
    axes.patch.set_visible(False)
    for side, spine in axes.spines.items():
        spine.set(color=GREY, visible=side in ("left", "bottom"))


def _ticks(ks: Sequence[int]) -> list[int]:
    """The ks to label: from the right, each at least half a doubling from the one before."""
    kept: list[int] = []
    for k in reversed(ks):
        if not kept or kept[-1] / k >= 2**0.5:
            kept.append(k)
    return kept[::-1]


def _legend(reports: Sequence[RunReport], styles: Mapping[str, Mapping[str, Any]]) -> tuple[list[Any], list[str]]:
    """Handles and labels: the curves from the top down as they end, then a line for each run."""
    from matplotlib.lines import Line2D

    names = [curve.name for curve in _by_height(reports)]
    labels = [_plain(name) for name in names]
    if len(reports) == 1:
        return [Line2D([], [], **styles[name]) for name in names], labels
    handles = [Line2D([], [], **{**styles[name], "linestyle": "-"}) for name in names]
    handles.append(Line2D([], [], linestyle="none"))
    labels.append("")
    for position, name in enumerate(_run_names(reports)):
        handles.append(Line2D([], [], color=INK, linewidth=1.2, linestyle=DASHES[position % len(DASHES)]))
        labels.append("\n".join(textwrap.wrap(f"run {_plain(name)}", 26)))
    return handles, labels


def _svg(reports: Sequence[RunReport]) -> str:
    """The picture as an SVG element for a page: without namespaces, in the colour of the text around it."""
    import matplotlib

    written = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "tts", "svg.fonttype": "path"}):
        figure = _figure(reports)
        figure.patch.set_visible(False)
        figure.savefig(written, format="svg", metadata={"Date": None})
    text = written.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href").replace(INK, "currentColor")
    opening = '<svg role="img" aria-label="Curves; the table has the numbers" viewBox='
    return re.sub(r"<svg [^>]*viewBox=", opening, text, count=1)


# -- page -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shown:
    """A candidate as the page shows it."""

    candidate: Candidate
    grade: Grade
    scores: list[tuple[str, str]]
    chosen_by: list[str]

    @property
    def passed(self) -> bool:
        return self.grade.verdict is Verdict.PASSED

    @property
    def verdict(self) -> str:
        """The verdict in words, and how far a failing program came."""
        words = self.grade.verdict.replace("_", " ")
        if self.passed or not self.grade.tests:
            return words
        return f"{words} in test {self.grade.passed} of {self.grade.tests}, counted from 0"

    @property
    def cost(self) -> str:
        """What the program used; a run of an older format knows its processor time alone."""
        grade = self.grade
        used = f"{grade.seconds:.2f} CPU seconds"
        return f"{used} in {grade.wall_seconds:.2f}, {grade.peak_mib:.0f} MiB" if grade.wall_seconds else used


@dataclass(frozen=True, slots=True)
class _Item:
    """A problem as the page shows it; `missed_by` names the selectors that chose none of its correct candidates."""

    judged: Judged
    shown: list[_Shown]
    passed: int
    missed_by: list[str]
    abstained: list[tuple[str, str]]


def write_page(reports: Sequence[RunReport], path: Path, budget: int = PAGE, more: markupsafe.Markup = NO_MORE) -> None:
    """One HTML file that needs nothing else: numbers, curves, `more` sections of somebody else's, and every candidate,
    whose programs share `budget` characters so that a huge run is still a page that opens. Raises OSError as a write
    does.
    """
    environment = page_environment()
    environment.globals |= _helpers()
    stream = environment.get_template("page.html.j2").stream(
        reports=list(zip(_run_names(reports), reports, strict=True)),
        svg=markupsafe.Markup(_svg(reports)),  # matplotlib's own, its texts escaped by it
        caption=picture_caption(reports),
        clip=_clip(reports, budget),
        more=more,
    )
    stream.enable_buffering(50)
    stream.dump(str(path), encoding="utf-8")


def page_environment() -> "jinja2.Environment":
    """What makes pages of the package's templates: every printed value is escaped and made visible."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: resources.files("tts").joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"code": _code, "sha256": _sha256}
    return environment


def _helpers() -> dict[str, Any]:
    """What the template calls or prints."""
    return {
        "summary": summary_sentence,
        "notes": _notes,
        "ordered": ordered,
        "items": _items,
        "facts": _facts,
        "histograms": _histograms,
        "cost": _cost,
        "marked": _marked,
        "error": _error,
        "interval": _interval,
        "over_random": _over_random,
        "gained": _gained,
        "tags": _tags,
        "breakdown": breakdown.by_tag,
        "across": _across,
        "no_tag": NO_TAG,
    }


def _finalize(value: object) -> object:
    """Everything that a template prints passes here, so no expression can forget to make text visible."""
    return value if isinstance(value, markupsafe.Markup) else visible(str(value))


def _code(text: str) -> markupsafe.Markup:
    """Escaped text in which characters made visible stand out from the same escape written out."""
    escaped = str(markupsafe.escape(text.replace("\r\n", "\n")))
    return markupsafe.Markup(_UNSEEN.sub(lambda found: f'<span class="unseen">{_escape(found[0])}</span>', escaped))


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _clip(reports: Sequence[RunReport], budget: int) -> int:
    """How many characters of one text are shown, so that all programs together fit the budget."""
    sizes = [len(_program(c)) for report in reports for item in report.judged for c in item.candidates]
    clip = CLIP
    while clip > LEAST_CLIP and sum(min(size, clip) for size in sizes) > budget:
        clip = max(LEAST_CLIP, clip // 2)
    return clip


def _program(candidate: Candidate) -> str:
    return candidate.text if candidate.code is None else candidate.code


def _items(report: RunReport) -> Iterator[_Item]:
    """The problems in the run's order, each built when the page gets to it."""
    for judged in report.judged:
        choices = {curve.name: curve.choices[judged.problem.id] for curve in ordered(report)}
        correct = judged.correct
        chosen = {name: choice.position for name, choice in choices.items()}
        selectors = [name for name in chosen if name not in (RANDOM, ORACLE)]
        right = {name: position is not None and correct[position] == 1.0 for name, position in chosen.items()}
        yield _Item(
            judged,
            _shown(report, judged, chosen),
            passed=int(sum(correct)),
            missed_by=[name for name in selectors if any(correct) and not right[name]],
            abstained=[(name, choices[name].why) for name in selectors if chosen[name] is None],
        )


def _shown(report: RunReport, judged: Judged, chosen: Mapping[str, int | None]) -> list[_Shown]:
    """A problem's candidates by their index."""
    shown = [
        _Shown(
            candidate,
            grade,
            [(label, _score_text(scores.get(candidate.key))) for label, scores in report.scores.items()],
            [name for name, place in chosen.items() if place == position],
        )
        for position, (candidate, grade) in enumerate(zip(judged.candidates, judged.grades, strict=True))
    ]
    return sorted(shown, key=lambda one: one.candidate.index)


def _score_text(score: Score | None) -> str:
    if score is None:
        return "not scored"
    return f"none ({score.why})" if score.value is None else f"{score.value:.3f}"


def _tags(judged: Judged) -> list[str]:
    """Difficulty first, then what else is known of a problem, its title apart."""
    tags = {name: value for name, value in judged.problem.tags.items() if value and name != "title"}
    return [tags.pop("difficulty", ""), *(f"{name.replace('_', ' ')} {value}" for name, value in tags.items())]


def _histograms(report: RunReport) -> list[tuple[str, list[tuple[str, int, float]]]]:
    """(what, [(name, count, share of all)]) of the verdicts, extraction rules and finish reasons."""
    counted = {"verdict": report.verdicts, "extraction rule": report.extraction, "finish reason": report.finish}
    return [
        (what, [(name, count, count / max(1, counts.total())) for name, count in counts.most_common()])
        for what, counts in counted.items()
    ]


def _cost(report: RunReport) -> str:
    """Where the wall time went, or nothing if it is not known."""
    timings = report.meta.get("timings") or {}
    if not timings:
        return ""
    total = sum(timings.values())
    parts = ", ".join(f"{stage} {seconds:,.1f} s" for stage, seconds in timings.items())
    return f"Wall time: {parts}; {total:,.1f} s in all, {total / max(1, report.graded):,.2f} s per graded candidate."


def _facts(report: RunReport) -> list[tuple[str, str]]:
    """What the run was made with."""
    known = {name: report.meta.get(name) for name in ("versions", "hardware", "commit", "sandbox")}
    return [("folder", str(report.folder)), *((name, _fact(value)) for name, value in known.items())]


def _fact(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_fact(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_fact, value))
    return "not known" if value is None else str(value)
