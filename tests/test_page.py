"""The page as it is written: whole, needing nothing else, with the numbers as text and the candidates as data."""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import markupsafe
import pytest
from pages import HOSTILE, UNSEEN, Page
from test_cost import costly
from test_report import assemble, by_hand, found_of, made_up, sampled, task

from tts import certainty, certainty_report, comparison, cost, cost_report, frontier, page, page_data, sentences
from tts.analysis import RunReport
from tts.types import UNPARSABLE, Behaviour, Call, Candidate, Check, Problem, Selection, Stdin, Verdict

WEB = Path(page.__file__).parent / "web"
Write = Callable[..., Page]


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    def written(*reports: RunReport, **options: object) -> Page:
        path = tmp_path_factory.mktemp("page") / "report.html"
        page.write_page(found_of(*reports), path, **options)  # type: ignore[arg-type]
        return Page(path)

    return written


def dated(run: RunReport) -> RunReport:
    """The run with problems of three difficulties, two platforms and two months."""
    tags = [
        {
            "difficulty": ["easy", "medium", "hard"][i % 3],
            "platform": "ab"[i % 2],
            "contest_date": f"2024-0{1 + i % 2}-01",
        }
        for i in range(len(run.judged))
    ]
    judged = [
        replace(item, problem=replace(item.problem, tags={**item.problem.tags, **mine}))
        for item, mine in zip(run.judged, tags, strict=True)
    ]
    return replace(run, judged=tuple(judged))


@pytest.fixture(scope="module")
def run() -> RunReport:
    return replace(dated(made_up()), left_out=(("mini-99", "2 of 8 candidates have no verdict"),))


@pytest.fixture(scope="module")
def written(run: RunReport, write: Write) -> Page:
    return write(run)


def test_the_page_is_well_formed_and_has_every_candidate(run: RunReport, written: Page) -> None:
    assert written.open == []
    assert [problem["id"] for problem in written.index["problems"]] == [item.problem.id for item in run.judged]
    for item in run.judged:
        held = written.problems[item.problem.id]
        assert held["statement"]["text"] == item.problem.statement
        assert [one["index"] for one in held["runs"][0]["candidates"]] == [c.index for c in item.candidates]
        for candidate, program in zip(item.candidates, written.programs(item.problem.id), strict=True):
            assert program["code"]["text"] == (candidate.text if candidate.code is None else candidate.code)


def test_the_page_needs_no_other_file(written: Page) -> None:
    links = [value for name, value in written.attributes if name in ("src", "href", "xlink:href", "action")]
    assert links and all(value and value.startswith("#") for value in links)
    libraries = [text for text in written.scripts.values() if "Plotly, Inc." in text or "Highlight.js v" in text]
    rest = written.html
    for library in libraries:
        rest = rest.replace(library, "")
    assert len(libraries) == 2 and "http://" not in rest and "https://" not in rest
    assert "@import" not in rest and "url(" not in rest and "<link" not in rest


def test_the_policy_admits_the_page_s_own_scripts_and_no_others(written: Page) -> None:
    policy = (
        next(v for v in written.attributes if v[0] == "content" and (v[1] or "").startswith("default-src"))[1] or ""
    )
    allowed = set(re.findall(r"'sha256-([^']*)'", policy))
    runs = [text for name, text in written.scripts.items() if name.isdigit()]
    assert allowed == {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in runs}
    assert policy.startswith("default-src 'none'") and "unsafe-inline" not in policy.split("script-src")[1]


def test_no_script_can_end_its_element_early() -> None:
    for script in page._scripts():
        assert "</script" not in script.lower() and "<!--" not in script


