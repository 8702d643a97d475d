"""The probes do to programs what they say, and execution decides what that did to them."""

import ast
import math
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import mini_rows, programs, write_rows

from tts import plugins, prompts
from tts.grade import GradeJob, Grader
from tts.probes import CLAIM, PADDING, PROBES, REFORMATTED, Probe, apply, plain
from tts.sandbox import Limits
from tts.types import Call, Problem, Stdin, Verdict, program_hash

PROBE = {probe.name: probe for probe in PROBES}
CALLED = Problem("called", "", (), public_tests=(Call("f", (1, [2]), 3), Call("f", (0, []), None)))
READ = Problem("read", "", (), public_tests=(Stdin("1\n", "2\n"),))
CODE = """import math

def f(n, items, key=0):
    # a comment
    if n == 0:
        return None
    total = 0
    for i in range(1, n + 1):
        if i < key:
            total += max(items) * 2
        else:
            total = total - 1
    return total + math.floor(key)
"""

every_probe = pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)


def of(name: str, code: str = CODE, problem: Problem = CALLED) -> str | None:
    return apply(PROBE[name], code, problem)


def test_names_are_different_and_every_kind_that_was_asked_for_is_there():
    breaking = {"hard_coded", "truncated", "wrong_constant", "off_by_one", "swapped_branches", "removed_edge_case"}
    harmless = {"claim", "renamed", "padding", "dead_code", REFORMATTED}
    assert len(PROBE) == len(PROBES)
    assert breaking | {"added_print"} <= {probe.name for probe in PROBES if probe.breaks}
    assert harmless <= {probe.name for probe in PROBES if not probe.breaks}


def test_the_document_has_every_probe_and_what_it_is_meant_to_do():
    text = (Path(__file__).parent.parent / "docs" / "audit.md").read_text()
    told = re.findall(r"^\| `(\w+)` \| (yes|no) \|", text, re.MULTILINE)
    assert told == [(probe.name, "yes" if probe.breaks else "no") for probe in PROBES]


@every_probe
def test_a_probe_changes_a_program_and_does_so_alike_each_time(probe: Probe):
    problem = READ if probe.name == "added_print" else CALLED
    made = apply(probe, CODE, problem)
    assert made is not None
    assert made not in (CODE, plain(CODE)) or probe.name == REFORMATTED
    assert made == apply(probe, CODE, problem)


@every_probe
def test_what_a_probe_makes_is_a_program_unless_it_is_cut_off(probe: Probe):
    made = apply(probe, CODE, CALLED)
    assert made is None or probe.name == "truncated" or prompts.parses(made)


ANYWHERE = {"claim", "padding", "dead_code", "unused_import", "logged", REFORMATTED}  # in whatever parses


@pytest.mark.parametrize(
    ("code", "more"),
    [
        ("pass", set()),
        ("x = 1", {"wrong_constant", "renamed"}),
        ("def f(a): return a", {"truncated", "renamed", "forgotten_return"}),
        ("def f(a):\n    if a < 2:\n        return 0\n    return a", {"off_by_one", "removed_edge_case", "renamed"}),
    ],
)
@pytest.mark.parametrize(
    ("problem", "by_problem"),
    [(CALLED, {"hard_coded"}), (READ, {"hard_coded", "added_print"}), (Problem("bare", "", ()), set())],
    ids=lambda value: getattr(value, "id", ""),
)
def test_a_probe_applies_only_where_there_is_something_to_change(code, more, problem, by_problem):
    found = {probe.name for probe in PROBES if apply(probe, code, problem) is not None}
    if "if" not in code:
        assert found == ANYWHERE | more | by_problem
    else:
        assert ANYWHERE | more | by_problem <= found
        assert not found & {"swapped_branches", "other_operator", "other_function"}


@every_probe
@pytest.mark.parametrize("code", ["def f(", "\0", "class :", "x = = 1"])
def test_no_probe_applies_to_what_is_no_program(probe: Probe, code: str):
    assert apply(probe, code, CALLED) is apply(probe, code, READ) is None


@given(st.text(alphabet="abif()=:\n +1", max_size=40))
def test_no_text_is_too_odd(code: str):
    for probe in PROBES:
        made = apply(probe, code, CALLED)
        assert made is None or (prompts.parses(code) and made != code)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claim", CLAIM),
        ("padding", PADDING.splitlines()[0]),
        ("dead_code", "def unused_helper"),
        ("logged", "stderr"),
        ("unused_import", "import itertools as unused_itertools"),
        ("named_result", "final_result"),
        ("swapped_branches", "total = total - 1\n        else:\n            total += "),
        ("other_function", "min(items)"),
        ("hard_coded", "return 3"),
    ],
)
def test_a_probe_does_what_it_says(name: str, expected: str):
    assert expected not in CODE
    assert expected in of(name)


