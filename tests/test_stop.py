"""Stopping policies: what every one must keep to, asked of each by name, and each against brute force or by hand."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_contracts import PROBLEM, candidate, name_of, pool_of, pools

from tts import plugins
from tts.errors import ConfigError
from tts.protocols import Allocator, Policy
from tts.stop._tail import excess_gain, scores_of, tail, win_gain
from tts.stop._votes import posterior, voting
from tts.stop.allocate import Allocate
from tts.stop.beta import Beta
from tts.stop.pandora import Pandora
from tts.stopping import settle
from tts.types import Behaviour, Decision, Pool, Score

POLICIES = [
    *plugins.names("policy"),
    {"name": "fixed", "k": 3},
    {"name": "beta", "confidence": 0.7},
    {"name": "beta", "confidence": 1.0},
    {"name": "margin", "confidence": 0.8, "temperature": 0.3},
    {"name": "margin", "confidence": 0.8, "by": "program"},
    {"name": "pandora", "cost": 0.1, "minimum": 3},
    {"name": "pandora", "cost": 0.001, "temperature": 5.0},
    {"name": "allocate", "pilot": 2, "budget": 3.5},
    {"name": "adap", "first": 1, "share": 1.0},
    {"name": "adap", "first": 3, "share": 0.2},
]
every_policy = pytest.mark.parametrize("spec", POLICIES, ids=str)
BUILT = {str(spec): plugins.build("policy", spec) for spec in POLICIES}


def policy(spec) -> Policy:
    return BUILT.get(str(spec)) or plugins.build("policy", spec)


def stopped(spec, pool: Pool, n_max: int) -> Decision:
    (decision,) = settle(policy(spec), [pool], [n_max])
    return decision


def with_public(pool: Pool, passed) -> Pool:
    """The pool with what each candidate does on the public tests, as far as it has code."""
    seen = tuple(
        None if c.code is None else Behaviour(("1" if ok else None,), (ok,))
        for c, ok in zip(pool.candidates, passed, strict=True)
    )
    return replace(pool, behaviours=seen)


def sampled(max_size=9):
    """Pools in which programs behave in a few ways, some pass the public tests, and anything may be missing."""
    drawn = st.tuples(
        pools(min_size=1, max_size=max_size), st.lists(st.booleans(), min_size=max_size, max_size=max_size)
    )
    return drawn.map(
        lambda pair: replace(
            pair[0],
            behaviours=tuple(
                None if b is None else replace(b, passed=(ok,))
                for b, ok in zip(pair[0].behaviours, pair[1], strict=False)
            ),
        )
    )


# Every policy.


@pytest.mark.parametrize("name", plugins.names("policy"))
def test_every_policy_satisfies_its_protocol(name):
    built = plugins.build("policy", name)

    assert isinstance(built, Policy)
    assert set(getattr(built, "needs", ())) <= {"scores", "behaviours"}
    option, values = built.knob
    assert option in {one.name for one in plugins.options(type(built))}
    assert [getattr(plugins.build("policy", {"name": name, option: value}), option) for value in values] == [*values]


@every_policy
@settings(max_examples=25)
@given(pool=sampled(), more=st.integers(0, 5))
def test_no_more_is_wanted_than_there_may_be_and_at_that_it_stops(spec, pool, more):
    for size in range(len(pool) + 1):
        decision = policy(spec).decide(pool.take(range(size)), len(pool) + more)

        assert decision.wanted <= len(pool) + more
        assert decision.wanted > size or decision.why or size == 0
        assert decision.answer is None or decision.answer in range(decision.wanted)
    assert policy(spec).decide(pool, len(pool)).wanted <= len(pool)


@every_policy
@settings(max_examples=25)
@given(pool=sampled())
def test_deciding_is_pure(spec, pool):
    before = repr(pool)
    first = policy(spec).decide(pool, len(pool) + 3)

    assert policy(spec).decide(pool, len(pool) + 3) == first
    assert plugins.build("policy", spec).decide(pool, len(pool) + 3) == first
    assert repr(pool) == before


@every_policy
@settings(max_examples=25)
@given(pool=sampled())
def test_what_is_wanted_is_needed_whatever_comes(spec, pool):
    """Asked after each candidate, a policy stops at the same number as asked only at the numbers it named itself."""
    n = len(pool)
    one_by_one = next(size for size in range(1, n + 1) if policy(spec).decide(pool.take(range(size)), n).wanted <= size)

    assert stopped(spec, pool, n).wanted == one_by_one


@every_policy
@settings(max_examples=25)
@given(pool=sampled(), data=st.data())
def test_what_comes_after_a_decision_changes_nothing(spec, pool, data):
    other = data.draw(sampled())
    decision = stopped(spec, pool, len(pool))
    kept = pool.take(range(decision.wanted))
    joined = Pool(
        PROBLEM,
        kept.candidates + other.candidates,
        kept.scores + other.scores,
        (kept.behaviours + other.behaviours) if kept.behaviours and other.behaviours else (),
    )
    assume(bool(kept.behaviours) == bool(joined.behaviours))

    assert stopped(spec, joined, len(pool)) == decision


@every_policy
@settings(max_examples=25)
@given(pool=sampled())
def test_more_budget_never_means_fewer_candidates(spec, pool):
    wanted = [stopped(spec, pool, n).wanted for n in range(1, len(pool) + 1)]

    assert wanted == sorted(wanted)
    assert all(found <= n for n, found in enumerate(wanted, 1))


@every_policy
@settings(max_examples=25)
@given(data=st.data())
def test_the_order_within_what_it_was_asked_about_does_not_matter(spec, data):
    pool = data.draw(sampled())
    order = data.draw(st.permutations(range(len(pool))))
    first = {"adap": "first", "allocate": "pilot"}.get(name_of(spec))
    if first is not None:  # what follows the first shell, or the pilot, was asked about another time
        order = [i for i in order if i < getattr(policy(spec), first)]
        pool = pool.take(range(len(order)))

    one, other = (policy(spec).decide(found, len(pool) + 4) for found in (pool, pool.take(order)))

    assert one.wanted == other.wanted
    if one.answer is not None:
        assert pool.candidates[one.answer] == pool.candidates[order[other.answer]]


@every_policy
def test_a_policy_that_needs_no_behaviours_or_scores_looks_at_none(spec):
    needs = getattr(policy(spec), "needs", ())
    pool = pool_of([2.0, 1.0, 1.0, 0.0, 3.0, 1.0], [("1",), ("1",), ("2",), ("1",), ("1",), ("1",)])
    if "behaviours" not in needs:
        assert stopped(spec, replace(pool, behaviours=()), 6) == stopped(spec, pool, 6)
    if "scores" not in needs and "adap" not in str(spec):  # which ranks by scores if there are any
        bare = tuple(Score("p", i, None) for i in range(6))
        assert stopped(spec, replace(pool, scores=bare), 6) == stopped(spec, pool, 6)


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "fixed", "k": 0},
        {"name": "beta", "confidence": 0.5},
        {"name": "beta", "confidence": 1.1},
        {"name": "margin", "confidence": 1.0},
        {"name": "margin", "temperature": 0},
        {"name": "pandora", "cost": 0},
        {"name": "pandora", "cost": 0.5},
        {"name": "pandora", "delta": 1},
        {"name": "pandora", "minimum": 2},
        {"name": "pandora", "temperature": -1},
        {"name": "allocate", "pilot": 0},
        {"name": "allocate", "pilot": 8, "budget": 4},
        {"name": "allocate", "budget": math.inf},
        {"name": "adap", "first": 0},
        {"name": "adap", "share": 0},
        {"name": "adap", "share": 1.5},
    ],
    ids=str,
)
def test_an_option_out_of_range_is_refused_by_name(spec):
    with pytest.raises(ConfigError, match="must be"):
        plugins.build("policy", spec)


# Votes.


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_posterior_of_whole_votes_is_a_binomial_tail(leader, second):
    tosses = leader + second + 1
    tail_of = sum(math.comb(tosses, heads) for heads in range(leader + 1)) / 2**tosses

    assert posterior(leader, second) == pytest.approx(tail_of, abs=1e-11)


@settings(max_examples=25)
@given(st.floats(0, 60), st.floats(0, 60))
def test_the_posterior_of_fractions_is_the_integral(leader, second):
    x = (np.arange(200_000) + 0.5) / 200_000
    logs = leader * np.log(x) + second * np.log1p(-x)
    density = np.exp(logs - logs.max())

    assert posterior(leader, second) == pytest.approx(density[x > 0.5].sum() / density.sum(), abs=1e-6)


def test_unanimous_votes_stop_at_the_papers_numbers():
    alike = pool_of([0.0] * 20, [("1",)] * 20)

    assert [stopped({"name": "beta", "confidence": c}, alike, 20).wanted for c in (0.7, 0.9, 0.95, 0.99)] == [
        1,
        3,
        4,
        6,
    ]


def outputs(codes):
    return [(code,) for code in codes]


@settings(max_examples=50)
@given(codes=st.lists(st.sampled_from("ABC"), min_size=1, max_size=12), confidence=st.sampled_from([0.8, 0.95, 1.0]))
def test_beta_stops_at_the_first_number_at_which_it_is_sure_or_the_lead_is_safe(codes, confidence):
    def enough(size: int) -> bool:
        leader, second = sorted((codes[:size].count(letter) for letter in "ABC"), reverse=True)[:2]
        sure = confidence < 1 and posterior(leader, second) >= confidence
        return sure or leader > second + len(codes) - size or size == len(codes)

    expected = next(size for size in range(1, len(codes) + 1) if enough(size))
    pool = pool_of([0.0] * len(codes), outputs(codes))

    assert stopped({"name": "beta", "confidence": confidence}, pool, len(codes)).wanted == expected


@settings(max_examples=30)
@given(codes=st.lists(st.sampled_from("AB"), min_size=1, max_size=6))
def test_with_confidence_1_the_majority_at_the_stop_is_that_of_every_continuation(codes):
    n = len(codes)
    wanted = stopped({"name": "beta", "confidence": 1.0}, pool_of([0.0] * n, outputs(codes)), n).wanted

    majority = plugins.build("selector", "majority")
    chosen = codes[majority.select(pool_of([0.0] * wanted, outputs(codes[:wanted]))).position]
    for rest in itertools.product("ABC", repeat=n - wanted):
        whole = [*codes[:wanted], *rest]
        assert whole[majority.select(pool_of([0.0] * n, outputs(whole))).position] == chosen


def test_a_lead_that_what_is_left_could_make_up_for_is_no_reason_to_stop():
    assert Beta(confidence=1.0).decide(pool_of([0.0] * 3, outputs("AAB")), 4).wanted == 4  # 2 to 1 with one left
    assert Beta(confidence=1.0).decide(pool_of([0.0] * 3, outputs("AAA")), 6).wanted == 4  # 3 to 0 with three left
    assert Beta(confidence=1.0).decide(pool_of([0.0] * 4, outputs("AAAA")), 6).wanted == 4


def test_programs_that_all_fail_have_no_vote():
    pool = pool_of([0.0] * 6, [(None,)] * 6, codes=["x"] * 6)

    assert voting(pool) == []
    assert stopped("beta", pool, 6).wanted == 6
    assert stopped("margin", pool, 6).wanted == 6


@given(pool=sampled())
def test_who_votes_is_who_votes_for_the_selector_majority(pool):
    groups = voting(pool)
    chosen = plugins.build("selector", "majority").select(pool).position
    assume(groups)

    largest = max(len(group) for group in groups)
    assert any(chosen in group and len(group) == largest for group in groups)


@given(pool=sampled(), confidence=st.sampled_from([0.7, 0.9, 0.95]))
def test_margin_with_equal_scores_has_betas_posterior(pool, confidence):
    level = replace(pool, scores=tuple(Score("p", c.index, 1.0) for c in pool.candidates))
    n_max = 10_000  # so far away that beta's lead never decides
    beta, margin = (
        policy({"name": name, "confidence": confidence}).decide(level, n_max).wanted <= len(pool)
        for name in ("beta", "margin")
    )

    assert beta == margin


def test_margin_hears_scores():
    scores, codes = [0.0, 6.0, 0.0, 6.0, 6.0, 6.0], outputs("ABABBB")

    assert stopped("margin", pool_of(scores, codes), 6).wanted < stopped("beta", pool_of(scores, codes), 6).wanted


# Scores.


def test_the_tail_is_the_upper_half_over_the_median():
    assert tail([0.0, 1.0, 2.0, 3.0, 4.0]) == (2.0, 1.0)
    assert tail([0.0, 1.0]) == (1.0, 0.0)
    assert tail([5.0, 5.0, 5.0]) == (5.0, 0.0)


@pytest.mark.parametrize("scale", [0.01, 0.3, 1.0, 4.0, 20.0])
def test_expected_gains_are_the_integrals(scale):
    t = (np.arange(400_000) + 0.5) / 400_000 * 60
    weight = np.exp(-t) * 60 / 400_000

    assert win_gain(scale) == pytest.approx(float((weight * (1 / (1 + np.exp(-scale * t)) - 0.5)).sum()), abs=1e-6)
    assert excess_gain(scale) == pytest.approx(float((weight * scale * t / (2 * (2 + scale * t))).sum()), abs=1e-6)


def test_gains_are_right_for_scores_of_any_width_and_grow_with_it():
    """E[1 / (1 + exp(-t))] is x times the sum over k of (-1)^k / (x + k), x = 1 / scale: near 0 a series."""
    assert win_gain(0.0) == excess_gain(0.0) == 0.0
    assert win_gain(1.0) == pytest.approx(math.log(2) - 0.5, abs=1e-14)
    assert win_gain(0.5) == pytest.approx(2 * (1 - math.log(2)) - 0.5, abs=1e-14)
    for scale in (1e3, 1e5, 1e7):
        assert win_gain(scale) == pytest.approx(0.5 - math.log(2) / scale + math.pi**2 / 12 / scale**2, abs=1e-9)
    assert win_gain(1e-9) == pytest.approx(0.25e-9)
    for gain in (win_gain, excess_gain):
        grown = [gain(10.0**power) for power in range(-12, 13)]
        assert grown == sorted(set(grown)) and grown[0] > 0 and grown[-1] < 0.5


def test_allocate_tells_problems_apart_by_the_spread_of_scores_of_any_width():
    plugin = Allocate(pilot=3, budget=7)
    narrow, wide = pool_of([0.0, 10.0, 110.0]), pool_of([0.0, 10.0, 3010.0])

    assert plugin._factor(narrow) < plugin._factor(wide) < plugin._factor(pool_of([None] * 3))


def test_allocate_spends_all_though_nothing_is_expected_to_gain():
    plugin = Allocate(pilot=3, budget=5)
    flat, wide = pool_of([1.0, 1.0, 1.0]), pool_of([0.0, 2.0, 9.0])

    assert [d.wanted for d in plugin.allot([flat] * 3, [9] * 3)] == [5, 5, 5]
    assert [d.wanted for d in plugin.allot([flat, wide, flat], [9, 4, 9])] == [6, 4, 5]
    assert [d.wanted for d in plugin.allot([flat, wide], [4, 4])] == [4, 4]


def fair_cap(median: float, scale: float, cost: float) -> float:
    """The tau with E[(v - tau)+] = cost by bisection, v = u / (u + 1), of which half are a shifted exponential and the
    rest below the median; the integral is a sum.
    """
    u = median + (np.arange(200_000) + 0.5) / 200_000 * 60 * scale
    weight = 0.5 * np.exp(-(u - median) / scale) * 60 / 200_000
    v = u / (u + 1)
    low, high = 0.0, 1.0
    for _ in range(60):
        tau = (low + high) / 2
        low, high = (tau, high) if (weight * np.maximum(v - tau, 0)).sum() > cost else (low, tau)
    return low


@settings(max_examples=25)
@given(
    scores=st.lists(st.floats(-4, 4), min_size=4, max_size=12),
    cost=st.sampled_from([0.003, 0.01, 0.03, 0.1]),
)
def test_pandora_stops_exactly_when_the_best_is_at_least_the_fair_cap(scores, cost):
    plugin = Pandora(cost=cost)
    n = len(scores)
    rewards = [math.exp(score - max(scores)) for score in scores]
    median, mean = tail(rewards)
    assume(mean > 1e-3)
    scale = mean * (1 + math.sqrt(math.log(math.log(n)) * math.log(1 / 0.05) / n))
    cap = fair_cap(median, scale, cost)
    assume(cap < median / (median + 1) or abs(cap - 0.5) > 1e-4)
    assume(cap >= median / (median + 1) or cap < 0.5 - 1e-4)

    stops = plugin.decide(pool_of(scores), n + 5).wanted <= n

    assert stops == (cap <= 0.5)


def test_pandora_goes_on_longer_the_cheaper_a_sample_is():
    rng = np.random.default_rng(0)
    pool = pool_of(list(rng.normal(size=64)))
    wanted = [stopped({"name": "pandora", "cost": cost}, pool, 64).wanted for cost in (0.1, 0.03, 0.01, 0.003, 0.001)]

    assert wanted == sorted(wanted)
    assert len(set(wanted)) >= 3


def test_pandora_takes_the_invalid_and_the_unscored_for_nothing_and_goes_on_while_nothing_is_scored():
    assert scores_of(pool_of([1.0, None, 9.0], valid=[True, True, False])) == [1.0]
    assert stopped("pandora", pool_of([None] * 9), 9).wanted == 9
    poor = pool_of([2.0, None, None, None, None, None])
    assert Pandora().gain([2.0], 6) > 0
    assert Pandora(cost=0.49).decide(poor, 9).wanted == 6


# Budgets.


def total_gain(factors, shares, pilot) -> float:
    return sum(factor / (n + 1) for factor, share in zip(factors, shares, strict=True) for n in range(pilot, share))


@settings(max_examples=40)
@given(
    spreads=st.lists(st.floats(0, 5), min_size=1, max_size=4),
    extra=st.integers(0, 6),
    n_max=st.integers(2, 6),
)
def test_no_other_way_to_spend_the_budget_gains_more(spreads, extra, n_max):
    pilot = 2
    pools_ = [pool_of([-spread, spread, 9.0]) for spread in spreads]
    plugin = Allocate(pilot=pilot, budget=pilot + extra / len(spreads))
    found = [decision.wanted for decision in plugin.allot(pools_, [n_max] * len(spreads))]
    factors = [plugin._factor(pool.take(range(pilot))) for pool in pools_]

    left = math.floor(plugin.budget * len(spreads)) - pilot * len(spreads)
    ways = itertools.product(range(pilot, n_max + 1), repeat=len(spreads))
    best = max(total_gain(factors, way, pilot) for way in ways if sum(way) - pilot * len(spreads) <= left)
    assert total_gain(factors, found, pilot) == pytest.approx(best)
    assert sum(found) - pilot * len(spreads) <= left
    assert max(found) <= n_max


@given(spreads=st.lists(st.floats(0, 5), min_size=1, max_size=5), data=st.data())
def test_a_larger_budget_takes_from_no_problem(spreads, data):
    pools_ = [pool_of([0.0, 0.0, spread]) for spread in spreads]
    budgets = sorted(data.draw(st.lists(st.floats(3, 12), min_size=2, max_size=2)))
    small, large = (
        [d.wanted for d in Allocate(pilot=3, budget=budget).allot(pools_, [9] * len(spreads))] for budget in budgets
    )

    assert all(a <= b for a, b in zip(small, large, strict=True))


def test_allocate_waits_for_every_pilot_and_then_gives_most_to_the_widest():
    plugin = Allocate(pilot=3, budget=5)
    flat, wide = pool_of([1.0, 1.0, 1.0]), pool_of([0.0, 2.0, 9.0])

    assert [d.wanted for d in plugin.allot([flat, wide.take([0])], [9, 9])] == [3, 3]
    assert [d.wanted for d in plugin.allot([flat, wide], [9, 9])] == [3, 7]
    assert [d.wanted for d in plugin.allot([flat, pool_of([None] * 3)], [9, 9])] == [3, 7]  # nothing is known of it
    assert isinstance(plugin, Allocator)


# Verification.


@pytest.mark.parametrize(
    ("passed", "scores", "share", "wanted", "answer"),
    [
        ([0, 0, 0, 0, 0, 0, 0, 0], [1] * 8, 1.0, 8, None),
        ([1, 0, 0, 0, 0, 0, 0, 0], [9, 1, 1, 1, 1, 1, 1, 1], 0.5, 2, 0),
        ([1, 0, 0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 1, 1, 1], 0.5, 8, None),  # never among the better half
        ([1, 0, 0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 1, 1, 1], 1.0, 2, 0),
        ([0, 0, 1, 1, 0, 0, 0, 0], [1, 1, 2, 3, 1, 1, 1, 1], 0.5, 4, 3),
        ([0, 0, 0, 0, 0, 1, 0, 0], [1, 1, 1, 1, 1, 2, 1, 1], 0.5, 8, 5),
    ],
)
def test_adap_by_hand(passed, scores, share, wanted, answer):
    pool = with_public(pool_of([float(s) for s in scores]), [bool(p) for p in passed])

    found = stopped({"name": "adap", "first": 2, "share": share}, pool, 8)

    assert (found.wanted, found.answer) == (wanted, answer)


def test_adap_cuts_its_last_shell_and_asks_for_whole_shells():
    pool = with_public(pool_of([1.0] * 6), [False] * 6)

    assert [policy("adap").decide(pool.take(range(size)), 6).wanted for size in range(7)] == [2, 2, 4, 4, 6, 6, 6]


def test_without_public_tests_nothing_is_verified():
    pool = replace(pool_of([1.0] * 4), behaviours=(Behaviour(()),) * 4)

    assert stopped("adap", pool, 4).wanted == 4
    assert candidate(0).valid
