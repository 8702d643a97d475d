"""A replay on a stored pool: exact where it says so, beside uniform sampling at equal tokens, the same each time."""

import base64
import csv
import html
import io
import itertools
import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from PIL import Image
from support import make_small, tts
from test_report import made_up, printed

from tts import analysis, formats, plugins, replay, replay_report
from tts.errors import ConfigError, DataError, UserError
from tts.stopping import settle, worth

SMALL = made_up(problems=4, n=5)
LARGE = made_up(problems=8, n=12, seed=2)
SIZED = {"name": "test_stopping:Greedy", "wanted": 2}  # two candidates each, but nobody knows that it looks at none


def with_public_tests(report):
    """The report in which what a program does is seen to pass a public test or not."""

    def marked(item):
        seen = (None if b is None else replace(b, passed=(i % 3 == 0,)) for i, b in enumerate(item.behaviours))
        return replace(item, behaviours=tuple(seen))

    return replace(report, judged=tuple(map(marked, report.judged)))


def by_brute_force(report, spec, selector="argmax", scorer="likelihood") -> tuple[float, float]:
    """(accuracy, candidates): the mean over problems and over all orders of their candidates."""
    chosen, policy = plugins.build("selector", selector), plugins.build("policy", spec)
    values, sizes = [], []
    for item in report.judged:
        pool = analysis.pool_of(item, report.scores[scorer])
        outcomes = []
        for order in itertools.permutations(range(report.n)):
            (decision,) = settle(policy, [pool.take(order)], [report.n])
            outcomes.append(
                (worth(decision, chosen, pool.take(order), [item.correct[i] for i in order]), decision.wanted)
            )
        values.append(np.mean([value for value, _ in outcomes]))
        sizes.append(np.mean([size for _, size in outcomes]))
    return float(np.mean(values)), float(np.mean(sizes))


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "beta", "confidence": 0.8},
        {"name": "pandora", "cost": 0.05},
        {"name": "margin", "confidence": 0.8},
        {"name": "test_stopping:Greedy", "wanted": 3},
    ],
    ids=lambda spec: spec["name"],
)
def test_with_few_candidates_all_orders_are_met_and_the_value_is_exact(spec):
    (spot,) = replay.replay(SMALL, [spec], "argmax", orders=math.factorial(5)).spots
    value, candidates = by_brute_force(SMALL, spec)

    assert (spot.exact, spot.se) == (True, 0.0)
    assert spot.value == pytest.approx(value)
    assert spot.candidates == pytest.approx(candidates)
    assert spot.tokens == pytest.approx(12 * candidates)  # each has twelve


def test_drawn_orders_come_close_and_say_how_close():
    spec = {"name": "pandora", "cost": 0.05}
    exact = by_brute_force(SMALL, spec)[0]
    (spot,) = replay.replay(SMALL, [spec], "argmax", orders=100).spots

    assert not spot.exact
    assert 0 < spot.se < 0.1
    assert abs(spot.value - exact) < 5 * spot.se


@pytest.mark.parametrize("selector", ["argmax", "majority", "random"])
def test_uniform_sampling_is_the_exact_best_of_k_of_every_report(selector):
    found = replay.replay(LARGE, ["fixed"], selector)
    ks = [point.k for point in found.uniform]
    config = LARGE.config.model_copy(
        update={"selectors": tuple(s for s in LARGE.config.selectors if s.label == selector)}
    )
    curve = next(
        c
        for c in analysis.curves(LARGE.judged, {"likelihood": LARGE.scores["likelihood"]}, config, ks)
        if c.name == selector
    )

    assert ks == list(range(1, 13))
    assert [point.value for point in found.uniform] == pytest.approx([point.value for point in curve.points])
    assert [point.tokens for point in found.uniform] == pytest.approx([12 * k for k in ks])


