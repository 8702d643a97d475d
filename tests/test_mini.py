"""The shipped problems are sound: every reference passes and every plausible wrong program fails, in the sandbox."""

import runpy
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tts.grade import GradeJob, Grader
from tts.problems.mini import Mini
from tts.sandbox import Limits
from tts.types import Call, Grade, Stdin, Verdict, program_hash

SOLUTIONS = Path(__file__).parent / "mini_solutions"
BENCHMARK = Mini()
PROBLEMS = BENCHMARK.problems()
TESTS = {problem.id: BENCHMARK.tests(problem.id) for problem in PROBLEMS}
IDS = [problem.id for problem in PROBLEMS]


@dataclass(frozen=True)
class Programs:
    """A problem's programs: one that is right, and named ones that are wrong in a plausible way."""

    reference: str
    wrong: dict[str, str]


def programs_of(problem_id: str) -> Programs:
    found = runpy.run_path(str(SOLUTIONS / f"{problem_id.replace('-', '_')}.py"))
    return Programs(found["REFERENCE"], found["WRONG"])


PROGRAMS = {problem_id: programs_of(problem_id) for problem_id in IDS}


@pytest.fixture(scope="session")
def graded() -> dict[tuple[str, str], Grade]:
    """Every program's grade, by problem and program: all of them in one run."""
    jobs = [
        GradeJob(problem_id, code, TESTS[problem_id])
        for problem_id, programs in PROGRAMS.items()
        for code in [programs.reference, *programs.wrong.values()]
    ]
    found = list(Grader(Limits(cpu_seconds=4.0, memory_mib=512)).grade(jobs))
    assert all(isinstance(grade, Grade) for grade in found)
    return {(grade.problem_id, grade.program): grade for grade in found}


def test_there_are_enough_problems_of_each_kind():
    kinds = Counter(type(test) for problem in PROBLEMS for test in problem.public_tests[:1])

    assert len(PROBLEMS) >= 60
    assert kinds[Call] >= 40
    assert kinds[Stdin] >= 20


def test_there_are_solutions_for_all_problems_and_no_others():
    assert {path.stem for path in SOLUTIONS.glob("*.py")} == {problem_id.replace("-", "_") for problem_id in IDS}


def test_no_two_problems_share_a_statement():
    assert len({problem.statement for problem in PROBLEMS}) == len(PROBLEMS)


@pytest.mark.parametrize("problem", PROBLEMS, ids=IDS)
def test_a_problem_has_public_and_hidden_tests_of_one_kind(problem):
    tests = TESTS[problem.id]
    hidden = tests[len(problem.public_tests) :]

    assert 2 <= len(problem.public_tests) <= 3
    assert len(hidden) >= 12
    assert len({type(test) for test in tests}) == 1


@pytest.mark.parametrize("problem", PROBLEMS, ids=IDS)
def test_no_input_is_tested_twice(problem):
    inputs = [repr(test.args) if isinstance(test, Call) else test.input for test in TESTS[problem.id]]

    assert len(set(inputs)) == len(inputs)


@pytest.mark.parametrize("problem", PROBLEMS, ids=IDS)
def test_starter_code_is_there_where_a_function_is_called(problem):
    called = {test.entry_point for test in TESTS[problem.id] if isinstance(test, Call)}

    assert bool(problem.starter_code) == bool(called)
    assert all(f"def {name}(" in problem.starter_code for name in called)


@pytest.mark.parametrize("problem_id", IDS)
def test_the_reference_passes(graded, problem_id):
    grade = graded[problem_id, program_hash(PROGRAMS[problem_id].reference)]

    assert grade.verdict is Verdict.PASSED, grade.detail
    assert grade.passed == grade.tests == len(TESTS[problem_id])


@pytest.mark.parametrize("problem_id", IDS)
def test_at_least_three_wrong_programs_fail(graded, problem_id):
    wrong = PROGRAMS[problem_id].wrong
    passing = [name for name, code in wrong.items() if graded[problem_id, program_hash(code)].verdict is Verdict.PASSED]

    assert len(set(wrong.values())) >= 3
    assert passing == []


@pytest.mark.parametrize("problem_id", IDS)
def test_a_wrong_program_is_plausible(graded, problem_id):
    """It computes something rather than nothing: it parses, is not the reference, and does not merely crash at once."""
    programs = PROGRAMS[problem_id]
    grades = [graded[problem_id, program_hash(code)] for code in programs.wrong.values()]

    for code in programs.wrong.values():
        compile(code, problem_id, "exec")
    assert programs.reference not in programs.wrong.values()
    assert any(grade.verdict is Verdict.WRONG_ANSWER for grade in grades)
    assert any(grade.passed > 0 for grade in grades)
