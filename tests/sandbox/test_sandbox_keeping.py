"""Which programs may run their next test in the same process, proven of their text."""

import builtins
import collections
import fractions
import functools
import importlib
import inspect
import json
import operator
import random
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.sandbox.guest import prelude
from tts.sandbox.guest.foreign import CALLED, FAR, FIXED, PURE, Foreign, is_fixed
from tts.sandbox.guest.keeping import LEADING, SPECIAL, keepable

NAMES = {**vars(builtins), **prelude.names()}
KNOWN = Foreign(NAMES, {name: importlib.import_module(name) for name in PURE})
DATA = Path(__file__).parents[3] / "shared" / "data"

KEPT = [
    "import sys\nprint(sys.stdin.read())",
    "import sys\ninput = sys.stdin.readline\nn = int(input())\na, b = map(int, input().split())",
    "from sys import stdin, stdout\nstdin.readline()\nstdout.write('x')",
    "import sys\ndata = sys.stdin.buffer.read().split()\nsys.stdout.write('x')\nprint(1, file=sys.stderr)",
    "for line in sys.stdin: print(line)\nprint(sum(int(x) for x in sys.stdin), list(map(int, sys.stdin)))",
    "import sys\nsys.setrecursionlimit(10)\nif input(): sys.exit(0)",
    "import re\nprint(re.compile('x').findall('x'), re.sub('a', lambda m: m.group(), 'b'))",
    "class A:\n    def __init__(self, type):\n        self.type, self.path = type, 3\nprint(A(1).path)",
    "class One:\n    n = 0\n    def f(self):\n        One.n += 1\n        self.d['k'] = One.n\n        del self.d",
    "class A(Exception):\n    def __init__(self):\n        super().__init__('x')\nclass B(A, object): pass",
    "import math\ndef f(): return math.pi",
    "def f(open, path): return path.append(open)",
    "def f(n, k, m):\n    from math import comb\n    return comb(n, k) % m",
    "\n".join(f"a{i} = {i}" for i in range(300)) + "\nfrom math import comb as late, gcd\nimport heapq as h",
    "from datetime import datetime\nprint(datetime(2000, 1, 1).year)",
    "from collections import *\nfrom math import *\nd = defaultdict(list)\nd[1].append(Counter('ab'))\ngcd(2, 4)",
    "from functools import lru_cache\n@lru_cache(None)\ndef f(n): return n\nf.cache_clear()",
    "from functools import wraps\ndef d(f):\n    @wraps(f)\n    def g(*a): f(*a)\n    return g\n@d\ndef h(): pass",
    "from dataclasses import dataclass\n@dataclass(order=True)\nclass A:\n    x: int\n    y: list[int]",
    "from typing import List, Optional\nclass Node: pass\nclass Solution:\n"
    "    def f(self, a: List[List[int]], r: Optional[Node] = None) -> 'Node': return r",
    "path = []\nA, S = [], {}\ndef f(): path.append(A)\nf()",
    "for _ in range(int(input())):\n    A = list(input())\n    A.sort()\nfor S in 'ab': print(S)",
    "def main():\n    path = [1]\n    def go(): path.append(2)\n    return [path for path in [[3]]]\nmain()",
    "if __name__ == '__main__':\n    mode = {}\n    mode['x'] = 1",
    "print(type(input()) == str, type(1) is int, isinstance(1, (int, Counter)), type(1).__name__)",
    "def g():\n    yield 1\nx = g()\nnext(x)",
    "class A(namedtuple('A', ['x', 'y'], defaults=[1])): pass\nprint(A(1)._replace(y=2))",
    "print('{:.2f} {} {{}} {0!r:>{1}}'.format(1.5, 2))",
    "import heapq\nprint(*heapq.merge([1], [2], key=abs), heapq.nlargest(2, [1, 2], key=abs))",
    "class Node:\n    def f(self): return Node\nclass B(Node): pass",
    "import re\nprint(re.sub('a', 'b', 'aa', count=1), re.split(',', 'a,b', maxsplit=1))",
]
NOT_KEPT = [
    "import os",
    "import os.path as p",
    "def f():\n    import socket",
    "import numpy as np",
    "import sys\nsys.path.append(1)",
    "sys.path.append(1)",
    "import sys as s\ndef f():\n    s.path.append(1)",
    "from sys import modules\nmodules.clear()",
    "sys.stdin.reconfigure(errors='ignore')",
    "sys._getframe()",
    "settrace(print)",
    "FileIO(4)",
    "import math\nmath.pi = 3",
    "import math as m\ndef f():\n    m.pi = 3",
    "import heapq\ndel heapq.heappush",
    "from random import seed\nseed.__self__.x = 1",
    "import random\nrandom.setstate(random.getstate())",
    "class A:\n    def f(self):\n        return [lambda: eval('1')]",
    "async def f(): pass",
    "def f():\n    async def g(): yield",
    "f.__globals__",
    "import atexit",
    "Counter.k = 1",
    "setattr(Counter, 'k', 1)",
    "getattr(f, '__globals__')",
    "operator.attrgetter('__globals__')(f)",
    "x = Counter\nx.k = 1",
    "r = heapq.merge\nr.k = 1",
    "r = sys.stdout\nr.k = 1",
    "d = re._cache\nd['k'] = 1",
    "d = copy._deepcopy_dispatch\nd['k'] = 1",
    "import json.encoder\nd = json.encoder.ESCAPE_DCT",
    "class A:\n    def f(self): self.k = 1\nA.f(Counter)",
    "def f(x): x.k = 1\nf(Counter)",
    "[Counter][0].k = 1",
    "(Counter if input() else 1).k = 1",
    "class A(Counter): pass\nA.most_common.k = 1",
    "class S(str):\n    def __eq__(self, other): return print(other.n)",
    "class A(metaclass=print): pass",
    "class A:\n    def __exit__(self, kind, error, trace): kind.k = 1",
    "class A:\n    def __del__(self): print(1)",
    "try: heapq.x\nexcept AttributeError as e: e.obj.k = 1",
    "def g(): yield\ng().gi_frame.f_builtins['k'] = 1",
    "match Counter():\n    case object(__class__=c): c.k = 1",
    "f = wraps(print)\nf.func.k = 1",
    "@wraps(f, updated=['__globals__'])\ndef g(): pass",
    "lru_cache(f).cache_info()._field_defaults['k'] = 1",
    "Fraction(1).__new__.k = 1",
    "partial(print, file=stdout).keywords['file'].k = 1",
    "path.append(1)",
    "path += [1]",
    "if input(): path = []\npath.append(1)",
    "for path in []: pass\npath.append(1)",
    "def f(): path.append(1)\nf()\npath = []",
    "path = []\ndel path\npath.append(1)",
    "try: pass\nexcept Exception as path: pass\npath.append(1)",
    "def f():\n    global path\n    path = []",
    "[path.append(1) for path in [path]]",
    "class A:\n    path = []\n    def f(self): path.append(1)",
    "def f(a=path): a.append(1)",
    "for sys.k in [1]: pass",
    "[0 for math.k in [1]]",
    "A.k = 1",
    "x = List[int]\nx.k = 1",
    "def f(x: (y := Counter)): y.k = 1",
    "x = Node()\ndef f(y: List[x]): pass",
    "type(x).k = 1",
    "__builtins__['k'] = 1",
    "x = super()",
    "type(x).__name__ = 'k'",
    "del type(Counter()).__name__",
    "re.compile('a', F())",
    "re.compile(*x)",
    "re.compile(**x)",
    "copy.deepcopy([], M())",
    "class A:\n    def __deepcopy__(self, memo): memo[0].k = 1",
    "import textwrap\ntextwrap.wrap(T())",
    "@total_ordering\nclass A:\n    def __lt__(self, o): return 1\nA.__gt__.k = 1",
    "@wraps\ndef g(): pass\ng.func.k = 1",
    "from dataclasses import dataclass\n@dataclass(x)\nclass A: pass",
    "class S(copy.copy(str)): pass",
    "class str(str): pass\nclass A(str): pass",
    "class Counter(Counter): pass\nclass B(Counter): pass\nB.most_common.k = 1",
    "from typing import Text as XError\nclass A(XError): pass",
    "from collections import OrderedDict as list\nclass A(list): pass",
    "class path:\n    path += [1]",
    "def f(path):\n    class A:\n        path = path\n        path.append(1)",
    "class A:\n    from collections import Counter as C\nA.C.k = 1",
    "class A:\n    def f(self):\n        import math as __m\n        _A__m.k = 1",
    "import math as _A__m\nclass A:\n    def f(self): __m.k = 1",
    "import random as __builtins__\ndef f(): _inst.k = 1",
    "class __builtins__: pass",
    "try: pass\nexcept Exception as __builtins__: pass",
    "path = []\nfrom sys import *\npath.append(1)",
    "x = sum([], sys.stdout)",
    "x = next(iter([]), sys.stdout)",
    "sum([A()], sys.stdout)",
    "max(sys.stdin, A())",
    "map(sys.stdin, [1])",
    "def g():\n    try: yield\n    finally: print(1)",
    "def g():\n    try: x = [(yield from [])]\n    except: print(1)",
    "class A:\n    def __next__(self): pass\n    def close(self): print(1)",
    "'{0.__globals__}'.format(f)",
    "'{:{0[k]}}'.format(f)",
    "x.format(f)",
    "str.format('{0.k}', f)",
    "'{x.k}'.format_map({})",
    "f = Fraction(1)\nf._numerator = A()",
    "object.mro()",
    "sys.intern('a')",
    "from typing import TypeVar\nTypeVar('T') | f",
    "namedtuple('A', input())",
    "namedtuple('A', [x, 'y'])",
    "sys.getsizeof('a')",
    "import time\ntime.process_time()",
    "import datetime\ndatetime.datetime.strptime('1', '%d')",
    "def f(:",
    "x = " + "(" * 50_000,
]


