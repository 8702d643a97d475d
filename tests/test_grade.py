"""Code + tests -> Verdict, with real processes."""

import time
from dataclasses import replace

import pytest

from tts.errors import DataError, InfraError
from tts.grade import (
    EQUALITY,
    GOT_CHARACTERS,
    STDERR_CHARACTERS,
    STDERR_LINES,
    Comparison,
    GradeJob,
    Grader,
    Undecided,
    leading_public,
)
from tts.pipeline import unsettled
from tts.sandbox import Limits
from tts.types import Behaviour, Call, Check, Grade, Problem, Stdin, Tolerance, Verdict, program_hash

LIMITS = Limits(cpu_seconds=0.5, memory_mib=128, output_mib=1)
DOUBLE = [Stdin(f"{n}\n", f"{2 * n}\n") for n in range(5)]


def grade_one(code, tests=DOUBLE, public=0, comparison=EQUALITY):
    (grade,) = Grader(LIMITS, 1, comparison).grade([GradeJob("p", code, tests, public)])
    return grade


def test_a_right_program_passes_all_its_tests():
    grade = grade_one("print(2 * int(input()))")

    assert (grade.problem_id, grade.program) == ("p", program_hash("print(2 * int(input()))"))
    assert (grade.verdict, grade.tests, grade.passed, grade.detail) == (Verdict.PASSED, 5, 5, "")
    assert 0 < grade.seconds < 1
    assert grade.wall_seconds > 0
    assert 1 < grade.peak_mib < 128
    assert (grade.failed_test, grade.stderr, grade.diff, grade.got, grade.lcb_verdict) == (None, "", "", "", None)


def test_a_failing_public_test_is_told_in_full():
    grade = grade_one("n = int(input())\nprint(2 * min(n, 1))\nimport sys; print('said', file=sys.stderr)", public=3)

    assert (grade.failed_test, grade.detail, grade.stderr) == (2, "test 2: wrong answer", "said")
    assert grade.diff == "At line 1 (1 line expected, 1 printed):\n-4\n+2"
    assert grade.got == "2\n"

    grade = grade_one("n = int(input())\nprint(2 * n)\nif n == 2: raise ValueError('two')", public=3)
    assert grade.detail.endswith("ValueError: two")
    assert grade.stderr.endswith("ValueError: two")
    assert grade.diff == grade.got == ""


def test_of_a_hidden_test_only_the_way_it_failed_is_told():
    code = "n = int(input())\nimport sys; print('said', n, file=sys.stderr)\n"
    for end in ("print(2 * min(n, 1))", "print(2 * n)\nif n == 2: raise ValueError('two')"):
        grade = grade_one(code + end, public=2)

        assert (grade.failed_test, grade.stderr, grade.diff, grade.got) == (2, "", "", "")
        assert grade.detail in ("test 2: wrong answer", "test 2: exit code 1 (ValueError)")


def test_what_is_kept_of_a_wrong_answer_is_its_beginning_as_text():
    printed = grade_one("print('7' * 5_000)", public=5)
    returned = grade_one("def f(n):\n    return [n, {'a': 1}]", [Call("f", (3,), 4)], public=1)

    assert printed.got == "7" * GOT_CHARACTERS
    assert returned.got == '[3, {"a": 1}]'


def test_what_is_kept_of_standard_error_is_short():
    for text in ("'x' * 100_000", "'y\\n' * 100_000"):
        grade = grade_one(f"import sys\nsys.stderr.write({text})", public=5)

        assert 0 < len(grade.stderr) <= STDERR_CHARACTERS
        assert len(grade.stderr.splitlines()) <= STDERR_LINES


def test_a_tests_own_tolerance_goes_before_the_graders():
    code, near, nearer = "print(0.5001)\nprint(3)", Tolerance(1e-3, 0.0), Tolerance(0.0, 1e-6)
    plain, loose, strict = ([Stdin("", "0.5\n3", tolerance)] for tolerance in (None, near, nearer))

    assert grade_one(code, plain).verdict is Verdict.WRONG_ANSWER
    assert grade_one(code, loose).verdict is Verdict.PASSED
    assert grade_one(code, plain, comparison=Comparison(tolerance=1e-3)).verdict is Verdict.PASSED
    assert grade_one(code, strict, comparison=Comparison(tolerance=1e-3)).verdict is Verdict.WRONG_ANSWER
    for returned, verdict in (("[0.5001]", Verdict.PASSED), ("[0.502]", Verdict.WRONG_ANSWER)):
        assert grade_one(f"def f(): return {returned}", [Call("f", (), [0.5], near)]).verdict is verdict


