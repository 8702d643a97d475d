"""Every command, as a process, on small data: what it prints, what it writes, how it exits."""

import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import (
    IDS,
    SELECTORS,
    Small,
    bring_up,
    command,
    make_small,
    mini_rows,
    own_cache,
    programs,
    rows_of,
    tts,
    write_rows,
)

from tts import __version__, grade_files, plugins
from tts.grade import Grader, Undecided
from tts.pipeline import Silent
from tts.sandbox import Level, Limits, examine, find_confinement
from tts.types import program_hash
from tts.verdicts import Verdicts

COMMANDS = ("run", "report", "compare", "grade", "score", "extract", "export", "list", "audit")
ROW_KEYS = (
    "question_id", "index", "text", "code", "extraction", "finish", "prompt_tokens", "tokens", "logprob", "scores",
    "verdict", "seconds", "failed_test", "wall_seconds", "peak_mib", "detail", "stderr", "diff",
)  # fmt: skip
GRADE_KEYS = (
    "question_id", "index", "verdict", "seconds", "tests", "passed", "failed_test", "wall_seconds", "peak_mib",
    "detail", "stderr", "diff", "isolation", "level", "language",
)  # fmt: skip
DOUBLE = {
    "question_id": "double",
    "question_content": "Read a number and print its double.",
    "public_test_cases": json.dumps([{"input": "1\n", "output": "2\n", "testtype": "stdin"}]),
    "private_test_cases": json.dumps(
        [{"input": f"{n}\n", "output": f"{2 * n}\n", "testtype": "stdin"} for n in (2, 3)]
    ),
}
SORTED = {
    "question_id": "sorted",
    "question_content": "Return the list in order.",
    "public_test_cases": json.dumps([{"input": "[2, 1]", "output": "[1, 2]", "testtype": "functional"}]),
    "metadata": json.dumps({"func_name": "f"}),
}


