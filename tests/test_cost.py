"""What a run took, what k candidates would take, and which of several runs is better at equal cost."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import IDS, Small, bring_up, tts
from test_pipeline import logged
from test_report import made_up, printed
from test_stopping import Slots

from tts import analysis, cost, cost_report, frontier, metrics
from tts.analysis import RunReport
from tts.cost import UNITS, Spent
from tts.errors import ConfigError, UserError
from tts.report import as_table
from tts.shapes import embedded
from tts.store import open_for_reading
from tts.types import Score

__all__ = ["Slots", "logged"]
MODELS = {"generator": 500, "scorers": {"likelihood": 20}}


def costly(report: RunReport, parameters=None, tokens: float = 3.0) -> RunReport:
    """The report of a run whose scorer ran `tokens` for each candidate and that knows its models' parameters."""
    scores = {
        label: {key: replace(score, tokens=tokens, passes=0.25) for key, score in mine.items()}
        for label, mine in report.scores.items()
    }
    identities = {label: f"{label}!" for label in scores}
    names = [item.problem.id for item in report.judged]
    spent = {(stage, name): 2.0 for stage in ("generate", *identities.values()) for name in names}
    more = {"parameters": parameters or MODELS, "scorers": identities, "peaks": {"grade": {"own_mib": 7.5}}}
    more["sessions"] = [{"busy_seconds": {"generate": 2.0 * len(names) + 5.0}}, {}]
    return replace(report, scores=scores, spent=spent, meta=report.meta | more)


RUN = costly(made_up(problems=6, n=8))


def test_each_stage_of_each_problem_by_hand():
    found = cost.account(RUN)
    item = RUN.judged[0]
    generate, likelihood, length, grade = found.problems[item.problem.id]
    scored = [s for c in item.candidates if (s := RUN.scores["likelihood"][c.key]).value is not None]

    assert generate == Spent(
        "generate", prompt_tokens=90, tokens=8 * 12, flops=2 * 500 * (90 + 8 * 12), wall_seconds=2.0
    )
    assert likelihood.tokens == 3.0 * len(scored)
    assert likelihood.passes == 0.25 * len(scored)
    assert likelihood.flops == 2 * 20 * 3.0 * len(scored)
    assert length.flops == 0.0  # it has no model
    assert grade.cpu_seconds == pytest.approx(0.0 if not any(g.program for g in item.grades) else 0.1)
    assert found.peak_mib == {"grade": {"own_mib": 7.5}}
    assert found.wall_seconds == {"grade": 8.0}


def test_the_stages_of_a_run_are_the_sums_over_its_problems():
    found = cost.account(RUN)

    for position, stage in enumerate(found.stages):
        for name in ("prompt_tokens", "tokens", "passes", "flops", "cpu_seconds", "wall_seconds"):
            parts = [getattr(mine[position], name) for mine in found.problems.values()]
            total = getattr(stage, name)
            assert total == (None if None in parts else pytest.approx(math.fsum(parts)))


def test_what_is_not_known_is_none_and_no_zero():
    bare = made_up(problems=3, n=4)
    known = cost.account(bare)
    (generate, likelihood, *_) = known.stages

    assert generate.flops is None
    assert generate.wall_seconds is None
    assert likelihood.tokens is None
    assert cost.rates(bare, known, (), "flops") is None
    assert cost.rates(bare, known, (), "seconds") is None
    unknown = replace(bare.judged[0].candidates[0], tokens=None)
    item = replace(bare.judged[0], candidates=(unknown, *bare.judged[0].candidates[1:]))
    fewer = replace(bare, judged=(item,))
    assert cost.rates(fewer, cost.account(fewer), (), "tokens") is None


@pytest.mark.parametrize("unit", UNITS)
def test_what_k_candidates_take_is_the_mean_over_all_ways_to_draw_them(unit):
    rates = cost.rates(RUN, cost.account(RUN), ("likelihood",), unit)
    scored = RUN.scores["likelihood"]

    def of(row: int, chosen) -> float:
        item = RUN.judged[row]
        mine = [item.candidates[i] for i in chosen]
        if unit == "k":
            return len(mine)
        written = sum(c.tokens for c in mine)
        rating = sum(scored[c.key].tokens for c in mine if scored[c.key].value is not None)
        if unit == "tokens":
            return written
        if unit == "flops":
            return 2 * 500 * (90 + written) + 2 * 20 * rating
        return len(mine) * (2.0 + 2.0) / 8  # seconds were measured for all eight

    for k in (1, 3, 8):
        ways = [np.mean([of(row, way) for way in itertools.combinations(range(8), k)]) for row in range(6)]
        assert rates.at(k) == pytest.approx(float(np.mean(ways)))
        assert rates.k_at(rates.at(k)) == pytest.approx(k)


