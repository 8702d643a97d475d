"""What a program's names stand for, as far as its text tells: what was there before it, or what is its own.

Only names that could stand for something that was there before the program are followed; any other name is its own.
"""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING or __package__:  # it is tested outside a guest as well
    from tts.sandbox.guest.foreign import FIXED, HELD, ONLY, Entry, Foreign, Within
else:
    from foreign import FIXED, HELD, ONLY, Entry, Foreign, Within

Scope = Mapping[str, Entry]  # what names stand for; all others are fixed or the program's own
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
BINDING = (ast.Name, ast.FunctionDef, ast.ClassDef, ast.arg, ast.ExceptHandler)
STRAYING = (ast.Global, ast.Nonlocal, ast.NamedExpr)
NESTED = (ast.FunctionDef, ast.Lambda, ast.ClassDef, *COMPREHENSIONS)
Nodes = Mapping[type[ast.AST], list[ast.AST]]


class Unclear(Exception):
    """What a name stands for cannot be told."""


class Names:
    """All names of a program; `top` is what they stand for in its module."""

    def __init__(self, tree: ast.Module, nodes: "Nodes", known: Foreign) -> None:
        """`nodes` are all that there are in it, by their types. Raises Unclear."""
        self.known = known
        self.imported: dict[str, set[Entry]] = {}
        self.renamed: set[str] = set()  # imported by other names than their own
        for node in (*nodes.get(ast.Import, ()), *nodes.get(ast.ImportFrom, ())):
            self.renamed.update(alias.asname for alias in node.names if alias.asname)
            for name, entry in self._imports(node):
                self.imported.setdefault(name, set()).add(entry)
        binding = [(name, node) for kind in BINDING for node in nodes.get(kind, ()) for name in _bound(node)]
        plain = {name for name, node in binding if isinstance(node, ast.ClassDef | ast.ExceptHandler)}
        if any("__" in name for name in plain | self.imported.keys()):
            raise Unclear  # such a name is another one inside a class, or one that Python itself looks for
        self.bound = {name for name, _ in binding}
        classes = {name for name, node in binding if isinstance(node, ast.ClassDef) and not node.decorator_list}
        classes -= self.imported.keys() | known.fixed  # else `class str(str)` would make a `str` of the program's own
        self.classes = classes - {name for name, node in binding if not isinstance(node, ast.ClassDef)}
        self.contested = {name for name in (*self.bound, *self.imported) if self._is_contested(name)}
        if any(self._is_astray(node) for kind in STRAYING for node in nodes.get(kind, ())):
            raise Unclear
        looked_up = {node.id for node in nodes.get(ast.Name, ()) if isinstance(node, ast.Name)}
        self.top: Scope = {name: known.names[name] for name in looked_up | self.bound if name in known.names}
        if self.contested:
            everything = [node for same in nodes.values() for node in same]
            certain = _certain(tree.body, self.contested, Counter(_mentioned(everything)))
            self.top = {**self.top, **self._bindings(tree.body, self.top, certain)}

    def _is_contested(self, name: str) -> bool:
        """Whether it could stand for something that was there before, and for something else."""
        known = self.known.names.get(name, FIXED)
        if name in self.bound:
            return known != FIXED or name in self.imported
        return self.imported[name] != {known}

    def is_builtin(self, name: str) -> bool:
        """Whether nothing in the program gives this name another meaning."""
        return name not in self.bound and name not in self.imported

    def is_fixed_builtin(self, name: str) -> bool:
        """Whether it is one that is fixed, perhaps imported."""
        known = self.known.names.get(name, FIXED)
        return name not in self.bound and self.imported.get(name, {known}) == {FIXED}

    def inside(self, nodes: Iterable[ast.AST], scope: Scope) -> Scope:
        """What names stand for in a function or comprehension of which these are the parts: its own are its own."""
        return {**scope, **found} if (found := self._bindings(nodes, None)) else scope

    def inside_class(self, nodes: Iterable[ast.AST], scope: Scope) -> Scope:
        """The same of a class, whose names may mean the outer ones until they are bound, as they do in its methods.
        Raises Unclear for an import, which makes what it binds an attribute of the program's own.
        """
        if any(isinstance(node, ast.Import | ast.ImportFrom) for node in _here(nodes)):
            raise Unclear
        found = self._bindings(nodes, scope)
        # a name that is bound in a class is never that of the function around it
        unsure = {name: HELD for name, entry in found.items() if self.top.get(name, entry) != entry}
        return {**scope, **found, **unsure} if found else scope

    def _bindings(self, nodes: Iterable[ast.AST], outer: Scope | None, certain: Iterable[str] = ()) -> dict[str, Entry]:
        """What the contested names that are bound here stand for, in doubt the worst; with `outer`, they stand for
        that as well, but for the certain ones.
        """
        found: dict[str, set[Entry]] = {}
        for node in _here(nodes) if self.contested else ():
            for name in self.contested.intersection(_bound(node)):
                unbinds = isinstance(node, ast.ExceptHandler) or isinstance(getattr(node, "ctx", None), ast.Del)
                found.setdefault(name, set()).add(HELD if unbinds and outer is not None else FIXED)
            for name, entry in self._imports(node):
                found.setdefault(name, set()).add(entry)
        if outer is not None:
            for name in found.keys() & outer.keys() - set(certain):
                found[name].add(outer[name])
        return {name: entries.pop() if len(entries) == 1 else HELD for name, entries in found.items()}

    def _is_astray(self, node: ast.AST) -> bool:
        """Whether it binds a contested name in another scope than its own."""
        if isinstance(node, ast.Global | ast.Nonlocal):
            return not self.contested.isdisjoint(node.names)
        return isinstance(node, ast.NamedExpr) and not self.contested.isdisjoint(_bound(node.target))

    def _imports(self, node: ast.AST) -> Iterator[tuple[str, Entry]]:
        """The names that an import binds, with what they stand for. Raises Unclear."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name, self._module(alias.name)
        elif isinstance(node, ast.ImportFrom):
            members = self._module(node.module if node.level == 0 else None).attributes
            for alias in node.names:
                if alias.name != "*":
                    yield alias.asname or alias.name, members.get(alias.name, HELD)
                elif node.module in ONLY:  # it binds more than these
                    raise Unclear
                else:
                    yield from members.items()

    def _module(self, name: str | None) -> Within:
        if name not in self.known.modules:
            raise Unclear
        return self.known.modules[name]


def _bound(node: ast.AST) -> tuple[str, ...]:
    """The names that a node binds or unbinds by itself, but for imports."""
    if isinstance(node, ast.Name):
        return () if isinstance(node.ctx, ast.Load) else (node.id,)
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return (node.name,)
    if isinstance(node, ast.arg):
        return (node.arg,)
    if isinstance(node, ast.ExceptHandler) and node.name:
        return (node.name,)
    return ()


def _here(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Nodes and what is in them, but not what is in scopes within them."""
    todo = list(nodes)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, NESTED):
            todo += ast.iter_child_nodes(node)