class TestEveryCommand:
    @pytest.mark.parametrize("name", COMMANDS)
    def test_has_help_with_an_example(self, cli, name):
        done = cli(name, "--help")

        assert done.code == 0
        assert f"Example: tts {name}" in done.out

    def test_is_in_the_help(self, cli):
        done = cli("--help")

        assert all(re.search(rf"^ +{name} ", done.out, re.MULTILINE) for name in COMMANDS)

    @pytest.mark.parametrize("arguments", [["rnu"], ["run"], ["grade", "a", "b", "--workers", "0"]])
    def test_wrong_usage_exits_2(self, cli, arguments):
        done = cli(*arguments)

        assert done.code == 2
        assert "Traceback" not in done.err


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A run without --folder: where it happened, and what came of it."""
    small = make_small(tmp_path_factory.mktemp("run"))
    (small.folder / "config.yaml").rename(small.folder / "small.yaml")
    return small.folder, tts(small.folder, "run", "small.yaml", "ks=[1,2]", "report.level=0.9")


def cells_fail(folder: Path) -> str:
    """For `ulimit`: a bubblewrap that works for the self-test and then no more, so that no cell starts."""
    real = shutil.which("bwrap") or pytest.skip("needs bubblewrap")
    (folder / "bin").mkdir()
    fake = folder / "bin" / "bwrap"
    asked = f'[ "$1" = --version ] && exec {real} --version'
    fake.write_text(f'#!/bin/sh\n{asked}\n[ -e {folder}/used ] && exit 1\n: > {folder}/used\nexec {real} "$@"\n')
    fake.chmod(0o755)
    return f'-c 0; export PATH="{folder}/bin:$PATH"'


class TestRun:
    def test_exits_0_and_keeps_the_run_under_the_configs_name(self, ran):
        folder, result = ran

        assert result.code == 0, result.err
        written = {path.name for path in (folder / "runs" / "small").iterdir()}
        assert written >= {"run.sqlite", "config.yaml", "curves.png", "curves.svg", "report.html"}

    def test_ends_with_the_table_and_the_reports_path(self, ran):
        _, result = ran

        assert all(re.search(rf"^ *{name}\b", result.out, re.MULTILINE) for name in (*SELECTORS, "oracle"))
        assert re.search(r"runs/small/report\.html \(\d+\.\d MB\)", result.out.splitlines()[-1])

    def test_shows_progress_of_each_stage_on_standard_error(self, ran):
        _, result = ran

        for stage in ("generate", "score likelihood", "score length", "grade", "behaviours"):
            assert re.search(rf"^{stage}: 12 of 12$", result.err, re.MULTILINE)

    def test_with_a_smaller_n_says_that_what_there_is_stays(self, ran):
        folder, _ = ran
        shutil.copytree(folder / "runs" / "small", folder / "less")
        again = tts(folder, "run", "small.yaml", "generator.n=1", "--folder", "less")

        assert again.code == 0, again.err
        assert "9 candidates stored beyond generator.n; they are scored, graded and reported as well" in again.err

    def test_keeps_the_resolved_config_which_can_be_run_again(self, ran):
        folder, _ = ran
        again = tts(folder, "run", "runs/small/config.yaml", "--folder", "again")

        assert again.code == 0, again.err
        assert (folder / "again" / "config.yaml").read_text() == (folder / "runs" / "small" / "config.yaml").read_text()

    def test_overrides_reach_the_report(self, ran):
        folder, _ = ran
        (found,) = json.loads(tts(folder, "report", "runs/small", "--json").out)["runs"]

        assert [point["k"] for point in found["selectors"]["argmax"]] == [1, 2, 4]

    def test_what_our_machinery_could_not_grade_exits_1_and_counts_nowhere(self, small, cli):
        bring_up(small, "benchmark.limit=1")
        failed = cli("run", "config.yaml", "benchmark.limit=2", "--folder", "run", ulimit=cells_fail(small.folder))

        assert failed.code == 1
        assert "Failure: 4 programs could not be run" in failed.err and "Run the same command again" in failed.err
        assert IDS[1] in failed.out  # left out, as the table says
        (found,) = json.loads(cli("report", "run", "--json").out)["runs"]
        assert (found["problems"], found["graded"], found["n"]) == (1, 4, 4)
        cli("export", "run", "--to", "rows.jsonl")
        assert [row["verdict"] is None for row in rows_of(small.folder / "rows.jsonl")] == [False] * 4 + [True] * 4

    def test_where_nothing_could_be_graded_our_failure_is_what_is_told(self, small, cli):
        failed = cli("run", "config.yaml", "benchmark.limit=1", "--folder", "run", ulimit=cells_fail(small.folder))

        assert failed.code == 1
        assert "our own machinery failed" in failed.err


@pytest.fixture(scope="module")
def reported(finished):
    done = tts(finished, "report", "run", "--json")
    assert done.code == 0, done.err
    (found,) = json.loads(done.out)["runs"]
    return found


class TestReport:
    def test_json_says_what_was_run(self, reported):
        fixed = {name: reported[name] for name in ("folder", "benchmark", "problems", "n", "graded")}

        assert fixed == {"folder": "run", "benchmark": "problems", "problems": 3, "n": 4, "graded": 12}
        assert all(type(reported[name]) is int for name in ("problems", "n", "graded"))

    def test_json_names_selectors_by_plugin_for_the_first_scorer_and_with_the_scorer_for_others(self, reported):
        scored = ("argmax", "weighted_vote", "threshold")

        assert set(reported["selectors"]) == {*SELECTORS, "oracle"} | {f"{name}:length" for name in scored}
        for name, points in reported["selectors"].items():
            scorer = "length" if ":" in name else "likelihood" if name in scored else None
            assert {point["scorer"] for point in points} == {scorer}

    def test_json_points_have_the_fixed_keys_and_types(self, reported):
        for points in reported["selectors"].values():
            for point in points:
                assert list(point) == ["k", "value", "low", "high", "estimate", "se", "scorer"]
                assert type(point["k"]) is int
                assert all(type(point[key]) is float for key in ("value", "low", "high", "se"))
                assert 0 <= point["low"] <= point["value"] + 1e-12
                assert point["value"] - 1e-12 <= point["high"] <= 1
                assert point["estimate"] in ("exact", "sampled")
                assert point["se"] == 0 or point["estimate"] == "sampled"

    def test_json_ks_ascend_and_end_at_n(self, reported):
        for points in reported["selectors"].values():
            assert [point["k"] for point in points] == [1, 2, 4]

    def test_json_values_are_right_where_they_are_known(self, reported):
        values = {name: [point["value"] for point in points] for name, points in reported["selectors"].items()}

        assert values["random"] == pytest.approx([0.25, 0.25, 0.25])
        assert values["oracle"] == pytest.approx([0.25, 0.5, 1.0])
        assert values["argmax"] == pytest.approx([0.25, 0.5, 1.0])  # the first of each problem is right and likeliest

    def test_json_has_each_run_of_several_in_order(self, finished):
        done = tts(finished, "report", "run", finished / "run", "--json")

        assert [found["folder"] for found in json.loads(done.out)["runs"]] == ["run", str(finished / "run")]

    def test_an_abstention_counts_0(self, small, cli):
        small.write(scorers=["length"], selectors=[{"name": "threshold", "mode": "absolute", "value": 1.0}])
        bring_up(small)
        (found,) = json.loads(cli("report", "run", "--json").out)["runs"]

        assert [point["value"] for point in found["selectors"]["threshold"]] == [0, 0, 0]
        assert {"random", "oracle"} < set(found["selectors"])

    def test_without_json_prints_the_table_and_writes_the_page_anew(self, finished, tmp_path):
        shutil.copytree(finished / "run", tmp_path / "run")
        (tmp_path / "run" / "report.html").unlink()
        done = tts(tmp_path, "report", "run")

        assert done.code == 0, done.err
        assert "argmax" in done.out and "run/report.html" in done.out
        assert "<html" in (tmp_path / "run" / "report.html").read_text()

    @pytest.mark.parametrize("columns", [{}, {"COLUMNS": "60"}])
    def test_a_table_in_a_pipe_cuts_no_word_in_two_unless_columns_says_so(self, small, columns):
        small.write(scorers=[{"name": "length", "label": "a_label_that_is_longer_than_a_narrow_column"}])
        bring_up(small)
        environment = {name: value for name, value in own_cache(small.folder).items() if name != "COLUMNS"} | columns
        done = subprocess.run(
            command("report", "run"), cwd=small.folder, env=environment, capture_output=True, text=True, check=True
        )

        assert ("score a_label_that_is_longer_than_a_narrow_column" in done.stdout) == (not columns)
        if columns:
            assert max(map(len, done.stdout.partition("Report:")[0].splitlines())) <= 60

    @pytest.mark.parametrize(
        ("format", "first"),
        [("md", "### run"), ("csv", "run,benchmark,n"), ("tex", "% These tables"), ("json", "{")],
    )
    def test_prints_numbers_in_a_format_and_writes_nothing(self, finished, tmp_path, format, first):
        shutil.copytree(finished / "run", tmp_path / "run")
        (tmp_path / "run" / "report.html").unlink()
        done = tts(tmp_path, "report", "run", "--format", format)

        assert done.code == 0, done.err
        assert done.out.startswith(first) and "argmax" in done.out
        assert not (tmp_path / "run" / "report.html").exists()

    def test_names_the_formats_there_are(self, finished):
        done = tts(finished, "report", "run", "--format", "jsn")

        assert done.code == 2
        assert done.error == "Error: No 'jsn' in --format. Did you mean 'json'? There are: csv, json, md, tex.\n"


class TestCompare:
    def test_overlays_two_runs_and_says_where_the_page_is(self, finished, cli, tmp_path):
        shutil.copytree(finished / "run", tmp_path / "first")
        shutil.copytree(finished / "run", tmp_path / "second")
        done = cli("compare", "first", "second", "--to", "both")

        assert done.code == 0, done.err
        assert "argmax" in done.out and "both/report.html" in done.out
        assert {path.name for path in (tmp_path / "both").iterdir()} == {"curves.png", "curves.svg", "report.html"}

    def test_takes_more_than_two_runs_each_beside_the_first(self, finished, cli, tmp_path):
        for name in ("first", "second", "third"):
            shutil.copytree(finished / "run", tmp_path / name)
        done = cli("compare", "first", "second", "third", "--to", "all")

        assert done.code == 0, done.err
        assert "A first · B second" in done.out and "A first · B third" in done.out
        page = (tmp_path / "all" / "report.html").read_text()
        assert "second beside first" in page and "third beside first" in page


GRADED = [
    ({"code": "print(2 * int(input()))"}, "passed", 3),
    ({"code": "print(2)"}, "wrong_answer", 1),
    ({"code": "n = int(input())\nprint(2 * n)\nn == 3 and 1 / 0"}, "runtime_error", 2),
    ({"code": "while True: pass"}, "timeout", 0),
    ({"code": "x = [0] * (1 << 26)"}, "memory", 0),
    ({"code": "while True: print('x' * 1000)"}, "output_limit", 0),
    ({"text": "I do not know."}, "no_code", 0),
    ({"text": "```python\nprint(2 * int(input()))\n```"}, "passed", 3),
    ({"text": "print(0)", "code": "print(2 * int(input()))", "model": "m", "logprob": -1}, "passed", 3),
    ({"code": None, "text": "print(2 * int(input()))"}, "passed", 3),
    ({"code": None}, "no_code", 0),
    ({"code": ""}, "wrong_answer", 0),
    ({"code": "print(2 * int(input()))"}, "passed", 3),
]


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The rows that came of GRADED, whose indices descend."""
    folder = tmp_path_factory.mktemp("grade")
    write_rows(folder / "problems.jsonl", [SORTED, DOUBLE])
    rows = [{"question_id": "double", "index": -i, **row} for i, (row, _, _) in enumerate(GRADED)]
    write_rows(folder / "candidates.jsonl", rows)
    limits = ("--workers", 2, "--timeout", 0.5, "--memory-mib", 128, "--output-mib", 1)
    done = tts(folder, "grade", "problems.jsonl", "candidates.jsonl", "--out", "new/grades.jsonl", *limits)
    assert done.code == 0, done.err
    return rows_of(folder / "new" / "grades.jsonl")


