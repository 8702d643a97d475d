"""What every plug-in of a family must keep to, asked of each by name, so that a new one is asked at once."""

import inspect
import itertools
import json
import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import reward_server
import tiny
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tts import metrics, plugins
from tts.errors import ConfigError, DataError
from tts.problems._rows import RowBenchmark
from tts.protocols import Benchmark, Chance, Generator, Ranked, Scorer, Selector, Settling
from tts.select import odds
from tts.select.random import Random
from tts.select.weighted_vote import WeightedVote
from tts.types import UNPARSABLE, Behaviour, Call, Candidate, Pool, Problem, Score, Stdin

PUBLIC = (Stdin("1\n", "2\n"), Stdin("3\n", "6\n"), Stdin("4\n", "8\n"))
PROBLEM = Problem("p", "Double a number.", (), public_tests=PUBLIC)


def name_of(spec) -> str:
    return spec if isinstance(spec, str) else spec["name"]


# Every shipped selector as it comes, and options that take other paths through it.
SELECTORS = [
    *plugins.names("selector"),
    {"name": "random", "seed": 5},
    {"name": "weighted_vote", "temperature": 0.01},
    {"name": "weighted_vote", "temperature": 1000.0},
    {"name": "soft", "temperature": 0.05},
    {"name": "mob", "m": 1},
    {"name": "mob", "m": 40},
    {"name": "codet", "tests": "written"},
    {"name": "codet", "tests": "both", "size": "whole"},
    {"name": "pessimistic", "alpha": 0.0},
    {"name": "ensemble", "how": "zscore"},
    {"name": "ensemble", "how": "bound", "alpha": 0.5, "scorers": ["other"]},
    {"name": "regularised", "by": "logprob"},
    {"name": "regularised", "beta": -2.0},
    {"name": "staged", "tests": 2},
    {"name": "threshold", "mode": "quantile", "value": 0.5, "then": "argmax"},
    {"name": "threshold", "mode": "absolute", "value": 0.0, "then": "weighted_vote"},
    {
        "name": "threshold",
        "value": 0.0,
        "then": {"name": "threshold", "mode": "quantile", "value": 1, "then": "random"},
    },
]
DICE = ("random", "soft")
MAY_CHOOSE_INVALID = {"random": "it is the baseline: every candidate is as likely"}

few = settings(max_examples=30)  # of each of so many
every_selector = pytest.mark.parametrize("spec", SELECTORS, ids=str)
every_choosy_selector = pytest.mark.parametrize(
    "spec", [spec for spec in SELECTORS if name_of(spec) not in MAY_CHOOSE_INVALID], ids=str
)


BUILT = {str(spec): plugins.build("selector", spec) for spec in SELECTORS}


def selector(spec) -> Selector:
    return BUILT.get(str(spec)) or plugins.build("selector", spec)


def candidate(index, code="x", logprob=None, extraction="tagged", tokens=None) -> Candidate:
    rule = "none" if code is None else extraction
    return Candidate("p", index, code or "", code, rule, logprob=logprob, tokens=tokens)


def pool_of(scores, outputs=None, codes=None, logprobs=None, valid=None) -> Pool:
    """A pool by hand: one score per candidate; `outputs` one tuple per candidate for a behaviour."""
    n = len(scores)
    codes = codes or [f"print({i})" for i in range(n)]
    rules = ["tagged" if ok else UNPARSABLE for ok in valid or [True] * n]
    candidates = [candidate(i, codes[i], (logprobs or [None] * n)[i], rules[i]) for i in range(n)]
    behaviours = () if outputs is None else tuple(None if o is None else Behaviour(o) for o in outputs)
    found = tuple(Score("p", i, value) for i, value in enumerate(scores))
    return Pool(PROBLEM, tuple(candidates), found, behaviours, {"mine": found, "other": found})


FEW = st.sampled_from([-3.0, -1.0, 0.0, 0.5, 2.0])
DRAWN = st.tuples(
    st.integers(0, 30),
    st.sampled_from([None, "a", "b", "c"]),
    st.none() | FEW,
    st.sampled_from(["tagged", UNPARSABLE]),
    st.none() | FEW | st.floats(-1e6, 1e6, allow_nan=False),
    st.builds(
        Behaviour,
        st.tuples(*[st.sampled_from([None, "1", "2"])] * 2),
        st.tuples(*[st.booleans()] * len(PUBLIC)),
        st.tuples(*[st.booleans()] * 3),
    ),
    st.none() | FEW,
)


def pools(min_size=1, max_size=7):
    """Pools with ties everywhere: few programs, few outputs, few scores (any sign), indices in any order."""
    rows = st.lists(DRAWN, min_size=min_size, max_size=max_size, unique_by=lambda row: row[0])
    return st.builds(_drawn_pool, rows, st.booleans())


