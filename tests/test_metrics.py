"""`tts.metrics` against brute force: every subset, counted one by one."""

import math
import random
import statistics
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.metrics import (
    Difference,
    Estimate,
    best_of_k,
    bootstrap_interval,
    bootstrap_intervals,
    dense_ranks,
    efficiency_interval,
    exact_curve,
    paired_difference,
    pass_at_k,
    pick_chances,
    sampled_best_of_k,
    selection_efficiency,
)

Problem = tuple[list[int], list[float]]

CORRECTNESS = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1, allow_subnormal=False))


def problems(n: int) -> st.SearchStrategy[Problem]:
    """Ranks from a small range, so that ties are common, with gaps and negatives; correctness 0/1 or fractional."""
    ranks = st.lists(st.integers(-2, 3), min_size=n, max_size=n)
    return st.tuples(ranks, st.lists(CORRECTNESS, min_size=n, max_size=n))


any_problem = st.integers(1, 9).flatmap(problems)


def pick(problem: Problem, positions: Sequence[int]) -> float:
    """The mean correctness of the best-ranked among these positions."""
    ranks, correct = problem
    best = min(ranks[position] for position in positions)
    return float(np.mean([correct[position] for position in positions if ranks[position] == best]))


def brute_force(problem: Problem, k: int) -> float:
    return float(np.mean([pick(problem, subset) for subset in combinations(range(len(problem[0])), k)]))


def curve(problem: Problem) -> list[float]:
    return [brute_force(problem, k) for k in range(1, len(problem[0]) + 1)]


# pass@k


@pytest.mark.parametrize("n", range(1, 10))
def test_pass_at_k_is_the_share_of_subsets_that_hold_a_correct_sample(n: int) -> None:
    for k in range(1, n + 1):
        subsets = list(combinations(range(n), k))
        shares = [sum(min(subset) < c for subset in subsets) / len(subsets) for c in range(n + 1)]
        assert pass_at_k(n, range(n + 1), k) == pytest.approx(shares, abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 64, 1000, 2048, 4095, 4096])
def test_pass_at_k_is_stable_for_thousands_of_samples(k: int) -> None:
    correct = np.array([0, 1, 2, 100, 4000, 4095, 4096])
    exact = [1 - math.comb(4096 - c, k) / math.comb(4096, k) for c in correct.tolist()]
    assert pass_at_k(4096, correct, k) == pytest.approx(exact, abs=1e-12)


def test_pass_at_k_takes_another_n_for_each_problem() -> None:
    assert pass_at_k([4, 10], [1, 1], 2) == pytest.approx([1 / 2, 1 / 5])
    assert pass_at_k([], [], 1).shape == (0,)


@pytest.mark.parametrize(
    ("n", "correct", "k"), [(4, 1, 5), (4, 1, 0), ([9, 4], 1, 5), (4, 5, 1), (4, -1, 1), (4, 0.5, 1)]
)
def test_pass_at_k_refuses_what_cannot_be(n: int, correct: int, k: int) -> None:
    with pytest.raises(ValueError, match="must"):
        pass_at_k(n, correct, k)


# ranks


def test_ranks_are_dense_lexicographic_and_greatest_first() -> None:
    keys = [(0.0, 9.0), (1.0, -math.inf), (1.0, 2.0), (1.0, 2.0), (-math.inf, math.inf)]
    assert dense_ranks(keys).tolist() == [2, 1, 0, 0, 3]
    assert dense_ranks([]).shape == (0,)


@given(st.lists(st.tuples(st.sampled_from([-math.inf, -1.0, -0.0, 0.0, 2.0]), st.integers(0, 2)), min_size=1))
def test_ranks_order_as_keys_do(keys: list[tuple[float, ...]]) -> None:
    ranks = dense_ranks(keys).tolist()
    assert sorted(set(ranks)) == list(range(len(set(keys))))
    assert all((a < b) == (x > y) for a, x in zip(ranks, keys, strict=True) for b, y in zip(ranks, keys, strict=True))