class Unlucky(Grader):
    """A grader whose machinery fails on every program."""

    def grade(self, jobs):
        for job in jobs:
            yield from (
                [Undecided(job.problem_id, program_hash(job.code), "bad luck")] if job.code else super().grade([job])
            )


class TestGrade:
    def test_rows_have_the_fixed_keys_in_input_order(self, graded):
        assert [(row["question_id"], row["index"]) for row in graded] == [("double", -i) for i in range(len(GRADED))]
        assert {tuple(row) for row in graded} == {GRADE_KEYS}

    @pytest.mark.parametrize("position", range(len(GRADED)))
    def test_verdicts_and_counts(self, graded, position):
        candidate, verdict, passed = GRADED[position]
        row = graded[position]

        assert (row["verdict"], row["tests"], row["passed"]) == (verdict, 3, passed), candidate

    def test_seconds_are_cpu_time(self, graded):
        timeout = next(row for row in graded if row["verdict"] == "timeout")

        assert 0.5 <= timeout["seconds"] < 2
        assert all(row["seconds"] == 0 for row in graded if row["verdict"] == "no_code")

    def test_the_failed_test_and_what_it_cost_are_told(self, graded):
        for row in graded:
            failed = row["verdict"] not in ("passed", "no_code")
            assert row["failed_test"] == (row["passed"] if failed else None)
            assert (row["wall_seconds"] > 0 and row["peak_mib"] > 1) == (row["verdict"] != "no_code")
            assert (row["detail"] != "") == failed

    def test_a_failing_public_test_shows_how_the_answer_differs(self, graded):
        row = graded[11]  # an empty program

        assert (row["verdict"], row["failed_test"]) == ("wrong_answer", 0)
        assert row["diff"] == "At line 1 (1 line expected, 0 printed):\n-2"

    def test_functions_are_called_with_the_preludes_names_there(self, cli, tmp_path):
        codes = {
            "class Solution:\n    def f(self, a): return sorted(a)": "passed",
            "def f(a: List[int]) -> List[int]:\n    return list(deque(sorted(a)))": "passed",
            "def f(a): return a": "wrong_answer",
            "def g(a): return sorted(a)": "runtime_error",
        }
        write_rows(tmp_path / "p.jsonl", [SORTED])
        rows = [{"question_id": "sorted", "index": i, "code": code} for i, code in enumerate(codes)]
        write_rows(tmp_path / "c.jsonl", rows)
        assert cli("grade", "p.jsonl", "c.jsonl", "--out", "g.jsonl").code == 0

        assert [row["verdict"] for row in rows_of(tmp_path / "g.jsonl")] == list(codes.values())

    def test_mini_references_pass_and_wrong_programs_do_not(self, cli, tmp_path):
        write_rows(tmp_path / "p.jsonl", mini_rows(IDS))
        rows = [
            {"question_id": name, "index": i, "code": code} for name in IDS for i, code in enumerate(programs(name))
        ]
        write_rows(tmp_path / "c.jsonl", rows)
        assert cli("grade", "p.jsonl", "c.jsonl", "--out", "g.jsonl").code == 0

        assert all((row["verdict"] == "passed") == (row["index"] == 0) for row in rows_of(tmp_path / "g.jsonl"))

    def test_no_candidates_are_no_grades(self, cli, tmp_path):
        write_rows(tmp_path / "p.jsonl", [DOUBLE])
        write_rows(tmp_path / "c.jsonl", [])

        done = cli("grade", "p.jsonl", "c.jsonl", "--out", "g.jsonl")
        assert done.code == 0 and done.err.startswith("c.jsonl holds no candidate: g.jsonl will be empty.\n")
        assert "pass@1" not in done.err
        assert (tmp_path / "g.jsonl").read_text() == ""

    def test_pass_at_1_is_the_mean_over_problems_and_counts_a_row_as_often_as_it_is_given(self, cli, tmp_path):
        write_rows(tmp_path / "p.jsonl", [DOUBLE, SORTED])
        right, wrong = "print(2 * int(input()))", "print(0)"
        rows = [{"question_id": "double", "index": 0, "code": code} for code in (right, right, wrong, right)]
        write_rows(tmp_path / "c.jsonl", [*rows, {"question_id": "sorted", "index": 0, "code": wrong}])
        done = cli("grade", "p.jsonl", "c.jsonl", "--out", "g.jsonl")

        assert "pass@1 37.5%, the mean over 2 problems with 5 candidates: 3 passed, 1 runtime_error" in done.err
        assert len(rows_of(tmp_path / "g.jsonl")) == 5

    def test_rows_that_differ_are_named_up_to_five(self):
        line = grade_files.differing_line([("q", index) for index in range(7)])

        assert line.startswith("7 rows have another verdict") and line.endswith(": q 0, q 1, q 2, q 3, q 4 and 2 more.")
        none = grade_files.differing_line([])
        assert none.startswith("0 rows have") and none.endswith("comparison.")

    def test_what_our_machinery_could_not_decide_is_infra_error_and_is_not_kept(self, tmp_path):
        write_rows(tmp_path / "p.jsonl", [DOUBLE])
        rows = [
            {"question_id": "double", "index": 0, "code": "print(2)"},
            {"question_id": "double", "index": 1, "text": ""},
        ]
        write_rows(tmp_path / "c.jsonl", rows)

        def found(grader: Grader) -> tuple[grade_files.Graded, list]:
            names = [tmp_path / name for name in ("p.jsonl", "c.jsonl", "g.jsonl")]
            with Verdicts(tmp_path / "cache", print) as verdicts:
                return grade_files.grade(*names, grader, verdicts, Silent()), rows_of(tmp_path / "g.jsonl")

        graded, (failed, none) = found(Unlucky(Limits(), 1))
        nothing = {"seconds": 0.0, "tests": 3, "passed": 0, "failed_test": None, "wall_seconds": 0.0, "peak_mib": 0.0}
        nothing |= {"question_id": "double", "detail": "", "stderr": "", "diff": ""}
        nothing |= {"isolation": "test", "level": str(find_confinement().level), "language": "python"}
        assert failed == nothing | {"index": 0, "verdict": "infra_error", "detail": "bad luck"}
        assert none == nothing | {"index": 1, "verdict": "no_code"}
        assert graded == grade_files.Graded(1, [], 2, 0, {"infra_error": 1, "no_code": 1}, 1, None)

        graded, (again, _) = found(Grader(Limits(), 1))
        assert again["verdict"] == "wrong_answer"
        assert graded == grade_files.Graded(0, [], 2, 0, {"no_code": 1, "wrong_answer": 1}, 1, 0.0)

    @pytest.mark.parametrize(
        ("broken", "reason"),
        [
            ({"public_test_cases": "[]", "private_test_cases": []}, "no tests, neither public nor private"),
            ({"private_test_cases": "bm90IHpsaWI="}, "private_test_cases cannot be decoded"),
            ({"public_test_cases": "[{}]"}, "public_test_cases cannot be decoded"),
        ],
    )
    def test_unusable_tests_are_found_before_anything_is_graded(self, cli, tmp_path, broken, reason):
        write_rows(tmp_path / "p.jsonl", [SORTED, DOUBLE | broken])
        (tmp_path / "g.jsonl").write_text("of before")
        code = f"open({str(tmp_path / 'ran')!r}, 'w')\nprint(2 * int(input()))"
        write_rows(tmp_path / "c.jsonl", [{"question_id": "sorted", "index": 0, "code": code}])
        done = cli("grade", "p.jsonl", "c.jsonl", "--out", "g.jsonl")

        assert done.code == 2
        assert "p.jsonl, line 2" in done.error and reason in done.error
        assert (tmp_path / "g.jsonl").read_text() == "of before"
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize(
        "wrong",
        [
            ["--timeout=0"], ["--timeout=inf"], ["--timeout=soon"], ["--tolerance=0"], ["--tolerance=1"],
            ["--tolerance=nan"], ["--also=lbc"], ["--cache=c", "--no-cache"],
        ],
    )  # fmt: skip
    def test_an_option_that_is_none_exits_2(self, cli, tmp_path, wrong):
        write_rows(tmp_path / "p.jsonl", [DOUBLE])
        write_rows(tmp_path / "c.jsonl", [])

        assert cli("grade", "p.jsonl", "c.jsonl", "--out", "g.jsonl", *wrong).code == 2

    def test_also_lcb_tells_where_livecodebenchs_comparison_differs(self, cli, tmp_path):
        codes = {
            "def f(a): return tuple(sorted(a))": ("passed", None),
            "def f(a): return sorted(a)": ("passed", None),
            "def f(a): return [(1, 2)] if isinstance(a[0], list) else sorted(a)": ("passed", "wrong_answer"),
            "def f(a): return a": ("wrong_answer", None),
        }
        cases = [("[2, 1]", "[1, 2]"), ("[[1, 2]]", "[[1, 2]]")]
        public = [{"input": a, "output": b, "testtype": "functional"} for a, b in cases]
        write_rows(tmp_path / "p.jsonl", [SORTED | {"public_test_cases": json.dumps(public)}])
        given = [{"question_id": "sorted", "index": i, "code": code} for i, code in enumerate(codes)]
        write_rows(tmp_path / "c.jsonl", given)
        done = cli("grade", "p.jsonl", "c.jsonl", "--out", "g.jsonl", "--also", "lcb")

        assert "1 row has another verdict under LiveCodeBench's own comparison: sorted 2.\n" in done.err
        found = [(row["verdict"], row["lcb_verdict"]) for row in rows_of(tmp_path / "g.jsonl")]
        assert found == list(codes.values())

    def test_a_tolerance_is_the_options_or_the_problems_own(self, cli, tmp_path):
        third = DOUBLE | {
            "question_id": "third",
            "public_test_cases": json.dumps([{"input": "", "output": "0.3333333\n7\n", "testtype": "stdin"}]),
            "private_test_cases": "[]",
        }
        strict = third | {"question_id": "strict", "metadata": json.dumps({"tolerance": 1e-9})}
        loose = third | {"question_id": "loose", "metadata": {"tolerance": 0.01}}
        write_rows(tmp_path / "p.jsonl", [third, strict, loose])
        codes = ("print(1 / 3); print(7)", "print(1 / 3 + 0.001); print(7)", "print(1 / 3); print(7.0000001)")
        rows = [
            {"question_id": name, "index": i, "code": code}
            for name in ("third", "strict", "loose")
            for i, code in enumerate(codes)
        ]
        write_rows(tmp_path / "c.jsonl", rows)

        def passed(*options: str) -> list[int]:
            assert cli("grade", "p.jsonl", "c.jsonl", "--out", "g.jsonl", *options).code == 0
            return [i for i, row in enumerate(rows_of(tmp_path / "g.jsonl")) if row["verdict"] == "passed"]

        assert passed() == [6, 7]
        assert passed("--tolerance", "1e-6") == [0, 6, 7]

    @pytest.mark.parametrize("tolerance", [0, -1e-6, 1, True, "1e-6", [1e-6]])
    def test_a_tolerance_that_is_none_names_the_line(self, cli, tmp_path, tolerance):
        write_rows(tmp_path / "p.jsonl", [DOUBLE | {"metadata": json.dumps({"tolerance": tolerance})}])
        write_rows(tmp_path / "c.jsonl", [])
        done = cli("grade", "p.jsonl", "c.jsonl", "--out", "g.jsonl")

        assert done.code == 2
        assert "p.jsonl, line 1: metadata.tolerance must be a number between 0 and 1" in done.error

    def test_nothing_of_a_hidden_test_is_in_the_file(self, cli, tmp_path):
        needles = {"input": "4815162342", "output": "9630324684"}
        hidden = [needles | {"testtype": "stdin"}]
        write_rows(tmp_path / "p.jsonl", [DOUBLE | {"private_test_cases": json.dumps(hidden)}])
        read = "n = input()\nif len(n) < 5:\n    print(2 * int(n)); quit()\n"
        ways = (
            "print(n)", "raise ValueError(n)", "import sys; sys.exit(n)",
            "import sys; print(n, file=sys.stderr); 1 / 0",
            "type('E' + n, (Exception,), {})()", "raise type('E' + n, (Exception,), {})", "import os; os.abort()",
            "while True: print(n)", "print(n, file=__import__('sys').stderr, flush=True)\nwhile True: pass",
            "open(n)", "print(n); print(2 * int(n))", "x = [n] * (1 << 27)",
        )  # fmt: skip
        rows = [{"question_id": "double", "index": i, "code": read + way} for i, way in enumerate(ways)]
        write_rows(tmp_path / "c.jsonl", rows)
        limits = ("--timeout", 0.5, "--memory-mib", 128, "--output-mib", 1, "--also", "lcb")
        assert cli("grade", "p.jsonl", "c.jsonl", "--out", "g.jsonl", *limits, "--cache", "kept.sqlite").code == 0

        found = rows_of(tmp_path / "g.jsonl")
        assert {row["failed_test"] for row in found} == {1}
        written = b"".join(path.read_bytes() for path in [tmp_path / "g.jsonl", *tmp_path.glob("kept.sqlite*")])
        assert not any(needle.encode() in written for needle in needles.values())
        assert "ZeroDivisionError" in found[3]["detail"]


