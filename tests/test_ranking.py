"""`tts.ranking` against its definitions, pair by pair, on small inputs full of ties."""

import math
import random
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from tts import ranking
from tts.metrics import best_of_k, bootstrap_interval, dense_ranks
from tts.ranking import Bootstrap

HOW = Bootstrap(resamples=200)
VALUES = st.sampled_from([-2.0, -0.5, 0.0, 0.5, 3.0])


def problems(min_size: int = 1, max_size: int = 7) -> st.SearchStrategy[ranking.Problem]:
    """(scores, correct) with ties everywhere."""
    rows = st.lists(st.tuples(VALUES, st.sampled_from([0.0, 1.0])), min_size=min_size, max_size=max_size)
    return rows.map(lambda found: (np.array([v for v, _ in found]), np.array([c for _, c in found])))


def pools() -> st.SearchStrategy[list[ranking.Problem]]:
    return st.lists(problems(), min_size=1, max_size=5)


def wins(scores, correct) -> list[float]:
    """1, 1/2 or 0 for each right-wrong pair."""
    right, wrong = scores[correct == 1], scores[correct == 0]
    return [float(a > b) + (a == b) / 2 for a in right for b in wrong]


def drawn(problems: int, how: Bootstrap) -> list[list[int]]:
    """The problems of each resample, as `tts.metrics` draws them."""
    rng = np.random.default_rng(how.seed)
    return rng.integers(problems, size=(how.resamples, problems)).tolist()


def same(got: float, expected: float) -> bool:
    return got == pytest.approx(expected, abs=1e-12, nan_ok=True)


# Orders.


@given(problems())
def test_auc_is_the_share_of_pairs_in_order_with_ties_half(problem):
    pairs = wins(*problem)
    assert same(ranking.auc(*problem), float(np.mean(pairs)) if pairs else math.nan)


def test_nothing_has_no_auc():
    assert math.isnan(ranking.auc([], []))
    assert ranking.auc_within([], HOW).problems == ranking.auc_across([], HOW).problems == 0


@given(pools())
def test_auc_within_is_the_mean_over_problems_with_both(found):
    each = [float(np.mean(wins(*problem))) for problem in found if wins(*problem)]
    got = ranking.auc_within(found, HOW)
    assert got.problems == len(each)
    if each:
        assert same(got.value, float(np.mean(each)))
        assert (got.low, got.high) == bootstrap_interval(each, 200)


@given(pools())
def test_auc_across_is_of_all_pairs_and_its_interval_of_whole_problems_drawn_again(found):
    def of(positions) -> float:
        return ranking.auc(*(np.concatenate([found[i][part] for i in positions]) for part in (0, 1)))

    got = ranking.auc_across(found, HOW)
    whole = of(range(len(found)))
    assert same(got.value, whole)
    if not math.isnan(whole):
        ends = np.nanquantile([of(row) for row in drawn(len(found), HOW)], (0.025, 0.975))
        assert (got.low, got.high) == pytest.approx(ends, abs=1e-12)


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=7))
def test_tau_b_counts_pairs(rows):
    x, y = zip(*rows, strict=True)
    pairs = [(a[0] - b[0], a[1] - b[1]) for a, b in combinations(rows, 2)]
    concordant, discordant = sum(a * b > 0 for a, b in pairs), sum(a * b < 0 for a, b in pairs)
    untied = [sum(part != 0 for part in side) for side in zip(*pairs, strict=True)] if pairs else [0, 0]
    got = ranking.kendall_tau_b(x, y)
    if untied[1] == 0:
        assert math.isnan(got)
    elif untied[0] == 0:
        assert got == 0
    else:
        assert same(got, (concordant - discordant) / math.sqrt(untied[0] * untied[1]))