def _mentioned(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Every name, as often as it stands in the text."""
    for node in nodes:
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            yield from node.names
        else:
            yield from _bound(node)


def _certain(body: Iterable[ast.stmt], names: Iterable[str], total: Mapping[str, int]) -> set[str]:
    """Those of the names that stand nowhere in the text before a statement of this block that binds them, and nowhere
    outside the block: wherever they stand, they are bound. `total` is how often they stand in the whole text.
    """
    found: set[str] = set()
    unseen = set(names)
    for statement in body:
        binds, before = _binding(statement)
        found |= unseen & (binds - before)
        for block, targets in _blocks(statement):
            here = Counter(_mentioned(node for part in (*targets, *block) for node in ast.walk(part)))
            confined = {name for name in unseen - found if here[name] == total[name]}
            found |= confined & {name for target in targets for node in ast.walk(target) for name in _bound(node)}
            found |= _certain(block, confined, total) if confined else set()
        unseen.difference_update(_mentioned(ast.walk(statement)))
    return found


def _binding(statement: ast.stmt) -> tuple[set[str], set[str]]:
    """The names that a statement certainly binds once it is done, and those that it looks up before."""
    if isinstance(statement, ast.FunctionDef):
        outside: list[ast.AST] = [*statement.decorator_list, statement.args]
        outside += [statement.returns] if statement.returns else []
        return {statement.name}, _looked_up(outside)
    if isinstance(statement, ast.ClassDef):
        return {statement.name}, _looked_up([statement])
    if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value:
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return {name for part in targets for node in ast.walk(part) for name in _bound(node)}, _looked_up([statement])
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return set(_mentioned([statement])), set()
    return set(), set()


def _looked_up(nodes: Iterable[ast.AST]) -> set[str]:
    found: set[str] = set()
    for node in (node for part in nodes for node in ast.walk(part)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.AugAssign):
            found.update(_bound(node.target))
    return found


def _blocks(statement: ast.stmt) -> Iterator[tuple[list[ast.stmt], list[ast.expr]]]:
    """The blocks of a statement, with what it binds on entering them."""
    if isinstance(statement, ast.For):
        yield statement.body, [statement.target]
    elif isinstance(statement, ast.If | ast.While | ast.Try):
        yield statement.body, []
