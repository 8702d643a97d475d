"""Every selector against its definition, written out again without arrays, over all subsets of small tied pools."""

import itertools
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_contracts import pool_of, pools

from tts import analysis, chances, config, plugins
from tts.analysis import Judged
from tts.select import odds
from tts.select.random import Random
from tts.stopping import worth
from tts.types import Behaviour, Candidate, Decision, Grade, Pool, Problem, Score, Selection, Stdin, Verdict

Chosen = dict[int, float]  # position -> the chance that it is chosen; what is missing to 1 abstains


# The definitions.


def shared(positions: Sequence[int]) -> Chosen:
    """Each as likely."""
    return {i: 1 / len(positions) for i in positions}


def low(value: float | None) -> float:
    return -math.inf if value is None else value


def quality(pool: Pool, i: int) -> tuple[float, ...]:
    c = pool.candidates[i]
    return float(c.valid), low(pool.scores[i].value), low(c.logprob)


def greatest(pool: Pool, key: Callable[[int], Any], positions: Sequence[int] | None = None) -> list[int]:
    among = range(len(pool)) if positions is None else positions
    top = max(map(key, among))
    return [i for i in among if key(i) == top]


def best(pool: Pool, positions: Sequence[int]) -> Chosen:
    return shared(greatest(pool, lambda i: quality(pool, i), positions))


def groups(pool: Pool, done: Callable[[int], Any]) -> list[list[int]]:
    """Candidates that did the same; those that did something before those that parse before the rest."""
    valid = [i for i in range(len(pool)) if pool.candidates[i].valid]
    found = defaultdict(list)
    for i in valid:
        if done(i) is not None:
            found[done(i)].append(i)
    if not found:
        for i in valid:
            found[pool.candidates[i].code].append(i)
    return list(found.values()) or [[i] for i in range(len(pool))]


def behaviour(pool: Pool) -> Callable[[int], Any]:
    def done(i: int) -> Any:
        found = pool.behaviours[i] if pool.behaviours else None
        return found.outputs if found is not None and any(o is not None for o in found.outputs) else None

    return done


def marks(pool: Pool, i: int, kind: str) -> tuple[bool, ...]:
    found = pool.behaviours[i] if pool.behaviours else None
    if found is None:
        return ()
    return {"public": found.passed, "written": found.written, "both": found.passed + found.written}[kind]


def elected(found: Sequence[list[int]], worth: Callable[[list[int]], float]) -> list[int]:
    """The members of the class that is worth most; of all that are, rounding apart."""
    top = max(map(worth, found))
    tied = [g for g in found if worth(g) == top or math.isclose(worth(g), top, rel_tol=1e-11, abs_tol=1e-11)]
    return [i for group in tied for i in group]


def random(pool: Pool) -> Chosen:
    return shared(range(len(pool)))


def argmax(pool: Pool) -> Chosen:
    return shared(greatest(pool, lambda i: quality(pool, i)))


def majority(pool: Pool) -> Chosen:
    return shared(elected(groups(pool, behaviour(pool)), len))


def codet(pool: Pool, tests: str = "public", power: int = 2) -> Chosen:
    """The root of the size times the tests is greatest where the size times their square is, which has no rounding."""

    def worth(group: list[int]) -> float:
        mine = marks(pool, group[0], tests) if pool.candidates[group[0]].valid else ()
        return len(group) * (sum(mine) if mine else 1) ** power

    return shared(elected(groups(pool, lambda i: marks(pool, i, tests) or None), worth))


def soft(pool: Pool, temperature: float = 1.0) -> Chosen:
    valid = [i for i in range(len(pool)) if pool.candidates[i].valid]
    scored = [i for i in valid if pool.scores[i].value is not None]
    if not scored:
        return shared(valid or range(len(pool)))
    top = max(pool.scores[i].value for i in scored)
    weights = {i: math.exp((pool.scores[i].value - top) / temperature) for i in scored}
    return {i: weight / sum(weights.values()) for i, weight in weights.items()}


def weighted_vote(pool: Pool) -> Chosen:
    found = groups(pool, behaviour(pool))
    scores = {i: pool.scores[i].value for group in found for i in group}
    known = [s for s in scores.values() if s is not None]

    def weight(i: int) -> float:
        return 1.0 if not known else 0.0 if scores[i] is None else math.exp(scores[i] - max(known))

    return best(pool, elected(found, lambda group: math.fsum(map(weight, group))))


