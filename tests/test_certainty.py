"""How sure numbers are: tests against counting by hand, forecasts against samples that were hidden."""

import itertools
import json
import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_report import assemble, found_of, made_up, printed, sampled, task

from tts import certainty, extrapolation, formats, report
from tts.analysis import RunReport
from tts.certainty_report import certainty_sheet, forecast_caption, pairs_sheet
from tts.errors import ConfigError
from tts.significance import detectable, holm, mcnemar

# McNemar and Holm


@given(st.integers(0, 7), st.integers(0, 7))
def test_mcnemar_is_the_share_of_coin_tosses_at_least_as_uneven(one: int, other: int) -> None:
    tosses = list(itertools.product((0, 1), repeat=one + other))
    uneven = [abs(2 * sum(t) - one - other) >= abs(one - other) for t in tosses]
    assert mcnemar(one, other) == pytest.approx(sum(uneven) / len(tosses))
    assert mcnemar(one, other) == mcnemar(other, one)


def test_mcnemar_by_hand_and_for_many() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 0) == pytest.approx(2 / 32)
    assert 0 < mcnemar(2000, 1000) < 1e-70
    with pytest.raises(ValueError, match="negative"):
        mcnemar(-1, 0)


def test_holm_by_hand() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.2))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: list[float], alpha: float) -> None:
    rejected, order = set(), sorted(range(len(p_values)), key=lambda i: p_values[i])
    for step, i in enumerate(order):
        if (len(p_values) - step) * p_values[i] > alpha:
            break
        rejected.add(i)
    assert {i for i, p in enumerate(holm(p_values)) if p <= alpha} == rejected


def test_holm_keeps_false_findings_rare() -> None:
    rng = np.random.default_rng(0)
    false = sum(min(holm(rng.random(10).tolist())) <= 0.05 for _ in range(2000))
    assert false / 2000 < 0.065


# what can be detected


@pytest.mark.parametrize(("problems", "disagreement"), [(164, 0.2), (1000, 0.1)])
def test_a_detectable_difference_is_found_as_often_as_promised(problems: int, disagreement: float) -> None:
    difference = detectable(disagreement, problems)
    rng, limit = np.random.default_rng(1), NormalDist().inv_cdf(0.975)
    shares = [(disagreement + difference) / 2, (disagreement - difference) / 2]
    found = []
    for _ in range(2000):
        more, less, _ = rng.multinomial(problems, [*shares, 1 - disagreement])
        found.append(abs(more - less) > limit * math.sqrt(more + less))
    assert 0.76 <= np.mean(found) <= 0.86


def test_four_times_the_problems_detect_half_the_difference() -> None:
    assert detectable(0.2, 400) == pytest.approx(detectable(0.2, 100) / 2)
    assert detectable(0.25, 100) == pytest.approx((1.959964 + 0.841621) * 0.05, rel=1e-5)
    with pytest.raises(ValueError, match="needs problems"):
        detectable(0.2, 0)


# forecasts


def grid_likelihood(n: np.ndarray, correct: np.ndarray, a: float, b: float) -> float:
    def beta(x: float, y: float) -> float:
        return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

    return sum(beta(a + c, b + m - c) - beta(a, b) for m, c in zip(n.tolist(), correct.tolist(), strict=True))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 12)), min_size=3, max_size=12))
@example([(1, 1), (1, 1), (3, 2), (4, 4), (4, 4), (5, 5)])  # best at the bound of a, along which all is flat
def test_the_fit_is_the_most_likely_of_a_grid(rows: list[tuple[int, int]]) -> None:
    n = np.array([m for m, _ in rows])
    correct = np.array([min(m, c) for m, c in rows])
    ((a, b),) = extrapolation.fit(n, correct, np.ones((1, len(n))))
    best = grid_likelihood(n, correct, a, b)
    grid = np.exp(np.arange(-8.5, 8.6, 0.5))
    assert all(grid_likelihood(n, correct, x, y) <= best + 1e-3 for x in grid for y in grid)


def test_a_forecast_at_n_is_the_share_of_problems_solved_and_grows_from_there() -> None:
    n, correct = np.array([8] * 6), np.array([0, 0, 0, 1, 4, 8])
    found = extrapolation.forecast(n, correct, [8, 16, 64, 4096])
    assert found[0].value == 0.5
    values = [f.value for f in found]
    assert values == sorted(values) and values[-1] <= 1
    assert all(f.low <= f.value <= f.high for f in found)


@pytest.mark.parametrize(("a", "b"), [(0.3, 0.7), (0.15, 1.0), (1.0, 3.0), (2.0, 2.0)])
def test_an_interval_holds_what_more_samples_would_have_shown(a: float, b: float) -> None:
    rng, held, off = np.random.default_rng(3), [], []
    for seed in range(60):
        chances = rng.beta(a, b, size=120)
        seen = rng.binomial(8, chances)
        solved = float(np.mean((seen > 0) | (rng.random(120) < 1 - (1 - chances) ** 24)))  # by 24 more, 32 in all
        (found,) = extrapolation.forecast(np.full(120, 8), seen, [32], resamples=200, seed=seed)
        held.append(found.low <= solved <= found.high)
        off.append(found.value - solved)
    assert np.mean(held) >= 0.9
    assert abs(np.mean(off)) < 0.01


