"""The probes at work: right programs of a run changed, executed, and scored.

What is meant to break and passes all tests all the same is left out, and so is the reverse: execution decides what a
change did to a program. What the changes are is `probes.py`'s business.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tts import probes, ranking
from tts.analysis import Judged
from tts.errors import DataError
from tts.grade import GradeJob, Grader, leading_public
from tts.ledger import Ledger, key_of
from tts.pipeline import Progress
from tts.probes import PROBES, REFORMATTED, Probe
from tts.protocols import Benchmark
from tts.ranking import Bootstrap, Interval
from tts.scoring import Scores, Scoring
from tts.types import Candidate, Grade, Problem, Verdict, program_hash

GIVEN = "given"
WITHOUT = "leave what is changed out: `tts audit --probes 0`, `tts pairs --mutants 0`."


@dataclass(frozen=True, slots=True)
class Trial:
    """A right program of a problem, `base`, and what a probe made of it."""

    item: Judged
    probe: Probe
    base: str
    made: str

    @property
    def problem(self) -> Problem:
        """The problem that both are for."""
        return self.item.problem


@dataclass(frozen=True, slots=True)
class Tried:
    """The trials by what came of them: those that are `as_meant` are scored. `undecided` are our own failures."""

    programs: int
    trials: tuple[Trial, ...]
    as_meant: tuple[Trial, ...]
    undecided: int


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One probe. `tried` programs it applied to, `as_meant` those that execution confirmed, `scored` those of them with
    both scores.

    `misranked`, of one that breaks: the share that score as high as the right program they were made of, or higher; of
    one that does not: the share of comparisons with the problem's wrong candidates that come out otherwise. `shift` is
    the mean change of the score.
    """

    name: str
    breaks: bool
    about: str
    tried: int
    as_meant: int
    scored: int
    misranked: Interval
    shift: float


@dataclass(frozen=True, slots=True)
class Probing:
    """All probes, and the share mis-ranked over those that break and those that do not. `why_unscored` says why there
    is no score, where there is none.
    """

    programs: int
    undecided: int
    results: tuple[ProbeResult, ...]
    breaking: Interval
    harmless: Interval
    why_unscored: str


def make(judged: Sequence[Judged], per_problem: int) -> list[Trial]:
    """Every probe on up to `per_problem` different right programs of each problem, in the candidates' order."""
    return [trial for item in judged for code in _right(item)[:per_problem] for trial in _trials(item, code)]


def _right(item: Judged) -> list[str]:
    """The right programs, those of one layout-free text once."""
    codes: dict[str, str] = {}
    for candidate, right in zip(item.candidates, item.correct, strict=True):
        text = None if candidate.code is None or not right else probes.plain(candidate.code)
        if text is not None:
            codes.setdefault(text, candidate.code or "")
    return list(codes.values())


def _trials(item: Judged, code: str) -> list[Trial]:
    text = probes.plain(code) or code
    bases = [(probe, code if probe.name == REFORMATTED else text) for probe in PROBES]
    made = [(probe, base, probes.apply(probe, base, item.problem)) for probe, base in bases]
    return [Trial(item, probe, base, code) for probe, base, code in made if code is not None]


def execute(trials: Sequence[Trial], benchmark: Benchmark, grader: Grader, ledger: Ledger, progress: Progress) -> Tried:
    """Grade what the probes made, and the programs that they were made of. Raises DataError for a benchmark that is not
    the one of the run.
    """
    problems = {trial.problem.id: trial.problem for trial in trials}
    _check_unchanged(problems, benchmark)
    codes: dict[str, dict[str, str]] = defaultdict(dict)
    for trial in trials:
        codes[trial.problem.id] |= {program_hash(code): code for code in (trial.base, trial.made)}
    passed = _verdicts(codes, problems, benchmark, grader, ledger, progress)
    known = [t for t in trials if passed.keys() >= {_key(t, t.base), _key(t, t.made)}]
    as_meant = [t for t in known if passed[_key(t, t.base)] and passed[_key(t, t.made)] != t.probe.breaks]
    programs = len({(t.problem.id, probes.plain(t.base)) for t in trials})
    return Tried(programs, tuple(trials), tuple(as_meant), len(trials) - len(known))


def _key(trial: Trial, code: str) -> tuple[str, str]:
    return trial.problem.id, program_hash(code)


def _check_unchanged(problems: Mapping[str, Problem], benchmark: Benchmark) -> None:
    try:
        now = {problem.id: problem.digest for problem in benchmark.problems()}
    except DataError as error:
        raise DataError(
            f"{error} Changed programs are executed on the run's benchmark: start where the run was, or {WITHOUT}"
        ) from error
    for name, problem in problems.items():
        if now.get(name) != problem.digest:
            raise DataError(
                f"Problem {name!r} is not in the benchmark as it was when the run was made, so what is made of its "
                f"programs cannot be executed. Restore the benchmark's file, or {WITHOUT}"
            )


