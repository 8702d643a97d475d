"""What a page's scripts work with: the curves and breakdowns to draw, the problems to filter, the candidates to open.

Plain JSON. What is large, the candidates, comes apart from the rest, in groups of problems that a page loads when one
of them is opened. Texts are as they were written: the scripts put them into the page as text, and make visible what
cannot be seen.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tts import breakdown, cost
from tts.analysis import Curve, Judged, RunReport
from tts.breakdown import Part
from tts.cost import UNITS, Unit
from tts.cost_report import letter, short, spent_sentence
from tts.findings import Findings
from tts.frontier import Even, Frontier, Strategy
from tts.margins import Margins
from tts.palette import BASELINE_LOOKS, LOOKS, distinct
from tts.ranking import Interval
from tts.sandbox.compare import shown as text_of
from tts.sentences import NO_TAG, cost_of, in_order, ordered, run_names, score_text, verdict_of
from tts.types import BASELINES, ORACLE, Candidate, Check, Grade, Problem, Selection, Stdin, Test, Verdict
from tts.wording import UNSEEN, visible

CLIP = 20_000  # characters of one text that a page shows at most
SEARCHED = 4_000_000  # characters of statements that a page's search reads, shared by its problems
GROUP = 1_000_000  # characters of JSON, about, that are loaded when a problem is opened
DRAWN_AT_FIRST = 4  # selectors, beside the baselines: intervals of more hide each other
TAGS = (*breakdown.TAGS, breakdown.DATE)  # those that have a place of their own on a page
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """A run as a page shows it: under which name, and what was found of it."""

    name: str
    found: Findings

    @property
    def report(self) -> RunReport:
        """The run."""
        return self.found.report


def shown(findings: Sequence[Findings]) -> list[Shown]:
    """The runs of a page."""
    names = run_names([found.report for found in findings])
    return [Shown(name, found) for name, found in zip(names, findings, strict=True)]


# -- what is drawn ----------------------------------------------------------------------------------------------------


def index(
    runs: Sequence[Shown], groups: Sequence[int], beside: Frontier | None = None, curves: Sequence[str] = ()
) -> Json:
    """All but the candidates; `groups` says of each problem in which group they are, `beside` has the runs at equal
    cost, `curves` names the selectors that are drawn at first, by default the best that differ.
    """
    first = curves or distinct([run.report for run in runs])[:DRAWN_AT_FIRST]
    drawn = [_curve(place, run, curve) for place, run in enumerate(runs) for curve in ordered(run.report)]
    return {
        "unseen": "[" + "".join(f"\\u{{{first:x}}}-\\u{{{last:x}}}" for first, last in UNSEEN) + "]",
        "baselines": list(BASELINES),
        "first": [_label(name) for name in first],
        "looks": [asdict(look) for look in LOOKS],
        "baseline_looks": {name: asdict(look) for name, look in BASELINE_LOOKS.items()},
        "runs": [
            {"name": run.name, "label": _label(run.name), "ks": run.report.ks, "scorers": list(run.report.scores)}
            for run in runs
        ],
        "axes": [_axis(unit) | {"known": any(unit in curve["x"] for curve in drawn)} for unit in UNITS],
        "curves": drawn,
        "parts": {f"{tag}-{i}": _parts(parts) for i, run in enumerate(runs) for tag, parts in run.found.parts.items()},
        "counts": {f"{what}-{i}": _counts(found) for i, run in enumerate(runs) for what, found in counts(run.report)},
        "margins": {
            f"margins-{i}-{j}": _margins(one) for i, run in enumerate(runs) for j, one in enumerate(run.found.margins)
        },
        "forecasts": {f"forecasts-{i}": _forecasts(run.found) for i, run in enumerate(runs)},
        "fronts": {} if beside is None else {"front": _front(beside)},
        "evens": {} if beside is None else {f"even-{a}-{b}": _even(beside, (a, b)) for a, b in pairs(beside)},
        "problems": _problems(runs, groups),
    }


def _label(text: str) -> str:
    """Text for plotly, which reads a kind of HTML."""
    return visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _axis(unit: Unit) -> Json:
    title = "k, the candidates chosen from" if unit == "k" else f"{short(unit)} per problem"
    return {"key": unit, "name": "k" if unit == "k" else short(unit), "title": title}


def _curve(place: int, run: Shown, curve: Curve) -> Json:
    """A curve; `x` has the axes on which it is known where its points lie."""
    x = {unit: cost.axis(run.report, run.found.account, curve, unit) for unit in UNITS}
    return {
        "run": place,
        "name": _label(curve.name),
        "k": [point.k for point in curve.points],
        "x": {unit: places for unit, places in x.items() if places is not None},
        **_points([(p.value, p.low, p.high) for p in curve.points]),
        "sampled": [point.estimate == "sampled" for point in curve.points],
    }


def _points(points: Sequence[tuple[float, float, float]]) -> Json:
    """Values and the ends of their intervals, in percent; what is no number is null."""
    y, low, high = ([_number(100 * part, 3) for part in column] for column in zip(*points, strict=True))
    return {"y": y, "low": low, "high": high}


def _number(value: float | None, digits: int) -> float | None:
    return round(value, digits) if value is not None and math.isfinite(value) else None


def _parts(parts: Sequence[Part]) -> Json:
    """The curves over the parts, whose names are the places on the axis."""
    rows = zip(*(in_order(part) for part in parts), strict=True)
    return {
        "names": [f"{_label(part.name or NO_TAG)}<br>({part.problems:,})" for part in parts],
        "curves": [
            {"name": _label(row[0][0].name), **_points([(p.value, p.low, p.high) for _, p in row])} for row in rows
        ],
    }


def counts(report: RunReport) -> list[tuple[str, Counter[str]]]:
    """(what, how many candidates by it): verdicts, extraction rules, and how the texts end."""
    candidates = [c for item in report.judged for c in item.candidates]
    ends = Counter(f"{c.finish}{', cut off in a fence or a thought' * c.truncated}" for c in candidates)
    return [("verdict", report.verdicts), ("extraction", report.extraction), ("end", ends)]


def _counts(counted: Counter[str]) -> Json:
    total = max(1, counted.total())
    most = counted.most_common()
    return {
        "names": [_label(name.replace("_", " ")) for name, _ in most],
        "counts": [count for _, count in most],
        "shares": [round(100 * count / total, 2) for _, count in most],
    }


def _margins(found: Margins) -> Json:
    """Two series of points: choices by the margin of the best score, pairs of right and wrong by their difference."""
    bins = found.pairs.bins
    return {
        "choices": _binned([(b.low, b.high, b.right) for b in found.bins], [b.right.problems for b in found.bins]),
        "pairs": _binned([(b.low, b.high, b.accuracy) for b in bins], [b.pairs for b in bins]),
        "fitted": [_number(100 * one.fitted, 3) for one in bins],
    }


def _binned(bins: Sequence[tuple[float, float, Interval]], sizes: Sequence[int]) -> Json:
    if not bins:
        return {"from": [], "to": [], "sizes": [], "y": [], "low": [], "high": []}
    ends = {"from": [low for low, _, _ in bins], "to": [high for _, high, _ in bins]}
    return ends | {"sizes": sizes} | _points([(found.value, found.low, found.high) for _, _, found in bins])


def _forecasts(found: Findings) -> Json:
    """pass@k up to n, which is the oracle's curve, and beyond, from the same point on."""
    exact = [(p.k, (p.value, p.low, p.high)) for p in found.report.curve(ORACLE).points]
    beyond = [(p.k, (p.value, p.low, p.high)) for p in found.certainty.forecasts]
    return {
        name: {"k": [k for k, _ in some], **_points([point for _, point in some])}
        for name, some in (("exact", exact), ("foretold", [exact[-1], *beyond]))
    }


