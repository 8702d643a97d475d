"""Rows in LiveCodeBench's format, made here in every encoding, filtered, decoded, and refused where they are broken."""

import base64
import contextlib
import datetime
import gzip
import json
import os
import pickle
import subprocess
import sys
import time
import zlib
from collections import Counter, OrderedDict
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.errors import ConfigError, DataError, UserError
from tts.problems import _tests as encoding
from tts.problems._errata import PUBLISHED
from tts.problems.jsonl import Jsonl
from tts.problems.livecodebench import RELEASES, LiveCodeBench
from tts.problems.mini import Mini
from tts.sandbox.guest import wire
from tts.types import Call, Message, Problem, Stdin, Tolerance

CONTEST = Path(__file__).parents[2] / "shared" / "data" / "leetcode-contest.lcb.jsonl"

PUBLIC = [{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]
HIDDEN = [{"input": "5 6\n", "output": "11\n", "testtype": "stdin"}, {"input": "0 0\n", "output": "0\n"}]


def row(number: int = 1, **changes) -> dict:
    """A valid stdin row, with some columns replaced."""
    return {
        "question_title": f"Title {number}",
        "question_content": f"Add the numbers, {number}.",
        "platform": "atcoder",
        "question_id": f"q{number}",
        "contest_id": "abc1",
        "contest_date": "2024-01-15T00:00:00",
        "starter_code": "",
        "difficulty": "easy",
        "public_test_cases": json.dumps(PUBLIC),
        "private_test_cases": json.dumps(HIDDEN),
        "metadata": "{}",
    } | changes


def functional(**changes) -> dict:
    """A valid functional row."""
    case = {"input": '[1, 2]\n"a"', "output": "[2, 1]", "testtype": "functional"}
    columns = {
        "starter_code": "class Solution:\n    def swap(self, nums: List[int], s: str) -> List[int]:\n        ",
        "public_test_cases": json.dumps([case]),
        "private_test_cases": packed(json.dumps([case, case])),
        "metadata": json.dumps({"func_name": "swap"}),
    }
    return row(**columns | changes)


def packed(text: object, protocol: int = pickle.DEFAULT_PROTOCOL) -> str:
    """LiveCodeBench's packing: base64 of zlib of a pickle."""
    return sealed(pickle.dumps(text, protocol))


def sealed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


def write(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


@pytest.fixture
def bench(tmp_path):
    """A benchmark of the given rows, in a real file."""
    return lambda *rows, **options: Jsonl(path=str(write(tmp_path / "rows.jsonl", *rows)), **options)


def ids(benchmark) -> list[str]:
    return [problem.id for problem in benchmark.problems()]


def refusal(call, *arguments, kind=DataError) -> str:
    with pytest.raises(kind) as caught:
        call(*arguments)
    assert isinstance(caught.value, UserError)
    return str(caught.value)


# What a row becomes.


@pytest.mark.parametrize(
    "column",
    [
        json.dumps(HIDDEN),
        "\n " + json.dumps(HIDDEN),
        HIDDEN,
        *(packed(json.dumps(HIDDEN), protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)),
    ],
    ids=["json", "indented json", "list", *(f"pickle {p}" for p in range(pickle.HIGHEST_PROTOCOL + 1))],
)
def test_hidden_tests_are_read_in_every_encoding(bench, column):
    benchmark = bench(row(private_test_cases=column))

    assert benchmark.tests("q1") == (Stdin("1 2\n", "3\n"), Stdin("5 6\n", "11\n"), Stdin("0 0\n", "0\n"))


def test_packed_public_tests_are_read_too(bench):
    (problem,) = bench(row(public_test_cases=packed(json.dumps(PUBLIC)))).problems()

    assert problem.public_tests == (Stdin("1 2\n", "3\n"),)


def test_functional_tests_are_calls_with_one_json_value_a_line(bench):
    benchmark = bench(functional())

    assert benchmark.tests("q1") == (Call("swap", ([1, 2], "a"), [2, 1]),) * 3


def test_metadata_may_be_an_object_and_testtype_follows_from_it(bench):
    case = [{"input": "", "output": "null"}]
    benchmark = bench(functional(metadata={"func_name": "f"}, public_test_cases=case, private_test_cases=[]))

    assert benchmark.tests("q1") == (Call("f", (), None),)


def test_a_tolerance_of_the_authors_is_of_every_test_and_others_have_none(bench):
    metadata = ("{}", json.dumps({"tolerance": 1e-6}), {"tolerance": 0.5}, json.dumps({"tolerance": None}))
    benchmark = bench(*(row(number, metadata=value) for number, value in enumerate(metadata)))
    expected = [None, Tolerance(1e-6, 1e-6), Tolerance(0.5, 0.5), None]

    assert [{test.tolerance for test in benchmark.tests(p.id)} for p in benchmark.problems()] == [{t} for t in expected]
    assert [{test.tolerance for test in p.public_tests} for p in benchmark.problems()] == [{t} for t in expected]


def test_any_text_survives_packing():
    text = json.dumps([{"input": "é\u2028\U0001f600\x00\n", "output": "x" * 70_000}])

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert encoding.unpack(packed(text, protocol)) == text
        assert encoding.unpack(packed("é\U0001f600\n\\u0041", protocol)) == "é\U0001f600\n\\u0041"


def test_a_problem_holds_what_a_model_may_see(bench):
    (problem,) = bench(row()).problems()

    assert (problem.id, problem.statement, problem.starter_code) == ("q1", "Add the numbers, 1.", "")
    assert problem.public_tests == (Stdin("1 2\n", "3\n"),)
    assert problem.tags == {
        "title": "Title 1",
        "platform": "atcoder",
        "difficulty": "easy",
        "contest_id": "abc1",
        "contest_date": "2024-01-15T00:00:00",
    }


def test_only_an_id_a_statement_and_tests_are_needed(bench):
    (problem,) = bench({"question_id": 7, "question_content": "Q", "public_test_cases": PUBLIC}).problems()

    assert problem.id == "7"
    assert problem.tags["difficulty"] == ""


def test_hidden_tests_are_nowhere_in_a_problem(bench):
    secret = [{"input": "SECRET-IN", "output": "SECRET-OUT"}]

    for column in (json.dumps(secret), packed(json.dumps(secret)), secret):
        (problem,) = bench(row(private_test_cases=column)).problems()
        assert "SECRET" not in str(asdict(problem)) + repr(problem)
        assert base64.b64encode(b"SECRET").decode()[:6] not in str(asdict(problem))


def test_the_digest_changes_when_a_hidden_test_changes(bench):
    other = [*HIDDEN[:-1], {"input": "0 0\n", "output": "1\n"}]
    digests = {
        bench(changed).problems()[0].digest for changed in (row(), row(private_test_cases=json.dumps(other)), row())
    }

    assert len(digests) == 2
    assert all(len(digest) == 32 for digest in digests)


def test_the_digest_does_not_depend_on_the_rows_place(bench):
    assert bench(row(1), row(2)).problems()[1].digest == bench(row(2)).problems()[0].digest


# The prompt, LiveCodeBench's own to the letter (lcb_runner/prompts/code_generation.py).

SYSTEM = Message(
    "system",
    "You are an expert Python programmer. You will be given a question (problem specification) and will generate a "
    "correct Python program that matches the specification and passes all tests.",
)


def test_the_prompt_of_a_stdin_problem(bench):
    (problem,) = bench(row(question_content="Print 1.\n\nSample")).problems()

    assert problem.messages == (
        SYSTEM,
        Message(
            "user",
            "### Question:\nPrint 1.\n\nSample\n\n"
            "### Format: Read the inputs from stdin solve the problem and write the answer to stdout (do not directly "
            "test on the sample inputs). Enclose your code within delimiters as follows. Ensure that when the python "
            "program runs, it reads the inputs, runs the algorithm and writes output to STDOUT.\n"
            "```python\n# YOUR CODE HERE\n```\n\n"
            "### Answer: (use the provided format with backticks)\n\n",
        ),
    )


def test_the_prompt_of_a_problem_with_starter_code(bench):
    (problem,) = bench(functional(question_content="Swap.")).problems()

    assert problem.messages == (
        SYSTEM,
        Message(
            "user",
            "### Question:\nSwap.\n\n"
            "### Format: You will use the following starter code to write the solution to the problem and enclose your "
            "code within delimiters.\n"
            "```python\nclass Solution:\n    def swap(self, nums: List[int], s: str) -> List[int]:\n        \n```\n\n"
            "### Answer: (use the provided format with backticks)\n\n",
        ),
    )


# Filters.

VARIED = (
    row(1, contest_date="2023-12-31T23:59:00", difficulty="easy", platform="leetcode"),
    row(2, contest_date="2024-01-01T00:00:00", difficulty="medium", platform="atcoder"),
    row(3, contest_date="2024-02-01T12:00:00", difficulty="hard", platform="codeforces"),
    row(4, contest_date="", difficulty="easy", platform="atcoder"),
)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["q1", "q2", "q3", "q4"]),
        ({"start_date": "2024-01-01"}, ["q2", "q3"]),
        ({"end_date": "2024-01-01"}, ["q1", "q2"]),
        ({"start_date": "2024-01-01", "end_date": "2024-01-31"}, ["q2"]),
        ({"end_date": "2024-02-01"}, ["q1", "q2", "q3"]),
        ({"difficulty": ("easy", "hard")}, ["q1", "q3", "q4"]),
        ({"platform": ("atcoder",)}, ["q2", "q4"]),
        ({"platform": ("atcoder",), "difficulty": ("easy",)}, ["q4"]),
        ({"ids": ("q3", "q1")}, ["q1", "q3"]),
        ({"limit": 2}, ["q1", "q2"]),
        ({"limit": 9}, ["q1", "q2", "q3", "q4"]),
        ({"platform": ("atcoder",), "limit": 1}, ["q2"]),
    ],
)
def test_filters(bench, options, expected):
    assert ids(bench(*VARIED, **options)) == expected