def _drawn_pool(rows, with_behaviours) -> Pool:
    candidates = tuple(candidate(index, code, logprob, rule) for index, code, logprob, rule, *_ in rows)
    scores, others = (tuple(Score("p", row[0], row[place]) for row in rows) for place in (4, 6))
    behaviours = tuple(None if row[1] is None else row[5] for row in rows)
    both = {"mine": scores, "other": others}
    return Pool(PROBLEM, candidates, scores, behaviours if with_behaviours else (), both)


def voting_pools(max_size):
    """Pools in which everybody votes, most of them alike, so that a vote is often settled before it is over."""
    few_marks = st.sampled_from([(True, False, False), (True, True, False), (True, True, True), (False, False, False)])
    rows = st.lists(st.tuples(st.sampled_from(["1", "2"]), few_marks), min_size=1, max_size=max_size)
    return st.builds(_voting_pool, rows)


def _voting_pool(rows) -> Pool:
    pool = pool_of([0.0] * len(rows))
    return replace(pool, behaviours=tuple(Behaviour((output,) * 3, marks, marks) for output, marks in rows))


def chosen_index(spec, pool: Pool) -> int | None:
    position = selector(spec).select(pool).position
    return None if position is None else pool.candidates[position].index


# Families and protocols.


@pytest.mark.parametrize(
    ("family", "protocol"),
    [("benchmark", Benchmark), ("generator", Generator), ("scorer", Scorer), ("selector", Selector)],
)
def test_every_plugin_satisfies_its_protocol(family, protocol):
    files = ("jsonl", "replay", "humaneval", "humaneval+", "mbpp", "mbpp+", "leetcode")
    needed = {"remote": {"model": "x"}, "openai": {"model": "x"}, **{name: {"path": "x"} for name in files}}

    for name in plugins.names(family):
        assert isinstance(plugins.build(family, {"name": name, **needed.get(name, {})}), protocol)


@pytest.mark.parametrize("name", plugins.names("benchmark"))
def test_a_benchmark_that_leaves_problems_out_says_by_which_options(name):
    found = plugins.find("benchmark", name)

    assert (found.admits is not RowBenchmark.admits) == bool(found.filters)
    assert {*found.filters} <= {option.name for option in plugins.options(found)}


# Selectors.


@every_selector
@few
@given(pool=pools())
def test_a_selector_chooses_a_position_of_the_pool_or_none(spec, pool):
    found = selector(spec).select(pool)

    assert found.position is None or found.position in range(len(pool))
    assert isinstance(found.why, str)
    assert found.why


@every_selector
@few
@given(pool=pools())
def test_a_selector_is_deterministic(spec, pool):
    assert selector(spec).select(pool) == selector(spec).select(pool)


@every_selector
def test_two_selectors_of_one_config_are_equal_and_choose_alike(spec):
    one, other = plugins.build("selector", spec), plugins.build("selector", spec)
    pool = pool_of([1.0, None, 1.0, 2.0, -1.0], [("1",), ("2",), ("2",), (None,), None])

    assert one == other
    assert one.select(pool) == other.select(pool)


@every_selector
@few
@given(data=st.data())
def test_a_selector_does_not_depend_on_the_order_of_candidates(spec, data):
    pool = data.draw(pools())
    order = data.draw(st.permutations(range(len(pool))))

    assert chosen_index(spec, pool.take(order)) == chosen_index(spec, pool)


@every_selector
@few
@given(pool=pools(max_size=1))
def test_of_one_candidate_it_is_chosen_or_none(spec, pool):
    position = selector(spec).select(pool).position

    assert position == 0 or (position is None and name_of(spec) == "threshold")


@every_selector
@pytest.mark.parametrize("outputs", [None, [("1",), ("2",), ("1",)]])
def test_with_no_score_at_all_a_selector_still_answers(spec, outputs):
    position = selector(spec).select(pool_of([None, None, None], outputs)).position

    assert (position is None) == (name_of(spec) == "threshold")


@every_selector
@pytest.mark.parametrize("valid", [None, [False] * 3])
def test_with_nothing_valid_a_selector_still_answers(spec, valid):
    codes = [None] * 3 if valid is None else ["(", "[", "{"]
    pool = pool_of([1.0, 2.0, 3.0], [None] * 3, codes=codes, valid=valid)

    position = selector(spec).select(pool).position

    assert (position is None) == (name_of(spec) == "threshold")


@every_choosy_selector
@few
@given(pool=pools())
def test_a_valid_program_goes_before_an_invalid_one(spec, pool):
    assume(any(c.valid for c in pool.candidates))

    position = selector(spec).select(pool).position

    assert position is None or pool.candidates[position].valid


