"""What the embedded scorer's recipe says of itself: which problems it keeps away from, its verdict and its card."""

import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import train_embedded as recipe

ROOT = Path(__file__).parent.parent

APART = [
    "Write a function to find the shared elements from the given two lists, in the order of the first of them.",
    "Reverse a text.\nassert turned('abcd') == 'dcba'",
]


def test_what_is_alike_one_that_is_judged_by_is_left_out() -> None:
    named = {
        "Write a function to find the shared elements from the given two lists, in the order of the second.": "700",
        "Give back what stands in a text, from its end.\nassert turned('abcd') == 'dcba'": "701",
        "Sum the even numbers among those given.\nassert even_sum([1, 2]) == 2": "702",
        "Count the pairs of a list that add up to nothing.": "842",
    }
    left_out = recipe.leaking(named, APART)
    assert {named[statement] for statement in left_out} == {"700", "701", "842"}
    assert "842" in recipe.RETOLD


@pytest.mark.parametrize("pool", ["train-mbpp-135m", "train-mbpp-0.5b"])
def test_what_is_sampled_of_mbpp_is_of_its_training_part(pool: str) -> None:
    with gzip.open(recipe.SAMPLES / f"{pool}.jsonl.gz", "rt") as file:
        ids = {int(json.loads(line)["question_id"]) for line in file}
    assert ids <= set(range(601, 975))


def row(strategy: str, share: float, above: tuple[float, float, float]) -> dict[str, Any]:
    of = {"pool": recipe.GOAL_POOL, "k": recipe.GOAL_K, "strategy": strategy}
    return of | {"share_of_gap": share, "share_interval": [share - 0.1, share + 0.1], "trained_above": above}


@pytest.mark.parametrize(
    ("share", "least", "said"), [(0.41, 0.1, "Met"), (0.39, 0.1, "Not met"), (0.41, -0.1, "Not met")]
)
def test_the_goal_needs_both_of_its_halves(share: float, least: float, said: str) -> None:
    rows = [row("trained", share, (0.0, 0.0, 0.0)), row("likelihood", 0.2, (5.0, least, 9.9))]
    found = recipe.verdict(rows)
    assert f" {said}: {100 * share:.0f}% of the gap" in found
    assert f"+5.0 points [{least:+.1f}, +9.9] above likelihood" in found
    assert recipe.verdict([one | {"pool": "another"} for one in rows]).endswith("Not judged by.")


def test_the_card_is_what_was_measured() -> None:
    saved = json.loads((ROOT / "benchmarks" / "results" / "train_embedded.json").read_text())
    card = (ROOT / "tts" / "embedded_scorer" / "README.md").read_text()
    audit = re.search(r"```\n(.*?)\n```\n", card, re.DOTALL)
    assert audit is not None
    assert card == recipe.card(saved, audit[1])


def test_the_tables_of_the_verdict_are_what_was_measured() -> None:
    saved = json.loads((ROOT / "benchmarks" / "results" / "train_embedded.json").read_text())
    text = (ROOT / "benchmarks" / "README.md").read_text()
    rows = saved["results"]
    for pool in dict.fromkeys(one["pool"] for one in rows):
        for strategy in ("random", "length", "likelihood", "trained", "oracle"):
            mine = [one for one in rows if (one["pool"], one["strategy"]) == (pool, strategy) and one["k"] > 1]
            (goal,) = (one for one in mine if one["k"] == recipe.GOAL_K)
            cells = " | ".join(f"{one['solved']:.1f}" for one in mine)
            assert f"| {strategy} | {cells} | {100 * goal['share_of_gap']:.0f}%" in text, (pool, strategy)
            trained = [one for one in rows if (one["pool"], one["strategy"]) == (pool, "trained") and one["k"] > 1]
            for one, best in zip(mine, trained, strict=True):
                assert one["trained_above"][0] == pytest.approx(best["solved"] - one["solved"], abs=0.02)
            if strategy != "trained":
                above, low, high = goal["trained_above"]
                assert f"| {above:+.1f} [{low:+.1f}, {high:+.1f}] |" in text
    for epoch in saved["training"]["epochs"]:
        value, low, high = (100 * end for end in epoch["accuracy"])
        assert f"| {value:.1f}% [{low:.1f}, {high:.1f}] |" in text
