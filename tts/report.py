"""The terminal's tables of a run: selectors by k, as full as there is room for, and by parts of the run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from tts import terminal
from tts.analysis import Curve, Point, RunReport
from tts.breakdown import Part
from tts.certainty_report import certainty_sheet
from tts.cost_report import account_sheet
from tts.errors import counted
from tts.findings import Findings
from tts.sentences import (
    NO_TAG,
    across,
    error,
    gained,
    marked,
    notes,
    ordered,
    over_random,
    summary_sentence,
)
from tts.types import BASELINES, ORACLE, RANDOM
from tts.wording import Sheet, interval, visible

PART_WIDTH = 15  # columns of a terminal for one part of a run: an interval and a space
FIRST_WIDTH = 10  # of a table's names, so that "likelihood" is not broken


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
    console = terminal.console(width)
    boundless = console.options.update(max_width=terminal.WIDEST)
    for layout in _layouts(report.ks):
        drawn = _table(report, layout)
        if Measurement.get(console, boundless, drawn).maximum <= console.width:
            break
    return drawn


def _table(report: RunReport, layout: _Layout) -> Table:
    drawn = _empty(f"{report.config.benchmark_label} · {report.folder.name}")
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
        drawn.add_row(*map(_text, row), style="dim" if curve.name in BASELINES else "", end_section=ends)
    drawn.caption = _caption(summary_sentence(report), *notes(report), *_explained(report, layout))
    return drawn


def tables(found: Findings) -> list[Table]:
    """What `tts run` and `tts report` print of one run: selectors by k, then by difficulty, platform and date, then how
    sure all this is and what it cost.
    """
    report = found.report
    sheets = [certainty_sheet(report, found.certainty, found.against), account_sheet(report, found.account)]
    return [table(report), *breakdown_tables(report, found.parts), *map(as_table, sheets)]


def breakdown_tables(report: RunReport, tags: Mapping[str, Sequence[Part]], width: int | None = None) -> list[Table]:
    """Selectors by difficulty, platform and date at the largest k; the values of one are spread over as many tables as
    `width` columns demand (None: the terminal's).
    """
    names = max(len(line) for curve in report.curves for line in _Layout((), (), "").name(curve).split("\n"))
    room = max(1, (terminal.console(width).width - max(names, len("selector")) - 1) // PART_WIDTH)
    return [
        _breakdown_table(report, tag, parts[start : start + room])
        for tag, parts in tags.items()
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
        style = "dim" if curve.name in BASELINES else ""
        drawn.add_row(*map(_text, [_Layout((), (), "").name(curve), *cells]), style=style)
    return drawn


def _explained(report: RunReport, layout: _Layout) -> list[str]:
    dropped = [str(k) for k in report.ks if k not in layout.ks]
    return [f"No room here for k = {', '.join(dropped)}: see --json or a wider terminal."] if dropped else []


def as_table(sheet: Sheet) -> Table:
    """A table in words on a terminal."""
    drawn = plain_table(sheet.title, sheet.headers, sheet.notes)
    for row, ends in sheet.shown():
        add_row(drawn, row, ends)
    return drawn


def plain_table(title: str, columns: Sequence[str], notes: Sequence[str] = ()) -> Table:
    """A table without rows: the first column's text to the left, numbers to the right; notes below."""
    drawn = _empty(title)
    for position, column in enumerate(columns):
        least = None if position else FIRST_WIDTH
        drawn.add_column(_text(column), justify="right" if position else "left", overflow="fold", min_width=least)
    drawn.caption = _caption(*notes) if notes else None
    return drawn


def add_row(drawn: Table, cells: Sequence[str], end: bool = False, style: str = "") -> None:
    """A row of texts, which may come from anywhere."""
    drawn.add_row(*map(_text, cells), end_section=end, style=style)


def _empty(title: str) -> Table:
    return Table(
        title=_text(title, "bold"),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title_justify="left",
        caption_justify="left",
    )


class _Caption(Text):
    """Is no wider than what it is printed on, which a table may be, whose rightmost blank is then cut off."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        yield from super().__rich_console__(console, options.update(width=min(options.max_width, console.width)))


def _caption(*notes: str) -> Text:
    return _Caption(visible("\n".join(notes)), "dim")


def _text(text: str, style: str = "") -> Text:
    return Text(visible(text), style=style)