@every_selector
def test_of_equal_candidates_the_first_sampled_wins_in_any_order(spec):
    pool = pool_of([1.0] * 4, [("1",)] * 4, codes=["same"] * 4, logprobs=[-1.0] * 4)
    chosen = {chosen_index(spec, pool.take(order)) for order in itertools.permutations(range(4))}

    assert len(chosen) == 1
    assert chosen == {0} or any(name in str(spec) for name in DICE)


@every_selector
@few
@given(pool=pools())
def test_what_a_selector_needs_is_a_tuple_of_known_words(spec, pool):
    needs = getattr(selector(spec), "needs", ())

    assert set(needs) <= {"behaviours", "written_tests"}
    if not needs:  # then behaviours, which the pipeline may have for another selector, change nothing
        without = Pool(pool.problem, pool.candidates, pool.scores, (), pool.all_scores)
        assert selector(spec).select(pool) == selector(spec).select(without)


@every_selector
@few
@given(pool=pools())
def test_a_selector_that_ignores_scores_does(spec, pool):
    if getattr(selector(spec), "ignores_scores", False):
        other = tuple(Score(s.problem_id, s.index, float(-s.index)) for s in pool.scores)
        anew = Pool(pool.problem, pool.candidates, other, pool.behaviours)
        assert chosen_index(spec, anew) == chosen_index(spec, pool)


@every_selector
@few
@given(data=st.data())
def test_many_subsets_at_once_are_chosen_from_as_one_after_the_other(spec, data):
    pool = data.draw(pools())
    rows = data.draw(st.lists(st.lists(st.booleans(), min_size=len(pool), max_size=len(pool)), min_size=1, max_size=5))
    members = np.array(rows, dtype=np.bool_)

    found = odds(selector(spec), pool, members)

    for row, mine in zip(members, found, strict=True):
        part = np.flatnonzero(row).tolist()
        alone = selector(spec).select(pool.take(part)).position if part else None
        likely = np.flatnonzero(mine).tolist()
        assert set(likely) <= set(part) and mine.sum() == pytest.approx(1.0 if likely else 0.0)
        if alone is None:
            assert not likely
        elif getattr(selector(spec), "drawn", False):
            assert part[alone] in likely
        else:
            assert part[alone] == min(likely, key=lambda i: pool.candidates[i].index)


@every_selector
def test_a_selector_states_its_estimate_once(spec):
    stated = inspect.getdoc(inspect.getmodule(type(selector(spec)))).split("Estimate: ")

    assert len(stated) == 2
    ways = Ranked, Chance
    exact = any(isinstance(selector(spec), way) for way in ways)
    assert ("exact" in stated[1]) == exact


RANKED = [
    spec
    for spec in SELECTORS
    if isinstance(selector(spec), Ranked) and selector(spec).rank_key(pool_of([1.0])) is not None
]
every_ranked = pytest.mark.parametrize("spec", RANKED, ids=str)


@pytest.mark.parametrize("spec", [spec for spec in SELECTORS if isinstance(selector(spec), Settling)], ids=str)
@settings(max_examples=300)
@given(st.data())
def test_a_selector_that_says_it_has_settled_keeps_its_choice_whatever_comes(spec, data):
    pool = data.draw(pools(max_size=10) | voting_pools(max_size=10))
    seen = data.draw(st.lists(st.sampled_from(range(len(pool))), min_size=1, unique=True))
    coming = [c.index for i, c in enumerate(pool.candidates) if i not in seen]
    part = pool.take(seen)
    if selector(spec).settled(part, coming):
        assert chosen_index(spec, part) == chosen_index(spec, pool)


@pytest.mark.parametrize("spec", ["majority", "codet"])
def test_a_choice_is_settled_as_soon_as_votes_allow(spec):
    """Ahead by one more than may still come, and the first of its class is the first that may ever be."""
    found = selector(spec)
    alike = (Behaviour(("1", "2"), (True,) * len(PUBLIC)),) * 7
    pool = replace(pool_of([0.0] * 7), behaviours=alike)
    assert found.settled(pool.take(range(4)), [4, 5, 6])
    assert not found.settled(pool.take(range(3)), [3, 4, 5])
    assert not found.settled(pool.take([1, 2, 3, 4]), [0, 5, 6])
    assert not found.settled(replace(pool, behaviours=()).take(range(4)), [4, 5, 6])  # nobody has run them


