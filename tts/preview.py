"""What `tts problems` shows: a benchmark's first problems as a model would get them, as text or as JSON.

Hidden tests are counted, never shown. Statements are others' text: what cannot be seen in them is made visible.
"""

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from tts import plugins
from tts.errors import counted
from tts.grade import leading_public
from tts.protocols import Benchmark
from tts.types import Call, Problem, Test, Tolerance
from tts.wording import visible

TOO_LONG = "(an integer of thousands of digits is in it)"
CALLED = ("entry_point", "args")  # fields of a call whose expression is shown instead
UNSAID = ("tolerance", "strict", "seconds")  # fields of a test that are shown only where they say something


@dataclass(frozen=True, slots=True)
class Preview:
    """The first problems of a benchmark, each with its number of hidden tests, and how many problems there are."""

    benchmark: str
    total: int
    shown: Sequence[tuple[Problem, int]]


def preview(name: str, options: Mapping[str, Any], head: int) -> Preview:
    """The first `head` problems. Raises ConfigError for unusable options, DataError for unusable data."""
    benchmark: Benchmark = plugins.build("benchmark", plugins.Spec(name, options), f"benchmark {name!r}")
    problems = list(benchmark.problems())
    shown = [(one, _hidden(one, benchmark.tests(one.id))) for one in problems[:head]]
    return Preview(name, len(problems), shown)


def _hidden(problem: Problem, tests: Sequence[Test]) -> int:
    return len(tests) - leading_public(problem, tests)


def as_text(found: Preview) -> str:
    """All of it for a terminal."""
    parts = [f"{found.benchmark}: {counted(found.total, 'problem')}, {len(found.shown):,} shown"]
    parts += [part for problem, hidden in found.shown for part in _problem(problem, hidden)]
    return visible("\n\n".join(parts))


def _problem(problem: Problem, hidden: int) -> Iterator[str]:
    facts = [f"{name}: {value}" for name, value in problem.tags.items() if value]
    tests = f"{counted(len(problem.public_tests), 'public test')}, {counted(hidden, 'hidden test')}"
    yield "\n".join([f"===== {problem.id}", *facts, tests])
    for message in problem.messages:
        yield f"--- {message.role}\n{message.content}"
    for number, test in enumerate(problem.public_tests, 1):
        yield "\n".join([f"--- public test {number}", *(f"{name}:{_value(value)}" for name, value in _parts(test))])


def _parts(test: Test) -> Iterator[tuple[str, Any]]:
    """A test's fields and their values, whatever kind of test it is."""
    yield "kind", type(test).__name__.lower()
    asked = _expression(test) if isinstance(test, Call) and not test.entry_point.isidentifier() else None
    if asked is not None:
        yield "expression", asked
    for field in fields(test):
        value = getattr(test, field.name)
        if asked is not None and field.name in CALLED:
            continue
        if isinstance(value, Tolerance):
            yield field.name, asdict(value)
        elif field.name not in UNSAID or value:
            yield field.name, _printable(value)


def _expression(call: Call) -> str | None:
    """What a program is to evaluate, as a statement would have it, of an entry point that a benchmark made of it: a
    lambda that takes nothing, after setup code or not, or one that hands its arguments on. None of any other.
    """
    match ast.parse(call.entry_point, mode="eval").body:
        case ast.BoolOp(
            values=[ast.Call(func=ast.Name(id="exec"), args=[ast.Constant(value=str(setup))]), ast.Lambda(body=body)]
        ):
            return f"{setup}\n{ast.unparse(body)}"
        case ast.Lambda(
            args=ast.arguments(posonlyargs=[], args=[], vararg=handed, kwonlyargs=[], kwarg=None), body=body
        ):
            return ast.unparse(_Handed(handed, call.args).visit(body))
    return None


class _Handed(ast.NodeTransformer):
    """Writes arguments out where a lambda hands them on, as `*a`."""

    def __init__(self, name: ast.arg | None, given: Sequence[Any]) -> None:
        self.name, self.given = name, given

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """One call."""
        self.generic_visit(node)
        node.args = [part for argument in node.args for part in self._written(argument)]
        return node

    def _written(self, argument: ast.expr) -> list[ast.expr]:
        match argument:
            case ast.Starred(value=ast.Name(id=name)) if self.name is not None and name == self.name.arg:
                return [ast.Name(_python(value)) for value in self.given]
        return [argument]


def _python(value: Any) -> str:
    """The value as Python writes it, or words instead of one that Python will not print."""
    try:
        return repr(value)
    except ValueError:
        return TOO_LONG


def _printable(value: Any) -> Any:
    """The value if JSON has it, else as Python writes it, or words instead of one that Python will not print."""
    try:
        json.dumps(value)
    except TypeError:
        return repr(value)
    except ValueError:
        return TOO_LONG
    return value


def _value(value: Any) -> str:
    """Text as it is, without a last newline, and below its name where it has several lines; the rest as JSON."""
    text = value.removesuffix("\n") if isinstance(value, str) else json.dumps(value)
    return f"\n{text}" if "\n" in text else f" {text}"


def as_json(found: Preview) -> str:
    """All of it as JSON, every character that is not plain ASCII escaped, texts exactly as a model would get them."""
    tree = {
        "benchmark": found.benchmark,
        "problems": found.total,
        "shown": [
            {
                "id": problem.id,
                "tags": dict(problem.tags),
                "messages": [{"role": message.role, "content": message.content} for message in problem.messages],
                "public_tests": [dict(_parts(test)) for test in problem.public_tests],
                "hidden_tests": hidden,
            }
            for problem, hidden in found.shown
        ],
    }
    return json.dumps(tree, indent=1).replace("\x7f", "\\u007f")  # the one control character that JSON lets through
