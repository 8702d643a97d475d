"""DeepSeek-Coder's LeetCode contest problems (arXiv 2401.14196), July 2023 to January 2024, about 100 tests each.

Rows of `20240121-Jul.jsonl` in DeepSeek-Coder's repository, Evaluation/LeetCode/data (MIT; the problems belong to
LeetCode). Nothing of it is shipped here. The same problems as LiveCodeBench's rows are read by `jsonl`.

The prompt is the row's `prompt_sft`, as DeepSeek-Coder's own script sends it. Tests with the arguments of an example in
the statement are public. That script gives all tests of a program 10 seconds of wall time together, and imports `numpy`
and much of the standard library first; here each test has the run's limits and is not strict, which is LiveCodeBench's
prelude, and a tuple equals a list; a program imports `numpy`. What else differs: `_asserts.py`.
"""

import ast
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, ClassVar

from tts.errors import DataError, shown
from tts.jsonl import expect
from tts.problems._asserts import SEEDED, NotData, Subject, from_assert, parsed
from tts.problems._columns import Columns
from tts.problems._constants import NotConstant, value_of
from tts.problems._rows import Row, RowBenchmark, RowFormat, each_once, public_first
from tts.types import Call, Check, Message, Problem, Test

EXAMPLE = re.compile(r"^Input: (.*)$", re.MULTILINE)
WORDS: Mapping[str, Any] = MappingProxyType({"true": True, "false": False, "null": None})  # in an example's values


@dataclass(frozen=True, slots=True)
class _Head:
    """What a row's prompt holds: the statement, the code to complete, the method and its parameters."""

    statement: str
    starter_code: str
    method: str
    parameters: tuple[str, ...]


def _read(row: Row, where: str) -> _Head:
    prompt = expect(row, "prompt", str, where)
    try:
        body = parsed(f"{prompt}pass\n")
    except ValueError as error:
        raise DataError(f"{where}: prompt is {error}. Mend or delete the row.") from error
    for solution in body:
        if isinstance(solution, ast.ClassDef) and solution.name == "Solution":
            for method in (node for node in solution.body if isinstance(node, ast.FunctionDef)):
                starter = "\n".join(prompt.split("\n")[solution.lineno - 1 :])
                parameters = tuple(argument.arg for argument in method.args.args[1:])
                return _Head(ast.get_docstring(ast.Module(body, [])) or "", starter, method.name, parameters)
    raise DataError(f"{where}: prompt ends in no class Solution with a method. Mend or delete the row.")


def _all_tests(row: Row, head: _Head, where: str) -> list[Test]:
    source = expect(row, "test", str, where)
    try:
        found = list(_calls(parsed(source), head))
    except NotData:
        found = [_check(source, head)]
    except ValueError as error:
        raise DataError(f"{where}: test cannot be used: {error}. Mend or delete the row.") from error
    if not found:
        raise DataError(f"{where}: test asserts nothing. Mend or delete the row.")
    return found


def _calls(statements: list[ast.stmt], head: _Head) -> Iterator[Test]:
    """The tests of code that makes a Solution, binds its arguments and asserts. Raises NotData."""
    names: dict[str, Any] = {}
    for statement in statements:
        match statement:
            case ast.Assign(value=ast.Call(func=ast.Name(id="Solution"), args=[], keywords=[])):
                pass
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                try:
                    names[name] = value_of(value, names)
                except NotConstant as error:
                    raise NotData(str(error)) from error
            case ast.Assert(test=test):
                by_position = _ByPosition(head, names)
                asked = by_position.visit(test)
                yield from from_assert(asked, Subject(head.method, strict=False), by_position.names)
            case _:
                raise NotData(f"a statement that is run: {ast.unparse(statement)[:80]}")


class _ByPosition(ast.NodeTransformer):
    """Turns `solution.f(**arguments)` into `f(a, b)`, in the order of the method's parameters."""

    def __init__(self, head: _Head, names: Mapping[str, Any]) -> None:
        self.head, self.names = head, dict(names)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """One call."""
        match node:
            case ast.Call(
                func=ast.Attribute(attr=method), args=[], keywords=[ast.keyword(arg=None, value=ast.Name(id=n))]
            ):
                given = self.names.get(n)
                if method == self.head.method and isinstance(given, dict):
                    if set(given) != set(self.head.parameters):
                        raise ValueError(f"{method} takes {self.head.parameters}, and a test gives {tuple(given)}")
                    self.names.update(given)
                    return ast.Call(ast.Name(method), [ast.Name(name) for name in self.head.parameters], [])
        return self.generic_visit(node)


def _check(source: str, head: _Head) -> Check:
    """Test code that does more, with a Solution whose method is the program's."""
    parameters = ", ".join(head.parameters)
    solution = f"class Solution:\n    def {head.method}(self, {parameters}):\n        return f({parameters})\n"
    code = f"{SEEDED}def check(f):\n{textwrap.indent(solution + source, '    ')}\n"
    return Check(code, head.method)


def _public(head: _Head, tests: list[Test]) -> tuple[Test, ...]:
    """The calls that examples show, each once, in the order of the tests."""
    texts = EXAMPLE.findall(head.statement)
    examples = {Call(head.method, found, None).asked for text in texts for found in _arguments(text, head)}
    calls = (test for test in tests if isinstance(test, Call))
    return each_once(test for test in calls if replace(test, returns=None).asked in examples)


def _arguments(text: str, head: _Head) -> Iterator[tuple[Any, ...]]:
    """The arguments in an example's `a = 1, b = [2]`, if they are that."""
    try:
        call = ast.parse(f"f({text.strip()})", mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
            return
        given = {keyword.arg: value_of(keyword.value, WORDS) for keyword in call.keywords}
        yield tuple(given[name] for name in head.parameters)
    except (SyntaxError, ValueError, KeyError, RecursionError, MemoryError):
        return


def _problem(row: Row, where: str) -> Problem:
    head = _read(row, where)
    meta = expect(row, "meta", dict, where, needed=False) or {}
    return Problem(
        id=expect(row, "task_id", str, where),
        statement=head.statement,
        messages=(Message("user", expect(row, "prompt_sft", str, where)),),
        public_tests=_public(head, _all_tests(row, head, where)),
        starter_code=head.starter_code,
        tags={
            "title": expect(meta, "title", str, f"{where}: meta", needed=False) or "",
            "difficulty": (expect(meta, "difficulty", str, f"{where}: meta", needed=False) or "").lower(),
            "contest_date": _date(row, where),
        },
    )


def _date(row: Row, where: str) -> str:
    """When the contest was, as an ISO time; nothing where the row does not say."""
    start = expect(row, "start_time", int, where, needed=False)
    try:
        return "" if start is None else datetime.fromtimestamp(start, UTC).isoformat()
    except (OverflowError, ValueError, OSError) as error:
        raise DataError(f"{where}: start_time must be seconds since 1970, got {shown(start)}. Mend the row.") from error


def _tests(row: Row, where: str) -> tuple[Test, ...]:
    head = _read(row, where)
    tests = _all_tests(row, head, where)
    return public_first(_public(head, tests), tests)


@dataclass(frozen=True)
class LeetCode(RowBenchmark):
    """Options: `path` is a JSONL file, gzipped or not, a folder of them, or a hub data set's file
    (owner/name/file.jsonl); `ids` and `limit` (the first so many) narrow.
    """

    columns: ClassVar = Columns(("task_id", "prompt", "prompt_sft", "test"))

    def row_format(self) -> RowFormat:
        """DeepSeek-Coder's."""
        return RowFormat(_problem, _tests)


plugin = LeetCode
