"""Asserts of a benchmark's test code as tests that are data: what can be compared outside the program is.

Nothing is executed here, and no verdict is made beside a program. Of one assert, with f the program's function:

- `f(constants) == constant`, either way round, is a call. So is `is` with True, False or None.
- `abs(f(constants) - constant) < tolerance`, also `<=`, and `math.isclose` are calls with a tolerance.
- `f(constants)` and `not f(constants)` ask the program for the truth of the value; it is not told which is expected.
- `f(arguments) == constant` asks the program for the value where arguments are made of names of the program's own, and
  so does `set(f(arguments)) == constant`, with any of the built-in functions that only read a value.

An assert of another shape is a `Check`: it runs apart from the program and calls it through messages. So is a whole
test function that does more than bind constants and assert.

Tests are strict: a program has the names that it imports, and values are equal as Python's == has it. Differences from
the asserts in one process: `is` compares by value, so that 1 passes for True; a tolerance is for floats that are
returned, and an integer must be exact; `math.isclose` is relative to the constant; an object that is not made of base
types equals nothing; arguments are the program's own copies, and what a call leaves behind in the program is gone at
the next.
"""

import ast
import builtins
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tts.problems._constants import NotConstant, value_of
from tts.types import Call, Check, Test, Tolerance

SEEDED = "import random\nrandom.seed(0)\n"  # a check that draws inputs gives one verdict per program
ISCLOSE_RELATIVE = 1e-09  # math.isclose's own default
_NO_NAMES: Mapping[str, Any] = MappingProxyType({})
# What may be done to a value before it is claimed: no more than reading it, so that no object answers for itself.
_READERS = frozenset({"dict", "float", "frozenset", "int", "len", "list", "set", "sorted", "str", "sum", "tuple"})
# What arguments may be made of: nothing that a wrong program could use to compare.
_ARGUMENTS = (
    *(ast.Name, ast.Constant, ast.Call, ast.keyword, ast.Attribute, ast.Subscript, ast.List, ast.Tuple, ast.Set),
    *(ast.Dict, ast.UnaryOp, ast.USub, ast.Load),
)


class NotData(ValueError):
    """An assert that only code can decide."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The function that a test is about: its name in the program, the names that test code calls it by, and whether the
    code may use all of the program's names, as what runs in its process may. Its tests are `strict`, or not.
    """

    entry_point: str
    aliases: Collection[str] = ()
    shares_names: bool = False
    strict: bool = True

    def is_called(self, node: ast.AST) -> bool:
        """Whether this is a call of the function."""
        return isinstance(node, ast.Call) and self.is_named(node.func)

    def is_named(self, node: ast.AST) -> bool:
        """Whether this is the function's name."""
        return isinstance(node, ast.Name) and (node.id == self.entry_point or node.id in self.aliases)

    def finds(self, node: ast.Name) -> bool:
        """Whether the program has what is named, if it needs to have it."""
        return self.shares_names or self.is_named(node) or hasattr(builtins, node.id)

    def arguments(self, node: ast.expr, names: Mapping[str, Any]) -> tuple[Any, ...]:
        """The arguments of a call of the function with constants, by position. Raises NotData."""
        if not isinstance(node, ast.Call) or not self.is_called(node) or node.keywords:
            raise NotData("no call of the function with arguments by position")
        return tuple(_constant(item, names) for item in node.args)


def parsed(source: str) -> list[ast.stmt]:
    """The statements of test code. Raises ValueError with the reason."""
    try:
        return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"not Python ({error}): {source.strip()[:80]!r}") from error


def from_asserts(
    asserts: Sequence[str], entry_point: str, setup: str = "", own_names: Collection[str] = ()
) -> tuple[Test, ...]:
    """The tests in texts of one assert each; `setup` is code that goes before each and may use the program's names, of
    which `own_names` are those that only the program can define.

    Raises ValueError for what is no assert, or can be decided neither here nor apart from the program.
    """
    subject = Subject(entry_point, shares_names=True)
    return tuple(test for text in asserts for test in _from_text(text, subject, setup, own_names))


