"""What is said of a run in words: its verdict, what its numbers are, where its time went, what it was made with.

One wording for the terminal, the page and the files: each takes these sentences. Every number comes from `analysis.py`
and `breakdown.py`, and each is said to be exact or sampled.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from tts import breakdown, metrics, significance
from tts.analysis import Curve, Point, RunReport
from tts.breakdown import Part
from tts.errors import counted
from tts.margins import Margins
from tts.types import BASELINES, ORACLE, RANDOM, Grade, Score, Verdict
from tts.wording import interval, percent

NO_TAG = "none given"
TESTING = ("public_tests", "tests_then_score", "staged")  # scorers and selectors that need a problem's public tests
CUT_OFF = "length"  # how the sampling of an answer ended that reached max_tokens


def level(report: RunReport) -> str:
    """The level of a run's intervals, like 95%."""
    return f"{100 * report.config.report.level:g}%"


def ordered(report: RunReport) -> list[Curve]:
    """The curves as they are shown: in their order, random first, oracle last."""
    return sorted(report.curves, key=lambda curve: curve.name == ORACLE)


def summary_sentence(report: RunReport) -> str:
    """What the run came to in one sentence: the best selector at k = n beside random and oracle."""
    random, oracle = report.curve(RANDOM).points[-1].value, report.curve(ORACLE).points[-1].value
    baselines = f"random {percent(random)}%, oracle {percent(oracle)}%"
    chosen = _chosen(report)
    if not chosen:
        return f"No selector but the baselines at k = {report.n}: {baselines}."
    best, *equal = leaders(chosen)
    gain, point = best.over_random, best.points[-1]
    pick = f", the best of {len(chosen)} selectors" if len(chosen) > 1 else ""
    pick += f", tied with {', '.join(curve.name for curve in equal)}" if equal else ""
    unsure = f", no certain gain at {level(report)}" if gain.low <= 0 <= gain.high else ""
    nothing = math.isnan(best.efficiency)
    part = "nothing to gain by choosing" if nothing else f"{share(best.efficiency)} of what an oracle could gain"
    return (
        f"{best.name} at k = {point.k}{pick}: {marked(point)}% {interval(point.low, point.high)}, "
        f"{percent(gain.value, True)} points over random {interval(gain.low, gain.high, True)}{unsure}, {part} "
        f"({baselines})."
    )


def leaders(curves: Sequence[Curve]) -> list[Curve]:
    """Those that solve most at k = n, rounding apart, in their order."""
    top = max((curve.points[-1].value for curve in curves), default=0.0)
    return [curve for curve in curves if curve.points[-1].value >= top - metrics.SAME]


def most(report: RunReport) -> int:
    """The most candidates that a problem has; `n` is the least."""
    return max(len(item.candidates) for item in report.judged)


def _chosen(report: RunReport) -> list[Curve]:
    return [curve for curve in report.curves if curve.name not in BASELINES]


def share(efficiency: float) -> str:
    """A selection efficiency in percent; "-" where there was nothing to gain."""
    return "-" if math.isnan(efficiency) else f"{100 * efficiency:.0f}%"


def marked(point: Point) -> str:
    """The value in percent, with ~ before one that was sampled."""
    return ("~" if point.estimate == "sampled" else "") + percent(point.value)


def error(point: Point) -> str:
    """A sampled point's standard error with its sign; nothing for an exact one."""
    return f"±{percent(point.se)}" if point.estimate == "sampled" else ""


def notes(report: RunReport) -> list[str]:
    """What a reader of the numbers must know, a sentence or two each."""
    problems, largest = len(report.judged), most(report)
    n = f"n = {report.n}" if largest == report.n else f"n = {report.n} to {largest}"
    said = [
        f"{report.config.benchmark_label}: {counted(problems, 'problem')}, {n}, "
        f"{counted(report.graded, 'candidate')} graded; percent of problems solved.",
        *_not_whole(report),
        *_cut_off(report),
        f"[a, b] is a {level(report)} interval, a bootstrap over problems ('over random': over paired differences). "
        f"With {counted(problems, 'problem')} one problem is {round(100 / problems, 2):g} points.",
        *_cautions(report),
    ]
    if (many := len(_chosen(report))) > 1:
        said.append(
            f"The verdict's intervals are of its selector alone: that it was picked, as the best of {many} on these "
            "problems, favours it, and is not corrected for."
        )
    if any(point.estimate == "sampled" for curve in report.curves for point in curve.points):
        said.append("~ is sampled: an average over drawn subsets, ± its standard error; everything else is exact.")
    else:
        said.append("All values are exact averages over the ways to draw k of n.")
    if report.scores:
        said.append(f"Scores are {next(iter(report.scores))}'s unless a scorer is named after a colon.")
        tied = [f"those of {item.label} are {item.scorer}'s" for item in report.config.selectors if item.scorer]
        said += [f"But {', '.join(tied)}."] if tied else []
    said += _untested(report)
    said.append(f"'over random' and 'gained', the share of what an oracle gains over random, are at k = {report.n}.")
    said += [_unscored(label, why) for label, why in report.unscored.items() if why]
    return said + _errata(report) + _left_out(report)