@pytest.mark.parametrize(("size", "settled"), [("root", False), ("whole", True)])
def test_codet_is_settled_by_what_it_chooses_by(size, settled):
    """Ten that pass 2 tests beside one that passes 5: two more of the latter change the choice by the root alone."""
    tests = tuple(Stdin(str(i), "") for i in range(5))
    pool = replace(pool_of([0.0] * 13), problem=replace(PROBLEM, public_tests=tests))
    marks = [(True,) * 2 + (False,) * 3] * 10 + [(True,) * 5] * 3
    pool = replace(pool, behaviours=tuple(Behaviour(("1",) * 5, mine) for mine in marks))
    found, part = selector({"name": "codet", "size": size}), pool.take(range(11))

    assert found.settled(part, [11, 12]) == settled
    assert (found.select(part).position == found.select(pool).position) == settled


def test_random_and_argmax_get_the_exact_estimator():
    exact = {"random", "argmax", "tests_then_score", "staged", "regularised"}
    assert exact == {name_of(spec) for spec in RANKED}
    assert {"by": "length"} not in RANKED and "regularised" not in RANKED


@every_ranked
@few
@given(pool=pools())
def test_a_rank_key_is_one_tuple_of_numbers_for_each_candidate(spec, pool):
    keys = selector(spec).rank_key(pool)

    assert len(keys) == len(pool)
    assert len({len(key) for key in keys}) == 1
    assert not any(math.isnan(part) for key in keys for part in key)


@every_ranked
@few
@given(pool=pools())
def test_select_takes_a_greatest_key(spec, pool):
    keys = selector(spec).rank_key(pool)

    assert tuple(keys[selector(spec).select(pool).position]) == max(map(tuple, keys))


@every_ranked
@few
@given(data=st.data())
def test_keys_order_a_part_of_the_pool_as_they_order_the_whole(spec, data):
    pool = data.draw(pools(min_size=2))
    part = data.draw(st.lists(st.integers(0, len(pool) - 1), min_size=1, unique=True))
    whole, alone = (list(map(tuple, selector(spec).rank_key(one))) for one in (pool, pool.take(part)))

    for (i, a), (j, b) in itertools.combinations(enumerate(part), 2):
        assert (alone[i] < alone[j], alone[i] == alone[j]) == (whole[a] < whole[b], whole[a] == whole[b])


@every_ranked
@few
@given(data=st.data())
def test_the_exact_estimate_does_not_depend_on_the_order_of_candidates(spec, data):
    pool = data.draw(pools())
    correct = data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=len(pool), max_size=len(pool)))
    order = data.draw(st.permutations(range(len(pool))))

    def estimate(positions):
        ranks = metrics.dense_ranks(selector(spec).rank_key(pool.take(positions)))
        return metrics.best_of_k(ranks, [correct[i] for i in positions], range(1, len(pool) + 1))

    np.testing.assert_allclose(estimate(order), estimate(range(len(pool))), atol=1e-12)


@every_ranked
@few
@given(data=st.data())
def test_the_exact_estimate_is_the_mean_over_all_subsets_with_ties_averaged(spec, data):
    pool = data.draw(pools(max_size=6))
    n = len(pool)
    correct = data.draw(st.lists(st.sampled_from([0, 1]), min_size=n, max_size=n))
    k = data.draw(st.integers(1, n))
    values = []
    for subset in itertools.combinations(range(n), k):
        keys = list(map(tuple, selector(spec).rank_key(pool.take(subset))))
        tied = [correct[i] for i, key in zip(subset, keys, strict=True) if key == max(keys)]
        values.append(Fraction(sum(tied), len(tied)))

    ranks = metrics.dense_ranks(selector(spec).rank_key(pool))

    assert metrics.best_of_k(ranks, [float(c) for c in correct], [k])[0] == pytest.approx(
        float(sum(values) / len(values)), abs=1e-12
    )


# Selectors by hand.


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        (pool_of([1.0, 3.0, 2.0]), 1),
        (pool_of([-9.0, -8.0, None]), 1),
        (pool_of([-9.0, None, None]), 0),
        (pool_of([1.0, 9.0], valid=[True, False]), 0),
        (pool_of([None, 9.0], codes=["x", None]), 0),
        (pool_of([2.0, 2.0, 1.0], logprobs=[-3.0, -0.5, -0.1]), 1),
        (pool_of([2.0, 2.0], logprobs=[None, -99.0]), 1),
        (pool_of([None, None], logprobs=[-2.0, -1.0]), 1),
        (pool_of([2.0, 2.0]), 0),
    ],
)
def test_argmax_is_validity_then_score_then_log_probability(pool, expected):
    assert selector("argmax").select(pool).position == expected


