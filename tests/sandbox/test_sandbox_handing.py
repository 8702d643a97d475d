"""What may be called hands nothing that stays to the methods of what it is given: each is called with objects that have
every method that the library asks for, and tell what they are handed.
"""

import ast
import builtins
import importlib
import io
import itertools
import signal
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytest

from tts.sandbox.guest import prelude
from tts.sandbox.guest.foreign import CALLED, FIXED, PURE, Called, Foreign, is_fixed
from tts.sandbox.guest.keeping import SPECIAL

MODULES = {name: importlib.import_module(name) for name in PURE}
KNOWN = Foreign({**vars(builtins), **prelude.names()}, MODULES)
WITHIN = "_collections_abc copyreg json.decoder json.encoder numbers re._compiler re._parser"  # modules that these use
RIGHT = {
    "bool": True,
    "bytes": b"a",
    "complex": 1j,
    "float": 2.5,
    "hash": 0,
    "index": 2,
    "int": 3,
    "len": 2,
    "str": "a",
}
PLAIN: tuple[Callable[[], Any], ...] = (lambda: [3, 1, 2], lambda: "a", lambda: 1, lambda: {"a": 1})
ENDING = {"exit", "sleep"}  # or waiting
SECONDS = 0.5
MANY = 3  # arguments of what takes any number

ITSELF = object()  # what a method returns

Handed = list[Any]


class TooLong(BaseException):
    """A distribution draws until a number is small enough, which one of these never is."""


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    """Ends a call that takes too long."""

    def end(number: int, frame: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, end)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def asked_for() -> set[str]:
    """Every attribute that the text of these modules names."""
    found = set()
    for module in [*MODULES.values(), *map(importlib.import_module, WITHIN.split())]:
        if (path := getattr(module, "__file__", None) or "").endswith(".py"):
            found |= {
                node.attr for node in ast.walk(ast.parse(Path(path).read_text())) if isinstance(node, ast.Attribute)
            }
    return {name for name in found if not name.startswith("__")}


def teller(answer: Any, names: set[str], handed: Handed) -> type:
    """A class whose methods keep what they are handed, and return `answer`, or what Python demands of them."""

    def method(value: Any) -> Callable[..., Any]:
        def tell(self: Any, *arguments: Any, **options: Any) -> Any:
            handed.extend([*arguments, *options.values()])
            return self if value is ITSELF else value

        return tell

    methods = dict.fromkeys(names, method(answer)) | {f"__{name}__": method(value) for name, value in RIGHT.items()}
    return type("Teller", (), methods)


def stays(value: Any) -> bool:
    """Whether something could be left in it."""
    return not is_fixed(value) and any(hasattr(value, way) for way in ("__dict__", "__setitem__", "add", "append"))


def handed_twice(call: Callable[..., Any], makers: tuple[Callable[[], Any], ...], handed: Handed) -> list[Any]:
    """What was handed on in two calls with new arguments, and so was there before both."""
    rounds = []
    for _ in range(2):
        handed.clear()
        arguments = [make() for make in makers]
        with suppress(Exception), redirect_stdout(io.StringIO()):
            all(zip(range(3), iter(call(*arguments)), strict=False))
        rounds.append((arguments, [one for one in handed if stays(one)]))  # kept, so that no address is used again
        if not rounds[-1][1]:
            return []
    (_, first), (_, again) = rounds
    return [one for one in first if any(one is other for other in again)]


def tellers(handed: Handed) -> tuple[Callable[[], Any], ...]:
    names = (SPECIAL | asked_for()) - {"__init__", "__slots__"}
    return tuple(teller(answer, names, handed) for answer in (ITSELF, 1, "a", True, NotImplemented, 0.5, (1, 2)))


def calls(called: Called, own: tuple[Callable[[], Any], ...]) -> Iterator[tuple[Callable[[], Any], ...]]:
    for count in range(1, (MANY if called.positional is None else called.positional) + 1):
        for makers in itertools.product((*own, *PLAIN), repeat=min(count, 2)):
            if not set(makers).isdisjoint(own):
                yield (*makers, *own[: max(0, count - 2)])


def callables() -> Iterator[tuple[str, Callable[..., Any], Called]]:
    for module, within in KNOWN.modules.items():
        for name, entry in within.attributes.items():
            found = getattr(MODULES[module], name)
            if isinstance(entry, Called) or (entry == FIXED and callable(found) and name not in ENDING):
                yield f"{module}.{name}", found, entry if isinstance(entry, Called) else Called(None)


def test_nothing_that_stays_is_handed_on():
    handed: Handed = []
    own = tellers(handed)
    found = {}
    for name, call, called in callables():
        signal.setitimer(signal.ITIMER_REAL, SECONDS)  # for all that it is given
        with suppress(TooLong):
            for makers in calls(called, own):
                if same := handed_twice(call, makers, handed):
                    found[name] = same[0]
    assert len(CALLED) > 40 and not found


def test_nothing_that_stays_is_handed_on_by_keyword():
    handed: Handed = []
    own = tellers(handed)
    found = {}
    for (module, name), called in CALLED.items():
        for keyword in called.keywords:

            def call(first: Any, option: Any, name: str = name, module: str = module, keyword: str = keyword) -> Any:
                return getattr(MODULES[module], name)(first, **{keyword: option})

            for makers in itertools.product((*PLAIN, own[0]), own):
                if same := handed_twice(call, makers, handed):
                    found[name, keyword] = same[0]
    assert not found


@pytest.mark.parametrize("name", ["copy.deepcopy", "textwrap.wrap"])
def test_what_is_handed_on_would_be_found(name):
    module, _, function = name.partition(".")
    handed: Handed = []
    own = tellers(handed)
    call = getattr(importlib.import_module(module), function)

    assert any(handed_twice(call, makers, handed) for makers in calls(Called(2), own))
