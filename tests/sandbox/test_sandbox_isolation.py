"""Isolation "program": one process for a program's tests, with the outcomes that fresh processes give."""

import pytest

from tts.sandbox import Job, Limits, Outcome, Status, run_programs
from tts.types import Call, Stdin, Test

LIMITS = Limits(cpu_seconds=2.0, memory_mib=256, output_mib=1)
ECHO = [Stdin(f"{n}\n", f"{n}\n") for n in range(6)]

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


def judge(test: Test, outcome: Outcome) -> tuple[Outcome, bool]:
    right = outcome.status is Status.OK and (not isinstance(test, Stdin) or outcome.output == test.output)
    return outcome, right


def judged(confinement, isolation, jobs):
    return {
        key: [(outcome.status, outcome.output) for outcome in result]
        for key, result in run_programs(jobs, judge, LIMITS, 2, isolation, confinement)
    }


def test_outcomes_are_those_of_fresh_processes(confinement):
    jobs = [Job(name, code, ECHO) for name, code in PROGRAMS.items()]
    alike = {name for name in PROGRAMS if name not in ("says that it is done", "talks nonsense", "hangs up")}
    fresh, kept = (judged(confinement, isolation, jobs) for isolation in ("test", "program"))
    assert {name: kept[name] for name in alike} == {name: fresh[name] for name in alike}
    for name in PROGRAMS.keys() - alike:
        assert [output for status, output in kept[name] if status is Status.OK] == [
            test.output for test in ECHO[: len(kept[name])] if (Status.OK, test.output) in kept[name]
        ]


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
    code = "import time\ninput()\nt = time.process_time() + 0.5\nwhile time.process_time() < t: pass\nprint(1)"
    jobs = [Job("busy", code, [Stdin("\n", "1\n")] * 8)]
    limits = Limits(cpu_seconds=0.8, memory_mib=256, output_mib=1)
    ((_, result),) = run_programs(jobs, judge, limits, 1, "program", confinement)
    assert [outcome.status for outcome in result] == [Status.OK] * 8
    assert all(0.45 < outcome.seconds < 0.7 for outcome in result)
    assert sum(outcome.reused for outcome in result) >= 4


def test_a_test_that_uses_too_much_ends_its_process_and_no_other(confinement):
    code = "s = input()\nif s == '2':\n    while True: pass\nprint(s)"
    jobs = [Job("endless", code, ECHO), Job("after", "print(input())", ECHO)]
    found = judged(confinement, "program", jobs)
    assert [status for status, _ in found["endless"]] == [Status.OK, Status.OK, Status.TIMEOUT]
    assert [status for status, _ in found["after"]] == [Status.OK] * 6


def test_programs_never_share_a_process(confinement):
    leave = "import sys, os\nsys.left = 1\nopen('left', 'w').close()\nprint(input())"
    look = "import sys, os\nprint(hasattr(sys, 'left'), os.listdir())"
    jobs = [Job("leave", leave, ECHO[:2]), Job("look", look, [Stdin("", "")])]
    found = dict(run_programs(jobs, judge, LIMITS, 1, "program", confinement))
    assert found["look"][0].output == "False []\n"