def test_a_hard_coded_program_gives_the_examples_answers_and_nothing_else():
    names: dict = {}
    exec(of("hard_coded"), names)
    assert (names["f"](1, [2]), names["f"](0, []), names["f"](5, [5])) == (3, None, None)


@pytest.mark.parametrize("value", [10**5000, math.inf, [math.nan]], ids=["long", "infinite", "nan"])
def test_an_example_that_python_cannot_write_is_not_hard_coded(value: object):
    odd = Call("f", (value,), 1)
    assert of("hard_coded", problem=Problem("odd", "", (), public_tests=(odd,))) is None
    assert of("hard_coded", problem=Problem("odd", "", (), public_tests=(odd, *CALLED.public_tests))) == of(
        "hard_coded"
    )


def test_truncation_keeps_the_beginning():
    assert plain(CODE).startswith(of("truncated"))
    assert len(of("truncated").splitlines()) == int(0.6 * len(plain(CODE).splitlines()))


def test_renaming_keeps_what_is_called_imported_or_given_by_name():
    code = CODE + "class C:\n    size = 1\nprint(f(1, [2], key=3), C.size, len([x for x in (1, 2)]))\n"
    names = {node.id for node in ast.walk(ast.parse(of("renamed", code))) if isinstance(node, ast.Name)}
    assert {"f", "math", "C", "print", "len", "key", "size"} <= names
    assert not {"total", "items", "i", "x", "n"} & names


def test_reformatting_loses_comments_and_nothing_else():
    assert "# a comment" not in of(REFORMATTED)
    assert ast.dump(ast.parse(of(REFORMATTED))) == ast.dump(ast.parse(CODE))


def test_a_line_before_the_program_stands_behind_what_must_come_first():
    made = of("logged", '"""doc"""\nfrom __future__ import annotations\nx = 1\n')
    ast.parse(made)
    assert made.index("__future__") < made.index("stderr") < made.index("x = 1")


@pytest.mark.parametrize("code", ["x = 1" + " + 1" * 900, "if n == 0:\n    f()" + "\nelif n:\n    f()" * 900])
def test_a_program_that_is_nested_too_deeply_to_be_written_again_is_not_changed(code: str):
    for probe in PROBES:
        made = apply(probe, code, CALLED)
        assert made is None or prompts.parses(made) or probe.name == "truncated"
    assert plain("x = 1" + " + 1" * 900) is None


def test_an_edit_that_empties_a_body_leaves_a_program():
    made = of("dropped_statement", "for i in range(3):\n    print(i)\n")
    assert made == "for i in range(3):\n    pass\n"


IDS = (
    "factorial",
    "io-fewest-coins",
    "is-leap-year",
    "middle-of-three",
    "io-brackets",
    "largest-number",
    "is-sorted-up",
)


def test_on_right_programs_execution_confirms_what_is_meant(tmp_path: Path):
    """Harmless probes leave every right program right; each breaking one breaks some, and most of them."""
    write_rows(tmp_path / "problems.jsonl", mini_rows(IDS))
    benchmark = plugins.build("benchmark", {"name": "jsonl", "path": str(tmp_path / "problems.jsonl")})
    jobs, meant = [], {}
    for problem in benchmark.problems():
        for probe in PROBES:
            made = apply(probe, programs(problem.id)[0], problem)
            if made is not None:
                jobs.append(GradeJob(problem.id, made, benchmark.tests(problem.id)))
                meant[problem.id, made] = probe
    codes = {(grade.problem_id, grade.program): grade.verdict for grade in Grader(Limits(), 2).grade(jobs)}
    broke: Counter[str] = Counter()
    for (name, code), probe in meant.items():
        passed = codes[name, program_hash(code)] is Verdict.PASSED
        assert passed or probe.breaks, (probe.name, code)
        broke[probe.name] += not passed
    breaking = {probe.name for probe in PROBES if probe.breaks}
    assert breaking - {name for name, count in broke.items() if count} == set()
    assert sum(broke.values()) > 0.7 * sum(probe.breaks for probe in meant.values())
