"""What a run took, by problem and stage; what k of n candidates would take; what a policy saved. Data, from what
`analysis.py` read; nothing is shown here.

Floating point operations are an estimate: 2 x parameters x tokens, for each token that a model runs, read or written
(the forward pass without attention's quadratic part). A prompt counts once for each problem, since generators share it
among candidates; what a cancelled candidate had written is not known and not counted, its time is.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tts import analysis, metrics, pipeline, plugins
from tts.analysis import Curve, Judged, RunReport
from tts.protocols import Selector
from tts.stopping import worth
from tts.types import Score

Unit = Literal["k", "tokens", "flops", "seconds"]
UNITS: dict[Unit, str] = {
    "k": "candidates",
    "tokens": "generator tokens",
    "flops": "FLOPs, an estimate: 2 x parameters x tokens",
    "seconds": "wall seconds, of the models at work",
}
FLOPS_PER_PARAMETER = 2


@dataclass(frozen=True, slots=True)
class Spent:
    """What one stage ("generate", "score LABEL", "grade" or "behaviours") took, for a problem or for all. None is not
    known, or not of this stage.

    `prompt_tokens` are those of the prompts, once for each problem, `tokens` those that the generator wrote or a scorer
    ran; `passes` forward passes; `cpu_seconds` of the graded programs, each distinct one once; `wall_seconds` of the
    model, shared by tokens among what it finished, or of the programs; `peak_mib` the most that one program took.
    """

    stage: str
    prompt_tokens: float | None = None
    tokens: float | None = None
    passes: float | None = None
    flops: float | None = None
    cpu_seconds: float | None = None
    wall_seconds: float | None = None
    peak_mib: float | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """A run's cost: each problem's stages by problem id, and the sums over problems, with "behaviours" last, of which
    only the whole is known. `wall_seconds` and `peak_mib` are the run's own over all its `sessions`, by what was
    running: "generate and score", "grade", "behaviours"; `peak_mib` of the process and of the GPU. `lost_seconds` are
    the generator's, of candidates that no session finished; `replaced_seconds` those of grading and observing by stage
    that were done again, since a grader changed: they are in no row and not in `wall_seconds`.
    """

    problems: dict[str, tuple[Spent, ...]]
    stages: tuple[Spent, ...]
    wall_seconds: dict[str, float]
    peak_mib: dict[str, dict[str, float]]
    sessions: int
    lost_seconds: float
    replaced_seconds: dict[str, float]


def account(report: RunReport) -> Account:
    """What the problems took that are in the run's numbers, and the run as a whole."""
    problems = {item.problem.id: tuple(_stages(report, item)) for item in report.judged}
    wall = dict(report.meta.get("timings") or {})
    observed = [Spent(pipeline.BEHAVIOURS, wall_seconds=wall[name]) for name in wall if name == pipeline.BEHAVIOURS]
    sessions = report.meta.get("sessions") or []
    return Account(
        problems=problems,
        stages=(*(_sum(stage) for stage in zip(*problems.values(), strict=True)), *observed),
        wall_seconds=wall,
        peak_mib=dict(report.meta.get("peaks") or {}),
        sessions=max(1, len(sessions)),  # older runs kept no record of them
        lost_seconds=max(0.0, _drawing(sessions) - _finished(report)),
        replaced_seconds=dict(report.meta.get("replaced") or {}),
    )


def _drawing(sessions: Sequence[Mapping[str, Any]]) -> float:
    """How long the generator was at work."""
    return math.fsum((one.get("busy_seconds") or {}).get(pipeline.GENERATE, 0.0) for one in sessions)


def _finished(report: RunReport) -> float:
    """How long it was at work on candidates that are there."""
    return math.fsum(seconds for (stage, _), seconds in report.spent.items() if stage == pipeline.GENERATE)