def test_a_broken_check_is_no_verdict_and_no_failure_of_ours():
    tests = [Check("def check(f):\n    assert f(1) == 1\n    assert g(1) == 1", "f")]
    found = list(Grader(LIMITS, 1).grade(GradeJob("p", f"def f(n): return {n}", tests) for n in (1, 2)))
    assert {one.program: type(one) for one in found} == {
        program_hash("def f(n): return 1"): Undecided,
        program_hash("def f(n): return 2"): Grade,  # it fails before that
    }
    broken = [one for one in found if isinstance(one, Undecided)]
    told = unsettled([*broken, *broken])
    assert isinstance(told, DataError)
    assert str(told).count("p: the check of 'f' fails by itself: NameError: name 'g' is not defined. Mend") == 1
    both = unsettled([*broken, Undecided("q", "", "no cell")])
    assert isinstance(both, InfraError) and "1 program could" in str(both) and str(both).endswith(" q: no cell")


def test_a_check_is_graded_in_any_isolation_and_only_a_public_one_says_why():
    tests = [Call("f", (1,), 2), Check("def check(f):\n    for i in range(9): assert f(i) == 2 * i, i", "f")]
    for isolation in ("program", "test"):
        grader = Grader(LIMITS, 1, isolation=isolation)
        right, wrong = "def f(n): return 2 * n", "def f(n): return 2 * min(n, 7)"
        grades = {g.program: g for g in grader.grade(GradeJob("p", code, tests, 2) for code in (right, wrong))}
        assert grades[program_hash(right)].verdict is Verdict.PASSED
        grade = grades[program_hash(wrong)]
        assert (grade.verdict, grade.failed_test) == (Verdict.WRONG_ANSWER, 1)
        assert grade.detail == "test 1: wrong answer\nAssertionError: 8"
        (hidden,) = grader.grade([GradeJob("p", wrong, tests, 1)])
        assert hidden.detail == "test 1: wrong answer"


@pytest.mark.parametrize("isolation", ["program", "test"])
@pytest.mark.parametrize(
    "code",
    [
        "def f(n): return floor(n)",
        "def f(n: List[int]): return n",
        "class Solution:\n    def f(self, n): return n",
        "def g(n): return math.floor(n)\ndef f(n): return g(n)",
        "def f(n): return eval('sqrt')(n * n)",
    ],
)
def test_a_strict_test_knows_no_prelude_whatever_ran_before(code, isolation):
    lenient, strict = [[Call("f", (n,), n, strict=strict) for n in (1, 2, 3)] for strict in (False, True)]
    check = "def check(f):\n    assert floor(f(1)) == 1"
    jobs = {
        "lenient": [*lenient, Check(check, "f")],
        "strict": strict,
        "mixed": [lenient[0], lenient[1], strict[2]],
        "check": [Check(check, "f", strict=True)],
    }
    grader = Grader(LIMITS, 1, isolation=isolation)
    found = {g.problem_id: g for g in grader.grade(GradeJob(name, code, tests) for name, tests in jobs.items())}

    assert {name: grade.passed for name, grade in found.items()} == {"lenient": 4, "strict": 0, "mixed": 2, "check": 0}
    assert {grade.verdict for grade in found.values()} == {Verdict.PASSED, Verdict.RUNTIME_ERROR}


def test_a_strict_program_has_all_builtins_and_may_import():
    code = (
        "import math\nfrom typing import List\n"
        + "def f(n: List): return sorted({n, math.floor(n)}) + [*map(str, [n])]"
    )

    assert grade_one(code, [Call("f", (n,), [n, str(n)], strict=True) for n in (1, 2)]).verdict is Verdict.PASSED


@pytest.mark.parametrize("isolation", ["program", "test"])
def test_a_tests_own_time_goes_before_the_graders_unless_that_is_firm(isolation):
    work = "    end = time.process_time() + 0.4\n    while time.process_time() < end: pass\n"
    code = f"import time\ndef f(n):\n{work}    return n"
    short = [Call("f", (1,), 1, seconds=0.1), Check("def check(f): assert f(1) == 1", "f", seconds=0.1)]
    plain, both = (
        Call("f", (2,), 2),
        [Call("f", (1,), 1, seconds=2.0), Check("def check(f): f(1), f(2)", "f", seconds=4.0)],
    )

    def passed(limits, *tests):
        (grade,) = Grader(limits, 1, isolation=isolation).grade([GradeJob("p", code, tests)])
        assert grade.verdict in (Verdict.PASSED, Verdict.TIMEOUT)
        return grade.passed

    assert passed(Limits(cpu_seconds=2.0), plain, short[0]) == passed(Limits(cpu_seconds=2.0), plain, short[1]) == 1
    assert passed(Limits(cpu_seconds=0.1), *both, plain) == 2
    assert passed(Limits(cpu_seconds=2.0, firm=True), *short) == 2
    assert Limits.given(None, 64, 1) == Limits(memory_mib=64, output_mib=1)
    assert Limits.given(6.0, 64, 1) == Limits(6.0, 64, 1, firm=True)


def test_public_tests_are_told_by_number_only_if_all_of_them_decide():
    one, true, two, three = (Call("f", (n,), n) for n in (1, True, 2, 3))
    problem = Problem("p", "", (), public_tests=(two, one))

    assert leading_public(problem, [replace(two, seconds=1.0), one, three]) == 2
    assert leading_public(problem, [one, two]) == leading_public(problem, [two, true]) == 0
    assert leading_public(problem, [two]) == leading_public(problem, []) == 0


