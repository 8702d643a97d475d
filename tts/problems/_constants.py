"""The value of a constant expression in a benchmark's test code, found by walking its tree: nothing is executed.

Takes literals, displays, arithmetic on numbers, joining and repeating of strings, lists and tuples, the calls in
`CALLS`, and names that were bound to such values. What would grow beyond the limits below counts as no constant.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

MAX_BITS = 20_000  # of an integer that arithmetic gives
MAX_ITEMS = 1_000_000  # of a string, list or tuple that is repeated

CALLS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"set": set, "tuple": tuple, "list": list, "float": float, "complex": complex}
)
_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = MappingProxyType(
    {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
        ast.FloorDiv: operator.floordiv,
        ast.Mod: operator.mod,
        ast.Pow: operator.pow,
    }
)
_UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = MappingProxyType(
    {ast.UAdd: operator.pos, ast.USub: operator.neg, ast.Not: operator.not_, ast.Invert: operator.invert}
)
_NUMBERS = (int, float, complex)
_SEQUENCES = (str, list, tuple)


class NotConstant(ValueError):
    """An expression whose value is not found without running something, or is too large."""


def value_of(node: ast.expr, names: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """The value of an expression over these names. Raises NotConstant."""
    try:
        return _value(node, names)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise NotConstant(f"{ast.unparse(node)[:80]} is no constant: {error}") from error


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float | complex | str):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.List(elts=items):
            return [_value(item, names) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item, names) for item in items)
        case ast.Set(elts=items):
            return {_value(item, names) for item in items}
        case ast.Dict(keys=keys, values=values):
            return {_value(_plain(key), names): _value(item, names) for key, item in zip(keys, values, strict=True)}
        case ast.UnaryOp(op=op, operand=operand):
            return _UNARY[type(op)](_value(operand, names))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _arithmetic(op, _value(left, names), _value(right, names))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in CALLS and name not in names:
            return CALLS[name](*(_value(item, names) for item in args))
    raise NotConstant(f"a {type(node).__name__} is evaluated only by running it")


def _plain(key: ast.expr | None) -> ast.expr:
    if key is None:
        raise NotConstant("a dict is unpacked")
    return key


def _arithmetic(op: ast.operator, left: Any, right: Any) -> Any:
    if not _is_bounded(op, left, right):
        raise NotConstant("the result of arithmetic may be too large")
    return _BINARY[type(op)](left, right)


def _is_bounded(op: ast.operator, left: Any, right: Any) -> bool:
    """Whether the operator is one of numbers or of sequences here, and what it gives has a decent size."""
    if isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS):
        if isinstance(op, ast.Pow) and isinstance(left, int) and isinstance(right, int):
            return abs(right) * left.bit_length() <= MAX_BITS
        return all(number.bit_length() <= MAX_BITS for number in (left, right) if isinstance(number, int))
    if isinstance(op, ast.Add):
        return isinstance(left, _SEQUENCES) and type(left) is type(right) and len(left) + len(right) <= MAX_ITEMS
    if isinstance(op, ast.Mult):
        sequence, count = (left, right) if isinstance(left, _SEQUENCES) else (right, left)
        return isinstance(sequence, _SEQUENCES) and isinstance(count, int) and len(sequence) * count <= MAX_ITEMS
    return False
