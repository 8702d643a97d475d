"""What a program finds before it has made anything: what of it may be held, what may only be called, what is within.

A test leaves nothing behind in what is *fixed*: a number, a text, a function or a type written in C can be given no
attribute and no item. What is written in Python can, and so can a module, a stream or a list; of these a program may
be seen to call some and to look into some, and that is all (`keeping.py`).
"""

import sys
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

FIXED, DECORATES, WRAPS, ANNOTATES, HELD = "fixed", "decorates", "wraps", "annotates", "held"


@dataclass(frozen=True)
class Called:
    """Something that may be called with so many arguments by position and these by keyword; None: with any."""

    positional: int | None
    keywords: frozenset[str] = frozenset()

    @classmethod
    def read(cls, text: str) -> "Called":
        """As the table below has it."""
        if text == "*":
            return cls(None)
        positional, *keywords = text.split(",")
        return cls(int(positional), frozenset(keywords))


@dataclass(frozen=True, eq=False)
class Within:
    """Something of which these attributes may be looked up, and no other. `lines`: it may be iterated over."""

    attributes: Mapping[str, "Entry"]
    lines: bool = False


Entry = str | Called | Within

HEAP_TYPE, IMMUTABLE_TYPE = 1 << 9, 1 << 8  # Py_TPFLAGS_*
FIXED_KINDS = frozenset(
    [
        *(int, float, complex, str, bytes, bool, type(None), type(...), type(NotImplemented)),
        *(types.BuiltinFunctionType, types.MethodType, type(sys.float_info)),
    ]
)
# Fixed, but they reach what is not, keep what they are given, or reach around what is watched.
_FAR = (
    "ParamSpec TypeAliasType TypeVar TypeVarTuple __build_class__ __import__ attrgetter breakpoint compile delattr eval"
    " exec getattr globals help locals memoryview methodcaller open setattr setstate super type vars"
)
FAR = frozenset(_FAR.split())
# Written in Python, and what they are given may have methods: so with these arguments alone, none of whose methods is
# handed anything that stays, as `re.compile` does with the flags and `deepcopy` with the memo.
_CALLED = {
    "collections": "ChainMap/* Counter/*",
    "copy": "copy/1 deepcopy/1",
    "fractions": "Fraction/2",
    "functools": "cache/1 cached_property/1 cmp_to_key/1 lru_cache/1,maxsize,typed partial/*",
    "heapq": "merge/* nlargest/2,key nsmallest/2,key",
    "json": "dumps/1,default,ensure_ascii,indent,separators,sort_keys loads/1",
    "operator": "itemgetter/*",
    "random": "Random/1",
    "re": "compile/1 escape/1 findall/2 finditer/2 fullmatch/2 match/2 search/2 split/3,maxsplit sub/4,count"
    " subn/4,count",
    "statistics": "fmean/1 geometric_mean/1 harmonic_mean/1 mean/1 median/1 median_high/1 median_low/1 mode/1"
    " multimode/1 pstdev/1 pvariance/1 stdev/1 variance/1",
    "typing": "ChainMap/* Counter/* DefaultDict/2 Deque/2,maxlen OrderedDict/1",
}
CALLED = {
    (module, name): Called.read(arguments)
    for module, names in _CALLED.items()
    for name, _, arguments in (text.partition("/") for text in names.split())
}
NAMEDTUPLE = Called(2, frozenset({"defaults", "rename"}))  # it interns the names: they must be the program's text
OTHERS: dict[tuple[str, str], Entry] = {
    ("collections", "namedtuple"): NAMEDTUPLE,
    ("dataclasses", "dataclass"): DECORATES,
    ("functools", "wraps"): WRAPS,
}
# Modules whose fixed members do nothing that outlives a test, or only what is put back between tests.
_PURE = (
    "__future__ array bisect cmath collections copy dataclasses datetime fractions functools heapq io itertools json"
    " math operator random re statistics string sys time typing"
)
PURE = frozenset(_PURE.split())
ONLY = {  # of these, no other members
    "io": "BytesIO StringIO",
    "sys": "exit float_info getrecursionlimit maxsize setrecursionlimit stderr stdin stdout",
    "time": "monotonic monotonic_ns perf_counter perf_counter_ns sleep time time_ns",  # not what this process has used
}
_METHODS: dict[str, Entry] = dict.fromkeys(["flush", "read", "readline", "readlines", "write", "writelines"], FIXED)
STREAM = Within({**_METHODS, "buffer": Within(_METHODS, lines=True)}, lines=True)


class Foreign:
    """The names that every program finds, without those that are fixed, and the modules that it may import."""

    def __init__(self, names: Mapping[str, Any], modules: Mapping[str, types.ModuleType]) -> None:
        self.modules: dict[str, Within] = {}
        known: dict[int, Entry] = {}
        for module in PURE & modules.keys():
            members = vars(modules[module])
            entries = {name: _entry(module, name, members[name]) for name in _exported(module, members)}
            self.modules[module] = Within(entries)
            known |= {id(members[name]): entry for name, entry in entries.items() if entry not in (FIXED, HELD)}
            if module in ONLY:
                known |= {id(v): HELD for name, v in members.items() if callable(v) and name not in entries}
        known |= {id(modules[name]): within for name, within in self.modules.items()}
        entries = {name: known.get(id(value), _entry("builtins", name, value)) for name, value in names.items()}
        self.names = {name: entry for name, entry in entries.items() if entry != FIXED}
        self.fixed = entries.keys() - self.names.keys()


def _exported(module: str, members: Mapping[str, Any]) -> Iterable[str]:
    if module in ONLY:
        return members.keys() & ONLY[module].split()
    return members.get("__all__") or [name for name in members if name[:1] != "_"]


def _entry(module: str, name: str, value: Any) -> Entry:
    entry = CALLED.get((module, name)) or OTHERS.get((module, name))
    if entry is not None:
        return entry
    if module == "sys" and name in ("stdin", "stdout", "stderr"):
        return STREAM
    if name not in FAR and is_fixed(value):
        return FIXED
    return ANNOTATES if module == "typing" else HELD


def is_fixed(value: Any) -> bool:
    """Whether it can be given no attribute and no item."""
    if isinstance(value, type):
        return value.__flags__ & (HEAP_TYPE | IMMUTABLE_TYPE) != HEAP_TYPE
    return type(value) in FIXED_KINDS