@pytest.mark.parametrize("report", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("selector", ["argmax", "random", "majority", "weighted_vote"])
def test_the_policy_fixed_is_uniform_sampling_to_the_last_digit(selector, report):
    """Whether the curve is exact or drawn: of a policy that looks at nothing, no order has to be met."""
    found = replay.replay(report, ["fixed"], selector, orders=3)
    uniform = {point.k: point for point in found.uniform}

    assert [spot.options for spot in found.spots] == [f"k={k}" for k in (1, 2, 4, 8) if k <= report.n]
    for spot in found.spots:
        point, gap = uniform[int(spot.candidates)], spot.over_uniform
        assert [spot.value, spot.low, spot.high] == [point.value, point.low, point.high]
        assert (spot.tokens, spot.se, spot.exact) == (point.tokens, point.se, point.exact)
        assert (gap.value, gap.low, gap.high, gap.se, gap.exact) == (0, 0, 0, 0, True)


def test_a_fixed_number_between_the_points_of_the_curve_is_a_point_of_it():
    large = made_up(problems=3, n=40)
    found = replay.replay(large, [{"name": "fixed", "k": 33}], "argmax", orders=3)

    assert 33 not in {point.k for point in replay.replay(large, ["beta"], "argmax", orders=2).uniform}
    assert (found.spots[0].candidates, found.spots[0].over_uniform.value) == (33, 0)


def test_a_difference_has_the_error_of_both_that_it_is_between():
    spec = {"name": "pandora", "cost": 0.05}
    (drawn,) = replay.replay(LARGE, [spec], "weighted_vote", orders=20).spots
    (exact,) = replay.replay(SMALL, [spec], "argmax", orders=math.factorial(5)).spots

    assert drawn.over_uniform.se > drawn.se > 0
    assert not drawn.over_uniform.exact
    assert (exact.over_uniform.se, exact.over_uniform.exact) == (0.0, True)
    text = printed(replay_report.table(replay.replay(LARGE, [spec], "weighted_vote", orders=20)), 200)
    row = next(line for line in text.splitlines() if "pandora" in line)
    assert row.count("~") == row.count("±") == 2


def test_a_policy_that_answers_itself_is_compared_with_the_selector_that_chooses_alike():
    spec = {"name": "adap", "share": 1.0}
    found = replay.replay(with_public_tests(LARGE), [spec, "beta"], "majority", orders=20)
    adap, *betas = found.spots
    (reference,) = found.references

    assert reference.selector == adap.over_alike.selector == "tests_then_score"
    tokens, values = ([getattr(p, name) for p in reference.uniform] for name in ("tokens", "value"))
    assert adap.over_alike.value == pytest.approx(adap.value - float(np.interp(adap.tokens, tokens, values)))
    assert 0 < adap.answered <= 1
    assert all(beta.over_alike is None and beta.answered == 0 for beta in betas)
    said = " ".join(replay_report.notes(found))
    assert (
        f"adap chose the answer itself {100 * adap.answered:.1f}% of the time, and left it to majority only in" in said
    )
    assert "It chooses as tests_then_score does" in said
    assert "over uniform, tests_then_score" in replay_report.sheet(found).headers
    assert "dots: the same with tests_then_score" in replay_report.caption(found)


def test_what_a_policy_answers_does_not_depend_on_the_selector():
    run = with_public_tests(LARGE)
    one, other = (replay.replay(run, ["adap"], selector, orders=20).spots for selector in ("majority", "random"))

    assert [spot.answered for spot in one] == [spot.answered for spot in other] != [0] * len(one)
    assert [spot.candidates for spot in one] == [spot.candidates for spot in other]


def test_the_difference_is_to_uniform_sampling_at_the_same_tokens():
    (spot,) = replay.replay(SMALL, [{"name": "pandora", "cost": 0.05}], "argmax", orders=120).spots
    found = replay.replay(SMALL, ["fixed"], "argmax")
    tokens, values = ([getattr(p, name) for p in found.uniform] for name in ("tokens", "value"))

    assert spot.over_uniform.value == pytest.approx(spot.value - float(np.interp(spot.tokens, tokens, values)))
    assert spot.over_uniform.low <= spot.over_uniform.value <= spot.over_uniform.high


def test_a_replay_is_the_same_each_time_and_every_policy_meets_the_same_orders():
    specs = ["beta", "pandora", "allocate"]
    one, other = (replay.replay(LARGE, specs, orders=20) for _ in range(2))
    alone = replay.replay(LARGE, ["pandora"], orders=20)

    assert replay_report.as_json(one) == replay_report.as_json(other)
    assert [*alone.spots] == [spot for spot in one.spots if spot.policy == "pandora"]


def test_a_shared_budget_is_kept_over_all_problems():
    found = replay.replay(LARGE, [{"name": "allocate", "pilot": 3, "budget": 6}], orders=20)

    assert found.spots[0].candidates <= 6
    assert found.spots[0].candidates > 5


def test_a_longer_pool_is_cut_to_what_all_have_in_every_order():
    longer = replace(SMALL, n=3)
    (spot,) = replay.replay(longer, [{"name": "fixed"} | {"k": 3}], "argmax", orders=60).spots

    assert spot.exact
    assert spot.candidates == 3


def test_without_token_counts_candidates_are_the_cost():
    bare = replace(
        SMALL,
        judged=tuple(
            replace(item, candidates=tuple(replace(c, tokens=None) for c in item.candidates)) for item in SMALL.judged
        ),
    )
    found = replay.replay(bare, ["beta"], orders=16)

    assert not found.in_tokens
    assert all(spot.tokens is None for spot in found.spots)
    assert "equal mean candidates, since tokens are not known" in " ".join(replay_report.notes(found))


@pytest.mark.parametrize(
    ("value", "n", "options"),
    [
        ("fixed", 6, ["k=1", "k=2", "k=4"]),
        ({"name": "fixed", "k": [3, 5]}, 6, ["k=3", "k=5"]),
        ({"name": "fixed", "k": 2}, 6, ["k=2"]),
        ({"name": "allocate", "pilot": 8}, 16, ["pilot=8 budget=8", "pilot=8 budget=12", "pilot=8 budget=16"]),
        (
            {"name": "pandora", "cost": [0.1, 0.01], "minimum": [3, 4]},
            9,
            ["cost=0.1 minimum=3", "cost=0.1 minimum=4", "cost=0.01 minimum=3", "cost=0.01 minimum=4"],
        ),
        ({"name": "test_stopping:Greedy", "wanted": 2}, 4, ["wanted=2"]),
    ],
    ids=str,
)
def test_what_is_replayed_of_a_policy(value, n, options):
    assert [one.options for one in replay.settings(value, n)] == options


def test_the_scorer_is_told_that_a_policy_decides_by_though_the_selector_looks_at_none():
    found = replay.replay(SMALL, [{"name": "pandora", "cost": 0.05}], "majority", orders=16)

    assert found.scorer == "likelihood"


def test_what_a_run_has_not_is_told():
    with pytest.raises(UserError, match="No 'argmx' in the selectors of"):
        replay.replay(SMALL, ["beta"], "argmx")
    with pytest.raises(UserError, match="No 'lenght' in the scorers of"):
        replay.replay(SMALL, ["beta"], scorer="lenght")
    with pytest.raises(ConfigError, match="cost must be above 0"):
        replay.replay(SMALL, [{"name": "pandora", "cost": [0.1, -1]}])
    argmax_alone = SMALL.config.model_copy(
        update={"selectors": tuple(s for s in SMALL.config.selectors if s.label == "argmax")}
    )
    with pytest.raises(UserError, match="were not run on the public inputs"):
        replay.replay(replace(SMALL, config=argmax_alone), ["beta"])
    with pytest.raises(UserError, match="looks at scores, and"):
        replay.replay(replace(SMALL, scores={}), ["pandora"])
    with pytest.raises(UserError, match="was stopped by a policy"):
        replay.replay(replace(SMALL, stops={"mini-0": None}), ["beta"])


def test_the_table_has_uniform_sampling_and_every_setting():
    found = replay.replay(LARGE, ["beta", {"name": "pandora", "cost": 0.02}], "majority", orders=20)
    text = printed(replay_report.table(found), 150)

    assert [cells[1] for cells in replay_report.sheet(found).rows[:5]] == ["k=1", "k=2", "k=4", "k=8", "k=12"]
    assert "cost=0.02" in text
    assert "8 problems, at most 12 candidates each" in " ".join(text.split())
    assert "drawn orders" in text


@pytest.mark.parametrize("name", ["r.png", "r.svg"])
def test_the_picture_is_drawn_with_its_caption(tmp_path, name):
    found = replay.replay(LARGE, ["beta"], orders=16)
    replay_report.write(found, tmp_path / name)

    if name.endswith("png"):
        assert len(Image.open(tmp_path / name).convert("RGB").getcolors(1 << 24)) > 20
    else:
        assert (tmp_path / name).read_text().lstrip().startswith("<?xml")
    assert "8 problems, n = 12" in replay_report.caption(found)
    assert "uniform sampling at 12 values of k from 1 to 12" in replay_report.caption(found)
    assert "Band and bars: 95% intervals" in replay_report.caption(found)


def test_the_picture_has_each_policys_intervals():
    found = replay.replay(LARGE, ["beta"], orders=16)
    (axes,) = replay_report._figure(found).axes
    (bars,) = [drawn for drawn in axes.collections if isinstance(drawn, LineCollection)]
    drawn = [(start[0], start[1], end[1]) for start, end in bars.get_segments()]

    spots = sorted(found.spots, key=lambda spot: spot.tokens)
    assert drawn == [pytest.approx((spot.tokens, 100 * spot.low, 100 * spot.high)) for spot in spots]


def test_what_is_drawn_is_said_to_be_and_of_what():
    def said(selector: str, orders: int) -> str:
        return " ".join(replay_report.notes(replay.replay(SMALL, [SIZED], selector, orders=orders)))

    assert "drawn" not in said("argmax", math.factorial(5)) and "All values are exact" in said("argmax", 120)
    assert "average over 7 drawn orders of each problem's candidates, ±" in said("argmax", 7)
    uniform = replay.replay(LARGE, [SIZED], "weighted_vote", orders=7)
    assert not all(point.exact for point in uniform.uniform)
    notes = " ".join(replay_report.notes(uniform))
    assert "7 drawn orders of each problem's candidates or drawn subsets of them (uniform)" in notes


@pytest.mark.parametrize("name", ["replay-a.png", "replay-a.svg"])
def test_what_a_page_shows_of_a_saved_replay_is_what_was_shown_at_once(tmp_path, name):
    assert replay_report.saved_section(tmp_path) == ""
    hostile = replace(LARGE, folder=LARGE.folder / "<script>")
    found = replay.replay(hostile, ["beta"], orders=16)
    replay_report.write(found, tmp_path / name)
    section = str(replay_report.saved_section(tmp_path))
    shown = html.unescape(section)

    sheet = replay_report.sheet(found)
    assert all(cell in shown for row in sheet.rows for cell in row) and all(note in shown for note in sheet.notes)
    assert replay_report.caption(found) in shown
    encoded = base64.b64encode((tmp_path / name).read_bytes()).decode()
    assert f"base64,{encoded}" in section
    assert "<script>" not in section
    saved = json.loads((tmp_path / "replay-a.json").read_text())
    assert saved["numbers"] == json.loads(json.dumps(replay_report.as_json(found)))


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 99}', '{"version": 1, "sheet": {}}', '"x"'])
def test_a_file_that_is_no_replay_is_told(tmp_path, text):
    (tmp_path / "replay-a.json").write_text(text)

    with pytest.raises(DataError, match=r"replay-a\.json is no .*Run `tts replay` again, or delete the file"):
        replay_report.saved_section(tmp_path)


