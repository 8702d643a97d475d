"""Policies replayed on a run's stored candidates: accuracy against tokens, beside uniform sampling at equal tokens.

What a policy stops at depends on the order in which candidates come, and the stored order is only one. So each policy
meets many orders of every problem's candidates: all where those are few, else random ones with a fixed seed, the same
for every policy, and the error of drawing orders is told. One that looks at nothing needs no orders: it is uniform
sampling. No model is needed. Computes only; `replay_report.py` shows.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tts import analysis, metrics, pipeline, plugins
from tts.analysis import Curve, Judged, RunReport
from tts.config import Labelled
from tts.errors import ConfigError, UserError, unknown
from tts.pipeline import Progress, Silent
from tts.plugins import Spec
from tts.protocols import Allocator, Policy, Selector
from tts.seeds import seed_of
from tts.select import throws
from tts.stopping import settle, worth
from tts.types import RANDOM, Decision, Pool

MOST_KS = 32  # points of the uniform curve; between two of them it is taken for straight
STAGE = "replay"


@dataclass(frozen=True, slots=True)
class Gap:
    """The paired difference to uniform sampling with a selector at the same mean cost, in tokens, or in candidates
    where tokens are not known: over problems, with its interval, and `se`, the error of drawing, 0 if `exact`.
    """

    selector: str
    value: float
    low: float
    high: float
    se: float
    exact: bool


@dataclass(frozen=True, slots=True)
class Spot:
    """A policy with one choice of options: the means over problems and orders. `se` is the error of drawing orders
    alone, 0 if `exact`; `answered` how often the policy chose itself, and the selector was not asked. `over_uniform` is
    beside the replay's selector, `over_alike` beside the one that chooses as the policy itself does, if there is one.
    """

    policy: str
    options: str
    candidates: float
    tokens: float | None
    value: float
    low: float
    high: float
    se: float
    exact: bool
    answered: float
    over_uniform: Gap
    over_alike: Gap | None


@dataclass(frozen=True, slots=True)
class Uniform:
    """k candidates for every problem: exact where the selector has an exact estimate."""

    k: int
    tokens: float | None
    value: float
    low: float
    high: float
    se: float
    exact: bool


@dataclass(frozen=True, slots=True)
class Reference:
    """Uniform sampling with another selector than the replay's: the one that chooses as a policy itself does."""

    selector: str
    uniform: tuple[Uniform, ...]


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of it. `n` is the most candidates per problem, `orders` how many orders at most of each problem's."""

    folder: Path
    benchmark: str
    selector: str
    scorer: str | None
    problems: int
    n: int
    orders: int
    level: float
    uniform: tuple[Uniform, ...]
    references: tuple[Reference, ...]
    spots: tuple[Spot, ...]

    @property
    def in_tokens(self) -> bool:
        """Whether cost is in tokens; else in candidates."""
        return self.uniform[0].tokens is not None


@dataclass(frozen=True, slots=True)
class Setting:
    """A policy as it is replayed."""

    name: str
    options: str
    policy: Policy


def settings(value: object, n: int) -> list[Setting]:
    """The policies that a name or a mapping stands for: one for each combination of options that are lists; with no
    list, and the policy's knob left out, one for each of the knob's values that n candidates allow. Raises ConfigError.
    """
    spec = Spec.parse("policy", value)
    plugin = plugins.find("policy", spec.name)
    swept = {name: given for name, given in spec.options.items() if isinstance(given, list)}
    if empty := [name for name, given in swept.items() if not given]:
        raise ConfigError(f"policy {spec.name!r}: {empty[0]} is an empty list. Give it values to try, or leave it out.")
    knob: tuple[str, Sequence[Any]] | None = getattr(plugin, "knob", None)
    if not swept and knob is not None and knob[0] not in spec.options:
        fitting = [one for one in knob[1] if _possible(spec, {knob[0]: one}, n)]
        swept = {knob[0]: fitting} if fitting else {}
    return [_setting(spec, dict(zip(swept, values, strict=True))) for values in itertools.product(*swept.values())]


def _setting(spec: Spec, chosen: Mapping[str, Any]) -> Setting:
    options = {**spec.options, **chosen}
    shown = " ".join(f"{name}={one:g}" if isinstance(one, float) else f"{name}={one}" for name, one in options.items())
    return Setting(spec.name, shown, plugins.build("policy", Spec(spec.name, options), f"policy {spec.name!r}"))


def _possible(spec: Spec, chosen: Mapping[str, Any], n: int) -> bool:
    """Whether a value of a knob goes together with the other options, and is no number of candidates beyond n."""
    (value,) = chosen.values()
    try:
        _setting(spec, chosen)
    except ConfigError:
        return False
    return not isinstance(value, int) or value <= n