@given(st.lists(st.tuples(st.sampled_from([1.0, 2.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=5))
def test_hits_at_k_is_the_mean_over_all_orders_of_what_is_tied(rows):
    scores, correct = zip(*rows, strict=True)
    ks = range(1, len(rows) + 1)
    orders = [order for order in permutations(rows) if [s for s, _ in order] == sorted(scores, reverse=True)]
    expected = [float(np.mean([any(c for _, c in order[:k]) for order in orders])) for k in ks]
    ranks = dense_ranks([(score,) for score in scores])
    assert ranking.hits_at_k(ranks, correct, ks) == pytest.approx(expected, abs=1e-12)


# Margins.


def likelihood(margins, weights, scale: float) -> float:
    return -float((np.asarray(weights) * np.logaddexp(0, -scale * np.asarray(margins))).sum())


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(0.1, 3)), min_size=2, max_size=8))
def test_no_other_scale_is_likelier_than_the_fitted_one(rows):
    margins, weights = (np.array(part) for part in zip(*rows, strict=True))
    margins = margins.round(2)
    assume((margins > 0).any() and (margins < 0).any())
    scale = ranking.bradley_terry(margins, weights)
    best = likelihood(margins, weights, scale)
    for other in (scale * 0.99, scale * 1.01, scale / 2, 2 * scale, -scale, 0.0):
        assert likelihood(margins, weights, other) <= best + 1e-9 * max(1.0, abs(best))


@pytest.mark.parametrize(
    ("margins", "expected"), [([0.0, 0.0], math.nan), ([1.0, 0.0], math.inf), ([-1.0], -math.inf), ([], math.nan)]
)
def test_a_scale_that_cannot_be_fitted_says_so(margins, expected):
    assert same(ranking.bradley_terry(margins, np.ones(len(margins))), expected)


@pytest.mark.parametrize("scale", [0.2, 1.0, 7.0])
def test_the_scale_of_scores_that_are_log_odds_is_found_within_its_interval(scale):
    rng = np.random.default_rng(1)
    found = []
    for _ in range(300):
        gaps = np.abs(rng.normal(0, 3, 6)) / scale
        right = np.where(rng.random(6) < 1 / (1 + np.exp(-scale * gaps)), gaps, -gaps)
        found += [(np.array([gap, 0.0]), np.array([1.0, 0.0])) for gap in right]
    got = ranking.calibrate(found, Bootstrap(500))
    assert got.scale.low < scale < got.scale.high
    assert got.pairs == len(found)
    for one in got.bins:
        assert one.accuracy.low - 0.03 <= one.fitted <= one.accuracy.high + 0.03


FEW = Bootstrap(resamples=40)


@settings(max_examples=40, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(problems(min_size=4), min_size=2, max_size=5))
def test_the_scale_s_interval_is_that_of_fits_to_whole_problems_drawn_again(found):
    margins = [(s[c == 1][:, None] - s[c == 0]).ravel() for s, c in found if c.any() and not c.all()]
    assume(margins)

    def fit(positions) -> float:
        weights = np.concatenate([np.full(len(margins[i]), 1 / len(margins[i])) for i in positions])
        return ranking.bradley_terry(np.concatenate([margins[i] for i in positions]), weights)

    got = ranking.calibrate(found, FEW).scale
    whole = fit(range(len(margins)))
    assert same(got.value, whole)
    fits = np.array([fit(row) for row in drawn(len(margins), FEW)])
    assume(math.isfinite(whole) and not np.isnan(fits).any())
    expected = np.quantile(fits, FEW.tails, method="inverted_cdf")
    assert (got.low, got.high) == pytest.approx(expected, rel=0.01, abs=1e-3)


