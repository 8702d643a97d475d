"""What crosses the boundary between host and guest: two fixed structs and one tagged JSON form for values.

Loaded on both sides: as `tts.sandbox.wire` by the host, and by path in the guest, where the rest of tts is absent. It
therefore imports the standard library alone. It compares nothing (`compare.py`) and never runs what it reads.

The JSON form keeps apart what plain JSON merges. Null, booleans, strings, lists, finite floats and 64-bit integers are
themselves; everything else is an object with a single key: "t" a tuple, "s" a set, "d" a dict as a list of pairs, "i" a
large integer in hexadecimal, "f" nan or an infinity, "c" a complex number.
"""

import json
import math
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

REPLY = struct.Struct("<BidQ")  # End, exit code or signal, CPU seconds, peak resident bytes
HELLO = struct.Struct("<q")  # the user id that candidates run under, -1 for the host's own
JOB = struct.Struct("<Q")  # length of the program's text; a call's name and arguments follow it

MEMORY_EXIT = (
    86  # exit code of a guest that ended with MemoryError; a program that forges it only mislabels its failure
)
MAX_DEPTH = 200
MAX_NODES = 4_000_000  # some 300 MB of Python objects on the host; the output limit alone would allow 2 GB
_WIDE = 1 << 63


class End(IntEnum):
    """How the guest's watcher saw a candidate end."""

    EXITED = 0
    SIGNALLED = 1
    CPU = 2
    WALL = 3
    MEMORY = 4


class Request(NamedTuple):
    """What the zygote is told of a test; everything else goes past it, in descriptors. Sizes are in bytes."""

    is_call: bool
    cpu_seconds: float
    wall_seconds: float
    memory: int
    output: int

    def pack(self) -> bytes:
        """The message."""
        return _REQUEST.pack(*self)

    @classmethod
    def unpack(cls, message: bytes) -> "Request":
        """The request in a message."""
        return cls(*_REQUEST.unpack(message))


_REQUEST = struct.Struct("<?ddQQ")
REQUEST_BYTES = _REQUEST.size


@dataclass(frozen=True, slots=True)
class Pairs:
    """A dict as it was claimed. Never built into a dict on the host: chosen keys could collide at will."""

    items: tuple[tuple[Any, Any], ...]


@dataclass(frozen=True, slots=True)
class Elements:
    """A set as it was claimed; not built for the same reason."""

    items: tuple[Any, ...]


def dumps(value: Any) -> str:
    """The JSON form of a value. Raises TypeError for one that is not made of base types, ValueError for a deep one."""
    return _encode(_pack(value, MAX_DEPTH))


# Bound before any candidate runs, so that a program that rebinds `json.dumps` still gets its value out.
_encode = json.JSONEncoder(check_circular=False, allow_nan=False, separators=(",", ":")).encode


def _pack(value: Any, depth: int) -> Any:
    kind = type(value)  # not isinstance: an object may lie about its __class__
    if depth == 0:
        raise ValueError(f"a value nested over {MAX_DEPTH} deep")
    for base, pack in _PACKERS:
        if kind is base or issubclass(kind, base):
            return pack(value, depth - 1)
    if kind.__module__ == "numpy" and not getattr(value, "shape", None):
        return _pack(value.item(), depth - 1)  # a numpy scalar; only a claim of a value, like any other
    raise TypeError(f"a value of type {kind.__name__!r} is not made of base types")


def _pack_all(items: Iterable[Any], depth: int) -> list[Any]:
    return [item if type(item) is str else _pack(item, depth) for item in items]


def _pack_int(value: int, depth: int) -> Any:
    number = int.__int__(value)
    return number if -_WIDE <= number < _WIDE else {"i": hex(number)}


def _pack_float(value: float, depth: int) -> Any:
    number = float.__pos__(value)
    return number if math.isfinite(number) else {"f": float.__repr__(number)}


