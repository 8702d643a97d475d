"""A run's numbers by difficulty, by platform and without errata: the same curves over fewer problems, shown alike."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import Page
from support import Small, bring_up, rows_of, write_rows
from test_report import by_hand, found_of, made_up, printed

from tts import breakdown, formats, metrics, page, report
from tts.analysis import RunReport, analyse
from tts.store import open_for_reading

PLAIN = made_up()
LEVELS = ["easy", "medium", "hard"]


def tagged(run: RunReport, tags: Sequence[Mapping[str, str]]) -> RunReport:
    """A run whose problems have these tags and no others."""
    judged = [
        replace(item, problem=replace(item.problem, tags=mine)) for item, mine in zip(run.judged, tags, strict=True)
    ]
    return replace(run, judged=tuple(judged))


@pytest.fixture(scope="module")
def run() -> RunReport:
    """20 problems of three difficulties and two platforms; the first two have errata."""
    faults: list[dict[str, str]] = [{"errata": "interactive"}, {"errata": "bad_tests"}, *[{}] * 18]
    return tagged(
        made_up(),
        [
            {"difficulty": LEVELS[i % 3], "platform": ["atcoder", "leetcode"][i % 2], **fault}
            for i, fault in enumerate(faults)
        ],
    )


def values(part: breakdown.Part) -> dict[str, float]:
    return {curve.name: point.value for curve, point in part.points}


# What is computed.


@settings(max_examples=30)
@given(tags=st.lists(st.sampled_from(["", *LEVELS, "A"]), min_size=20, max_size=20))
def test_parts_are_the_curves_over_their_problems_and_add_up_to_the_whole(tags: list[str]) -> None:
    run = tagged(PLAIN, [{"difficulty": tag} for tag in tags])
    parts = breakdown.by_tag(run).get("difficulty", [])

    assert bool(parts) == (len(set(tags) - {""}) >= 2)
    assert [part.problems for part in parts] == [tags.count(part.name) for part in parts]
    for part in parts:
        rows = [row for row, tag in enumerate(tags) if tag == part.name]
        for curve, point in part.points:
            assert point.value == pytest.approx(curve.per_problem[rows, -1].mean())
            assert point.low - 1e-9 <= point.value <= point.high + 1e-9
    if parts:
        for position, curve in enumerate(run.curves):
            whole = sum(part.problems * part.points[position][1].value for part in parts) / 20
            assert whole == pytest.approx(curve.points[-1].value)


def test_parts_go_up_in_difficulty_then_by_the_alphabet_and_last_comes_none() -> None:
    tags = ["B", "", "harder", "hard", "A", "easy", "medium"] * 3
    found = breakdown.by_tag(tagged(made_up(), [{"difficulty": tag} for tag in tags[:20]]))["difficulty"]

    assert [part.name for part in found] == ["easy", "medium", "hard", "harder", "A", "B", ""]


def test_intervals_are_the_bootstrap_s_over_these_problems_alone(run: RunReport) -> None:
    easy = breakdown.by_tag(run)["difficulty"][0]
    rows = [row for row, item in enumerate(run.judged) if item.problem.tags["difficulty"] == "easy"]

    for curve, point in easy.points:
        low, high = metrics.bootstrap_interval(
            curve.per_problem[rows, -1], run.config.report.resamples, run.config.report.level, run.config.seed
        )
        assert (point.low, point.high) == (low, high)


def test_one_value_or_none_at_all_is_no_breakdown() -> None:
    assert breakdown.by_tag(made_up()) == {}
    assert breakdown.by_tag(tagged(made_up(), [{}] * 20)) == {}


def test_without_errata_the_faulty_problems_are_in_no_number(run: RunReport) -> None:
    found = breakdown.errata(run)

    assert found is not None and found.without is not None
    assert found.problems == (("mini-0", "interactive"), ("mini-1", "bad_tests"))
    assert found.without.problems == 18
    for curve, point in found.without.points:
        assert point.value == pytest.approx(curve.per_problem[2:, -1].mean())
    assert values(found.without) != {curve.name: curve.points[-1].value for curve in run.curves}


def test_a_run_of_nothing_but_errata_and_one_without_any() -> None:
    faulty = tagged(by_hand("r", (1.0, 0.0)), [{"errata": "bad_tests"}] * 2)
    found = breakdown.errata(faulty)

    assert found is not None and found.without is None
    assert "These are 2 problems with errata (2 bad tests), and no others." in printed(report.table(faulty), 200)
    assert formats.as_json(found_of(faulty))["runs"][0]["errata"]["without"] is None
    assert breakdown.errata(made_up()) is None
    assert "errata" not in printed(report.table(made_up()), 200)


def test_the_error_of_a_sampled_point_is_not_known_for_a_part(run: RunReport) -> None:
    drawn = [
        replace(curve, points=(*curve.points[:-1], replace(curve.points[-1], estimate="sampled", se=0.01)))
        for curve in run.curves
    ]
    part = breakdown.by_tag(replace(run, curves=tuple(drawn)))["platform"][0]

    assert all(math.isnan(point.se) and point.estimate == "sampled" for _, point in part.points)
    (one,) = formats.as_json(found_of(replace(run, curves=tuple(drawn))))["runs"]
    point = one["breakdown"]["platform"][0]["selectors"]
    assert point["argmax"]["se"] is None


# How it is shown.


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_tables_fit_their_width_and_hold_every_number(run: RunReport, width: int) -> None:
    text = "\n".join(printed(table, width) for table in report.breakdown_tables(run, breakdown.by_tag(run), width))

    assert max(map(len, text.splitlines())) <= width and "…" not in text
    assert "percent solved by difficulty, k = 8" in text and "percent solved by platform, k = 8" in text
    for header in ("easy", "medium", "hard", "7 problems", "atcoder", "leetcode", "10 problems"):
        assert header in text
    for parts in breakdown.by_tag(run).values():
        for part in parts:
            for _, point in part.points:
                assert f"{100 * point.value:.1f}" in text
                assert f"[{100 * point.low:.1f}, {100 * point.high:.1f}]" in text


def test_many_values_go_into_several_tables() -> None:
    many = tagged(made_up(), [{"difficulty": "ABCDEFGHIJ"[i % 10]} for i in range(20)])
    narrow, wide = (report.breakdown_tables(many, breakdown.by_tag(many), width) for width in (80, 240))

    assert len(wide) == 1 and len(narrow) == 3
    shown = re.findall(r"\b([A-J])\b", "".join(printed(table, 80).split("selector")[0] for table in narrow))
    assert shown == list("ABCDEFGHIJ")


def test_the_note_has_both_kinds_and_every_selector_once_more(run: RunReport) -> None:
    text = " ".join(printed(report.table(run, 200), 200).split())
    beginning = "Without the 2 problems with errata (1 interactive, 1 bad tests), at k = 8: random "
    found = breakdown.errata(run)

    assert text.count(beginning) == 1
    note = text[text.index(beginning) :].split("]. ")[0] + "]"
    assert found is not None and found.without is not None
    for curve, point in found.without.points:
        assert f"{curve.name} {100 * point.value:.1f}% [{100 * point.low:.1f}, {100 * point.high:.1f}]" in note
    assert note.split("], ")[-1].startswith("oracle ")


def test_json_has_the_parts_and_the_errata(run: RunReport) -> None:
    one: dict[str, Any] = json.loads(json.dumps(formats.as_json(found_of(run)), allow_nan=False))["runs"][0]

    assert [(part["value"], part["problems"]) for part in one["breakdown"]["difficulty"]] == [
        ("easy", 7),
        ("medium", 7),
        ("hard", 6),
    ]
    assert one["breakdown"]["platform"][0]["selectors"].keys() == one["selectors"].keys()
    assert one["errata"]["problems"][1] == {"problem": "mini-1", "kind": "bad_tests"}
    assert one["errata"]["without"]["problems"] == 18
    assert formats.as_json(found_of(made_up()))["runs"][0]["breakdown"] == {}


def test_the_page_has_both_tables_and_the_note(run: RunReport, tmp_path: Path) -> None:
    page.write_page(found_of(run), tmp_path / "report.html")
    reader = Page(tmp_path / "report.html")
    text = " ".join(reader.text.split())

    assert reader.open == []
    assert re.search(r"Percent solved by difficulty, k = 8 .*selector ?easy \(7\) ?medium \(7\) ?hard \(6\)", text)
    assert "Percent solved by platform, k = 8" in text and "Without the 2 problems with errata" in text
    assert "errata interactive" in reader.index["problems"][0]["more"]


def test_hostile_tags_are_shown_as_text(tmp_path: Path) -> None:
    evil = [{"difficulty": "<b>\x1b[31m"}, {"difficulty": "\u202ex", "errata": "</li>\x00"}]
    run = tagged(by_hand("r", (1.0, 0.0)), evil)
    text = "".join(printed(table, 100) for table in report.tables(*found_of(run)))
    page.write_page(found_of(run), tmp_path / "report.html")
    shown = Page(tmp_path / "report.html")

    assert shown.open == [] and "<b>\\x1b" in shown.text
    assert not set("\x1b\x00\u202e") & set(text + shown.text)


# By date.


@settings(max_examples=30)
@given(months=st.lists(st.integers(0, 120), min_size=20, max_size=20))
def test_parts_by_date_are_few_in_order_and_hold_every_problem(months: list[int]) -> None:
    days = [f"{2015 + month // 12}-{month % 12 + 1:02}-07T12:00:00" for month in months]
    run = tagged(PLAIN, [{"contest_date": day} for day in days])
    found = breakdown.by_date(run)

    assert (found is None) == (len(set(months)) < 2)
    if found is not None:
        unit, parts = found
        names = [part.name for part in parts]
        width = {"month": 7, "quarter": 0, "year": 4}[unit]
        assert names == sorted(names) and len(parts) <= breakdown.MOST_PERIODS
        assert sum(part.problems for part in parts) == 20
        if width:
            assert [part.problems for part in parts] == [[day[:width] for day in days].count(name) for name in names]


def test_problems_without_a_day_are_a_part_of_their_own_and_the_last() -> None:
    days = ["2024-03-01", "", "soon", "2024-01-31", *["2024-01-01"] * 16]
    found = breakdown.by_date(tagged(PLAIN, [{"contest_date": day} for day in days]))

    assert found is not None
    assert (found[0], [(part.name, part.problems) for part in found[1]]) == (
        "month",
        [("2024-01", 17), ("2024-03", 1), ("", 2)],
    )


def test_the_parts_by_date_are_printed_and_saved_beside_the_others() -> None:
    run = tagged(PLAIN, [{"difficulty": "ab"[i % 2], "contest_date": f"2024-0{1 + i % 3}-05"} for i in range(20)])
    text = "".join(printed(table, 200) for table in report.tables(*found_of(run)))
    (one,) = formats.as_json(found_of(run))["runs"]

    assert "percent solved by month, k = 8" in text and "2024-02" in text
    assert list(one["breakdown"]) == ["difficulty", "month"]
    assert [(part["value"], part["problems"]) for part in one["breakdown"]["month"]] == [
        ("2024-01", 7),
        ("2024-02", 7),
        ("2024-03", 6),
    ]


# From the command line.


def test_a_finished_run_prints_its_parts_and_takes_up_errata(small: Small, cli: Callable[..., Any]) -> None:
    rows = rows_of(small.folder / "problems.jsonl")
    for row, level in zip(rows, ["easy", "hard", "easy"], strict=True):
        row["difficulty"] = level
    write_rows(small.folder / "problems.jsonl", rows)
    small.write(benchmark={"name": "livecodebench", "path": str(small.folder / "problems.jsonl")})
    bring_up(small)
    before = cli("report", "run")

    errata = write_rows(small.folder / "errata.jsonl", [{"question_id": "io-add-two", "kind": "bad_tests"}])
    bring_up(small, f"benchmark.errata={errata}")
    after = cli("report", "run")

    assert "percent solved by difficulty" in before.out and "errata" not in before.out
    assert "Without the 1 problem with errata (1 bad tests)" in " ".join(after.out.split())
    with open_for_reading(small.folder / "run") as store:
        found = breakdown.errata(analyse(store))
    assert found is not None and found.problems == (("io-add-two", "bad_tests"),)
    assert np.isfinite([point.value for part in [found.without] if part for _, point in part.points]).all()