def test_pictures_of_other_policies_and_selectors_are_other_files(tmp_path):
    asked = [("argmax", ["beta"]), ("argmax", ["beta", "margin"]), ("majority", ["beta"])]
    paths = [replay_report.file_of(tmp_path, selector, policies) for selector, policies in asked]

    assert [path.name for path in paths] == [
        "replay-argmax-beta.png",
        "replay-argmax-beta-margin.png",
        "replay-majority-beta.png",
    ]
    strange = replay_report.file_of(tmp_path, "a/b c", [{"name": "mine.policies:Greedy", "wanted": 2}])
    assert strange == tmp_path / "replay-a_b_c-mine.policies_Greedy.png"


def test_a_replay_has_the_formats_of_a_report():
    found = replay.replay(with_public_tests(LARGE), ["adap", {"name": "fixed", "k": 2}], "majority", orders=10)
    written = {name: make(found) for name, make in replay_report.FORMATS.items()}

    assert written.keys() == formats.FORMATS.keys() == formats.COMPARED.keys()
    assert json.loads(written["json"])["spots"][0]["policy"] == "adap"
    rows = list(csv.DictReader(io.StringIO(written["csv"])))
    assert [row["policy"] for row in rows] == ["uniform"] * 24 + ["adap"] * 4 + ["fixed"]
    assert {row["selector"] for row in rows} == {"majority", "tests_then_score"}
    assert float(rows[24]["value"]) == found.spots[0].value
    assert float(rows[24]["over_alike_low"]) == found.spots[0].over_alike.low
    assert rows[-1]["over_uniform"] == "0.0" and rows[-1]["over_alike"] == ""
    assert written["md"].count("| adap |") == 4
    assert written["tex"].count(r"\\") == 1 + len(replay_report.sheet(found).rows)
    assert r"\label{tab:demo-replay-1}" in written["tex"]