def _pack_complex(value: complex, depth: int) -> Any:
    number = complex.__pos__(value)
    return {"c": [_pack_float(number.real, depth), _pack_float(number.imag, depth)]}


def _pack_dict(value: dict[Any, Any], depth: int) -> Any:
    return {"d": [[_pack(key, depth), _pack(item, depth)] for key, item in dict.items(value)]}


# Each takes the value's contents through the base type's own method: a subclass's overrides are never asked.
_PACKERS: tuple[tuple[type, Callable[[Any, int], Any]], ...] = (
    (bool, lambda value, depth: value),
    (int, _pack_int),
    (str, lambda value, depth: str.__str__(value)),
    (list, lambda value, depth: _pack_all(list.__iter__(value), depth)),
    (float, _pack_float),
    (type(None), lambda value, depth: None),
    (tuple, lambda value, depth: {"t": _pack_all(tuple.__iter__(value), depth)}),
    (dict, _pack_dict),
    (set, lambda value, depth: {"s": _pack_all(set.__iter__(value), depth)}),
    (frozenset, lambda value, depth: {"s": _pack_all(frozenset.__iter__(value), depth)}),
    (complex, _pack_complex),
)


def parse(document: bytes) -> Any:
    """The value a document claims, with `Pairs` and `Elements` for dicts and sets. ValueError if it claims none."""
    if document.count(b",") + document.count(b"[") > MAX_NODES:
        raise ValueError(f"a value of over {MAX_NODES} parts")
    try:
        return _unpack(json.loads(document, parse_constant=_refuse), MAX_DEPTH)
    except RecursionError as error:
        raise ValueError(f"a value nested over {MAX_DEPTH} deep") from error


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} outside a tag")


def _unpack(tree: Any, depth: int) -> Any:
    if depth == 0:
        raise ValueError(f"a value nested over {MAX_DEPTH} deep")
    if type(tree) is list:
        return [_unpack(item, depth - 1) if type(item) in (list, dict) else item for item in tree]
    if type(tree) is not dict:
        return tree
    if len(tree) != 1:
        raise ValueError("an object that is not one tag")
    ((tag, content),) = tree.items()
    if tag not in _UNPACKERS or type(content) not in (list, str):
        raise ValueError(f"an unknown tag {tag[:20]!r}")
    return _UNPACKERS[tag](content, depth - 1)


def _unpack_pair(pair: Any, depth: int) -> tuple[Any, Any]:
    if type(pair) is not list or len(pair) != 2:
        raise ValueError("a dict with an item that is no pair")
    return _unpack(pair[0], depth), _unpack(pair[1], depth)


def _unpack_special(text: Any, depth: int) -> float:
    if text not in ("nan", "inf", "-inf"):
        raise ValueError("a special float that is none")
    return float(text)


def _unpack_complex(parts: Any, depth: int) -> complex:
    real, imag = (_unpack(part, depth) for part in parts)
    if type(real) is not float or type(imag) is not float:
        raise ValueError("a complex number that is none")
    return complex(real, imag)


def _unpack_int(text: Any, depth: int) -> int:
    if type(text) is not str:
        raise ValueError("a large integer that is none")
    return int(text, 16)


_UNPACKERS: dict[str, Callable[[Any, int], Any]] = {
    "t": lambda content, depth: tuple(_unpack(list(content), depth)),
    "s": lambda content, depth: Elements(tuple(_unpack(list(content), depth))),
    "d": lambda content, depth: Pairs(tuple(_unpack_pair(pair, depth) for pair in content)),
    "i": _unpack_int,
    "f": _unpack_special,
    "c": _unpack_complex,
}


def build(value: Any) -> Any:
    """A parsed value as real Python objects. For the guest, whose arguments come from the host and can be trusted."""
    if type(value) is list:
        return [build(item) for item in value]
    if type(value) is tuple:
        return tuple(build(item) for item in value)
    if type(value) is Pairs:
        return {build(key): build(item) for key, item in value.items}
    if type(value) is Elements:
        return {build(item) for item in value.items}
    return value