def mob(pool: Pool, m: int | None = None) -> Chosen:
    """By every bootstrap there is, one after the other."""
    found = groups(pool, behaviour(pool))
    voters = [i for group in found for i in group]
    draws = m or max(1, math.isqrt(len(voters)))
    wins: dict[int, Fraction] = defaultdict(Fraction)
    for drawn in itertools.product(voters, repeat=draws):
        top = max(quality(pool, i) for i in drawn)
        tied = [i for i in voters if quality(pool, i) == top]  # which of equals is drawn is a matter of symmetry
        for i in tied:
            wins[i] += Fraction(1, len(tied))
    return best(pool, elected(found, lambda group: float(sum(wins[i] for i in group))))


def mbr(pool: Pool) -> Chosen:
    done = behaviour(pool)
    found = groups(pool, done)
    voters = [i for group in found for i in group]
    if done(voters[0]) is None or not pool.candidates[voters[0]].valid:
        return shared(elected(found, len))

    def risk(i: int) -> int:
        pairs = [(a, b) for j in voters for a, b in zip(done(i), done(j), strict=True)]
        return sum(a is None or b is None or a != b for a, b in pairs)

    return shared(greatest(pool, lambda i: -risk(i), voters))


def by_tests_then_score(pool: Pool) -> Chosen:
    def key(i: int) -> tuple[float, ...]:
        valid, *rest = quality(pool, i)
        return valid, sum(marks(pool, i, "public")), *rest

    return shared(greatest(pool, key))


def staged(pool: Pool, tests: int = 1) -> Chosen:
    """Stage by stage; a stage that would drop all drops none."""
    left = list(range(len(pool)))
    needed = min(tests, len(pool.problem.public_tests))
    stages = (lambda i: pool.candidates[i].valid, lambda i: sum(marks(pool, i, "public")[:tests]) >= max(needed, 1))
    for stage in stages:
        left = [i for i in left if stage(i)] or left
    return shared(greatest(pool, lambda i: quality(pool, i), left))


def pessimistic(pool: Pool, alpha: float = 1.0) -> Chosen:
    found = groups(pool, behaviour(pool))
    voters = sum(map(len, found))

    def worth(group: list[int]) -> float:
        known = [pool.scores[i].value for i in group if pool.scores[i].value is not None]
        return statistics.fmean(known) - alpha * math.log(voters) / (len(group) + 1) if known else -math.inf

    return best(pool, elected(found, worth))


def judged_by(pool: Pool) -> list[int]:
    return [i for i in range(len(pool)) if pool.candidates[i].valid] or list(range(len(pool)))


def ensemble(pool: Pool, how: str = "rank", alpha: float = 1.0) -> Chosen:
    among, scorers = judged_by(pool), list(pool.all_scores.values())

    def rank(i: int) -> float:
        above = [sum(low(s[j].value) > low(s[i].value) for j in among) for s in scorers]
        same = [sum(low(s[j].value) == low(s[i].value) for j in among) for s in scorers]
        return statistics.fmean(a + (b + 1) / 2 for a, b in zip(above, same, strict=True))

    def z(i: int) -> float:
        found = []
        for scores in scorers:
            known = {j: scores[j].value for j in among if scores[j].value is not None}
            spread = statistics.pstdev(known.values()) if known else 0.0
            each = {j: (v - statistics.fmean(known.values())) / spread if spread else 0.0 for j, v in known.items()}
            found.append(each.get(i, min(each.values(), default=0.0)))
        return round(statistics.fmean(found) - (alpha * statistics.pstdev(found) if how == "bound" else 0), 7)

    return shared(greatest(pool, (lambda i: -rank(i)) if how == "rank" else z, among))


def regularised(pool: Pool, by: str = "length", beta: float = 0.5) -> Chosen:
    among = judged_by(pool)
    known = [i for i in among if pool.scores[i].value is not None]
    if by == "logprob":

        def key(i: int) -> tuple[float, ...]:
            score, logprob = pool.scores[i].value, pool.candidates[i].logprob
            return -math.inf if None in (score, logprob) else score + beta * logprob, low(score)

        return shared(greatest(pool, key, among))
    sizes = {i: len(pool.candidates[i].code or "") for i in known}
    spread = statistics.pstdev(sizes.values()) if known else 0.0

    def value(i: int) -> float:
        z = (sizes[i] - statistics.fmean(sizes.values())) / spread if spread else 0.0
        return round(pool.scores[i].value - beta * z, 7)

    return shared(greatest(pool, value, known) if known else among)


def threshold(pool: Pool) -> Chosen:
    known = [i for i in range(len(pool)) if pool.candidates[i].valid and pool.scores[i].value is not None]
    kept = [i for i in known if pool.scores[i].value >= max(pool.scores[j].value for j in known) - 1.0]
    if not kept:
        return {}
    part = pool.take(kept)
    return shared([kept[i] for i in elected(groups(part, behaviour(part)), len)])


