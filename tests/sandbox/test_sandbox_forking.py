"""Tests with a process each that is forked from their program's template, at each level that protects."""

import signal

import psutil
import pytest
from sandbox.conftest import SMALL

from tts.sandbox import Cell, Limits, Status
from tts.types import Call, Stdin

PROGRAMS = {
    "prints": "print(int(input()) * 2)",
    "fails": "raise ValueError(input())",
    "does not parse": "print(",
    "exits": "import sys\nprint(1)\nsys.exit(3)",
    "draws": "import random\nprint(random.random(), random.gauss(0, 1))",
    "counts": "counts = []\ncounts.append(1)\nprint(len(counts))",
    "threads": "import threading\nt = threading.Thread(target=print, args=(input(),))\nt.start()\nt.join()",
    "signals its thread": """
import signal, threading
done = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: done.set())
t = threading.Thread(target=lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1))
t.start(); t.join()
print(done.wait(1))
""",
    "ends by a finaliser": """
import gc
class A:
    def __del__(self): print("gone", flush=True)
a = A(); a.me = a
gc.collect()
del a
print("done")
""",
    "registers": "import atexit\natexit.register(print, 'last')\nprint('first')",
    "kills itself": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
    "spins": "while True: pass",
    "takes memory": "a = bytearray(1 << 29)\nfor i in range(0, len(a), 4096): a[i] = 1",
    "floods": "while True: print('x' * 1000)",
}
QUICK = Limits(cpu_seconds=0.5, memory_mib=128, output_mib=1)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_later_test_ends_as_the_first_does(cell, name):
    outcomes = [cell.run(PROGRAMS[name], Stdin("21\n", ""), QUICK)]
    outcomes += [cell.run_forked(PROGRAMS[name], Stdin("21\n", ""), QUICK) for _ in range(3)]

    assert len({(o.status, o.output, o.stderr) for o in outcomes}) == 1, outcomes
    assert not any(o.reused for o in outcomes)


def test_calls_are_forked_as_well(cell):
    code = "seen = []\ndef f(x, y):\n    seen.append(x)\n    return [x + y, len(seen)]"
    for n in range(5):
        assert cell.run_forked(code, Call("f", (n, 1), None), SMALL).output == [n + 1, 1]


def test_a_test_cannot_reach_its_template_or_another_process(cell):
    code = """
import os
found = []
for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else []):
    if int(pid) == os.getpid(): continue
    for name in ("mem", "maps", "environ", "cwd", "root", "fd/0", "fd/1", "fd/2", "fd/15"):
        try: os.close(os.open(f"/proc/{pid}/{name}", os.O_RDONLY))
        except OSError: continue
        found.append(f"{pid}/{name}")
print(found)
"""
    for _ in range(3):
        outcome = cell.run_forked(code, Stdin("", ""), SMALL)
        assert (outcome.status, outcome.output) in [(Status.OK, "[]\n"), (Status.RUNTIME_ERROR, None)]


def templates(cell: Cell) -> list[psutil.Process]:
    """What a zygote has started, between two tests."""
    processes = [psutil.Process(cell.pid), *psutil.Process(cell.pid).children(recursive=True)]
    zygote = next(one for one in processes if one.name() != "bwrap" and "zygote.py" in " ".join(one.cmdline()))
    return zygote.children()


def test_a_template_that_dies_or_stops_costs_no_outcome(confinement):
    code = "print(input())"
    with Cell(confinement) as cell:
        cell.run_forked(code, Stdin("0\n", ""), SMALL)
        for number in (signal.SIGKILL, signal.SIGSTOP):
            for template in templates(cell):  # one, save after the last one stopped
                template.send_signal(number)
            assert cell.run_forked(code, Stdin("1\n", ""), SMALL).output == "1\n"
            assert cell.run_forked(code + "\n", Stdin("2\n", ""), SMALL).output == "2\n"