def _verdicts(
    codes: Mapping[str, Mapping[str, str]],
    problems: Mapping[str, Problem],
    benchmark: Benchmark,
    grader: Grader,
    ledger: Ledger,
    progress: Progress,
) -> dict[tuple[str, str], bool]:
    """Whether each program passes, by problem and program; nothing for what our own machinery failed on."""
    keys = {(name, h): _fact_key(grader, problems[name], h) for name, mine in codes.items() for h in mine}
    facts = {pair: ledger.find("verdict", key) for pair, key in keys.items()}
    passed = {pair: bool(fact["passed"]) for pair, fact in facts.items() if fact is not None}
    progress.stage("run changed programs", len(keys), len(passed))
    for name, mine in codes.items():
        missing = [code for h, code in mine.items() if (name, h) not in passed]
        for grade in grader.grade(_jobs(problems[name], missing, benchmark)) if missing else ():
            if isinstance(grade, Grade):
                pair = name, grade.program
                passed[pair] = grade.verdict is Verdict.PASSED
                ledger.keep("verdict", keys[pair], passed=passed[pair])
            progress.advance("run changed programs")
    return passed


def _fact_key(grader: Grader, problem: Problem, program: str) -> str:
    return key_of(grader.version, problem.id, problem.digest, program)


def _jobs(problem: Problem, codes: Sequence[str], benchmark: Benchmark) -> list[GradeJob]:
    tests = benchmark.tests(problem.id)
    public = leading_public(problem, tests)
    return [GradeJob(problem.id, code, tests, public) for code in codes]


def score(tried: Tried, scoring: Scoring, pool: Scores, how: Bootstrap) -> Probing:
    """The scorer on the trials that are as meant; `pool` holds its scores of the run's own candidates."""
    codes = list(dict.fromkeys((t.problem.id, code) for t in tried.as_meant for code in (t.base, t.made)))
    problems = {t.problem.id: t.problem for t in tried.as_meant}
    pairs = [(problems[name], Candidate(name, i, code, code, GIVEN)) for i, (name, code) in enumerate(codes)]
    scores = scoring.scores("probes", pairs)
    values = {(p.id, c.code): scores[c.key].value for p, c in pairs}
    measured = [_measured(trial, values, pool) for trial in tried.as_meant]
    results = tuple(_result(probe, tried, measured, how) for probe in PROBES)
    whys = sorted({found.why for found in scores.values() if found.value is None})
    return Probing(
        programs=tried.programs,
        undecided=tried.undecided,
        results=results,
        breaking=_by_problem([m for m in measured if m.trial.probe.breaks], how),
        harmless=_by_problem([m for m in measured if not m.trial.probe.breaks], how),
        why_unscored="; ".join(whys[:3]),
    )


@dataclass(frozen=True, slots=True)
class _Measured:
    """A trial's share mis-ranked and its score's change; NaN where there is none."""

    trial: Trial
    misranked: float
    shift: float


def _measured(trial: Trial, values: Mapping[tuple[str, str | None], Any], pool: Scores) -> _Measured:
    base, made = values[trial.problem.id, trial.base], values[trial.problem.id, trial.made]
    if base is None or made is None:
        return _Measured(trial, np.nan, np.nan)
    if trial.probe.breaks:
        return _Measured(trial, float(made >= base), made - base)
    wrong = [pool[c.key].value for c, right in zip(trial.item.candidates, trial.item.correct, strict=True) if not right]
    others = np.array([value for value in wrong if value is not None])
    turned = np.sign(base - others) != np.sign(made - others)
    return _Measured(trial, float(turned.mean()) if len(others) else np.nan, made - base)


def _by_problem(measured: Sequence[_Measured], how: Bootstrap) -> Interval:
    """The mean over problems of the mean over a problem's trials."""
    found: dict[str, list[float]] = defaultdict(list)
    for one in measured:
        if not np.isnan(one.misranked):
            found[one.trial.problem.id].append(one.misranked)
    return ranking.mean([float(np.mean(values)) for values in found.values()], how)


def _result(probe: Probe, tried: Tried, measured: Sequence[_Measured], how: Bootstrap) -> ProbeResult:
    mine = [one for one in measured if one.trial.probe is probe]
    shifts = [one.shift for one in mine if not np.isnan(one.shift)]
    return ProbeResult(
        name=probe.name,
        breaks=probe.breaks,
        about=probe.about,
        tried=sum(trial.probe is probe for trial in tried.trials),
        as_meant=len(mine),
        scored=len(shifts),
        misranked=_by_problem(mine, how),
        shift=float(np.mean(shifts)) if shifts else np.nan,
    )
