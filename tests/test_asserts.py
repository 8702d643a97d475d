"""Asserts as data: what each becomes, that verdicts are those of running it, and that no object talks its way in."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.grade import Grade, GradeJob, Grader
from tts.problems._asserts import from_asserts, from_check
from tts.problems._constants import NotConstant, value_of
from tts.sandbox import Limits
from tts.types import Call as AnyCall
from tts.types import Check, Test, Tolerance, Verdict

Call = partial(AnyCall, strict=True)  # as authors' asserts are
LIMITS = Limits(cpu_seconds=2.0, memory_mib=256, output_mib=1)
# Equal to everything, and whatever is asked of it is what would pass.
LIAR = """
class L(int):
    def lie(self, *a, **k): return True
    def me(self, *a, **k): return self
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = lie
    __hash__ = int.__hash__
    __sub__ = __rsub__ = __abs__ = __add__ = __getitem__ = __getattr__ = __float__ = me
    def __ne__(self, other): return False
    def __iter__(self): return iter([self])
class M:
    pass
for name, member in vars(L).items():
    if callable(member) and name not in ('__hash__', '__getattr__'): setattr(M, name, member)
M.__hash__ = object.__hash__
"""


def value(text: str, **names):
    return value_of(ast.parse(text, mode="eval").body, names)


BASE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=10,
)


# Constants.


@given(BASE | st.complex_numbers(allow_nan=False, allow_infinity=False) | st.sets(st.integers(), min_size=1))
def test_the_value_of_a_literal_is_the_literals(found):
    assert repr(value(repr(found))) == repr(ast.literal_eval(repr(found)))


@pytest.mark.parametrize(
    "text",
    [
        "3 * 19 * 3",
        "1.0 / 3",
        "0 ** 0",
        "-(2 + 5) % 3 // 2",
        "'ab' + 'c' * 3",
        "[1] * 3 + [2]",
        "2 * (1, 2)",
        "set((4, 5))",
        "tuple([1, [2]])",
        "float('inf')",
        "complex('1+2j')",
        "not 3",
        "~5",
        "{1: {2: (3,)}, 'a': {5}}",
    ],
)
def test_constant_arithmetic_is_pythons(text):
    found = value(text)

    assert (found, type(found)) == (eval(text), type(eval(text)))


def test_names_are_what_they_were_bound_to():
    assert value("[a, b + 1]", a={"x": 1}, b=2) == [{"x": 1}, 3]


@pytest.mark.parametrize(
    "text",
    [
        "9 ** 9 ** 9",
        "2 ** 100000",
        "'x' * 10 ** 9",
        "[0] * 1000 * 1000 * 1000",
        "'%s' % 1",
        "1 << 10 ** 9",
        "f(1)",
        "print(1)",
        "list(range(3))",
        "[i for i in (1, 2)]",
        "(lambda: 1)()",
        "a",
        "'a'.upper()",
        "[*(1, 2)]",
        "{**{}}",
        "{[]: 1}",
        "1 / 0",
        "1 + 'a'",
        "b'x'",
        "...",
        "float('x')",
        "set(key=1)",
        "frozenset([1])",
        "f'{1}'",
        "2.0 ** 9999",
        "True if 1 else 2",
    ],
)
def test_what_has_to_be_run_or_would_be_too_large_is_no_constant(text):
    with pytest.raises(NotConstant):
        value(text)


# What an assert becomes.


@given(args=st.lists(BASE, max_size=3), returns=BASE, turned=st.booleans())
def test_a_call_compared_with_a_constant_is_a_call(args, returns, turned):
    sides = [f"f({', '.join(map(repr, args))})", f"({returns!r})"]
    (found,) = from_asserts([f"assert {' == '.join(sides[::-1] if turned else sides)}"], "f")

    assert repr(found) == repr(Call("f", tuple(args), returns))


TRUTH = "(lambda *a: bool(f(*a)))"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("assert (f(1)) == 2, 'why'", Call("f", (1,), 2)),
        ("assert f(1) is True", Call("f", (1,), True)),
        ("assert f(1) is None", Call("f", (1,), None)),
        ("assert f(1)", Call(TRUTH, (1,), True)),
        ("assert not f('a', [2])", Call(TRUTH, ("a", [2]), False)),
        ("assert int(f(1)) == 2", Call("(lambda: int(f(1)))", (), 2)),
        ("assert set(f(1)) == set([2])", Call("(lambda: set(f(1)))", (), {2})),
        ("assert len(tuple(f(P(1), -q[0].x))) == 2", Call("(lambda: len(tuple(f(P(1), -q[0].x))))", (), 2)),
        ("assert f(n=1) == 2", Call("(lambda: f(n=1))", (), 2)),
        ("assert abs(f(1) - 0.5) <= 0.1", Call("f", (1,), 0.5, Tolerance(0.1, 0.0))),
        ("assert math.fabs(2 - f(1)) <= 1", Call("f", (1,), 2.0, Tolerance(1.0, 0.0))),
        ("assert math.isclose(f(1), 0.5)", Call("f", (1,), 0.5, Tolerance(0.0, 1e-9))),
        ("assert math.isclose(f(1), 0.5, rel_tol=0.01, abs_tol=1)", Call("f", (1,), 0.5, Tolerance(1.0, 0.01))),
    ],
)
def test_asserts_that_are_data(text, expected):
    assert from_asserts([text], "f") == (expected,)


def test_an_open_tolerance_ends_before_its_limit():
    (found,) = from_asserts(["assert abs(f(1) - 0.5) < 0.25"], "f")

    assert 0.2499999 < found.tolerance.absolute < 0.25


@pytest.mark.parametrize(
    "text",
    [
        "assert f(1) != 2",
        "assert f(1) > 2",
        "assert f(1) in (1, 2)",
        "assert (f(1) == 2) == True",
        "assert f(1) == 2 and f(2) == 3",
        "assert f(1) - 1 == 0",
        "assert (not f(1)) == True",
        "assert f(1) == f(1)",
        "assert f(1) is 257",
        "assert abs(f(1) + 2) < 1",
        "assert 1 < f(1) < 3",
        "assert all(x > 0 for x in f(1))",
        "assert (lambda x: x == 1)(f(1)) == True",
        "assert f(len([1])) == sys.getsizeof(3)",
        "assert not not f(1)",
        "assert 3 == 3",
        "assert f(1).count(1) == 2",
        "assert f(1)[0] == 2",
        "assert max(f(1), 2) == 2",
        "assert f(1 == 1) == 2",
        "assert g(f(1)) == 2",
    ],
)
def test_what_an_object_could_answer_for_itself_is_a_check(text):
    (found,) = from_asserts([text], "f")

    assert isinstance(found, Check)


def test_an_assert_of_nothing_is_no_test():
    assert from_asserts(["assert True, 'debugging'"], "f") == ()


def test_set_up_code_goes_before_each_assert():
    (found,) = from_asserts(["assert f(root) == 2"], "f", setup="root = Node(1)\nroot.next = Node(2)\n")

    assert found == Call("(exec('root = Node(1)\\nroot.next = Node(2)\\n') or (lambda: f(root)))", (), 2)


@pytest.mark.parametrize(
    ("texts", "setup", "reason"),
    [
        (["assert f(1) =="], "", "not Python"),
        (["f(1) == 2"], "", "not one assert"),
        (["assert f(1) == 2; assert f(2) == 3"], "", "not one assert"),
        (["(" * 5000], "", "not Python"),
        (["assert f(1)\0"], "", "not Python"),
        (["assert f(Pair(1)) > 2"], "", "the program's own objects"),
        (["assert f(root) > 2"], "root = 1", "the program's own objects"),
        (["assert f(n=1) > 2"], "", "by keyword"),
    ],
)
def test_what_cannot_be_decided_is_refused_with_the_reason(texts, setup, reason):
    with pytest.raises(ValueError, match=reason):
        from_asserts(texts, "f", setup, ["Pair", "f"])


CHECK = """
META = {'author': 'x'}
def check(candidate):
    import math
    numbers = [1, 2]
    assert candidate(numbers) == 3, "why"
    assert True
    print
    numbers = [4]
    assert candidate(numbers) == 4
