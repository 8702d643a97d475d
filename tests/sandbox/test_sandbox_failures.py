"""Wrong, hostile and greedy programs: each gets the status it deserves, and nothing of it stays."""

import time
from pathlib import Path

import pytest

from tts.errors import InfraError
from tts.sandbox import Cell, Confinement, Level, Limits, Status
from tts.types import Call, Stdin

QUICK = Limits(cpu_seconds=0.4, memory_mib=128, output_mib=1)


@pytest.mark.parametrize(
    "code",
    [
        "class L:\n    def __eq__(self, o): return True\ndef f(a): return L()",
        "class L(int):\n    def __eq__(self, o): return True\n    __hash__ = None\ndef f(a): return L(0)",
        "class L(str):\n    def __eq__(self, o): return True\n    def __str__(self): return self\ndef f(a): return L()",
        "class L(list):\n    __eq__ = lambda a, b: True\n    __iter__ = lambda a: iter([7])\ndef f(a): return L()",
        "class L(int):\n    def __eq__(self, o): return True\ndef f(a): return [L(0)]",
        "class L(dict):\n    def items(self): return [(7, 7)]\n    __eq__ = lambda a, b: True\ndef f(a): return L()",
        "class L:\n    __class__ = int\n    def __eq__(self, o): return True\ndef f(a): return L()",
        "import sys\ndef f(a): sys.exit(0)",
        "import os\ndef f(a): os._exit(0)",
        "import os\ndef f(a):\n    os.write(3, b'7')\n    os.write(3, b'}')\n    os._exit(0)",
        "import os\ndef f(a):\n    os.write(3, b'7')\n    os._exit(1)",
        "import os\ndef f(a):\n    os.write(3, b'7')\n    os.kill(os.getpid(), 11)",
        "def g(a): return 7",
        "def f(a): return object()",
        "class Solution: pass\ndef f(a): return 7",
        "def f(a):\n    r = []\n    r.append(r)\n    return r",
        "",
    ],
)
@pytest.mark.parametrize("want", [7, [7], None])
def test_functions_that_are_wrong_are_never_right(returns, code, want):
    assert not returns(code, want)


def test_the_expected_value_is_nowhere_in_the_process(cell):
    code = (
        "import gc, sys\n"
        "def f(a):\n"
        "    found, frame, needle = [], sys._getframe(), a[::-1]\n"
        "    while frame:\n"
        "        found += [repr(value) for name, value in frame.f_locals.items() if name not in ('needle', 'found')]\n"
        "        frame = frame.f_back\n"
        "    found += [repr(o) for o in gc.get_objects() if type(o) in (list, tuple) and o is not found]\n"
        "    return [len(found) > 20] + [text for text in found if needle in text]"
    )
    outcome = cell.run(code, Call("f", ("c9f3-ELDEEN",), "NEEDLE-3f9c"), Limits())

    assert outcome.output == [True], outcome.detail


@pytest.mark.parametrize(
    ("code", "status", "why"),
    [
        ("1 / 0", Status.RUNTIME_ERROR, "line 1, in <module>\nZeroDivisionError"),
        ("def f(:", Status.RUNTIME_ERROR, "SyntaxError"),
        ("import sys\nsys.exit(3)", Status.RUNTIME_ERROR, "exit code 3"),
        ("import sys\nsys.exit('message')", Status.RUNTIME_ERROR, "message"),
        ("import ctypes\nctypes.string_at(0)", Status.RUNTIME_ERROR, "SIGSEGV"),
        ("def f(n): return f(n + 1)\nf(0)", Status.RUNTIME_ERROR, "RecursionError"),
        ("\0", Status.RUNTIME_ERROR, "null bytes"),
        ("x = '\ud800'\nprint(x)", Status.RUNTIME_ERROR, "surrogates"),
        ("import sys\nsys.stderr.write('x' * 5000)\n1 / 0", Status.RUNTIME_ERROR, "ZeroDivisionError"),
        ("while True: pass", Status.TIMEOUT, "0.4 allowed"),
        ("while True:\n    try:\n        while True: pass\n    except BaseException: pass", Status.TIMEOUT, "allowed"),
        (
            "import threading\nf = lambda: sum(iter(int, 1))\nthreading.Thread(target=f).start()",
            Status.TIMEOUT,
            "",
        ),
        ("import os\nos.fork()", Status.RUNTIME_ERROR, "PermissionError"),
        ("import subprocess\nsubprocess.run(['/bin/true'])", Status.RUNTIME_ERROR, "PermissionError"),
        ("x = bytearray(1 << 32)", Status.MEMORY, "MemoryError"),
        ("x = []\nwhile True: x.append(b'x' * 1000000)", Status.MEMORY, "128 MiB"),
        ("import mmap\nx = mmap.mmap(-1, 1 << 28)\nfor i in range(0, 1 << 28, 4096): x[i] = 1", Status.MEMORY, "128"),
        ("while True: print('x' * 99)", Status.OUTPUT_LIMIT, "1 MiB"),
        ("import sys\nsys.stdout.write('x' * (1 << 20) + 'y')", Status.OUTPUT_LIMIT, "1 MiB"),
    ],
)
def test_every_failure_has_its_status(run, code, status, why):
    outcome = run(code, limits=QUICK)

    assert (outcome.status, outcome.output) == (status, None), outcome.detail
    assert why in outcome.detail
    assert len(outcome.detail) < 2200