def test_random_is_uniform_over_seeds():
    pool = pool_of([1.0, 2.0, 3.0, 4.0])
    drawn = Counter(Random(seed).select(pool).position for seed in range(4000))

    assert set(drawn) == {0, 1, 2, 3}
    assert all(850 < count < 1150 for count in drawn.values())  # 5.5 standard deviations


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        (pool_of([0.0] * 4, [("1",), ("2",), ("2",), ("3",)]), 1),
        (pool_of([9.0, 0.0, 0.0], [("1",), ("2",), ("2",)]), 1),
        (pool_of([0.0] * 4, [("1",), ("2",), ("2",), ("1",)]), 0),  # equal classes: the one sampled first
        (pool_of([0.0] * 4, [(None,), (None,), (None,), ("1",)]), 3),  # what never ran has no vote
        (pool_of([0.0] * 3, [(None, "1"), ("2", "1"), (None, "1")]), 0),  # failing alike on one input is behaviour
        (pool_of([0.0] * 3, [("1",), ("1",), ("2",)], valid=[False, False, True]), 2),
        (pool_of([0.0] * 4, codes=["a", "b", "b", "c"]), 1),  # without behaviours, texts vote
        (pool_of([0.0] * 4, [(None,)] * 4, codes=["a", "b", "b", "c"]), 1),
        (pool_of([0.0] * 3, [None] * 3, codes=[None, None, None]), 0),
    ],
)
def test_majority_by_hand(pool, expected):
    assert selector("majority").select(pool).position == expected


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [
        (1.0, 1),  # e^0 = 1 against e^-0.5 + e^-0.6 = 1.155
        (0.5, 0),  # 1 against e^-1 + e^-1.2 = 0.669
        (100.0, 1),
        (0.001, 0),
    ],
)
def test_weighted_vote_by_hand(temperature, expected):
    pool = pool_of([1.0, 0.5, 0.4], [("1",), ("2",), ("2",)])

    assert selector({"name": "weighted_vote", "temperature": temperature}).select(pool).position == expected


def test_the_heaviest_class_sends_its_best_program():
    pool = pool_of([0.0, 0.1, 0.2, 0.1], [("1",), ("2",), ("2",), ("2",)])

    assert selector("weighted_vote").select(pool).position == 2


def test_an_unscored_program_has_no_weight_and_equal_scores_are_majority():
    assert selector("weighted_vote").select(pool_of([None, None, -50.0], [("1",), ("1",), ("2",)])).position == 2
    assert selector("weighted_vote").select(pool_of([None] * 3, [("1",), ("2",), ("2",)])).position == 1
    assert selector("weighted_vote").select(pool_of([-4.0] * 3, [("1",), ("2",), ("2",)])).position == 1


def test_a_high_score_that_has_no_vote_does_not_drown_the_votes():
    pool = pool_of([5000.0, 1.0, 2.0], [(None,), ("1",), ("2",)])

    assert selector("weighted_vote").select(pool).position == 2


def voted(pool: Pool, temperature: float) -> dict[tuple, float]:
    """Behaviour -> its share of the vote, from the definition, in a pool where all is valid, scored and has run."""
    raw = [math.exp(score.value / temperature) for score in pool.scores]
    shares = Counter()
    for behaviour, weight in zip(pool.behaviours, raw, strict=True):
        shares[behaviour.outputs] += weight / sum(raw)
    return shares


runnable = st.lists(
    st.tuples(st.floats(-20, 20), st.sampled_from([("1",), ("2",), ("3",)])), min_size=1, max_size=8
).map(lambda rows: pool_of([score for score, _ in rows], [outputs for _, outputs in rows]))


@given(runnable, st.floats(0.5, 50))
def test_weighted_vote_takes_the_class_of_the_greatest_softmax_share(pool, temperature):
    shares = voted(pool, temperature)
    found = WeightedVote(temperature).select(pool)
    chosen = pool.behaviours[found.position].outputs

    assert shares[chosen] == pytest.approx(max(shares.values()), rel=1e-9)
    assert f"{shares[chosen]:.0%}" in found.why or shares[chosen] * 100 % 1 == pytest.approx(0.5, abs=1e-6)


@given(runnable)
def test_weighted_vote_becomes_argmax_as_the_temperature_falls(pool):
    scores = sorted({score.value for score in pool.scores})
    assume(all(b - a > 1e-3 for a, b in itertools.pairwise(scores)))
    best = {b.outputs for s, b in zip(pool.scores, pool.behaviours, strict=True) if s.value == scores[-1]}
    assume(len(best) == 1)  # equal scores in two classes are a tie, which the larger class wins

    cold = WeightedVote(1e-6).select(pool).position

    assert cold == selector("argmax").select(pool).position


@given(runnable)
def test_weighted_vote_becomes_majority_as_the_temperature_rises(pool):
    sizes = Counter(behaviour.outputs for behaviour in pool.behaviours).most_common()
    assume(len(sizes) == 1 or sizes[0][1] > sizes[1][1])

    hot, majority = (
        pool.behaviours[chooser.select(pool).position].outputs for chooser in (WeightedVote(1e9), selector("majority"))
    )

    assert hot == majority == sizes[0][0]


