"""Which programs, and which problems, are the same but for their words.

Two programs are alike if their syntax trees are equal once docstrings are gone and variables have numbers for names.
Two statements are alike if they share most of their runs of words, or one holds nearly all of the other's; the tests
that they show do not count there, and make them one problem if they share one. Pure text: nothing is run.
"""

import ast
import builtins
import math
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from tts import prompts

RUN = 3  # words of a shingle
ALIKE = 0.5  # of the shingles of two statements together, the share that both have, from which on they are alike
WITHIN = (
    0.8  # of the shingles of the shorter statement, the share that the longer one has, from which on they are alike
)
FEWEST = 4  # shingles of a statement that is looked for within another
UNSPACED = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # Japanese, Chinese and Korean letters: each is a word
WORD = re.compile(rf"[{UNSPACED}]|[^\W\d_{UNSPACED}]+|\d+")
TEST = re.compile(r"^\s*(assert\b|>>>).*$", re.MULTILINE)
Shingles = frozenset[tuple[str, ...]]


def skeleton(code: str) -> str | None:
    """A text that is equal for programs that differ only in layout, comments, docstrings and names of variables; None
    for what does not parse.
    """
    if not prompts.parses(code):
        return None
    with warnings.catch_warnings():  # of a mere "\d", which -W error would turn into an error
        warnings.simplefilter("ignore")
        tree = ast.parse(code.replace("\r\n", "\n").replace("\r", "\n"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _drop_docstring(node)
    _number(tree)
    return ast.dump(tree)


def _drop_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    if ast.get_docstring(node, clean=False) is not None:
        node.body = node.body[1:]


def _number(tree: ast.Module) -> None:
    """Variables and parameters get numbers in the order in which the tree holds them; what can be seen or called from
    outside keeps its name, as functions, lambdas with a name and a class's fields do, and so does whatever a keyword
    argument may mean.
    """
    nodes = list(ast.walk(tree))
    kept = {node.arg for node in nodes if isinstance(node, ast.keyword) and node.arg} | set(vars(builtins))
    kept |= {name for node in nodes if isinstance(node, ast.ClassDef) for name in _stored(node)}
    kept |= {node.name for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)}
    lambdas = (one for one in tree.body if isinstance(one, ast.Assign | ast.AnnAssign) and _is_lambda(one.value))
    kept |= {name for one in lambdas for name in _stored(one)}
    own = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    numbers: dict[str, str] = {}
    for node in nodes:
        field = "id" if isinstance(node, ast.Name) else "arg" if isinstance(node, ast.arg) else ""
        name = getattr(node, field) if field else ""
        if name in own - kept:
            setattr(node, field, numbers.setdefault(name, f"v{len(numbers)}"))


def _is_lambda(value: ast.AST | None) -> bool:
    return isinstance(value, ast.Lambda)


def _stored(node: ast.AST) -> Iterator[str]:
    """What a class's own text stores: whoever has it sees these by name, and in a dataclass in their order. What a
    function or a comprehension stores is its own.
    """
    own = node.target if isinstance(node, ast.comprehension) else None
    for child in ast.iter_child_nodes(node):
        if child is own or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id
        yield from _stored(child)


def does_nothing(code: str) -> bool:
    """Whether every statement of a program, in its functions and outside, is a definition, an import, a constant by
    itself (a docstring, `...`), `pass`, `raise`, or a `return` of nothing or of a literal, such as -1, [] or (1, 2).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(code)
    return not any(_does(node) for node in ast.walk(tree) if isinstance(node, ast.stmt))


def _does(node: ast.stmt) -> bool:
    match node:
        case ast.Pass() | ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
            return False
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return False  # what it holds is looked at by itself
        case ast.Raise():
            return False
        case ast.Return(value=value):
            return value is not None and not _is_literal(value)
    return True


def _is_literal(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError):  # TypeError: a key that cannot be hashed
        return False
    return True


def shingles(statement: str) -> Shingles:
    """The runs of RUN words of a statement, numbers being all the same word, without the tests that it shows (of which
    another edition of the problem may show more); of a shorter one, all of it.
    """
    words = ["0" if word.isdecimal() else word.lower() for word in WORD.findall(TEST.sub("", statement) or statement)]
    return frozenset(tuple(words[i : i + RUN]) for i in range(max(1, len(words) - RUN + 1)))


def shown_tests(statement: str) -> frozenset[str]:
    """The lines of a statement that are tests: `assert` and `>>>`."""
    return frozenset(test.group().strip() for test in TEST.finditer(statement))


def alike(one: Shingles, other: Shingles, least: float = ALIKE) -> bool:
    """Whether two statements share at least so much (Jaccard's measure), or one is nearly all within the other."""
    both, fewer = len(one & other), min(len(one), len(other))
    within = fewer >= FEWEST and both >= WITHIN * fewer
    return within or both >= least * (len(one) + len(other) - both)


def groups(statements: Sequence[str], least: float = ALIKE, names: Sequence[str] = ()) -> list[int]:
    """For each statement the position of the first one of its group: those alike are in one, directly or by others, and
    so are those that show the same test, and those of one name, if they have `names`.
    """
    sets = [shingles(statement) for statement in statements]
    first = list(range(len(sets)))
    holder: dict[str, int] = {}
    tests = [(i, test) for i, one in enumerate(statements) for test in shown_tests(one)]
    named = [(holder.setdefault(name, i), i) for i, name in (*enumerate(names), *tests)]
    for one, other in (*named, *_pairs(sets, least)):
        a, b = _root(first, one), _root(first, other)
        first[max(a, b)] = min(a, b)
    return [_root(first, i) for i in range(len(first))]


def _root(first: list[int], i: int) -> int:
    while first[i] != i:
        first[i] = first[first[i]]
        i = first[i]
    return i


def _pairs(sets: Sequence[Shingles], least: float) -> Iterator[tuple[int, int]]:
    """Every pair that is alike. The longer one then has a share `least`, or WITHIN, of the shorter one's shingles, and
    so one of the rarest of these, of which each has so few that not all pairs need be compared (the prefix filter of
    set joins).
    """
    common = Counter(shingle for one in sets for shingle in one)
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i in sorted(range(len(sets)), key=lambda i: -len(sets[i])):
        one = sets[i]
        rarest = sorted(one, key=lambda shingle: (common[shingle], shingle))
        rarest = rarest[: len(one) - math.ceil(min(least, WITHIN) * len(one)) + 1]
        others = {j for shingle in rarest for j in holders[shingle]}
        yield from ((j, i) for j in others if alike(sets[j], one, least))
        for shingle in one:
            holders[shingle].append(i)