def _stages(report: RunReport, item: Judged) -> Iterable[Spent]:
    prompt, written = item.candidates[0].prompt_tokens, _all(c.tokens for c in item.candidates)
    yield Spent(
        stage=pipeline.GENERATE,
        prompt_tokens=prompt,
        tokens=written,
        flops=_flops(_parameters(report, None), _all([prompt, written])),
        wall_seconds=report.spent.get((pipeline.GENERATE, item.problem.id)),
    )
    for label in report.scores:
        yield _scored(report, item, label)
    programs = {grade.program: grade for grade in item.grades if grade.program}.values()
    yield Spent(
        stage="grade",
        cpu_seconds=math.fsum(grade.seconds for grade in programs),
        wall_seconds=math.fsum(grade.wall_seconds for grade in programs),
        peak_mib=max((grade.peak_mib for grade in programs), default=0.0),
    )


def scoring(label: str) -> str:
    """The stage in which a scorer is at work."""
    return f"score {label}"


def _scored(report: RunReport, item: Judged, label: str) -> Spent:
    scores = _scores(report, item, label)
    tokens = _all(score.tokens for score in scores)
    return Spent(
        stage=scoring(label),
        tokens=tokens,
        passes=_all(score.passes for score in scores),
        flops=_flops(_parameters(report, label), tokens),
        wall_seconds=report.spent.get(((report.meta.get("scorers") or {}).get(label, ""), item.problem.id)),
    )


def _scores(report: RunReport, item: Judged, label: str) -> list[Score]:
    """A scorer's scores of candidates; what has no value was not run."""
    found = (report.scores[label].get(candidate.key) for candidate in item.candidates)
    return [score for score in found if score is not None and score.value is not None]


def _all(values: Iterable[float | None]) -> float | None:
    """The sum, or None if a part is not known."""
    found = list(values)
    known = [value for value in found if value is not None]
    return math.fsum(known) if len(known) == len(found) else None


def _flops(parameters: int | None, tokens: float | None) -> float | None:
    if parameters == 0:
        return 0.0
    return None if parameters is None or tokens is None else FLOPS_PER_PARAMETER * parameters * tokens


def _parameters(report: RunReport, label: str | None) -> int | None:
    """Of the generator (None) or a scorer; 0 of a scorer without a model, None where not known."""
    known = report.meta.get("parameters") or {}
    found: int | None = known.get("generator") if label is None else known.get("scorers", {}).get(label)
    return 0 if found is None and label is not None and not _has_model(report, label) else found


def _has_model(report: RunReport, label: str) -> bool:
    spec = next(item.spec for item in report.config.scorers if item.label == label)
    return any(option.name == "model" for option in plugins.options(plugins.find("scorer", spec.name)))


def _sum(stages: Sequence[Spent]) -> Spent:
    peaks = [stage.peak_mib for stage in stages if stage.peak_mib is not None]
    return Spent(
        stage=stages[0].stage,
        prompt_tokens=_all(stage.prompt_tokens for stage in stages),
        tokens=_all(stage.tokens for stage in stages),
        passes=_all(stage.passes for stage in stages),
        flops=_all(stage.flops for stage in stages),
        cpu_seconds=_all(stage.cpu_seconds for stage in stages),
        wall_seconds=_all(stage.wall_seconds for stage in stages),
        peak_mib=max(peaks, default=None),
    )


# What k candidates would take.


@dataclass(frozen=True, slots=True)
class Rates:
    """What k candidates of each problem take on average over the ways to draw them: fixed + k * each, both (P,)."""

    fixed: metrics.Floats
    each: metrics.Floats

    def at(self, k: float) -> float:
        """The mean over problems at k."""
        return float((self.fixed + k * self.each).mean())

    def k_at(self, cost: float) -> float:
        """The k, not whole, at which the mean over problems is `cost`; infinite where candidates cost nothing."""
        each = float(self.each.mean())
        return (cost - float(self.fixed.mean())) / each if each > 0 else math.inf


def rates(
    report: RunReport, taken: Account, scorers: Sequence[str], unit: Unit, rows: Sequence[int] | None = None
) -> Rates | None:
    """What candidates take that are chosen from with these scorers, by label, for all problems or those in some rows,
    by what the run has `taken`; None where it does not know. What a scorer spends on a problem's shared question is
    taken as it was at n.
    """
    items = report.judged if rows is None else [report.judged[row] for row in rows]
    size = _parameters(report, None)
    found = [_rate(taken.problems[item.problem.id], len(item.candidates), size, scorers, unit) for item in items]
    known = [pair for pair in found if pair is not None]
    if len(known) < len(found):
        return None
    fixed, each = np.array(known, dtype=np.float64).T
    return Rates(fixed, each)