def _untested(report: RunReport) -> list[str]:
    """On how many problems those that look at public tests have none to look at."""
    config = report.config
    scorers = {item.label for item in config.scorers if item.spec.name in TESTING}
    selectors = {item.label for item in config.selectors if item.spec.name in TESTING}
    names = [c.name for c in report.curves if c.selector in selectors or scorers.intersection(c.scorers)]
    none = sum(not item.problem.public_tests for item in report.judged)
    if not none or not names:
        return []
    return [
        f"{none} of {counted(len(report.judged), 'problem')} {'has' if none == 1 else 'have'} no public tests. There "
        f"{', '.join(names)} choose by what they fall back on: other scores where they have them, and of equal scores "
        "the highest log probability."
    ]


def _not_whole(report: RunReport) -> list[str]:
    said = f"Not the whole benchmark: {report.missing} of its problems (shard.part) missing."
    return [said] if report.missing else []


def _cut_off(report: RunReport) -> list[str]:
    count = report.finish[CUT_OFF]
    of = counted(report.graded, "answer")
    return [f"{count:,} of {of} {'was' if count == 1 else 'were'} cut off at max_tokens."] if count else []


def _cautions(report: RunReport) -> list[str]:
    """Where intervals look surer than they are: with problems so few that even a selector that alone solves them all is
    not surely better than another (McNemar), or all alike, so that resampling them changes nothing.
    """
    problems = len(report.judged)
    if significance.mcnemar(problems, 0) > 1 - report.config.report.level:
        few = counted(problems, "problem")
        return [f"Only {few}: intervals say little, and no difference can be certain at {level(report)}."]
    points = [point for curve in report.curves for point in curve.points]
    if any(percent(point.low) == percent(point.high) for point in points):
        return ["An interval without width says that all problems came out alike, not that the value is certain."]
    return []


def _errata(report: RunReport) -> list[str]:
    """The numbers once more without the problems whose verdicts are known not to be fair, if there are any."""
    found = breakdown.errata(report)
    if found is None:
        return []
    kinds = Counter(kind.replace("_", " ") for _, kind in found.problems)
    faulty = (
        f"{counted(len(found.problems), 'problem')} with errata ({', '.join(f'{n} {k}' for k, n in kinds.items())})"
    )
    if found.without is None:
        return [f"These are {faulty}, and no others."]
    values = [
        f"{curve.name} {marked(point)}% {interval(point.low, point.high)}" for curve, point in in_order(found.without)
    ]
    return [f"Without the {faulty}, at k = {report.n}: {', '.join(values)}."]


def in_order(part: Part) -> list[tuple[Curve, Point]]:
    """A part's curves as they are shown: in their order, random first, oracle last."""
    return sorted(part.points, key=lambda pair: pair[0].name == ORACLE)


def across(parts: Sequence[Part]) -> list[tuple[Curve, list[Point]]]:
    """Each curve, as they are shown, with its points over all parts."""
    return [(row[0][0], [point for _, point in row]) for row in zip(*(in_order(part) for part in parts), strict=True)]


def _unscored(label: str, why: Counter[str]) -> str:
    reasons = "; ".join(f"{count} {reason}" for reason, count in why.most_common(3))
    return f"{label} gave no score to {counted(why.total(), 'candidate')} with code ({reasons}): they rank last."


def _left_out(report: RunReport, most: int = 3) -> list[str]:
    if not report.left_out:
        return []
    first = "; ".join(f"{name} ({why})" for name, why in report.left_out[:most])
    more = f"; and {len(report.left_out) - most} more" if len(report.left_out) > most else ""
    return [f"{counted(len(report.left_out), 'problem')} left out, in no number here: {first}{more}."]


def over_random(curve: Curve, between: str = " ") -> str:
    """The paired difference to random at k = n, in points, and its interval; "-" for random itself."""
    if curve.name == RANDOM:
        return "-"
    gain = curve.over_random
    return f"{percent(gain.value, True)}{between}{interval(gain.low, gain.high, True)}"


def gained(curve: Curve) -> str:
    """The share of what an oracle gains over random; "-" for these two and where there is nothing to gain."""
    return "-" if curve.name in BASELINES else share(curve.efficiency)


