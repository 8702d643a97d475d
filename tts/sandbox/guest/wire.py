"""What crosses the boundary between host and guest: fixed structs and one tagged JSON form for values.

Loaded on both sides: as `tts.sandbox.guest.wire` by the host, and by path in the guest, where the rest of tts is
absent. It therefore imports the standard library alone. It compares nothing (`compare.py`) and runs nothing it reads.

The JSON form keeps apart what plain JSON merges. Null, booleans, strings, lists, finite floats and 64-bit integers are
themselves; everything else is an object with a single key: "t" a tuple, "s" a set, "d" a dict as a list of its keys
and values in turn, "i" a large integer in hexadecimal, "f" nan or an infinity, "c" a complex number, "o" any other
object.
"""

import json
import math
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from typing import Any, NamedTuple

HELLO = struct.Struct("<q")  # the user id that candidates run under, -1 for the host's own
WORD_BYTES = 16
# A process that is kept, of a test: the exit code that it would have ended with, and the host's word for that process,
# so that a program which writes to every descriptor does not end its test by accident.
DONE = struct.Struct(f"<i{WORD_BYTES}s")
GO = b"go"  # to a process that is kept or a template: here is a test, with what files of it are new
JOB = struct.Struct("<Q")  # length of the program's text; a call's name and arguments follow it
FILES = 5  # what a candidate is given: job, input, output, errors, result; and, if it may be kept, a socket

ROOM_MODE = 0o700  # of the candidates' folder
OPEN_FILES = 128  # descriptors of one candidate
EXECUTABLE = OPEN_FILES - 1  # where a compiled program is executed from, which then may have no such descriptor
TICK_SECONDS = 0.01  # a program's use of time and memory is looked at so often
KEPT_TESTS = 10  # of their whole CPU time, for a process that runs several

MEMORY_EXIT = (
    86  # exit code of a guest that ended with MemoryError; a program that forges it only mislabels its failure
)
MAX_DEPTH = 310  # a little more than tests may have; JSON is up to twice as deep, and recursion ends at 1,000
TOO_DEEP = f"a value nested over {MAX_DEPTH} deep"
MAX_LISTS = 3_000_000  # some 300 MB of Python objects on the host; the output limit alone would allow 1 GB
_WIDE = 1 << 63


class End(IntEnum):
    """How the guest's watcher saw a candidate end."""

    EXITED = 0
    SIGNALLED = 1
    CPU = 2
    WALL = 3
    MEMORY = 4
    FILES = 5
    THREADS = 6
    DONE = 7  # the host has its word that it is done, and it waits for the program's next test
    LOST = 8  # no process of the template's has been seen; the template is no more


class Mode(IntEnum):
    """What the zygote is asked for. It answers all but TEMPLATE, PAUSE and DROP, once each; and each of a template's
    tests, asked or not.
    """

    FRESH = 0  # a new process, for this test alone
    FIRST = 1  # a new one, which may be kept for the program's next
    WATCH = 2  # to watch the kept one, which has had its next from the host and is not done yet
    PAUSE = 3  # no longer to watch: it is done with its test
    DROP = 4  # to bury the kept one
    NATIVE = 5  # a new process that becomes a compiled program, for this test alone; its job is the executable
    TEMPLATE = 6  # a new one that reads a program and is forked for each of its tests; this is not answered itself
    FORKED = 7  # to watch the test that the template has had from the host and is not done yet, and is `number`
    CHECK = 8  # a new one that checks another's program: it is kept, and its next "tests" are answers to its calls


NEW = (Mode.FRESH, Mode.FIRST, Mode.NATIVE, Mode.TEMPLATE, Mode.CHECK)
KEPT = (Mode.FIRST, Mode.CHECK)


class Request(NamedTuple):
    """What the zygote is told of a test; everything else goes past it, in descriptors. `strict` leaves the prelude out.
    Sizes are in bytes; `spent` is
    the CPU seconds of the process's earlier tests, `word` what it says that it is done with, and `number` how many
    tests a template has been given.
    """

    mode: Mode
    is_call: bool = False
    strict: bool = False
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    memory: int = 0
    output: int = 0
    spent: float = 0.0
    word: bytes = b""
    number: int = 0

    def pack(self) -> bytes:
        """The message."""
        return _REQUEST.pack(*self)

    @classmethod
    def unpack(cls, message: bytes) -> "Request":
        """The request in a message."""
        mode, *rest = _REQUEST.unpack(message)
        return cls(Mode(mode), *rest)