def test_a_curve_without_a_scorer_does_not_pay_for_one():
    known = cost.account(RUN)
    with_scorer, without = (cost.axis(RUN, known, RUN.curve(name), "flops") for name in ("argmax", "majority"))

    assert all(a > b for a, b in zip(with_scorer, without, strict=True))
    assert cost.axis(RUN, known, RUN.curve("argmax"), "k") == RUN.ks


@pytest.mark.parametrize("label", ["b, c", "grade", "generate"])
def test_a_scorer_is_charged_whatever_it_is_called(label):
    """And nothing else is: "grade" is a stage of its own."""
    config = RUN.config.model_copy(
        update={"scorers": tuple(item.model_copy(update={"label": label}) for item in RUN.config.scorers[:1])}
    )
    scores = {label: RUN.scores["likelihood"]}
    spent = {("generate", name): 2.0 for _, name in RUN.spent} | {(f"{label}!", name): 3.0 for _, name in RUN.spent}
    run = replace(RUN, config=config, scores=scores, spent=spent, meta=RUN.meta | {"scorers": {label: f"{label}!"}})

    assert cost.rates(run, cost.account(run), (label,), "seconds").at(8) == pytest.approx(2.0 + 3.0)
    assert cost.rates(run, cost.account(run), (), "seconds").at(8) == pytest.approx(2.0)


def test_the_clock_says_what_its_sums_are_of_and_what_was_lost_or_made_again():
    meta = RUN.meta | {"timings": {"generate and score": 40.0, "behaviours": 9.0}, "replaced": {"grade": 3.5}}
    run = replace(RUN, meta=meta)
    found = cost.account(run)
    said = " ".join(cost_report.account_sheet(run, found).notes)

    assert found.stages[-1] == Spent("behaviours", wall_seconds=9.0)
    assert found.lost_seconds == pytest.approx(5.0)  # at work on what nobody finished
    assert "2 sessions added up: generate and score 40 s, behaviours 9 s; 49 s in all" in said
    assert "5 s of it the generator worked on candidates that are in no row" in said
    assert "Not in these sums: grade 3.5 s for what was made again, since what makes it had changed" in said
    assert "- is not known" in said and "0 is none" in said
    assert "largest ended child" not in said and "its own process 7.5" in said


def test_what_is_not_lost_and_not_made_again_is_not_mentioned():
    whole = replace(RUN, meta=RUN.meta | {"sessions": [{"busy_seconds": {"generate": 12.0}}]})
    said = " ".join(cost_report.account_sheet(whole, cost.account(whole)).notes)

    assert "1 session added up" in said
    assert "in no row:" not in said and "made again" not in said


# Several runs.


def pair() -> tuple[RunReport, RunReport]:
    """A run of a small model with many candidates and one of a larger with few, on the same problems."""
    small = costly(made_up("runs/small", problems=12, n=16))
    large = costly(made_up("runs/large", problems=12, n=4, seed=3), {"generator": 700, "scorers": {"likelihood": 20}})
    return small, large


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=8))
def test_the_front_is_what_nothing_beats(points):
    strategies = [
        frontier.Strategy(0, "argmax", i, float(c), float(v), 0.0, 0.0, False) for i, (c, v) in enumerate(points)
    ]

    for one in frontier._fronted(strategies):
        beaten = any((c <= one.cost and v > one.value) or (c < one.cost and v >= one.value) for c, v in points)
        assert one.on_front == (not beaten)


def test_strategies_are_every_curve_but_the_oracles_at_every_k():
    small, large = pair()
    found = frontier.frontier([small, large])

    assert found.unit == "flops"
    assert found.problems == 12
    assert {(one.run, one.curve, one.k) for one in found.strategies} == {
        (run, curve.name, k)
        for run, report in enumerate((small, large))
        for curve in report.curves
        if curve.name != "oracle"
        for k in report.ks
    }
    for one in found.strategies:
        curve = (small, large)[one.run].curve(one.curve)
        assert one.value == pytest.approx(curve.points[(small, large)[one.run].ks.index(one.k)].value)


def test_two_runs_are_paired_at_equal_cost():
    small, large = pair()
    found = frontier.frontier([small, large], "flops")
    evens = [one for one in found.even if one.curve == "argmax"]
    rates = [cost.rates(report, cost.account(report), ("likelihood",), "flops") for report in (small, large)]

    assert evens
    for one in evens:
        assert [mine.at(k) for mine, k in zip(rates, one.ks, strict=True)] == pytest.approx([one.cost] * 2, rel=1e-5)
        assert any(float(k).is_integer() for k in one.ks)
    expected = {r.at(k) for r, report in zip(rates, (small, large), strict=True) for k in report.ks}
    assert {round(one.cost) for one in evens} <= {round(c) for c in expected}


