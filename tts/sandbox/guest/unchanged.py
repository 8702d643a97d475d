"""Do dicts still hold what they held? Told without looking at what they hold, where the interpreter lets us.

To look at an object is to count a reference to it, and so to write: a process that has just been forked would copy
every page of its zygote's for it, which costs more than all else that a small test does.
"""

import ctypes
import operator
from typing import Any

TAG_OFFSET = 3 * ctypes.sizeof(ctypes.c_void_p)  # PyDictObject: two words of every object's, ma_used, ma_version_tag


class Watch:
    """What some dicts hold now, or when it was renewed last; `holds` says whether they still do."""

    def __init__(self, dicts: list[dict[str, Any]]) -> None:
        self.dicts = dicts
        self.tags = [_tag_of(one) for one in dicts] if TAGGED else []
        self.renew()

    def renew(self) -> None:
        """From what they hold now on."""
        self.versions = [tag.value for tag in self.tags]
        self.contents = [] if TAGGED else [(one, list(one), list(one.values())) for one in self.dicts]

    def holds(self) -> bool:
        """Whether no name was added, removed or given another value, and none was even if it has its value back."""
        return [tag.value for tag in self.tags] == self.versions and all(
            list(one) == names and all(map(operator.is_, one.values(), values)) for one, names, values in self.contents
        )


def _tag_of(one: dict[str, Any]) -> ctypes.c_uint64:
    """CPython's number for the state of a dict (PEP 509); later versions do without it."""
    return ctypes.c_uint64.from_address(id(one) + TAG_OFFSET)


def _is_tagged() -> bool:
    """Whether this interpreter has these numbers, found by trying each kind of change."""
    one: dict[str, Any] = {"a": 1, "b": 2}
    tag, seen = _tag_of(one), []
    for change in (dict.keys, dict.clear, lambda d: d.update(a=1), lambda d: d.update(a=2), lambda d: d.pop("a")):
        seen.append(tag.value)
        change(one)
    seen.append(tag.value)
    return seen[0] == seen[1] and len(set(seen)) == len(seen) - 1


TAGGED = _is_tagged()