class TestScore:
    @pytest.fixture
    def pairs(self, tmp_path):
        rows = [
            {"id": name, "question": "q", "code": code}
            for name, code in (("z", "x = 1"), (3, "x"), ("a", "x = 10"), ("z", ""), ("\ud800", "x = 1"))
        ]
        return write_rows(tmp_path / "pairs.jsonl", rows)

    def test_writes_id_value_and_why_in_input_order(self, cli, tmp_path, pairs):
        done = cli("score", "pairs.jsonl", "--scorer", "length", "--out", "s.jsonl")

        assert done.code == 0, done.err
        rows = rows_of(tmp_path / "s.jsonl")
        assert [row["id"] for row in rows] == ["z", 3, "a", "z", "\ud800"]
        assert [row["value"] for row in rows] == [-5.0, -1.0, -6.0, 0.0, -5.0]
        assert {tuple(row) for row in rows} == {("id", "value", "why")}

    def test_options_are_bare(self, cli, tmp_path, pairs):
        assert cli("score", "pairs.jsonl", "prefer=long", "--scorer", "length", "--out", "s.jsonl").code == 0

        assert [row["value"] for row in rows_of(tmp_path / "s.jsonl")] == [5.0, 1.0, 6.0, 0.0, 5.0]

    def test_no_value_says_why(self, cli, tmp_path, pairs):
        assert cli("score", "pairs.jsonl", "--scorer", "likelihood", "--out", "s.jsonl").code == 0

        rows = rows_of(tmp_path / "s.jsonl")
        assert {(row["value"], row["why"]) for row in rows} == {(None, "the generator gave no log probability")}

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["prefr=long", "--scorer", "length"], "Did you mean 'prefer'"),
            (["prefer=middle", "--scorer", "length"], "prefer: input should be 'short' or 'long', got 'middle'"),
            (["prefer", "--scorer", "length"], "An option is key=value, got 'prefer'. `tts list` has"),
            (["--scorer", "lenght"], "Did you mean 'length'"),
        ],
    )
    def test_wrong_options_exit_2(self, cli, tmp_path, pairs, arguments, reason):
        done = cli("score", "pairs.jsonl", *arguments, "--out", "s.jsonl")

        assert done.code == 2
        assert reason in done.error
        assert not (tmp_path / "s.jsonl").exists()