@pytest.mark.parametrize("keys", [[(1.0,), (math.nan,)], [(1.0,), (1.0, 2.0)]])
def test_ranks_refuse_keys_without_an_order(keys: list[tuple[float, ...]]) -> None:
    with pytest.raises(ValueError, match="key"):
        dense_ranks(keys)


# exact best-of-k


@given(any_problem)
def test_best_of_k_is_the_mean_over_all_subsets(problem: Problem) -> None:
    assert best_of_k(*problem, range(1, len(problem[0]) + 1)) == pytest.approx(curve(problem), abs=1e-12)


@given(st.lists(any_problem, max_size=5))
def test_exact_curve_groups_by_n_and_keeps_the_order(ragged: list[Problem]) -> None:
    ks = range(1, min((len(ranks) for ranks, _ in ragged), default=1) + 1)
    got = exact_curve(ragged, ks)
    assert got.shape == (len(ragged), len(ks))
    for row, problem in zip(got, ragged, strict=True):
        assert row == pytest.approx(curve(problem)[: len(ks)], abs=1e-12)


@given(any_problem, st.randoms(use_true_random=False))
def test_best_of_k_does_not_depend_on_the_order_of_the_samples(problem: Problem, shuffler: random.Random) -> None:
    pairs = list(zip(*problem, strict=True))
    shuffler.shuffle(pairs)
    ks = range(1, len(pairs) + 1)
    ranks, correct = zip(*pairs, strict=True)
    assert best_of_k(ranks, correct, ks) == pytest.approx(best_of_k(*problem, ks), abs=1e-12)


@pytest.mark.parametrize("n", [1, 7, 1024, 4096])
def test_an_oracle_key_gives_pass_at_k_and_equal_ranks_give_the_mean(n: int) -> None:
    rng = np.random.default_rng(n)
    correct = rng.random((50, n)) < rng.random((50, 1))
    ks = [k for k in (1, 2, 3, 7, 100, 512, 1024, 4095, 4096) if k <= n]
    oracle = best_of_k(~correct, correct, ks)
    expected = np.stack([pass_at_k(n, correct.sum(axis=1), k) for k in ks], axis=1)
    assert oracle == pytest.approx(expected, abs=1e-12)
    assert (np.diff(oracle, axis=1) >= -1e-12).all(), "more samples never hurt an oracle"
    assert oracle.max() <= 1
    means = np.repeat(correct.mean(axis=1)[:, None], len(ks), axis=1)
    assert best_of_k(np.zeros((50, n), dtype=int), correct, ks) == pytest.approx(means, abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 64, 2048, 4096])
def test_best_of_k_agrees_with_whole_number_arithmetic_at_4096_samples(k: int) -> None:
    rng = np.random.default_rng(k)
    ranks, correct = rng.integers(40, size=4096), rng.integers(2, size=4096)
    total, above = 0.0, 0
    for rank in range(40):
        group = correct[ranks == rank]
        bracket = math.comb(4096 - above, k) - math.comb(4096 - above - len(group), k)
        total += group.mean() * (bracket / math.comb(4096, k))
        above += len(group)
    assert best_of_k(ranks, correct, [k]) == pytest.approx(total, abs=1e-12)


