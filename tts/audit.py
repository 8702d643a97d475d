"""Can a scorer be trusted? One result for each scorer: its form, RM-Bench, a graded run, probes.

Puts the parts together and returns data; `audit_report.py` shows it. Scores that the run holds for a scorer of the same
options are taken from there, everything else that was computed is in the ledger, so that an interrupted audit goes on.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from tts import analysis, audit_form, audit_pool, audit_probing, environment, planning, plugins, ranking, rm_bench
from tts.analysis import Judged
from tts.audit_form import Form
from tts.audit_pool import Agreement, Ranks
from tts.audit_probing import Probing, Tried
from tts.config import Config, Labelled
from tts.errors import StoreError
from tts.grade import Grader
from tts.ledger import Ledger
from tts.pipeline import Progress
from tts.sandbox import Confinement
from tts.scoring import Pair, Scores, Scoring
from tts.store import Store, open_for_reading
from tts.types import Candidate, Problem, Score

VERSION = 1  # of what is saved
FILE = "audit.jsonl"


@dataclass(frozen=True, slots=True)
class Asked:
    """What to audit on what: `probes` right programs of each problem are probed, 0 leaves the probes out; `dtype` False
    leaves out scoring in another dtype.
    """

    scorers: tuple[Labelled, ...]
    pool: Path | None = None
    rm_bench: Path | None = None
    probes: int = 2
    dtype: bool = True


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """The run that scorers were audited on; `level` of its intervals. `cut` is None, or how many of each problem's
    candidates were looked at in a run that a policy stopped: the first that all decisions are about.
    """

    folder: str
    benchmark: str
    problems: int
    candidates: int
    left_out: int
    level: float
    cut: int | None = None


@dataclass(frozen=True, slots=True)
class OnRmBench:
    """RM-Bench's numbers over the rows whose six answers all got a score; `left_out` had one that did not, and
    `why` says why. `result` is None if no row is left.
    """

    result: rm_bench.Result | None
    left_out: int
    why: str


@dataclass(frozen=True, slots=True)
class Overlong:
    """How many pairs were too long for the scorer, and of how many that have code."""

    count: int
    of: int


@dataclass(frozen=True, slots=True)
class ScorerAudit:
    """All about one scorer; None for what was not asked for."""

    label: str
    name: str
    identity: str
    form: Form
    overlong: Overlong
    rm_bench: OnRmBench | None
    ranks: Ranks | None
    probing: Probing | None


@dataclass(frozen=True, slots=True)
class Audit:
    """The whole result, as it is saved."""

    version: int
    pool: PoolFacts | None
    scorers: tuple[ScorerAudit, ...]
    agreement: tuple[Agreement, ...]
    made_with: dict[str, Any]

    @property
    def undecided(self) -> int:
        """Programs that our own machinery could not execute."""
        return max((one.probing.undecided for one in self.scorers if one.probing), default=0)


@dataclass(frozen=True, slots=True)
class _Pool:
    """A graded run: its problems, its config, and the store for what it has of a scorer."""

    store: Store
    config: Config
    judged: list[Judged]
    left_out: int
    ks: tuple[int, ...]
    cut: int | None

    @property
    def pairs(self) -> list[Pair]:
        """Every candidate with its problem."""
        return [(item.problem, c) for item in self.judged for c in item.candidates]

    @property
    def how(self) -> ranking.Bootstrap:
        """How the run's own intervals are made."""
        return ranking.Bootstrap(self.config.report.resamples, self.config.report.level, self.config.seed)


def audit(
    asked: Asked, folder: Path, progress: Progress, confined: Callable[[Confinement], object] = lambda _: None
) -> Audit:
    """Do what of the audit is not in the folder's ledger yet. `confined` is told how programs are confined, if any are
    run.

    Raises UserError for what a user can mend; whatever was found stays in the ledger.
    """
    with ExitStack() as closing:
        pool = None if asked.pool is None else _opened(closing.enter_context(open_for_reading(asked.pool)))
        rows = None if asked.rm_bench is None else rm_bench.read(asked.rm_bench)
        ledger = closing.enter_context(Ledger(folder / FILE))
        scorers = [_scoring(item, pool, ledger, progress) for item in asked.scorers]
        for one in scorers:
            closing.callback(getattr(one.scorer, "close", lambda: None))
            getattr(one.scorer, "check", lambda: None)()
        tried = _tried(pool, asked.probes, ledger, progress, confined) if pool and asked.probes else None
        found = [_one(one, asked, pool, rows, tried) for one in scorers]
        held = [(one.label, scores) for one, (_, scores) in zip(scorers, found, strict=True)]
        agreement = _agreement(pool, held) if pool else ()
        facts = None if pool is None else _facts(pool)
    made_with = {"versions": environment.versions(), "hardware": environment.hardware()}
    return Audit(VERSION, facts, tuple(result for result, _ in found), agreement, made_with)