def test_filters_that_leave_nothing_are_an_error(bench):
    assert "Widen" in refusal(bench(*VARIED, difficulty=("impossible",)).problems)


def test_an_unknown_id_gets_the_nearest(bench):
    message = refusal(bench(*VARIED, ids=("q2", "q33")).problems)

    assert "No 'q33' in this benchmark's ids. Did you mean 'q3'?" in message


@pytest.mark.parametrize("limit", [None, 1])
def test_a_wanted_id_that_a_filter_leaves_out_is_an_error(bench, limit):
    options = {
        "ids": ("q1", "q2", "q3"),
        "start_date": "2024-01-01",
        "platform": ("leetcode", "atcoder"),
        "limit": limit,
    }
    message = refusal(bench(*VARIED, **options).problems)

    assert "benchmark.ids names 'q1' (" in message and "rows.jsonl, line 1) and 1 more, left out by" in message
    assert "benchmark.start_date='2024-01-01', benchmark.platform=('leetcode', 'atcoder')." in message
    assert ids(bench(*VARIED, **options | {"ids": ("q2",)})) == ["q2"]


def test_filtered_problems_keep_their_tests(bench):
    assert len(bench(*VARIED, ids=("q3",)).tests("q3")) == 3


@pytest.mark.parametrize("day", ["2024-1-1", "20240101", "Jan 2024", "2024-13-01", "2024-01-01T00:00:00"])
def test_a_date_that_would_compare_wrongly_is_refused(day):
    for name in ("start_date", "end_date"):
        message = refusal(lambda name=name: Jsonl(path="x", **{name: day}), kind=ConfigError)
        assert f"benchmark.{name} must be an ISO day" in message
        assert repr(day) in message