SCORES = [3.0, 2.5, 1.0, None, -1.0]


def kept_of(chooser, pool: Pool) -> list[int]:
    return np.flatnonzero(chooser.kept(pool, np.ones((1, len(pool)), dtype=np.bool_))[0]).tolist()


@pytest.mark.parametrize(
    ("mode", "value", "scores", "kept"),
    [
        ("relative", 1.0, SCORES, [0, 1]),
        ("relative", 0.5, SCORES, [0, 1]),
        ("relative", 0.0, SCORES, [0]),
        ("relative", 100.0, SCORES, [0, 1, 2, 4]),
        ("relative", 1.0, [-5.0, -5.5, -7.0], [0, 1]),
        ("relative", 0.0, [2.0, 2.0, 1.0], [0, 1]),
        ("quantile", 0.5, SCORES, [0, 1]),
        ("quantile", 0.0, SCORES, [0, 1, 2, 4]),
        ("quantile", 1.0, SCORES, [0]),
        ("quantile", 0.75, SCORES, [0]),
        ("quantile", 0.5, [2.0, 2.0, 2.0, 1.0], [0, 1, 2]),
        ("quantile", 0.5, [7.0], [0]),
        ("absolute", 1.0, SCORES, [0, 1, 2]),
        ("absolute", -1.0, SCORES, [0, 1, 2, 4]),
        ("absolute", 3.1, SCORES, []),
        ("absolute", 0.0, [None, None], []),
    ],
)
def test_threshold_keeps_by_hand(mode, value, scores, kept):
    found = selector({"name": "threshold", "mode": mode, "value": value})

    assert kept_of(found, pool_of(scores)) == kept


def test_threshold_never_keeps_an_invalid_program_nor_measures_by_one():
    pool = pool_of([9.0, 2.0, 1.5], valid=[False, True, True])

    assert kept_of(selector("threshold"), pool) == [1, 2]


def test_threshold_abstains_with_a_reason_when_none_is_left():
    found = selector({"name": "threshold", "mode": "absolute", "value": 10}).select(pool_of(SCORES))

    assert found.position is None
    assert "threshold" in found.why


@pytest.mark.parametrize(("then", "expected"), [("majority", 1), ("argmax", 2), ({"name": "weighted_vote"}, 2)])
def test_threshold_hands_what_it_kept_to_the_next(then, expected):
    pool = pool_of([-9.0, 0.0, 3.0, 0.1], [("1",), ("2",), ("3",), ("2",)])

    found = selector({"name": "threshold", "value": 5.0, "then": then})

    assert found.select(pool).position == expected
    assert getattr(found, "needs", ()) == getattr(selector(then), "needs", ())


def test_threshold_passes_on_that_the_next_abstains():
    nested = {"name": "threshold", "mode": "absolute", "value": 99}

    assert selector({"name": "threshold", "then": nested}).select(pool_of(SCORES)).position is None


@pytest.mark.parametrize("then", plugins.names("selector"))
def test_threshold_says_of_the_next_what_a_report_asks(then):
    found, behind = selector({"name": "threshold", "then": then}), selector(then)

    for name, otherwise in (("needs", ()), ("drawn", False), ("every_scorer", False), ("scorers", ())):
        assert getattr(found, name) == getattr(behind, name, otherwise)


def test_a_bad_selector_behind_a_threshold_is_found_when_it_is_built():
    with pytest.raises(ConfigError, match=r"temperature must be above 0"):
        selector({"name": "threshold", "then": {"name": "weighted_vote", "temperature": -1}})


# Scorers: a tiny reward model stands for the real ones, and a process that serves no model for a real server.

SCORERS = [
    *plugins.names("scorer"),
    {"name": "length", "prefer": "long"},
    {"name": "likelihood", "reduce": "sum"},
]
READS_NO_CODE = {"likelihood": "what sampling measured stands also for a text without a program"}

DOUBLES = "print(2 * int(input()))"
HALF_RIGHT = "print(2)"
WRONG = "print(0)"
CRASHES = "1 / 0"
FIVE = [
    candidate(0, DOUBLES, logprob=-0.5, tokens=10),
    candidate(1, HALF_RIGHT, logprob=-1.0),
    candidate(2, None, tokens=3),
    candidate(3, WRONG, logprob=0.0, tokens=7),
    candidate(4, DOUBLES, logprob=-0.25, tokens=4),
    candidate(5, CRASHES),
    candidate(6, "print((", extraction=UNPARSABLE),
]
OTHER = Problem("q", "Anything.", ())
PAIRS = [*((PROBLEM, c) for c in FIVE), (OTHER, Candidate("q", 0, DOUBLES, DOUBLES, "given"))]

