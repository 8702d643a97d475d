"""Test cases of LiveCodeBench's row format as data: JSON, or base64 of zlib of a pickle of a JSON string.

A pickle can run code when loaded by the ordinary loader, so the one here admits nothing but a string.
"""

import base64
import binascii
import io
import json
import pickle
import zlib
from collections.abc import Mapping
from typing import Any

from tts.types import Call, Stdin, Test

MAX_TESTS_BYTES = 2**30  # of one problem's decoded tests; a compressed field of a few kB can claim any size


class _StringUnpickler(pickle.Unpickler):
    """Admits no class and no function, so a hostile pickle can name nothing to run."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse every global."""
        raise pickle.UnpicklingError(f"the pickle asks for {module}.{name}; only a string is admitted")

    def persistent_load(self, pid: Any) -> Any:
        """Refuse every persistent object."""
        raise pickle.UnpicklingError("the pickle asks for a persistent object; only a string is admitted")


def _unpack(text: str) -> str:
    """The JSON inside base64 -> zlib -> pickle."""
    inflate = zlib.decompressobj()
    data = inflate.decompress(base64.b64decode(text.encode(), validate=True), MAX_TESTS_BYTES)
    if inflate.unconsumed_tail:
        raise ValueError(f"tests larger than {MAX_TESTS_BYTES} bytes")
    loaded = _StringUnpickler(io.BytesIO(data)).load()
    if type(loaded) is not str:
        raise ValueError(f"the pickle holds a {type(loaded).__name__}, not a string")
    return loaded


def _cases(value: object) -> list[Mapping[str, str]]:
    """A row's list of test cases, from a list, its JSON, or its packed JSON. Raises ValueError."""
    if isinstance(value, str):
        value = json.loads(value if value.lstrip()[:1] in ("[", "") else _unpack(value)) if value.strip() else []
    if not isinstance(value, list) or not all(isinstance(case, dict) for case in value):
        raise ValueError("test cases must be a list of objects")
    return value


def _test(case: Mapping[str, str], entry_point: str | None) -> Test:
    kind = case.get("testtype", "functional" if entry_point else "stdin")
    given, expected = case["input"], case["output"]
    if not isinstance(given, str) or not isinstance(expected, str):
        raise ValueError("a test's input and output must be strings")
    if kind == "stdin":
        return Stdin(given, expected)
    if kind != "functional":
        raise ValueError(f"a test's testtype is stdin or functional, got {kind!r}")
    if not entry_point:
        raise ValueError("a functional test needs metadata.func_name")
    args = tuple(json.loads(line) for line in given.split("\n") if line.strip())
    return Call(entry_point, args, json.loads(expected))


def decode(value: object, entry_point: str | None) -> tuple[Test, ...]:
    """Test cases as data. Raises ValueError with the reason for anything that cannot be decoded."""
    try:
        return tuple(_test(case, entry_point) for case in _cases(value))
    except KeyError as error:
        raise ValueError(f"a test has no {error.args[0]!r}") from error
    except (binascii.Error, zlib.error, pickle.UnpicklingError, EOFError, RecursionError, IndexError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