DEFINED: Mapping[str, tuple[Any, Callable[[Pool], Chosen]]] = {
    "random": ("random", random),
    "argmax": ("argmax", argmax),
    "majority": ("majority", majority),
    "weighted_vote": ("weighted_vote", weighted_vote),
    "threshold": ("threshold", threshold),
    "soft": ("soft", soft),
    "soft, colder": ({"name": "soft", "temperature": 0.3}, lambda pool: soft(pool, 0.3)),
    "mob": ("mob", mob),
    "mob of 3": ({"name": "mob", "m": 3}, lambda pool: mob(pool, 3)),
    "mbr": ("mbr", mbr),
    "codet": ("codet", codet),
    "codet, written": ({"name": "codet", "tests": "written"}, lambda pool: codet(pool, "written")),
    "codet, plain": ({"name": "codet", "size": "whole"}, lambda pool: codet(pool, power=1)),
    "codet, both": ({"name": "codet", "tests": "both"}, lambda pool: codet(pool, "both")),
    "tests_then_score": ("tests_then_score", by_tests_then_score),
    "pessimistic": ("pessimistic", pessimistic),
    "ensemble": ("ensemble", ensemble),
    "ensemble of z": ({"name": "ensemble", "how": "zscore"}, lambda pool: ensemble(pool, "zscore")),
    "ensemble, bound": ({"name": "ensemble", "how": "bound"}, lambda pool: ensemble(pool, "bound")),
    "regularised": ("regularised", regularised),
    "regularised by belief": ({"name": "regularised", "by": "logprob"}, lambda pool: regularised(pool, "logprob")),
    "staged": ("staged", staged),
    "staged, 2 tests": ({"name": "staged", "tests": 2}, lambda pool: staged(pool, 2)),
}
every_definition = pytest.mark.parametrize(("spec", "define"), DEFINED.values(), ids=DEFINED)
few = settings(max_examples=25)


def test_every_selector_is_defined_here() -> None:
    names = {spec if isinstance(spec, str) else spec["name"] for spec, _ in DEFINED.values()}
    assert names == set(plugins.names("selector"))


@every_definition
@few
@given(pool=pools())
def test_a_selector_chooses_what_its_definition_allows(spec, define, pool) -> None:
    """Any of several as good by dice, or else the one of them that was sampled first."""
    selector = plugins.build("selector", spec)
    chosen, allowed = selector.select(pool).position, define(pool)
    if chosen is None or getattr(selector, "drawn", False):
        assert (chosen is None and not allowed) or allowed[chosen] > 0
    else:
        assert chosen == min(allowed, key=lambda i: pool.candidates[i].index)


def judged(pool: Pool, correct: Sequence[bool]) -> Judged:
    """The pool with the truth about it."""
    verdicts = [Verdict.PASSED if right else Verdict.WRONG_ANSWER for right in correct]
    grades = tuple(Grade("p", str(i), verdict, 0.0, 1, 0) for i, verdict in enumerate(verdicts))
    return Judged(pool.problem, pool.candidates, grades, pool.behaviours or (None,) * len(pool))


def curves(spec: Any, pool: Pool, correct: Sequence[bool], draws: int, ks: Sequence[int]) -> list[analysis.Curve]:
    """What the report says of a selector on one problem, with each of two scorers."""
    raw = {"benchmark": "mini", "generator": {"name": "replay", "path": "x"}, "report": {"draws": draws}}
    raw |= {"behaviours": {"tests": "x"}}
    labels = ["mine", "other"]
    plan = config.parse(
        raw | {"scorers": [{"name": "length", "label": label} for label in labels], "selectors": [spec]}, where="test"
    )
    scores = {label: {s.key: s for s in pool.all_scores[label]} for label in labels}
    found = analysis.curves([judged(pool, correct)], scores, plan, ks)
    return [one for one in found if one.selector == plan.selectors[0].label]


def curve(spec: Any, pool: Pool, correct: Sequence[bool], draws: int = 1000, ks: Sequence[int] = ()) -> analysis.Curve:
    """The same with the first scorer, by default at every k."""
    return curves(spec, pool, correct, draws, ks or range(1, len(pool) + 1))[0]


def over_all_subsets(define: Callable[[Pool], Chosen], pool: Pool, correct: Sequence[bool]) -> list[float]:
    """The mean over every subset, by k."""
    found = []
    for k in range(1, len(pool) + 1):
        subsets = list(itertools.combinations(range(len(pool)), k))
        parts = [(define(pool.take(subset)), subset) for subset in subsets]
        found.append(math.fsum(p * correct[s[i]] for chosen, s in parts for i, p in chosen.items()) / len(subsets))
    return found