def test_a_window_that_holds_no_day_is_refused_and_one_of_a_single_day_is_not():
    begin = partial(Jsonl, path="x", start_date="2024-02-01")
    message = refusal(lambda: begin(end_date="2024-01-31"), kind=ConfigError)
    assert "must not be after benchmark.end_date, got 2024-02-01 and 2024-01-31" in message
    assert begin(end_date="2024-02-01").admits(Problem("p", "", (), tags={"contest_date": "2024-02-01T00:00:00"}))


@pytest.mark.parametrize(
    ("pack", "said"),
    [
        (gzip.compress, "is gzipped, and its name does not end in .gz. Rename"),
        (lambda text: text.decode().encode("utf-16"), "is text in UTF-16. Write it in UTF-8"),
        (lambda text: b"PAR1" + text, "is Parquet, and its name does not end in .parquet. Rename"),
    ],
)
def test_a_file_that_is_no_text_is_told_by_what_it_is(tmp_path, pack, said):
    write(tmp_path / "rows.jsonl", row(1))
    (tmp_path / "rows.jsonl").write_bytes(pack((tmp_path / "rows.jsonl").read_bytes()))
    assert f"rows.jsonl {said}" in refusal(Jsonl(path=str(tmp_path / "rows.jsonl")).problems)


def test_a_limit_below_one_is_refused():
    assert "at least 1, got 0" in refusal(lambda: Jsonl(path="x", limit=0), kind=ConfigError)