def _front(found: Frontier) -> Json:
    """Every strategy by run and selector, and the front."""
    curves: dict[tuple[int, str], list[Strategy]] = defaultdict(list)
    for one in found.strategies:
        curves[one.run, one.curve].append(one)
    best = [one for one in found.strategies if one.on_front]
    return {
        "axis": _axis(found.unit),
        "curves": [{"run": run, "name": _label(name), **_spent(some)} for (run, name), some in curves.items()],
        "front": _spent(best) | {"of": [f"{letter(one.run)} · {_label(one.curve)}" for one in best]},
    }


def _spent(some: Sequence[Strategy]) -> Json:
    where = {"k": [one.k for one in some], "x": [one.cost for one in some]}
    return where | _points([(one.value, one.low, one.high) for one in some])


def pairs(found: Frontier) -> list[tuple[int, int]]:
    """The runs that can be compared at equal cost."""
    return list(dict.fromkeys(one.runs for one in found.even))


def _even(found: Frontier, runs: tuple[int, int]) -> Json:
    """The paired differences of two runs over cost, selector by selector."""
    curves: dict[str, list[Even]] = defaultdict(list)
    for one in found.even:
        if one.runs == runs:
            curves[one.curve].append(one)
    drawn = [
        {
            "name": _label(name),
            "x": [one.cost for one in some],
            "ks": [[round(k, 2) for k in one.ks] for one in some],
            **_points([(one.difference.value, one.difference.low, one.difference.high) for one in some]),
        }
        for name, some in curves.items()
    ]
    return {"axis": _axis(found.unit), "runs": [letter(run) for run in runs], "curves": drawn}