class TestExtract:
    TEXT = "Sure:\n```python\nprint('é')\n```\nDone."

    def test_prints_the_code_and_the_rule_on_standard_error(self, cli, tmp_path):
        (tmp_path / "answer.txt").write_text(self.TEXT)
        done = cli("extract", "answer.txt")

        assert (done.code, done.out, done.err) == (0, "print('é')\n", "tagged\n")

    def test_reads_standard_input(self, cli):
        done = cli("extract", "-", given=self.TEXT)

        assert (done.code, done.out, done.err) == (0, "print('é')\n", "tagged\n")

    def test_takes_another_rule(self, cli):
        done = cli("extract", "-", "--rule", "codescaler", given=self.TEXT)

        assert (done.code, done.out, done.err) == (0, "print('é')\n", "tagged\n")

    def test_prints_nothing_where_there_is_no_program(self, cli):
        done = cli("extract", "-", given="I do not know.")

        assert (done.code, done.out, done.err) == (0, "", "none\n")

    @pytest.mark.parametrize("arguments", [["nowhere.txt"], ["-", "--rule", "cascad"], ["."]])
    def test_what_cannot_be_done_exits_2(self, cli, arguments):
        done = cli("extract", *arguments)

        assert done.code == 2
        assert done.err.startswith("Error: ")