def replay(
    report: RunReport,
    policies: Sequence[object],
    selector: str | None = None,
    scorer: str | None = None,
    orders: int | None = None,
    progress: Progress | None = None,
) -> Replay:
    """Replay policies, each a name or a mapping (see `settings`). `selector` and `scorer` are labels of the run's
    config, by default the first selector beside random, and the first scorer; `orders` of each problem, by default as
    many as the config's `report.draws` allow. The report need not have curves. Raises UserError for a run that has not
    what a policy looks at.
    """
    if report.stops:
        raise UserError(
            f"{report.folder} was stopped by a policy, so its pools are no fair samples to replay on. Sample the rest: "
            "`tts run` with stopping=null on it, then replay."
        )
    chosen = [one for policy in policies for one in settings(policy, report.n)]
    for one in chosen:
        _check_needs(report, one)
    labelled = _selector(report, selector)
    label = _scorer(report, scorer or labelled.scorer)
    at_work = _Replaying(
        report, labelled, label, orders or max(analysis.MIN_DRAWS, report.config.report.draws // len(report.judged))
    )
    references = {name: at_work.uniform(_reference(report, name), chosen) for name in _alike(chosen, labelled)}
    uniform = at_work.uniform(labelled, chosen)
    return Replay(
        folder=report.folder,
        benchmark=report.config.benchmark_label,
        selector=labelled.label,
        scorer=label,
        problems=len(report.judged),
        n=report.n,
        orders=at_work.orders,
        level=report.config.report.level,
        uniform=tuple(at_work.uniform_points(uniform)),
        references=tuple(Reference(name, tuple(at_work.uniform_points(c))) for name, c in references.items()),
        spots=tuple(at_work.spots(chosen, uniform, references, progress or Silent())),
    )


def _check_needs(report: RunReport, one: Setting) -> None:
    needs = getattr(one.policy, "needs", ())
    if "scores" in needs and not report.scores:
        raise UserError(f"{one.name} looks at scores, and {report.folder} has none. Add a scorer to it with `tts run`.")
    if "behaviours" in needs and "behaviours" not in pipeline.needs(report.config):
        raise UserError(
            f"{one.name} looks at what programs do, and those of {report.folder} were not run on the public inputs. "
            "Add a selector that votes, such as majority, with `tts run`."
        )


def _selector(report: RunReport, label: str | None) -> Labelled:
    known = {item.label: item for item in report.config.selectors}
    if label is None:
        others = [item for name, item in known.items() if name != RANDOM]
        return others[0] if others else Labelled(label=RANDOM, spec=Spec(RANDOM, {}))
    if label not in known:
        raise UserError(unknown(label, f"the selectors of {report.folder}", known))
    return known[label]


def _alike(chosen: Sequence[Setting], labelled: Labelled) -> list[str]:
    """The selectors that choose as these policies themselves do, but for the one that is asked anyway."""
    names = {alike for one in chosen if (alike := _chooses_as(one.policy)) not in (None, labelled.spec.name)}
    return sorted(name for name in names if name is not None)


def _chooses_as(policy: Policy) -> str | None:
    found: str | None = getattr(policy, "chooses_as", None)
    return found


def _reference(report: RunReport, name: str) -> Labelled:
    """The selector of that name as the run has it, or with its own options where the run has none."""
    mine = (item for item in report.config.selectors if item.spec.name == name)
    return next(mine, Labelled(label=name, spec=Spec(name, {})))


def _scorer(report: RunReport, label: str | None) -> str | None:
    if label is not None and label not in report.scores:
        raise UserError(unknown(label, f"the scorers of {report.folder}", report.scores))
    return label if label is not None else next(iter(report.scores), None)


@dataclass(frozen=True, slots=True)
class _Stopped:
    """What came of one order of a problem: how many candidates, their tokens, how right the answer is, and whether the
    policy chose it.
    """

    candidates: int
    tokens: float
    value: float
    answered: bool


@dataclass(frozen=True, slots=True)
class _Met:
    """What came of a setting: of each problem, whether all of its orders were met, with no dice of unknown odds, and
    what came of each.
    """

    exact: list[bool]
    found: list[list[_Stopped]]

    def mean(self, name: str) -> metrics.Floats:
        """(P,): the mean over orders."""
        return np.array([np.mean([getattr(one, name) for one in mine]) for mine in self.found])


class _Replaying:
    """One run, one selector, one scorer, many policies."""

    def __init__(self, report: RunReport, selector: Labelled, scorer: str | None, orders: int) -> None:
        self.report, self.labelled, self.orders = report, selector, orders
        self.scores = {} if scorer is None else {scorer: report.scores[scorer]}
        found = next(iter(self.scores.values()), {})
        self.pools = [analysis.pool_of(item, found, report.scores) for item in report.judged]
        self.selector: Selector = plugins.build(
            "selector", selector.spec, f"selector {selector.label!r}", seed=report.config.seed
        )
        self.tokens = [[c.tokens for c in item.candidates] for item in report.judged]
        self.bootstrap = report.config.report.resamples, report.config.report.level, report.config.seed

    @property
    def known(self) -> bool:
        """Whether the tokens of every candidate are known."""
        return all(count is not None for mine in self.tokens for count in mine)

    def uniform(self, selector: Labelled, chosen: Sequence[Setting]) -> Curve:
        """The selector's curve over many k, as every report computes it, among them those that blind policies take."""
        n = self.report.n
        ks = set(range(1, n + 1)) if n <= MOST_KS else {round(n ** (i / (MOST_KS - 1))) for i in range(MOST_KS)}
        ks |= {self._number(one.policy) for one in chosen if _is_blind(one.policy)}
        config = self.report.config.model_copy(update={"selectors": (selector,)})
        found = analysis.curves(self.report.judged, self.scores, config, sorted(ks))
        return next(curve for curve in found if curve.name == selector.label)

    def _number(self, policy: Policy) -> int:
        """How many candidates a blind policy takes, of which it cannot matter who they are."""
        (decision,) = settle(policy, [self.pools[0].take(range(self.report.n))], [self.report.n])
        assert decision is not None
        return decision.wanted

    def uniform_points(self, curve: Curve) -> Iterator[Uniform]:
        """The curve with what each k costs."""
        for point in curve.points:
            tokens = point.k * self._cost_of_one() if self.known else None
            exact = point.estimate == "exact"
            yield Uniform(point.k, tokens, point.value, point.low, point.high, point.se, exact)

    def _cost_of_one(self) -> float:
        """The mean tokens of a candidate, over problems; 1 where they are not known, so that candidates are counted."""
        if not self.known:
            return 1.0
        return float(np.mean([np.mean(np.array(mine, dtype=np.float64)) for mine in self.tokens]))

    def spots(
        self, chosen: Sequence[Setting], uniform: Curve, references: Mapping[str, Curve], progress: Progress
    ) -> Iterator[Spot]:
        """Every setting over all problems and orders."""
        alone = [one for one in chosen if not _is_blind(one.policy) and not isinstance(one.policy, Allocator)]
        met = iter(self._alone(alone, progress) if alone else ())
        for one in chosen:
            alike = references.get(_chooses_as(one.policy) or "")
            if _is_blind(one.policy):
                yield self._blind(one, uniform)
            elif isinstance(one.policy, Allocator):
                yield self._spot(one, self._together(one, progress), uniform, alike)
            else:
                yield self._spot(one, next(met), uniform, alike)

    def _blind(self, setting: Setting, uniform: Curve) -> Spot:
        """A policy that takes k candidates, whatever they are, is a point of the uniform curve."""
        k = self._number(setting.policy)
        point = next(point for point in self.uniform_points(uniform) if point.k == k)
        column = [each.k for each in uniform.points].index(k)
        values = uniform.per_problem[:, column]
        return Spot(
            policy=setting.name,
            options=setting.options,
            candidates=float(k),
            tokens=point.tokens,
            value=point.value,
            low=point.low,
            high=point.high,
            se=point.se,
            exact=point.exact,
            answered=0.0,
            over_uniform=self._gap(uniform, k, values, 0.0, same=True),
            over_alike=None,
        )

    def _spot(self, setting: Setting, met: _Met, uniform: Curve, alike: Curve | None) -> Spot:
        values, candidates = met.mean("value"), float(met.mean("candidates").mean())
        tokens = float(met.mean("tokens").mean()) if self.known else None
        low, high = metrics.bootstrap_interval(values, *self.bootstrap)
        k, se = (candidates if tokens is None else tokens) / self._cost_of_one(), _error(met)
        return Spot(
            policy=setting.name,
            options=setting.options,
            candidates=candidates,
            tokens=tokens,
            value=float(values.mean()),
            low=low,
            high=high,
            se=se,
            exact=all(met.exact),
            answered=float(met.mean("answered").mean()),
            over_uniform=self._gap(uniform, k, values, se),
            over_alike=None if alike is None else self._gap(alike, k, values, se),
        )

    def _gap(self, curve: Curve, k: float, values: metrics.Floats, se: float, same: bool = False) -> Gap:
        """Values (P,) less a curve at k, which need not be whole: between two of its own, a draw problem by problem.
        The errors of both count, unless they are the `same` numbers.
        """
        ks = [point.k for point in curve.points]
        above = int(np.searchsorted(ks, min(max(k, ks[0]), ks[-1])))
        below = max(above - 1, 0)
        share = 1.0 if above == below else min(1.0, (k - ks[below]) / (ks[above] - ks[below]))
        beside = (1 - share) * curve.per_problem[:, below] + share * curve.per_problem[:, above]
        gap = metrics.paired_difference(values, beside, *self.bootstrap)
        error = (1 - share) * curve.points[below].se + share * curve.points[above].se
        whole = 0.0 if same else math.hypot(se, error)
        return Gap(curve.name, gap.value, gap.low, gap.high, whole, exact=whole == 0.0)

    def _alone(self, chosen: Sequence[Setting], progress: Progress) -> list[_Met]:
        """What comes of policies that look at one problem at a time; each order is laid out once for all of them."""
        met = [_Met([], []) for _ in chosen]
        progress.stage(STAGE, len(self.pools), 0)
        for row, pool in enumerate(self.pools):
            orders, all_of_them = self._orders(self.report.judged[row])
            exact = all_of_them and not throws(self.selector, pool)
            outcomes = [self._order(chosen, row, order) for order in orders]
            for one, mine in zip(met, zip(*outcomes, strict=True), strict=True):
                one.exact.append(exact)
                one.found.append(list(mine))
            progress.advance(STAGE)
        return met

    def _orders(self, item: Judged) -> tuple[list[tuple[int, ...]], bool]:
        """Orders of a problem's candidates, the same for every policy, and whether these are all that matter."""
        count = len(item.candidates)
        if math.perm(count, self.report.n) <= self.orders:
            return list(itertools.permutations(range(count), self.report.n)), True
        return self._drawn(item), False

    def _drawn(self, item: Judged) -> list[tuple[int, ...]]:
        rng = np.random.default_rng(seed_of(self.report.config.seed, "replay", item.problem.id))
        count = len(item.candidates)
        return [tuple(rng.permutation(count)[: self.report.n].tolist()) for _ in range(self.orders)]

    def _order(self, chosen: Sequence[Setting], row: int, order: Sequence[int]) -> list[_Stopped]:
        """One order of a problem under every setting; what a stop is worth is worked out once for all that make it."""
        pool, worths = self.pools[row].take(order), dict[tuple[int, int | None], float]()
        found = []
        for one in chosen:
            (decision,) = settle(one.policy, [pool], [len(order)])
            found.append(self._stopped(row, order, pool, decision, worths))
        return found

    def _together(self, setting: Setting, progress: Progress) -> _Met:
        """Every problem's i-th order at once, since problems share a budget."""
        orders = [self._drawn(item) for item in self.report.judged]
        stage = f"{STAGE} {setting.name} {setting.options}".rstrip()
        progress.stage(stage, self.orders, 0)
        found: list[list[_Stopped]] = [[] for _ in orders]
        for drawn in zip(*orders, strict=True):
            pools = [pool.take(order) for pool, order in zip(self.pools, drawn, strict=True)]
            decisions = settle(setting.policy, pools, [len(order) for order in drawn])
            for row, (order, decision) in enumerate(zip(drawn, decisions, strict=True)):
                found[row].append(self._stopped(row, order, pools[row], decision, {}))
            progress.advance(stage)
        return _Met([False] * len(found), found)

    def _stopped(
        self,
        row: int,
        order: Sequence[int],
        pool: Pool,
        decision: Decision | None,
        worths: dict[tuple[int, int | None], float],
    ) -> _Stopped:
        """What an order, in which the pool is, comes to; `worths` has what is known of it already."""
        assert decision is not None  # all that it may ask for is there
        key = decision.wanted, decision.answer
        if key not in worths:
            correct = self.report.judged[row].correct
            worths[key] = worth(decision, self.selector, pool, [correct[i] for i in order])
        tokens = math.fsum(self.tokens[row][i] or 0 for i in order[: decision.wanted])
        return _Stopped(decision.wanted, tokens, worths[key], decision.answer is not None)


def _is_blind(policy: Policy) -> bool:
    """Whether it decides without looking at candidates."""
    return bool(getattr(policy, "blind", False))


def _error(met: _Met) -> float:
    """The standard error of the mean over problems that comes of drawing orders; draws that all agree are taken for
    Laplace's estimate. Where every problem has as many draws, the i-th of all are one draw: they may share a budget.
    """
    if all(met.exact):
        return 0.0
    values = [[one.value for one in mine] for mine in met.found]
    if not any(met.exact):
        means = np.array(values).mean(axis=0)
        return metrics.spread(means, 1 / len(values)) / math.sqrt(len(means))
    drawn = [np.array(mine) for mine, whole in zip(values, met.exact, strict=True) if not whole]
    return math.sqrt(math.fsum(metrics.spread(mine) ** 2 / len(mine) for mine in drawn)) / len(values)
