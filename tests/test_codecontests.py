"""DeepMind's row format in rows of our own making, as JSON lines and as Parquet: read, filtered, refused by place."""

import contextlib
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import Page
from support import Small, bring_up, write_rows
from test_report import found_of

from tts import page
from tts.analysis import analyse
from tts.errors import ConfigError, DataError, UserError
from tts.problems._prompt import messages
from tts.problems.codecontests import DIFFICULTIES, SOURCES, CodeContests
from tts.problems.jsonl import Jsonl
from tts.store import open_for_reading
from tts.types import Problem, Stdin

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
Make = Callable[..., CodeContests]


def pairs(*tests: tuple[str, str]) -> dict[str, list[str]]:
    return {"input": [given for given, _ in tests], "output": [expected for _, expected in tests]}


def row(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A valid row with every column that is read, some replaced."""
    return {
        "name": f"{number}_A. Sums",
        "description": f"Print a + b, {number}.\n\nInput\n\nTwo integers.\n",
        "public_tests": pairs(("1 2\n", "3\n")),
        "private_tests": pairs(("5 6\n", "11\n"), ("0 0\n", "0\n")),
        "generated_tests": pairs(("7 7\n", "14\n")),
        "source": 2,
        "difficulty": 7,
        "solutions": {"language": [3], "solution": ["SECRET"]},
        "incorrect_solutions": {"language": [3], "solution": ["SECRET"]},
        "cf_contest_id": number,
        "cf_index": "A",
        "cf_points": 500.0,
        "cf_rating": 800,
        "cf_tags": ["math", "greedy"],
        "time_limit": {"seconds": 1, "nanos": 500_000_000},
        "memory_limit_bytes": 256 * 2**20,
        "input_file": "",
        "output_file": "",
    } | changes


def write_parquet(path: Path, *rows: dict[str, Any], group: int = 2) -> Path:
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path, row_group_size=group)
    return path


@pytest.fixture
def bench(tmp_path: Path) -> Make:
    """A benchmark of the given rows, in a real file."""
    return lambda *rows, **options: CodeContests(path=str(write_rows(tmp_path / "rows.jsonl", rows)), **options)


def only(benchmark: CodeContests) -> Problem:
    (problem,) = benchmark.problems()
    return problem


def ids(benchmark: CodeContests) -> list[str]:
    return [problem.id for problem in benchmark.problems()]


def refusal(call: Callable[..., object], *arguments: object, kind: type[UserError] = DataError) -> str:
    with pytest.raises(kind) as caught:
        call(*arguments)
    return str(caught.value)


# What a row becomes.


def test_a_problem_holds_what_a_model_may_see(bench: Make) -> None:
    problem = only(bench(row()))

    assert problem.id == "codeforces/1_A. Sums"
    assert problem.messages == messages("Print a + b, 1.\n\nInput\n\nTwo integers.\n")
    assert problem.public_tests == (Stdin("1 2\n", "3\n", seconds=1.5),)
    assert problem.tags == {
        "title": "1_A. Sums",
        "platform": "codeforces",
        "difficulty": "A",
        "rating": "800",
        "topics": "math, greedy",
        "time_limit_seconds": "1.5",
        "memory_limit_mib": "256",
    }
    assert len(problem.digest) == 32


def test_nothing_hidden_is_in_a_problem(bench: Make) -> None:
    shown = repr(only(bench(row())))

    assert "SECRET" not in shown and "5 6" not in shown and "7 7" not in shown


def test_tests_are_the_public_the_private_and_unless_unwanted_the_generated_ones(bench: Make) -> None:
    (public, *private), generated = (("1 2\n", "3\n"), ("5 6\n", "11\n"), ("0 0\n", "0\n")), ("7 7\n", "14\n")

    assert bench(row()).tests("codeforces/1_A. Sums") == tuple(
        Stdin(*t, seconds=1.5) for t in (public, *private, generated)
    )
    assert bench(row(), generated=False).tests("codeforces/1_A. Sums") == tuple(
        Stdin(*t, seconds=1.5) for t in (public, *private)
    )


def test_only_a_name_a_description_and_tests_are_needed(bench: Make) -> None:
    least = {"name": "x", "description": "y", "generated_tests": pairs(("", "1"))}
    benchmark = bench(least)

    assert only(benchmark).tags == {"title": "x", "platform": "unknown_source", "difficulty": "unknown"}
    assert benchmark.tests("unknown_source/x") == (Stdin("", "1"),)


def test_what_a_row_leaves_open_is_no_tag(bench: Make) -> None:
    open_row = row(cf_rating=0, cf_tags=[""], time_limit=None, memory_limit_bytes=0, input_file=None)

    assert only(bench(open_row)).tags.keys() == {"title", "platform", "difficulty"}


@pytest.mark.parametrize(("limit", "tag"), [({"seconds": 2, "nanos": 0}, "2"), ({"nanos": 1_000_000}, "0.001")])
def test_time_limits_are_in_seconds(bench: Make, limit: dict[str, int], tag: str) -> None:
    assert only(bench(row(time_limit=limit))).tags["time_limit_seconds"] == tag


def test_every_number_of_the_enums_has_its_word(bench: Make) -> None:
    found = bench(*(row(number, source=source) for number, source in enumerate(SOURCES))).problems()
    assert [problem.tags["platform"] for problem in found] == [*SOURCES.values()]

    found = bench(*(row(number, difficulty=level) for number, level in enumerate(DIFFICULTIES))).problems()
    assert [problem.tags["difficulty"] for problem in found] == [*DIFFICULTIES.values()]
    assert {DIFFICULTIES[number] for number in (7, 17, 19, 29)} == {"A", "K", "L", "V"}
    assert len(DIFFICULTIES) == 29 and 18 not in DIFFICULTIES


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"input_file": "in.txt"}, "named_files"),
        ({"output_file": "out.txt"}, "named_files"),
        ({"description": "<image>\n <image>"}, "images_only"),
        ({"description": "See <image>."}, None),
    ],
)
def test_a_problem_that_cannot_be_judged_fairly_is_kept_and_says_why(
    bench: Make, changes: dict[str, str], kind: str | None
) -> None:
    assert only(bench(row(**changes))).tags.get("errata") == kind


def test_names_may_agree_between_platforms_but_not_within_one(bench: Make) -> None:
    assert ids(bench(row(1), row(1, source=6))) == ["codeforces/1_A. Sums", "atcoder/1_A. Sums"]
    assert "line 2: the id 'codeforces/1_A. Sums' is there twice" in refusal(bench(row(1), row(1)).problems)


# Filters.

VARIED = (
    row(1),
    row(2, difficulty=8, cf_rating=1500),
    row(3, source=7, difficulty=0, cf_rating=0),
    row(4, difficulty=8, cf_rating=2400),
)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"platform": ("aizu",)}, [3]),
        ({"difficulty": ("B",)}, [2, 4]),
        ({"min_rating": 1500}, [2, 4]),
        ({"max_rating": 1500}, [1, 2]),
        ({"min_rating": 801, "max_rating": 2399}, [2]),
        ({"difficulty": ("B",), "limit": 1}, [2]),
        ({"ids": ("codeforces/4_A. Sums",)}, [4]),
    ],
)
def test_filters(bench: Make, options: dict[str, Any], expected: list[int]) -> None:
    assert [int(problem.tags["title"].split("_")[0]) for problem in bench(*VARIED, **options).problems()] == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"platform": ("codeforce",)}, "No 'codeforce' in what benchmark.platform takes. Did you mean 'codeforces'?"),
        ({"difficulty": ("medum",)}, "Did you mean 'medium'?"),
        ({"min_rating": 0}, "benchmark.min_rating must be above 0, got 0."),
        ({"limit": 0}, "at least 1, got 0"),
    ],
)
def test_options_that_can_match_nothing_are_refused(options: dict[str, Any], words: str) -> None:
    assert words in refusal(lambda: CodeContests(**options), kind=ConfigError)


# Where the rows are.


def test_the_split_picks_the_files_of_a_folder_and_of_its_data_folder(tmp_path: Path) -> None:
    (tmp_path / "hub" / "data").mkdir(parents=True)
    write_parquet(tmp_path / "hub" / "data" / "test-00000-of-00001-0f.parquet", row(1))
    write_rows(tmp_path / "test.jsonl", [row(2)])
    write_rows(tmp_path / "train-0.jsonl", [row(3)])
    write_rows(tmp_path / "train-1.jsonl", [row(4)])

    assert ids(CodeContests(path=str(tmp_path / "hub"))) == ["codeforces/1_A. Sums"]
    assert ids(CodeContests(path=str(tmp_path))) == ["codeforces/2_A. Sums"]
    assert ids(CodeContests(path=str(tmp_path), split="train")) == ["codeforces/3_A. Sums", "codeforces/4_A. Sums"]
    assert "holds no valid*.jsonl" in refusal(CodeContests(path=str(tmp_path), split="valid").problems)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for name in ("no.jsonl", "no.parquet"):
        assert "cannot be read: No such file" in refusal(CodeContests(path=str(tmp_path / name)).problems)


# Parquet, which every benchmark of rows reads.


def test_parquet_gives_the_problems_and_tests_that_json_lines_give(tmp_path: Path, bench: Make) -> None:
    rows = [row(number, private_tests=pairs((str(number), "é\n"))) for number in range(7)]
    lines, columns = bench(*rows), CodeContests(path=str(write_parquet(tmp_path / "x.parquet", *rows, group=3)))

    assert ids(columns) == ids(lines)
    for problem, other in zip(columns.problems(), lines.problems(), strict=True):
        assert (problem.messages, problem.tags, problem.public_tests) == (
            other.messages,
            other.tags,
            other.public_tests,
        )
    for name in reversed(ids(lines)):
        assert columns.tests(name) == lines.tests(name)


def test_solutions_do_not_count_in_what_identifies_a_parquet_row(tmp_path: Path) -> None:
    def digest(**changes: Any) -> str:
        return only(CodeContests(path=str(write_parquet(tmp_path / "x.parquet", row(**changes))))).digest

    assert digest(solutions=None) == digest() != digest(generated_tests=pairs(("1", "1")))


def test_a_parquet_file_that_changes_under_a_run_is_noticed(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", row(1), row(2))
    benchmark = CodeContests(path=str(path))
    first, second = ids(benchmark)

    write_parquet(path, row(2))
    for name in (first, second):
        assert "has changed" in refusal(benchmark.tests, name)


def test_a_damaged_parquet_file_and_a_bad_row_of_one_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no such thing")
    assert "x.parquet cannot be read as Parquet" in refusal(CodeContests(path=str(tmp_path / "x.parquet")).problems)

    path = write_parquet(tmp_path / "x.parquet", row(1), row(2, source=5))
    assert "x.parquet, row 2: source must be one of" in refusal(CodeContests(path=str(path)).problems)

    path = write_parquet(tmp_path / "x.parquet", row(1, other=b"bytes"))
    assert "x.parquet, row 1: a bytes is no JSON. Texts, numbers" in refusal(CodeContests(path=str(path)).problems)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_parquet(tmp_path_factory.mktemp("sound") / "x.parquet", *map(row, range(3))).read_bytes()


@given(data=st.data())
def test_no_damage_at_all_brings_down_the_loader(
    sound: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    places = data.draw(st.lists(st.integers(0, len(sound) - 1), max_size=20))
    damaged = bytearray(sound[: data.draw(st.sampled_from([len(sound), *places]))])
    for place in places:
        damaged[place : place + 1] = data.draw(st.binary(min_size=1, max_size=1))
    path = tmp_path_factory.getbasetemp() / "any.parquet"
    path.write_bytes(damaged)
    benchmark = CodeContests(path=str(path))

    with contextlib.suppress(DataError):
        assert all(benchmark.tests(problem.id) for problem in benchmark.problems())


def test_a_user_s_own_problems_may_be_parquet_too(tmp_path: Path) -> None:
    mine = {"question_id": "q", "question_content": "Q", "public_test_cases": '[{"input": "1", "output": "2"}]'}
    benchmark = Jsonl(path=str(write_parquet(tmp_path / "x.parquet", mine)))

    assert benchmark.tests("q") == (Stdin("1", "2"),)


def test_a_parquet_file_s_times_are_the_texts_of_json_lines(tmp_path: Path) -> None:
    mine = {"question_id": "q", "question_content": "Q", "contest_date": datetime(2024, 8, 1, 14, 30)}
    (problem,) = Jsonl(path=str(write_parquet(tmp_path / "x.parquet", mine)), start_date="2024-08-01").problems()

    assert problem.tags["contest_date"] == "2024-08-01T14:30:00"


# A run.


def test_a_run_grades_on_all_tests_and_its_page_shows_the_problem_s_own_time_limit(tmp_path: Path) -> None:
    rows = [row(1), row(2, difficulty=8, private_tests=pairs(("2 2\n", "5\n")), input_file="in.txt")]
    write_rows(tmp_path / "test.jsonl", rows)
    code = "print(sum(map(int, input().split())))"
    samples = [{"question_id": f"codeforces/{n}_A. Sums", "index": 0, "code": code} for n in (1, 2)]
    write_rows(tmp_path / "samples.jsonl", samples)
    config = {
        "benchmark": {"name": "codecontests", "path": str(tmp_path)},
        "generator": {"name": "replay", "path": str(tmp_path / "samples.jsonl"), "n": 1},
        "selectors": ["random"],
    }
    (tmp_path / "config.yaml").write_text(json.dumps(config))

    bring_up(Small(tmp_path, config))

    with open_for_reading(tmp_path / "run") as store:
        found = analyse(store)
    page.write_page(found_of(found), tmp_path / "report.html")
    shown = Page(tmp_path / "report.html")
    assert {item.problem.tags["difficulty"]: str(item.grades[0].verdict) for item in found.judged} == {
        "A": "passed",
        "B": "wrong_answer",
    }
    assert "time limit seconds 1.5" in shown.index["problems"][0]["more"]
    assert "errata named_files" in shown.index["problems"][1]["more"]
    assert "Without the 1 problem with errata (1 named files), at k = 1: random 100.0%" in shown.text


# Broken rows: the file, the line's number, the reason.


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": None}, "name must be str, got nothing"),
        ({"name": ""}, "name is empty"),
        ({"name": "\ud800"}, "is no Unicode text"),
        ({"description": 3}, "description must be str, got 3"),
        ({"description": ""}, "description is empty"),
        ({"source": 5}, "source must be one of 0 (unknown_source), 1 (codechef)"),
        ({"source": "CODEFORCES"}, "source must be int, got 'CODEFORCES'"),
        ({"difficulty": 18}, "difficulty must be one of"),
        ({"cf_rating": "800"}, "cf_rating must be int"),
        ({"cf_tags": "math"}, "cf_tags must be list"),
        ({"time_limit": 2}, "time_limit must be dict, got 2"),
        ({"time_limit": {"seconds": "2"}}, "time_limit: seconds must be int, got '2'"),
        ({"time_limit": {"seconds": -1}}, "time_limit: seconds must not be negative"),
        ({"time_limit": {"seconds": 10**400}}, "time_limit: seconds must not be negative and below 2^63, got a number"),
        ({"time_limit": {"seconds": 10**9}}, "time_limit: seconds must be at most 86400, got 1000000000"),
        ({"memory_limit_bytes": 10**400}, "memory_limit_bytes must not be negative and below 2^63"),
        ({"memory_limit_bytes": -1}, "memory_limit_bytes must not be negative"),
        ({"cf_rating": -800}, "cf_rating must not be negative"),
        ({"description": "half a pair: \ud800"}, "'half a pair: \\ud800' is no Unicode text"),
        ({"input_file": 1}, "input_file must be str"),
        ({"public_tests": [{"input": "", "output": ""}]}, "public_tests must be dict"),
        ({"public_tests": {"input": ["1"]}}, "public_tests: output must be list, got nothing"),
        ({"public_tests": {"input": ["1"], "output": []}}, "public_tests has 1 inputs and 0 outputs"),
        ({"public_tests": {"input": [1], "output": ["1"]}}, "public_tests must hold texts, got 1 and '1'"),
    ],
)
def test_a_broken_row_is_named_with_the_reason(bench: Make, changes: dict[str, Any], reason: str) -> None:
    message = refusal(bench(row(1), row(2, **changes)).problems)

    assert "rows.jsonl, line 2: " in message and reason in message


def test_broken_hidden_tests_are_refused_when_they_are_asked_for_and_hide_no_other_problem(bench: Make) -> None:
    broken = row(2, private_tests={"input": ["1"], "output": [None]})
    benchmark = bench(row(1), broken, row(3, public_tests=None, private_tests=None, generated_tests=pairs()))
    first, second, third = ids(benchmark)

    assert len(benchmark.tests(first)) == 4
    assert "line 2 (codeforces/2_A. Sums): private_tests must hold texts" in refusal(benchmark.tests, second)
    assert "line 3 (codeforces/3_A. Sums): no tests" in refusal(benchmark.tests, third)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["input", "seconds"]), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(list(row())), VALUES, max_size=4))
def test_no_row_at_all_brings_down_the_loader(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_text(json.dumps(row(**changes)) + "\n")
    benchmark = CodeContests(path=str(path))

    with contextlib.suppress(DataError):
        assert all(isinstance(test, Stdin) for test in benchmark.tests(only(benchmark).id))
