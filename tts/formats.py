"""A run's numbers for other programs and for papers: JSON, CSV, Markdown and LaTeX."""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from tts import metrics
from tts.analysis import Curve, Point, RunReport
from tts.breakdown import Errata, Part
from tts.cost_report import account_json, saved_json
from tts.findings import Findings
from tts.sentences import error, gained, in_order, marked, notes, ordered, over_random, run_names, summary_sentence
from tts.wording import interval, visible

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
        "benchmark": report.config.benchmark.name,
        "problems": len(report.judged),
        "n": int(report.n),
        "graded": int(report.graded),
        "selectors": {curve.name: [_point_json(point, curve) for point in curve.points] for curve in ordered(report)},
        "over_random": {curve.name: _difference_json(curve.over_random) for curve in ordered(report)},
        "efficiency": {curve.name: _number(curve.efficiency) for curve in ordered(report)},
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
    """One row per run, selector and k, with a header: values are fractions from 0 to 1, what is not known is empty."""
    written = io.StringIO()
    keys = ("k", "value", "low", "high", "estimate", "se", "scorer")
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(["run", "benchmark", "problems", "n", "selector", *keys])
    for name, report in _named(findings):
        of_run = [visible(name), visible(report.config.benchmark.name), len(report.judged), report.n]
        for curve in ordered(report):
            points = [_point_json(point, curve) for point in curve.points]
            rows.writerows([*of_run, visible(curve.name), *(point[key] for key in keys)] for point in points)
    return written.getvalue()


def _named(findings: Sequence[Findings]) -> list[tuple[str, RunReport]]:
    reports = [found.report for found in findings]
    return list(zip(run_names(reports), reports, strict=True))


def markdown(findings: Sequence[Findings]) -> str:
    """A table per run with its verdict above and its notes below, as GitHub reads it."""
    return "\n\n".join(_markdown(name, report) for name, report in _named(findings)) + "\n"


def _markdown(name: str, report: RunReport) -> str:
    headers, *rows = [[_for_markdown(cell) for cell in row] for row in _grid(report)]
    ruler = ["---", *["---:"] * (len(headers) - 1)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in (headers, ruler, *rows))
    said = "\n".join(f"- {_for_markdown(note)}" for note in notes(report))
    return f"### {_for_markdown(name)}\n\n{_for_markdown(summary_sentence(report))}\n\n{table}\n\n{said}"


def _for_markdown(text: str) -> str:
    return _MARKDOWN.sub(lambda found: f"\\{found[0]}", visible(text)).replace("\n", " ")


def latex(findings: Sequence[Findings]) -> str:
    """A `table` per run, for the package booktabs; its caption is the verdict and the notes."""
    return "\n\n".join(_latex(found.report) for found in findings) + "\n"


def _latex(report: RunReport) -> str:
    headers, *rows = [[_for_latex(cell) for cell in row] for row in _grid(report)]
    lines = [" & ".join(row) + r" \\" for row in rows]
    said = " ".join(_for_latex(note) for note in (summary_sentence(report), *notes(report)))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\small",
            rf"\begin{{tabular}}{{l{'r' * (len(headers) - 1)}}}",
            r"\toprule",
            " & ".join(headers) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{said}}}",
            r"\end{table}",
        ]
    )


def _for_latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in visible(text)).replace("\n", " ")


def _grid(report: RunReport) -> list[list[str]]:
    """The table of selectors by k as plain cells, its header first."""
    rows = [["selector", *(f"k = {k}" for k in report.ks), "over random", "gained"]]
    for curve in ordered(report):
        cells = [" ".join(filter(None, (marked(p), error(p), interval(p.low, p.high)))) for p in curve.points]
        rows.append([curve.name, *cells, over_random(curve), gained(curve)])
    return rows


def _json(findings: Sequence[Findings]) -> str:
    return json.dumps(as_json(findings), indent=1) + "\n"


FORMATS: Mapping[str, Callable[[Sequence[Findings]], str]] = MappingProxyType(
    {"md": markdown, "json": _json, "csv": csv_rows, "tex": latex}
)