@pytest.mark.parametrize("source", KEPT)
def test_what_leaves_nothing_behind_is_kept(source):
    compile(source, "", "exec")
    assert keepable(source, KNOWN)


@pytest.mark.parametrize("source", NOT_KEPT)
def test_what_may_leave_something_behind_is_not(source):
    assert not keepable(source, KNOWN)


@given(st.sampled_from(sorted(KNOWN.names)), st.sampled_from(KEPT), st.integers(0, 3))
def test_a_name_that_can_be_changed_is_found_however_deep(name, source, depth):
    inner = f"return {name}"
    for level in range(depth):
        inner = f"def f{level}():\n" + "\n".join(f"    {line}" for line in inner.split("\n"))
    nested = "def outer():\n" + "\n".join(f"    {line}" for line in inner.split("\n"))

    assert not keepable(f"{nested}\n{source}", KNOWN)


@given(st.sampled_from(sorted(sys.stdlib_module_names - PURE)))
def test_only_listed_modules_may_be_imported(module):
    for source in (f"import {module}", f"import {module} as m", f"def f():\n    from {module} import x"):
        assert not keepable(source, KNOWN)


def test_any_code_of_the_standard_library_can_be_judged():
    sources = sorted(Path(inspect.__file__).parent.glob("*.py"))
    assert len(sources) > 100
    judged = [keepable(path.read_text("utf-8", "replace"), KNOWN) for path in sources]
    assert not all(judged)


