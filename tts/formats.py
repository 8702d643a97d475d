"""A run's numbers for other programs and for papers: JSON, CSV, Markdown and LaTeX."""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from tts import cost, metrics
from tts.analysis import Curve, Point, RunReport
from tts.breakdown import Errata, Part
from tts.certainty_report import certainty_sheet
from tts.cost import Unit
from tts.cost_report import account_json, account_sheet, saved_json
from tts.findings import Findings
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
from tts.wording import Sheet, interval, visible

_SPENT: tuple[Unit, ...] = ("tokens", "flops", "seconds")
_ENDS = MappingProxyType({"": "value", "_low": "low", "_high": "high"})  # a column's end -> a difference's part
_COLUMNS = (
    *("run", "benchmark", "n", "by", "part", "problems", "selector"),
    *("k", "value", "low", "high", "estimate", "se", "scorer"),
    *(f"over_random{end}" for end in _ENDS),
    *("gained", *_SPENT),
)
_PREAMBLE = r"% These tables need \usepackage{booktabs}."
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")
_NO_LABEL = re.compile(r"[^A-Za-z0-9]+")
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>#|~]")
_LATEX = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"$\sim$",
    "±": r"$\pm$",
    **{special: f"\\{special}" for special in "&%$#_{}"},
}


def as_json(findings: Sequence[Findings]) -> dict[str, Any]:
    """What `tts report --json` prints: values are fractions from 0 to 1, what is not a number is null."""
    return {"runs": [_run_json(found) for found in findings]}


def _run_json(found: Findings) -> dict[str, Any]:
    report = found.report
    return {
        "folder": str(report.folder),
        "benchmark": report.config.benchmark_label,
        "problems": len(report.judged),
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
    written = io.StringIO()
    rows = csv.DictWriter(written, _COLUMNS, restval="", lineterminator="\n")
    rows.writeheader()
    for name, found in _named(findings):
        report = found.report
        whole = {"run": name, "benchmark": report.config.benchmark_label, "n": report.n}
        for row in [*_whole_rows(found), *_part_rows(found)]:
            rows.writerow({key: visible(v) if isinstance(v, str) else v for key, v in (whole | row).items()})
    return written.getvalue()


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
    head = f"### {_for_markdown(name)}\n\n{_for_markdown(summary_sentence(found.report))}\n\n{_markdown_table(first)}"
    more = [f"#### {_for_markdown(sheet.title)}\n\n{_markdown_table(sheet)}" for sheet in others]
    return "\n\n".join([head, *more])


def _markdown_table(sheet: Sheet) -> str:
    headers, *rows = [[_for_markdown(cell) for cell in row] for row in (sheet.headers, *sheet.rows)]
    ruler = ["---", *["---:"] * (len(headers) - 1)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in (headers, ruler, *rows))
    said = "\n".join(f"- {_for_markdown(note)}" for note in sheet.notes)
    return "\n\n".join(part for part in (table if rows else "", said) if part)


def _for_markdown(text: str) -> str:
    return _MARKDOWN.sub(lambda found: f"\\{found[0]}", visible(text)).replace("\n", " ")


def latex(findings: Sequence[Findings]) -> str:
    """The tables of each run, for the package booktabs, labelled `tab:RUN-1` and so on; captions have the verdict and
    the notes.
    """
    tables = [
        _latex(name, place, sheet, found) for name, found in _named(findings) for place, sheet in _numbered(found)
    ]
    return "\n\n".join([_PREAMBLE, *tables]) + "\n"


def _numbered(found: Findings) -> list[tuple[int, Sheet]]:
    return [(place, sheet) for place, sheet in enumerate(_sheets(found), 1) if sheet.rows]


def _latex(name: str, place: int, sheet: Sheet, found: Findings) -> str:
    headers, *rows = [[_for_latex(cell) for cell in row] for row in (sheet.headers, *sheet.rows)]
    title = summary_sentence(found.report) if place == 1 else f"{name}: {sheet.title}."
    said = " ".join(_for_latex(note) for note in (title, *sheet.notes))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\small",
            rf"\begin{{tabular}}{{l{'r' * (len(headers) - 1)}}}",
            r"\toprule",
            " & ".join(headers) + r" \\",
            r"\midrule",
            *(" & ".join(row) + r" \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{said}}}",
            rf"\label{{tab:{_NO_LABEL.sub('-', name).strip('-')}-{place}}}",
            r"\end{table}",
        ]
    )


def _for_latex(text: str) -> str:
    escaped = "".join(_LATEX.get(character, character) for character in visible(text)).replace("\n", " ")
    return _MINUS.sub("$-$", escaped)


def _json(findings: Sequence[Findings]) -> str:
    return json.dumps(as_json(findings), indent=1) + "\n"


FORMATS: Mapping[str, Callable[[Sequence[Findings]], str]] = MappingProxyType(
    {"md": markdown, "json": _json, "csv": csv_rows, "tex": latex}
)