def test_the_page_has_the_numbers_the_facts_and_the_choices(run: RunReport, written: Page) -> None:
    text = " ".join(written.text.split())
    assert sentences.summary_sentence(run) in text
    assert "1 session added up: grade 8 s; 8 s in all, 0.05 s per graded candidate." in text
    assert "path: samples.jsonl" in text and "mini-99: 2 of 8 candidates have no verdict" in text
    for name, count in [*run.verdicts.items(), *run.extraction.items(), *run.finish.items()]:
        assert re.search(rf"{name.replace('_', ' ')} ?{count} \(", text)
    for item in run.judged:
        chosen = [
            (one["index"], name)
            for one in written.problems[item.problem.id]["runs"][0]["candidates"]
            for name, _ in one["chosen"]
        ]
        choices = {curve.name: curve.choices[item.problem.id].position for curve in run.curves}
        assert sorted(chosen) == sorted((place, name) for name, place in choices.items() if place is not None)


def test_what_the_index_says_of_a_problem_is_what_the_report_has(run: RunReport, written: Page) -> None:
    curves = sentences.ordered(run)
    for row, (item, problem) in enumerate(zip(run.judged, written.index["problems"], strict=True)):
        (held,) = problem["runs"]
        assert (held["n"], held["passed"]) == (len(item.candidates), sum(item.correct))
        for place, curve in enumerate(curves):
            choice = curve.choices[item.problem.id].position
            assert held["chosen"][place] == choice
            assert held["right"][place] == (None if choice is None else item.correct[choice])
            assert held["at"][place] == pytest.approx(curve.per_problem[row], abs=1e-4)


def test_what_is_drawn_is_what_the_report_has(run: RunReport, written: Page) -> None:
    for drawn, curve in zip(written.index["curves"], sentences.ordered(run), strict=True):
        assert drawn["name"] == curve.name and drawn["x"]["k"] == list(run.ks)
        for key, mine in (("y", "value"), ("low", "low"), ("high", "high")):
            assert drawn[key] == pytest.approx([100 * getattr(point, mine) for point in curve.points], abs=1e-3)
    assert written.index["parts"].keys() == {"difficulty-0", "platform-0", "month-0"}
    assert sum(written.index["counts"]["verdict-0"]["counts"]) == run.graded
    assert written.index["margins"].keys() == {"margins-0-0", "margins-0-1"}


def test_every_picture_has_a_caption_that_says_n_k_problems_and_interval(written: Page) -> None:
    captions = re.findall(r"<figcaption id=[^>]*>(.*?)</figcaption>", written.html, re.DOTALL)
    charts = [value for name, value in written.attributes if name == "class" and value == "chart"]
    assert len(captions) == len(charts) == 1 + 1 + 3 + 3 + 2
    for caption in captions:
        assert "20 problems, n = 8, k = 1, 2, 4, 8" in caption and "interval" in caption


def test_a_page_says_who_missed_a_problem_and_who_abstained(write: Write) -> None:
    run = by_hand("r", (0.0, 1.0))
    shy = replace(run.curve("argmax"), name="shy", choices={"a": Selection(None, "too close"), "b": Selection(0)})
    shown = write(replace(run, curves=(*run.curves, shy)))
    names = [curve["name"] for curve in shown.index["curves"]]
    (held,) = shown.index["problems"][0]["runs"]
    assert dict(zip(names, held["right"], strict=True)) == {"random": 1, "argmax": 0, "shy": None, "oracle": 1}
    assert shown.problems["a"]["runs"][0]["abstained"] == [["shy", "too close"]]


def failing(test: object, **facts: object) -> RunReport:
    """A run of one wrong program on a problem with one public test, and what its grade says."""
    problem = replace(task("p"), public_tests=(test,))
    run = assemble("runs/x", [(problem, [sampled("p", 0, "print(1)")], [False], [0.5])], ["argmax"], ["length"])
    (judged,) = run.judged
    return replace(run, judged=(replace(judged, grades=(replace(judged.grades[0], **facts),)),))


def test_a_failing_public_test_shows_its_input_what_was_expected_and_got_and_what_it_cost(write: Write) -> None:
    told = {
        "passed": 0,
        "public": True,
        "wall_seconds": 0.25,
        "peak_mib": 12.4,
        "diff": "At line 1:\n-<b>4\n+5",
        "got": "5\n",
    }
    shown = write(failing(Stdin("2 2\n", "4\n"), **told))
    (program,) = shown.programs("p")
    assert program["failed"] == 0 and program["verdict"] == "wrong answer in test 0 of 14, counted from 0"
    assert program["cost"] == "0.10 CPU seconds in 0.25, 12 MiB"
    assert (program["got"]["text"], program["diff"]["text"]) == ("5\n", "At line 1:\n-<b>4\n+5")
    (test,) = shown.problems["p"]["tests"]
    assert (test["input"]["text"], test["expected"]["text"]) == ("2 2\n", "4\n")