@pytest.mark.parametrize(
    ("n", "correct", "ks", "message"),
    [([], [], [4], "needs problems"), ([4], [5], [4], "needs problems"), ([4, 8], [1, 1], [6], "at least n")],
)
def test_a_forecast_refuses_what_cannot_be(n: list[int], correct: list[int], ks: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        extrapolation.forecast(np.array(n, dtype=int), np.array(correct, dtype=int), ks)


# of a run


def test_comparisons_count_the_problems_that_one_of_two_choices_solves() -> None:
    pools = []
    for i, (right, scores) in enumerate([([True, False], (1.0, 0.0))] * 3 + [([True, False], (0.0, 1.0))]):
        code = [sampled(f"p{i}", j, f"x = {j}") for j in (0, 1)]
        pools.append((task(f"p{i}"), code, right, scores))
    run = assemble("r", pools, ["argmax", "soft", "majority"], ["likelihood", "length"])
    found = certainty.certainty(run)

    names = {(c.one, c.other) for c in found.comparisons}
    assert names == {("argmax", "argmax:length"), ("argmax", "majority"), ("argmax:length", "majority")}
    first = found.between("argmax:length", "argmax")
    assert first is not None
    assert (first.only_one, first.only_other) == (3, 1)
    assert first.p == pytest.approx(mcnemar(3, 1)) and first.holm == 1.0
    assert first.difference.value == pytest.approx(0.5)
    assert found.detectable is not None and found.detectable.problems == 4


def test_what_is_compared_is_cut_to_the_candidates_that_all_problems_have() -> None:
    """The third candidate of some problems is right and scores best, and changes nothing at k = n = 2."""

    def made(longest: int) -> RunReport:
        pools = []
        for i in range(6):
            n = longest if i % 2 else 2
            code = [sampled(f"p{i}", j, f"x = {j}") for j in range(n)]
            pools.append((task(f"p{i}"), code, [False, i < 4, True][:n], [0.0, 1.0, 9.0][:n]))
        return assemble("r", pools, ["argmax", "majority"], ["likelihood", "length"])

    even, uneven = made(2), made(3)

    assert uneven.n == 2
    for curve in uneven.curves:
        choices = {name: choice.position for name, choice in curve.choices.items()}
        assert choices == {name: choice.position for name, choice in even.curve(curve.name).choices.items()}
    mine, theirs = certainty.comparisons(uneven), certainty.comparisons(even)
    assert [(c.only_one, c.only_other, c.p, c.holm) for c in mine] == [
        (c.only_one, c.only_other, c.p, c.holm) for c in theirs
    ]
    notes = [certainty_sheet(run, certainty.certainty(run)).notes for run in (uneven, even)]
    assert ["from each problem's first 2 candidates" in " ".join(said) for said in notes] == [True, False]


def test_any_selector_can_be_what_the_others_are_compared_with() -> None:
    run = made_up()
    found = certainty.certainty(run)
    names = {name for c in found.comparisons for name in (c.one, c.other)}
    sheet = certainty_sheet(run, found, "majority")

    assert sheet.headers[0] == "majority against"
    assert {row[0] for row in sheet.rows} == names - {"majority"}
    ahead = run.curve("majority").points[-1].value - run.curve("argmax").points[-1].value
    (cells,) = [row for row in sheet.rows if row[0] == "argmax"]
    assert cells[1].startswith(f"{100 * ahead:+.1f} [")
    with pytest.raises(ConfigError, match=r"No 'majorty' in the selectors that are compared.*majority"):
        certainty_sheet(run, found, "majorty")


def test_a_run_says_how_sure_it_is_in_table_and_json() -> None:
    run = made_up()
    found = certainty.certainty(run)
    text = " ".join(printed(report.as_table(certainty_sheet(run, found)), 140).split())
    assert "McNemar's exact test" in text and f"corrected for {len(found.comparisons)} comparisons" in text
    assert "a true difference under" in text and "beta-binomial" in text
    assert [f.k for f in found.forecasts] == [16, 32, 64]
    shown = json.loads(json.dumps(formats.as_json(found_of(run)), allow_nan=False))["runs"][0]["certainty"]
    assert len(shown["comparisons"]) == len(found.comparisons)
    assert shown["forecasts"][0]["value"] == found.forecasts[0].value


def test_every_pair_is_said_from_the_side_of_its_first() -> None:
    run = made_up()
    found = certainty.certainty(run)
    sheet = pairs_sheet(run, found)
    assert [row[:2] for row in sheet.rows] == [[one.one, one.other] for one in found.comparisons]
    assert [row[3] for row in sheet.rows] == [f"{c.only_one}, {c.only_other}" for c in found.comparisons]
    assert sum(ends for _, ends in sheet.shown()) == len({one.one for one in found.comparisons})


def test_with_one_selector_there_is_nothing_to_compare() -> None:
    run = assemble("r", [(task("a"), [sampled("a", 0, "x")], [False], [1.0])], ["argmax"], ["likelihood"])
    found = certainty.certainty(run)
    assert found.comparisons == () and found.detectable is None
    assert found.forecasts == () and "foretells no more" in forecast_caption(run, found)  # from one sample
    assert "McNemar" not in printed(report.as_table(certainty_sheet(run, found)), 100)