class Watched:
    """Progress that is counted."""

    def __init__(self):
        self.totals, self.counts = {}, Counter()

    def stage(self, name, total, done):
        self.totals[name] = total

    def advance(self, name):
        self.counts[name] += 1


def test_how_far_a_replay_is_can_be_watched():
    watched = Watched()
    replay.replay(LARGE, ["beta", {"name": "allocate", "budget": 6}, "fixed"], orders=10, progress=watched)

    assert watched.totals == watched.counts == {"replay": 8, "replay allocate budget=6": 10}


def test_a_replay_in_a_runs_folder_is_in_its_page(tmp_path):
    make_small(tmp_path)
    assert tts(tmp_path, "run", "config.yaml", "--folder", "run").code == 0
    done = tts(tmp_path, "replay", "run", "--policy", "beta", "--selector", "majority", "--orders", "4")

    assert "Picture: run/replay-majority-beta.png" in done.out
    assert "replay: 3 of 3" in done.err
    page = tmp_path / "run" / "report.html"
    assert "replays of policies" not in page.read_text()
    assert tts(tmp_path, "report", "run").code == 0
    assert "replays of policies" in page.read_text()
    (tmp_path / "run" / "replay-majority-beta.json").write_text("{")
    assert "without its replays" in tts(tmp_path, "report", "run").err


