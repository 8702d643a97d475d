"""Test cases of LiveCodeBench's row format as data: JSON, or base64 of zlib of a pickle of a JSON string.

A pickle is a program, so it is never run here: its instructions are read, and none but a string's are admitted.
"""

import base64
import binascii
import json
import pickletools
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from tts.types import Call, Stdin, Test, Tolerance

MAX_TESTS_BYTES = 2**30  # of one problem's decoded tests; a compressed field of a few kB can claim any size
MAX_DEPTH = 300  # of a functional test's values; the sandbox carries a little more
MAX_DIGITS = 100_000  # of an integer in a functional test's values
CHUNK_DIGITS = 600  # what `int` converts whatever the interpreter's own limit of digits
MAX_INSTRUCTIONS = 8  # a pickled string takes at most five

TOO_DEEP = f"a value nested over {MAX_DEPTH} deep"
_STRINGS = frozenset({"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"})
_NEUTRAL = frozenset({"PROTO", "FRAME", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "STOP"})


def unpack(text: str, max_bytes: int = MAX_TESTS_BYTES) -> str:
    """The JSON inside base64 -> zlib -> pickle. Raises ValueError, also for more than `max_bytes`."""
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(base64.b64decode(text.encode(), validate=True), max_bytes)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"neither JSON nor base64 of zlib data: {error}") from error
    if not inflate.eof:
        raise ValueError(f"the compressed tests are cut short or larger than {max_bytes} bytes")
    return _pickled_string(data)


def _pickled_string(data: bytes) -> str:
    """The one string that a pickle holds. Nothing is executed and no class is looked up."""
    found: list[str] = []
    for name, argument in islice(_instructions(data), MAX_INSTRUCTIONS):
        if name in _STRINGS:
            found.append(str(argument))
        elif name == "STOP" and len(found) == 1:
            return found[0]
        elif name not in _NEUTRAL:
            asked = name if argument is None else f"{name} {str(argument)[:80]}"
            raise ValueError(f"the pickle asks for {asked}; only a string is admitted")
    raise ValueError(f"the pickle holds {len(found)} strings, not one")


def _instructions(data: bytes) -> Iterator[tuple[str, object]]:
    try:
        for instruction, argument, _ in pickletools.genops(data):
            yield instruction.name, argument
    except ValueError as error:
        raise ValueError(f"not a pickle: {error}") from error


def _cases(value: object) -> list[Mapping[str, str]]:
    """A row's list of test cases, from a list, its JSON, or its packed JSON. Raises ValueError."""
    if isinstance(value, str):
        value = json.loads(value if value.lstrip()[:1] in ("[", "") else unpack(value)) if value.strip() else []
    if not isinstance(value, list) or not all(isinstance(case, dict) for case in value):
        raise ValueError("test cases must be a list of objects")
    return value


def _test(case: Mapping[str, str], entry_point: str | None, tolerance: Tolerance | None) -> Test:
    kind = case.get("testtype", "functional" if entry_point else "stdin")
    given, expected = case["input"], case["output"]
    if not isinstance(given, str) or not isinstance(expected, str):
        raise ValueError("a test's input and output must be strings")
    if kind == "stdin":
        return Stdin(given, expected, tolerance)
    if kind != "functional":
        raise ValueError(f"a test's testtype is stdin or functional, got {kind!r}")
    if not entry_point:
        raise ValueError("a functional test needs metadata.func_name")
    args = tuple(_value(line) for line in given.split("\n") if line.strip())
    return Call(entry_point, args, _value(expected), tolerance)


def _value(text: str) -> object:
    """A JSON value of bounded depth, with integers of up to MAX_DIGITS digits. Raises ValueError."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer of more digits than the interpreter's limit
        value = json.loads(text, parse_int=_integer)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    return value


def _integer(text: str) -> int:
    digits = text.lstrip("-")
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits; {MAX_DIGITS} are allowed")
    number = 0
    for start in range(0, len(digits), CHUNK_DIGITS):
        chunk = digits[start : start + CHUNK_DIGITS]
        number = number * 10 ** len(chunk) + int(chunk)
    return -number if text.startswith("-") else number


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [item for outer in level for item in _contents(outer) if isinstance(item, list | dict)]
        if not level:
            return
    raise ValueError(TOO_DEEP)


def _contents(value: object) -> Iterable[object]:
    """What is nested in a JSON value."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def decode(value: object, entry_point: str | None, tolerance: Tolerance | None = None) -> tuple[Test, ...]:
    """Test cases as data. Raises ValueError with the reason for anything that cannot be decoded."""
    try:
        return tuple(_test(case, entry_point, tolerance) for case in _cases(value))
    except KeyError as error:
        raise ValueError(f"a test has no {error.args[0]!r}") from error
    except RecursionError as error:
        raise ValueError(f"nested too deeply: {error}") from error