# -- the problems that can be filtered --------------------------------------------------------------------------------


def problems(runs: Sequence[Shown]) -> dict[str, list[Judged | None]]:
    """Problem id -> what each run has of it, the first run's problems first."""
    found: dict[str, list[Judged | None]] = defaultdict(lambda: [None] * len(runs))
    for place, run in enumerate(runs):
        for item in run.report.judged:
            found[item.problem.id][place] = item
    return dict(found)


def _problems(runs: Sequence[Shown], groups: Sequence[int]) -> list[Json]:
    rows = [{item.problem.id: row for row, item in enumerate(run.report.judged)} for run in runs]
    found = problems(runs)
    share = SEARCHED // max(1, len(found))
    return [
        {
            **_described(next(item.problem for item in held if item is not None), share),
            "group": group,
            "runs": [
                None if item is None else _held(run, item, of_run[name])
                for run, item, of_run in zip(runs, held, rows, strict=True)
            ],
        }
        for (name, held), group in zip(found.items(), groups, strict=True)
    ]


def _described(problem: Problem, share: int) -> Json:
    others = [f"{name.replace('_', ' ')} {value}" for name, value in problem.tags.items() if value]
    return {
        "id": problem.id,
        "title": problem.tags.get("title", ""),
        "tags": [problem.tags.get(name, "")[: 10 if name == breakdown.DATE else None] for name in TAGS],
        "more": [
            text for text in others if not text.startswith(("title ", *(f"{t.replace('_', ' ')} " for t in TAGS)))
        ],
        "words": problem.statement[:share],
    }


def _held(run: Shown, item: Judged, row: int) -> Json:
    """What a run has of a problem: per curve, in the page's order, the index of the chosen candidate (None if none) and
    the value at each k.
    """
    curves, correct = ordered(run.report), item.correct
    chosen = [curve.choices[item.problem.id].position for curve in curves]
    return {
        "n": len(item.candidates),
        "passed": int(sum(correct)),
        "chosen": [None if place is None else item.candidates[place].index for place in chosen],
        "right": [None if place is None else int(correct[place]) for place in chosen],
        "at": [[_number(float(value), 4) for value in curve.per_problem[row]] for curve in curves],
        "margins": [_number(found.per_problem[row], 4) for found in run.found.margins],
    }


# -- the candidates that can be opened --------------------------------------------------------------------------------


