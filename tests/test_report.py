"""The report shows what the analysis found: one set of numbers in table, JSON and page, and text as text."""

import json
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console
from rich.table import Table

from tts import analysis, config, report
from tts.analysis import Judged, RunReport
from tts.errors import UserError
from tts.types import UNPARSABLE, Behaviour, Candidate, Grade, Problem, Score, Selection, Verdict

VOID = {"meta", "input", "br", "hr", "img", "link"}
HOSTILE = "</pre></details></section><script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>"
UNSEEN = "rtl \u202e nul \x00 surrogate \ud800 zero\u200bwidth esc \x1b[31m end"
Pools = Sequence[tuple[Problem, Sequence[Candidate], Sequence[bool], Sequence[float | None]]]


def assemble(folder: str, pools: Pools, selectors: Sequence[str], scorers: Sequence[str]) -> RunReport:
    """A run as `analysis.analyse` would give it, from candidates, whether they pass, and their scores."""
    judged = [Judged(problem, tuple(found), *truth(found, right)) for problem, found, right, _ in pools]
    scores = {
        label: {
            c.key: Score(
                *c.key, value if value is None or not turn else -value, "" if value is not None else "overlong"
            )
            for _, found, _, values in pools
            for c, value in zip(found, values, strict=True)
        }
        for turn, label in enumerate(scorers)
    }
    raw = {"benchmark": "mini", "generator": {"name": "replay", "path": "samples.jsonl"}, "report": {"draws": 100}}
    made = config.parse(raw | {"scorers": list(scorers), "selectors": list(selectors)}, where="test")
    candidates = [c for item in judged for c in item.candidates]
    n = min(len(item.candidates) for item in judged)
    ks = analysis.choose_ks(n, ())
    return RunReport(
        folder=Path(folder),
        config=made,
        n=n,
        graded=len(candidates),
        ks=ks,
        judged=tuple(judged),
        left_out=(),
        curves=tuple(analysis.curves(judged, scores, made, ks)),
        scores=scores,
        extraction=Counter(c.extraction for c in candidates),
        verdicts=Counter(str(g.verdict) for item in judged for g in item.grades),
        finish=Counter(c.finish for c in candidates),
        unscored={},
        meta={"versions": {"python": "3.11"}, "hardware": {"cores": 2}, "commit": None, "timings": {"grade": 8.0}},
    )


def truth(found: Sequence[Candidate], right: Sequence[bool]) -> tuple[tuple[Grade, ...], tuple[Behaviour | None, ...]]:
    """Grades and behaviours: right programs behave alike, a wrong one like no other."""
    failed = [Verdict.NO_CODE if c.code is None else Verdict.WRONG_ANSWER for c in found]
    grades = [
        Grade(
            c.problem_id, "", Verdict.PASSED if ok else bad, 0.1, 14, 14 if ok else 3, "" if ok else "expected 4, got 5"
        )
        for c, ok, bad in zip(found, right, failed, strict=True)
    ]
    ran = [
        None if c.code is None else Behaviour(("4" if ok else str(c.index),))
        for c, ok in zip(found, right, strict=True)
    ]
    return tuple(grades), tuple(ran)


def made_up(folder: str = "runs/demo", problems: int = 20, n: int = 8, seed: int = 0) -> RunReport:
    rng = random.Random(seed)
    pools = []
    for p in range(problems):
        rate = rng.betavariate(0.5, 1)
        right = [rng.random() < rate for _ in range(n)]
        found = [
            sampled(f"mini-{p}", i, None if not ok and i == 5 else f"print({p} < {i})") for i, ok in enumerate(right)
        ]
        scores = [None if rng.random() < 0.05 else rng.gauss(ok, 1) for ok in right]
        pools.append((task(f"mini-{p}"), found, right, scores))
    selectors = ["random", "argmax", "majority", "weighted_vote", "threshold"]
    return assemble(folder, pools, selectors, ["likelihood", "length"])


def task(name: str, statement: str = "Print whether a < b.\n\nOne line.") -> Problem:
    return Problem(name, statement, (), tags={"title": f"Title of {name}", "difficulty": "easy", "platform": "own"})


def sampled(name: str, index: int, code: str | None) -> Candidate:
    rule = "none" if code is None else "tagged"
    return Candidate(name, index, "I do not know & <give up>.", code, rule, 90, 12, -0.5, "stop")


def by_hand(folder: str, scores: tuple[float, float]) -> RunReport:
    """Two problems, two candidates each; only the first of problem `a` is right; `scores` are those of `a`."""
    a = (task("a"), [sampled("a", 0, "x = 1"), sampled("a", 1, "x = 2")], [True, False], scores)
    b = (task("b"), [sampled("b", 0, "x = 3"), sampled("b", 1, "x = 4")], [False, False], (0.0, 1.0))
    return assemble(folder, [a, b], ["argmax"], ["likelihood"])