@every_definition
@few
@given(data=st.data())
def test_its_estimate_is_the_mean_over_all_subsets(spec, define, data) -> None:
    pool = data.draw(pools(max_size=5))
    pool = Pool(pool.problem, pool.candidates, pool.scores, pool.behaviours or (None,) * len(pool), pool.all_scores)
    correct = data.draw(st.lists(st.booleans(), min_size=len(pool), max_size=len(pool)))

    found = curve(spec, pool, correct)

    assert [point.estimate for point in found.points] == ["exact"] * len(pool)
    assert [point.value for point in found.points] == pytest.approx(over_all_subsets(define, pool, correct), abs=1e-9)


def sampled_as(pool: Pool, order: Sequence[int]) -> Pool:
    """The pool, had its candidates been sampled and stored in this order of positions."""
    part = pool.take(order)

    def anew(found: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(replace(one, index=index) for index, one in enumerate(found))

    scores = {label: anew(found) for label, found in part.all_scores.items()}
    return replace(part, candidates=anew(part.candidates), scores=anew(part.scores), all_scores=scores)


@every_definition
@few
@given(data=st.data())
def test_no_exact_figure_depends_on_the_order_in_which_candidates_were_sampled(spec, define, data) -> None:
    pool = data.draw(pools(max_size=6))
    correct = data.draw(st.lists(st.booleans(), min_size=len(pool), max_size=len(pool)))
    order = data.draw(st.permutations(range(len(pool))))

    here, there = curve(spec, pool, correct), curve(spec, sampled_as(pool, order), [correct[i] for i in order])

    assert [p.estimate for p in here.points] == [p.estimate for p in there.points] == ["exact"] * len(pool)
    assert [p.value for p in here.points] == pytest.approx([p.value for p in there.points], abs=1e-9)


@pytest.mark.parametrize(
    "spec", [spec for spec, _ in DEFINED.values()] + ["test_select:First"], ids=lambda spec: str(spec)
)
def test_a_sampled_figure_depends_on_that_order_within_its_error(spec) -> None:
    """Twelve candidates in six pairs of equals, of which the one sampled first is right."""
    outputs = [(str(i % 3),) for i in range(12)]
    texts = [f"print({i % 6})" for i in range(12)]
    pool = pool_of([float(i % 6 % 4) for i in range(12)], outputs, texts, [-1.0] * 12)
    pool = replace(pool, behaviours=tuple(replace(b, passed=(True,) * 3) for b in pool.behaviours if b))
    correct = [i < 6 for i in range(12)]
    orders = [range(12), range(11, -1, -1)]

    here, there = (curve(spec, sampled_as(pool, o), [correct[i] for i in o], draws=150) for o in orders)

    for mine, other in zip(here.points, there.points, strict=True):
        assert abs(mine.value - other.value) <= 4 * math.hypot(mine.se, other.se) + 1e-9
    assert here.method != "sampled" or {p.estimate for p in here.points} == {"exact", "sampled"}


@dataclass(frozen=True)
class First:
    """Somebody's selector that can only be asked, and knows no candidate from another."""

    def select(self, pool: Pool) -> Selection:
        return Selection(min(range(len(pool)), key=lambda i: pool.candidates[i].index))


@dataclass(frozen=True)
class Shortest:
    """Another, of which equals are rare."""

    def select(self, pool: Pool) -> Selection:
        return Selection(min(range(len(pool)), key=lambda i: (len(pool.candidates[i].code or ""), i)))


def test_what_can_only_be_asked_is_exact_only_where_it_has_no_equals() -> None:
    codes = ["x" * i for i in range(1, 9)]
    correct = [i in (0, 2, 7) for i in range(8)]
    found = curve("test_select:Shortest", pool_of([0.0] * 8, codes=codes), correct, draws=100)
    assert {p.estimate for p in found.points} == {"exact"} and found.points[-1].value == 1.0
    for spec, same in (("test_select:First", codes), ("test_select:Shortest", ["same"] * 8)):
        found = curve(spec, pool_of([0.0] * 8, codes=same), correct, draws=100)
        assert [p.estimate for p in found.points] == ["exact"] + ["sampled"] * 7
        assert all(abs(p.value - 3 / 8) <= 4 * p.se + 1e-12 for p in found.points)


def test_a_closed_form_is_exact_where_subsets_are_too_many_to_ask() -> None:
    rng = np.random.default_rng(0)
    outputs = [(str(x),) for x in rng.integers(5, size=14)]
    pool = pool_of(rng.normal(size=14).tolist(), outputs)
    correct = [output == ("2",) for output in outputs]
    for spec, define in (("majority", majority), ("soft", soft)):
        found = curve(spec, pool, correct, draws=100)
        assert found.method == "closed form" and {point.estimate for point in found.points} == {"exact"}
        exact = over_all_subsets(define, pool, correct)
        assert [point.value for point in found.points] == pytest.approx(exact, abs=1e-10)


def test_a_sampled_estimate_says_its_error_and_is_within_it() -> None:
    rng = np.random.default_rng(1)
    outputs = [(str(x),) for x in rng.integers(4, size=12)]
    pool = pool_of(rng.normal(size=12).tolist(), outputs)
    correct = [output == ("1",) for output in outputs]
    found = curve("weighted_vote", pool, correct, draws=400)
    exact = over_all_subsets(weighted_vote, pool, correct)
    assert found.method == "sampled" and {p.estimate for p in found.points} == {"exact", "sampled"}
    for point, value in zip(found.points, exact, strict=True):
        assert abs(point.value - value) <= 4 * point.se + 1e-12
    again = curve("weighted_vote", pool, correct, draws=400)
    assert [p.value for p in again.points] == [p.value for p in found.points], "the seed is fixed"


@pytest.mark.parametrize("spec", ["majority", "codet", "soft"])
def test_in_a_large_pool_a_closed_form_gives_way_to_sampling_which_is_within_its_error(spec: str) -> None:
    n = chances.LARGEST + 2
    right = np.random.default_rng(3).permutation(n) < 60
    marks = {True: (True, True, False), False: (True, False, False)}
    behaviours = tuple(Behaviour((str(one),), marks[bool(one)]) for one in right)
    pool = replace(pool_of(right.astype(float).tolist()), behaviours=behaviours)
    ks = (1, 2, 9, 31, n)
    each = 4.0 if spec == "codet" else 1.0
    kinds = [tuple(each * x for x in range(1, 61)), tuple(map(float, range(1, n - 59)))]
    closed = chances.plurality(kinds, 0, n, ks)[0]
    if spec == "soft":
        closed = chances.softmax(right.astype(float), 0, ks)[right].sum(axis=0)

    found = curve(spec, pool, right.tolist(), ks=ks)

    assert found.method == "sampled"
    assert [point.estimate for point in found.points] == ["exact", "sampled", "sampled", "sampled", "exact"]
    for point, expected in zip(found.points, closed, strict=True):
        assert abs(point.value - expected) <= 4 * point.se + 1e-9


KEEP_ALL = {"name": "threshold", "value": 1000.0}


def test_no_throw_of_dice_is_taken_for_exact() -> None:
    """A third of twelve equal programs is right: that is what a random choice is worth, over all subsets and dice."""
    pool, correct = pool_of([0.0] * 12), [i % 3 == 0 for i in range(12)]
    for spec in (KEEP_ALL | {"then": "random"}, KEEP_ALL | {"then": "soft"}):
        for point in curve(spec, pool, correct).points:
            assert point.value == pytest.approx(1 / 3)
            assert (point.estimate, point.se) == ("exact", 0.0)
    for spec in ({"name": "test_select:Dice"}, KEEP_ALL | {"then": "test_select:Dice"}):
        found = curve(spec, pool, correct, draws=100)
        assert found.drawn and {point.estimate for point in found.points} == {"sampled"}
        for point in found.points:
            assert abs(point.value - 1 / 3) < 4 * point.se


@pytest.mark.parametrize(
    ("then", "scorers"),
    [
        ("majority", [("mine",), ("other",)]),
        ("ensemble", [("mine", "other"), ("other", "mine")]),
        ({"name": "ensemble", "scorers": ["other"]}, [("mine", "other"), ("other",)]),
    ],
    ids=str,
)
def test_a_threshold_is_charged_its_own_scorer_and_those_that_the_next_looks_at(then, scorers) -> None:
    found = curves(KEEP_ALL | {"then": then}, pool_of([1.0, 2.0]), [True, False], 100, [1, 2])
    assert [one.scorers for one in found] == scorers


@dataclass(frozen=True)
class Dice:
    """Somebody's selector that throws dice and says no more than that."""

    drawn: ClassVar[bool] = True

    def select(self, pool: Pool) -> Selection:
        return Random(seed=7).select(pool)


@pytest.mark.parametrize("spec", ["random", "soft", KEEP_ALL | {"then": "soft"}, "argmax"], ids=str)
@few
@given(data=st.data())
def test_odds_are_the_definition_of_each_subset(spec, data) -> None:
    pool = data.draw(pools())
    rows = data.draw(st.lists(st.lists(st.booleans(), min_size=len(pool), max_size=len(pool)), min_size=1, max_size=4))
    found = odds(plugins.build("selector", spec), pool, np.array(rows, dtype=np.bool_))
    name = spec if isinstance(spec, str) else "soft"
    for row, chances_of_it in zip(rows, found, strict=True):
        kept = [i for i, here in enumerate(row) if here]
        if spec == KEEP_ALL | {"then": "soft"}:
            scored = [i for i in kept if pool.candidates[i].valid and pool.scores[i].value is not None]
            kept = [i for i in scored if pool.scores[i].value >= max(pool.scores[j].value for j in scored) - 1000]
        part = pool.take(kept) if kept else None
        if part is None:
            assert not chances_of_it.any()
            continue
        defined = {"random": random, "soft": soft, "argmax": argmax}[name](part)
        expected = [defined.get(kept.index(i), 0.0) if i in kept else 0.0 for i in range(len(pool))]
        assert chances_of_it == pytest.approx(expected)


def test_what_dice_are_worth_once_a_policy_stopped_is_the_mean_over_them() -> None:
    n = chances.LARGEST + 2
    pool, correct = pool_of([0.0] * n), [float(i % 5 == 0) for i in range(n)]
    for spec in ("soft", KEEP_ALL | {"then": "random"}):
        chosen = plugins.build("selector", spec)
        assert worth(Decision(n), chosen, pool, correct) == pytest.approx(sum(correct) / n)
        assert worth(Decision(10), chosen, pool, correct) == pytest.approx(0.2)


# By hand.


def chosen(spec: Any, pool: Pool) -> int | None:
    return plugins.build("selector", spec).select(pool).position


def marked(passed: Sequence[tuple[bool, ...]], scores: Sequence[float | None] | None = None) -> Pool:
    """A pool in which only the public tests' marks and the scores differ."""
    problem = Problem("p", "", (), tuple(Stdin(str(i), "") for i in range(len(passed[0]))))
    candidates = tuple(Candidate("p", i, "", f"print({i})", "tagged") for i in range(len(passed)))
    found = tuple(Score("p", i, value) for i, value in enumerate(scores or [0.0] * len(passed)))
    done = tuple(Behaviour(("1",) * len(m), m) for m in passed)
    return Pool(problem, candidates, found, done, {"mine": found, "other": found})


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [
        (0.0, 0),  # the best mean
        (1.0, 0),  # 2 - ln(4)/2 = 1.31 against 1.5 - ln(4)/4 = 1.15
        (2.0, 1),  # 0.61 against 0.81
    ],
)
def test_pessimism_prefers_what_several_share(alpha: float, expected: int) -> None:
    pool = pool_of([2.0, 1.5, 1.5, 1.5], [("1",), ("2",), ("2",), ("2",)])
    assert chosen({"name": "pessimistic", "alpha": alpha}, pool) == expected


