"""What is said of an audit: its saved JSON -> sections of tables, notes and warnings, whatever shows them.

Computes nothing: numbers are `audit.py`'s, and what each means is in docs/audit.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tts import rm_bench
from tts.audit_form import ASKED
from tts.errors import counted
from tts.rm_bench import STYLES

NONE = "-"
EVEN = 0.5  # mis-ranked by a scorer that knows nothing
FEW = 10  # problems from which an interval over them begins to say something
Found = Mapping[str, Any]
Cells = list[str]


@dataclass(frozen=True, slots=True)
class Rows:
    """A table: the first column says what a row is about; what is in column `aside` is left out for want of room."""

    headers: Cells
    rows: list[Cells]
    aside: int | None = None

    def narrow(self) -> "Rows":
        """Without that column."""
        if self.aside is None:
            return self
        (headers, *rows) = [row[: self.aside] + row[self.aside + 1 :] for row in [self.headers, *self.rows]]
        return Rows(headers, rows)


@dataclass(frozen=True, slots=True)
class Section:
    """What is shown under one heading: tables, a listing or none, notes, and what to beware of."""

    title: str
    tables: list[Rows] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    listing: str = ""
    warnings: list[str] = field(default_factory=list)


def sections(found: Found) -> list[Section]:
    """All of an audit, scorer by scorer. Raises KeyError or TypeError for what is no audit."""
    level = (found["pool"] or {}).get("level", 0.95)
    shown = [part for scorer in found["scorers"] for part in _of_scorer(scorer, level)]
    return shown + ([_agreement(found["agreement"], level)] if found["agreement"] else [])


def facts(found: Found) -> list[str]:
    """What was audited on what."""
    pool, names = found["pool"], ", ".join(scorer["label"] for scorer in found["scorers"])
    if pool is None:
        return [f"Audited: {names}; no graded run was given, so nothing is said of ranking programs by execution."]
    cut = f"A policy stopped the run: the first {pool['cut']} of each problem. " if pool.get("cut") else ""
    ungraded = f"{counted(pool['left_out'], 'problem')} without verdicts left out: `tts report` says why. "
    return [
        f"Audited: {names}, on {pool['folder']} ({pool['benchmark']}, {counted(pool['problems'], 'problem')}, "
        f"{counted(pool['candidates'], 'candidate')}). {cut}{ungraded if pool['left_out'] else ''}[a, b] is a "
        f"{100 * pool['level']:g}% interval, a bootstrap over problems."
    ]


def _of_scorer(scorer: Found, level: float) -> list[Section]:
    parts = [_form(scorer)]
    if scorer["ranks"] is not None:
        parts.append(_ranks(scorer, level))
    if scorer["probing"] is not None:
        parts.append(_probing(scorer))
    if scorer["rm_bench"] is not None:
        parts.append(_rm_bench(scorer))
    return parts


def _form(scorer: Found) -> Section:
    form, long = scorer["form"], scorer["overlong"]
    rows = _golden(form["self_test"])
    rows += [[_effect_name(effect), _moved(effect), _passed(effect["passed"])] for effect in form["effects"]]
    if long["count"] or (long["of"] and _is_model(form)):
        share = f"{long['count']} of {counted(long['of'], 'pair')} ({_percent(long['count'] / long['of'])}%)"
        rows.append(["too long to be scored", share, _passed(not long["count"])])
    missing = form["not_applicable"]
    if len(set(missing.values())) == 1:
        notes = [f"Not applicable ({', '.join(missing)}): {next(iter(missing.values()))}."]
    else:
        notes = [f"Not applicable: {name}: {why}" for name, why in missing.items()]
    warnings = [f"{scorer['label']}: {name} failed: {said}." for name, said, verdict in rows if verdict == "failed"]
    tables = [Rows(["check", "found", "verdict"], rows)] if rows else []
    return Section(f"{scorer['label']}: self-test and format", tables, notes, form["template"], warnings)


def _is_model(form: Found) -> bool:
    """Whether the scorer is a reward model: of any other nothing was asked, for one reason."""
    missing = form["not_applicable"]
    return len(set(missing.values())) != 1 or set(missing) != set(ASKED)


def _golden(found: Found | None) -> list[Cells]:
    if found is None:
        return []
    allowed = "order alone" if found["tolerance"] is None else f"within {found['tolerance']} of the card"
    said = "; ".join(
        f"{name} {value:.4f}" + ("" if published is None else f" (published {published:.4f})")
        for name, published, value in found["lines"]
    )
    return [[f"golden pair, {allowed}", said, _passed(found["passed"])]]


def _effect_name(effect: Found) -> str:
    return f"{effect['what']} (within {effect['tolerance']})"


def _moved(effect: Found) -> str:
    mean = f"mean {effect['mean']:.4f}, " if effect["mean"] is not None else ""
    pairs = f"{counted(effect['pairs'], 'pair')} whose scores have a standard deviation of {effect['spread']:.3g}"
    return f"{mean}at most {effect['largest']:.4f}, over {pairs}"


def _passed(fine: bool) -> str:
    return "passed" if fine else "failed"


def _ranks(scorer: Found, level: float) -> Section:
    ranks, label = scorer["ranks"], scorer["label"]
    orders = [
        ["AUC within problems", _number(ranks["auc_within"])],
        ["AUC across problems", _number(ranks["auc_across"])],
        ["Kendall's tau-b with correctness", _number(ranks["tau"])],
        ["Bradley-Terry scale", _scale(ranks["calibration"])],
    ]
    hits = {row["k"]: row for row in ranks["hits"]}
    by_k = [
        [str(row["k"]), *(_share(row[name]) for name in ("scorer", "random", "oracle")), *_hits(hits.get(row["k"]))]
        for row in ranks["best_of"]
    ]
    tables = [
        Rows(["order", f"value [{100 * level:g}% interval]"], orders),
        Rows(["k", "best of k %", "random %", "oracle %", "Hits@k %", "Hits@k, random %"], by_k),
    ]
    if ranks["calibration"]["bins"]:
        tables.append(_bins(ranks["calibration"]))
    return Section(f"{label}: on the graded pool", tables, _rank_notes(ranks), "", _rank_warnings(label, ranks))


def _hits(row: Found | None) -> Cells:
    return [NONE, NONE] if row is None else [_share(row["hits"]), _percent(row["random"])]


def _scale(calibration: Found) -> str:
    if calibration["pairs"] and calibration["scale"]["value"] is None:
        return "none: no pair is ordered rightly, or none wrongly"
    return _number(calibration["scale"])


def _bins(calibration: Found) -> Rows:
    rows = [
        [
            f"{one['low']:.3g} to {one['high']:.3g}",
            f"{one['pairs']:,}",
            _share(one["accuracy"]),
            _percent(one["fitted"]),
        ]
        for one in calibration["bins"]
    ]
    return Rows(["scores differ by", "pairs", "the higher one is right %", "by the fitted scale %"], rows)


def _rank_notes(ranks: Found) -> list[str]:
    notes = [
        f"{counted(ranks['scored'], 'candidate')} with a score; {counted(ranks['mixed'], 'problem')} with both right "
        "and wrong candidates, on which AUC within problems, tau, Hits@k and the calibration rest.",
        "AUC is the chance that a right program scores above a wrong one: 0.5 is chance. A ranking needs it within "
        "problems, a threshold for all problems needs it across.",
        _over_optimisation(ranks["over_optimisation"]),
    ]
    why = "; ".join(f"{count} {reason}" for reason, count in ranks["unscored"].items())
    return notes + ([f"Without a score, ranked last in best-of-k and Hits@k: {why}."] if why else [])


def _over_optimisation(found: Found | None) -> str:
    if found is None:
        return "With one k alone nothing can be said of over-optimisation."
    gap = found["difference"]
    said = "choosing among more makes it worse" if found["alarm"] else "no certain fall"
    return (
        f"Over-optimisation: best of {found['k']} less best of {found['best_k']}, the best smaller k, is "
        f"{_points(gap)} points: {said}."
    )


def _rank_warnings(label: str, ranks: Found) -> list[str]:
    warnings = []
    within = ranks["auc_within"]
    if within["low"] is None:
        return [f"{label}: no problem has right and wrong candidates with scores, so its order is not tested."]
    if within["problems"] < FEW:
        few = counted(within["problems"], "problem")
        return [f"{label}: only {few} have right and wrong candidates; from fewer than {FEW} nothing is concluded."]
    if (ranks["over_optimisation"] or {}).get("alarm"):
        warnings.append(f"{label}: {_over_optimisation(ranks['over_optimisation'])}")
    if within["high"] < 0.5:
        warnings.append(f"{label}: certain to order worse than chance within problems, AUC {_number(within)}.")
    elif within["low"] <= 0.5:
        warnings.append(f"{label}: not certain to order better than chance within problems, AUC {_number(within)}.")
    return warnings


def _probing(scorer: Found) -> Section:
    probing = scorer["probing"]
    rows = [_probe_row(one) for one in probing["results"]]
    rows += [
        ["all that break", "", "yes", *_totals(probing["results"], True), _share(probing["breaking"]), NONE],
        ["all that do not", "", "no", *_totals(probing["results"], False), _share(probing["harmless"]), NONE],
    ]
    notes = [
        f"Applied to {counted(probing['programs'], 'right program')}, and executed: only those that came out as meant "
        "are scored.",
        "Mis-ranked, of a change that breaks the program: it scores as high as the right one it was made of, or more. "
        "Of one that does not: comparisons with the problem's wrong candidates that come out otherwise.",
        "The shift is the mean change of the score.",
    ]
    if probing["undecided"]:
        notes.append(f"{counted(probing['undecided'], 'program')} could not be executed, and are in no number here.")
    if probing["why_unscored"]:
        notes.append(f"Without a score: {probing['why_unscored']}.")
    if not any(one["scored"] for one in probing["results"]):
        return Section(f"{scorer['label']}: probes", [], [*notes[3:], "No probe got a score, so nothing is shown."])
    headers = ["probe", "change", "breaks", "tried", "as meant", "scored", "mis-ranked %", "mean shift"]
    fooled = probing["breaking"]
    warnings = []
    if fooled["problems"] >= FEW and fooled["low"] > EVEN:
        warnings.append(
            f"{scorer['label']}: scores a program that was broken as high as the right one, or higher, in "
            f"{_share(fooled)} percent of the changes: more often than a coin would."
        )
    return Section(f"{scorer['label']}: probes", [Rows(headers, rows, aside=1)], notes, warnings=warnings)


def _probe_row(one: Found) -> Cells:
    shift = NONE if one["shift"] is None else f"{one['shift']:+.3f}"
    counts = [str(one[name]) for name in ("tried", "as_meant", "scored")]
    return [
        one["name"],
        one["about"],
        "yes" if one["breaks"] else "no",
        *counts,
        _share(one["misranked"]),
        shift,
    ]


def _totals(results: Sequence[Found], breaks: bool) -> Cells:
    mine = [one for one in results if one["breaks"] == breaks]
    return [str(sum(one[name] for one in mine)) for name in ("tried", "as_meant", "scored")]


def _rm_bench(scorer: Found) -> Section:
    found, title = scorer["rm_bench"], f"{scorer['label']}: RM-Bench"
    left = f"{counted(found['left_out'], 'row')} left out, since an answer got no score ({found['why']})."
    notes = [left] if found["left_out"] else []
    result = found["result"]
    if result is None:
        return Section(title, [], [*notes, "No row is left."])
    if found["left_out"]:
        notes.append("With rows left out, the figures are not comparable with published ones.")
    if result["missing"]:
        notes.append(f"No rows of {', '.join(result['missing'])}: they are in no average.")
    matrix = [[f"chosen {style}", *map(_percent, row)] for style, row in zip(STYLES, result["matrix"], strict=True)]
    headers = ["", *(f"rejected {style}" for style in STYLES)]
    tables = [Rows(headers, matrix), _beside_references(scorer["label"], result)]
    size = f"only {counted(result['rows'], 'row')} of RM-Bench"
    few = f"{scorer['label']}: {size}; from fewer than {FEW} nothing is concluded."
    return Section(title, tables, notes + _card_notes(), warnings=[few] * (result["rows"] < FEW))


def _beside_references(label: str, result: Found) -> Rows:
    names = ("code", "chat", "math", "safety")
    mine = [
        *(result["domains"].get(name) for name in names),
        *(result[n] for n in ("easy", "normal", "hard", "average")),
    ]
    rows = [[label, *(NONE if value is None else _percent(value) for value in mine)]]
    for one in rm_bench.REFERENCES:
        values = one.code, one.chat, one.math, one.safety, one.easy, one.normal, one.hard, one.average
        rows.append([one.model, *(f"{value:.1f}" for value in values)])
    return Rows(["percent", *names, "easy", "normal", "hard", "average"], rows)


def _card_notes() -> list[str]:
    notes = [
        f"The other rows are published figures, from {rm_bench.SOURCE}. A tie counts as wrong; an average is that of "
        "the domains, and hard is a plain answer against a fancier wrong one."
    ]
    return notes + [
        f"{one.model}: the card prints {one.printed} as its average, its own columns give {one.average:.1f}, which is "
        "shown."
        for one in rm_bench.REFERENCES
        if one.misprinted
    ]


def _agreement(pairs: Sequence[Found], level: float) -> Section:
    rows = [
        [
            f"{one['one']} and {one['other']}",
            _number(one["tau"]),
            _share(one["alike"]),
            _share(one["same_choice"]),
            _points(one["gain"]),
        ]
        for one in pairs
    ]
    headers = ["scorers", "tau-b", "pairs ordered alike %", "same choice %", "gain of the first, points"]
    notes = ["The gain is best of n by the first scorer less that by the second, paired problem by problem."]
    return Section("Agreement of scorers", [Rows(headers, rows)], notes)


def _number(interval: Found) -> str:
    return _with_ends(interval, lambda value: f"{value:.3f}")


def _share(interval: Found) -> str:
    return _with_ends(interval, _percent)


def _points(interval: Found) -> str:
    return _with_ends(interval, lambda value: f"{100 * value:+.1f}")


def _with_ends(interval: Found, shown: Any) -> str:
    if interval["value"] is None:
        return NONE
    ends = [NONE if interval[end] is None else shown(interval[end]) for end in ("low", "high")]
    return f"{shown(interval['value'])} [{', '.join(ends)}]"


def _percent(fraction: float | None) -> str:
    return NONE if fraction is None else f"{100 * fraction:.1f}"


def warnings(found: Found) -> list[str]:
    """What to beware of, of all scorers."""
    return [text for section in sections(found) for text in section.warnings]
