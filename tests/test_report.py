"""The report shows what the analysis found: one set of numbers in table, JSON and page, and text as text."""

import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pages import UNSEEN
from rich.console import Console
from rich.table import Table

from tts import analysis, comparison, config, report, sentences
from tts.analysis import Judged, RunReport
from tts.errors import UserError
from tts.findings import Findings
from tts.types import Behaviour, Candidate, Grade, Problem, Score, Stdin, Verdict

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


def test_a_tied_selector_has_the_curve_of_its_scorer_alone():
    run = made_up()
    tied = {"name": "argmax", "scorer": "length", "label": "shortest"}
    raw = {"benchmark": "mini", "generator": {"name": "replay", "path": "x"}, "scorers": ["likelihood", "length"]}
    made = config.parse(raw | {"selectors": ["argmax", tied]}, where="test")
    curves = analysis.curves(run.judged, run.scores, made, run.ks)
    found = {curve.name: curve for curve in curves}
    assert [*found] == ["random", "oracle", "argmax", "argmax:length", "shortest"]
    assert found["shortest"].points == found["argmax:length"].points != found["argmax"].points
    assert found["shortest"].scorers == ("length",)
    said = sentences.notes(replace(run, config=made))
    assert "But those of shortest are length's." in said


def test_a_selector_is_not_shown_with_a_further_scorer_of_what_it_weighs_itself():
    run = made_up(problems=3)
    scores = dict.fromkeys(("likelihood", "length", "public_tests", "brief"), run.scores["likelihood"])
    selectors = ["tests_then_score", "regularised", {"name": "regularised", "by": "logprob", "label": "by logprob"}]
    raw = {"benchmark": "mini", "generator": {"name": "replay", "path": "x"}, "selectors": selectors}
    scorers = ["likelihood", "length", "public_tests", {"name": "length", "label": "brief"}]
    made = config.parse(raw | {"scorers": scorers}, where="test")
    names = [curve.name for curve in analysis.curves(run.judged, scores, made, (1,))][2:]
    assert names == [
        *("tests_then_score", "tests_then_score:length", "tests_then_score:brief"),
        *("regularised", "regularised:public_tests"),
        *("by logprob", "by logprob:length", "by logprob:public_tests", "by logprob:brief"),
    ]


def by_hand(folder: str, scores: tuple[float, float]) -> RunReport:
    """Two problems, two candidates each; only the first of problem `a` is right; `scores` are those of `a`."""
    a = (task("a"), [sampled("a", 0, "x = 1"), sampled("a", 1, "x = 2")], [True, False], scores)
    b = (task("b"), [sampled("b", 0, "x = 3"), sampled("b", 1, "x = 4")], [False, False], (0.0, 1.0))
    return assemble(folder, [a, b], ["argmax"], ["likelihood"])


def found_of(*reports: RunReport) -> list[Findings]:
    """What there is to show of some runs."""
    return [Findings(report) for report in reports]


@pytest.fixture(scope="module")
def run() -> RunReport:
    return replace(made_up(), left_out=(("mini-99", "2 of 8 candidates have no verdict"),))


def solved(problems: int, right: Sequence[bool]) -> RunReport:
    """Problems each of whose candidates are right or not as given."""
    pools = [
        (task(f"p{p}"), [sampled(f"p{p}", i, f"x = {i}") for i in range(len(right))], right, [0.0] * len(right))
        for p in range(problems)
    ]
    return assemble("runs/solved", pools, ["argmax"], ["likelihood"])


@pytest.mark.parametrize(("cut", "said"), [(0, ""), (1, "1 of 4 answers was"), (3, "3 of 4 answers were")])
def test_answers_that_were_cut_off_are_counted(cut, said):
    found = [replace(sampled("a", i, "x = 1"), finish="length" if i < cut else "stop") for i in range(4)]
    report = assemble("runs/cut", [(task("a"), found, [True] * 4, [0.0] * 4)], ["argmax"], ["likelihood"])
    notes = [note for note in sentences.notes(report) if "cut off" in note]

    assert notes == ([f"{said} cut off at max_tokens."] if cut else [])


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_few_problems_are_said_to_be_few_exactly_where_no_pairing_of_them_could_be_certain(level):
    certain = [problems for problems in range(1, 12) if 2 * 0.5**problems <= 1 - level]
    for problems in range(1, 12):
        found = solved(problems, [True, False])
        options = found.config.report.model_copy(update={"level": level})
        found = replace(found, config=found.config.model_copy(update={"report": options}))
        said = " ".join(sentences.notes(found))

        assert (f"Only {problems} problem" in said) == (problems not in certain)
        assert f"no difference can be certain at {100 * level:g}%" in said or problems in certain


def test_an_interval_without_width_is_said_to_be_no_certainty():
    caution = "An interval without width says that all problems came out alike"

    assert caution in " ".join(sentences.notes(solved(20, [True, True])))
    assert caution in " ".join(sentences.notes(solved(20, [True, False])))
    assert caution not in " ".join(sentences.notes(made_up()))