@pytest.mark.parametrize(
    ("size", "passed", "expected"),
    [
        ("whole", [(True, False)] * 2 + [(True, True)], 2 / 3),  # 2 * 1 and 1 * 2: three programs are as good
        ("root", [(True, False)] * 4 + [(True, True)], 4 / 5),  # 4 * 1 and 1 * 4: five
    ],
)
def test_sets_of_unequal_size_that_tie_share_by_their_programs(size, passed, expected) -> None:
    spec, pool = {"name": "codet", "size": size}, marked(passed)
    correct = [not mine[1] for mine in passed]
    assert curve(spec, pool, correct).points[-1].value == pytest.approx(expected)
    orders = itertools.permutations(range(len(pool)))
    answers = [correct[order[chosen(spec, sampled_as(pool, order))]] for order in orders]
    assert statistics.fmean(answers) == pytest.approx(expected), "which is how often its answer is right, by order"


def test_what_differs_by_rounding_alone_is_equal() -> None:
    """0.1 + 0.2 is not 0.3 to a computer, but to whoever chooses."""
    by_belief = pool_of([0.4, 0.5], logprobs=[-0.1, -0.2])
    assert 0.4 - 0.1 > 0.5 - 0.2 and chosen({"name": "regularised", "by": "logprob", "beta": 1.0}, by_belief) == 1
    near = pool_of([0.3, 1.3])
    assert 1.3 - 1.0 > 0.3 and chosen({"name": "threshold", "value": 1.0}, near) == 0
    means = pool_of([0.2, 0.2, 0.2, 0.1, 0.2, 0.3], [("1",)] * 3 + [("2",)] * 3)
    found = curve({"name": "pessimistic", "alpha": 0.0}, means, [False] * 5 + [True])
    assert found.points[-1].value == 1.0, "of both classes the best program"


