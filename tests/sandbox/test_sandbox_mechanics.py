"""Programs whose mechanics the other tests do not have: each verdict as it should be, at both isolations, and a right
program after each.
"""

from pathlib import Path

import pytest

from tts.grade import Grade, GradeJob, Grader
from tts.sandbox import Isolation, Limits
from tts.types import Call, Stdin, Test, Verdict

LIMITS = Limits(cpu_seconds=2.0, memory_mib=256, output_mib=4)
DOUBLE: list[Test] = [Stdin("2\n", "4\n"), Stdin("3\n", "6\n"), Stdin("10\n", "20\n")]
CALLS: list[Test] = [Call("f", (2,), 4), Call("f", (3,), 6)]
RIGHT = "print(2 * int(input()))"
ESCAPED = Path("/tmp/keep_escape")

CASES: dict[str, tuple[str, list[Test], str]] = {
    "fd0": (
        """
import os
print(2*int(os.read(0,100)))
""",
        DOUBLE,
        "passed",
    ),
    "fdopen": (
        """
import os,io
f=os.fdopen(0)
print(2*int(f.readline()))
""",
        DOUBLE,
        "passed",
    ),
    "write1": (
        """
import os
os.write(1,b'%d\\n'%(2*int(input())))
""",
        DOUBLE,
        "passed",
    ),
    "contextlib": (
        """
import contextlib,io
b=io.StringIO()
with contextlib.redirect_stdout(b): print(2*int(input()))
print(b.getvalue())
""",
        DOUBLE,
        "passed",
    ),
    "exec_self": (
        """
src='n=int(input())\\nprint(2*n)'
exec(compile(src,'x','exec'),globals())
""",
        DOUBLE,
        "passed",
    ),
    "thread_out": (
        """
import threading
t=threading.Thread(target=lambda:print(2*int(input())))
t.start()
""",
        DOUBLE,
        "passed",
    ),
    "bigstack": (
        """
import sys,threading
sys.setrecursionlimit(10**6)
threading.stack_size(256<<20) if 0 else None
def g(n): return 0 if n==0 else 1+g(n-1)
assert g(20000)==20000
print(2*int(input()))
""",
        DOUBLE,
        "passed",
    ),
    "del": (
        """
class A:
 def __del__(self): print(2*int(input()))
a=A()
""",
        DOUBLE,
        "passed",
    ),
    "weakref_finalize": (
        """
import weakref
class A: pass
a=A()
weakref.finalize(a,lambda: print(2*int(input())))
""",
        DOUBLE,
        "passed",
    ),
    "os_exit": (
        """
import os,sys
print(2*int(input()),flush=True)
os._exit(0)
""",
        DOUBLE,
        "passed",
    ),
    "match": (
        """
n=int(input())
match n:
 case 2: print(4)
 case int(x): print(2*x)
""",
        DOUBLE,
        "passed",
    ),
    "decimal": (
        """
from decimal import *
getcontext().prec=60
print(int(Decimal(input())*2))
""",
        DOUBLE,
        "passed",
    ),
    "crlf": (
        """
import sys
sys.stdout.reconfigure(newline='\\r\\n')
print(2*int(input()))
""",
        DOUBLE,
        "passed",
    ),
    "stdin_swap": (
        """
import sys,io
sys.stdin=io.StringIO(sys.stdin.read())
print(2*int(input()))
""",
        DOUBLE,
        "passed",
    ),
    "fileinput": (
        """
import fileinput
for l in fileinput.input(): print(2*int(l))
""",
        DOUBLE,
        "passed",
    ),
    "solution_prop": (
        """
class Solution:
 @staticmethod
 def f(x): return x*2
""",
        CALLS,
        "passed",
    ),
    "callable_obj": (
        """
class G:
 def __call__(s,x): return 2*x
f=G()
""",
        CALLS,
        "passed",
    ),
    "partial": (
        """
from functools import partial
f=partial(lambda a,b:a*b,2)
""",
        CALLS,
        "passed",
    ),
    "tmpfile": (
        """
import tempfile
with tempfile.TemporaryFile('w+') as t:
 t.write(input()); t.seek(0); print(2*int(t.read()))
""",
        DOUBLE,
        "passed",
    ),
    "int_subclass": (
        """
class I(int): pass
def f(x): return I(2*x)
""",
        CALLS,
        "passed",
    ),
    "eqliar_deep": (
        """
class L(list):
 def __eq__(s,o): return True
 def __len__(s): return 4
def f(x): return L([1])
""",
        CALLS,
        "wrong_answer",
    ),
    "meta_int": (
        """
class M(type):
 def __eq__(s,o): return True
 def __hash__(s): return hash(int)
class I(metaclass=M):
 def __eq__(s,o): return True
def f(x): return I()
""",
        CALLS,
        "wrong_answer runtime_error",
    ),
    "class_lie": (
        """
class I:
 __class__=int
 def __int__(s): return 4
 def __index__(s): return 4
 def __eq__(s,o): return True
def f(x): return I()
""",
        CALLS,
        "wrong_answer runtime_error",
    ),
    "nan": (
        """
def f(x): return float('nan')
""",
        CALLS,
        "wrong_answer",
    ),
    "gen": (
        """
def f(x): yield 4
""",
        [Call("f", (2,), [4])],
        "wrong_answer runtime_error",
    ),
    "none_exit": (
        """
import os
def f(x): os._exit(0)
""",
        [Call("f", (2,), None)],
        "runtime_error wrong_answer",
    ),
    "none_kill": (
        """
import os,signal
def f(x): os.kill(os.getpid(),9)
""",
        [Call("f", (2,), None)],
        "runtime_error memory",
    ),
    "none_raise": (
        """
def f(x): raise SystemExit
""",
        [Call("f", (2,), None)],
        "runtime_error wrong_answer",
    ),
    "fd3": (
        """
import os
def f(x):
 os.write(3,b'4')
 os._exit(0)
""",
        [Call("f", (2,), 5)],
        "wrong_answer runtime_error",
    ),
    "fd3_dup": (
        """
import os
os.write(3,b'5')
def f(x): return 4
""",
        [Call("f", (2,), 5)],
        "wrong_answer runtime_error",
    ),
    "done_forge": (
        """
import os,socket
for fd in range(3,64):
  try: os.write(fd,bytes(20))
  except OSError: pass
print(4)
""",
        [
            Stdin("3\n", "6\n"),
            Stdin("2\n", "4\n"),
            Stdin("3\n", "6\n"),
            Stdin("10\n", "20\n"),
        ],
        "wrong_answer runtime_error",
    ),
    "frames": (
        """
import sys
f_=sys._getframe()
while f_:
  for v in list(f_.f_locals.values()):
    if hasattr(v,'call'): print(v.call)
  f_=f_.f_back
print(5)
""",
        DOUBLE,
        "wrong_answer",
    ),
    "gc_expected": (
        """
import gc
for o in gc.get_objects():
  if isinstance(o,(list,dict,tuple)) and '20\\n' in str(o)[:10000]: print(20); break
else: print('none')
""",
        [Stdin("10\n", "20\n")],
        "wrong_answer",
    ),
    "counter_mod": (
        """
import string
n=getattr(string,'n_',0)
string.n_=n+1
input()
print([4,6,20][n])
""",
        DOUBLE,
        "wrong_answer",
    ),
    "counter_class": (
        """
n=len(type(Counter()).__name__)-7
type(Counter()).__name__='Counter'+'x'*(n+1)
input()
print([4,6,20][n])
""",
        DOUBLE,
        "wrong_answer",
    ),
    "counter_builtin": (
        """
n=getattr(Counter.most_common,'n',0)
Counter.most_common.n=n+1
input()
print([4,6,20][n])
""",
        DOUBLE,
        "wrong_answer",
    ),
    "counter_sum": (
        """
x=sum([],sys.stdout)
n=x.n if hasattr(x,'n') else 0
x.n=n+1
input()
print([4,6,20][n])
""",
        DOUBLE,
        "wrong_answer",
    ),
    "regex": (
        """
import re
re.match('(a+)+$','a'*40+'b')
""",
        DOUBLE,
        "timeout",
    ),
    "signal_ign": (
        """
import signal
for s in range(1,65):
  try: signal.signal(s,signal.SIG_IGN)
  except Exception: pass
while 1: pass
""",
        DOUBLE,
        "timeout",
    ),
    "endless_del": (
        """
class A:
 def __del__(s):
  while 1: pass
a=A()
print(2*int(input()))
""",
        DOUBLE,
        "timeout",
    ),
    "bytes": (
        """
b=bytearray(10**10)
for i in range(0,len(b),4096): b[i]=1
""",
        DOUBLE,
        "memory runtime_error",
    ),
    "memfd": (
        """
import os
fd=os.memfd_create('x')
for i in range(10**4): os.write(fd,bytes(1<<20))
print(4)
""",
        DOUBLE,
        "runtime_error memory output_limit",
    ),
    "ctypes_syscall": (
        """
import ctypes
l=ctypes.CDLL(None,use_errno=True)
r=l.syscall(41,2,1,0)
print(2*int(input()) if r>=0 else 'no')
""",
        DOUBLE,
        "wrong_answer",
    ),
    "pickle": (
        """
import os
class P:
 def __reduce__(s): return (os.system,('touch /tmp/keep_escape',))
def f(x): return P()
""",
        CALLS,
        "wrong_answer runtime_error",
    ),
    "repr": (
        """
class P:
 def __repr__(s): return '4'
 __str__=__repr__
def f(x): return P()
""",
        CALLS,
        "wrong_answer runtime_error",
    ),
    "deep": (
        """
def f(x):
 a=[]
 for _ in range(10**5): a=[a]
 return a
""",
        CALLS,
        "runtime_error wrong_answer",
    ),
    "collide": (
        """
def f(x): return {i*(2**61-1):0 for i in range(20000)}
""",
        CALLS,
        "wrong_answer output_limit timeout",
    ),
    "huge_int": (
        """
def f(x): return 1<<10**6
""",
        CALLS,
        "wrong_answer runtime_error output_limit",
    ),
}


@pytest.fixture(scope="module", params=["program", "test"])
def grades(request: pytest.FixtureRequest) -> dict[str, Grade]:
    isolation: Isolation = request.param
    jobs = [GradeJob(name, code, tests) for name, (code, tests, _) in CASES.items()]
    clean = [GradeJob(f"{name} clean", f"{RIGHT}  # {name}", DOUBLE) for name in CASES]
    between = [job for pair in zip(jobs, clean, strict=True) for job in pair]
    done = list(Grader(LIMITS, 2, isolation=isolation).grade(between))
    return {grade.problem_id: grade for grade in done if isinstance(grade, Grade)}


@pytest.mark.parametrize("name", CASES)
def test_a_program_is_judged_as_it_should_be(grades: dict[str, Grade], name: str) -> None:
    accepted = CASES[name][2].split()

    assert grades[name].verdict.value in accepted, grades[name].detail
    assert grades[f"{name} clean"].verdict is Verdict.PASSED
    assert not ESCAPED.exists()