def printed(table: Table, width: int) -> str:
    console = Console(width=width, file=None, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


# -- tables


@pytest.mark.parametrize("width", [60, 80, 100, 140, 200])
def test_the_table_fits_its_width_and_cuts_nothing(run: RunReport, width: int) -> None:
    text = printed(report.table(run, width), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for name in ("random", "argmax", "likelihood", "weighted_vote", "oracle", "over random", "gained"):
        assert name in text


@pytest.mark.parametrize("width", range(20, 60))
def test_notes_are_whole_below_a_table_that_is_too_wide(width: int) -> None:
    drawn = report.plain_table("t", ["stage", "prompt tokens", "tokens", "passes"], ["A prompt counts once " * 6])
    report.add_row(drawn, ["likelihood", "1,234,567", "12,345", "161"])
    assert printed(drawn, width).split().count("once") == 6


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
    assert sentences.summary_sentence(by_hand("r", (1.0, 0.0))) == (
        "argmax at k = 2: 50.0% [0.0, 100.0], +25.0 points over random [0.0, +50.0], no certain gain at 95%, "
        "100% of what an oracle could gain (random 25.0%, oracle 50.0%)."
    )


def test_the_verdict_names_whoever_is_tied_whatever_rounding_says() -> None:
    run = by_hand("r", (1.0, 0.0))
    best = next(curve for curve in run.curves if curve.name == "argmax")
    off = [replace(point, value=point.value + 1e-12) for point in best.points]
    other = replace(best, name="majority", points=tuple(off))
    tied = replace(run, curves=(*run.curves, other))

    assert "argmax at k = 2, the best of 2 selectors, tied with majority: 50.0%" in sentences.summary_sentence(tied)
    worse = replace(other, points=tuple(replace(point, value=point.value - 0.01) for point in off))
    assert "tied" not in sentences.summary_sentence(replace(run, curves=(*run.curves, worse)))


@pytest.mark.parametrize(
    ("selectors", "scorers", "named"),
    [
        (["argmax", "majority"], ["likelihood"], None),
        (["argmax", "majority", "staged"], ["likelihood"], "staged"),
        (["argmax", "majority"], ["likelihood", "public_tests"], "argmax:public_tests"),
        (["tests_then_score"], ["public_tests"], "tests_then_score"),
    ],
)
def test_problems_without_public_tests_are_counted_where_somebody_looks_at_these(selectors, scorers, named) -> None:
    tested = replace(task("b"), public_tests=(Stdin("1", "1"),))
    pools = [
        (problem, [sampled(problem.id, i, f"x = {i}") for i in range(2)], [True, False], [0.0, 1.0])
        for problem in (task("a"), tested, task("c"))
    ]
    said = [note for note in sentences.notes(assemble("r", pools, selectors, scorers)) if "no public tests" in note]

    assert bool(said) == (named is not None)
    if named is not None:
        assert said[0].startswith("2 of 3 problems have no public tests. There ") and f"{named} choose" in said[0]
        assert "highest log probability" in said[0]
    assert not [n for n in sentences.notes(assemble("r", pools[1:2], selectors, scorers)) if "no public tests" in n]


def test_two_selectors_of_two_runs_can_be_paired(run: RunReport) -> None:
    other = made_up("runs/other", n=4, seed=1)
    found = comparison.compare(run, other, ("argmax", "majority"))

    assert [row.selector for row in found.rows] == ["argmax and majority"] * 3
    assert found.rows[-1].values[0] == pytest.approx(run.curve("argmax").points[run.ks.index(4)].value)
    assert found.rows[-1].values[1] == pytest.approx(other.curve("majority").points[-1].value)


def test_two_runs_of_the_same_samples_are_told_apart_from_others(run: RunReport) -> None:
    def texts(report: RunReport, backwards: bool) -> RunReport:
        judged = []
        for item in report.judged:
            mine = [replace(c, text=f"{report.folder} {c.index}") for c in item.candidates]
            judged.append(replace(item, candidates=tuple(mine[::-1] if backwards else mine)))
        return replace(report, judged=tuple(judged))

    mine, other = texts(run, False), texts(made_up("runs/other", seed=1), False)
    turned = texts(replace(run), True)
    told = [any("same samples" in note for note in comparison.compare(mine, b).notes) for b in (mine, turned, other)]
    assert told == [True, True, False]


def test_compare_pairs_the_problems_that_both_have() -> None:
    a, b = by_hand("runs/a", (1.0, 0.0)), by_hand("runs/b", (0.0, 1.0))
    b = replace(b, judged=b.judged[:1], curves=tuple(replace(c, per_problem=c.per_problem[:1]) for c in b.curves))
    text = printed(report.as_table(comparison.compare(a, b).sheet()), 120)
    rows = [line.split() for line in text.splitlines() if re.search(r"\[.*\]$", line.strip())]
    assert ["argmax", "1", "50.0", "50.0", "0.0", "[0.0,", "0.0]"] in rows
    assert ["2", "100.0", "0.0", "-100.0", "[-100.0,", "-100.0]"] in rows
    assert "1 common problem (A has 2, B 1)" in text


def test_compare_takes_the_common_ks_and_names_what_differs(run: RunReport) -> None:
    other = made_up("runs/other", n=4, seed=1)
    other = replace(other, curves=tuple(replace(c, scorers=("x",) if c.scorers else ()) for c in other.curves[:4]))
    text = printed(report.as_table(comparison.compare(run, other).sheet()), 100)
    section = text[text.index("argmax ") : text.index("oracle ")]
    assert [line.split()[-6] for line in section.splitlines()[:3]] == ["1", "2", "4"]
    assert "argmax scores with likelihood in A, x in B." in text
    assert "Only in A: majority" in text


def test_compare_without_a_common_problem_is_a_users_error(run: RunReport) -> None:
    with pytest.raises(UserError, match=r"no judged problem in common.*mini-0.*'a'"):
        comparison.compare(run, by_hand("runs/b", (1.0, 0.0)))


def test_importing_the_report_loads_no_plotting() -> None:
    code = "import sys, tts.report, tts.page; sys.exit(bool({'matplotlib', 'jinja2'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_table_has_what_a_terminal_would_obey(run: RunReport) -> None:
    evil = replace(run, left_out=((UNSEEN, UNSEEN),), folder=Path(f"runs/{UNSEEN}"))
    assert not set(UNSEEN) & set("\x1b\x00\u202e") & set(printed(report.table(evil), 100))