def _from_text(text: str, subject: Subject, setup: str, own_names: Collection[str]) -> list[Test]:
    statements = parsed(text)
    if len(statements) != 1 or not isinstance(statements[0], ast.Assert):
        raise ValueError(f"not one assert: {text.strip()[:80]!r}")
    try:
        return from_assert(statements[0].test, subject, _NO_NAMES, setup)
    except NotData as error:
        used = {node.id for node in ast.walk(statements[0]) if isinstance(node, ast.Name)} & {*own_names}
        if setup or used - {subject.entry_point}:
            raise ValueError(f"an assert on the program's own objects: {text.strip()[:80]!r} ({error})") from error
        code = f"{SEEDED}def check({subject.entry_point}):\n    {ast.unparse(statements[0])}\n"
        return [_check(code, subject)]


def from_check(source: str, entry_point: str, helpers: str = "") -> tuple[Test, ...]:
    """The tests in a function `check(candidate)`: one for each assert, or a single `Check` if it does more.

    `helpers` is code that the test code may use. What follows the function's definition, such as a call of it, is not
    part of it. Raises ValueError if there is no such function, or it cannot be run apart from the program.
    """
    statements = parsed(source)
    check = next((s for s in statements if isinstance(s, ast.FunctionDef) and s.name == "check"), None)
    if check is None or len(check.args.args) != 1:
        raise ValueError("the test code defines no check(candidate)")
    subject = Subject(entry_point, (check.args.args[0].arg,))
    try:
        tests = list(from_statements(check.body, subject))
    except NotData:
        kept = [s for s in statements if not isinstance(s, ast.Expr)]  # not the call of it
        code = f"{SEEDED}{helpers}\n{ast.unparse(ast.Module(kept, []))}\n{_renamed(entry_point)}"
        tests = [_check(code, subject)]
    if not tests:
        raise ValueError("check(candidate) asserts nothing")
    return tuple(tests)


def _renamed(entry_point: str) -> str:
    """Code by which a test's `check` finds the function under its own name as well as its argument's."""
    return f"_check = check\ndef check(f):\n    globals()[{entry_point!r}] = f\n    _check(f)\n"


def from_statements(statements: Iterable[ast.stmt], subject: Subject) -> Iterator[Test]:
    """The tests in statements that only bind names to constants and assert. Raises NotData."""
    names: dict[str, Any] = {}
    for statement in statements:
        match statement:
            case ast.Assert(test=test):
                yield from from_assert(test, subject, names)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                names[name] = _constant(value, names)
            case ast.Pass() | ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant() | ast.Name()):
                pass
            case _:
                raise NotData(f"a statement that is run: {ast.unparse(statement)[:80]}")


def from_assert(test: ast.expr, subject: Subject, names: Mapping[str, Any] = _NO_NAMES, setup: str = "") -> list[Test]:
    """The test that asserting this expression is; none for one that is true of every program. Raises NotData."""
    match test:
        case ast.Constant(value=True):
            return []
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return [_truth(operand, subject, names, False)]
        case ast.Compare(left=left, ops=[ast.Eq() | ast.Is() as op], comparators=[right]):
            return [_equality(left, right, isinstance(op, ast.Is), subject, names, setup)]
        case ast.Compare(left=left, ops=[ast.Lt() | ast.LtE() as op], comparators=[right]):
            return [_nearness(left, _number(right, names), isinstance(op, ast.Lt), subject, names)]
        case ast.Call(func=ast.Attribute(value=ast.Name(id="math"), attr="isclose")):
            return [_closeness(test, subject, names)]
    return [_truth(test, subject, names, True)]


def _constant(node: ast.expr, names: Mapping[str, Any]) -> Any:
    try:
        return value_of(node, names)
    except NotConstant as error:
        raise NotData(str(error)) from error


def _number(node: ast.expr, names: Mapping[str, Any]) -> float:
    value = _constant(node, names)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise NotData(f"no finite number: {value!r}")
    return float(value)


def _truth(node: ast.expr, subject: Subject, names: Mapping[str, Any], expected: bool) -> Test:
    arguments = subject.arguments(node, names)
    return Call(f"(lambda *a: bool({subject.entry_point}(*a)))", arguments, expected, strict=subject.strict)


