"""Isolation "program": one process for a program's tests, with the outcomes that fresh processes give."""

import os
import signal

import pytest

from tts.sandbox import CellDied, Job, Limits, Outcome, Status, run_programs
from tts.sandbox.guest import unchanged
from tts.types import Call, Stdin, Test

LIMITS = Limits(cpu_seconds=2.0, memory_mib=256, output_mib=1)
ECHO = [Stdin(f"{n}\n" + "more\n" * 4000 * (5 - n), f"{n}\n") for n in range(6)]

PROGRAMS = {
    "plain": "print(input())",
    "own names": "seen = globals().get('seen', 0) + 1\nprint(input() if seen == 1 else 'again')",
    "changed module": "import math\nok = math.pi > 3\nmath.pi = 0\nprint(input() if ok else 'changed')",
    "changed builtin": "import builtins\nok = len('ab') == 2\nbuiltins.len = lambda x: 0\nprint(input() if ok else 0)",
    "exit handler": "import atexit\ns = input()\natexit.register(lambda: print(s))",
    "thread": "import threading\ns = input()\nthreading.Timer(0.05, lambda: print(s)).start()",
    "exits": "import sys\nprint(input())\nsys.exit(0)",
    "exits hard": "import os\nprint(input(), flush=True)\nos._exit(0)",
    "file left": "import os\nok = os.listdir() == []\nopen('left', 'w').write('x')\nprint(input() if ok else 'left')",
    "file left, out of sight": "import io\nio.open('left', 'x').close()\nprint(input())",
    "own streams": "import io\nprint(io.open(0, closefd=False).readline(), end='', file=io.open(1, 'w', closefd=0))",
    "one line of many": "print(input())",
    "reads ahead": "import sys\nfor line in sys.stdin:\n    print(line.strip())\n    break",
    "bytes": "import sys\nsys.stdout.buffer.write(sys.stdin.buffer.raw.read(2))",
    "answers that shrink": "s = input()\nprint(s + ' ' * 3000 * (9 - int(s)))",
    "diagnostics without an end": "import sys\nprint(input(), file=sys.stderr, end='')\nprint(1 / 0)",
    "file open": "f = open('out', 'w')\nprint(input())",
    "closes streams": "import sys\nprint(input())\nsys.stdout.close()\nsys.stdin.close()",
    "replaces streams": "import io, sys\ns = input()\nsys.stdout.write(s + '\\n')\nsys.stdout = io.StringIO()",
    "random": "import random\nx = random.random()\nrandom.seed(input())\nprint(x)",
    "recursion": "import sys\ns = input()\nsys.setrecursionlimit(100 if s == '0' else 20000)\n"
    "def f(n): return n and f(n - 1)\nprint(s, f(50 if s == '0' else 5000))",
    "fails on 3": "s = input()\nassert s != '3'\nprint(s)",
    "wrong on 3": "s = input()\nprint('x' if s == '3' else s)",
    "fails when reused": "import sys\nn = getattr(sys, 'n', 0)\nsys.n = n + 1\nassert n == 0\nprint(input())",
    "wrong when reused": "import sys\nn = getattr(sys, 'n', 0)\nsys.n = n + 1\nprint(input() if n == 0 else 'x')",
    "says that it is done": "import os, struct\nprint(input(), flush=True)\nos.write(4, struct.pack('<i', 0))",
    "talks nonsense": "import os\nprint(input(), flush=True)\nos.write(4, b'nonsense that is far too long')",
    "hangs up": "import os\nprint(input(), flush=True)\nos.close(4)",
    "does not parse": "def f(:",
}


FORGES = """
import os, struct, sys, threading
frame = sys._getframe()
while 'word' not in frame.f_locals:
    frame = frame.f_back
word = frame.f_locals['word']
def race():
    while True:
        os.ftruncate(1, 0)
        os.pwrite(1, b'wrong\\n' * 1000, 0)
threading.Thread(target=race, daemon=True).start()
while True:
    os.write(4, struct.pack('<i', 0) + word)
    os.read(4, 2)
"""


def judge(test: Test, outcome: Outcome) -> tuple[Outcome, bool]:
    right = outcome.status is Status.OK and (not isinstance(test, Stdin) or outcome.output == test.output)
    return outcome, right


def judged(confinement, isolation, jobs):
    return {
        key: [(outcome.status, outcome.output, outcome.stderr) for outcome in result]
        for key, result in run_programs(jobs, judge, LIMITS, 2, isolation, confinement)
    }


def test_outcomes_are_those_of_fresh_processes(confinement):
    jobs = [Job(name, code, ECHO) for name, code in PROGRAMS.items()]
    alike = {name for name in PROGRAMS if name not in ("says that it is done", "talks nonsense", "hangs up")}
    fresh, kept = (judged(confinement, isolation, jobs) for isolation in ("test", "program"))
    assert {name: kept[name] for name in alike} == {name: fresh[name] for name in alike}
    for name in PROGRAMS.keys() - alike:
        answers = [output for status, output, _ in kept[name] if status is Status.OK]
        assert answers == [test.output for test in ECHO[: len(kept[name])] if test.output in answers]