def test_calls_and_checks_are_shown_as_what_they_are(write: Write) -> None:
    (call,) = write(failing(Call("solve", ([1, (2, 3)], "x"), {"a": 1}), passed=0)).problems["p"]["tests"]
    assert call["input"]["text"] == 'solve([1, [2, 3]], "x")' and call["expected"]["text"] == '{"a": 1}'
    (check,) = write(failing(Check("def check(f):\n    assert f(1)", "f"), passed=0)).problems["p"]["tests"]
    assert check["input"]["text"] == "def check(f):\n    assert f(1)"


def test_a_failing_hidden_test_is_none_of_those_shown(write: Write) -> None:
    (program,) = write(failing(Stdin("2 2\n", "4\n"), passed=3)).programs("p")
    assert program["failed"] is None and program["verdict"] == "wrong answer in test 3 of 14, counted from 0"
    assert program["got"]["text"] == program["diff"]["text"] == program["stderr"]["text"] == ""


def test_programs_that_behave_alike_are_one_class_and_the_largest_is_the_first(write: Write) -> None:
    found = [sampled("p", i, f"print({i})") for i in range(4)]
    run = assemble("r", [(task("p"), found, [True, False, False, True], [1.0] * 4)], ["majority"], [])
    (judged,) = run.judged
    outputs = [("1",), ("2",), (None,), ("1",)]
    shown = write(replace(run, judged=(replace(judged, behaviours=tuple(map(Behaviour, outputs))),)))
    assert [program["class"] for program in shown.programs("p")] == [1, 2, None, 1]


def test_a_program_that_was_sampled_twice_is_in_the_page_once(write: Write) -> None:
    found = [sampled("p", i, "print(1)" if i < 3 else "print(2)") for i in range(4)]
    shown = write(assemble("r", [(task("p"), found, [True] * 4, [1.0] * 4)], ["argmax"], ["length"]))
    held = shown.problems["p"]["runs"][0]
    assert len(held["programs"]) == 2 and [one["program"] for one in held["candidates"]] == [0, 0, 0, 1]


def test_hostile_text_is_text_in_the_markup_and_data_elsewhere(write: Write) -> None:
    evil = HOSTILE + UNSEEN
    candidate = Candidate(evil, 0, evil, evil, UNPARSABLE, finish=evil)
    silent = Candidate(evil, 1, evil, None, "none", finish="stop")
    problem = Problem(evil, evil, (Stdin(evil, evil),), tags={"title": evil, "difficulty": evil})
    run = assemble(
        f"runs/{UNSEEN}", [(problem, [candidate, silent], [False, True], [0.5, None])], ["argmax"], ["length"]
    )
    shown = write(replace(run, left_out=((evil, evil),)))
    assert shown.open == [] and shown.tags["img"] == 0
    assert len([name for name in shown.scripts if name.isdigit()]) == 3
    assert shown.text.count(HOSTILE) >= 3
    seen = "rtl \\u202e nul \\x00 surrogate \\ud800 zero\\u200bwidth esc \\x1b[31m end"
    assert shown.text.count(seen) > shown.text.count(HOSTILE)
    libraries = "".join(text for name, text in shown.scripts.items() if name in ("3", "4"))
    assert not (set("\u202e\x00\u200b\x1b") & set(shown.html)) - set(libraries)
    assert shown.programs(evil)[0]["code"]["text"] == evil  # which the scripts put into the page as text


