"""What one test does is not seen by the next: programs that once left something behind, each in its own way.

Every program here runs its tests as with isolation `program`, whether its process is kept or not.
"""

import pytest

from tts.sandbox import Cell, Limits
from tts.types import Stdin

LIMITS = Limits(cpu_seconds=3.0, memory_mib=256, output_mib=1)
PROGRAMS = {
    "flags of a pattern": """
import re
seen = []
class F:
    def __hash__(self): return 0
    def __eq__(self, o): return False
    def __and__(self, o):
        seen.append(o.k if hasattr(o, 'k') else 0)
        o.k = 1
        return 0
try: re.compile("a", F())
except Exception as e: pass
print(seen)
""",
    "a text that is translated": """
import textwrap
class T:
    def expandtabs(self, n): return self
    def translate(self, t):
        print(t.get(7)); t[7] = 8
        return 'a'
textwrap.wrap(T())
""",
    "a memo that is a function": """
import copy
def m(): pass
def get(d, n):
    print(n); n.append(1)
    return 3
m.get = get
copy.deepcopy([], m)
""",
    "total ordering": """
from functools import total_ordering
@total_ordering
class A:
    def __lt__(self, o): return True
print(hasattr(A.__gt__, 'k'))
A.__gt__.k = 1
""",
    "a base by way of a copy": """
import copy, re
class S(copy.copy(str)):
    def translate(self, t):
        print(t.get(7)); t[7] = 8
        return 'a'
re.escape(S('a'))
""",
    "generators that end late": """
def g(box, n):
    try:
        yield
    finally:
        if n:
            b = []
            y = g(b, n - 1)
            b.append(y)
            next(y)
        print('late', n)
b = []
x = g(b, 6)
b.append(x)
next(x)
print(input())
""",
    "the memo of a deep copy": """
import random
from copy import deepcopy
class Spy:
    def __deepcopy__(self, memo):
        for v in list(memo.values()):
            if isinstance(v, list):
                for o in v:
                    if hasattr(o, 'gauss_next'):
                        o.gauss_next = 5.5
        return self
print(random.gauss(0, 1))
random.seed(0)
deepcopy([random.shuffle, Spy()])
""",
    "an import in a class": """
class A:
    from collections import Counter as C
print(hasattr(A.C, 'k'))
A.C.k = 3
""",
    "a star over names": """
path = []
from sys import *
print(len(path))
path.append(1)
""",
    "another module as the builtins": """
import sys
w = sys.stdout.write
s = str
h = hasattr
import random as __builtins__
def f():
    w(s(h(_inst, 'k')))
    _inst.k = 1
f()
""",
    "the name of a type": """
from collections import Counter
print(Counter('a'))
type(Counter('a')).__name__ = 'Foo'
""",
    "what a sum begins with": """
x = sum([], sys.stdout)
print(hasattr(x, 'k'))
x.k = 1
""",
    "what comes after the last": """
x = next(iter(()), sys.stdout)
print(x.line_buffering, x.newlines)
x.reconfigure(newline='\\r\\n', line_buffering=True)
""",
    "what is added to a stream": """
class A:
    def __radd__(self, o):
        print(hasattr(o, 'k')); o.k = 1
        return 1
sum([A()], sys.stdout)
""",
    "wraps without its function": """
from functools import wraps
@wraps
def g(): pass
print(hasattr(g.func, 'k'))
g.func.k = 1
""",
    "a class of a class of its own name": """
class Counter(Counter): pass
class B(Counter): pass
print(hasattr(B.most_common, 'k'))
B.most_common.k = 1
""",
    "a text of its own": """
import re
class str(str):
    def translate(self, t):
        print(t.get(7)); t[7] = 8
        return 'a'
re.escape(str('a'))
""",
    "an exception that is a text": """
import re
from typing import Text as XError
class S(XError):
    def translate(self, t):
        print(t.get(7)); t[7] = 8
        return 'a'
re.escape(S('a'))
""",
    "formats of times": """
import time, sys
fmt = sys.intern(''.join(['qq', 'w%d']))
u = ''.join(['qq', 'w%d'])
def seen():
    v = ''.join(['kk', 'z%d'])
    return sys.intern(v) is not v
print(seen())
f = sys.intern(''.join(['kk', 'z%d']))
try: time.strptime('kkz1', f)
except ValueError: print('e')
""",
    "names of encodings": """
from collections import namedtuple
u = ''.join(['qwer', 'tyu'])
print(namedtuple('T', [u])._fields[0] is u)
try: 'a'.encode(''.join(['qwer', 'tyu']))
except LookupError: pass
""",
    "the size of a constant": """
import sys
s = 'é中'
print(sys.getsizeof(s))
hasattr(s, s)
try: float(s)
except ValueError: pass
try: 'a'.encode(s)
except Exception: pass
""",
    "the time this process has used": """
import time
print(time.process_time() > 0.3)
while time.process_time() < 0.4: pass
""",
    "iterators that are closed late": """
class I:
    def __init__(self, n): self.n = n
    def __iter__(self): return self
    def __next__(self): return 1
    def close(self):
        if self.n: start(self.n - 1)
        print('late', self.n)
def g(i, box): yield from i
def start(n):
    b = []
    x = g(I(n), b)
    b.append(x)
    next(x)
start(6)
print(input())
""",
    "a lookup by a format": """
def f(): pass
api = "{0.__globals__[__builtins__].sys.modules[ctypes].pythonapi."
print("PyErr_Print" in (api + "__dict__}").format(f))
(api + "PyErr_Print}").format(f)
""",
    "a class that reads what is around its function": """
def f(path):
    class A:
        path = path
        path.append(1)
    print(len(A.path))
f([])
""",
    "an augmented name in a class": """
class path:
    path += [1]
print(len(path.path))
""",
    "a union of a type variable": """
from typing import TypeVar
T = TypeVar('T')
class A:
    def __hash__(self): return 5
    def __eq__(self, other):
        print(hasattr(other, 'k'))
        other.k = 1
        return False
    def __call__(self): pass
try: T | A()
except Exception as error: print(error)
""",
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_a_test_finds_nothing_of_the_one_before(cell: Cell, program: str) -> None:
    tests = [Stdin(f"{n}\n", "") for n in range(3)]

    following = [cell.run(program, test, LIMITS, keep=True) for test in tests]
    cell.drop()
    alone = [cell.run(program, test, LIMITS) for test in tests]

    assert [one.status for one in following] == [one.status for one in alone]
    assert [one.output for one in following] == [one.output for one in alone]
