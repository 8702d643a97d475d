"""Right programs of every tricky kind run as they would by themselves."""

import sys

import pytest

from tts.sandbox import Limits, Status, canonical, matches
from tts.sandbox.guest import wire
from tts.types import Call

PROGRAMS = {  # SUM stands for sum(map(int, input().split()))
    "input": "a, b = map(int, input().split())\nprint(a + b)",
    "buffer": "import sys\na, b = map(int, sys.stdin.buffer.readline().split())\nprint(a + b)",
    "iterate": "import sys\nfor line in sys.stdin:\n    print(sum(map(int, line.split())))",
    "open_0": "print(sum(map(int, open(0).read().split())))",
    "dev_stdin": "print(sum(map(int, open('/dev/stdin').read().split())))",
    "write_bytes": "import sys\nsys.stdout.buffer.write(b'%d' % SUM)",
    "os_read": "import os\nos.write(1, b'%d' % sum(map(int, os.read(0, os.fstat(0).st_size).split())))",
    "open_1_unclosed": "out = open(1, 'w')\nout.write(str(SUM))",
    "quit": "print(SUM)\nquit()\nprint('no')",
    "exit": "print(SUM)\nexit()",
    "sys_exit_0": "import sys\nprint(SUM)\nsys.exit(0)",
    "os_exit_0": "import os\nprint(SUM, flush=True)\nos._exit(0)",
    "atexit": "import atexit\ns = SUM\natexit.register(lambda: print(s))",
    "thread": "import threading\nthreading.Thread(target=lambda: print(SUM)).start()",
    "main_guard": "def main():\n    print(SUM)\nif __name__ == '__main__':\n    main()\nx = 1",
    "future": "from __future__ import annotations\ndef f(x: no | such) -> name: return x\nprint(f(SUM))",
    "global": "n = 0\ndef f():\n    global n\n    n += SUM\nf()\nprint(n)",
    "star_import": "from math import *\nfrom collections import *\nprint(Counter(a=SUM)['a'])",
    "pickle": "import pickle\nclass A: pass\nassert type(pickle.loads(pickle.dumps(A()))) is A\nprint(SUM)",
    "resource": "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\nprint(SUM)",
    "alarm": "import signal\nsignal.signal(signal.SIGALRM, print)\nsignal.alarm(1)\nsignal.alarm(0)\nprint(SUM)",
    "close_fds": "import os\nos.closerange(3, 200)\nprint(SUM)",
    "builtins_patch": "import builtins\nbuiltins.input = lambda: '1 2'\nprint(SUM)",
    "temporary_file": "open('x', 'w').write('1 2')\nprint(sum(map(int, open('x').read().split())))",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_that_add_two_numbers(run, name):
    outcome = run(PROGRAMS[name].replace("SUM", "sum(map(int, input().split()))"), "1 2\n")

    assert (outcome.status, (outcome.output or "").strip()) == (Status.OK, "3"), outcome.detail


def test_names_of_the_prelude_are_there(run):
    code = "x: List[int] = deque([1])\nprint(sqrt(4), gcd(4, 6), Counter, math.pi, datetime.datetime, bisect.bisect)"

    outcome = run(code)

    assert outcome.output.startswith("2.0 2 typing.Counter 3.14"), outcome.detail


@pytest.mark.xfail(sys.version_info >= (3, 12), reason="Python bounds recursion through C, whatever the stack")
def test_deep_recursion_on_the_main_stack(run):
    code = (
        "import sys, functools\nsys.setrecursionlimit(10**6)\n"
        "def f(n): return n and 1 + f(n - 1)\n"
        "def key(n): return n and max([n], key=lambda m: key(m - 1)) and n\n"  # through C at every level
        "print(f(100000), key(15000))"
    )
    assert run(code, limits=Limits(memory_mib=1024)).output == "100000 15000\n"


def test_a_thread_with_a_big_stack(run):
    code = (
        "import sys, threading\nsys.setrecursionlimit(1 << 25)\nthreading.stack_size(512 << 20)\n"
        "def f(n): return n and 1 + f(n - 1)\n"
        "t = threading.Thread(target=lambda: print(f(60000)))\nt.start()\nt.join()"
    )
    assert run(code).output == "60000\n"


def test_integers_of_many_digits(run):
    assert run("print(len(str(10 ** 9999)), int('9' * 5000) % 10)").output == "10000 9\n"


def test_numpy_can_be_imported(run):
    pytest.importorskip("numpy")
    assert run("import numpy as np\nprint(np.arange(4).sum())", limits=Limits()).output == "6\n"


def test_the_environment_is_empty_and_the_folder_is_fresh(run):
    code = "import os\nprint(dict(os.environ), os.listdir('.'))\nos.makedirs('a/b')"

    assert [run(code).output for _ in range(2)] == ["{} []\n"] * 2


def test_unicode_goes_through(run):
    assert run("s = input()\nprint(s[::-1], len(s))", "h\u00e9\U0001f600\n").output == "\U0001f600\u00e9h 3\n"


def test_a_program_is_deterministic(run):
    code = "import random\nprint(random.random(), hash('x'), list({'a', 'b', 'c'}))"

    assert run(code).output == run(code).output


@pytest.mark.parametrize(
    "code",
    [
        "class Solution:\n    def f(self, a): return a * 2",
        "def f(a): return a * 2",
        "# class Solution\nf = lambda a: a * 2",
    ],
)
def test_methods_and_functions_are_called(returns, code):
    assert returns(code, 2)


def test_the_class_is_called_if_there_is_one(call):
    method = "class Solution:\n    def f(self, a): return a + 1\ndef f(a): return a"

    assert call(method, 1).output == 2
    assert "AttributeError" in call("class Solution: pass\ndef f(a): return a", 1).detail


def test_a_byte_order_mark_is_passed_over(run):
    assert run("\ufefffrom __future__ import annotations\nprint(len('\ufeff'))").output == "1\n"
    assert "U+FEFF" in run("\ufeff\ufeffprint(1)").detail


def test_deep_values_go_through(call):
    deep: list[object] = [{}]
    for _ in range(298):
        deep = [deep]

    assert call("def f(a): return a", deep).output == wire.parse(wire.dumps(deep))
    assert call("def f(a):\n    for i in range(300): a = [a]\n    return a", 1).status is Status.OK
    assert "310 deep" in call("def f(a):\n    for i in range(3000): a = [a]\n    return a", 1).detail


def test_long_integers_go_through(call):
    assert call("def f(a): return a + 1", 10**50_000).output == 10**50_000 + 1


@pytest.mark.parametrize(
    "value", ["range(3)", "deque([0, 1, 2])", "{0: 1}.keys()", "iter([0])", "b'0'", "[0, range(3)]"]
)
def test_objects_that_are_not_data_are_only_wrong(call, value):
    test = Call("f", (), [0, 1, 2])

    outcome = call(f"def f(a): return {value}", 1)

    assert outcome.status is Status.OK, outcome.detail
    assert not matches(test, outcome)
    assert canonical(test, outcome) is None


def test_arrays_are_only_wrong_and_their_scalars_are_numbers(call):
    pytest.importorskip("numpy")
    code = "import numpy as np\ndef f(a): return [np.int64(a), np.bool_(a), np.float64(a)] if a else np.arange(3)"

    assert call(code, 1, limits=Limits()).output == [1, True, 1.0]
    assert canonical(Call("f", (), [0, 1, 2]), call(code, 0, limits=Limits())) is None


def test_a_main_guard_does_not_run_in_a_functional_program(returns):
    assert returns("def f(a): return __name__\nif __name__ == '__main__':\n    input()", "candidate")


def test_printing_does_not_disturb_a_functional_program(returns):
    assert returns("def f(a):\n    print('[1]' * 1000)\n    return a", 1)


def test_arguments_keep_their_types(call):
    argument = {1: (2, [3.5, None]), "x": {"nested"}, (1, 2): 1 << 70}

    assert call("def f(a): return repr(a)", argument).output == repr(argument)