# Where the rows are.


def release_folder(folder: Path, count: int) -> Path:
    for i in range(1, count + 1):
        write(folder / ("test.jsonl" if i == 1 else f"test{i}.jsonl"), row(i))
    write(folder / "zz_other.jsonl", row(99))
    return folder


def test_a_release_is_the_first_so_many_files_of_a_folder(tmp_path):
    folder = str(release_folder(tmp_path, 6))

    for number in range(1, 7):
        assert ids(LiveCodeBench(path=folder, release=f"v{number}")) == [f"q{i}" for i in range(1, number + 1)]


def test_a_release_of_which_files_are_missing_is_an_error(tmp_path):
    folder = str(release_folder(tmp_path, 2))

    assert "lacks test3.jsonl, test4.jsonl of release v4" in refusal(LiveCodeBench(path=folder, release="v4").problems)
    assert ids(LiveCodeBench(path=folder, release="v2")) == ["q1", "q2"]


def test_a_folder_of_other_names_is_read_whole_in_order(tmp_path):
    write(tmp_path / "b.jsonl", row(1))
    write(tmp_path / "a.jsonl", row(2))
    (tmp_path / "notes.txt").write_text("not rows")

    assert ids(LiveCodeBench(path=str(tmp_path))) == ids(Jsonl(path=str(tmp_path))) == ["q2", "q1"]


def test_a_single_file_is_enough(tmp_path):
    assert ids(LiveCodeBench(path=str(write(tmp_path / "x.jsonl", row())))) == ["q1"]


def test_a_folder_without_rows_is_an_error(tmp_path):
    assert "holds no .jsonl or .parquet file" in refusal(Jsonl(path=str(tmp_path)).problems)


def test_an_absent_file_is_an_error_that_says_what_to_give(tmp_path):
    path = str(tmp_path / "none.jsonl")

    assert "cannot be read: No such file" in refusal(Jsonl(path=path).problems)
    assert "Set benchmark.path" in refusal(LiveCodeBench(path=path).problems)


@pytest.mark.parametrize(
    ("name", "repository"),
    [("livecodebench", "livecodebench/code_generation_lite"), ("codecontests", "deepmind/code_contests")],
)
def test_a_hub_name_without_a_network_is_an_error_with_the_remedy(tmp_path, name, repository):
    script = (
        "from tts import plugins\nfrom tts.errors import DataError\n"
        f"try:\n    plugins.build('benchmark', '{name}').problems()\nexcept DataError as error:\n    print(error)\n"
    )
    begun = time.monotonic()

    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert repository in done.stdout
    assert "set benchmark.path" in done.stdout
    assert time.monotonic() - begun < 20


