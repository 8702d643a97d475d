"""What runs took and what that bought, in words: tables, sentences and JSON of what `cost.py` and `frontier.py`
computed; others show them.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

from tts.analysis import RunReport
from tts.cost import UNITS, Account, PolicySavings, Spent, Unit
from tts.errors import counted
from tts.frontier import Even, Frontier
from tts.jsonl import without_nan
from tts.sentences import level, sizes
from tts.wording import Sheet, interval, percent

COLUMNS = {
    "prompt_tokens": "prompt tokens",
    "tokens": "tokens",
    "passes": "passes",
    "flops": "FLOPs",
    "cpu_seconds": "CPU seconds",
    "wall_seconds": "wall seconds",
    "peak_mib": "peak MiB",
}
NAMED = 3  # selectors of one point that are named
TELLING = 0.01  # of the whole, from which time that was lost is told
EXPONENT = 1e7  # from which numbers are written with one


def number(value: float | None) -> str:
    """A quantity in a table: three digits or so; a dash where it is not known."""
    if value is None:
        return "-"
    if value >= EXPONENT:
        return f"{value:.2e}".replace("e+", "e")
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


# One run.


def account_sheet(report: RunReport, account: Account) -> Sheet:
    """What each stage took, over all problems."""
    shown = [name for name in COLUMNS if any(getattr(stage, name) is not None for stage in account.stages)]
    return Sheet(
        title=f"cost of {report.folder.name}",
        headers=["stage", *(COLUMNS[name] for name in shown)],
        rows=[[stage.stage, *(number(getattr(stage, name)) for name in shown)] for stage in account.stages],
        notes=_account_notes(report, account),
    )


def spent_sentence(stages: Sequence[Spent]) -> str:
    """What the stages of one problem took, as far as it is known."""
    told = {
        stage.stage: [f"{number(value)} {words}" for name, words in COLUMNS.items() if (value := getattr(stage, name))]
        for stage in stages
    }
    return "; ".join(f"{stage}: {', '.join(parts)}" for stage, parts in told.items() if parts)


def _account_notes(report: RunReport, account: Account) -> list[str]:
    words = {"own_mib": "its own process", "gpu_mib": "the GPU"}
    top = {name: max(sizes.get(name, 0.0) for sizes in account.peak_mib.values()) for name in words if account.peak_mib}
    peaks = ", ".join(f"{words[name]} {number(size)}" for name, size in top.items() if size)
    return [
        f"{counted(len(account.problems), 'problem')}. FLOPs are an estimate: 2 x parameters x tokens. A prompt counts "
        "once for each problem. A pass is a call of a scorer's model. Wall seconds of a model are shared by tokens; of "
        "grading they are the programs' own, several at once and each distinct one once; of behaviours only the whole "
        "is known. - is not known, or the stage has none of it; 0 is none, as of a scorer without a model.",
        *_by_the_clock(report, account),
        *([f"Peak memory of the run in MiB: {peaks}. Of programs: in the table."] if peaks else []),
    ]


def _by_the_clock(report: RunReport, account: Account) -> list[str]:
    """What the run took as a whole, and why that is more than its stages."""
    if not account.wall_seconds:
        return []
    total = sum(account.wall_seconds.values())
    wall = ", ".join(f"{stage} {number(seconds)} s" for stage, seconds in account.wall_seconds.items())
    said = [
        f"The run itself by the clock, {counted(account.sessions, 'session')} added up: {wall}; {number(total)} s in "
        f"all, {total / report.graded:.2f} s per graded candidate. In that, and in no row, are loading, storing and "
        "waiting for a core.",
    ]
    if account.lost_seconds >= TELLING * total:
        said.append(
            f"{number(account.lost_seconds)} s of it the generator worked on candidates that are in no row: a session "
            "ended before they were finished, or another run has them."
        )
    if replaced := {stage: seconds for stage, seconds in account.replaced_seconds.items() if seconds}:
        shown = ", ".join(f"{stage} {number(seconds)} s" for stage, seconds in replaced.items())
        said.append(f"Not in these sums: {shown} for what was made again, since what makes it had changed.")
    return said


def pruned_sentences(report: RunReport) -> list[str]:
    """What selectors that prune would not have done of what the run did."""
    return [
        f"{curve.name} would have saved {saved.scores:,} of {counted(saved.of_scores, 'score')} "
        f"({percent(saved.scores / max(1, saved.of_scores))}%) and {saved.tests:,} of "
        f"{counted(saved.of_tests, 'run')} of a program on a public test "
        f"({percent(saved.tests / max(1, saved.of_tests))}%)."
        for curve in report.curves
        if (saved := curve.saved) is not None
    ]


def saved_sentences(found: PolicySavings, level: float) -> list[str]:
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


# Several runs.


def frontier_sheet(reports: Sequence[RunReport], found: Frontier) -> Sheet:
    """The strategies on the Pareto front, by cost."""
    points: dict[tuple[int, int, str, str, str], list[str]] = defaultdict(list)  # what is equal is one row
    for o in found.strategies:
        if o.on_front:
            points[o.run, o.k, number(o.cost), percent(o.value), interval(o.low, o.high)].append(o.curve)
    rows = [[f"{letter(run)} · {_several(names)}", str(k), *cells] for (run, k, *cells), names in points.items()]
    headers = ["run · selector", "k", f"cost ({found.unit})", "solved", f"{level(reports[0])} interval"]
    return Sheet(f"Pareto front: {lettered(reports)}", headers, rows, _frontier_notes(reports, found))


def _several(names: Sequence[str]) -> str:
    """Some names in a cell."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def letter(run: int) -> str:
    """What a run is called beside others."""
    return ascii_uppercase[run]