def test_an_accuracy_between_two_k_is_a_draw_between_their_exact_values():
    small, large = pair()
    one = next(
        one for one in frontier.frontier([small, large], "flops").even if one.ks[0] % 1 and one.curve == "argmax"
    )
    k = one.ks[0]
    judged = [(metrics.dense_ranks(argmax_keys(small, item)), np.array(item.correct)) for item in small.judged]
    low, high = metrics.exact_curve(judged, [math.floor(k), math.ceil(k)]).mean(axis=0)

    assert one.values[0] == pytest.approx((1 - k % 1) * low + (k % 1) * high)


def argmax_keys(report: RunReport, item):
    from tts import plugins

    return plugins.build("selector", "argmax").rank_key(analysis.pool_of(item, report.scores["likelihood"]))


def test_a_run_against_itself_differs_by_nothing_at_any_cost():
    small, _ = pair()
    found = frontier.frontier([small, replace(small)])

    assert found.even
    assert all((one.difference.value, one.difference.low, one.difference.high) == (0, 0, 0) for one in found.even)
    assert "no certain difference" in cost_report.verdict([small, small], found)[0]


def test_two_runs_are_paired_with_a_selector_each():
    small, large = pair()
    found = frontier.frontier([small, large], "flops", ["argmax", "majority"])
    same = {one.curve: [] for one in found.even} | {"argmax": [], "majority": []}
    for one in frontier.frontier([small, large], "flops").even:
        same.setdefault(one.curve, []).append(one)

    assert {one.curves for one in found.even} == {("argmax", "majority")}
    dearest = found.even[-1]
    assert dearest.ks[1] == large.n or dearest.ks[0] == small.n
    at_n = [one for one in found.even if one.ks[1] == large.n]
    assert all(one.values[1] == pytest.approx(large.curve("majority").points[-1].value) for one in at_n)
    assert "argmax solves" in cost_report.verdict([small, large], found)[0]
    assert "and majority " in cost_report.verdict([small, large], found)[0]
    with pytest.raises(ConfigError, match="one selector for each of 2 runs, in their order; got 1"):
        frontier.frontier([small, large], "flops", ["argmax"])
    with pytest.raises(ConfigError, match="No 'majorty' in the selectors of"):
        frontier.frontier([small, large], "flops", ["argmax", "majorty"])


def test_equal_points_of_the_front_are_one_row():
    small, large = pair()
    found = frontier.frontier([small, large], "k")
    sheet = cost_report.frontier_sheet([small, large], found)
    first = [one for one in found.strategies if one.on_front and one.k == 1]

    assert len(first) > cost_report.NAMED
    rows = [row for row in sheet.rows if row[1] == "1"]
    assert len(rows) == len({one.run for one in first})
    assert all(row[0].endswith(" more") for row in rows)
    assert len({tuple(row) for row in sheet.rows}) == len(sheet.rows)


def test_three_runs_are_compared_pair_by_pair_on_what_all_share():
    small, large = pair()
    third = costly(made_up("runs/third", problems=8, n=8, seed=5))
    found = frontier.frontier([small, large, third])

    assert found.problems == 8
    assert {one.runs for one in found.even} == {(0, 1), (0, 2), (1, 2)}
    assert len(cost_report.verdict([small, large, third], found)) == 3


def test_an_unknown_cost_is_refused_with_those_that_are_known():
    small, _ = pair()
    bare = made_up("runs/bare", problems=12, n=4)

    assert frontier.frontier([small, bare]).unit == "tokens"
    assert set(frontier.frontier([small, bare]).unknown) == {"flops", "seconds"}
    with pytest.raises(UserError, match=r"Not every run knows its cost in flops\. Compare by one of: k, tokens"):
        frontier.frontier([small, bare], "flops")
    other = replace(bare, judged=tuple(replace(i, problem=replace(i.problem, id="x")) for i in bare.judged[:1]))
    with pytest.raises(UserError, match="No judged problem is in all of"):
        frontier.frontier([small, other])


def test_tables_say_what_the_numbers_are():
    small, large = pair()
    found = frontier.frontier([small, large])
    front = printed(as_table(cost_report.frontier_sheet([small, large], found)), 140)
    even = printed(as_table(cost_report.even_sheet([small, large], found)), 140)
    account = printed(as_table(cost_report.account_sheet(small, cost.account(small))), 140)

    assert "12 common problems" in " ".join(front.split())
    assert "2 x parameters x tokens" in " ".join(front.split())
    assert "second - first" in even
    assert "FLOPs" in account
    assert "score likelihood" in account
    assert json.loads(json.dumps(cost_report.frontier_json([small, large], found)))["unit"] == "flops"
    assert json.loads(json.dumps(cost_report.account_json(cost.account(small))))["stages"][0]["tokens"] == 12 * 16 * 12


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0, "0"), (0.1234, "0.123"), (12, "12"), (1234.5, "1,234"), (2.5e15, "2.50e15")]
)
def test_numbers_as_they_are_shown(value, text):
    assert cost_report.number(value) == text