def _opened(store: Store) -> _Pool:
    config = analysis.stored_config(store)
    judged, left_out, stops = analysis.settled(store, config)
    if not judged:
        raise StoreError(f"{store.folder} has no graded candidates yet. Continue it with the same `tts run`.")
    n = analysis.least(judged, stops)
    fair = judged if stops is None else [item.first(n) for item in judged]
    ks = analysis.choose_ks(n, config.ks)
    return _Pool(store, config, fair, len(left_out), ks, None if stops is None else n)


def _facts(pool: _Pool) -> PoolFacts:
    return PoolFacts(
        folder=str(pool.store.folder),
        benchmark=pool.config.benchmark.name,
        problems=len(pool.judged),
        candidates=len(pool.pairs),
        left_out=pool.left_out,
        level=pool.how.level,
        cut=pool.cut,
    )


def _scoring(item: Labelled, pool: _Pool | None, ledger: Ledger, progress: Progress) -> Scoring:
    """A scorer with the identity that a run with the pool's settings stores its scores under."""
    context = pool.config.context() if pool else {}
    built = plugins.build("scorer", item.spec, f"scorer {item.label!r}", **context)
    identity = plugins.fingerprint(item.spec.name, built)
    return Scoring(item.label, identity, planning.planned_alone(item.spec, built), ledger, progress)


def _tried(
    pool: _Pool, per_problem: int, ledger: Ledger, progress: Progress, confined: Callable[[Confinement], object]
) -> Tried:
    """The probes, executed under the run's limits."""
    trials = audit_probing.make(pool.judged, per_problem)
    if not trials:
        return Tried(0, (), (), 0)
    given = pool.config.grading
    grader = Grader(given.limits, given.workers, isolation=given.isolation, level=given.level)
    confined(grader.confinement)
    benchmark = plugins.build("benchmark", pool.config.benchmark, "benchmark")
    return audit_probing.execute(trials, benchmark, grader, ledger, progress)


def _one(
    scoring: Scoring, asked: Asked, pool: _Pool | None, rows: Sequence[rm_bench.Row] | None, tried: Tried | None
) -> tuple[ScorerAudit, Scores]:
    """One scorer's audit, and its scores of the pool. The model is given back before the next one's turn."""
    held = scoring.scores("score", pool.pairs, pool.store.scores(scoring.identity)) if pool else {}
    probing = audit_probing.score(tried, scoring, held, pool.how) if pool and tried else None
    answers = _answers(rows or ())
    answered = scoring.scores("RM-Bench", answers) if rows else {}
    pairs = audit_form.sample(pool.pairs if pool else answers) or audit_form.own_pairs()
    form = audit_form.form(scoring.label, scoring.scorer, pairs, asked.dtype, scoring.progress)
    getattr(scoring.scorer, "close", lambda: None)()
    found = ScorerAudit(
        label=scoring.label,
        name=type(scoring.scorer).__name__,
        identity=scoring.identity,
        form=form,
        overlong=_overlong([score for score in [*held.values(), *answered.values()] if score.why != "no code"]),
        rm_bench=_on_rm_bench(rows, answered) if rows else None,
        ranks=audit_pool.ranks(pool.judged, held, pool.ks, pool.how) if pool else None,
        probing=probing,
    )
    return found, held


def _overlong(scores: Sequence[Score]) -> Overlong:
    return Overlong(sum(score.why.startswith("overlong") for score in scores), len(scores))


def _answers(rows: Sequence[rm_bench.Row]) -> list[Pair]:
    """Six pairs a row, the chosen answers first, as they are: they are prose as well as programs."""
    pairs = []
    for position, row in enumerate(rows):
        problem = Problem(f"rm-bench {position}", row.prompt, ())
        texts = enumerate([*row.chosen, *row.rejected])
        pairs += [(problem, Candidate(problem.id, i, text, text, "given")) for i, text in texts]
    return pairs


def _on_rm_bench(rows: Sequence[rm_bench.Row], answered: Scores) -> OnRmBench:
    values = [[answered[f"rm-bench {position}", i].value for i in range(6)] for position in range(len(rows))]
    whole = [(row.domain, scores) for row, scores in zip(rows, values, strict=True) if None not in scores]
    why = sorted({score.why.split(":")[0] for score in answered.values() if score.value is None})
    domains = [domain for domain, _ in whole]
    table = np.array([scores for _, scores in whole], dtype=np.float64)
    result = rm_bench.evaluate(domains, table[:, :3], table[:, 3:]) if whole else None
    return OnRmBench(result, len(rows) - len(whole), "; ".join(why))


def _agreement(pool: _Pool, held: Sequence[tuple[str, Mapping[tuple[str, int], Any]]]) -> tuple[Agreement, ...]:
    k = pool.ks[-1]
    return tuple(audit_pool.agreement(pool.judged, *two, k, pool.how) for two in combinations(held, 2))
