"""Policies replayed on a run's stored candidates: accuracy against tokens, beside uniform sampling at equal tokens.

What a policy stops at depends on the order in which candidates come, and the stored order is only one. So each policy
meets many orders of every problem's candidates: all where those are few, else random ones with a fixed seed, the same
for every policy, and the error of drawing orders is told. No model is needed. Computes only; `replay_report.py` shows.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tts import analysis, metrics, pipeline, plugins
from tts.analysis import Curve, Judged, RunReport
from tts.config import Labelled
from tts.errors import ConfigError, UserError, unknown
from tts.plugins import Spec
from tts.protocols import Allocator, Policy, Selector
from tts.seeds import seed_of
from tts.select import throws
from tts.stopping import settle, worth
from tts.types import RANDOM, Decision

MOST_KS = 32  # points of the uniform curve; between two of them it is taken for straight
Scored = Mapping[tuple[str, int], Any]


@dataclass(frozen=True, slots=True)
class Spot:
    """A policy with one choice of options: the means over problems and orders. `per_problem` (P,) is the accuracy of
    each problem, `se` the error of drawing orders alone, 0 if `exact`; `over_uniform` is the paired difference to
    uniform sampling at the same mean cost, in tokens, or in candidates where tokens are not known.
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
    over_uniform: metrics.Difference
    per_problem: metrics.Floats = field(repr=False)


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
) -> Replay:
    """Replay policies, each a name or a mapping (see `settings`). `selector` and `scorer` are labels of the run's
    config, by default the first selector beside random, and the first scorer; `orders` of each problem, by default as
    many as the config's `report.draws` allow. Raises UserError for a run that has not what a policy looks at.
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
    label = _scorer(report, scorer)
    at_work = _Replaying(
        report, labelled, label, orders or max(analysis.MIN_DRAWS, report.config.report.draws // len(report.judged))
    )
    uniform = at_work.uniform()
    return Replay(
        folder=report.folder,
        benchmark=report.config.benchmark.name,
        selector=labelled.label,
        scorer=label,
        problems=len(report.judged),
        n=report.n,
        orders=at_work.orders,
        level=report.config.report.level,
        uniform=tuple(at_work.uniform_points(uniform)),
        spots=tuple(at_work.spot(one, uniform) for one in chosen),
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


def _scorer(report: RunReport, label: str | None) -> str | None:
    if label is not None and label not in report.scores:
        raise UserError(unknown(label, f"the scorers of {report.folder}", report.scores))
    return label if label is not None else next(iter(report.scores), None)


@dataclass(frozen=True, slots=True)
class _Stopped:
    """What came of one order of a problem: how many candidates, their tokens, and how right the answer is."""

    candidates: int
    tokens: float
    value: float


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

    @property
    def known(self) -> bool:
        """Whether the tokens of every candidate are known."""
        return all(count is not None for mine in self.tokens for count in mine)

    def uniform(self) -> Curve:
        """The selector's curve over many k, as every report computes it."""
        n = self.report.n
        ks = range(1, n + 1) if n <= MOST_KS else sorted({round(n ** (i / (MOST_KS - 1))) for i in range(MOST_KS)})
        config = self.report.config.model_copy(update={"selectors": (self.labelled,)})
        found = analysis.curves(self.report.judged, self.scores, config, list(ks))
        return next(curve for curve in found if curve.name == self.labelled.label)

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

    def spot(self, setting: Setting, uniform: Curve) -> Spot:
        """One policy over all problems and orders."""
        exact, found = self._outcomes(setting.policy)
        values = np.array([np.mean([one.value for one in mine]) for mine in found])
        candidates = float(np.mean([np.mean([one.candidates for one in mine]) for mine in found]))
        tokens = float(np.mean([np.mean([one.tokens for one in mine]) for mine in found])) if self.known else None
        options = self.report.config.report
        bootstrap = options.resamples, options.level, self.report.config.seed
        low, high = metrics.bootstrap_interval(values, *bootstrap)
        beside = self._uniform_at(uniform, candidates if tokens is None else tokens)
        return Spot(
            policy=setting.name,
            options=setting.options,
            candidates=candidates,
            tokens=tokens,
            value=float(values.mean()),
            low=low,
            high=high,
            se=_error(found, exact),
            exact=all(exact),
            over_uniform=metrics.paired_difference(values, beside, *bootstrap),
            per_problem=values,
        )

    def _uniform_at(self, curve: Curve, cost: float) -> metrics.Floats:
        """(P,): each problem's accuracy under uniform sampling at a mean cost: a draw between the two k beside it."""
        k = cost / self._cost_of_one()
        ks = [point.k for point in curve.points]
        above = min(max(int(np.searchsorted(ks, k)), 1), len(ks) - 1)
        if len(ks) == 1 or k <= ks[0]:
            return curve.per_problem[:, 0]
        share = min(1.0, (k - ks[above - 1]) / (ks[above] - ks[above - 1]))
        found: metrics.Floats = (1 - share) * curve.per_problem[:, above - 1] + share * curve.per_problem[:, above]
        return found

    def _outcomes(self, policy: Policy) -> tuple[list[bool], list[list[_Stopped]]]:
        """Of each problem, whether all of its orders were met, with no dice of unknown odds, and what came of each."""
        if isinstance(policy, Allocator):
            return [False] * len(self.pools), self._together(policy)
        exact, found = [], []
        for row, item in enumerate(self.report.judged):
            orders, all_of_them = self._orders(item)
            exact.append(all_of_them and not throws(self.selector, self.pools[row]))
            found.append([self._alone(policy, row, order) for order in orders])
        return exact, found

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

    def _alone(self, policy: Policy, row: int, order: Sequence[int]) -> _Stopped:
        (decision,) = settle(policy, [self.pools[row].take(order)], [len(order)])
        return self._stopped(row, order, decision)

    def _together(self, policy: Allocator) -> list[list[_Stopped]]:
        """Every problem's i-th order at once, since problems share a budget."""
        orders = [self._drawn(item) for item in self.report.judged]
        found: list[list[_Stopped]] = [[] for _ in orders]
        for drawn in zip(*orders, strict=True):
            pools = [pool.take(order) for pool, order in zip(self.pools, drawn, strict=True)]
            decisions = settle(policy, pools, [len(order) for order in drawn])
            for row, (order, decision) in enumerate(zip(drawn, decisions, strict=True)):
                found[row].append(self._stopped(row, order, decision))
        return found

    def _stopped(self, row: int, order: Sequence[int], decision: Decision | None) -> _Stopped:
        assert decision is not None  # all that it may ask for is there
        correct = self.report.judged[row].correct
        value = worth(decision, self.selector, self.pools[row].take(order), [correct[i] for i in order])
        tokens = math.fsum(self.tokens[row][i] or 0 for i in order[: decision.wanted])
        return _Stopped(decision.wanted, tokens, value)


def _error(found: Sequence[Sequence[_Stopped]], exact: Sequence[bool]) -> float:
    """The standard error of the mean over problems that comes of drawing orders; draws that all agree are taken for
    Laplace's estimate. Where every problem has as many draws, the i-th of all are one draw: they may share a budget.
    """
    if all(exact):
        return 0.0
    values = [[one.value for one in mine] for mine in found]
    if not any(exact):
        means = np.array(values).mean(axis=0)
        return metrics.spread(means, 1 / len(found)) / math.sqrt(len(means))
    drawn = [np.array(mine) for mine, whole in zip(values, exact, strict=True) if not whole]
    return math.sqrt(math.fsum(metrics.spread(mine) ** 2 / len(mine) for mine in drawn)) / len(found)