# Real runs.


def test_a_run_keeps_what_its_models_took_and_a_second_session_adds_to_it(logged: Small):
    generator = logged.config["generator"] | {"seconds": 0.02}
    logged.write(generator=generator)
    bring_up(logged, "generator.n=2")
    with open_for_reading(logged.folder / "run") as store:
        first = store.spent()
    bring_up(logged, "generator.n=4")
    with open_for_reading(logged.folder / "run") as store:
        second, report = store.spent(), analysis.analyse(store)

    stages = {stage for stage, _ in second}
    assert {name for _, name in second} == set(IDS)
    assert "generate" in stages
    assert len(stages) == 2
    assert sum(v for (stage, _), v in first.items() if stage == "generate") >= 3 * 2 * 0.02
    assert all(second[key] > first[key] for key in first)
    account = cost.account(report)
    assert account.stages[0].prompt_tokens == 3 * 7
    assert account.stages[0].tokens == 3 * (0 + 1 + 2 + 3)
    assert account.stages[0].wall_seconds == pytest.approx(sum(v for (s, _), v in second.items() if s == "generate"))
    assert account.stages[-1].cpu_seconds > 0
    assert set(account.peak_mib) >= {"generate and score", "grade"}
    assert all(sizes["own_mib"] > 1 for sizes in account.peak_mib.values())


def test_the_terminal_says_what_pruning_would_have_saved(logged: Small):
    logged.write(selectors=["argmax", "staged"], generator=logged.config["generator"] | {"n": 4})
    done = tts(logged.folder, "run", "config.yaml", "--folder", "run")
    (one,) = json.loads(tts(logged.folder, "report", "run", "--json").out)["runs"]
    saved = one["saved"]["staged"]

    assert saved["scores"] > 0
    said = f"staged would have saved {saved['scores']} of {saved['of_scores']} scores"
    assert said in " ".join(done.out.split())
    assert said in " ".join(tts(logged.folder, "report", "run").out.split())


def test_why_verdicts_are_made_again_is_said_and_what_they_took_is_in_no_sum(logged: Small):
    logged.write(selectors=["argmax", "majority"], generator=logged.config["generator"] | {"n": 2})
    first = tts(logged.folder, "run", "config.yaml", "--folder", "run")
    same = tts(logged.folder, "run", "config.yaml", "--folder", "run")
    with open_for_reading(logged.folder / "run") as store:
        before, graded = store.meta("timings"), len(store.grades(store.meta("grader")))
    again = tts(logged.folder, "run", "config.yaml", "grading.timeout=3", "--folder", "run")
    with open_for_reading(logged.folder / "run") as store:
        account = cost.account(analysis.analyse(store))

    assert "made again" not in first.err + same.err
    assert "The grader's version changed from " in again.err
    assert f"{graded} verdicts made again" in again.err and f"{graded} behaviours made again" in again.err
    assert account.replaced_seconds == pytest.approx({name: before[name] for name in ("grade", "behaviours")})
    assert account.sessions == 3
    assert account.stages[-1].stage == "behaviours" and account.stages[-1].wall_seconds > 0


def test_runs_are_compared_from_the_command_line(finished):
    done = tts(finished, "compare", "run", "run", "run", "--cost", "tokens", "--to", "compared")

    assert done.code == 0, done.err
    assert "Pareto front: A run · B run · C run" in done.out
    assert "At equal cost" in done.out
    assert (finished / "compared" / "report.html").exists()
    numbers = json.loads(tts(finished, "compare", "run", "run", "--json").out)
    assert numbers["unit"] == "tokens"
    assert all(one["difference"]["value"] == 0 for one in numbers["even"])
    rows = tts(finished, "compare", "run", "run", "--format", "csv", "--to", "not_made").out.splitlines()
    assert rows[0] == "run,curve,k,cost,value,low,high,on_front"
    assert len(rows) == 1 + len(numbers["strategies"])
    table = tts(finished, "compare", "run", "run", "--format", "md").out
    assert table.count("#### ") == 3 and "#### Pareto front" in table
    assert not (finished / "not_made").exists()


def test_comparing_mistakes_are_told(finished):
    assert "takes from 2 to 26 run folders, got 1" in tts(finished, "compare", "run").error
    assert "No 'flop' in what --cost can be. Did you mean 'flops'?" in (
        tts(finished, "compare", "run", "run", "--cost", "flop").error
    )
    assert "Not every run knows its cost in flops" in tts(finished, "compare", "run", "run", "--cost", "flops").error


def test_parameters_of_the_embedded_model_are_those_of_its_name():
    assert embedded().parameters == pytest.approx(135e6, rel=0.01)
    assert Score("p", 0, 1.0).tokens is None