def test_the_page_is_headed_by_what_was_run(run: RunReport, write: Write) -> None:
    generator = run.config.generator
    spec = replace(generator.spec, options={"model": "Qwen/Qwen2.5-Coder-0.5B-Instruct"})
    made = run.config.model_copy(update={"generator": generator.model_copy(update={"spec": spec})})
    heads = re.findall(r"<h1>(.*?)</h1>", write(replace(run, config=made)).html)
    assert heads == ["mini · Qwen2.5-Coder-0.5B-Instruct · n = 8"]


def test_labels_of_pictures_are_escaped_for_plotly(write: Write) -> None:
    run = by_hand("r", (1.0, 0.0))
    named = replace(run.curve("argmax"), name="<a href='x'>&amp;\u202e</a>")
    shown = write(replace(run, curves=(*run.curves, named)))
    names = [curve["name"] for curve in shown.index["curves"]]
    assert "&lt;a href='x'&gt;&amp;amp;\\u202e&lt;/a&gt;" in names
    assert not any("<" in name for name in names)


def test_a_huge_text_is_clipped_and_its_size_said(write: Write) -> None:
    code = "x = '" + "a" * 1_000_000 + "'"
    run = assemble("r", [(task("a"), [sampled("a", 0, code)], [False], [1.0])], ["argmax"], ["likelihood"])
    shown = write(run)
    (program,) = shown.programs("a")
    assert program["code"] == {"text": code[: page_data.CLIP], "length": 1_000_006}


def test_candidates_of_a_large_run_lie_beside_the_page_and_are_the_same(run: RunReport, write: Write) -> None:
    inside, beside = write(run), write(run, inline=100)
    assert inside.source["folder"] is None and beside.source["folder"] == "report_files"
    assert beside.problems == inside.problems
    assert not any(name.startswith("group-") for name in beside.scripts)
    assert "file:" not in inside.html.split("<title>")[0] and "'self' file:" in beside.html.split("<title>")[0]


def test_groups_hold_whole_problems_in_their_order(write: Write) -> None:
    found = [(task(f"p{i}"), [sampled(f"p{i}", 0, "x" * 19_000 + str(i))], [False], [1.0]) for i in range(120)]
    shown = write(assemble("r", found, ["argmax"], ["length"]))
    groups = [problem["group"] for problem in shown.index["problems"]]
    assert groups == sorted(groups) and groups[-1] >= 2
    assert all(shown.programs(f"p{i}")[0]["code"]["text"].endswith(f"x{i}") for i in range(120))


def test_what_lay_beside_an_earlier_page_is_gone(run: RunReport, tmp_path: Path) -> None:
    large = page.write_page(found_of(run), tmp_path / "report.html", inline=100)
    assert large.folder is not None and large.folder_bytes > 0 and "in report_files/" in str(large)
    small = page.write_page(found_of(run), tmp_path / "report.html")
    assert small.folder is None and not (tmp_path / "report_files").exists()
    (tmp_path / "report_files").mkdir()
    (tmp_path / "report_files" / "saved.css").touch()
    page.write_page(found_of(run), tmp_path / "report.html")
    assert [file.name for file in (tmp_path / "report_files").iterdir()] == ["saved.css"]  # not ours
    assert str(small) == f"{tmp_path}/report.html ({(tmp_path / 'report.html').stat().st_size / 1e6:.1f} MB)"


def test_several_runs_share_a_page_each_problem_once(run: RunReport, write: Write) -> None:
    other = made_up("elsewhere/demo", problems=21, n=4, seed=1)
    compared = beside(run, other)
    shown = write(run, other, compared=compared)
    assert "runs/demo, elsewhere/demo" in shown.text and shown.open == []
    assert len(shown.index["problems"]) == 21
    assert [held is None for held in shown.index["problems"][-1]["runs"]] == [True, False]
    for row in compared.comparisons[0].rows:
        assert "".join(row.cells) in shown.text


def beside(*runs: RunReport) -> page.Compared:
    return page.Compared((comparison.compare(*runs),), frontier.frontier(runs))