@pytest.fixture(scope="module")
def run() -> RunReport:
    return replace(made_up(), left_out=(("mini-99", "2 of 8 candidates have no verdict"),))


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    def page(*reports: RunReport, **options: int) -> str:
        path = tmp_path_factory.mktemp("page") / "report.html"
        report.write_page(reports, path, **options)
        return path.read_text(encoding="utf-8")

    return page


@pytest.fixture(scope="module")
def page(run: RunReport, write: Callable[..., str]) -> str:
    return write(run)


class Reader(HTMLParser):
    """What a browser would see: text, elements and attributes; an element closed out of order is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text, self.tags = "", Counter[str]()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def printed(table: Table, width: int) -> str:
    console = Console(width=width, file=None, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


# -- JSON


def test_json_has_the_promised_keys_and_types(run: RunReport) -> None:
    found = json.loads(json.dumps(report.as_json([run]), allow_nan=False))
    assert found.keys() == {"runs"} and len(found["runs"]) == 1
    one = found["runs"][0]
    extra = {"left_out", "efficiency", "over_random", "paired", "unscored", "breakdown", "errata"}
    extra |= {"estimates", "saved", "certainty"}
    assert one.keys() - extra == {"folder", "benchmark", "problems", "n", "graded", "selectors"}
    assert (one["folder"], one["benchmark"]) == ("runs/demo", "mini")
    assert (one["problems"], one["n"], one["graded"]) == (20, 8, 160)
    assert {type(one[name]) for name in ("problems", "n", "graded")} == {int}
    for points in one["selectors"].values():
        assert [point["k"] for point in points] == [1, 2, 4, 8]
        for point in points:
            assert point.keys() == {"k", "value", "low", "high", "estimate", "se", "scorer"}
            assert 0 <= point["low"] <= point["value"] <= point["high"] <= 1 and point["se"] >= 0
            assert point["estimate"] in ("exact", "sampled") and (point["estimate"] == "sampled" or point["se"] == 0)


def test_json_names_selectors_by_plugin_and_further_scorers_after_a_colon(run: RunReport) -> None:
    selectors = report.as_json([run])["runs"][0]["selectors"]
    assert [*selectors][:: len(selectors) - 1] == ["random", "oracle"]
    assert {"argmax", "argmax:length", "majority", "weighted_vote", "threshold:length"} <= selectors.keys()
    scorers = {name: points[0]["scorer"] for name, points in selectors.items()}
    assert (scorers["argmax"], scorers["argmax:length"]) == ("likelihood", "length")
    assert (scorers["random"], scorers["oracle"], scorers["majority"]) == (None, None, None)


def test_json_has_null_where_there_was_nothing_to_gain() -> None:
    hopeless = assemble("r", [(task("a"), [sampled("a", 0, "x")], [False], [1.0])], ["argmax"], ["likelihood"])
    one = report.as_json([hopeless])["runs"][0]
    assert one["efficiency"]["argmax"] is None
    json.dumps(one, allow_nan=False)


def test_json_of_a_run_worked_out_by_hand() -> None:
    one = report.as_json([by_hand("r", (1.0, 0.0))])["runs"][0]
    values = {name: [point["value"] for point in points] for name, points in one["selectors"].items()}
    assert values == {"random": [0.25, 0.25], "argmax": [0.25, 0.5], "oracle": [0.25, 0.5]}
    assert (one["over_random"]["argmax"]["value"], one["efficiency"]["argmax"]) == (0.25, 1.0)


# -- tables


@pytest.mark.parametrize("width", [60, 80, 100, 140, 200])
def test_the_table_fits_its_width_and_cuts_nothing(run: RunReport, width: int) -> None:
    text = printed(report.table(run, width), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for name in ("random", "argmax", "likelihood", "weighted_vote", "oracle", "over random", "gained"):
        assert name in text


def test_a_wide_table_shows_every_number_and_marks_the_sampled(run: RunReport) -> None:
    text = printed(report.table(run, 220), 220)
    for curve in run.curves:
        for p in curve.points:
            interval = f"[{100 * p.low:.1f}, {100 * p.high:.1f}]"
            error = f" ±{100 * p.se:.1f}" if p.estimate == "sampled" else ""
            assert f"{'~' if error else ''}{100 * p.value:.1f}{error} {interval}" in text
        gain = curve.over_random
        assert curve.name == "random" or f"{100 * gain.value:+.1f} [" in text
    names = [line.split()[0] for line in text.splitlines() if re.match(r" \w", line)]
    assert names[:2] == ["selector", "random"] and names[-1] == "oracle"


def test_a_narrow_table_says_which_k_it_has_no_room_for(run: RunReport) -> None:
    text = printed(report.table(run, 64), 64)
    assert "k = 8" in text and "No room here for k = 2" in text


def test_the_caption_says_what_the_numbers_are(run: RunReport) -> None:
    text = printed(report.table(run, 200), 200)
    assert "mini: 20 problems, n = 8, 160 candidates graded" in text
    assert "95% interval, a bootstrap over problems" in text
    assert "With 20 problems one problem is 5 points." in text
    assert "1 problem left out, in no number here: mini-99 (2 of 8 candidates have no verdict)." in text


def test_the_summary_by_hand() -> None:
    assert report.summary_sentence(by_hand("r", (1.0, 0.0))) == (
        "argmax at k = 2: 50.0% [0.0, 100.0], +25.0 points over random [0.0, +50.0], no certain gain at 95%, "
        "100% of what an oracle could gain (random 25.0%, oracle 50.0%)."
    )


def test_compare_pairs_the_problems_that_both_have() -> None:
    a, b = by_hand("runs/a", (1.0, 0.0)), by_hand("runs/b", (0.0, 1.0))
    b = replace(b, judged=b.judged[:1], curves=tuple(replace(c, per_problem=c.per_problem[:1]) for c in b.curves))
    text = printed(report.compare_table(a, b), 120)
    rows = [line.split() for line in text.splitlines() if re.search(r"\[.*\]$", line.strip())]
    assert ["argmax", "1", "50.0", "50.0", "0.0", "[0.0,", "0.0]"] in rows
    assert ["2", "100.0", "0.0", "-100.0", "[-100.0,", "-100.0]"] in rows
    assert "1 common problem (A has 2, B 1)" in text


def test_compare_takes_the_common_ks_and_names_what_differs(run: RunReport) -> None:
    other = made_up("runs/other", n=4, seed=1)
    other = replace(other, curves=tuple(replace(c, scorer="x" if c.scorer else None) for c in other.curves[:4]))
    text = printed(report.compare_table(run, other), 100)
    section = text[text.index("argmax ") : text.index("oracle ")]
    assert [line.split()[-6] for line in section.splitlines()[:3]] == ["1", "2", "4"]
    assert "argmax scores with likelihood in A, x in B." in text
    assert "Only in A: majority" in text


def test_compare_without_a_common_problem_is_a_users_error(run: RunReport) -> None:
    with pytest.raises(UserError, match=r"no judged problem in common.*mini-0.*'a'"):
        report.compare_table(run, by_hand("runs/b", (1.0, 0.0)))


# -- picture


def test_the_picture_is_one_of_several_lines(run: RunReport, tmp_path: Path) -> None:
    report.write_picture([run], tmp_path / "one.png")
    report.write_picture([run, made_up("runs/$other_run$", n=4, seed=1)], tmp_path / "two.png")
    for name in ("one.png", "two.png"):
        with Image.open(tmp_path / name) as image:
            assert image.format == "PNG" and image.size == (1480, 880)
            assert len(image.convert("RGB").getcolors(1 << 20) or []) > 200


def test_a_picture_of_a_single_k_can_be_drawn(tmp_path: Path) -> None:
    single = assemble("r", [(task("a"), [sampled("a", 0, "x")], [False], [1.0])], ["argmax"], ["likelihood"])
    report.write_picture([single], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_every_picture_says_n_k_problems_and_interval(run: RunReport, page: str) -> None:
    several = report.picture_caption([run, made_up("runs/other", n=4, seed=1)])
    for caption in (report.picture_caption([run]), several):
        assert "20 problems, n = 8, k = 1, 2, 4, 8" in caption and "95% intervals" in caption
    assert "(other): 20 problems, n = 4, k = 1, 2, 4" in several
    assert report.picture_caption([run]) in page


def test_importing_the_report_loads_no_plotting() -> None:
    code = "import sys, tts.report; sys.exit(bool({'matplotlib', 'jinja2'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- page


def test_the_page_is_well_formed_and_shows_every_candidate(run: RunReport, page: str) -> None:
    reader = Reader(page)
    assert reader.open == []
    assert reader.tags["script"] == 1
    assert sum(a == ("class", "problem") for a in reader.attributes) == 20
    assert sum(a == ("class", "candidate") for a in reader.attributes) == 160
    for item in run.judged:
        for candidate in item.candidates:
            assert (candidate.text if candidate.code is None else candidate.code) in reader.text
    assert "print(3 &lt; 0)" in page and "I do not know &amp; &lt;give up&gt;." in page


def test_the_page_needs_no_other_file(page: str) -> None:
    links = [
        value for name, value in Reader(page).attributes if name in ("src", "href", "xlink:href", "action", "data")
    ]
    assert links and all(value and value.startswith("#") for value in links)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    assert "http://" not in page and "https://" not in page and "@import" not in page


def test_the_page_has_the_numbers_the_facts_and_the_choices(run: RunReport, page: str) -> None:
    text = " ".join(Reader(page).text.split())
    assert report.summary_sentence(run) in text
    assert "Wall time: grade 8.0 s; 8.0 s in all, 0.05 s per graded candidate." in text
    assert "wrong answer in test 3 of 14, counted from 0" in text and "expected 4, got 5" in text
    assert "none (overlong)" in text and "Title of mini-7" in text and "path: samples.jsonl" in text
    for name, count in [*run.verdicts.items(), *run.extraction.items(), *run.finish.items()]:
        assert re.search(rf"{name.replace('_', ' ')} ?{count} \(", text)
    chosen = sum(choice.position is not None for curve in run.curves for choice in curve.choices.values())
    assert page.count('class="chip badge"') == chosen


def test_a_problem_says_who_missed_it_and_who_abstained(write: Callable[..., str]) -> None:
    run = by_hand("r", (0.0, 1.0))
    shy = replace(run.curve("argmax"), name="shy", choices={"a": Selection(None, "too close"), "b": Selection(0)})
    text = " ".join(Reader(write(replace(run, curves=(*run.curves, shy)))).text.split())
    assert "1 of 2 passed missed by argmax, shy" in text and "shy abstained: too close" in text
    assert "0 of 2 passed missed" not in text


def test_a_failing_public_test_shows_what_it_cost_and_how_the_answer_differs(write: Callable[..., str]) -> None:
    run = assemble("runs/x", [(task("p"), [sampled("p", 0, "print(1)")], [False], [0.5])], ["argmax"], ["length"])
    (judged,) = run.judged
    (grade,) = judged.grades
    told = replace(grade, wall_seconds=0.25, peak_mib=12.4, diff="At line 1:\n-<b>4\n+5")
    text = Reader(write(replace(run, judged=(replace(judged, grades=(told,)),)))).text

    assert "What went wrong (0.10 CPU seconds in 0.25, 12 MiB):" in text
    assert "A public test expects the lines with - and got those with +:" in text and "-<b>4\n+5" in text


def test_hostile_text_is_shown_as_text(write: Callable[..., str], tmp_path: Path) -> None:
    evil = HOSTILE + UNSEEN
    candidate = Candidate(evil, 0, evil, evil, UNPARSABLE, finish=evil)
    silent = Candidate(evil, 1, evil, None, "none", finish="stop")
    problem = Problem(evil, evil, (), tags={"title": evil, "difficulty": evil})
    run = assemble(
        f"runs/{UNSEEN}", [(problem, [candidate, silent], [False, True], [0.5, None])], ["argmax"], ["length"]
    )
    page = write(replace(run, left_out=((evil, evil),)))
    reader = Reader(page)
    assert reader.open == [] and reader.tags["script"] == 1 and reader.tags["img"] == 0
    assert reader.text.count(HOSTILE) >= 8
    shown = "rtl \\u202e nul \\x00 surrogate \\ud800 zero\\u200bwidth esc \\x1b[31m end"
    assert reader.text.count(shown) > reader.text.count(HOSTILE)
    assert not set("\u202e\x00\u200b\x1b") & set(page)
    assert "\x1b" not in printed(report.table(replace(run, left_out=((evil, evil),)), 100), 100)
    report.write_picture([run], tmp_path / "curves.png")


def test_a_huge_text_is_clipped_and_says_so(write: Callable[..., str]) -> None:
    code = "x = '" + "a" * 1_000_000 + "'"
    run = assemble("r", [(task("a"), [sampled("a", 0, code)], [False], [1.0])], ["argmax"], ["likelihood"])
    page = write(run)
    assert len(page) < 200_000
    assert "Only the first 20,000 of 1,000,006 characters are shown" in Reader(page).text


def test_the_programs_of_a_page_share_a_budget(write: Callable[..., str]) -> None:
    found = [sampled("a", i, "x = 0\n" * 1_000) for i in range(8)]
    run = assemble("r", [(task("a"), found, [False] * 8, [1.0] * 8)], ["argmax"], ["likelihood"])
    assert "Only the first" not in write(run)
    assert "Only the first 2,500 of 6,000 characters are shown" in write(run, budget=24_000)


def test_several_runs_share_a_page(run: RunReport, write: Callable[..., str]) -> None:
    reader = Reader(write(run, made_up("elsewhere/demo", n=4, seed=1)))
    assert "runs/demo, elsewhere/demo" in reader.text and reader.open == []
    assert reader.tags["svg"] == 1 and sum(a == ("class", "problem") for a in reader.attributes) == 40