def test_a_grade_says_whether_the_test_that_failed_is_public():
    assert [grade_one("print(2 * min(int(input()), 2))", public=public).public for public in (0, 3, 4, 5)] == [
        False,
        False,
        True,
        True,
    ]
    assert not grade_one("print(2 * int(input()))", public=5).public


@pytest.mark.parametrize(
    ("answers", "verdict", "lcb", "passed"),
    [
        (["[[1]]", "[[1]]", "[[1]]"], Verdict.PASSED, Verdict.PASSED, 3),
        (["[[1]]", "([1],)", "[[1]]"], Verdict.PASSED, Verdict.PASSED, 3),
        (["[[1]]", "[(1,)]", "[[1]]"], Verdict.PASSED, Verdict.WRONG_ANSWER, 3),
        (["[[1]]", "[[1]]", "[1]"], Verdict.WRONG_ANSWER, Verdict.WRONG_ANSWER, 2),
        (["[[1]]", "[(1,)]", "1 / 0"], Verdict.RUNTIME_ERROR, Verdict.WRONG_ANSWER, 2),
        (["[[1]]", "1 / 0", "[(1,)]"], Verdict.RUNTIME_ERROR, Verdict.RUNTIME_ERROR, 1),
    ],
)
def test_livecodebenchs_verdict_stands_beside_ours(answers, verdict, lcb, passed):
    tests = [Call("f", (i,), [[1]]) for i in range(3)]
    code = f"def f(i): return eval({answers!r}[i])"
    grade = grade_one(code, tests, comparison=Comparison(also_lcb=True))

    assert (grade.verdict, grade.lcb_verdict, grade.passed) == (verdict, lcb, passed)
    plain = grade_one(code, tests)
    assert (plain.verdict, plain.lcb_verdict, plain.passed, plain.detail) == (verdict, None, passed, grade.detail)


def test_a_verdict_of_livecodebenchs_that_comes_later_is_found():
    long = "5" * 20_000  # compared as text by us, as a number by LiveCodeBench
    tests = [Stdin("0", long), Stdin("1", "1"), Stdin("2", "1")]
    code = f"n = int(input())\nprint('{long}.0' if n == 0 else 1 if n == 1 else 1 // 0)"
    grade = grade_one(code, tests, comparison=Comparison(also_lcb=True))

    assert (grade.verdict, grade.passed) == (Verdict.WRONG_ANSWER, 0)
    assert grade.lcb_verdict is Verdict.RUNTIME_ERROR


@pytest.mark.parametrize(
    ("code", "verdict", "passed", "detail"),
    [
        ("print(2 * min(3, int(input())))", Verdict.WRONG_ANSWER, 4, "test 4: wrong answer"),
        ("n = int(input())\nprint(2 * n)\nn == 2 and 1 / 0", Verdict.RUNTIME_ERROR, 2, "ZeroDivisionError"),
        ("n = int(input())\nwhile n: pass\nprint(0)", Verdict.TIMEOUT, 1, "test 1: used 0.5"),
        ("x = [0] * (1 << 26)", Verdict.MEMORY, 0, "128 MiB"),
        ("while True: print('1' * 1000)", Verdict.OUTPUT_LIMIT, 0, "1 MiB"),
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
    code = "import time\nwhile time.process_time() < 0.2: pass\nprint(1)"
    started = time.monotonic()
    grades = list(Grader(LIMITS, workers=2).grade([GradeJob("p", code, [Stdin("", "1")])] * 500))

    assert [grade.verdict for grade in grades] == [Verdict.PASSED]
    assert time.monotonic() - started < 40  # 500 times on two workers would be 50 seconds of an idle machine


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


def test_once_nobody_wants_behaviours_no_test_begins_and_nothing_is_told():
    answers = iter([False, False, True, True])  # before each test, and before it would be told

    found = list(Grader(LIMITS, workers=1).behaviours([GradeJob("p", "print(1)", DOUBLE)], lambda: next(answers)))

    assert found == [] and next(answers, None) is None


def test_a_failure_of_the_sandbox_is_undecided():
    deep = 1
    for _ in range(400):
        deep = [deep]
    (undecided,) = Grader(LIMITS, workers=1).grade([GradeJob("p", "def f(x): return 1", [Call("f", (deep,), 1)])])

    assert isinstance(undecided, Undecided)
    assert "cannot be sent" in undecided.why


def test_the_version_names_what_can_change_a_verdict():
    ways = [
        Grader(LIMITS),
        Grader(Limits()),
        *(Grader(LIMITS, comparison=Comparison(*how)) for how in [(1e-6,), (1e-5,), (None, True), (1e-6, True)]),
        Grader(LIMITS, isolation="program"),
        Grader(LIMITS, level="D"),
    ]
    assert len({grader.version for grader in ways}) == len(ways)
    assert "cpu 6 s" in Grader(Limits()).version and "isolation test" in Grader(Limits()).version
