"""May a program's process run its next test? Proven of the program's text, before any of it runs.

A process is worth keeping only if each test finds it as a fresh one would be. What a program makes itself goes with its
module. So the proof is that it never holds anything else that could be changed: what was there before it is fixed, or
is only called or looked into where it is named (`foreign.py`). Whatever it then gives an attribute or an item, in
whatever way, it has made itself. Text that is not understood proves nothing, and such a program has a fresh process for
each test.
"""

import ast
import builtins
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:  # it is tested outside a guest as well
    from tts.sandbox.guest import foreign, scopes
    from tts.sandbox.guest.foreign import ANNOTATES, DECORATES, FIXED, NAMEDTUPLE, WRAPS, Called, Entry, Within
    from tts.sandbox.guest.scopes import Scope
else:
    import foreign
    import scopes
    from foreign import ANNOTATES, DECORATES, FIXED, NAMEDTUPLE, WRAPS, Called, Entry, Within
    from scopes import Scope

# Attributes that lead from what a program has made to what it has not, or have it kept: `strptime` keeps formats, a
# cache the hashes of fractions, by what these are made of.
_LEADING = "_denominator _field_defaults _numerator f_back f_globals format_map gi_frame mro obj strptime tb_frame"
LEADING = frozenset(_LEADING.split())
LOOKING_UP = re.compile(r"\{[^{}:!]*[.\[]")  # in a format: an attribute or an item of what it is given
# What may be defined or called by such a name: nothing that runs at an end, or is handed what is not the program's. An
# iterator of its own could be let go of by a generator, which closes it.
_SPECIAL = (
    "init repr str bytes format lt le eq ne gt ge hash bool call len getitem setitem delitem missing iter"
    " reversed contains add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or radd rsub rmul"
    " rtruediv rfloordiv rmod rdivmod rpow rlshift rrshift rand rxor ror iadd isub imul itruediv ifloordiv imod"
    " ipow ilshift irshift iand ixor ior neg pos abs invert complex int float index round trunc floor ceil"
    " post_init slots copy"
)
SPECIAL = frozenset(f"__{name}__" for name in _SPECIAL.split())
READ = frozenset({"__name__", "__file__", "__doc__"})
# Bases whose instances no cache of the library's holds by what they are equal to; and exceptions.
_EXCEPTIONS = {name for name in vars(builtins) if name.endswith(("Error", "Exception"))}
BASES = frozenset({"object", "list", "dict", "set", "deque", "defaultdict", *_EXCEPTIONS})
# Which of their arguments they iterate over, and do nothing else with.
ITERATING = {"enumerate": 0, "filter": 1, "list": 0, "map": 1, "next": 0, "set": 0, "sorted": 0, "sum": 0, "tuple": 0}
_UNDERSTOOD = (
    "Module FunctionDef ClassDef Return Delete Assign AugAssign AnnAssign For While If Raise Try Assert Import"
    " ImportFrom Global Nonlocal Expr Pass Break Continue BoolOp NamedExpr BinOp UnaryOp Lambda IfExp Dict Set"
    " ListComp SetComp DictComp GeneratorExp Yield YieldFrom Compare Call FormattedValue JoinedStr Constant"
    " Attribute Subscript Starred Name List Tuple Slice comprehension ExceptHandler arguments arg keyword alias"
    " Load Store Del And Or Add Sub Mult MatMult Div Mod Pow LShift RShift BitOr BitXor BitAnd FloorDiv Invert Not"
    " UAdd USub Eq NotEq Lt LtE Gt GtE Is IsNot In NotIn"
)
UNDERSTOOD = frozenset(getattr(ast, name) for name in _UNDERSTOOD.split())


class Doubt(Exception):
    """It cannot be proven that the program leaves nothing behind."""