@pytest.mark.parametrize("temperature", [1e-10, 1e-16, 1e-18, 1e-300, 5e-324])
@pytest.mark.filterwarnings("error")
def test_soft_towards_0_is_argmax(temperature: float) -> None:
    pool, correct = pool_of([0.3, -1.1, -2.7, 0.3, 5.1, -1.1]), [True, False, True, False, False, True]
    found = curve({"name": "soft", "temperature": temperature}, pool, correct)
    exact = curve("argmax", pool, correct)
    assert found.method == "closed form"
    assert [p.value for p in found.points] == pytest.approx([p.value for p in exact.points], abs=1e-12)


@pytest.mark.parametrize(
    "spec", ["soft", {"name": "soft", "temperature": 1e-3}, {"name": "soft", "temperature": 1e300}]
)
@pytest.mark.parametrize(
    "scores",
    [
        [1e300, 1e300, 0.0, 1.0, -1e300],
        [1e308, -1e308, 0.5, 1e308, 0.0],
        [-1e5, -1e5 - 1, -2e5, 0.0, 0.04],
        [0.0, -39.0, -41.0, -79.0, -81.0],
        [1e-300, 0.0, -1e-300, 2e-300, 3.0],
    ],
)
@pytest.mark.filterwarnings("error")
def test_soft_is_exact_for_scores_of_any_size(spec, scores: list[float]) -> None:
    pool, correct = pool_of(scores), [True, False, True, False, True]
    temperature = 1.0 if spec == "soft" else spec["temperature"]
    found = curve(spec, pool, correct)
    exact = over_all_subsets(lambda part: soft(part, temperature), pool, correct)
    assert found.method == "closed form" and {p.estimate for p in found.points} == {"exact"}
    assert [p.value for p in found.points] == pytest.approx(exact, abs=1e-11)
    plugins.build("selector", "weighted_vote").select(pool)  # without a warning