@given(pools())
def test_bins_hold_every_pair_once_and_their_weighted_mean_is_the_auc_within(found):
    got = ranking.calibrate(found, HOW)
    assert sum(one.pairs for one in got.bins) == got.pairs == sum(len(wins(*problem)) for problem in found)
    if not got.pairs:
        return
    shares, accuracy = [], []
    margins = [(s[c == 1][:, None] - s[c == 0]).ravel() for s, c in found if c.any() and not c.all()]
    for position, one in enumerate(got.bins):
        last = position == len(got.bins) - 1
        inside = [(abs(m) >= one.low) & ((abs(m) <= one.high) if last else (abs(m) < one.high)) for m in margins]
        shares.append(sum(mask.mean() for mask in inside))
        accuracy.append(0.0 if one.pairs == 0 else one.accuracy.value)
    assert same(float(np.dot(shares, accuracy)) / len(margins), ranking.auc_within(found, HOW).value)


def test_of_a_huge_problem_some_pairs_are_drawn_with_the_seed():
    rng = np.random.default_rng(0)
    scores, correct = rng.normal(size=400), np.array([1.0] * 200 + [0.0] * 200)
    got = ranking.calibrate([(scores, correct)], HOW)
    assert got.pairs == ranking.MOST_PAIRS
    assert got == ranking.calibrate([(scores, correct)], HOW)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=5))
def test_a_ratio_is_of_sums_over_problems(rows):
    above, below = zip(*rows, strict=True)
    got = ranking.ratio(above, below, HOW)
    if sum(below) == 0:
        assert got == ranking.NOTHING
        return
    assert got.value == pytest.approx(sum(above) / sum(below))
    assert got.problems == sum(value > 0 for value in below)
    assert got.low <= got.high


# More candidates, another scorer.


def test_an_alarm_is_a_certain_fall_and_only_that():
    rng = random.Random(0)
    rows = [[0.5, 0.7 + rng.uniform(-0.2, 0.2), 0.4 + rng.uniform(-0.2, 0.2)] for _ in range(40)]
    fall = ranking.over_optimisation(rows, (1, 4, 16), HOW)
    assert (fall.k, fall.best_k, fall.alarm) == (16, 4, True)
    assert fall.difference.value == pytest.approx(np.mean([row[2] - row[1] for row in rows]))
    assert not ranking.over_optimisation([[0.0, 1.0], [1.0, 0.0]] * 20, (1, 2), HOW).alarm
    assert not ranking.over_optimisation([[0.2, 0.6]] * 20, (1, 2), HOW).alarm
    assert ranking.over_optimisation([[0.2]], (1,), HOW) is None


def test_a_random_scorer_seldom_raises_the_alarm_however_many_ks_there_are():
    """The level promises 2.5%; the best smaller k of four, taken for given beforehand, would make it 5%."""
    rng, ks, alarms = np.random.default_rng(0), (1, 2, 4, 8, 16), []
    for seed in range(400):
        right = (rng.random((60, 16)) < rng.beta(0.5, 1, size=60)[:, None]).astype(float)
        curve = best_of_k(rng.random((60, 16)).argsort(axis=1), right, ks)
        alarms.append(ranking.over_optimisation(curve, ks, Bootstrap(200, 0.95, seed)).alarm)
    assert np.mean(alarms) < 0.04


@given(st.integers(0, 2**32 - 1))
def test_the_interval_of_a_fall_holds_for_every_smaller_k_at_once(seed):
    rng = np.random.default_rng(seed)
    rows = rng.random((12, 4)).round(1)
    found = ranking.over_optimisation(rows, (1, 2, 4, 8), HOW)
    alone = ranking.over_optimisation(rows[:, [(1, 2, 4).index(found.best_k), 3]], (found.best_k, 8), HOW)
    assert found.difference.value == pytest.approx(alone.difference.value)
    assert found.difference.low <= alone.difference.low + 1e-12
    assert alone.difference.high <= found.difference.high + 1e-12


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=7))
def test_agreement_is_the_share_of_pairs_that_both_order_alike(rows):
    one, other = zip(*rows, strict=True)
    pairs = [(a[0] - b[0]) * (a[1] - b[1]) for a, b in combinations(rows, 2)]
    untied = [pair > 0 for pair in pairs if pair]
    assert same(ranking.order_agreement(one, other), float(np.mean(untied)) if untied else math.nan)