@pytest.fixture(scope="module")
def rows(finished):
    done = tts(finished, "export", "run", "--to", "new/rows.jsonl")
    assert done.code == 0, done.err
    return rows_of(finished / "new" / "rows.jsonl")


class TestExport:
    def test_rows_have_the_fixed_keys_in_their_order(self, rows):
        assert {tuple(row) for row in rows} == {ROW_KEYS}
        assert {tuple(row["scores"]) for row in rows} == {("likelihood", "length")}

    def test_rows_are_ordered_by_problem_and_index(self, rows):
        assert [(row["question_id"], row["index"]) for row in rows] == [(name, i) for name in IDS for i in range(4)]

    def test_rows_hold_what_was_sampled_scored_and_graded(self, rows):
        code = programs(IDS[0])[1]

        measured = {"seconds": 0, "wall_seconds": 0, "peak_mib": 0, "detail": "", "diff": ""}
        assert rows[1] | measured == {
            "question_id": IDS[0],
            "index": 1,
            "text": f"Here it is:\n```python\n{code}```",
            "code": code,
            "extraction": "tagged",
            "finish": "stop",
            "prompt_tokens": None,
            "tokens": 11,
            "logprob": -0.1,
            "scores": {"likelihood": -0.1, "length": -len(code)},
            "verdict": "wrong_answer",
            "failed_test": 0,
            "stderr": "",
            **measured,
        }
        assert (rows[1]["detail"], rows[1]["diff"][:2]) == ("test 0: wrong answer", "At")
        assert all(row["seconds"] > 0 and row["wall_seconds"] > 0 and row["peak_mib"] > 1 for row in rows)

    def test_parquet_holds_the_same_values(self, finished, rows, tmp_path):
        parquet = pytest.importorskip("pyarrow.parquet")
        done = tts(finished, "export", "run", "--to", tmp_path / "rows.parquet")

        assert done.code == 0, done.err
        assert parquet.read_table(tmp_path / "rows.parquet").to_pylist() == rows

    def test_livecodebenchs_own_format(self, finished, tmp_path):
        done = tts(finished, "export", "run", "--to", tmp_path / "lcb.json", "--format", "livecodebench")

        assert done.code == 0, done.err
        found = json.loads((tmp_path / "lcb.json").read_text())
        assert [row["question_id"] for row in found] == list(IDS)
        assert found[0]["code_list"] == programs(IDS[0])[:4]
        assert [text[:4] for text in found[0]["output_list"]] == ["Here"] * 4
        given = mini_rows(IDS[:1])[0]
        for key in ("question_title", "question_content", "platform", "contest_id", "contest_date", "difficulty"):
            assert found[0][key] == given[key]

    def test_a_run_without_scorers_exports_to_both_formats(self, small, cli, tmp_path):
        small.write(scorers=[], selectors=["majority"])
        bring_up(small)

        for name in ("rows.jsonl", "rows.parquet"):
            assert cli("export", "run", "--to", name).code == 0
        assert rows_of(tmp_path / "rows.jsonl")[0]["scores"] == {}

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["--to", "rows.csv"], "must end in .jsonl or .parquet, got 'rows.csv'"),
            (["--to", "rows.jsonl", "--format", "livecodebnch"], "Did you mean 'livecodebench'"),
            (["--to", "/proc/rows.jsonl"], "/proc/rows.jsonl cannot be written"),
            (["--to", "run/run.sqlite/rows.parquet"], "run/run.sqlite/rows.parquet cannot be written"),
        ],
    )
    def test_what_cannot_be_written_exits_2(self, finished, arguments, reason):
        done = tts(finished, "export", "run", *arguments)

        assert done.code == 2
        assert reason in done.error


