"""Programs in which one name has many meanings: those that are kept never reach what it meant before them."""

import builtins
import collections
import importlib
import io
import math
import random
from contextlib import redirect_stdout, suppress

import pytest

from tts.sandbox.guest import prelude
from tts.sandbox.guest.foreign import HELD, PURE, Foreign
from tts.sandbox.guest.keeping import keepable

NAMES = {**vars(builtins), **prelude.names()}
KNOWN = Foreign(NAMES, {name: importlib.import_module(name) for name in PURE})
LINES = """
path.append(1)
[path][0].append(1)
(lambda: path.append(1))()
[path.append(1) for _ in [0]]
q.append(1)
q = path
[q.append(1) for q in [path]]
[path.append(1) for path in [path]]
path += [1]
path[0:0] = [1]
del path
path.k = 1
B.path.append(1)
self.path.append(1)
[0 for i in [1] for path in [[]] if path.append(1)]
(path := [])
[path := [] for _ in [0]]
path = path
path: int
path: list = []
path = q = []
path, q = [], []
path = None
for path in [[]]: path.append(1)
for q in [path]: q.append(1)
global path
nonlocal path
import math as path
import collections as path
from math import pi as path
from collections import Counter as path
from math import *
from sys import *
from random import *
path = []
path = []
path = []
path.most_common.k = 1
path.Counter.k = 1
""".strip().split("\n")
HEADS = """
def f():
def f(path):
def f(path=[]):
def f(self=path):
def path():
def B():
class B:
class path:
class B(path):
class path(B):
class Counter(Counter):
if 1:
if 0:
while 1:
for path in []:
for path in [[], []]:
for q in [path]:
try:
except Exception as path:
else:
""".strip().split("\n")
CALLS = ("f()", "f([])", "f(path)", "B()", "B().f()", "path()", "q()")


def block(draw: random.Random, depth: int, indent: str = "") -> list[str]:
    """Lines at random; not all are a program."""
    lines = []
    for _ in range(draw.randint(1, 3)):
        if depth and draw.random() < 0.45:
            head = draw.choice(HEADS)
            lines += [indent + head, *block(draw, depth - 1, indent + " ")]
            lines += [indent + " break"] * (head == "while 1:") + [indent + "except Exception: pass"] * (head == "try:")
        elif not indent and draw.random() < 0.4:  # inside they would call each other, time and again
            lines += [f"{indent}try: {draw.choice(CALLS)}", f"{indent}except Exception: pass"]
        else:
            lines.append(indent + draw.choice(LINES))
    return lines


def changed(source: str) -> bool:
    """Whether running it changes a list that was there before, or a module or class that it may import."""
    before = [1, 2]
    state = [dict(vars(one)) for one in (math, collections, collections.Counter, collections.Counter.most_common)]
    names = {"__builtins__": {**NAMES, "path": before}, "__name__": "program"}
    with suppress(Exception), redirect_stdout(io.StringIO()):
        exec(compile(source, "program", "exec", dont_inherit=True), names)
    after = [dict(vars(one)) for one in (math, collections, collections.Counter, collections.Counter.most_common)]
    return before != [1, 2] or state != after


def compiles(source: str) -> bool:
    with suppress(SyntaxError):
        return bool(compile(source, "program", "exec", dont_inherit=True))
    return False


@pytest.mark.parametrize("count", [3_000, pytest.param(300_000, marks=pytest.mark.long)])
def test_what_a_name_meant_before_is_never_reached(count):
    draw = random.Random(count)
    sources = ("\n".join(block(draw, draw.randint(1, 3))) for _ in range(count))
    kept = [source for source in sources if compiles(source) and keepable(source, KNOWN)]

    assert KNOWN.names["path"] == HELD and len(kept) > count / 50
    assert [source for source in kept if changed(source)] == []