every_scorer = pytest.mark.parametrize("scorer", SCORERS, ids=str, indirect=True)


@pytest.fixture(scope="module")
def needed(tmp_path_factory):
    """The options without which a scorer cannot be asked, by its name."""
    folder = tiny.reward(tmp_path_factory.mktemp("reward"))
    with reward_server.serving("fine", folder / "log") as url:
        yield {"codescaler": {"model": str(folder), "dtype": "float32"}, "remote": {"model": "any", "url": url}}


@pytest.fixture
def scorer(request, needed):
    """A scorer's spec, completed."""
    name = name_of(request.param)
    return {"name": name, **needed[name]} if name in needed else request.param


def same(found, expected) -> bool:
    """Whether scores agree but for the rounding that company in a batch brings."""
    values = [{key: score.value for key, score in side.items()} for side in (found, expected)]
    return values[0] == pytest.approx(values[1], abs=1e-5)


def scores(spec, pairs) -> dict[tuple[str, int], Score]:
    found = list(plugins.build("scorer", spec).score(pairs))
    assert len({score.key for score in found}) == len(found)
    return {score.key: score for score in found}


@every_scorer
def test_a_scorer_gives_one_score_for_each_pair(scorer):
    found = scores(scorer, PAIRS)

    assert set(found) == {candidate.key for _, candidate in PAIRS}
    assert list(plugins.build("scorer", scorer).score([])) == []


@every_scorer
def test_a_score_is_a_number_or_none_with_the_reason(scorer):
    for score in scores(scorer, PAIRS).values():
        assert score.why if score.value is None else math.isfinite(score.value)


@every_scorer
def test_without_code_there_is_no_score_and_no_zero(scorer):
    score = scores(scorer, PAIRS)["p", 2]

    assert score.value is None
    assert score.why == "no code" or name_of(scorer) in READS_NO_CODE


@every_scorer
def test_a_score_does_not_depend_on_the_order_or_the_company(scorer):
    together = scores(scorer, PAIRS)

    assert same(scores(scorer, PAIRS[::-1]), together)
    assert same(scores(scorer, PAIRS[3:5]), {key: together[key] for key in [("p", 3), ("p", 4)]})


@every_scorer
def test_two_candidates_with_one_program_are_both_scored(scorer):
    twins = [(PROBLEM, candidate(i, DOUBLES, logprob=-1.0, tokens=5)) for i in range(3)]

    assert len({score.value for score in scores(scorer, twins).values()}) == 1
    assert len(scores(scorer, twins)) == 3


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("length", [-23.0, -8.0, None, -8.0, -23.0, -5.0, -7.0]),
        ({"name": "length", "prefer": "long"}, [23.0, 8.0, None, 8.0, 23.0, 5.0, 7.0]),
        ("likelihood", [-0.5, -1.0, None, 0.0, -0.25, None, None]),
        ({"name": "likelihood", "reduce": "sum"}, [-5.0, None, None, 0.0, -1.0, None, None]),
        ("public_tests", [1.0, 1 / 3, None, 0.0, 1.0, 0.0, 0.0]),
    ],
    ids=str,
)
def test_scores_by_hand(spec, expected):
    found = scores(spec, PAIRS)

    assert [found["p", index].value for index in range(7)] == expected


def test_likelihood_says_what_is_missing():
    found = scores({"name": "likelihood", "reduce": "sum"}, PAIRS)

    assert found["p", 5].why == "the generator gave no log probability"
    assert found["p", 1].why == "the generator gave no token count"


def test_a_problem_without_public_tests_has_no_public_tests_score():
    assert scores("public_tests", PAIRS)["q", 0] == Score("q", 0, None, "no public tests")


def test_public_tests_runs_functions_within_its_limits():
    problem = Problem("f", "", (), public_tests=(Call("f", (1,), 2), Call("f", (2,), 3), Call("f", (9,), 10)))
    code = "def f(x):\n    while x == 9: pass\n    return x + 1"
    found = scores({"name": "public_tests", "timeout": 0.3, "workers": 1}, [(problem, Candidate("f", 0, "", code))])

    assert found["f", 0].value == pytest.approx(2 / 3)


@pytest.mark.parametrize("option", ["timeout", "memory_mib", "output_mib", "workers"])
def test_a_limit_of_zero_is_refused(option):
    with pytest.raises(ConfigError, match=option):
        plugins.build("scorer", {"name": "public_tests", option: 0})


# The generator that replays.