def keepable(source: str, known: foreign.Foreign) -> bool:
    """Whether nothing in a program can change what its next test finds."""
    try:
        tree = ast.parse(source)
        nodes: dict[type[ast.AST], list[ast.AST]] = {}
        todo: list[ast.AST] = [tree]
        for node in todo:
            nodes.setdefault(type(node), []).append(node)
            todo += parts(node)
        if not UNDERSTOOD.issuperset(nodes) or _has_finalisers(nodes):
            return False
        names = scopes.Names(tree, nodes, known)
        _Reader(names).read(tree.body, names.top)
    except (Doubt, scopes.Unclear, SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def parts(node: ast.AST) -> list[ast.AST]:
    """As `ast.iter_child_nodes`, without what says only whether a name is looked up or bound, and in half the time."""
    found: list[ast.AST] = []
    for field in node._fields:
        value = getattr(node, field, None)
        if type(value) is list:
            found += [one for one in value if isinstance(one, ast.AST)]
        elif isinstance(value, ast.AST) and field != "ctx":
            found.append(value)
    return found


def _has_finalisers(nodes: scopes.Nodes) -> bool:
    """Whether a generator could run code as it is let go of, which may be in a later test."""
    waiting = (ast.Yield, ast.YieldFrom)
    if nodes.keys().isdisjoint(waiting):
        return False
    return any(isinstance(inner, waiting) for node in nodes.get(ast.Try, ()) for inner in ast.walk(node))


class _Reader:
    """Goes through a program; raises Doubt at what it cannot prove harmless."""

    def __init__(self, names: scopes.Names) -> None:
        self.names = names
        self.ways: dict[type[ast.AST], Callable[[Any, Scope], None]] = {
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.Call: self._call,
            ast.Compare: self._compare,
            ast.AugAssign: self._change,
            ast.AnnAssign: self._annotated,
            ast.For: self._loop,
            ast.FunctionDef: self._function,
            ast.Lambda: self._lambda,
            ast.ClassDef: self._class,
            **dict.fromkeys(scopes.COMPREHENSIONS, self._comprehension),
        }

    def read(self, nodes: Iterable[ast.AST | None], scope: Scope) -> None:
        """Whatever is not treated apart is harmless if all of its parts are."""
        for node in nodes:
            if node is not None:
                way = self.ways.get(type(node))
                if way is None:
                    self.read(parts(node), scope)
                else:
                    way(node, scope)

    def _name(self, node: ast.Name, scope: Scope) -> None:
        loads = isinstance(node.ctx, ast.Load)
        _check_special(node.id, READ if loads else SPECIAL)
        if loads and scope.get(node.id, FIXED) != FIXED:
            raise Doubt

    def _attribute(self, node: ast.Attribute, scope: Scope) -> None:
        entry = self.entry(node, scope)
        if entry is None:
            return self._own_attribute(node, scope)
        if entry != FIXED or not isinstance(node.ctx, ast.Load):
            raise Doubt

    def _own_attribute(self, node: ast.Attribute, scope: Scope) -> None:
        _check_special(node.attr, SPECIAL | READ)
        if node.attr in LEADING or (node.attr == "format" and not _looks_up_nothing(node.value)):
            raise Doubt
        if self._is_call_of("super", 0, node.value):
            return
        names_type = node.attr == "__name__" and isinstance(node.ctx, ast.Load)
        if names_type and self._is_call_of("type", 1, node.value):
            return self.read(node.value.args, scope)  # type: ignore[attr-defined]
        self.read([node.value], scope)

    def entry(self, node: ast.AST, scope: Scope) -> Entry | None:
        """What an expression stands for that names or looks into what the program has not made; None for others."""
        if isinstance(node, ast.Name):
            return scope.get(node.id)
        if not isinstance(node, ast.Attribute):
            return None
        base = self.entry(node.value, scope)
        if isinstance(base, Within):
            return base.attributes.get(node.attr, foreign.HELD)
        return None if base in (None, FIXED) else foreign.HELD

    def _call(self, node: ast.Call, scope: Scope) -> None:
        self._callee(node, scope)
        arguments = list(node.args)
        if self._is_builtin(node.func, ITERATING):
            place = ITERATING[node.func.id]  # type: ignore[attr-defined]
            arguments[place : place + 1] = [a for a in node.args[place : place + 1] if not self._has_lines(a, scope)]
        if self._is_builtin(node.func, {"isinstance"}):
            arguments = [*arguments[:1], *(kind for a in arguments[1:] for kind in self._unknown_kinds(a, scope))]
        prints = self._is_builtin(node.func, {"print"})
        given = [k.value for k in node.keywords if not (prints and k.arg == "file" and self._has_lines(k.value, scope))]
        self.read([*arguments, *given], scope)

    def _callee(self, node: ast.Call, scope: Scope) -> None:
        called = self.entry(node.func, scope)
        if not isinstance(called, Called):
            self.read([node.func], scope)
        elif not _takes(called, node) or (called is NAMEDTUPLE and not all(map(_is_text, node.args))):
            raise Doubt

    def _unknown_kinds(self, node: ast.expr, scope: Scope) -> Iterator[ast.expr]:
        """Of the classes that `isinstance` is asked about, those that are not classes of the library's."""
        for kind in node.elts if isinstance(node, ast.Tuple) else [node]:
            entry = self.entry(kind, scope)
            if entry != ANNOTATES and not isinstance(entry, Called):
                yield kind

    def _compare(self, node: ast.Compare, scope: Scope) -> None:
        """The type of something may be compared with types, none of which has a way of its own to be compared."""
        parts = [node.left, *node.comparators]
        asking = [part for part in parts if self._is_call_of("type", 1, part)]
        if asking and all(part in asking or self._is_kind(part) for part in parts):
            parts = [argument for part in asking for argument in part.args]  # type: ignore[attr-defined]
        self.read(parts, scope)

    def _is_kind(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Tuple | ast.List):
            return all(map(self._is_kind, node.elts))
        return isinstance(node, ast.Name) and (node.id in self.names.classes or self.names.is_fixed_builtin(node.id))

    def _is_call_of(self, name: str, arguments: int, node: ast.expr) -> bool:
        if not isinstance(node, ast.Call) or node.keywords or len(node.args) != arguments:
            return False
        return self._is_builtin(node.func, {name})

    def _is_builtin(self, node: ast.expr, names: Collection[str]) -> bool:
        return isinstance(node, ast.Name) and node.id in names and self.names.is_builtin(node.id)

    def _has_lines(self, node: ast.expr, scope: Scope) -> bool:
        entry = self.entry(node, scope)
        return isinstance(entry, Within) and entry.lines

    def _change(self, node: ast.AugAssign, scope: Scope) -> None:
        if isinstance(node.target, ast.Name) and scope.get(node.target.id, FIXED) != FIXED:
            raise Doubt
        self.read([node.target, node.value], scope)

    def _annotated(self, node: ast.AnnAssign, scope: Scope) -> None:
        self.annotations([node.annotation], scope)
        self.read([node.target, node.value], scope)

    def _loop(self, node: ast.For, scope: Scope) -> None:
        if not self._has_lines(node.iter, scope):
            self.read([node.iter], scope)
        self.read([node.target, *node.body, *node.orelse], scope)

    def _function(self, node: ast.FunctionDef, scope: Scope) -> None:
        _check_special(node.name, SPECIAL)
        self._decorators(node, scope)
        arguments = _arguments(node.args)
        self.annotations([*(one.annotation for one in arguments), node.returns], scope)
        self.read([*node.args.defaults, *node.args.kw_defaults], scope)
        self.read(node.body, self.names.inside([*arguments, *node.body], scope))

    def _lambda(self, node: ast.Lambda, scope: Scope) -> None:
        self.read([*node.args.defaults, *node.args.kw_defaults], scope)
        self.read([node.body], self.names.inside([*_arguments(node.args), node.body], scope))

    def _class(self, node: ast.ClassDef, scope: Scope) -> None:
        self._decorators(node, scope)
        if node.keywords or not all(self._is_base(base, scope) for base in node.bases):
            raise Doubt
        self.read((base for base in node.bases if isinstance(base, ast.Call)), scope)
        self.read(node.body, self.names.inside_class(node.body, scope))

    def _is_base(self, base: ast.expr, scope: Scope) -> bool:
        if isinstance(base, ast.Call):
            return self.entry(base.func, scope) is NAMEDTUPLE
        if not isinstance(base, ast.Name) or scope.get(base.id, FIXED) != FIXED:
            return False
        return base.id in self.names.classes or (
            base.id in BASES - self.names.renamed and self.names.is_fixed_builtin(base.id)
        )

    def _decorators(self, node: ast.FunctionDef | ast.ClassDef, scope: Scope) -> None:
        for decorator in node.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            entry = self.entry(call.func if call else decorator, scope)
            if call and entry == WRAPS and len(call.args) == 1 and not call.keywords:
                self.read(call.args, scope)
            elif call and entry == DECORATES:
                if call.args or not all(isinstance(option.value, ast.Constant) for option in call.keywords):
                    raise Doubt
            elif call or not (entry == DECORATES or (isinstance(entry, Called) and entry is not NAMEDTUPLE)):
                self.read([decorator], scope)

    def _comprehension(self, node: scopes.Comprehension, scope: Scope) -> None:
        inner = self.names.inside([part.target for part in node.generators], scope)
        for number, part in enumerate(node.generators):
            where = inner if number else scope
            if not self._has_lines(part.iter, where):
                self.read([part.iter], where)
            self.read([part.target, *part.ifs], inner)
        made = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self.read(made, inner)

    def annotations(self, nodes: Iterable[ast.expr | None], scope: Scope) -> None:
        """Nobody gets hold of an annotation, so all that matters is what working it out does."""
        for node in nodes:
            if not (isinstance(node, ast.Name) or node is None or self._is_kind_of_value(node, scope)):
                self.read([node], scope)

    def _is_kind_of_value(self, node: ast.expr, scope: Scope) -> bool:
        """Whether it is made of types alone; `typing` keeps what it is asked for, and looks for its equal."""
        if isinstance(node, ast.Name):
            return node.id in self.names.classes or node.id not in self.names.bound
        if isinstance(node, ast.Tuple | ast.List):
            return all(self._is_kind_of_value(one, scope) for one in node.elts)
        if isinstance(node, ast.Subscript):
            return self._is_kind_of_value(node.value, scope) and self._is_kind_of_value(node.slice, scope)
        if isinstance(node, ast.BinOp):
            return self._is_kind_of_value(node.left, scope) and self._is_kind_of_value(node.right, scope)
        return isinstance(node, ast.Constant) or self.entry(node, scope) is not None


def _arguments(node: ast.arguments) -> list[ast.arg]:
    more = [one for one in (node.vararg, node.kwarg) if one is not None]
    return [*node.posonlyargs, *node.args, *node.kwonlyargs, *more]


def _takes(called: Called, call: ast.Call) -> bool:
    """Whether these are such arguments as it may have."""
    if called.positional is None:
        return True
    starred = any(isinstance(one, ast.Starred) for one in call.args)
    given = {keyword.arg for keyword in call.keywords}
    return not starred and len(call.args) <= called.positional and given <= called.keywords


def _is_text(node: ast.expr) -> bool:
    """Whether it is a text, or some, that stands in the program."""
    return all(map(_is_text, node.elts)) if isinstance(node, ast.List | ast.Tuple) else isinstance(node, ast.Constant)


def _looks_up_nothing(node: ast.expr) -> bool:
    """Whether it is a format that does no more than to format what it is given."""
    return isinstance(node, ast.Constant) and not LOOKING_UP.search(str(node.value))


def _check_special(name: str, allowed: frozenset[str]) -> None:
    if name[:2] == name[-2:] == "__" and name not in allowed:
        raise Doubt