def _frontier_notes(reports: Sequence[RunReport], found: Frontier) -> list[str]:
    notes = [
        f"{counted(found.problems, 'common problem')}. Cost is the mean per problem in {UNITS[found.unit]}. "
        f"{len(found.strategies)} strategies; none of those shown is beaten in both cost and percent solved. "
        f"[a, b] is a {level(reports[0])} interval, a bootstrap over problems; the front is of point estimates.",
    ]
    if found.unknown:
        notes.append(f"Not every run knows its cost in {', '.join(found.unknown)}.")
    return notes


def lettered(reports: Sequence[RunReport]) -> str:
    """Which letter is which run."""
    return " · ".join(f"{letter} {report.folder}" for letter, report in zip(ascii_uppercase, reports, strict=False))


def even_sheet(reports: Sequence[RunReport], found: Frontier) -> Sheet:
    """Each two runs at equal cost, one row for each cost."""
    return Sheet(
        title=f"At equal cost: {lettered(reports)}",
        headers=["selector", "runs", f"cost ({found.unit})", "k", "k", "solved", "solved", "second - first"],
        rows=[_even_cells(one) for one in found.even],
        notes=[
            "At each cost that is a whole k of one run. A k that is not whole is a draw between its neighbours, "
            f"problem by problem. Differences are paired; [a, b] is a {level(reports[0])} interval, a bootstrap over "
            "problems."
        ],
        grouped=True,
    )


def _even_cells(one: Even) -> list[str]:
    gap, spent = one.difference, [f"{k:.4g}" for k in one.ks] + [percent(value) for value in one.values]
    beside = f"{percent(gap.value, True)} {interval(gap.low, gap.high, True)}"
    return [one.curve, " ".join(map(letter, one.runs)), number(one.cost), *spent, beside]


def verdict(reports: Sequence[RunReport], found: Frontier) -> list[str]:
    """For each two runs: at the greatest cost that both reach, who is better with the selector that solves most."""
    said = []
    for pair in dict.fromkeys(one.runs for one in found.even):
        mine = [one for one in found.even if one.runs == pair]
        dearest = {one.curve: one for one in mine}  # by cost, so the last of each is its dearest
        said.append(_verdict(reports, found.unit, max(dearest.values(), key=lambda one: max(one.values))))
    return said or ["No cost is within the reach of two runs with one selector: nothing to compare at equal cost."]


def _verdict(reports: Sequence[RunReport], unit: Unit, one: Even) -> str:
    gap, (a, b) = one.difference, map(letter, one.runs)
    of_b = f"{one.curves[1]} " if one.curves[1] != one.curves[0] else ""
    better = f"{b} is better" if gap.low > 0 else f"{a} is better" if gap.high < 0 else "no certain difference"
    return (
        f"At {number(one.cost)} {short(unit)} per problem, {one.curves[0]} solves {percent(one.values[0])}% in {a} "
        f"(k = {one.ks[0]:.4g}) and {of_b}{percent(one.values[1])}% in {b} (k = {one.ks[1]:.4g}): {better}, {b} - {a} "
        f"{percent(gap.value, True)} points {interval(gap.low, gap.high, True)} at {level(reports[0])}."
    )


def short(unit: Unit) -> str:
    """A unit of cost in a few words."""
    return UNITS[unit].split(",")[0]


def front_caption(reports: Sequence[RunReport], found: Frontier) -> str:
    """Of a picture of the Pareto front."""
    return (
        f"{sizes(reports)}; {counted(found.problems, 'common problem')}. Lines: the ticked selectors by the "
        f"cost of their k, the mean per problem in {UNITS[found.unit]}. Ink: the Pareto front, which nothing beats in "
        f"both cost and percent solved, with {level(reports[0])} intervals, a bootstrap over problems."
    )


def even_caption(reports: Sequence[RunReport], found: Frontier, runs: tuple[int, int]) -> str:
    """Of a picture of two runs at equal cost."""
    first, second = map(letter, runs)
    return (
        f"{sizes([reports[run] for run in runs])}; {counted(found.problems, 'common problem')}. {second} less {first} "
        f"at equal cost, paired problem by problem: above 0 {second} is better. Shaded: {level(reports[0])} intervals "
        "of the selectors, a bootstrap over problems."
    )


# JSON.


def account_json(account: Account) -> dict[str, Any]:
    """Numbers as they are; null where not known."""
    return without_nan(dataclasses.asdict(account))  # type: ignore[no-any-return]


def saved_json(found: PolicySavings) -> dict[str, Any]:
    """The same of what a policy saved."""
    return dataclasses.asdict(found)


def frontier_json(reports: Sequence[RunReport], found: Frontier) -> dict[str, Any]:
    """The comparison's numbers; `run` and `runs` are positions in `folders`."""
    return {"folders": [str(report.folder) for report in reports], **without_nan(dataclasses.asdict(found))}