def test_codet_weighs_the_size_of_a_set_with_the_tests_it_passes() -> None:
    yes, no = True, False
    assert chosen("codet", marked([(yes, yes, yes), (yes, no, no), (yes, no, no)])) == 0  # 1 * 3 against 2 * 1
    few_tests = marked([(yes, yes, no)] + [(yes, no, no)] * 3)
    assert chosen("codet", few_tests) == 0  # 1 * 2 against 1.73 * 1
    assert chosen({"name": "codet", "size": "whole"}, few_tests) == 1  # 1 * 2 against 3 * 1
    assert chosen("codet", marked([(yes, yes, no)] + [(yes, no, no)] * 5)) == 1  # 1 * 2 against 2.24 * 1
    assert chosen("codet", marked([(no, no)] * 3 + [(no, yes)])) == 3  # a set that passes nothing is worth nothing


def test_mbr_takes_the_program_that_agrees_with_most_on_most_inputs() -> None:
    pool = pool_of([0.0] * 5, [("1", "a"), ("1", "a"), ("1", "b"), ("2", "b"), ("3", "b")])
    assert chosen("majority", pool) == 0
    assert chosen("mbr", pool) == 2  # 3 agree on the first input, 3 on the second


def test_reasons_say_what_is_so() -> None:
    alone = pool_of([None], [("1",)])
    alike = pool_of([None, None, None], [("1", "2"), ("1", "3"), ("4", None)])
    unscored = pool_of([None] * 3, [("1",), ("2",), ("2",)])

    def said(spec: str, pool: Pool) -> str:
        return plugins.build("selector", spec).select(pool).why

    assert said("mbr", alone) == "of least risk; an output of it is another's 0 times"
    assert said("mbr", alike) == "of least risk; an output of it is another's 1 times"
    assert said("pessimistic", unscored) == "nothing that votes has a score"
    assert said("pessimistic", pool_of([1.0])) == "its class scores at least 1"
    assert said("tests_then_score", marked([(True, False)], [None])).endswith("(none)")
    assert said("tests_then_score", marked([(True, False)], [1 / 3])).endswith("(0.3333)")


def test_reasons_say_what_broke_a_tie() -> None:
    likelier = pool_of([1.0, 1.0, 0.0], [("1",)] * 3, logprobs=[-2.0, -1.0, -0.1])
    equal = pool_of([1.0, 1.0, 0.0], [("1",)] * 3, logprobs=[-1.0, -1.0, -0.1])
    alone = pool_of([2.0, 1.0, 0.0], [("1",)] * 3, logprobs=[-2.0, -1.0, -0.1])
    for spec in ("argmax", "tests_then_score", "staged", "weighted_vote", "mob", "pessimistic"):
        first, second, third = (plugins.build("selector", spec).select(p).why for p in (likelier, equal, alone))
        assert ", of 2 with that score the one of the highest log probability" in first
        assert ", the first sampled of 2 equals" in second
        assert "log probability" not in third and "equals" not in third