def test_tests_are_read_from_the_right_row_of_the_right_file(tmp_path):
    for name in "ab":
        cases = [[{"input": f"{name}{i}", "output": "é" * i}] for i in range(5)]
        rows = [row(f"-{name}{i}", private_test_cases=case) for i, case in enumerate(cases)]
        lines = [json.dumps(one, ensure_ascii=False) for one in rows]
        (tmp_path / f"{name}.jsonl").write_text("\n\n".join(lines), encoding="utf-8")  # no newline at the end
    benchmark = Jsonl(path=str(tmp_path))

    for name in "ba":
        for i in range(5):
            assert benchmark.tests(f"q-{name}{i}")[1] == Stdin(f"{name}{i}", "é" * i)


def test_a_file_that_changes_under_a_run_is_noticed(tmp_path):
    path = write(tmp_path / "rows.jsonl", row(1), row(2))
    benchmark = Jsonl(path=str(path))
    benchmark.problems()

    write(path, row(2), row(1))
    assert "has changed" in refusal(benchmark.tests, "q1")
    path.unlink()
    assert "cannot be read: No such file" in refusal(benchmark.tests, "q1")


# Releases and errata.


def said(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "tts"]


def test_the_published_sizes_of_the_releases():
    sizes = [size for _, size in RELEASES.values()]

    assert list(RELEASES) == ["v1", "v2", "v3", "v4", "v5", "v6"]
    assert sizes == [400, 511, 612, 713, 880, 1055]


def test_a_release_of_another_size_is_said_whatever_the_filters(tmp_path, caplog):
    folder = str(release_folder(tmp_path, 2))

    LiveCodeBench(path=folder, release="v2", ids=("q2",)).problems()

    assert said(caplog) == [f"{folder} holds 2 problems; release v2 has 511."]


def test_a_release_of_its_size_and_files_of_other_names_need_no_word(tmp_path, caplog):
    write(tmp_path / "test.jsonl", *(row(number) for number in range(400)))
    LiveCodeBench(path=str(tmp_path), release="v1").problems()
    write(tmp_path / "mine.jsonl", row(1))
    LiveCodeBench(path=str(tmp_path / "mine.jsonl")).problems()

    assert said(caplog) == []


def test_a_published_erratum_is_a_tag_by_id_or_by_title(tmp_path):
    rows = (
        row(1, question_id="abc337_e"),
        row(2, question_title="find-the-peaks"),
        row(3, question_title="Find the Peaks"),
        row(4, question_id="abc350_c"),
        row(5, question_title="find the peaks of it"),
    )
    found = LiveCodeBench(path=str(write(tmp_path / "rows.jsonl", *rows))).problems()

    kinds = [problem.tags.get("errata") for problem in found]
    assert kinds == ["interactive", "multiple_answers", "multiple_answers", "bad_tests", None]


def test_fourteen_problems_are_published_errata_of_three_kinds():
    assert Counter(PUBLISHED.values()) == {"multiple_answers": 9, "interactive": 2, "bad_tests": 3}


def test_a_user_s_errata_are_tags_and_those_of_no_problem_are_named(tmp_path, caplog):
    errata = write(
        tmp_path / "errata.jsonl",
        {"question_id": "q2", "kind": "bad_tests", "note": "its third test contradicts the statement"},
        {"question_id": "q9", "kind": "interactive"},
    )
    path = write(tmp_path / "rows.jsonl", row(1), row(2))

    found = LiveCodeBench(path=str(path), errata=str(errata)).problems()

    assert [problem.tags.get("errata") for problem in found] == [None, "bad_tests"]
    assert said(caplog) == [f"{errata}: no problem here has the id 'q9'."]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"question_id": "q1"}, "kind must be str, got nothing"),
        ({"kind": "bad_tests"}, "question_id must be str or int, got nothing"),
        ({"question_id": "q1", "kind": "bad_test"}, "No 'bad_test' in the kinds of errata. Did you mean 'bad_tests'?"),
        ({"question_id": "q1", "kind": "bad_tests", "note": 1}, "note must be str, got 1"),
        ({"question_id": "q0", "kind": "bad_tests"}, "question_id 'q0' is there twice"),
    ],
)
def test_a_broken_line_of_errata_is_named_by_its_number(tmp_path, line, reason):
    errata = write(tmp_path / "errata.jsonl", {"question_id": "q0", "kind": "interactive"}, line)
    path = write(tmp_path / "rows.jsonl", row(1))

    message = refusal(LiveCodeBench(path=str(path), errata=str(errata)).problems)

    assert "errata.jsonl, line 2: " in message and reason in message