def _equality(
    left: ast.expr, right: ast.expr, is_identity: bool, subject: Subject, names: Mapping[str, Any], setup: str
) -> Test:
    for asked, given in ((left, right), (right, left)):
        try:
            expected = value_of(given, names)
        except NotConstant:
            continue
        if not is_identity or expected is None or isinstance(expected, bool):
            return _asked(asked, expected, subject, names, setup)
    raise NotData("neither side is a constant")


def _asked(node: ast.expr, expected: Any, subject: Subject, names: Mapping[str, Any], setup: str) -> Test:
    if not setup:
        try:
            return Call(subject.entry_point, subject.arguments(node, names), expected, strict=subject.strict)
        except NotData:
            pass
    return Call(_claim(node, subject, names, setup), (), expected, strict=subject.strict)


def _claim(node: ast.expr, subject: Subject, names: Mapping[str, Any], setup: str) -> str:
    """The entry point that has the program evaluate an expression. Raises NotData."""
    parts = list(ast.walk(node))
    if not subject.is_called(_read(node)) or not all(isinstance(part, _ARGUMENTS) for part in parts):
        raise NotData("an expression that the program must not evaluate itself")
    for part in parts:
        if isinstance(part, ast.Name) and (part.id in names or not subject.finds(part)):
            raise NotData(f"{part.id} is not the program's")
    text = ast.unparse(_Renaming(subject).visit(node))
    return f"(exec({setup!r}) or (lambda: {text}))" if setup else f"(lambda: {text})"


def _read(node: ast.expr) -> ast.expr:
    """The innermost of what is only read, such as the call in `set(f(1))`."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _READERS:
            return _read(argument)
    return node


class _Renaming(ast.NodeTransformer):
    """Gives the function its name in the program."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """One name."""
        return ast.Name(self.subject.entry_point) if self.subject.is_named(node) else node


def _nearness(node: ast.expr, limit: float, is_open: bool, subject: Subject, names: Mapping[str, Any]) -> Test:
    """`abs(f(x) - c)` below the limit: a tolerance includes its end, so an open one ends a float earlier."""
    match node:
        case ast.Call(func=ast.Name(id="abs") | ast.Attribute(value=ast.Name(id="math"), attr="fabs"), args=[argument]):
            match argument:
                case ast.BinOp(left=left, op=ast.Sub(), right=right):
                    tolerance = Tolerance(math.nextafter(limit, 0.0) if is_open else limit, 0.0)
                    return _near(left, right, tolerance, subject, names)
    raise NotData("not the absolute value of a difference")


def _closeness(node: ast.Call, subject: Subject, names: Mapping[str, Any]) -> Test:
    options = {keyword.arg: _number(keyword.value, names) for keyword in node.keywords}
    if len(node.args) != 2 or not options.keys() <= {"rel_tol", "abs_tol"}:
        raise NotData("not math.isclose as it is called")
    tolerance = Tolerance(options.get("abs_tol", 0.0), options.get("rel_tol", ISCLOSE_RELATIVE))
    return _near(node.args[0], node.args[1], tolerance, subject, names)


def _near(left: ast.expr, right: ast.expr, tolerance: Tolerance, subject: Subject, names: Mapping[str, Any]) -> Test:
    asked, given = (left, right) if subject.is_called(left) else (right, left)
    arguments, expected = subject.arguments(asked, names), _number(given, names)
    return Call(subject.entry_point, arguments, expected, tolerance, subject.strict)


def _check(code: str, subject: Subject) -> Check:
    """Raises ValueError if the code calls the function in a way that its stand-in does not take: by keyword, to see
    what it raises, or for what it does to its arguments, since the program has copies of its own.
    """
    for node in ast.walk(ast.Module(parsed(code), [])):
        why = ""
        if isinstance(node, ast.Call) and subject.is_called(node) and node.keywords:
            why = "by keyword"
        elif isinstance(node, ast.Try | ast.TryStar) and any(map(subject.is_called, ast.walk(node))):
            why = "to see what it raises"
        elif isinstance(node, ast.Expr) and subject.is_called(node.value):
            why = "and does not look at what it returns"
        if why:
            raise ValueError(f"a check calls {subject.entry_point} {why}: {ast.unparse(node)[:80]!r}")
    return Check(code, subject.entry_point, subject.strict)