@pytest.mark.parametrize(
    ("ranks", "correct", "ks", "message"),
    [
        ([0, 1], [1.0], [1], "both be"),
        ([[[0]]], [[[1.0]]], [1], "both be"),
        ([0.5, 1.0], [1.0, 0.0], [1], "integers"),
        ([0, 1], [1.0, 1.5], [1], r"\[0, 1\]"),
        ([0, 1], [1.0, math.nan], [1], r"\[0, 1\]"),
        ([0, 1], [1.0, 0.0], [1, 3], "k = 3 with n = 2"),
        ([0, 1], [1.0, 0.0], [0], "k = 0"),
        ([0, 1], [1.0, 0.0], [1.5], "integers"),
        ([], [], [1], "n = 0"),
    ],
)
def test_best_of_k_refuses_what_cannot_be(ranks: list[int], correct: list[float], ks: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        best_of_k(ranks, correct, ks)


def test_exact_curve_names_the_problem_of_a_wrong_shape() -> None:
    with pytest.raises(ValueError, match="Problem 1"):
        exact_curve([([0], [1.0]), ([0, 1], [1.0])], [1])


# sampled best-of-k


def picked(problem: Problem, members: np.ndarray) -> np.ndarray:
    return np.array([pick(problem, np.flatnonzero(row).tolist()) for row in members])


@given(any_problem, st.integers(1, 9))
def test_few_subsets_are_enumerated_and_exact(problem: Problem, k: int) -> None:
    n = len(problem[0])
    k = min(k, n)
    seen: list[tuple[int, ...]] = []

    def choose(members: np.ndarray) -> tuple[np.ndarray, bool]:
        seen.extend(tuple(np.flatnonzero(row).tolist()) for row in members)
        return picked(problem, members), True

    got = sampled_best_of_k(choose, n, k, draws=max(2, math.comb(n, k)), rng=np.random.default_rng(0))
    assert got == Estimate(got.value, 0.0, exact=True)
    assert got.value == pytest.approx(brute_force(problem, k), abs=1e-12)
    assert seen == list(combinations(range(n), k))


def test_what_is_not_all_there_is_to_know_is_asked_of_drawn_subsets_and_not_exact() -> None:
    asked = []

    def choose(members: np.ndarray) -> tuple[np.ndarray, bool]:
        asked.append(len(members))
        return members[:, 0].astype(float), False

    got = sampled_best_of_k(choose, 5, 5, draws=40, rng=np.random.default_rng(0))
    assert not got.exact and got.value == 1.0 and got.se > 0
    assert asked == [1, 40]


@pytest.mark.parametrize("k", [2, 8, 20])
def test_many_subsets_are_sampled_near_the_exact_value(k: int) -> None:
    rng = np.random.default_rng(1)
    problem = (rng.integers(20, size=40).tolist(), rng.random(40).tolist())
    exact = best_of_k(*problem, [k])[0]
    values: list[float] = []

    def choose(members: np.ndarray) -> tuple[np.ndarray, bool]:
        values.extend(picked(problem, members).tolist())
        return np.array(values), True

    got = sampled_best_of_k(choose, 40, k, draws=500, rng=rng)
    assert not got.exact
    assert got.se == pytest.approx(statistics.stdev(values) / math.sqrt(500))
    assert abs(got.value - exact) < 4 * got.se


def test_drawn_subsets_are_of_one_size_uniform_and_seeded() -> None:
    def draw(seed: int) -> list[list[bool]]:
        subsets: list[list[bool]] = []

        def choose(members: np.ndarray) -> tuple[np.ndarray, bool]:
            subsets.extend(members.tolist())
            return np.zeros(len(members)), True

        sampled_best_of_k(choose, 30, 6, 2000, np.random.default_rng(seed))
        return subsets

    seen = draw(3)
    assert len(seen) == 2000
    assert {sum(row) for row in seen} == {6}
    counts = np.array(seen).sum(axis=0)
    assert np.abs(counts - 400).max() < 5 * math.sqrt(2000 * 0.2 * 0.8)
    assert seen == draw(3) != draw(4)


@given(any_problem)
def test_pick_chances_are_what_best_of_k_weighs_with(problem: Problem) -> None:
    ranks, correct = problem
    ks = range(1, len(ranks) + 1)
    chances = pick_chances(ranks, ks)
    assert chances.sum(axis=0) == pytest.approx(1)
    assert np.array(correct) @ chances == pytest.approx(best_of_k(ranks, correct, ks), abs=1e-12)


@pytest.mark.parametrize(("n", "k", "draws"), [(4, 5, 100), (4, 0, 100), (4, 2, 1)])
def test_sampling_refuses_what_cannot_be(n: int, k: int, draws: int) -> None:
    with pytest.raises(ValueError, match="must"):
        sampled_best_of_k(lambda members: (np.ones(len(members)), True), n, k, draws, np.random.default_rng(0))


# intervals


def test_intervals_are_the_quantiles_of_means_over_resampled_problems() -> None:
    values = np.random.default_rng(0).random((700, 3))  # large enough that the resamples take two chunks
    drawn = np.random.default_rng(5).integers(700, size=(2000, 700))
    means = np.stack([values[rows].mean(axis=0) for rows in drawn])
    expected = np.quantile(means, [0.05, 0.95], axis=0).T
    assert bootstrap_intervals(values, level=0.9, seed=5) == pytest.approx(expected, abs=1e-12)


def test_every_column_sees_the_same_problems() -> None:
    column = np.random.default_rng(0).random(50)
    both = bootstrap_intervals(np.stack([column, column + 1], axis=1))
    assert both[1] == pytest.approx(both[0] + 1)
    assert bootstrap_interval(column) == pytest.approx(tuple(both[0]))


def test_an_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    trials = [bootstrap_interval(rng.random(60) < 0.4, resamples=400, seed=trial) for trial in range(400)]
    assert 0.90 <= np.mean([low <= 0.4 <= high for low, high in trials]) <= 0.98


def test_one_problem_gives_its_value_twice() -> None:
    assert bootstrap_interval([0.3]) == (0.3, 0.3)


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ([], {}),
        ([[1.0]], {}),
        ([math.nan], {}),
        ([1.0], {"resamples": 0}),
        ([1.0], {"level": 1.0}),
        ([1.0], {"level": 0}),
    ],
)
def test_intervals_refuse_what_cannot_be(values: list[float], options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"shape|resamples"):
        bootstrap_interval(values, **options)