def candidate_groups(runs: Sequence[Shown]) -> Iterator[list[str]]:
    """Problems' candidates as JSON, in the order of `problems`, a few at a time."""
    group: list[str] = []
    for held in problems(runs).values():
        group.append(json.dumps(_opened(runs, held), separators=(",", ":")))
        if sum(map(len, group)) >= GROUP:
            yield group
            group = []
    if group:
        yield group


def _opened(runs: Sequence[Shown], held: Sequence[Judged | None]) -> Json:
    problem = next(item.problem for item in held if item is not None)
    return {
        "statement": _clipped(problem.statement),
        "starter": _clipped(problem.starter_code),
        "tests": [_test(test) for test in problem.public_tests],
        "runs": [None if item is None else _candidates(run, item) for run, item in zip(runs, held, strict=True)],
    }


def _clipped(text: str) -> Json:
    return {"text": text[:CLIP], "length": len(text)}


def _test(test: Test) -> Json:
    """A public test for people: what a program gets and what is expected of it."""
    if isinstance(test, Stdin):
        return {"input": _clipped(test.input), "expected": _clipped(test.output)}
    if isinstance(test, Check):
        return {"input": _clipped(test.code), "expected": _clipped("the check above returns")}
    args = ", ".join(text_of(value, CLIP) for value in test.args)
    return {"input": _clipped(f"{test.entry_point}({args})"), "expected": _clipped(text_of(test.returns, CLIP))}


def _candidates(run: Shown, item: Judged) -> Json:
    """The distinct programs of a problem and the candidates that have them, and what they cost."""
    report = run.report
    choices = [(curve.name, curve.choices[item.problem.id]) for curve in ordered(report)]
    programs: dict[tuple[bool, str], int] = {}
    told: list[Json] = []
    classes = _classes(item)
    rows = []
    for place, (candidate, grade) in enumerate(zip(item.candidates, item.grades, strict=True)):
        key = candidate.code is None, candidate.text if candidate.code is None else candidate.code
        if key not in programs:
            programs[key] = len(told)
            program = {"code": _clipped(key[1]), "raw": key[0], "class": classes[place]}
            told.append(program | _truth(grade))
        rows.append(_candidate(report, candidate, programs[key], [c for c in choices if c[1].position == place]))
    abstained = [[name, choice.why] for name, choice in choices if choice.position is None and name != ORACLE]
    return {
        "programs": told,
        "candidates": sorted(rows, key=lambda row: row["index"]),
        "abstained": abstained,
        "cost": spent_sentence(run.found.account.problems[item.problem.id]),
    }


def _truth(grade: Grade) -> Json:
    return {
        "passed": grade.verdict is Verdict.PASSED,
        "verdict": verdict_of(grade),
        "cost": cost_of(grade),
        "failed": grade.failed_test if grade.public else None,
        **{name: _clipped(getattr(grade, name)) for name in ("detail", "stderr", "got", "diff")},
    }


def _candidate(report: RunReport, candidate: Candidate, program: int, chosen: Sequence[tuple[str, Selection]]) -> Json:
    scores = [held.get(candidate.key) for held in report.scores.values()]
    return {
        "index": candidate.index,
        "program": program,
        "scores": [None if score is None else _number(score.value, 4) for score in scores],
        "said": [score_text(score) for score in scores],
        "logprob": _number(candidate.logprob, 4),
        "tokens": candidate.tokens,
        "finish": candidate.finish,
        "extraction": candidate.extraction,
        "truncated": candidate.truncated,
        "chosen": [[name, choice.why] for name, choice in chosen],
    }


def _classes(item: Judged) -> list[int | None]:
    """The number of each candidate's behaviour class, the largest being 1; None for one that is in none."""
    outputs = [None if b is None or not b.ran else b.outputs for b in item.behaviours]
    sizes = Counter(found for found in outputs if found is not None)
    rank = {found: place for place, (found, _) in enumerate(sizes.most_common(), 1)}
    return [None if found is None else rank[found] for found in outputs]