SAMPLES = [
    {"question_id": "a", "index": 2, "text": "third"},
    {"question_id": "a", "index": 0, "text": "first", "logprob": -0.5, "tokens": 7, "finish": "length", "other": 1},
    {"question_id": "b", "index": 0, "code": "print(1)"},
    {"question_id": 7, "index": 10, "text": "words", "code": "x = 1", "logprob": -1},
    {"question_id": "b", "index": 1, "text": None, "code": ""},
]
A, B, SEVEN = (Problem(name, "", ()) for name in ("a", "b", "7"))


def replay(folder: Path, *rows) -> Generator:
    path = folder / "samples.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return plugins.build("generator", {"name": "replay", "path": str(path)})


@given(
    wanted=st.lists(st.sampled_from([(A, 2), (A, 0), (B, 0), (B, 1), (SEVEN, 10)]), unique_by=lambda pair: str(pair))
)
def test_replay_gives_exactly_the_wanted_samples(tmp_path_factory, wanted):
    found = list(replay(tmp_path_factory.mktemp("samples"), *SAMPLES).generate(wanted))

    assert Counter(c.key for c in found) == Counter((problem.id, index) for problem, index in wanted)


def test_replay_keeps_what_a_row_says(tmp_path):
    generator = replay(tmp_path, *SAMPLES)

    assert list(generator.generate([(A, 0), (B, 0), (SEVEN, 10), (B, 1)])) == [
        Candidate("a", 0, "first", tokens=7, logprob=-0.5, finish="length"),
        Candidate("b", 0, "print(1)", "print(1)"),
        Candidate("7", 10, "words", "x = 1", logprob=-1.0),
        Candidate("b", 1, "", ""),
    ]


def test_replay_is_the_same_each_time_and_knows_its_indices(tmp_path):
    generator = replay(tmp_path, *SAMPLES)
    wanted = [(A, 0), (A, 2)]

    assert list(generator.generate(wanted)) == list(generator.generate(wanted))
    assert [generator.indices(problem) for problem in (A, B, SEVEN)] == [[0, 2], [0, 1], [10]]


def test_replay_names_a_sample_that_is_not_there(tmp_path):
    generator = replay(tmp_path, *SAMPLES)

    with pytest.raises(DataError, match=r"samples\.jsonl has no sample 1 of problem 'a'"):
        list(generator.generate([(A, 0), (A, 1)]))
    with pytest.raises(DataError, match=r"no sample of problem 'p'.*narrow benchmark\.ids"):
        generator.indices(PROBLEM)


def test_replay_refuses_a_sample_given_twice(tmp_path):
    with pytest.raises(DataError, match=r"line 6: sample \('a', 2\) is there twice"):
        list(replay(tmp_path, *SAMPLES, SAMPLES[0]).generate([(A, 0)]))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "JSON object, got list"),
        ({"index": 0, "text": "x"}, "question_id must be str or int, got nothing"),
        ({"question_id": ["a"], "index": 0, "text": "x"}, "question_id must be str or int"),
        ({"question_id": "a", "text": "x"}, "index must be int, got nothing"),
        ({"question_id": "a", "index": "0", "text": "x"}, "index must be int, got '0'"),
        ({"question_id": "a", "index": True, "text": "x"}, "index must be int, got True"),
        ({"question_id": "a", "index": 0.0, "text": "x"}, "index must be int, got 0.0"),
        ({"question_id": "a", "index": 0}, "code must be str, got nothing"),
        ({"question_id": "a", "index": 0, "text": None}, "code must be str, got nothing"),
        ({"question_id": "a", "index": 0, "text": 5}, "text must be str, got 5"),
        ({"question_id": "a", "index": 0, "text": "x", "code": 5}, "code must be str, got 5"),
        ({"question_id": "a", "index": 0, "text": "x", "logprob": "low"}, "logprob must be int or float, got 'low'"),
        ({"question_id": "a", "index": 0, "text": "x", "logprob": math.nan}, "logprob must be a finite number"),
        ({"question_id": "a", "index": 0, "text": "x", "logprob": -math.inf}, "logprob must be a finite number"),
        ({"question_id": "a", "index": 0, "text": "x", "tokens": 1.5}, "tokens must be int, got 1.5"),
    ],
)
def test_replay_refuses_a_malformed_row_with_its_line(tmp_path, row, reason):
    with pytest.raises(DataError) as caught:
        list(replay(tmp_path, SAMPLES[0], "", row).generate([(A, 2)]))

    assert "samples.jsonl, line 3" in str(caught.value)
    assert reason in str(caught.value)


def test_replay_names_an_absent_file(tmp_path):
    generator = plugins.build("generator", {"name": "replay", "path": str(tmp_path / "none.jsonl")})

    with pytest.raises(DataError, match=r"none\.jsonl cannot be read: No such file"):
        list(generator.generate([(A, 0)]))
