"""Tests that take code of the benchmark's own run apart from the program, at each level that protects."""

import time

import pytest
from sandbox.conftest import SMALL

from tts.errors import BrokenCheck
from tts.sandbox import Cell, Limits, Status, matches
from tts.sandbox.checking import run_check
from tts.types import Call, Check

ROUNDS = "def check(f):\n    for i in range(60):\n        assert f(i) == 2 * i, i\n"


@pytest.fixture(scope="module")
def checker(confinement):
    with Cell(confinement) as started:
        yield started


@pytest.fixture
def check(cell, checker):
    def run(code, text, limits=SMALL, keep=True):
        return run_check(cell, checker, code, Check(text, "f"), limits, keep)

    return run


@pytest.mark.parametrize("keep", [True, False])
def test_a_program_passes_if_its_check_ends_without_raising(check, keep):
    outcome = check("def f(n): return n + n", ROUNDS, keep=keep)

    assert (outcome.status, outcome.output, outcome.detail) == (Status.OK, True, "")
    assert outcome.seconds > 0 and outcome.peak_bytes > 1 << 20

    wrong = check("def f(n): return n + min(n, 41)", ROUNDS, keep=keep)
    assert (wrong.status, wrong.output, wrong.detail) == (Status.OK, False, "AssertionError: 42")


def test_arguments_and_answers_of_all_base_types_arrive_as_they_were(check):
    values = [1, 2**70, 1.5, float("inf"), "\ud800é", None, True, (1, [2]), {"a": (1,), 2: {3}}, {1, 2}, 1j]
    text = f"inf = float('inf')\nvalues = {values!r}\ndef check(f):\n    for v in values:\n        g = f(v)\n"
    text += "        assert type(g) is type(v) and g == v, (v, g)\n    assert f(float('nan')) != f(1)\n"
    assert check("def f(v): return v", text).output is True


def test_a_check_sees_no_object_of_the_programs(check):
    liar = "class L:\n    def __eq__(self, other): return True\n    __bool__ = __eq__\n"
    for lie in ("L()", "[L()]", "type('N', (int,), {'__eq__': lambda a, b: True})(5)"):
        assert check(f"{liar}def f(n): return {lie}", "def check(f):\n    assert f(1) in (7, [7])").output is False


def test_a_program_cannot_see_or_reach_the_check(check):
    code = """
import sys, os
def f(n):
    for frame in sys._current_frames().values():
        while frame:
            if 'check' in os.path.basename(frame.f_code.co_filename) or 'SECRET' in str(frame.f_locals): return 'found'
            frame = frame.f_back
    return [m for m in sys.modules if 'check' in m]
"""
    assert check(code, "SECRET = 1\ndef check(f):\n    assert f(1) == []").output is True


def test_what_fails_in_the_program_is_the_programs_outcome(check):
    cases = {
        "def f(n): return 1 // n": Status.RUNTIME_ERROR,
        "def g(n): pass": Status.RUNTIME_ERROR,
        "def f(n):\n    while True: pass": Status.TIMEOUT,
        "def f(n): return [0] * (1 << 29)": Status.MEMORY,
        "import os\ndef f(n): os._exit(0)": Status.RUNTIME_ERROR,
    }
    for code, status in cases.items():
        assert check(code, "def check(f):\n    try: f(0)\n    except Exception: pass").status is status, code
        assert check("def f(n): return 2 * n", ROUNDS).output is True


def test_the_limit_is_for_all_calls_together(check):
    busy = "import time\ndef f(n):\n    end = time.process_time() + 0.4\n    while time.process_time() < end: pass\n"
    assert check(busy, "def check(f):\n    for i in range(3): f(i)").output is True
    late = check(busy, "def check(f):\n    for i in range(20): f(i)")
    assert late.status is Status.TIMEOUT and "2 allowed" in late.detail


@pytest.mark.parametrize(
    ("text", "why"),
    [
        *(("def chock(f): pass", "check"), ("def check(f:", "SyntaxError"), ("raise ValueError", "ValueError")),
        ("import os; os._exit(0)", "ended"),
        ("def check(f): assert f(foo) == 4", "NameError: name 'foo' is not defined"),
        ("def check(f):\n    1 / 0\n    assert f(1) == 1", "ZeroDivisionError"),
        ("def check(f):\n    for i in []: assert f(i)", "it ends without calling it"),
        ("def check(f):\n    assert f(1) == 1\n    assert f(foo) == 4", "NameError: name 'foo' is not defined"),
        ("def check(f):\n    assert f(1) == 1\n    import nowhere", "ModuleNotFoundError"),
    ],
)
def test_a_check_that_fails_whatever_the_program_is_broken(check, text, why):
    with pytest.raises(BrokenCheck, match=f"the check of 'f' fails by itself: .*{why}"):
        check("def f(n): return n", text)
    assert check("def f(n): return 2 * n", ROUNDS).output is True


def test_an_expression_is_evaluated_among_the_programs_names(call, cell):
    code = "class Pair:\n    def __init__(self, a): self.a = a\ndef f(pair): return [pair.a, pair.a]"
    for expression, want in (("(lambda: f(Pair(3)))", [3, 3]), ("(lambda n: set(f(Pair(n))))", {4})):
        test = Call(expression, (4,) if "n" in expression[:9] else (), want)
        assert matches(test, cell.run(code, test, SMALL))
    assert cell.run(code, Call("(lambda: missing)", (), 1), SMALL).status is Status.RUNTIME_ERROR


def test_what_a_check_cannot_get_over_is_the_programs_failure(check):
    long = check("def f(n): return 'x' * 500_000", "def check(f):\n    r = f(1)\n    assert r == 'a', f'got {r!r}'")
    assert (long.output, long.detail[:26]) == (False, "AssertionError: got 'xxxxx")
    assert len(long.detail) <= 2_000

    text = "def check(f):\n    r = f(1)\n    while r: pass"
    assert check("def f(n): return 0", text).output is True
    endless = check("def f(n): return n", text)
    assert (endless.status, endless.output) == (Status.TIMEOUT, None)
    assert endless.detail.startswith("The check of what it returned: used 10")


@pytest.mark.long
def test_a_program_cannot_wait_for_ever_by_waiting_often(check):
    waits = "import time\ndef f(n): time.sleep(0.5)"
    limits = Limits(cpu_seconds=0.05, memory_mib=256, output_mib=1)
    began = time.monotonic()
    assert limits.wall_seconds < 6
    outcome = check(waits, "def check(f):\n    for i in range(1000): f(i)", limits)
    assert outcome.status is Status.TIMEOUT and time.monotonic() - began < 90