check(total)
"""


def test_a_test_function_of_asserts_is_a_test_for_each():
    assert from_check(CHECK, "total") == (Call("total", ([1, 2],), 3), Call("total", ([4],), 4))


def test_a_test_function_that_does_more_is_one_check():
    (found,) = from_check(CHECK.replace("print\n", "for i in range(3): assert candidate([i]) == i\n"), "total", "N = 1")

    assert isinstance(found, Check)
    assert found.entry_point == "total"
    assert "N = 1" in found.code


@pytest.mark.parametrize(
    "source", ["x = 1", "def check(): pass", "def check(f): pass", "def check(f):\n    assert True"]
)
def test_a_test_function_that_is_none_or_asserts_nothing_is_refused(source):
    with pytest.raises(ValueError, match="check"):
        from_check(source, "f")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["try:", "    candidate(None)", "except TypeError:", "    pass"], "to see what it raises"),
        (["x = [3, 1]", "candidate(x)", "assert x == [1, 3]"], "does not look at what it returns"),
    ],
)
def test_a_check_that_its_stand_in_would_decide_wrongly_is_refused(lines, reason):
    with pytest.raises(ValueError, match=reason):
        from_check("def check(candidate):\n    " + "\n    ".join(lines), "f")


# Verdicts.

DOUBLE = "def f(x, *rest): return 2 * x"
AGREED = {
    "assert f(2) == 4": [DOUBLE, "def f(x): return 5", "def f(x): return 4.0", "def f(x): return '4'", "f = None"],
    "assert f(True) is True": ["def f(x): return x", "def f(x): return 'True'"],
    "assert f('a')": [
        DOUBLE,
        "def f(x): return ''",
        "def f(x): return None",
        "import re\ndef f(x): return re.match(x, x)",
    ],
    "assert not f('a')": [DOUBLE, "def f(x): return ''", "def f(x): return None"],
    "assert tuple(f([1])) == (1, 1)": [
        DOUBLE,
        "def f(x): return x",
        "def f(x): return iter((1, 1))",
        "def f(x): return 1",
    ],
    "assert abs(f(0.5) - 1.0) < 0.25": [DOUBLE]
    + [f"def f(x): return {v}" for v in (1.25, 1.2499, 0.75, 0.7501, 1, "None")],
    "assert abs(f(0.5) - 1) <= 0.25": [f"def f(x): return {v}" for v in (1.25, 1.2499, 0.75, 0.7499, "float('nan')")],
    "assert math.isclose(f(0.5), 1.0, rel_tol=0.01)": [
        f"def f(x): return {v}" for v in (1.0, 1.001, 1.02, 0.999, 0.98)
    ],
    "assert f(3) in (5, 6)": [DOUBLE, "def f(x): return 7"],
    "assert f(1) == f(1) and f(f(1)) == 4": [
        DOUBLE,
        "def f(x): return 5",
    ],
    "assert f(x=3) == 6": [DOUBLE, "def f(y): return 6"],
    "assert sum(f([1, 2])) == 6": [DOUBLE, "def f(x): return [6]", "def f(x): return [7]"],
    "assert f([1, 2]).count(1) == 2": [DOUBLE, "def f(x): return x"],
    "assert f(1) == [(1, 2), {1: (0,)}]": [
        "def f(x): return [(1, 2), {1: (0,)}]",
        "def f(x): return [(1.0, 2), {True: (False,)}]",
        "def f(x): return [[1, 2], {1: (0,)}]",
        "def f(x): return ((1, 2), {1: (0,)})",
        "def f(x): return [(1, 2), {1: [0]}]",
        "def f(x): return [(1, 2), {'1': (0,)}]",
    ],
    "assert f(1) == {1, (2.0,)}": [
        "def f(x): return {1, (2.0,)}",
        "def f(x): return frozenset([True, (2,)])",
        "def f(x): return {1, 2.0}",
        "def f(x): return [1, (2.0,)]",
    ],
    "assert f(2.5) == 2": [
        "from math import floor\ndef f(x): return floor(x)",
        "def f(x): return floor(x)",
        "def f(x: List[int]): return 2",
        "def f(x): return Counter([2])[2] + 1",
        "class Solution:\n    pass\ndef f(x): return int(x)",
    ],
}


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    return Grader(LIMITS, workers=1, isolation="program")


def graded(grader: Grader, tests: tuple[Test, ...], *programs: str) -> list[bool]:
    """Whether each program passes."""
    jobs = [GradeJob(str(i), code, tests) for i, code in enumerate(programs)]
    found = {grade.problem_id: grade for grade in grader.grade(jobs)}
    assert all(isinstance(grade, Grade) for grade in found.values()), found
    return [found[str(i)].verdict is Verdict.PASSED for i in range(len(programs))]


def executed(program: str, text: str) -> bool:
    """Whether the assert holds in one process with the program."""
    done = subprocess.run([sys.executable, "-c", f"import math\n{program}\n{text}"], capture_output=True)
    return done.returncode == 0


@pytest.mark.parametrize("text", AGREED)
def test_a_verdict_is_that_of_executing_the_assert(grader, text):
    expected = [executed(program, text) for program in AGREED[text]]

    assert graded(grader, from_asserts([text], "f"), *AGREED[text]) == expected
    check = f"def check(candidate):\n    {text.replace('f(', 'candidate(')}"
    assert graded(grader, from_check(check, "f"), *AGREED[text]) == expected


@pytest.mark.parametrize("text", [text for text in AGREED if text != "assert f('a')"])
def test_an_object_that_is_equal_to_everything_passes_no_assert(grader, text):
    liars = [
        f"{LIAR}def f(x, *rest): return {lie}"
        for lie in ("L(7)", "M()", "[M()]", "(M(), M())", "type('N', (L,), {})(9)")
    ]

    assert graded(grader, from_asserts([text], "f"), *liars) == [False] * len(liars)


def test_what_asks_for_truth_alone_cannot_tell_the_program_which(grader):
    tests = from_asserts(["assert f('()')", "assert not f('(')"], "f")

    assert graded(grader, tests, f"{LIAR}def f(x): return M()", "def f(x): return len(x) % 2 == 0") == [False, True]


def test_a_check_has_helpers_and_the_functions_own_name(grader):
    helpers = "def encode(s):\n    return s[::-1]\n\ndef f(s):\n    'Undo encode.'\n"
    source = "def check(candidate):\n    for s in ('ab', 'xyz'):\n        assert candidate(encode(s)) == s == f(f(s))\n"
    (check,) = from_check(source, "f", helpers)

    assert graded(grader, (check,), "def f(s): return s[::-1]", "def f(s): return s") == [True, False]


def test_a_name_of_the_test_codes_own_is_not_looked_up_in_the_program(grader):
    source = "def helper(n): return [n]\ndef check(candidate):\n    assert candidate(helper(2)) == 2\n"

    assert graded(grader, from_check(source, "f"), "def f(x): return x[0]", "def f(x): return x") == [True, False]


def test_a_check_draws_the_same_inputs_each_time(grader):
    source = "import random\ndef check(g):\n    for _ in range(3): assert g(random.random()) == 1\n"
    text = "def f(x): return int(f'{x:.6f}' == '%s')"
    import random

    random.seed(0)
    first = f"{random.random():.6f}"
    assert graded(grader, from_check(source.replace("range(3)", "range(1)"), "f"), text % first) == [True]


def test_the_programs_own_classes_are_found_and_its_set_up_is_run(grader):
    program = "class Node:\n    def __init__(self, v): self.v, self.next = v, None\ndef f(n): return n.v + n.next.v"
    tests = from_asserts(["assert f(root) == 3"], "f", "root = Node(1)\nroot.next = Node(2)\n")
    tests += from_asserts(["assert f(type('P', (), {'v': 1, 'next': Node(4)})) == 5"], "f")

    assert graded(grader, tests, program, program.replace("+", "-"), "def f(n): return 3") == [True, False, False]