def test_what_is_drawn_of_runs_at_equal_cost_is_what_was_found(write: Write) -> None:
    runs = costly(made_up("runs/small", problems=12, n=16)), costly(made_up("runs/large", problems=12, n=4, seed=3))
    compared = beside(*runs)
    found, shown = compared.frontier, write(*runs, compared=compared)
    front, even = shown.index["fronts"]["front"], shown.index["evens"]["even-0-1"]
    best = [one for one in found.strategies if one.on_front]
    assert front["front"]["x"] == [one.cost for one in best] and front["front"]["k"] == [one.k for one in best]
    assert sum(len(curve["x"]) for curve in front["curves"]) == len(found.strategies)
    drawn = [(curve["name"], x, y) for curve in even["curves"] for x, y in zip(curve["x"], curve["y"], strict=True)]
    assert drawn == [(o.curve, o.cost, pytest.approx(100 * o.difference.value, abs=1e-3)) for o in found.even] != []
    text = " ".join(shown.text.split())
    assert cost_report.verdict(runs, found)[0] in text and "Pareto front" in text
    captions = re.findall(r'<figcaption id="(?:front|even-0-1)-caption">(.*?)</figcaption>', shown.html)
    assert len(captions) == 2
    assert all("12 common problems" in one and "n = 16" in one and "95% interval" in one for one in captions)


def test_a_curve_has_a_place_on_every_axis_whose_cost_is_known(write: Write) -> None:
    bare, known = made_up(problems=6), costly(made_up(problems=6))
    assert {a["key"]: a["known"] for a in write(bare).index["axes"]} == dict.fromkeys(("k", "tokens"), True) | (
        dict.fromkeys(("flops", "seconds"), False)
    )
    shown, taken = write(known), cost.account(known)
    assert all(axis["known"] for axis in shown.index["axes"])
    for drawn, curve in zip(shown.index["curves"], sentences.ordered(known), strict=True):
        assert drawn["x"] == {unit: list(cost.axis(known, taken, curve, unit) or ()) for unit in cost.UNITS}


def test_the_page_says_how_sure_it_is_and_what_it_cost_once(write: Write) -> None:
    run = costly(made_up(problems=6))
    found, shown = certainty.certainty(run), write(run)
    text = " ".join(shown.text.split())
    for sheet in (
        certainty_report.certainty_sheet(run, found),
        certainty_report.pairs_sheet(run, found),
        cost_report.account_sheet(run, cost.account(run)),
    ):
        assert len(sheet.rows) > 2
        assert all("".join(row[1:]) in shown.text for row in sheet.rows)
        assert all(" ".join(note.split()) in text for note in sheet.notes)
    forecast = shown.index["forecasts"]["forecasts-0"]
    assert forecast["exact"]["y"][-1] == forecast["foretold"]["y"][0]
    assert forecast["foretold"]["k"] == [8, 16, 32, 64]


def test_a_problem_says_what_it_cost(write: Write) -> None:
    run = costly(made_up(problems=3))
    item = run.judged[0]
    said = write(run).problems[item.problem.id]["runs"][0]["cost"]
    assert "generate: 90 prompt tokens, 96 tokens, 186,000 FLOPs, 2 wall seconds; score likelihood: " in said


def test_sections_of_others_stand_before_the_candidates(run: RunReport, write: Write) -> None:
    html = write(run, more=markupsafe.Markup("<section><h2>Audit</h2></section>")).html
    assert (
        html.index("What the run was made with") < html.index("<h2>Audit</h2>") < html.index("Problems and candidates")
    )


def test_vendored_libraries_are_those_that_the_notice_names() -> None:
    notice = (WEB / "vendor" / "README.md").read_text()
    named = dict(re.findall(r"\| `([\w.-]+\.js)` \|.*\| `([0-9a-f]{64})` \|", notice))
    assert named == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (WEB / "vendor").glob("*.js")}
    assert all((WEB / "vendor" / name).is_file() for name in re.findall(r"`([\w.]+LICENSE)`", notice))


def test_verdicts_are_in_words() -> None:
    run = failing(Stdin("", ""))
    (grade,) = run.judged[0].grades
    assert sentences.verdict_of(replace(grade, verdict=Verdict.NO_CODE, tests=0)) == "no code"
    assert sentences.verdict_of(replace(grade, verdict=Verdict.PASSED)) == "passed"
