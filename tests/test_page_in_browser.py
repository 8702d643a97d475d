"""The page in a real browser: it opens, draws, filters and opens a problem, and whatever a model wrote stays text."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser import Opened, chromium, opened
from pages import HOSTILE, UNSEEN
from test_cost import costly
from test_page import beside, dated
from test_report import assemble, found_of, made_up, sampled, task

from tts import cost, page, sentences
from tts.analysis import RunReport
from tts.types import UNPARSABLE, Candidate, Problem, Stdin
from tts.wording import UNSEEN as RANGES
from tts.wording import visible

LINE = "x = '" + "a" * 1_000_000 + "'"
EDGES = [chr(point) for ends in RANGES for point in ends]
TEXTS = "body, figcaption, .chip, .candidate pre, .tag, .cell, .regret"
COLOURS = """
texts => {
  const area = new OffscreenCanvas(1, 1).getContext("2d");
  const painted = colour => {
    area.fillStyle = colour;
    area.fillRect(0, 0, 1, 1);
    return [...area.getImageData(0, 0, 1, 1).data];
  };
  const behind = one => {
    const { backgroundColor } = getComputedStyle(one);
    return backgroundColor === "rgba(0, 0, 0, 0)" ? behind(one.parentElement) : backgroundColor;
  };
  return texts.map(one => [painted(getComputedStyle(one).color), painted(behind(one))]);
}
"""
PROBLEM = '.problem[data-id="{}"]'


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def run() -> RunReport:
    """20 problems of which the first has a public test that its first failing program fails."""
    whole = dated(made_up())
    first, *others = whole.judged
    grades = [
        replace(g, passed=0, public=True, got="5\n", diff="-4\n+5") if g.verdict == "wrong_answer" else g
        for g in first.grades
    ]
    problem = replace(first.problem, public_tests=(Stdin("2 2\n", "4\n"),))
    return replace(whole, judged=(replace(first, problem=problem, grades=tuple(grades)), *others))


@pytest.fixture(scope="module")
def path(run: RunReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("page") / "report.html"
    page.write_page(found_of(run), found)
    return found


@pytest.fixture
def shown(browser: Any, path: Path) -> Iterator[Opened]:
    """The page of the run; at the end nothing was asked of any network, and nothing went wrong."""
    with opened(browser, path) as found:
        yield found
        assert found.said == [] and found.asked == [path.as_uri()]


def traces(shown: Opened, chart: str = "curves") -> list[Any]:
    """What plotly has drawn in a chart, once it has."""
    shown.page.locator(f"#{chart}").scroll_into_view_if_needed()
    shown.page.wait_for_selector(f"#{chart} .main-svg")
    found: list[Any] = shown.page.evaluate(
        f"document.getElementById('{chart}').data.map(t => ({{name: t.name, x: t.x, y: t.y, fill: t.fill}}))"
    )
    return found


def named(shown: Opened, chart: str = "curves") -> set[str]:
    return {trace["name"] for trace in traces(shown, chart) if trace.get("name")}


def listed(shown: Opened) -> list[str]:
    """The ids of the problems in the list, in its order."""
    found: list[str] = shown.page.eval_on_selector_all(".problem", "all => all.map(one => one.dataset.id)")
    return found


def test_it_opens_with_the_verdict_and_every_picture_drawn(run: RunReport, shown: Opened) -> None:
    assert shown.text(".lead") == sentences.summary_sentence(run)
    for chart in shown.page.eval_on_selector_all(".chart", "all => all.map(one => one.id)"):
        assert traces(shown, chart)
    assert {"random", "oracle", "majority"} < named(shown)
    drawn = {trace["name"]: trace["y"] for trace in traces(shown) if trace.get("name")}
    for name, y in drawn.items():
        assert y == pytest.approx([100 * point.value for point in run.curve(name).points], abs=1e-3)
    assert shown.page.locator("#failed").is_hidden()


def test_selectors_are_shown_and_hidden_in_every_picture(shown: Opened) -> None:
    assert "majority" in named(shown) and "majority" in named(shown, "difficulty-0")
    shown.field("majority", "#drawn", exact=True).uncheck()
    assert "majority" not in named(shown) | named(shown, "difficulty-0")
    shown.field("argmax:length", "#drawn", exact=True).check()
    assert "argmax:length" in named(shown)


def crowded(run: RunReport, count: int) -> RunReport:
    """The run with so many selectors, each of which ends like one other."""
    first = run.curve("argmax")
    ends = {f"selector {i}": 0.9 - 0.01 * (i // 2) for i in range(count)}
    made = [
        replace(first, name=name, points=(*first.points[:-1], replace(first.points[-1], value=end)))
        for name, end in ends.items()
    ]
    return replace(run, curves=(run.curve("random"), run.curve("oracle"), *made))


@pytest.fixture
def many(browser: Any, run: RunReport, tmp_path: Path) -> Iterator[Opened]:
    """The page of a run with 31 selectors."""
    page.write_page(found_of(crowded(run, 31)), tmp_path / "report.html")
    with opened(browser, tmp_path / "report.html", viewport={"width": 1280, "height": 800}) as found:
        yield found
        assert found.said == []


def inks(shown: Opened) -> dict[str, tuple[str, str]]:
    """The colour and the dashes of each curve that is drawn."""
    traces(shown)
    found: dict[str, tuple[str, str]] = shown.page.evaluate(
        "Object.fromEntries(document.getElementById('curves').data.filter(t => t.name)"
        ".map(t => [t.name, [t.line.color, t.line.dash]]))"
    )
    return {name: tuple(look) for name, look in found.items()}


def test_at_first_the_best_selectors_that_differ_are_drawn_each_in_its_colour(many: Opened) -> None:
    drawn = inks(many)
    assert drawn.keys() == {"oracle", "random", *(f"selector {i}" for i in (0, 2, 4, 6))}
    assert len({colour for colour, _ in drawn.values()}) == len(drawn)


def test_ticked_selectors_keep_their_colours_and_the_ninth_is_dashed(many: Opened) -> None:
    before = inks(many)
    for i in (1, 3, 5, 7):
        many.field(f"selector {i}", "#drawn", exact=True).check()
    eight = inks(many)
    assert len({colour for colour, _ in eight.values()}) == 10 and before.items() <= eight.items()
    many.field("selector 9", "#drawn", exact=True).check()
    ninth = inks(many)["selector 9"]
    (twin,) = [look for name, look in eight.items() if look[0] == ninth[0]]
    assert ninth[1] != twin[1]
    many.field("selector 2", "#drawn", exact=True).uncheck()
    many.field("selector 30", "#drawn", exact=True).check()
    assert inks(many)["selector 30"] == before["selector 2"]


def test_a_named_curve_is_ticked_at_first(browser: Any, run: RunReport, tmp_path: Path) -> None:
    page.write_page(found_of(run), tmp_path / "report.html", curves=["argmax:length"])
    with opened(browser, tmp_path / "report.html") as shown:
        assert named(shown) == {"argmax:length", "random", "oracle"}


def test_a_breakdown_has_a_legend_and_says_of_whom_its_intervals_are(shown: Opened) -> None:
    assert set(shown.texts("#difficulty-0 .legendtext")) == set() != named(shown, "difficulty-0")
    assert set(shown.texts("#difficulty-0 .legendtext")) == named(shown, "difficulty-0")
    bars = shown.page.evaluate(
        "document.getElementById('difficulty-0').data.filter(t => t.error_y.visible).map(t => t.name)"
    )
    assert set(bars) == named(shown) - {"random", "oracle"} != set()
    assert "of the selectors ticked above with 95% intervals" in shown.text("#difficulty-0-caption")


def test_all_pictures_are_on_paper_and_in_light_ink(browser: Any, path: Path, tmp_path: Path) -> None:
    ink = "document.getElementById('curves').layout.font.color"
    with opened(browser, path, color_scheme="dark") as shown:
        charts = shown.page.locator(".chart").count()
        traces(shown)
        assert shown.page.evaluate(ink) == "#e7e9ec" and shown.page.locator(".chart:has(.main-svg)").count() < charts
        shown.page.evaluate(f"addEventListener('beforeprint', () => window.printed = {ink})")
        shown.page.pdf(path=tmp_path / "printed.pdf")
        assert shown.page.locator(".chart:has(.main-svg)").count() == charts
        assert shown.page.evaluate("window.printed") == "#1b1c1f" and shown.page.evaluate(ink) == "#e7e9ec"


def test_of_many_selectors_the_list_counts_who_solved_a_problem_and_the_problem_names_them(
    many: Opened, run: RunReport
) -> None:
    summaries = many.page.locator(".problem > summary")
    assert max(summary.bounding_box()["height"] for summary in summaries.all()) < 60
    right = chosen_right(run, "argmax")
    for name in listed(many):
        row = many.page.locator(PROBLEM.format(name))
        assert row.locator(".solvers").text_content() == f"solved by {31 if name in right else 0} of 31"
        assert row.locator(".cell").count() == 6
    problem = many.page.locator(PROBLEM.format(min(right)))
    problem.locator("summary").first.click()
    problem.locator(".candidate").first.wait_for()
    everyone = ", ".join(f"selector {i}" for i in range(31))
    assert f"Right (31): {everyone}" in problem.locator(".note").all_text_contents()


def test_the_list_marks_the_ticked_selectors_at_most_twelve(many: Opened) -> None:
    for i in range(31):
        many.field(f"selector {i}", "#drawn", exact=True).check()
    assert many.page.locator(".problem").first.locator(".cell").count() == 12
    for i in range(1, 31):
        many.field(f"selector {i}", "#drawn", exact=True).uncheck()
    assert many.texts("#legend span") == ["random", "selector 0", "oracle"]


def test_on_a_phone_a_wide_table_keeps_its_names_in_sight(browser: Any, path: Path) -> None:
    with opened(browser, path, viewport={"width": 390, "height": 800}) as shown:
        box, name = shown.page.locator(".scroll").first, shown.page.locator(".scroll tbody th").first
        assert box.evaluate("one => one.scrollWidth > one.clientWidth")
        before = name.bounding_box()["x"]
        box.evaluate("one => one.scrollTo(200, 0)")
        assert name.bounding_box()["x"] == before


def test_the_axis_and_the_intervals_can_be_switched(shown: Opened) -> None:
    kind = "document.getElementById('curves').layout.xaxis.type"
    assert traces(shown) and shown.page.evaluate(kind) == "log"
    shown.field("logarithmic", "#drawn").uncheck()
    assert shown.page.evaluate(kind) == "linear"
    assert any(trace.get("fill") for trace in traces(shown))
    shown.field("intervals", "#drawn").uncheck()
    assert not any(trace.get("fill") for trace in traces(shown))


def test_problems_are_filtered_by_text_and_by_who_solved_them(run: RunReport, shown: Opened) -> None:
    assert sorted(listed(shown)) == sorted(item.problem.id for item in run.judged)
    shown.field("Filter problems by text").fill("Title of mini-7")
    assert listed(shown) == ["mini-7"] and shown.text("#filter output") == "1 of 20 problems"
    shown.field("Filter problems by text").fill("HARD")
    assert set(listed(shown)) == {item.problem.id for item in run.judged if item.problem.tags["difficulty"] == "hard"}
    shown.field("Filter problems by text").fill("")
    shown.field("solved by").select_option("argmax")
    shown.field("missed by").select_option("majority")
    right = {curve.name: chosen_right(run, curve.name) for curve in run.curves}
    assert set(listed(shown)) == (right["argmax"] - right["majority"]) != set()
    shown.field("missed by").select_option("nothing")
    shown.field("solved by").select_option("no candidate")
    assert set(listed(shown)) == {item.problem.id for item in run.judged if not any(item.correct)} != set()


def chosen_right(run: RunReport, name: str) -> set[str]:
    """The problems of which a selector chooses a right candidate."""
    places = {item.problem.id: run.curve(name).choices[item.problem.id].position for item in run.judged}
    return {i.problem.id for i in run.judged if (place := places[i.problem.id]) is not None and i.correct[place]}


@pytest.mark.parametrize("k", [8, 2])
def test_problems_are_sorted_by_the_regret_of_a_selector_at_some_k(run: RunReport, shown: Opened, k: int) -> None:
    shown.field("regret of").select_option("argmax:length")
    shown.field("at k =").select_option(str(k))
    column = run.ks.index(k)
    lost = run.curve("oracle").per_problem[:, column] - run.curve("argmax:length").per_problem[:, column]
    regret = {item.problem.id: round(float(value), 4) for item, value in zip(run.judged, lost, strict=True)}
    order = [regret[name] for name in listed(shown)]
    assert order == sorted(order, reverse=True)
    assert shown.texts(".regret")[0] == f"regret {100 * max(regret.values()):.0f}%"


def test_a_problem_opens_with_its_statement_and_all_candidates(run: RunReport, shown: Opened) -> None:
    item = run.judged[3]
    problem = shown.page.locator(PROBLEM.format(item.problem.id))
    problem.locator("summary").first.click()
    problem.locator(".candidate").first.wait_for()
    assert problem.locator("pre.statement").text_content() == item.problem.statement
    assert problem.locator(".candidate").count() == 8
    for place, candidate in enumerate(item.candidates):
        summary = str(problem.locator(".candidate summary").nth(place).text_content())
        chosen = {curve.name for curve in run.curves if curve.choices[item.problem.id].position == place}
        assert summary.startswith(f"#{candidate.index}") and "log probability -0.500" in summary
        assert set(problem.locator(".candidate").nth(place).locator(".badge").all_text_contents()) == chosen
    coded = next(place for place, c in enumerate(item.candidates) if c.code is not None)
    problem.locator(".candidate summary").nth(coded).click()
    code = problem.locator(".candidate").nth(coded).locator("pre.code")
    assert code.text_content() == item.candidates[coded].code
    assert code.locator(".hljs-built_in").text_content() == "print"


def test_a_failing_public_test_shows_its_input_what_was_expected_and_what_was_got(shown: Opened) -> None:
    problem = shown.page.locator(PROBLEM.format("mini-0"))
    problem.locator("summary").first.click()
    failed = problem.locator(".candidate", has_text="wrong answer in test 0").first
    failed.locator("summary").click()
    failed.locator("pre").first.wait_for()
    told = dict(zip(failed.locator(".note").all_text_contents()[-5:], ["", *boxes(failed)[-4:]], strict=True))
    assert (told["Input:"], told["Expected:"], told["Got:"]) == ("2 2\n", "4\n", "5\n")
    assert told["The expected lines with - and those got with +:"] == "-4\n+5"


def boxes(where: Any) -> list[str]:
    return [str(text) for text in where.locator("pre").all_text_contents()]


def test_candidates_are_sorted_and_filtered(run: RunReport, shown: Opened) -> None:
    item = next(item for item in run.judged if 0 < sum(item.correct) < 8)
    problem = shown.page.locator(PROBLEM.format(item.problem.id))
    problem.locator("summary").first.click()
    problem.get_by_label("sorted by").select_option("score by likelihood")
    scores = {c.index: run.scores["likelihood"][c.key].value for c in item.candidates}
    order = [int(text.removeprefix("#")) for text in problem.locator(".index").all_text_contents()]
    ranked = [scores[index] for index in order if scores[index] is not None]
    assert ranked == sorted(ranked, reverse=True) and len(order) == 8
    problem.get_by_label("candidates").select_option("passed")
    assert problem.locator(".candidate").count() == sum(item.correct)


def test_everything_is_reached_with_the_keyboard(shown: Opened) -> None:
    keys = shown.page.keyboard
    keys.press("Tab")
    assert shown.page.evaluate("document.activeElement.className") == "skip"
    keys.press("Enter")
    reached = set()
    for _ in range(12):
        keys.press("Tab")
        reached.add(shown.page.evaluate("document.activeElement.name || document.activeElement.tagName"))
    assert {"text", "right", "wrong", "judged", "k", "sort", "SUMMARY"} <= reached
    shown.page.evaluate("document.querySelector('.problem summary').focus()")
    keys.press("Enter")
    shown.page.locator(".candidate").first.wait_for()
    shown.field("majority", "#drawn", exact=True).focus()
    keys.press("Space")
    assert "majority" not in named(shown)


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
def test_it_fits_a_phone_and_is_readable_in_the_dark(browser: Any, path: Path, scheme: str, width: int) -> None:
    with opened(browser, path, color_scheme=scheme, viewport={"width": width, "height": 800}) as shown:
        traces(shown)
        shown.page.locator(".problem summary").first.click()
        shown.page.locator(".candidate summary").first.click()
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
        colours = shown.page.eval_on_selector_all(TEXTS, COLOURS)
        assert len(colours) > 50
        assert min(contrast(ink, back) for ink, back in colours) >= 4.5  # WCAG 2.2, level AA


def contrast(one: list[int], other: list[int]) -> float:
    """The contrast ratio of two colours, by WCAG's formula."""
    lights = sorted(0.2126 * _linear(c[0]) + 0.7152 * _linear(c[1]) + 0.0722 * _linear(c[2]) for c in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _linear(part: int) -> float:
    value = part / 255
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def test_hostile_text_is_shown_as_text(browser: Any, tmp_path: Path) -> None:
    texts = [HOSTILE + UNSEEN, "x".join(EDGES), LINE, "<b>&amp;</b>\r\n\\u202e"]
    found = [Candidate(HOSTILE, i, text, text, UNPARSABLE, finish=HOSTILE) for i, text in enumerate(texts)]
    silent = Candidate(HOSTILE, len(texts), HOSTILE + UNSEEN, None, "none", finish="stop")
    problem = Problem(HOSTILE, HOSTILE + UNSEEN, (Stdin(HOSTILE, HOSTILE),), tags={"title": HOSTILE})
    right = [False] * len(texts) + [True]
    run = assemble(f"runs/{UNSEEN}", [(problem, [*found, silent], right, [0.5] * 5)], ["argmax"], ["length"])
    named = replace(run, curves=(*run.curves, replace(run.curve("argmax"), name=HOSTILE)))
    page.write_page(found_of(named), tmp_path / "report.html")
    with opened(browser, tmp_path / "report.html") as shown:
        traces(shown)
        shown.page.locator(".problem > summary").click()
        shown.page.locator(".candidate").first.wait_for()
        for summary in shown.page.locator(".candidate > summary").all():
            summary.click()
        shown.page.locator(".candidate").last.locator("pre").wait_for()
        assert shown.text("pre.statement") == visible(HOSTILE + UNSEEN)
        clipped = [visible(text[: page.page_data.CLIP]) for text in texts]
        assert shown.texts(".candidate pre.code") == clipped
        assert "Only the first 20,000 of 1,000,006 characters are shown" in shown.text("body")
        assert shown.page.locator("pre.code").nth(3).locator(".unseen").count() == 0  # an escape that is written out
        assert shown.page.locator("pre.code").nth(1).locator(".unseen").count() == len(EDGES)
        assert shown.page.locator("img, pre script, pre b, summary script").count() == 0
        assert not set(UNSEEN) & set("\u202e\x00\u200b\x1b") & set(shown.text("#problems"))
        assert shown.said == [] and shown.asked == [(tmp_path / "report.html").as_uri()]


def test_candidates_beside_the_page_are_loaded_when_a_problem_is_opened(
    browser: Any, run: RunReport, tmp_path: Path
) -> None:
    page.write_page(found_of(run), tmp_path / "a page.html", inline=100)
    with opened(browser, tmp_path / "a page.html") as shown:
        assert len(shown.asked) == 1
        shown.page.locator(".problem > summary").first.click()
        shown.page.locator(".candidate").first.wait_for()
        assert shown.asked[1:] == [(tmp_path / "a page_files" / "0.js").as_uri()] and shown.said == []


@pytest.mark.parametrize("fault", ["gone", "another page's"])
def test_candidates_that_cannot_be_loaded_are_said_to_be(
    browser: Any, run: RunReport, tmp_path: Path, fault: str
) -> None:
    page.write_page(found_of(run), tmp_path / "report.html", inline=100)
    shutil.rmtree(tmp_path / "report_files")
    if fault != "gone":
        page.write_page(found_of(replace(run, left_out=())), tmp_path / "other.html", inline=100)
        page.write_page(found_of(replace(run, judged=run.judged[::-1])), tmp_path / "other.html", inline=100)
        (tmp_path / "other_files").rename(tmp_path / "report_files")
    with opened(browser, tmp_path / "report.html") as shown:
        shown.page.locator(".problem > summary").first.click()
        message = shown.page.locator(".problem [role=alert]").text_content()
        assert (
            "Keep the folder report_files beside this page" if fault == "gone" else "belongs to another page"
        ) in message


def test_several_runs_share_the_page(browser: Any, run: RunReport, tmp_path: Path) -> None:
    other = made_up("runs/other", n=4, seed=1)
    page.write_page(found_of(run, other), tmp_path / "report.html")
    with opened(browser, tmp_path / "report.html") as shown:
        assert {"majority · demo", "majority · other"} <= named(shown)
        shown.field("other", "#drawn", exact=True).uncheck()
        assert not any("other" in name for name in named(shown))
        shown.field("solved by").select_option("majority · other")
        shown.field("missed by").select_option("majority · demo")
        assert set(listed(shown)) == {
            name for name in chosen_right(other, "majority") - chosen_right(run, "majority") if solvable(run, name)
        }
        shown.field("solved by").select_option("anything")
        shown.field("missed by").select_option("nothing")
        shown.page.locator(".problem > summary").first.click()
        shown.page.locator(".candidate").first.wait_for()
        assert shown.texts(".problem h3") == ["demo: 8 candidates", "other: 4 candidates"]
        assert shown.said == []


def solvable(run: RunReport, name: str) -> bool:
    return any(any(item.correct) for item in run.judged if item.problem.id == name)


def test_a_long_list_is_shown_a_part_at_a_time(browser: Any, tmp_path: Path) -> None:
    found = [(task(f"p{i}"), [sampled(f"p{i}", 0, f"print({i})")], [bool(i % 2)], [1.0]) for i in range(150)]
    page.write_page(found_of(assemble("runs/long", found, ["argmax"], ["length"])), tmp_path / "report.html")
    with opened(browser, tmp_path / "report.html") as shown:
        assert len(listed(shown)) == 100
        shown.page.get_by_text("Show more").click()
        assert len(listed(shown)) == 150 and shown.page.get_by_text("Show more").is_hidden()
        assert shown.said == []


def test_the_x_axis_is_k_tokens_flops_or_seconds(browser: Any, run: RunReport, tmp_path: Path) -> None:
    known = costly(run)
    page.write_page(found_of(known), tmp_path / "report.html")
    with opened(browser, tmp_path / "report.html") as shown:
        for unit, words in cost.UNITS.items():
            shown.field("x axis", "#drawn").select_option(unit)
            places = {trace["name"]: trace["x"] for trace in traces(shown) if trace.get("name")}
            taken = cost.account(known)
            for name, x in places.items():
                assert x == pytest.approx(cost.axis(known, taken, known.curve(name), unit))
            title = shown.page.evaluate("document.getElementById('curves').layout.xaxis.title.text")
            assert title.startswith("k, " if unit == "k" else words.split(",")[0])
        assert len(places) == 6 and shown.said == []


def test_an_axis_that_a_run_does_not_know_cannot_be_chosen(shown: Opened) -> None:
    options = shown.page.locator("#drawn select[name=axis] option")
    assert options.all_text_contents() == ["k", "generator tokens", "FLOPs (not known)", "wall seconds (not known)"]
    assert [option.is_disabled() for option in options.all()] == [False, False, True, True]


def test_curves_that_an_axis_leaves_out_are_named(browser: Any, tmp_path: Path) -> None:
    page.write_page(found_of(costly(made_up("runs/known")), made_up("runs/bare")), tmp_path / "report.html")
    with opened(browser, tmp_path / "report.html") as shown:
        shown.field("x axis", "#drawn").select_option("flops")
        assert {"majority · known", "oracle · known"} <= named(shown)
        assert not any("bare" in name for name in named(shown))
        said = shown.text("#drawn output")
        assert said.startswith("Not drawn, since their FLOPs are not known: oracle · bare, ") and "known," not in said
        shown.field("x axis", "#drawn").select_option("k")
        assert shown.text("#drawn output") == "" and "majority · bare" in named(shown)


def test_runs_at_equal_cost_are_drawn_with_the_chosen_selectors(browser: Any, tmp_path: Path) -> None:
    runs = costly(made_up("runs/small", n=16)), costly(made_up("runs/large", n=4, seed=3))
    compared = beside(*runs)
    page.write_page(found_of(*runs), tmp_path / "report.html", compared=compared)
    with opened(browser, tmp_path / "report.html") as shown:
        best = [one for one in compared.frontier.strategies if one.on_front]
        (front,) = [trace for trace in traces(shown, "front") if trace["name"] == "Pareto front"]
        assert front["x"] == pytest.approx([one.cost for one in best])
        assert front["y"] == pytest.approx([100 * one.value for one in best], abs=1e-3)
        assert {"majority · small", "majority · large"} <= named(shown, "front")
        (even,) = [trace for trace in traces(shown, "even-0-1") if trace.get("name") == "majority"]
        differences = [one.difference.value for one in compared.frontier.even if one.curve == "majority"]
        assert even["y"] == pytest.approx([100 * value for value in differences], abs=1e-3) != []
        shown.field("majority", "#drawn", exact=True).uncheck()
        assert not {name for chart in ("front", "even-0-1") for name in named(shown, chart) if "majority" in name}
        shown.field("small", "#drawn", exact=True).uncheck()
        assert not any("small" in name for name in named(shown, "front"))
        assert shown.said == [] and shown.asked == [(tmp_path / "report.html").as_uri()]