def picture_caption(reports: Sequence[RunReport], drawn: Sequence[str]) -> str:
    """n, k, problems and interval of the picture of some selectors' curves, in words, and how many it leaves out."""
    of = level(reports[0])
    if len(reports) == 1:
        known = f"Bars at the right: {of} intervals at k = {reports[0].n}, a bootstrap over problems"
    else:
        widest = max((p.high - p.low) / 2 for report in reports for curve in report.curves for p in curve.points)
        known = f"{of} intervals (a bootstrap over problems) are up to ±{percent(widest)} points and not drawn"
    left = {c.name for report in reports for c in report.curves} - {*BASELINES, *drawn}
    others = f" Not drawn, but in report.html: {counted(len(left), 'more selector')}." if left else ""
    return f"{sizes(reports)}. {known}. Paired differences: see the table.{others}"


def curves_caption(reports: Sequence[RunReport]) -> str:
    """The same of the page's picture, where each curve can have its intervals drawn."""
    return (
        f"{sizes(reports)}. Shaded: {level(reports[0])} intervals of the selectors, a bootstrap over problems; "
        "those of two may overlap where their paired difference is certain. The table has all of them, and those of "
        "random and oracle. Tokens, FLOPs and wall seconds are means per problem; FLOPs are an estimate, 2 x "
        "parameters x tokens; wall seconds are of the models at work."
    )


def sizes(reports: Sequence[RunReport]) -> str:
    """Benchmark, problems, n and k of each run, in words."""
    return "; ".join(
        f"{report.config.benchmark_label}{f' ({name})' if len(reports) > 1 else ''}: "
        f"{counted(len(report.judged), 'problem')}, n = {report.n}, k = {', '.join(map(str, report.ks))}"
        for name, report in zip(run_names(reports), reports, strict=True)
    )


def heading(report: RunReport) -> str:
    """What was run, in a few words: benchmark, model and n."""
    generator = report.config.generator.spec
    model = str(generator.options.get("model", generator.name)).rstrip("/").split("/")[-1]
    return f"{report.config.benchmark_label} · {model} · n = {report.n}"


def run_names(reports: Sequence[RunReport]) -> list[str]:
    """Folder names, or whole paths where two runs would share one."""
    names = [report.folder.name for report in reports]
    return [name if names.count(name) == 1 else str(r.folder) for name, r in zip(names, reports, strict=True)]


def score_text(score: Score | None) -> str:
    """A score, or why there is none."""
    if score is None:
        return "not scored"
    return f"none ({score.why})" if score.value is None else f"{score.value:.3f}"


def verdict_of(grade: Grade) -> str:
    """The verdict in words, and how far a failing program came."""
    words = grade.verdict.replace("_", " ")
    if grade.verdict is Verdict.PASSED or not grade.tests:
        return words
    return f"{words} in test {grade.passed} of {grade.tests}, counted from 0"


def cost_of(grade: Grade) -> str:
    """What a program used; a run of an older format knows its processor time alone."""
    used = f"{grade.seconds:.2f} CPU seconds"
    return f"{used} in {grade.wall_seconds:.2f}, {grade.peak_mib:.0f} MiB" if grade.wall_seconds else used


def parts_note(report: RunReport) -> str:
    """What the intervals of a run's parts are."""
    return f"[a, b] is a {level(report)} interval, a bootstrap over the problems of that part alone."


def parts_caption(report: RunReport, tag: str, parts: Sequence[Part]) -> str:
    """Of a picture of a run's parts."""
    of = ", ".join(f"{part.problems:,} {part.name or NO_TAG}" for part in parts)
    return (
        f"{sizes([report])}. Percent solved at k = {report.n} by {tag} ({of}), of the selectors ticked above with "
        f"{level(report)} intervals, a bootstrap over the problems of that part alone; those of random and oracle are "
        "among the numbers below."
    )


def counts_caption(report: RunReport) -> str:
    """Of a picture that counts a run's candidates."""
    return (
        f"{sizes([report])}. All {counted(report.graded, 'candidate')} of these problems are counted, whatever k; "
        "counts have no interval."
    )


def margins_caption(report: RunReport, found: Margins) -> str:
    """Of a picture of what a scorer's margins are worth."""
    pairs, known = found.pairs, sum(one.right.problems for one in found.bins)
    scale = "" if math.isnan(pairs.scale.value) else f" (scale {pairs.scale.value:.3g})"
    return (
        f"{sizes([report])}. {found.scorer}: filled, how often its best candidate at k = n is right, by how far its "
        f"score lies above that of the best other program ({counted(known, 'problem')}); open, how often the higher of "
        "a right and a wrong candidate's scores is the right one's, by their difference "
        f"({counted(pairs.pairs, 'pair')} in {counted(pairs.scale.problems, 'problem')}); line, the same if "
        f"differences were log odds{scale}. {level(report)} intervals, a bootstrap over problems."
    )


def facts(report: RunReport) -> list[tuple[str, str]]:
    """What the run was made with."""
    known = {name: report.meta.get(name) for name in ("versions", "hardware", "commit", "sandbox")}
    return [("folder", str(report.folder)), *((name, _fact(value)) for name, value in known.items())]


def _fact(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_fact(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_fact, value))
    return "not known" if value is None else str(value)
