"""What runs took and what that bought, shown: terminal tables, sentences and JSON, of what `cost.py` and `frontier.py`
computed.
"""

import dataclasses
import math
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

import markupsafe
from rich import box
from rich.table import Table
from rich.text import Text

from tts.analysis import RunReport
from tts.cost import UNITS, Account, Saved, Unit, saved
from tts.errors import counted
from tts.frontier import Even, Frontier
from tts.wording import interval, percent, visible

COLUMNS = {
    "prompt_tokens": "prompt\ntokens",
    "tokens": "tokens",
    "passes": "forward\npasses",
    "flops": "FLOPs",
    "cpu_seconds": "CPU\nseconds",
    "wall_seconds": "wall\nseconds",
    "peak_mib": "peak\nMiB",
}
EXPONENT = 1e7  # from which numbers are written with one


def number(value: float | None) -> str:
    """A quantity in a table: three digits or so; a dash where it is not known."""
    if value is None:
        return "-"
    if value >= EXPONENT:
        return f"{value:.2e}".replace("e+", "e")
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def plain_table(title: str, columns: Sequence[str], notes: Sequence[str] = ()) -> Table:
    """A table without rows: the first column's text to the left, numbers to the right; notes below."""
    table = Table(title=_text(title, "bold"), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.title_justify = table.caption_justify = "left"
    for position, column in enumerate(columns):
        table.add_column(column, justify="right" if position else "left", overflow="fold")
    table.caption = _text("\n".join(notes), "dim") if notes else None
    return table


def add_row(table: Table, cells: Sequence[str], end: bool = False, style: str = "") -> None:
    """A row of texts, which may come from anywhere."""
    table.add_row(*map(_text, cells), end_section=end, style=style)


def _text(text: str, style: str = "") -> Text:
    return Text(visible(text), style=style)


# One run.


def account_table(report: RunReport, account: Account) -> Table:
    """What each stage took, over all problems."""
    shown = [name for name in COLUMNS if any(getattr(stage, name) is not None for stage in account.stages)]
    notes = [*_account_notes(report, account)]
    table = plain_table(f"cost of {report.folder.name}", ["stage", *(COLUMNS[name] for name in shown)], notes)
    for stage in account.stages:
        add_row(table, [stage.stage, *(number(getattr(stage, name)) for name in shown)])
    return table


def _account_notes(report: RunReport, account: Account) -> list[str]:
    wall = ", ".join(f"{stage} {number(seconds)} s" for stage, seconds in account.wall_seconds.items())
    notes = [
        f"{counted(len(account.problems), 'problem')}. FLOPs are an estimate: 2 x parameters x tokens. A prompt counts "
        "once for each problem. Wall seconds of a model are shared by tokens; of grading they are the programs' own.",
    ]
    notes += [f"The run itself: {wall}."] if wall else []
    peaks = {name: size for sizes in account.peak_mib.values() for name, size in sizes.items()}
    top = {name: max(sizes.get(name, 0.0) for sizes in account.peak_mib.values()) for name in peaks}
    words = {"own_mib": "its own process", "child_mib": "its largest ended child", "gpu_mib": "the GPU"}
    notes += [f"Peak memory in MiB: {', '.join(f'{words[n]} {number(v)}' for n, v in top.items())}."] if top else []
    return notes


def saved_sentences(found: Saved, level: float) -> list[str]:
    """What a live policy saved, and how good what it stopped at is."""
    spare = found.most - found.drawn
    tokens = "" if found.tokens is None else f", {number(found.tokens)} tokens"
    gone = "" if found.tokens_saved is None else f", about {number(found.tokens_saved)} tokens"
    answers = max((outcome.answers for outcome in found.outcomes), default=0)
    chose = f" The policy itself answered {counted(answers, 'problem')}." if answers else ""
    values = "; ".join(f"{one.selector} {percent(one.value)}% {interval(one.low, one.high)}" for one in found.outcomes)
    return [
        f"Stopped by {found.policy}: {found.drawn:,} of {counted(found.most, 'candidate')} were drawn{tokens}; "
        f"{spare:,} ({percent(spare / found.most)}%{gone}) were saved, {found.cancelled:,} cancelled on their way. "
        f"Decided on {found.used:,}.{chose}",
        f"What it stopped at, with {100 * level:g}% intervals: {values}.",
    ]


def saved_section(report: RunReport) -> markupsafe.Markup:
    """A section for the run's page of what its policy saved; nothing of a run without one."""
    found = saved(report)
    if found is None:
        return markupsafe.Markup()
    paragraph = markupsafe.Markup("<p>{}</p>")
    sentences = saved_sentences(found, report.config.report.level)
    said = markupsafe.Markup().join(paragraph.format(visible(text)) for text in sentences)
    return markupsafe.Markup("<section><h2>Stopping</h2>{}</section>").format(said)


# Several runs.


def frontier_table(reports: Sequence[RunReport], found: Frontier) -> Table:
    """The strategies on the Pareto front, by cost."""
    title = f"Pareto front: {_runs(reports)}"
    columns = ["run", "selector", "k", f"cost\n({found.unit})", "solved"]
    table = plain_table(title, columns, _frontier_notes(reports, found))
    for one in found.strategies:
        if one.on_front:
            solved = f"{percent(one.value)} {interval(one.low, one.high)}"
            add_row(table, [ascii_uppercase[one.run], one.curve, str(one.k), number(one.cost), solved])
    return table


def _frontier_notes(reports: Sequence[RunReport], found: Frontier) -> list[str]:
    level = f"{100 * reports[0].config.report.level:g}%"
    notes = [
        f"{counted(found.problems, 'common problem')}. Cost is the mean per problem in {UNITS[found.unit]}. "
        f"{len(found.strategies)} strategies; none of those shown is beaten in both cost and percent solved. "
        f"[a, b] is a {level} interval, a bootstrap over problems; the front is of point estimates.",
    ]
    if found.unknown:
        notes.append(f"Not every run knows its cost in {', '.join(found.unknown)}.")
    return notes


def _runs(reports: Sequence[RunReport]) -> str:
    return " · ".join(f"{letter} {report.folder}" for letter, report in zip(ascii_uppercase, reports, strict=False))


def even_table(reports: Sequence[RunReport], found: Frontier) -> Table:
    """Each two runs at equal cost, one row for each cost."""
    level = f"{100 * reports[0].config.report.level:g}%"
    columns = ["selector", f"cost\n({found.unit})", "runs", "k", "k", "solved", "solved", f"second - first\n[{level}]"]
    notes = [
        "At each cost that is a whole k of one run. A k that is not whole is a draw between its neighbours, problem by "
        "problem. Differences are paired, their intervals a bootstrap over problems.",
    ]
    table = plain_table(f"At equal cost: {_runs(reports)}", columns, notes)
    before: tuple[str, tuple[int, int]] | None = None
    for one in found.even:
        head = one.curve if before != (one.curve, one.runs) else ""
        before = one.curve, one.runs
        gap = one.difference
        cells = [head, number(one.cost), " ".join(ascii_uppercase[run] for run in one.runs)]
        cells += [f"{k:.4g}" for k in one.ks] + [percent(value) for value in one.values]
        add_row(table, [*cells, f"{percent(gap.value, True)} {interval(gap.low, gap.high, True)}"])
    return table


def verdict(reports: Sequence[RunReport], found: Frontier) -> list[str]:
    """For each two runs: at the greatest cost that both reach, who is better with the selector that solves most."""
    said = []
    for pair in dict.fromkeys(one.runs for one in found.even):
        mine = [one for one in found.even if one.runs == pair]
        dearest = {one.curve: one for one in mine}  # by cost, so the last of each is its dearest
        said.append(_verdict(reports, found.unit, max(dearest.values(), key=lambda one: max(one.values))))
    return said or ["No cost is within the reach of two runs with one selector: nothing to compare at equal cost."]


def _verdict(reports: Sequence[RunReport], unit: Unit, one: Even) -> str:
    gap, (a, b) = one.difference, (ascii_uppercase[run] for run in one.runs)
    better = f"{b} is better" if gap.low > 0 else f"{a} is better" if gap.high < 0 else "no certain difference"
    level = f"{100 * reports[0].config.report.level:g}%"
    return (
        f"At {number(one.cost)} {_short(unit)} per problem, {one.curve} solves {percent(one.values[0])}% in {a} "
        f"(k = {one.ks[0]:.4g}) and {percent(one.values[1])}% in {b} (k = {one.ks[1]:.4g}): {better}, {b} - {a} "
        f"{percent(gap.value, True)} points {interval(gap.low, gap.high, True)} at {level}."
    )


def _short(unit: Unit) -> str:
    return UNITS[unit].split(",")[0]


# JSON.


def account_json(account: Account) -> dict[str, Any]:
    """Numbers as they are; null where not known."""
    return _finite(dataclasses.asdict(account))  # type: ignore[no-any-return]


def saved_json(found: Saved) -> dict[str, Any]:
    """The same of what a policy saved."""
    return dataclasses.asdict(found)


def frontier_json(reports: Sequence[RunReport], found: Frontier) -> dict[str, Any]:
    """The comparison's numbers; `run` and `runs` are positions in `folders`."""
    return {"folders": [str(report.folder) for report in reports], **_finite(dataclasses.asdict(found))}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
