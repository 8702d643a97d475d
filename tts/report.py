"""The terminal's tables of a run: selectors by k, as full as there is room for, and by parts of the run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tts import breakdown, certainty
from tts.analysis import Curve, Point, RunReport
from tts.breakdown import Part
from tts.comparison import Comparison
from tts.errors import counted
from tts.sentences import (
    NO_TAG,
    ORACLE,
    RANDOM,
    across,
    certainty_notes,
    error,
    gained,
    level,
    marked,
    notes,
    ordered,
    over_random,
    summary_sentence,
)
from tts.wording import interval, percent, visible

PART_WIDTH = 15  # columns of a terminal for one part of a run: an interval and a space


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
        ends = interval(point.low, point.high) if point.k in self.with_intervals else ""
        return self.between.join(part for part in (marked(point), error(point), ends) if part)


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
        row = [layout.name(curve), *cells, over_random(curve, layout.between), gained(curve)]
        ends = curve.name == RANDOM or following is None or following.name == ORACLE
        drawn.add_row(*map(_text, row), style="dim" if curve.name in (RANDOM, ORACLE) else "", end_section=ends)
    drawn.caption = _caption(summary_sentence(report), *notes(report), *_explained(report, layout))
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
        header = _text(f"{part.name or NO_TAG}\n{counted(part.problems, 'problem')}")
        drawn.add_column(header, justify="right", overflow="fold", max_width=PART_WIDTH - 1)
    for curve, points in across(parts):
        cells = [f"{marked(point)}\n{interval(point.low, point.high)}" for point in points]
        style = "dim" if curve.name in (RANDOM, ORACLE) else ""
        drawn.add_row(*map(_text, [_Layout((), (), "").name(curve), *cells]), style=style)
    return drawn


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


def _compared(found: certainty.Comparison, is_first: bool) -> list[str]:
    gap, sign = found.difference, 1 if is_first else -1
    low, high = sorted((sign * gap.low, sign * gap.high))
    alone = [str(found.only_one), str(found.only_other)]
    ahead = f"{percent(sign * gap.value, True)} {interval(low, high, True)}"
    return [ahead, *alone[::sign], f"{found.p:.3g}", f"{found.holm:.3g}"]


def _explained(report: RunReport, layout: _Layout) -> list[str]:
    dropped = [str(k) for k in report.ks if k not in layout.ks]
    notes = [f"'over random' and 'gained', the share of what an oracle gains over random, are at k = {report.n}."]
    if dropped:
        notes.append(f"No room here for k = {', '.join(dropped)}: see --json or a wider terminal.")
    return notes


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


def compare_table(found: Comparison) -> Table:
    """Two runs, selector by selector, with the paired differences."""
    drawn = _empty(f"A {found.a.folder} · B {found.b.folder}")
    for header in ("selector", "k", "A", "B", f"B - A [{level(found.a)} interval]"):
        drawn.add_column(header, justify="left" if header == "selector" else "right", overflow="fold")
    for row, following in zip(found.rows, [*found.rows[1:], None], strict=True):
        ends = following is None or following.selector != row.selector
        first = not drawn.rows or drawn.rows[-1].end_section
        drawn.add_row(*map(_text, [row.selector if first else "", *row.cells]), end_section=ends)
    drawn.caption = _caption(*found.notes)
    return drawn