# Broken rows: the file, the line's number, the reason.


def test_a_line_that_is_no_json_is_named_by_its_number(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row(1)) + "\n\n" + '{"question_id": \n')

    message = refusal(Jsonl(path=str(path)).problems)

    assert "rows.jsonl, line 3: not JSON" in message
    assert "Expecting value" in message
    assert "Mend or delete this line" in message


@pytest.mark.parametrize("line", [b"[1]", b'"x"', b"3", b"null"])
def test_a_line_that_is_no_object_is_refused(tmp_path, line):
    (tmp_path / "rows.jsonl").write_bytes(line + b"\n")

    assert "line 1: a row must be a JSON object" in refusal(Jsonl(path=str(tmp_path)).problems)


@pytest.mark.parametrize("line", [b'{"question_id": "\xff"}', b"\x00", b"[" * 100_000])
def test_bytes_that_no_json_has_are_refused(tmp_path, line):
    (tmp_path / "rows.jsonl").write_bytes(line)

    assert "line 1: not JSON" in refusal(Jsonl(path=str(tmp_path)).problems)


@pytest.mark.parametrize("column", ["question_id", "question_content"])
@pytest.mark.parametrize("value", [None, "", ["q"], {}])
def test_a_row_without_id_or_statement_is_refused(bench, column, value):
    message = refusal(bench(row(1), row(2, **{column: value})).problems)

    assert f"line 2: {column} is missing" in message


@pytest.mark.parametrize("column", ["question_id", "question_content", "starter_code"])
def test_what_no_tokenizer_takes_is_refused(bench, column):
    message = refusal(bench(row(), row(2, **{column: "a \ud800"})).problems)

    assert "line 2: 'a \\ud800' is no Unicode text" in message


def test_an_absent_id_is_refused(bench):
    without = row()
    del without["question_id"]

    assert "line 1: question_id is missing" in refusal(bench(without).problems)


def test_an_id_given_twice_is_refused_also_the_second_time_of_asking(bench):
    benchmark = bench(row(1), row(2), row(1))

    for _ in range(2):
        message = refusal(benchmark.problems)
        assert "line 3: the id 'q1' is there twice, first at " in message
        assert message.endswith(", line 1. Rename one.")


def test_an_id_given_twice_in_two_files_is_refused(tmp_path):
    write(tmp_path / "a.jsonl", row(1))
    write(tmp_path / "b.jsonl", row(1))

    assert "b.jsonl, line 1: the id 'q1' is there twice" in refusal(Jsonl(path=str(tmp_path)).problems)