def test_a_returned_value_has_the_output_limit(call):
    assert call("def f(a): return 'x' * (2 << 20)", 1).status is Status.OUTPUT_LIMIT


@pytest.mark.parametrize(
    ("code", "status", "output"),
    [
        ("def f(a): return a * 2_500_000", Status.OK, ",[" * 2_500_000),
        ("def f(a): return '\u00e9' * 3_000_000", Status.OK, "\u00e9" * 3_000_000),
        ("def f(a): return [7] * 4_500_000", Status.OK, [7] * 4_500_000),
        ("def f(a): return [[]] * 3_100_000", Status.OUTPUT_LIMIT, None),
    ],
)
def test_large_values_are_limited_by_their_bytes_and_lists(call, code, status, output):
    outcome = call(code, ",[", limits=Limits(cpu_seconds=20))

    assert outcome.status is status, outcome.detail
    assert outcome.output == output


def test_large_arguments_reach_the_function(call):
    given = [[]] * 3_100_000, "," * 5_000_000
    limits = Limits(cpu_seconds=20)
    assert call("def f(a, b): return [len(a), len(b)]", *given, limits=limits).output == [3_100_000, 5_000_000]


def test_the_amount_of_diagnostics_decides_nothing(run):
    code = "import sys\nfor n in (9999, 3_000_000) * 200: sys.stderr.write('x' * n)\nprint(7)"

    outcome = run(code)

    assert (outcome.status, outcome.output) == (Status.OK, "7\n"), outcome.detail


def test_arguments_that_cannot_be_sent_are_no_verdict(cell):
    deep: list[object] = []
    for _ in range(2000):
        deep = [deep]
    for value in (deep, object()):
        with pytest.raises(InfraError, match="cannot be sent"):
            cell.run("", Call("f", (value,), None), QUICK)


def test_output_up_to_the_limit_is_kept(run):
    assert len(run("print('x' * ((1 << 20) - 1))").output) == 1 << 20


def test_waiting_is_bounded_too(run):
    started = time.monotonic()
    outcome = run("import time\ntime.sleep(99)", limits=QUICK)

    assert outcome.status is Status.TIMEOUT
    assert outcome.seconds < 0.3
    assert time.monotonic() - started < 3 * QUICK.wall_seconds


def test_seconds_are_processor_time_of_all_threads(run):
    code = (
        "import threading, time\ndef f():\n    while time.thread_time() < 0.15: pass\n"
        "threads = [threading.Thread(target=f) for _ in range(3)]\nfor t in threads: t.start()"
    )
    assert 0.45 <= run(code).seconds < 0.8


LEAK = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        os.chdir('/')
        if os.fork() == 0:
            os.write(1, b'%d\\n' % os.getpid())
            time.sleep(60)
        os._exit(0)
while os.fstat(1).st_size < 6: time.sleep(0.01)
"""


def test_no_process_survives_its_test_where_processes_can_be_started():
    with Cell(Confinement(Level.D)) as cell:
        outcome = cell.run(LEAK, Stdin("", ""), QUICK)

    assert outcome.status is Status.OK, outcome.detail
    assert not [pid for pid in outcome.output.split() if Path("/proc", pid).exists()]


def test_the_folder_is_emptied_whatever_is_in_it(run, confinement):
    code = "import os\nfor _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')\nos.symlink('/', 'link')\n"
    if confinement.has_own_files:  # elsewhere rights cannot be changed
        code += "os.chmod('.', 0)\nos.chdir('/')\nos.chmod('/tmp', 0)"
    outcome = run(code)

    assert outcome.status is Status.OK, outcome.detail
    assert run("import os\nprint(os.listdir())").output == "[]\n"
    assert run("open('x', 'w').close()").status is Status.OK


def test_a_program_cannot_signal_its_zygote(run):
    assert "PermissionError" in run("import os\nos.kill(os.getppid(), 9)").detail


def test_floods_of_threads_and_files_are_bounded_and_buried(run):
    threads = "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,), daemon=True).start()"
    files = "i = 0\nwhile True:\n    open(f'{i}', 'w').close()\n    i += 1"
    for code in (threads, files):
        assert run(code, limits=QUICK).status is not Status.OK
        assert run("print(1)").output == "1\n"
