"""A run's numbers for other programs and for papers: JSON, CSV, Markdown and LaTeX."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from tts import cost, cost_report, metrics, sheets
from tts.analysis import Curve, Point, RunReport
from tts.breakdown import Errata, Part
from tts.certainty_report import certainty_sheet
from tts.comparison import Comparison
from tts.cost import Unit
from tts.cost_report import account_json, account_sheet, saved_json
from tts.findings import Findings
from tts.frontier import Frontier
from tts.sentences import (
    NO_TAG,
    across,
    error,
    gained,
    in_order,
    marked,
    notes,
    ordered,
    over_random,
    parts_note,
    run_names,
    summary_sentence,
)
from tts.sheets import PREAMBLE, csv_text, for_markdown, latex_table, markdown_table
from tts.wording import Sheet, interval

_SPENT: tuple[Unit, ...] = ("tokens", "flops", "seconds")
_ENDS = MappingProxyType({"": "value", "_low": "low", "_high": "high"})  # a column's end -> a difference's part
_COLUMNS = (
    *("run", "benchmark", "n", "by", "part", "problems", "selector"),
    *("k", "value", "low", "high", "estimate", "se", "scorer"),
    *(f"over_random{end}" for end in _ENDS),
    *("gained", *_SPENT),
)


def as_json(findings: Sequence[Findings]) -> dict[str, Any]:
    """What `tts report --json` prints: values are fractions from 0 to 1, what is not a number is null."""
    return {"runs": [_run_json(found) for found in findings]}


def _run_json(found: Findings) -> dict[str, Any]:
    report = found.report
    return {
        "folder": str(report.folder),
        "benchmark": report.config.benchmark_label,
        "problems": len(report.judged),
        "missing_parts": report.missing or None,
        "n": int(report.n),
        "graded": int(report.graded),
        "selectors": {curve.name: [_point_json(point, curve) for point in curve.points] for curve in ordered(report)},
        "over_random": {curve.name: _difference_json(curve.over_random) for curve in ordered(report)},
        "gained": {curve.name: _number(curve.efficiency) for curve in ordered(report)},
        "paired": [
            {"of": one, "minus": two, **_difference_json(difference)} for (one, two), difference in found.paired.items()
        ],
        "unscored": {label: dict(why) for label, why in report.unscored.items()},
        "left_out": [{"problem": name, "why": why} for name, why in report.left_out],
        "breakdown": {tag: [_part_json(part) for part in parts] for tag, parts in found.parts.items()},
        "errata": _errata_json(found.errata),
        "estimates": {curve.name: curve.method for curve in ordered(report)},
        "saved": {curve.name: asdict(curve.saved) for curve in ordered(report) if curve.saved is not None},
        "certainty": asdict(found.certainty),
        "cost": account_json(found.account),
        "stopping": None if found.saved is None else saved_json(found.saved),
    }


def _errata_json(found: Errata | None) -> dict[str, Any] | None:
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
        "selectors": {curve.name: _point_json(point, curve) for curve, point in in_order(part)},
    }


def _point_json(point: Point, curve: Curve) -> dict[str, Any]:
    return {
        "k": int(point.k),
        "value": _number(point.value),
        "low": _number(point.low),
        "high": _number(point.high),
        "estimate": point.estimate,
        "se": _number(point.se),
        "scorer": ", ".join(curve.scorers) or None,
    }


def _difference_json(difference: metrics.Difference) -> dict[str, Any]:
    return {name: _number(getattr(difference, name)) for name in ("value", "low", "high")}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


# -- tables for papers ------------------------------------------------------------------------------------------------


def csv_rows(findings: Sequence[Findings]) -> str:
    """One row per run, selector and k, then one per selector and part of the run (`by` difficulty, say) at k = n.
    Values are fractions from 0 to 1, `tokens`, `flops` and `seconds` means per problem; what is not known is empty.
    """
    return csv_text(_COLUMNS, (row for name, found in _named(findings) for row in _csv_rows(name, found)))


def _csv_rows(name: str, found: Findings) -> Iterator[dict[str, Any]]:
    whole = {"run": name, "benchmark": found.report.config.benchmark_label, "n": found.report.n}
    yield from (whole | row for row in [*_whole_rows(found), *_part_rows(found)])


def _whole_rows(found: Findings) -> Iterator[dict[str, Any]]:
    report = found.report
    for curve in ordered(report):
        spent = {unit: cost.axis(report, found.account, curve, unit) for unit in _SPENT}
        gain = {f"over_random{end}": _number(getattr(curve.over_random, of)) for end, of in _ENDS.items()}
        gain["gained"] = _number(curve.efficiency)
        for place, point in enumerate(curve.points):
            row = {"problems": len(report.judged), "selector": curve.name, **_point_json(point, curve)}
            row |= {unit: places[place] for unit, places in spent.items() if places is not None}
            yield row | (gain if point.k == report.n else {})


def _part_rows(found: Findings) -> Iterator[dict[str, Any]]:
    for tag, parts in found.parts.items():
        for part in parts:
            where = {"by": tag, "part": part.name or NO_TAG, "problems": part.problems}
            for curve, point in in_order(part):
                yield where | {"selector": curve.name, **_point_json(point, curve)}


def _named(findings: Sequence[Findings]) -> list[tuple[str, Findings]]:
    return list(zip(run_names([found.report for found in findings]), findings, strict=True))


def _sheets(found: Findings) -> list[Sheet]:
    """All tables of a run: the selectors by k, how sure that is, what it cost, and by parts."""
    report = found.report
    sure = certainty_sheet(report, found.certainty)
    parts = [_parts_sheet(report, tag, parts) for tag, parts in found.parts.items()]
    return [_curves_sheet(report), sure, account_sheet(report, found.account), *parts]


def _curves_sheet(report: RunReport) -> Sheet:
    headers = ["selector", *(f"k = {k}" for k in report.ks), "over random", "gained"]
    rows = [[curve.name, *map(_cell, curve.points), over_random(curve), gained(curve)] for curve in ordered(report)]
    return Sheet(f"percent solved by {report.folder.name}", headers, rows, notes(report))


def _parts_sheet(report: RunReport, tag: str, parts: Sequence[Part]) -> Sheet:
    headers = ["selector", *(f"{part.name or NO_TAG} ({part.problems:,})" for part in parts)]
    rows = [
        [curve.name, *(f"{marked(p)} {interval(p.low, p.high)}" for p in points)] for curve, points in across(parts)
    ]
    return Sheet(f"percent solved by {tag}, k = {report.n}", headers, rows, [parts_note(report)])


def _cell(point: Point) -> str:
    return " ".join(filter(None, (marked(point), error(point), interval(point.low, point.high))))


def markdown(findings: Sequence[Findings]) -> str:
    """The tables of each run, its verdict above and their notes below, as GitHub reads it."""
    return "\n\n".join(_markdown(name, found) for name, found in _named(findings)) + "\n"


def _markdown(name: str, found: Findings) -> str:
    first, *others = _sheets(found)
    head = f"### {for_markdown(name)}\n\n{for_markdown(summary_sentence(found.report))}\n\n{markdown_table(first)}"
    return "\n\n".join(filter(None, (head, sheets.markdown(others))))


def latex(findings: Sequence[Findings]) -> str:
    """The tables of each run, for the package booktabs, labelled `tab:RUN-1` and so on; captions have the verdict and
    the notes.
    """
    tables = [
        _latex(name, place, sheet, found) for name, found in _named(findings) for place, sheet in _numbered(found)
    ]
    return "\n\n".join([PREAMBLE, *tables]) + "\n"


def _numbered(found: Findings) -> list[tuple[int, Sheet]]:
    return [(place, sheet) for place, sheet in enumerate(_sheets(found), 1) if sheet.rows]


def _latex(name: str, place: int, sheet: Sheet, found: Findings) -> str:
    title = summary_sentence(found.report) if place == 1 else f"{name}: {sheet.title}."
    return latex_table(sheet, title, name, place)


def _json(findings: Sequence[Findings]) -> str:
    return json.dumps(as_json(findings), indent=1) + "\n"


FORMATS: Mapping[str, Callable[[Sequence[Findings]], str]] = MappingProxyType(
    {"md": markdown, "json": _json, "csv": csv_rows, "tex": latex}
)


# -- runs beside each other -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Beside:
    """Several runs: at equal k, each with the first, and at equal cost."""

    reports: Sequence[RunReport]
    comparisons: Sequence[Comparison]
    frontier: Frontier

    @property
    def sheets(self) -> list[Sheet]:
        """All tables of it."""
        at_cost = (cost_report.frontier_sheet, cost_report.even_sheet)
        return [one.sheet() for one in self.comparisons] + [sheet(self.reports, self.frontier) for sheet in at_cost]


def _compared_json(found: Beside) -> str:
    return json.dumps(cost_report.frontier_json(found.reports, found.frontier), indent=1) + "\n"


def _compared_csv(found: Beside) -> str:
    """One row per strategy: a run, a selector and a k."""
    rows = cost_report.frontier_json(found.reports, found.frontier)["strategies"]
    columns = ["run", "curve", "k", "cost", "value", "low", "high", "on_front"]
    return csv_text(columns, (row | {"run": str(found.reports[row["run"]].folder)} for row in rows))


COMPARED: Mapping[str, Callable[[Beside], str]] = MappingProxyType(
    {
        "md": lambda found: sheets.markdown(found.sheets) + "\n",
        "json": _compared_json,
        "csv": _compared_csv,
        "tex": lambda found: sheets.latex(found.sheets, "compared"),
    }
)
