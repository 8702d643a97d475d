"""The names that a program finds without importing them: those of LiveCodeBench's import prelude."""

from typing import Any

MODULES = (
    "string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json"
)


def names() -> dict[str, Any]:
    """What each stands for, later imports winning."""
    found: dict[str, Any] = {}
    stars = [f"from {module} import *" for module in [*MODULES.split(), "builtins", "typing"]]
    imports = [f"import {module}" for module in MODULES.split()]
    exec("\n".join([*stars, *imports]), found)
    del found["__builtins__"]
    return found