@pytest.mark.parametrize(
    "code",
    [
        "def f(n): return n * 2",
        "seen = []\ndef f(n):\n    seen.append(n)\n    return len(seen) * n * 2",
        "class Solution:\n    def f(self, n): return n * 2",
        "import sys\ndef f(n): sys.exit(0)",
        "def f(n): return 1 / (n - 2)",
    ],
)
def test_functions_too(confinement, code):
    jobs = [Job("f", code, [Call("f", (n,), 2 * n) for n in range(5)])]
    assert judged(confinement, "program", jobs) == judged(confinement, "test", jobs)


def test_each_test_has_the_whole_of_its_time(confinement):
    code = "for _ in range(int(input())): pass\nprint(1)"

    def run(rounds: int, count: int, cpu_seconds: float) -> list[Outcome]:
        limits = Limits(cpu_seconds=cpu_seconds, memory_mib=256, output_mib=1)
        jobs = [Job("busy", code, [Stdin(f"{rounds}\n", "1\n")] * count)]
        ((_, result),) = run_programs(jobs, judge, limits, 1, "program", confinement)
        return result

    (alone,) = run(10_000_000, 1, 10.0)
    result = run(10_000_000, 8, 3 * alone.seconds)
    assert [outcome.status for outcome in result] == [Status.OK] * 8
    assert sum(outcome.seconds for outcome in result) > 4 * alone.seconds
    assert sum(outcome.reused for outcome in result) >= 3


def test_a_test_that_uses_too_much_ends_its_process_and_no_other(confinement):
    code = "s = input()\nif s == '2':\n    while True: pass\nprint(s)"
    jobs = [Job("endless", code, ECHO), Job("after", "print(input())", ECHO)]
    found = judged(confinement, "program", jobs)
    assert [status for status, *_ in found["endless"]] == [Status.OK, Status.OK, Status.TIMEOUT]
    assert [status for status, *_ in found["after"]] == [Status.OK] * 6


def test_programs_never_share_a_process(confinement):
    leave = "import sys, os\nsys.left = 1\nopen('left', 'w').close()\nprint(input())"
    look = "import sys, os\nprint(hasattr(sys, 'left'), os.listdir())"
    jobs = [Job("leave", leave, ECHO[:2]), Job("look", look, [Stdin("", "")])]
    found = dict(run_programs(jobs, judge, LIMITS, 1, "program", confinement))
    assert found["look"][0].output == "False []\n"


def test_values_that_shrink(confinement):
    tests = [Call("f", (["x" * 1000] * (4 - n),), ["x" * 1000] * (4 - n)) for n in range(5)]
    ((_, result),) = run_programs([Job(0, "def f(a): return a", tests)], judge, LIMITS, 1, "program", confinement)
    assert [outcome.output for outcome in result] == [test.returns for test in tests]
    assert [outcome.reused for outcome in result] == [False] + [True] * 4


def test_a_program_that_says_it_is_done_and_changes_its_files_meanwhile_gains_nothing(confinement):
    jobs = [Job("forges", FORGES, ECHO), Job("after", "print(input())", ECHO)]
    found = judged(confinement, "program", jobs)
    assert {output for _, output, _ in found["forges"]} & {test.output for test in ECHO} == set()
    assert found["after"] == [(Status.OK, test.output, "") for test in ECHO]


def test_memory_is_limited_in_a_process_that_is_kept_too(confinement):
    code = "s = input()\nx = bytearray(300 << 20 if s == '2' else 1)\nprint(s)"
    found = judged(confinement, "program", [Job(0, code, ECHO)])
    assert [status for status, *_ in found[0]] == [Status.OK, Status.OK, Status.MEMORY]


def test_a_kept_process_that_was_killed_while_it_waited_is_replaced(cell):
    def run(test):
        return cell.run("print(input())", test, LIMITS, keep=True)

    assert run(ECHO[0]).output == "0\n"
    os.kill(cell._kept.pid, signal.SIGKILL)
    with pytest.raises(CellDied, match="killed"):
        run(ECHO[1])
    assert [run(test).output for test in ECHO[1:]] == [test.output for test in ECHO[1:]]


@pytest.mark.parametrize("tagged", [unchanged.TAGGED, False])
def test_every_change_to_a_dict_is_seen(monkeypatch, tagged):
    monkeypatch.setattr(unchanged, "TAGGED", tagged)
    one = {"a": object(), "b": object()}
    watch = unchanged.Watch([{}, one])
    assert (one["a"] is not None, watch.holds()) == (True, True)
    for change in (
        lambda: one.update(a=1),
        lambda: one.update(c=1),
        lambda: one.pop("b"),
        lambda: one.update(b=one.pop("a")),
        one.clear,
    ):
        watch.renew()
        assert watch.holds()
        change()
        assert not watch.holds()