_REQUEST = struct.Struct(f"<B??ddQQd{WORD_BYTES}sQ")
REQUEST_BYTES = _REQUEST.size


class Report(NamedTuple):
    """How a candidate's test ended: `code` is its exit code or the signal's number, `peak` the most resident bytes."""

    end: End
    code: int
    cpu: float
    wall: float
    peak: int

    def pack(self) -> bytes:
        """The message."""
        return _REPORT.pack(*self)

    @classmethod
    def unpack(cls, message: bytes) -> "Report":
        """The report in a message."""
        end, *rest = _REPORT.unpack(message)
        return cls(End(end), *rest)


_REPORT = struct.Struct("<BiddQ")
REPORT_BYTES = _REPORT.size


@dataclass(frozen=True, slots=True)
class Pairs:
    """A dict as it was claimed. Never built into a dict on the host: chosen keys could collide at will."""

    items: tuple[tuple[Any, Any], ...]


@dataclass(frozen=True, slots=True)
class Elements:
    """A set as it was claimed; not built for the same reason."""

    items: tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Opaque:
    """An object of no base type. Nothing of it crosses, and it equals nothing."""


class TooLarge(ValueError):
    """A document that would fill the host's memory."""


def dumps(value: Any, *, opaque: bool = False) -> bytes:
    """The JSON form of a value. Raises ValueError for one nested over MAX_DEPTH deep.

    An object that is not made of base types is sent as `Opaque` if `opaque`, and raises TypeError otherwise.
    """
    top = [value]
    todo = [(top, MAX_DEPTH)]
    while todo:  # not recursive: the host's recursion limit is low
        items, depth = todo.pop()
        if depth < 0:
            raise ValueError(TOO_DEEP)
        for i, item in enumerate(() if _is_plain(items) else items):
            items[i], inner = _pack(item, opaque)
            if inner:
                todo.append((inner, depth - 1))
    return _encode(top[0]).encode("utf-8", "surrogatepass")


