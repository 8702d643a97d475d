"""The benchmark of all strategies, on a small run: every line has its numbers, intervals and costs, and they are a
report's.
"""

import pytest
import strategies
from support import Small, bring_up
from test_cost import costly
from test_report import made_up

from tts import cost, plugins
from tts.store import open_for_reading


def test_a_line_has_intervals_at_each_k_and_what_its_candidates_and_scores_cost(capsys: pytest.CaptureFixture[str]):
    report = costly(made_up(problems=6, n=4))
    taken = cost.account(report)
    curve = report.curve("argmax")
    found = strategies.row(report, taken, curve, 0.03)

    assert found["intervals"] == {point.k: (point.low, point.high) for point in curve.points}
    assert found["cost"] == {unit: cost.axis(report, taken, curve, unit)[-1] for unit in ("tokens", "flops", "seconds")}
    assert found["cost"]["tokens"] == 4 * 12
    assert found["cost"]["seconds"] == 2.0 + 2.0, "the candidates' and their scores'"
    assert found["milliseconds"] == pytest.approx(5.0)

    strategies.print_rows([found], report.ks)
    headers, ruler, cells = capsys.readouterr().out.splitlines()
    assert headers.count("|") == ruler.count("|") == cells.count("|")
    assert cells.count("[") == len(report.ks) + 1
    assert "| 48 | " in cells and cells.endswith(" | 4 | 5.00 |")


def test_a_run_is_brought_up_to_every_strategy_with_every_shipped_scorer(small: Small):
    """And its table, its seconds and its hidden halves can be made of it."""
    bring_up(small)
    report = strategies.brought_up(small.folder / "run", 2, small.folder)
    taken, chosen_in = cost.account(report), strategies.selection_seconds(report)
    rows = [strategies.row(report, taken, curve, chosen_in.get(curve.name)) for curve in report.curves]

    assert {curve.selector for curve in report.curves} >= set(plugins.names("selector"))
    assert list(report.scores) == strategies.SCORERS
    assert {row["strategy"] for row in rows if row["milliseconds"] is None} == {"oracle"}
    assert all(row["cost"]["tokens"] == pytest.approx(4 * 11.5) for row in rows)
    assert strategies.shared_costs(report)["programs"] > 1
    halves = strategies.hidden_halves(report, 3)
    assert (halves["n"], halves["hidings"]) == (4, 3) and halves["low"] <= halves["foretold"] <= halves["high"]
    with open_for_reading(small.folder / "run") as store:
        assert store.meta("scorers").keys() == {"likelihood", "length"}, "the run itself is left as it was"


def test_made_up_pools_are_timed_from_facts_to_curves():
    judged, scores = strategies.made_up(5, 8)
    took = strategies.timed(judged, scores, ["argmax", "majority"], [1, 8])
    assert took["seconds"] > 0 and took["cpu_seconds"] > 0