@pytest.mark.parametrize("empty", ["", "[]", [], None])
def test_a_problem_without_tests_is_refused_when_they_are_asked_for(bench, empty):
    benchmark = bench(row(public_test_cases=empty, private_test_cases=empty))

    assert "line 1 (q1): no tests, neither public nor private" in refusal(benchmark.tests, "q1")


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ("[1", "Expecting"),
        ("[1]", "list of objects"),
        ({"input": "", "output": ""}, "list of objects"),
        (7, "list of objects"),
        ([{"input": ""}], "no 'output'"),
        ([{"output": ""}], "no 'input'"),
        ([{"input": 1, "output": ""}], "must be strings"),
        ([{"input": "", "output": "", "testtype": "oral"}], "'oral'"),
        ([{"input": "1", "output": "1", "testtype": "functional"}], "metadata.func_name"),
        ("%%%", "base64"),
        ("AAAA", "zlib"),
        (base64.b64encode(zlib.compress(b"x" * 999)[:-9]).decode(), "cut short"),
        (sealed(b"no pickle"), "pickle"),
        (sealed(b""), "pickle"),
        (sealed(pickle.dumps("[]")[:-1]), "pickle"),
        (packed("not json"), "Expecting"),
        (packed('{"input": "", "output": ""}'), "list of objects"),
    ],
)
def test_tests_that_cannot_be_decoded_are_refused_with_the_reason(bench, column, reason):
    message = refusal(bench(row(private_test_cases=column)).tests, "q1")

    assert "line 1 (q1): private_test_cases cannot be decoded" in message
    assert reason in message


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ("{", "metadata is not JSON"),
        ("[" * 100_000, "metadata is not JSON"),
        ("7", "metadata must be an object"),
        ([{}], "metadata must be an object"),
        ({"func_name": 3}, "metadata: func_name must be str, got 3"),
        ({"func_name": ["f"]}, "metadata: func_name must be str"),
        ({"func_name": "(lambda *a: 1)"}, "metadata.func_name must be the name of a function"),
    ],
)
def test_unusable_metadata_is_refused(bench, metadata, reason):
    message = refusal(bench(row(), functional(metadata=metadata, question_id="q2")).problems)

    assert "line 2" in message
    assert reason in message


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("question_id", True, "question_id is missing or not a string"),
        ("starter_code", ["def f():"], "starter_code must be str, got"),
        ("platform", {"name": "atcoder"}, "platform must be str or int, got"),
        ("question_title", 1.5, "question_title must be str or int, got 1.5"),
        ("contest_date", 20240115, "contest_date must be str, got 20240115"),
        ("contest_date", "15/01/2024", "contest_date must begin with an ISO day"),
        ("contest_date", "2024-1-15", "contest_date must begin with an ISO day"),
        ("public_test_cases", {}, "public_test_cases cannot be decoded"),
        ("public_test_cases", False, "public_test_cases cannot be decoded"),
    ],
)
def test_a_column_of_another_type_or_form_is_refused(bench, column, value, reason):
    message = refusal(bench(row(), row(2, **{column: value})).problems)

    assert "line 2" in message
    assert reason in message


@pytest.mark.parametrize("case", [{"input": "[1", "output": "1"}, {"input": "1", "output": "one"}])
def test_functional_values_must_be_json(bench, case):
    assert "cannot be decoded" in refusal(bench(functional(private_test_cases=[case])).tests, "q1")


def test_broken_hidden_tests_of_one_problem_do_not_hide_the_others(bench):
    benchmark = bench(row(1, private_test_cases="%"), row(2))

    assert ids(benchmark) == ["q1", "q2"]
    assert len(benchmark.tests("q2")) == 3


def test_the_tests_of_an_unknown_problem_are_refused(bench):
    assert "No 'q9' in this benchmark's ids" in refusal(bench(row()).tests, "q9")


# Hostile pickles. Nothing of a pickle is ever run.