def test_sandbox_check_says_of_each_level_what_it_comes_to(cli):
    done = cli("sandbox-check")
    said = [line for line in done.out.splitlines() if line.startswith("Level ")]

    assert done.code == 0
    assert "no sandbox: the same program unconfined" in done.out
    for line, report in zip(said, map(examine, Level), strict=True):
        level = report.confinement.level
        holds = "holds:" if level in "AB" else "can be asked for:"
        assert line.startswith(f"Level {level} {holds}" if report.holds else f"Level {level} does not hold: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--curve", "argmx"], "No 'argmx' in the curves of these runs. Did you mean 'argmax'?"),
        (["--curve", "argmax", "--format", "md"], "--curve is for pictures and pages"),
    ],
)
def test_curves_that_cannot_be_drawn_are_refused(finished: Path, cli, arguments: list[str], said: str):
    done = cli("report", finished / "run", *arguments)

    assert done.code == 2 and said in done.error


def test_list_shows_every_plugin_with_its_options_and_defaults(cli):
    done = cli("list")

    assert done.code == 0
    for family in plugins.FAMILIES:
        for name in plugins.names(family):
            assert re.search(rf"^  {name}: \S", done.out, re.MULTILINE)
            for option in plugins.options(plugins.find(family, name)):
                assert f"      {option.name}: {option.type} = {option.default}\n" in done.out