def _rate(
    stages: Sequence[Spent], n: int, size: int | None, scorers: Sequence[str], unit: Unit
) -> tuple[float, float] | None:
    """(fixed, each) of one problem with n candidates by a generator of `size` parameters."""
    if unit == "k":
        return 0.0, 1.0
    drawn, *rest = stages
    used = set(map(scoring, scorers))
    rated = [stage for stage in rest if stage.stage in used]
    if unit == "tokens":
        return None if drawn.tokens is None else (0.0, drawn.tokens / n)
    if unit == "seconds":
        seconds = _all(stage.wall_seconds for stage in (drawn, *rated))
        return None if seconds is None else (0.0, seconds / n)
    rating = _all(stage.flops for stage in rated)
    if size is None or rating is None or drawn.prompt_tokens is None or drawn.tokens is None:
        return None
    per_token = FLOPS_PER_PARAMETER * size
    return per_token * drawn.prompt_tokens, (per_token * drawn.tokens + rating) / n


def axis(report: RunReport, taken: Account, curve: Curve, unit: Unit) -> tuple[float, ...] | None:
    """Where a curve's points lie on an axis: the mean over problems of what each k takes; None where not known."""
    found = rates(report, taken, curve.scorers, unit)
    return None if found is None else tuple(found.at(point.k) for point in curve.points)


# What a policy saved.


@dataclass(frozen=True, slots=True)
class Outcome:
    """One selector's accuracy on what a live policy decided on, with its interval; `answers` counts the problems where
    the policy itself chose.
    """

    selector: str
    value: float
    low: float
    high: float
    answers: int


@dataclass(frozen=True, slots=True)
class PolicySavings:
    """What a live policy saved. Of at most `most` candidates, `drawn` were, `used` of them decided upon, `cancelled`
    were dropped on their way; `tokens` were written, and `tokens_saved` would have been by those not drawn, at their
    problems' mean length (None where tokens are not known).
    """

    policy: str
    problems: int
    most: int
    drawn: int
    used: int
    cancelled: int
    tokens: float | None
    tokens_saved: float | None
    outcomes: tuple[Outcome, ...]


def saved(report: RunReport) -> PolicySavings | None:
    """What the run's policy saved, and how good what it stopped at is; None of a run without a policy."""
    stops, chosen = report.meta.get("stops"), report.config.stopping
    if stops is None or chosen is None:
        return None
    n_max: dict[str, int] = stops["n_max"]
    tokens = [_all(c.tokens for c in item.candidates) for item in report.judged]
    missing = [max(0, n_max[item.problem.id] - len(item.candidates)) for item in report.judged]
    lengths = zip(tokens, missing, report.judged, strict=True)
    return PolicySavings(
        policy=chosen.spec.name,
        problems=len(report.judged),
        most=sum(n_max[item.problem.id] for item in report.judged),
        drawn=sum(len(item.candidates) for item in report.judged),
        used=sum(report.stops[item.problem.id].wanted for item in report.judged),
        cancelled=int(stops["cancelled"]),
        tokens=_all(tokens),
        tokens_saved=_all(None if t is None else t / len(item.candidates) * gone for t, gone, item in lengths),
        outcomes=tuple(_outcome(report, item.label) for item in report.config.selectors),
    )


def _outcome(report: RunReport, label: str) -> Outcome:
    spec = next(item.spec for item in report.config.selectors if item.label == label)
    selector: Selector = plugins.build("selector", spec, f"selector {label!r}", seed=report.config.seed)
    scores = next(iter(report.scores.values()), {})
    decided = [(item, report.stops[item.problem.id]) for item in report.judged]
    right = [worth(one, selector, analysis.pool_of(item, scores, report.scores), item.correct) for item, one in decided]
    options = report.config.report
    low, high = metrics.bootstrap_interval(right, options.resamples, options.level, report.config.seed)
    answers = sum(decision.answer is not None for _, decision in decided)
    return Outcome(label, float(np.mean(right)), low, high, answers)
