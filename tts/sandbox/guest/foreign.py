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

FIXED, CALLED, DECORATES, ANNOTATES, HELD = "fixed", "called", "decorates", "annotates", "held"


@dataclass(frozen=True, eq=False)
class Within:
    """Something of which these attributes may be looked up, and no other. `lines`: it may be iterated over."""

    attributes: Mapping[str, "Entry"]
    lines: bool = False


Entry = str | Within

HEAP_TYPE, IMMUTABLE_TYPE = 1 << 9, 1 << 8  # Py_TPFLAGS_*
FIXED_KINDS = frozenset(
    [
        *(int, float, complex, str, bytes, bool, type(None), type(...), type(NotImplemented)),
        *(types.BuiltinFunctionType, types.MethodType, type(sys.float_info)),
    ]
)
# Fixed, but they reach what is not, keep what they are given, or reach around what is watched.
_FAR = (
    "__build_class__ __import__ attrgetter breakpoint compile delattr eval exec getattr globals help locals memoryview"
    " methodcaller open setattr setstate super type vars"
)
FAR = frozenset(_FAR.split())
CALLED_NAMES = {
    "builtins": "exit quit",
    "collections": "ChainMap Counter namedtuple",
    "copy": "copy deepcopy",
    "fractions": "Fraction",
    "functools": "cache cached_property cmp_to_key lru_cache partial",
    "heapq": "merge nlargest nsmallest",
    "json": "dumps loads",
    "operator": "itemgetter",
    "random": "Random",
    "re": "compile escape findall finditer fullmatch match search split sub subn",
    "statistics": "fmean geometric_mean harmonic_mean mean median median_high median_low mode multimode pstdev"
    " pvariance stdev variance",
    "string": "capwords",
    "textwrap": "dedent fill indent shorten wrap",
    "typing": "ChainMap Counter DefaultDict Deque OrderedDict",
}
DECORATING_NAMES = {"dataclasses": "dataclass", "functools": "total_ordering wraps"}
# Modules whose fixed members do nothing that outlives a test, or only what is put back between tests.
_PURE = (
    "__future__ array bisect cmath collections copy dataclasses datetime fractions functools heapq io itertools json"
    " math operator random re statistics string sys textwrap time typing"
)
PURE = frozenset(_PURE.split())
ONLY = {  # of these, no other members
    "io": "BytesIO StringIO",
    "sys": "exit float_info getrecursionlimit getsizeof intern maxsize setrecursionlimit stderr stdin stdout",
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


def _exported(module: str, members: Mapping[str, Any]) -> Iterable[str]:
    if module in ONLY:
        return members.keys() & ONLY[module].split()
    return members.get("__all__") or [name for name in members if name[:1] != "_"]


def _entry(module: str, name: str, value: Any) -> Entry:
    if name in CALLED_NAMES.get(module, "").split():
        return CALLED
    if name in DECORATING_NAMES.get(module, "").split():
        return DECORATES
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