# comparisons


def test_a_strategy_does_not_differ_from_itself() -> None:
    values = np.random.default_rng(0).random(40)
    assert paired_difference(values, values) == Difference(0.0, 0.0, 0.0)


def test_pairing_removes_how_much_problems_differ() -> None:
    easy = np.random.default_rng(0).random(40)
    got = paired_difference(easy + 0.25, easy)
    assert (got.value, got.low, got.high) == pytest.approx((0.25, 0.25, 0.25))


def test_a_difference_needs_the_same_problems() -> None:
    with pytest.raises(ValueError, match="same problems"):
        paired_difference([1.0, 2.0], [1.0])


def test_efficiency_is_the_share_of_the_possible_gain() -> None:
    assert selection_efficiency(best=0.6, random=0.4, oracle=0.8) == pytest.approx(0.5)
    assert selection_efficiency(best=0.3, random=0.4, oracle=0.8) == pytest.approx(-0.25)
    assert math.isnan(selection_efficiency(best=0.4, random=0.4, oracle=0.4 + 1e-16 * 4))


def test_the_interval_of_an_efficiency_is_that_of_ratios_over_redrawn_problems() -> None:
    rng = np.random.default_rng(1)
    random_, oracle = rng.random(40) * 0.3, 0.3 + rng.random(40) * 0.7
    best = random_ + rng.random(40) * (oracle - random_)
    drawn = [rng.integers(40, size=40) for _ in range(4000)]
    ratios = [selection_efficiency(*(float(v[mine].mean()) for v in (best, random_, oracle))) for mine in drawn]
    assert efficiency_interval(best, random_, oracle) == pytest.approx(np.quantile(ratios, (0.025, 0.975)), abs=0.015)
    assert efficiency_interval(oracle, random_, oracle) == (1.0, 1.0)
    assert all(map(math.isnan, efficiency_interval([0.5, 0.0], [0.5, 0.0], [0.5, 0.0])))
    some = efficiency_interval([1.0, 0.0], [0.5, 0.0], [1.0, 0.0])  # draws of the second problem alone say nothing
    assert some == (1.0, 1.0)
