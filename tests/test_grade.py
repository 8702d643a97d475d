"""Code + tests -> Verdict, with real processes."""

import os
import tempfile

import pytest

from tts.errors import DataError
from tts.grade import GradeJob, Grader, Undecided, grader_version
from tts.sandbox import Limits
from tts.types import Behaviour, Call, Stdin, Verdict, program_hash

LIMITS = Limits(cpu_seconds=0.5, memory_mib=128, output_mib=1)
DOUBLE = [Stdin(f"{n}\n", f"{2 * n}\n") for n in range(5)]


def grade_one(code, tests=DOUBLE):
    (grade,) = Grader(LIMITS, workers=1).grade([GradeJob("p", code, tests)])
    return grade


def test_a_right_program_passes_all_its_tests():
    grade = grade_one("print(2 * int(input()))")

    assert (grade.problem_id, grade.program) == ("p", program_hash("print(2 * int(input()))"))
    assert (grade.verdict, grade.tests, grade.passed, grade.detail) == (Verdict.PASSED, 5, 5, "")
    assert 0 < grade.seconds < 1


@pytest.mark.parametrize(
    ("code", "verdict", "passed", "detail"),
    [
        ("print(2 * min(3, int(input())))", Verdict.WRONG_ANSWER, 4, "test 4: wrong answer"),
        ("n = int(input())\nprint(2 * n)\nn == 2 and 1 / 0", Verdict.RUNTIME_ERROR, 2, "ZeroDivisionError"),
        ("n = int(input())\nwhile n: pass\nprint(0)", Verdict.TIMEOUT, 1, "test 1: used 0.5"),
        ("x = [0] * (1 << 26)", Verdict.MEMORY, 0, "128 MiB"),
        ("while True: print(1)", Verdict.OUTPUT_LIMIT, 0, "1 MiB"),
        ("print(2 * int(input())", Verdict.RUNTIME_ERROR, 0, "SyntaxError"),
        ("", Verdict.WRONG_ANSWER, 0, "test 0: wrong answer"),
        (None, Verdict.NO_CODE, 0, ""),
    ],
)
def test_verdicts_and_the_first_failure(code, verdict, passed, detail):
    grade = grade_one(code)

    assert (grade.verdict, grade.tests, grade.passed) == (verdict, 5, passed), grade.detail
    assert detail in grade.detail


def test_functions_are_graded_by_their_returned_value():
    tests = [Call("f", ([3, 1, 2],), [1, 2, 3]), Call("f", ([],), [])]

    assert grade_one("class Solution:\n    def f(self, a): return sorted(a)", tests).verdict is Verdict.PASSED
    assert grade_one("def f(a): return a", tests).verdict is Verdict.WRONG_ANSWER
    assert grade_one("def g(a): return a", tests).verdict is Verdict.RUNTIME_ERROR


def test_an_object_that_is_not_data_is_a_wrong_answer():
    tests = [Call("f", (3,), [0, 1, 2])]

    assert grade_one("def f(n): return range(n)", tests).verdict is Verdict.WRONG_ANSWER
    assert grade_one("def f(n): return list(range(n))", tests).verdict is Verdict.PASSED


def test_identical_programs_are_graded_once():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)  # as root, candidates run as another user
        code = f"import tempfile\ntempfile.mkdtemp(dir={folder!r})\nprint(1)"
        jobs = [GradeJob("p", code, [Stdin("", "1")])] * 200

        grades = list(Grader(LIMITS, workers=2).grade(jobs))

        assert [grade.verdict for grade in grades] == [Verdict.PASSED]
        assert len(os.listdir(folder)) == 1


def test_one_program_on_two_problems_is_two_grades():
    jobs = [GradeJob("p", "print(1)", [Stdin("", "1")]), GradeJob("q", "print(1)", [Stdin("", "2")])]

    grades = {grade.problem_id: grade.verdict for grade in Grader(LIMITS, workers=1).grade(jobs)}

    assert grades == {"p": Verdict.PASSED, "q": Verdict.WRONG_ANSWER}


def test_a_problem_without_tests_is_refused():
    with pytest.raises(DataError, match="'p' has no tests"):
        grade_one("print(1)", [])


def test_behaviours_are_outputs_on_every_input():
    jobs = [
        GradeJob("p", "print(100 // int(input()))", [Stdin("0", ""), Stdin("2", ""), Stdin("1", "")]),
        GradeJob("q", "def f(a): return (a, 1.0)", [Call("f", (2,), None)]),
        GradeJob("q", "def f(a): return [a, True]", [Call("f", (2,), None)]),
        GradeJob("q", None, [Call("f", (2,), None)]),
        GradeJob("r", "print(1)", []),
    ]

    found = {(problem, program): what for problem, program, what in Grader(LIMITS, workers=2).behaviours(jobs)}

    assert found == {
        ("p", program_hash(jobs[0].code)): Behaviour((None, "50", "100")),
        ("q", program_hash(jobs[1].code)): Behaviour(("[2,1]",)),
        ("q", program_hash(jobs[2].code)): Behaviour(("[2,1]",)),
        ("r", program_hash(jobs[4].code)): Behaviour(()),
    }


def test_a_failure_of_the_sandbox_is_undecided(monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")  # no cell can start

    ((undecided),) = Grader(LIMITS, workers=1).grade([GradeJob("p", "print(1)", DOUBLE)])

    assert isinstance(undecided, Undecided)
    assert "3 attempts" in undecided.why


def test_the_version_names_what_can_change_a_verdict():
    assert grader_version(LIMITS) != grader_version(Limits())
    assert "cpu 6 s" in grader_version(Limits())