# Bound before any candidate runs, so that a program that rebinds `json.dumps` still gets its value out.
_encode = json.JSONEncoder(check_circular=False, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode

Packed = tuple[Any, list[Any] | None]  # the form, and the list inside it whose items are still to be packed


def _pack(value: Any, opaque: bool) -> Packed:
    pack = _EXACT.get(type(value)) or _packer(value)
    if pack is None and type(value).__module__ == "numpy" and not getattr(value, "shape", None):
        value = value.item()  # a numpy scalar; only a claim of a value, like any other
        pack = _packer(value)
    if pack is not None:
        return pack(value)
    if opaque:
        return {"o": ""}, None
    raise TypeError(f"a value of type {type(value).__name__!r} is not made of base types")


def _packer(value: Any) -> Callable[[Any], Packed] | None:
    kind = type(value)  # not isinstance: an object may lie about its __class__
    return next((pack for base, pack in _PACKERS if issubclass(kind, base)), None)


def _is_plain(items: list[Any]) -> bool:
    """Whether these values are their own form, found quickly."""
    kinds = set(map(type, items))
    return kinds <= {str} or (kinds == {int} and min(items) >= -_WIDE and max(items) < _WIDE)


def _pack_int(value: int) -> Packed:
    number = int.__int__(value)
    return number if -_WIDE <= number < _WIDE else {"i": hex(number)}, None


def _pack_float(value: float) -> Packed:
    number = float.__pos__(value)
    return number if math.isfinite(number) else {"f": float.__repr__(number)}, None


def _pack_complex(value: complex) -> Packed:
    number = complex.__pos__(value)
    parts: list[Any] = [number.real, number.imag]
    return {"c": parts}, parts


def _pack_list(value: list[Any]) -> Packed:
    items = list(list.__iter__(value))
    return items, items


def _pack_dict(value: dict[Any, Any]) -> Packed:
    return _pack_tagged("d", chain.from_iterable(dict.items(value)))


def _pack_tagged(tag: str, contents: Iterable[Any]) -> Packed:
    items = list(contents)
    return {tag: items}, items


# Each takes the value's contents through the base type's own method: a subclass's overrides are never asked.
_PACKERS: tuple[tuple[type, Callable[[Any], Packed]], ...] = (
    (bool, lambda value: (value, None)),
    (int, _pack_int),
    (str, lambda value: (str.__str__(value), None)),
    (list, _pack_list),
    (float, _pack_float),
    (type(None), lambda value: (None, None)),
    (tuple, lambda value: _pack_tagged("t", tuple.__iter__(value))),
    (dict, _pack_dict),
    (set, lambda value: _pack_tagged("s", set.__iter__(value))),
    (frozenset, lambda value: _pack_tagged("s", frozenset.__iter__(value))),
    (complex, _pack_complex),
    (Pairs, lambda value: _pack_tagged("d", chain.from_iterable(value.items))),  # a claim that is passed on
    (Elements, lambda value: _pack_tagged("s", value.items)),
    (Opaque, lambda value: ({"o": ""}, None)),
)
_EXACT = dict(_PACKERS)


def parse(document: bytes, max_lists: int | None = MAX_LISTS) -> Any:
    """The value a document claims, with `Pairs` and `Elements` for dicts and sets. ValueError if it claims none.

    Raises TooLarge for more than `max_lists` lists, a tag counting twice; None is for a document that can be trusted.
    """
    if max_lists is not None and _lists(document, max_lists) > max_lists:
        raise TooLarge(f"a value of over {max_lists} lists")
    try:
        return _unpack(json.loads(document.decode("utf-8", "surrogatepass"), parse_constant=_refuse))
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error


def _lists(document: bytes, enough: int) -> int:
    """How many lists a document has; strings are passed over, but only when there may be more than `enough`."""
    found = document.count(b"[") + 2 * document.count(b"{")
    if found <= enough:
        return found
    quotes = document.replace(rb"\\", b"").replace(rb"\"", b"")  # but those inside strings
    bare = b"".join(quotes.split(b'"')[::2])
    return bare.count(b"[") + 2 * bare.count(b"{")


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} outside a tag")


def _unpack(tree: Any) -> Any:
    top = [tree]
    todo = [(top, MAX_DEPTH)]
    tags: list[tuple[list[Any], int]] = []  # where each tag stands, outer ones before those inside them
    while todo:
        items, depth = todo.pop()
        if depth < 0:
            raise ValueError(TOO_DEEP)
        if not {list, dict} & set(map(type, items)):
            continue
        for i, item in enumerate(items):
            if type(item) is dict:
                tags.append((items, i))
                item = _content(item)
            if item and type(item) is list:
                todo.append((item, depth - 1))
    for items, i in reversed(tags):
        ((tag, content),) = items[i].items()
        items[i] = _UNPACKERS[tag](content)
    return top[0]


def _content(tagged: dict[str, Any]) -> Any:
    if len(tagged) != 1:
        raise ValueError("an object that is not one tag")
    ((tag, content),) = tagged.items()
    if tag not in _UNPACKERS or type(content) is not (str if tag in "ifo" else list):
        raise ValueError(f"an unknown tag {tag[:20]!r}")
    return content


def _unpack_dict(content: list[Any]) -> Pairs:
    if len(content) % 2:
        raise ValueError("a dict with a key that has no value")
    return Pairs(tuple(zip(content[::2], content[1::2], strict=True)))


def _unpack_special(text: str) -> float:
    if text not in ("nan", "inf", "-inf"):
        raise ValueError("a special float that is none")
    return float(text)


def _unpack_complex(parts: list[Any]) -> complex:
    if [type(part) for part in parts] != [float, float]:
        raise ValueError("a complex number that is none")
    return complex(*parts)


_UNPACKERS: dict[str, Callable[[Any], Any]] = {
    "t": tuple,
    "s": lambda content: Elements(tuple(content)),
    "d": _unpack_dict,
    "i": lambda text: int(text, 16),
    "f": _unpack_special,
    "c": _unpack_complex,
    "o": lambda text: Opaque(),
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