def test_what_reaches_far_is_not_fixed():
    assert {name for name in FAR if name in NAMES} <= KNOWN.names.keys()
    assert {"settrace", "exc_info", "FileIO", "open_code", "modules", "path", "Counter"} <= KNOWN.names.keys()
    assert not is_fixed(NAMES["Random"]) and not is_fixed(NAMES["deepcopy"]) and is_fixed(int) and is_fixed(len)


def made_by_the_library():
    """One of each kind of object that a program is given by what it may call."""
    cached = functools.lru_cache(None)(print)
    yield from (collections.Counter("a"), collections.ChainMap({}), fractions.Fraction(1, 2), random.Random(1))
    yield from (functools.cached_property(print), functools.partial(print), functools.cmp_to_key(print), cached)
    yield from (cached.cache_info(), operator.itemgetter(1), re.compile("a"), re.match("a", "a"), range(3), iter([1]))
    yield from (json.JSONDecodeError("", "", 0), re.error(""), ValueError(1))


def can_be_changed(value):
    return not is_fixed(value) and any(hasattr(value, way) for way in ("__dict__", "__setitem__", "add", "append"))


@pytest.mark.parametrize("made", list(made_by_the_library()), ids=lambda made: type(made).__name__)
def test_what_is_made_by_the_library_leads_to_nothing_that_stays(made):
    own = [*vars(made).values()] if hasattr(made, "__dict__") else []
    if isinstance(made, functools.partial):
        own += [made.func, made.args, made.keywords]
    for name in {name for name in dir(made) if name in SPECIAL or not name.startswith("__")} - LEADING:
        found, again = (getattr(made, name, None) for _ in range(2))
        assert not can_be_changed(found) or found is not again or found in own, (name, found)


def test_what_may_be_called_is_there_and_cannot_be_held():
    for (module, name), called in CALLED.items():
        assert KNOWN.modules[module].attributes[name] is called
        assert keepable(f"import {module}\n{module}.{name}(1)", KNOWN)
        assert not keepable(f"import {module}\nx = {module}.{name}", KNOWN)
    assert KNOWN.modules["math"].attributes["gcd"] == FIXED


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")
@pytest.mark.parametrize(("file", "share"), [("mbpp.jsonl", 0.99), ("humaneval-python.jsonl", 0.98)])
def test_ordinary_programs_are_kept(file, share):
    rows = [json.loads(line) for line in (DATA / file).read_text().splitlines()]
    sources = [row["code"] if "code" in row else row["prompt"] + row["canonical_solution"] for row in rows]

    assert sum(keepable(source, KNOWN) for source in sources) >= share * len(sources)


def test_programs_of_the_small_benchmark_are_kept():
    sources = [path.read_text() for path in (Path(__file__).parents[1] / "mini_solutions").glob("*.py")]

    assert len(sources) > 60 and all(keepable(source, KNOWN) for source in sources)
