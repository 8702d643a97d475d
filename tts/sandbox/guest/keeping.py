"""May a program's process run its next test? Read off the program's text, before any of it runs.

A process is worth keeping only if each test finds it as a fresh one would be. What most programs do (arithmetic,
containers, reading and printing) leaves nothing behind that `candidate.py` does not put back; what could is refused
here by name, and such a program has a fresh process for each test.
"""

import ast

# Modules whose functions change nothing that outlives a test, or only what is put back between tests.
PURE = frozenset(
    [
        "__future__",
        "abc",
        "array",
        "bisect",
        "cmath",
        "collections",
        "copy",
        "dataclasses",
        "datetime",
        "enum",
        "fractions",
        "functools",
        "heapq",
        "io",
        "itertools",
        "json",
        "math",
        "numbers",
        "operator",
        "random",
        "re",
        "statistics",
        "string",
        "sys",
        "textwrap",
        "time",
        "typing",
    ]
)
SYS = frozenset({"stdin", "stdout", "stderr", "setrecursionlimit", "getrecursionlimit", "maxsize", "float_info"})
# Builtins that reach further than a program's own names.
FAR = frozenset(
    [
        "__builtins__",
        "__import__",
        "breakpoint",
        "builtins",
        "compile",
        "delattr",
        "eval",
        "exec",
        "exit",
        "globals",
        "help",
        "locals",
        "open",
        "quit",
        "setattr",
        "type",
        "vars",
    ]
)
RISKY_ATTRIBUTES = frozenset({"modules", "environ", "register", "detach", "close"})


def keepable(source: str) -> bool:
    """Whether nothing in a program may change what its next test finds."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            if any(alias.name.split(".")[0] not in PURE for alias in node.names):
                return False
            imported |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level or (node.module or "").split(".")[0] not in PURE or node.module == "sys":
                return False
            imported |= {alias.asname or alias.name for alias in node.names}
        elif (isinstance(node, ast.Name) and node.id in FAR) or isinstance(node, ast.AsyncFunctionDef):
            return False
    return all(_harmless(node, imported) for node in ast.walk(tree) if isinstance(node, ast.Attribute))


def _harmless(node: ast.Attribute, imported: set[str]) -> bool:
    """Whether an attribute is only looked up, or is set on an object of the program's own."""
    if node.attr.startswith("__") or node.attr in RISKY_ATTRIBUTES:
        return False
    if isinstance(node.value, ast.Name):
        if node.value.id == "sys" and node.attr not in SYS:
            return False
        if not isinstance(node.ctx, ast.Load) and (node.value.id in imported or node.value.id == "sys"):
            return False
    return True
