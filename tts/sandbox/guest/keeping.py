"""May a program's process run its next test? Read off the program's bytecode, before any of it runs.

A process is worth keeping only if each test finds it as a fresh one would be. What most programs do (arithmetic,
containers, reading and printing) leaves nothing behind that `candidate.py` does not put back; what could is refused
here by name, and such a program has a fresh process for each test.
"""

import dis
import inspect
import sys
from types import CodeType

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
RISKY_ATTRIBUTES = frozenset({"modules", "environ", "register", "detach", "close", "reconfigure"})


SUSPECT = FAR | RISKY_ATTRIBUTES | frozenset(dir(sys)) - SYS
HARMLESS = frozenset({"__name__", "__module__", "__qualname__"})  # which every class statement looks up or sets
IMPORT_NAME, IMPORT_FROM, STORE_NAME = (dis.opmap[name] for name in ("IMPORT_NAME", "IMPORT_FROM", "STORE_NAME"))
SETTING = frozenset(dis.opmap[name] for name in ("STORE_ATTR", "DELETE_ATTR"))
ASYNCHRONOUS = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def keepable(code: CodeType, imported: dict[str, str] | None = None) -> bool:
    """Whether nothing in a program may change what its next test finds; `imported` is the modules of names so far."""
    imported = {"sys": "sys"} if imported is None else imported
    if code.co_flags & ASYNCHRONOUS or not (_is_plain(code, imported) or _is_harmless(code, imported)):
        return False
    return all(keepable(constant, imported) for constant in code.co_consts if isinstance(constant, CodeType))


def _is_plain(code: CodeType, imported: dict[str, str]) -> bool:
    """Whether there is no need to look closer, which would cost a process that has just been forked half a millisecond:
    what could do harm is not so much as named, and what is imported is so in the usual form.
    """
    operations, arguments, names = code.co_code[::2], code.co_code[1::2], code.co_names
    if not SUSPECT.isdisjoint(names) or not SETTING.isdisjoint(operations):
        return False
    if any(name[:2] == "__" and name not in HARMLESS for name in names):
        return False
    at = operations.find(IMPORT_NAME)
    while at != -1:
        module, at = names[arguments[at]], at + 1
        if module not in PURE or operations[at - 2] == dis.EXTENDED_ARG:
            return False
        if operations[at] == STORE_NAME:
            if module == "sys" != names[arguments[at]]:
                return False
            imported[names[arguments[at]]] = module
        elif operations[at] != IMPORT_FROM or module == "sys":
            return False
        while operations[at] == IMPORT_FROM:
            if operations[at + 1] != STORE_NAME:
                return False
            imported[names[arguments[at + 1]]], at = "", at + 2
        at = operations.find(IMPORT_NAME, at)
    return True


def _is_harmless(code: CodeType, imported: dict[str, str]) -> bool:
    """Whether what is named is only put to uses that do no harm."""
    module, kind, before = "", "", None  # of the last import; of the instruction before, and what it is about
    for instruction in dis.get_instructions(code):
        name, previous, kind = instruction.argval, kind, instruction.opname
        if kind == "IMPORT_NAME":
            module = name.partition(".")[0]
            harmless = module in PURE and not (module == "sys" and before == ("*",))
        elif kind == "IMPORT_FROM":
            harmless = module != "sys" or name in SYS
        elif kind.endswith(("_ATTR", "_METHOD")):
            harmless = _is_own(kind, name, imported.get(before) if isinstance(before, str) else None)
        elif kind.startswith("STORE"):
            harmless = True
            if previous.startswith("IMPORT"):
                imported[name] = module if previous == "IMPORT_NAME" else ""
        else:
            harmless = instruction.opcode not in dis.hasname or name not in FAR
        if not harmless:
            return False
        before = name
    return True


def _is_own(kind: str, attribute: str, module: str | None) -> bool:
    """Whether an attribute is only looked up, or is set on an object of the program's own; `module` is what it is an
    attribute of, if that was imported.
    """
    if attribute in RISKY_ATTRIBUTES or (attribute[:2] == "__" and attribute not in HARMLESS):
        return False
    return not (module == "sys" and attribute not in SYS) and (module is None or kind.startswith("LOAD"))