class TestReplay:
    def test_code_is_taken_as_it_is(self, small: Small, cli, tmp_path):
        rows = [
            {"question_id": IDS[0], "index": i, "code": code} for i, code in enumerate(["x = (", programs(IDS[0])[0]])
        ]
        write_rows(tmp_path / "samples.jsonl", rows)
        bring_up(small, "benchmark.limit=1")
        cli("export", "run", "--to", "rows.jsonl")

        broken, right = rows_of(tmp_path / "rows.jsonl")
        assert (broken["code"], broken["extraction"], broken["verdict"]) == ("x = (", "unparsable", "runtime_error")
        assert (right["text"], right["extraction"], right["verdict"]) == (rows[1]["code"], "given", "passed")

    def test_n_takes_the_first_so_many(self, small: Small, cli, tmp_path):
        bring_up(small, "generator.n=2")
        cli("export", "run", "--to", "rows.jsonl")

        assert [row["index"] for row in rows_of(tmp_path / "rows.jsonl")] == [0, 1] * 3
        assert math.isclose(rows_of(tmp_path / "rows.jsonl")[1]["logprob"], -0.1)


def test_a_model_that_is_still_computing_is_left_without_the_interpreter_s_end():
    program = """
import atexit, threading, time
from tts import cli
from tts.engine import THREAD
atexit.register(print, "the interpreter's end")
for name in ("another", THREAD):
    threading.Thread(target=time.sleep, args=(60,), daemon=True, name=name).start()
    print(cli._is_computing())
print("said")
cli._leave(130)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (130, ["False", "True", "said"], "")


def test_the_version_is_said(tmp_path):
    assert tts(tmp_path, "--version").out == f"tts {__version__}\n"