def test_mob_is_majority_with_one_draw_and_argmax_with_many() -> None:
    pool = pool_of([3.0, 1.0, 1.5, 0.0], [("1",), ("2",), ("2",), ("2",)])
    assert chosen({"name": "mob", "m": 1}, pool) == 2
    assert chosen({"name": "mob", "m": 50}, pool) == 0


def test_staged_drops_what_fails_the_first_test_and_counts_what_it_saved() -> None:
    yes, no = True, False
    pool = marked([(no, yes, yes), (yes, no, no), (yes, yes, no)], [9.0, 1.0, 2.0])
    staged_one = plugins.build("selector", "staged")
    assert staged_one.select(pool).position == 2
    saved = staged_one.saved(pool)
    assert (saved.scores, saved.of_scores, saved.tests, saved.of_tests) == (1, 3, 6, 9)
    assert chosen("tests_then_score", pool) == 0, "which looks at all three tests"


def test_regularised_takes_length_out_of_a_score() -> None:
    pool = pool_of([1.0, 1.1], codes=["x", "x" * 50])
    assert chosen({"name": "regularised", "beta": 0.0}, pool) == 1
    assert chosen({"name": "regularised", "beta": 0.1}, pool) == 0
    belief = pool_of([1.0, 1.1], logprobs=[-0.1, -0.9])
    assert chosen({"name": "regularised", "by": "logprob", "beta": 1.0}, belief) == 0


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=6), st.sampled_from([-1e5, 0.0, 1e5]))
def test_only_differences_of_scores_matter_to_those_that_weigh(scores: list[float], shift: float) -> None:
    rounded = [round(score, 2) for score in scores]
    outputs = [(str(i % 2),) for i in range(len(scores))]
    for spec in ("soft", "weighted_vote", "mob", "argmax"):
        here, there = (pool_of([score + move for score in rounded], outputs) for move in (0.0, shift))
        assert chosen(spec, here) == chosen(spec, there) or _is_close(rounded, outputs)


def _is_close(scores: Sequence[float], outputs: Sequence[tuple[str]]) -> bool:
    """Whether two classes weigh so nearly the same that the shift's rounding decides."""
    weights = Counter()
    for score, output in zip(scores, outputs, strict=True):
        weights[output] += math.exp(score - max(scores))
    heavy = sorted(weights.values())[-2:]
    return len(heavy) == 2 and math.isclose(*heavy, rel_tol=1e-6)


def test_soft_draws_as_often_as_it_says() -> None:
    pool = pool_of([0.0, -1.0, -2.0, None])
    drawn = Counter(
        plugins.build("selector", {"name": "soft", "seed": seed}).select(pool).position for seed in range(3000)
    )
    for position, share in soft(pool).items():
        assert abs(drawn[position] - 3000 * share) < 5 * math.sqrt(3000 * share * (1 - share))
    assert drawn[3] == 0


# Closed forms by themselves.


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=6), st.integers(0, 3))
def test_a_softmax_over_drawn_subsets_has_chances_that_add_up(logits: list[float], idle: int) -> None:
    n = len(logits) + idle
    ks = range(1, n + 1)
    total = chances.softmax(np.array(logits), idle, ks).sum(axis=0)
    none = [math.comb(idle, k) / math.comb(n, k) for k in ks]
    assert total == pytest.approx([1 - share for share in none], abs=1e-10)


@pytest.mark.parametrize("members", [67, 68, 128])
def test_a_large_class_wins_wherever_it_is_drawn_from(members: int) -> None:
    """C(68, 34) is more than 64 bits hold."""
    found = chances.plurality([tuple(map(float, range(1, members + 1)))], 0, members, [1, members // 2, members])
    assert found == pytest.approx(np.ones((1, 3)))


@pytest.mark.parametrize("n", [16, 64, 128])
def test_chances_of_classes_add_up_and_grow_with_the_class(n: int) -> None:
    sizes = [n // 2, n // 4, *[1] * (n - n // 2 - n // 4)]
    kinds = [tuple(map(float, range(1, size + 1))) for size in sizes]
    ks = [k for k in (1, 2, 5, 16, 64, 128) if k <= n]
    found = chances.plurality(kinds, 0, n, ks)
    assert found.sum(axis=0) == pytest.approx(1, abs=1e-9)
    assert found[:, 0] == pytest.approx([size / n for size in sizes])
    assert (np.diff(found[0]) > -1e-12).all() and found[0, -1] == pytest.approx(1)