def test_from_the_command_line(finished):
    done = tts(
        finished, "replay", "run", "--policy", "beta", "--policy", "{name: fixed, k: [1, 4]}", "--to", "new/r.svg"
    )

    assert done.code == 0, done.err
    assert "uniform" in done.out
    assert (finished / "new" / "r.svg").exists()
    numbers = json.loads(tts(finished, "replay", "run", "--policy", "pandora", "--json", "--scorer", "length").out)
    assert {spot["policy"] for spot in numbers["spots"]} == {"pandora"}
    assert numbers["scorer"] == "length"
    table = tts(finished, "replay", "run", "--policy", "beta", "--format", "md").out
    assert table.startswith("#### replay of run") and not list((finished / "run").glob("replay-*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "bata"], "No 'bata' in tts/stop. Did you mean 'beta'?"),
        (["--policy", "{name: beta, confidense: 1}"], "Did you mean 'confidence'?"),
        (["--policy", "{"], "is not readable YAML"),
        (["--policy", "{name: fixed, k: []}"], "k is an empty list. Give it values to try"),
        (["--policy", "3"], "A policy is a name or a mapping"),
        (["--policy", "beta", "--format", "cvs"], "No 'cvs' in --format. Did you mean 'csv'?"),
        (["--policy", "beta", "--to", "r.pdf"], "ends in .png or .svg"),
        (["--policy", "beta", "--selector", "best"], "No 'best' in the selectors of run"),
    ],
)
def test_mistakes_on_the_command_line_are_told(finished, arguments, message):
    done = tts(finished, "replay", "run", *arguments)

    assert done.code == 2
    assert message in done.error
