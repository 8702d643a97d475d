"""Which programs may run their next test in the same process, read off their bytecode."""

import inspect
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.sandbox.guest.keeping import FAR, PURE, keepable

KEPT = [
    "import sys\nprint(sys.stdin.read())",
    "from sys import stdin, stdout\nstdin.readline()",
    "import sys\nsys.setrecursionlimit(10)",
    "import re\nprint(re.compile('x'))",
    "class A:\n    def __init__(self, type):\n        self.type, self.path = type, 3\nprint(A(1).path)",
    "import math\ndef f(): return math.pi",
    "def f(open): return open",
    "from collections import *\nimport collections.abc as a",
    "def f(n, k, m):\n    from math import comb\n    return comb(n, k) % m",
    "\n".join(f"a{i} = {i}" for i in range(300)) + "\nfrom math import comb as late, gcd\nimport heapq as h",
]
NOT_KEPT = [
    "import os",
    "import os.path as p",
    "def f():\n    import socket",
    "import numpy as np",
    "import sys\nsys.path.append(1)",
    "sys.path.append(1)",
    "import sys as s\ndef f():\n    s.path.append(1)",
    "from sys import *",
    "from sys import modules",
    "sys.stdin.reconfigure(errors='ignore')",
    "import math\nmath.pi = 3",
    "import math as m\ndef f():\n    m.pi = 3",
    "import heapq\ndel heapq.heappush",
    "from random import seed\nseed.x = 1",
    "class A:\n    def f(self):\n        return [lambda: eval('1')]",
    "async def f(): pass",
    "def f():\n    async def g(): yield",
    "f.__globals__",
    "import atexit",
    "import random\nrandom.modules.x.register(print)",
    "from math import comb\nmath = 1\ndel math\ncomb.x = 1",
]


@pytest.mark.parametrize("source", KEPT)
def test_what_leaves_nothing_behind_is_kept(source):
    assert keepable(compile(source, "", "exec"))


@pytest.mark.parametrize("source", NOT_KEPT)
def test_what_may_leave_something_behind_is_not(source):
    assert not keepable(compile(source, "", "exec"))


@given(st.sampled_from(sorted(FAR)), st.sampled_from(KEPT), st.integers(0, 3))
def test_a_name_that_reaches_far_is_found_however_deep(name, source, depth):
    inner = f"return {name}"
    for level in range(depth):
        inner = f"def f{level}():\n" + "\n".join(f"    {line}" for line in inner.split("\n"))
    nested = "def outer():\n" + "\n".join(f"    {line}" for line in inner.split("\n"))

    assert not keepable(compile(f"{source}\n{nested}", "", "exec"))


@given(st.sampled_from(sorted(sys.stdlib_module_names - PURE)))
def test_only_listed_modules_may_be_imported(module):
    for source in (f"import {module}", f"import {module} as m", f"def f():\n    from {module} import x"):
        assert not keepable(compile(source, "", "exec"))


def test_any_code_of_the_standard_library_can_be_judged():
    sources = sorted(Path(inspect.__file__).parent.glob("*.py"))
    assert len(sources) > 100
    judged = [keepable(compile(path.read_bytes(), path.name, "exec")) for path in sources]
    assert not all(judged)