class Exploit:
    """Unpickled by Python's own loader, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_hostile_pickle_runs_nothing(bench, tmp_path):
    mark = tmp_path / "made-by-the-pickle"
    for hostile in (Exploit(mark), [Exploit(mark), "[]"], {"[]": Exploit(mark)}):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            benchmark = bench(row(private_test_cases=packed(hostile, protocol)))
            assert "only a string is admitted" in refusal(benchmark.tests, "q1")
    assert not mark.exists()

    pickle.loads(pickle.dumps(Exploit(mark)))  # what the test is worth: it is a loaded gun
    assert mark.exists()


@pytest.mark.parametrize(
    "value",
    [["[]"], ("[]",), {"a": "[]"}, b"[]", 7, None, True, 1.5, {"x"}, datetime.date(2024, 1, 1), OrderedDict(), len],
    ids=repr,
)
def test_a_pickle_of_anything_but_a_string_is_refused(bench, value):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert "the pickle" in refusal(bench(row(private_test_cases=packed(value, protocol))).tests, "q1")


@pytest.mark.parametrize(
    "data",
    [
        b"X\x02\x00\x00\x00[]b.",
        b"X\x02\x00\x00\x00[]Pid\n.",
        b"X\x02\x00\x00\x00[]X\x02\x00\x00\x00[].",
        b"h\x05.",
        b"].",
        b".",
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f[].",
    ],
)
def test_handmade_pickles_are_refused(bench, data):
    assert "pickle" in refusal(bench(row(private_test_cases=sealed(data))).tests, "q1")


def test_a_pickle_that_claims_much_memory_or_many_steps_gets_neither():
    started = time.monotonic()

    assert encoding.unpack(sealed(b"X\x02\x00\x00\x00[]r\xff\xff\xff\x7f.")) == "[]"  # 16 GiB to Python's loader
    with pytest.raises(ValueError, match="the pickle"):
        encoding.unpack(sealed(b"X\x02\x00\x00\x00[]" + b"\x94" * 20_000_000 + b"."))
    assert time.monotonic() - started < 5


@given(st.binary(max_size=200) | st.builds(lambda a, b: pickle.dumps("[]")[:a] + b, st.integers(0, 20), st.binary()))
def test_no_pickle_at_all_brings_down_the_loader(data):
    with contextlib.suppress(ValueError):
        encoding.decode(sealed(data), None)


@given(st.text() | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_no_column_at_all_brings_down_the_loader(column):
    with contextlib.suppress(ValueError):
        assert isinstance(encoding.decode(column, "f"), tuple)


def test_values_are_as_deep_and_as_long_as_the_sandbox_can_carry():
    def decoded(value: str) -> Call:
        (test,) = encoding.decode([{"input": value, "output": value}], "f")
        return test

    deep = decoded("[" * 300 + "]" * 300)
    wide = decoded("[" + "[[1],[2]]," * 1000 + "0]")
    assert wire.dumps(deep.returns) == b"[" * 300 + b"]" * 300
    assert len(wide.returns) == 1001
    for brackets in ("[" * 301 + "]" * 301, "[" * 99_999, '{"k":[' * 151 + "]}" * 151):
        with pytest.raises(ValueError, match="300 deep" if "]" in brackets else "300 deep|Expecting"):
            decoded(brackets)

    assert decoded("[-1" + "0" * 50_000 + ", 7]").args == ([-(10**50_000), 7],)
    assert decoded("9" * 4_301).returns == 10**4_301 - 1
    with pytest.raises(ValueError, match="integer of 100001 digits; 100000 are allowed"):
        decoded("1" * 100_001)


def test_a_small_field_cannot_unpack_to_any_size():
    bomb = sealed(b"0" * 10_000_000)

    assert len(bomb) < 20_000
    with pytest.raises(ValueError, match="larger than 100000 bytes"):
        encoding.unpack(bomb, max_bytes=100_000)


# Benchmarks that exist.


def test_mini_takes_the_same_filters():
    assert ids(Mini(ids=("is-even", "sum-of-two"), limit=1)) == ["sum-of-two"]
    assert {p.tags["platform"] for p in Mini().problems()} == {"mini"}


@pytest.mark.skipif(not CONTEST.exists(), reason=f"{CONTEST} is kept beside the repository, not in it")
def test_real_contest_rows_are_read_and_decoded():
    benchmark = LiveCodeBench(path=str(CONTEST))
    problems = benchmark.problems()

    assert len(problems) == 89
    for problem in problems:
        tests = benchmark.tests(problem.id)
        assert tests[: len(problem.public_tests)] == problem.public_tests
        assert len(tests) > len(problem.public_tests) > 0
        assert all(isinstance(test, Call) and test.entry_point in problem.starter_code for test in tests)
