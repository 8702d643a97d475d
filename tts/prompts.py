"""From a completion to the program in it: one extractor, which feeds both the scorer and the grader.

`extract` finds the code, `parses` says whether CPython's grammar accepts it, `normalised` gives programs that differ
only in layout the same text. Whatever the text, each takes a second or so per megabyte, of nothing but fences ten, and
none crashes: CPython's parser is reached only through `_syntax`, behind the limits below. Nothing here runs code,
repairs a program that was cut off, or judges whether a program is right.
"""

import ast
import itertools
import keyword
import os
import re
import threading
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from tts.errors import ConfigError, unknown

if TYPE_CHECKING:
    from tree_sitter import Node, Tree

TAGGED = "tagged"  # a fenced block tagged python, py or python3
UNTAGGED = "untagged"  # a fenced block without a tag
ANY = "any"  # a fenced block with another tag
UNCLOSED = "unclosed"  # a block of one of these classes that only the end of the text closes
BARE = "bare"  # all text outside fences, or all before the first fence
SALVAGED = "salvaged"  # the longest run of whole statements in a text of prose and bare code
NONE = "none"  # no program was found

# A longer text is no program: these are some 32,000 tokens. It bounds what either parser can be made to do.
MAX_CHARS = 2**17
# A deeper tree is no program: CPython converts trees recursively, and under a raised recursion limit that overruns the
# C stack. The deepest of 4,496 files (Python 3.11's library and installed packages) has 42 levels.
MAX_DEPTH = 1000
# tree-sitter-python reads a run of continued lines in quadratic time: 4,000 of them take 0.2 s.
MAX_CONTINUED_LINES = 4000
# CPython 3.11 searches the whole f-string for each of its expressions, so (braces x characters) bounds its work: 43,685
# expressions in 131,062 characters take 1.2 s, 15,000 of them, just within this limit, 0.2 s.
MAX_BRACE_WORK = 2 * 10**9

# Of one text, so much is parsed to find where its blocks end: blocks, ends tried for a block, characters in all.
MAX_MENDED = 64
MAX_ENDS = 8
MAX_MENDED_CHARS = 4 * MAX_CHARS

_PYTHON_TAGS = frozenset({"python", "py", "python3"})
# One thread at a time: the filters of warnings are the process's, and Python 3.11 before 3.11.8 counts the depth of a
# tree for all threads together, which may end in a SystemError (gh-106905).
_PARSING = threading.Lock()
_KEYWORDS = frozenset([*keyword.kwlist, *keyword.softkwlist])
# Possessive quantifiers (*+) keep a hostile line linear.
_OPENER = re.compile(r"(?P<lead>[^`~]*+)(?P<fence>`{3,}+|~{3,}+)(?P<info>[^`]*+)$")
_TAG = re.compile(r"[\s{.]*([\w#+-]*)")
_ATTACHED_TAG = re.compile(r"[\w+#-]+\s*")
_COMMENT = re.compile(r"^\s*+#|#[^'\"#]*+$")
_TRIPLE = re.compile("'''|\"\"\"")
# Blank lines, and byte order marks with what blanks stand before them.
_BLANK_START = re.compile(r"(?:[^\S\n]*+[\n\ufeff])*+")
_WORDS = re.compile(r"\b([^\W\d]\w*+)(?=[ \t]++([^\W\d]\w*+))")
_THINK = re.compile(r"^[ \t]*<think>|</think>", re.MULTILINE)
_DEFINES = re.compile(r"^[ \t]*(?:def|class|import|from|async)\b", re.MULTILINE)
_RECIPE = re.compile(r"```(\w+)?\n(.*?)```", re.DOTALL)

_DEFINITIONS = frozenset(
    {
        "function_definition",
        "class_definition",
        "decorated_definition",
        "import_statement",
        "import_from_statement",
        "future_import_statement",
    }
)
# Parents in which a comma before the closing bracket changes nothing. It does in a tuple and in a subscript.
_COMMA_IS_LAYOUT = frozenset({"argument_list", "parameters", "list", "set", "dictionary"})
_LAYOUT = frozenset({"comment", "line_continuation", ";"})


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was found in a completion.

    `code` is None where the rule found nothing; otherwise it is dedented and ends with exactly one newline. `rule` is
    one of the constants above. `truncated` says that the completion looks cut: a fence or a think tag was left open.
    """

    code: str | None
    rule: str
    truncated: bool


def extract(text: str, rule: str = "cascade") -> Extraction:
    """The program in a completion, by the extractor of this name; `ConfigError` where there is none of the name."""
    if rule not in EXTRACTORS:
        raise ConfigError(unknown(rule, "the extraction rules", EXTRACTORS))
    return EXTRACTORS[rule](text)


def last_block(text: str, tags: Collection[str]) -> str | None:
    """The last fenced block with one of these tags, else the last of all; for languages that are not parsed here."""
    lines = _without_thinking(_unix(text))[0].split("\n")
    tagged = last = None
    block = _next_block(lines, 0)
    while block is not None:
        fence = _opener(lines[block.first])
        if block.text.strip():
            last = block.text
            tagged = last if fence is not None and fence.tag in tags else tagged
        block = _next_block(lines, block.end)
    return tagged or last


def parses(code: str) -> bool:
    """Whether CPython's grammar accepts this, within the limits above. True of an empty text too."""
    return _syntax(_unix(code)) is not None


def normalised(code: str) -> str:
    """A text that is equal for programs that differ only in comments, blank lines, indentation width and spacing.

    Also in line joining inside brackets, trailing commas and semicolons. Docstrings, quotes and redundant parentheses
    are kept, so equal texts always mean equal syntax trees, though not the reverse. A text that tree-sitter cannot
    parse stands for itself.
    """
    code = _unix(code)
    tree = _tree(code)
    if tree is None or tree.root_node.has_error:
        return "?" + code
    return "\n".join(_serialised(tree))


# Fenced blocks.


@dataclass(frozen=True, slots=True)
class _Fence:
    """An opening fence: `lead` stands before it on its line, `column` is its indentation."""

    lead: str
    marker: str
    info: str

    @property
    def column(self) -> int:
        return len(self.lead.expandtabs(4))

    @property
    def tag(self) -> str:
        """The language that it names, or nothing."""
        found = _TAG.match(self.info)
        return found.group(1).lower() if found else ""

    @property
    def rule(self) -> str:
        """The class of the block that it opens."""
        if self.tag in _PYTHON_TAGS:
            return TAGGED
        return ANY if self.info.strip() else UNTAGGED

    def shares(self, column: int, marker: str) -> bool:
        """Whether a fence at this column could close this one: one indented deeper belongs to a docstring inside."""
        return marker[0] == self.marker[0] and len(marker) >= len(self.marker) and column < self.column + 4


@dataclass(frozen=True, slots=True)
class _Block:
    """The text between two fences. `first` and `end` count lines and include the fences; `closed` is False at the
    end.
    """

    rule: str
    text: str
    first: int
    end: int
    closed: bool


def _opener(line: str) -> _Fence | None:
    """The fence this line opens. Prose or a list marker may stand before it if the tag python alone stands after."""
    match = _OPENER.match(line)
    if not match:
        return None
    fence = _Fence(match["lead"], match["fence"], match["info"])
    alone = not fence.lead.strip() or (fence.marker[0] == "`" and fence.info.strip().lower() in _PYTHON_TAGS)
    return fence if alone else None


def _closes(line: str, fence: _Fence) -> bool:
    marker = line.strip()
    if len(marker) < 3 or marker.strip(fence.marker[0]):
        return False
    return fence.shares(len(line.expandtabs(4).rstrip()) - len(marker), marker)


def _restarts(line: str, fence: _Fence) -> bool:
    """Whether this line opens a Python block inside an open one, which ends the latter.

    So does a model that forgot to close a draft, that wraps its answer in ```markdown, or underlines with tildes. A
    longer Python fence holds shorter ones.
    """
    inner = _opener(line)
    if inner is None or inner.rule != TAGGED:
        return False
    return fence.rule != TAGGED or (not inner.lead.strip() and fence.shares(inner.column, inner.marker))


def _blocks(lines: Sequence[str]) -> Iterator[_Block]:
    """The fenced blocks of a text in order, each with the end at which it is a program where there is one."""
    budget = _Budget()
    block = _next_block(lines, 0)
    while block is not None:
        block = _mended(lines, block, budget)
        yield block
        block = _next_block(lines, block.end)


def _next_block(lines: Sequence[str], start: int) -> _Block | None:
    """The first block from this line on, as the fences alone on their lines have it."""
    fence: _Fence | None = None
    first = start
    for at in range(start, len(lines)):
        line = lines[at]
        if fence is None:
            fence, first = _opener(line), at
        elif _closes(line, fence):
            return _Block(fence.rule, "\n".join(lines[first + 1 : at]), first, at + 1, closed=True)
        elif _restarts(line, fence):
            return _Block(fence.rule, "\n".join(lines[first + 1 : at]), first, at, closed=True)
    if fence is None:
        return None
    return _Block(fence.rule, "\n".join(lines[first + 1 :]), first, len(lines), closed=False)


# Blocks that end elsewhere: at a fence with text on its line, or behind a fence inside a string.


@dataclass(slots=True)
class _Budget:
    """What may still be parsed of one text to mend its blocks."""

    blocks: int = MAX_MENDED
    chars: int = MAX_MENDED_CHARS

    def allows(self, block: _Block) -> bool:
        """Whether one more block may be looked at; counts it."""
        self.blocks -= 1
        return self.blocks >= 0 and len(block.text) <= self.chars

    def holds_program(self, block: _Block) -> bool:
        """Whether this is a program, as far as the budget goes; counts its length."""
        if len(block.text) > self.chars:
            return False
        self.chars -= len(block.text)
        return _block_program(block) is not None


def _mended(lines: Sequence[str], block: _Block, budget: _Budget) -> _Block:
    """The block, or where it is no program the shortest one that a fence outside its strings ends and that is.

    Where there is none, a fence that starts its line still shows that a block left open was not cut off.
    """
    fence = _opener(lines[block.first])
    if fence is None or not (fence.marker in block.text or _ends_in_string(block.text)):
        return block
    if not budget.allows(block) or budget.holds_program(block):
        return block
    ends = list(itertools.islice(_other_ends(lines, block, fence), MAX_ENDS))
    found = next(filter(budget.holds_program, ends), None)
    # The text of one whose line starts with the fence ends in a line break.
    return found or replace(block, closed=block.closed or any(end.text[-1:] in ("", "\n") for end in ends))


def _other_ends(lines: Sequence[str], block: _Block, fence: _Fence) -> Iterator[_Block]:
    """The block as ended by each fence outside its strings; beyond its own end only where that is inside a string."""
    stop = len(lines) if block.closed and _ends_in_string(block.text) else block.end
    quotes = size = 0
    for at in range(block.first + 1, stop):
        line = lines[at]
        size += len(line) + 1
        if size > MAX_CHARS:
            return
        lead = _lead(line, fence)
        if lead is not None and (quotes + _triples(lead)) % 2 == 0:
            text = "\n".join([*lines[block.first + 1 : at], lead])
            yield replace(block, text=text, end=at + (not _opens_next(line, block, fence)), closed=True)
        quotes += _triples(line)


def _lead(line: str, fence: _Fence) -> str | None:
    """What stands on this line before a fence that may end the block: nothing, or code; None without such a fence."""
    at = line.find(fence.marker)
    if at < 0:
        return None
    lead = line[:at]
    if lead.strip():
        return None if _COMMENT.search(lead) else lead  # a comment may mention a fence
    return "" if fence.shares(len(lead.expandtabs(4)), fence.marker) else None


def _opens_next(line: str, block: _Block, fence: _Fence) -> bool:
    """Whether the line that ends the block opens another: with a Python tag, or any tag if a fence closes that one."""
    if _restarts(line, fence):
        return True
    opener = _opener(line)
    return opener is not None and block.closed and _ATTACHED_TAG.fullmatch(opener.info) is not None


def _ends_in_string(text: str) -> bool:
    """Whether a string in triple quotes seems open at the end."""
    return _triples(text) % 2 == 1


def _triples(text: str) -> int:
    return len(_TRIPLE.findall(text))


# The cascade.


def _cascade(text: str) -> Extraction:
    """The default: think tags removed, then the best class of text that holds a program; see `_choose`."""
    text = _unix(text).lstrip("\ufeff")
    # Tags and fences inside the strings of a program are no markup, hence the look at the text as a whole first.
    whole = _whole(text)
    if whole:
        return whole
    answer, cut = _without_thinking(text)
    found = _whole(answer) if answer != text else None
    found = found or _choose(answer)
    return replace(found, truncated=found.truncated or cut)


def _whole(text: str) -> Extraction | None:
    """A text that is nothing but a program, or nothing but one closed block around a program."""
    code = _program(text)
    if code:
        return Extraction(code, BARE, truncated=False)
    lines = text.strip("\n").split("\n")
    block = next(_blocks(lines), None)
    if block is None or not block.closed or (block.first, block.end) != (0, len(lines)):
        return None
    code = _block_program(block)
    return Extraction(code, block.rule, truncated=False) if code else None


def _without_thinking(text: str) -> tuple[str, bool]:
    """The text without its thoughts, and whether the last one was left open.

    A close without an open means that the prompt's template opened it: all before it was thought. An open counts at
    the start of a line only, since programs and prose may mention it.
    """
    kept: list[str] = []
    at, thinking = 0, False
    for tag in _THINK.finditer(text):
        if tag.group() == "</think>":
            if not thinking:
                kept.clear()
            at, thinking = tag.end(), False
        elif not thinking:
            kept.append(text[at : tag.start()])
            thinking = True
    if not thinking:
        kept.append(text[at:])
    return "".join(kept), thinking


def _choose(text: str) -> Extraction:
    """The last program of the best class: tagged, untagged, any other tag, then the text outside the fences."""
    lines = text.split("\n")
    blocks = list(_blocks(lines))
    head = _head(lines, blocks)
    if head:
        return Extraction(head, BARE, truncated=False)
    truncated = _left_open(blocks)
    for block in _ranked(blocks):
        code = _block_program(block)
        if code:
            return Extraction(code, block.rule if block.closed else UNCLOSED, truncated)
    return replace(_outside(lines, blocks), truncated=truncated)


def _ranked(blocks: Sequence[_Block]) -> Iterator[_Block]:
    """The blocks to try, best first; together no longer than a program may be, which bounds the work on one text."""
    room = MAX_CHARS
    for rule in (TAGGED, UNTAGGED, ANY):
        for block in reversed(blocks):
            if block.rule == rule and len(block.text) <= room:
                room -= len(block.text)
                yield block


def _head(lines: Sequence[str], blocks: Sequence[_Block]) -> str | None:
    """The program before the first fence, unless that fence opens a Python block.

    Where the prompt itself ended in an opening fence, the completion starts with code and its first fence closes it.
    """
    if not blocks or blocks[0].rule == TAGGED:
        return None
    return _program("\n".join(lines[: blocks[0].first]))


def _left_open(blocks: Sequence[_Block]) -> bool:
    """Whether the text ends inside a block. A bare fence with nothing after it closes a block that never opened."""
    if not blocks or blocks[-1].closed:
        return False
    return blocks[-1].rule != UNTAGGED or bool(blocks[-1].text.strip())


def _outside(lines: Sequence[str], blocks: Sequence[_Block]) -> Extraction:
    """The program outside the fences: all of that text, or the best part of it."""
    ends = [0, *(block.end for block in blocks)]
    starts = [*(block.first for block in blocks), len(lines)]
    text = "\n".join(line for end, start in zip(ends, starts, strict=True) for line in lines[end:start])
    code = _program(text)
    if code:
        return Extraction(code, BARE, truncated=False)
    code = _salvaged(text)
    return Extraction(code, SALVAGED if code else NONE, truncated=False)


def _salvaged(text: str) -> str | None:
    """The longest run of error-free top-level statements that defines or imports something and parses."""
    tree = _tree(text) if _DEFINES.search(text) else None
    if tree is None:
        return None
    source = text.encode("utf-8", "surrogatepass").split(b"\n")
    for run in sorted(_runs(tree.root_node.children), key=_bytes, reverse=True):
        first, last = run[0].start_point.row, run[-1].end_point.row
        code = _program(b"\n".join(source[first : last + 1]).decode("utf-8", "surrogatepass"))
        if code:
            return code
    return None


def _runs(nodes: Sequence["Node"]) -> Iterator[list["Node"]]:
    """Maximal runs of sound statements that hold a definition, without the remarks at their ends."""
    run: list[Node] = []
    for line in itertools.chain(_same_lines(nodes), [None]):
        if line is not None and not any(node.has_error or not node.is_named for node in line if node.type != ";"):
            run.extend(line)
            continue
        while run and _is_remark(run[-1]):
            run.pop()
        run = list(itertools.dropwhile(_is_remark, run))
        if any(node.type in _DEFINITIONS for node in run):
            yield run
        run = []


def _same_lines(nodes: Sequence["Node"]) -> Iterator[list["Node"]]:
    """Neighbours that share a line, together: an error taints its whole line, of which it may have taken a part."""
    group: list[Node] = []
    for node in nodes:
        if group and node.start_point.row != group[-1].end_point.row:
            yield group
            group = []
        group.append(node)
    if group:
        yield group


def _is_remark(node: "Node") -> bool:
    """Whether a node beside the code may be prose: a comment (or heading), a separator, a word."""
    if node.type != "expression_statement":
        return not node.is_named or node.type == "comment"
    return not any(child.type in ("call", "assignment", "augmented_assignment") for child in node.children)


def _bytes(run: Sequence["Node"]) -> int:
    return run[-1].end_byte - run[0].start_byte


# The recipe's rule.


def _codescaler(text: str) -> Extraction:
    """The recipe of the CodeScaler release (`extract_code_from_model`), to the letter.

    Exactly one block between ``` (with one word after it at most) and the next ```, wherever these stand; its stripped
    text must parse. Think tags and line ends are left alone. Only a block without any statement, which the recipe takes
    for code, counts as nothing here.
    """
    # Cut after an odd number of fences.
    truncated = text.count("```") % 2 == 1
    found = list(itertools.islice(_RECIPE.finditer(text), 2))
    if len(found) != 1:
        return Extraction(None, NONE, truncated)
    code = found[0][2].strip()
    module = _syntax(_unix(code))
    if module is None or not module.body:
        return Extraction(None, NONE, truncated)
    return Extraction(code + "\n", _Fence("", "```", found[0][1] or "").rule, truncated)


EXTRACTORS: Mapping[str, Callable[[str], Extraction]] = MappingProxyType(
    {"cascade": _cascade, "codescaler": _codescaler}
)


# What counts as a program.


def _unix(text: str) -> str:
    """The text with the line ends that CPython itself would see."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _block_program(block: _Block) -> str | None:
    """The program in a block. What is tagged as Python need not be told from prose."""
    return _program(block.text, _computes if block.rule == TAGGED else _does_something)


def _program(text: str, counts: Callable[[ast.Module, str], bool] | None = None) -> str | None:
    """The text as a clean program, or None unless it parses and counts, by default as what `_does_something`.

    A result goes through unchanged a second time. `~~~python` parses, as an expression, yet is a fence.
    """
    code = _clean(text)
    if _opener(code.split("\n", 1)[0]):
        return None
    module = _syntax(code)
    return code if module is not None and (counts or _does_something)(module, code) else None


def _clean(text: str) -> str:
    """Without byte order mark, blank lines around and indentation of the whole; ends with one newline."""
    text = text.rstrip()
    start = _BLANK_START.match(text)
    lines = text[start.end() if start else 0 :].split("\n")
    indents = [line[: len(line) - len(line.lstrip(" \t"))] for line in lines if line.strip()]
    margin = os.path.commonprefix(indents)  # noqa: RUF071 - of characters, which is meant
    return "\n".join(line.removeprefix(margin) for line in lines) + "\n"


def _computes(module: ast.Module, code: str) -> bool:
    """Whether a statement calls or assigns something, or does more than a value could: enough under a Python tag."""
    return _does_something(module, code) or any(
        isinstance(node, ast.Call) or (isinstance(node, ast.AnnAssign) and node.value is not None)
        for node in ast.walk(module)
    )


def _does_something(module: ast.Module, code: str) -> bool:
    """Whether a statement is more than a word or a value: prose such as "Sorry", "x < y" or "Note: this" parses."""
    source = code.encode("utf-8")
    line_starts = [0, *(at.end() for at in re.finditer(b"\n", source))]

    def real(statement: ast.stmt) -> bool:
        match statement:
            case ast.Pass() | ast.Break() | ast.Continue() | ast.AnnAssign():
                return False
            case ast.Return(value=None) | ast.Raise(exc=None):
                return False
            case ast.Expr(value=ast.Call(func=called) | ast.Await(value=ast.Call(func=called))):
                # "Python (fast)" is a heading, print(x) a call.
                after = line_starts[(called.end_lineno or 1) - 1] + (called.end_col_offset or 0)
                return source[after : after + 1] != b" "
            case ast.Expr(value=value):
                return isinstance(value, ast.ListComp | ast.Yield | ast.YieldFrom | ast.NamedExpr)
        return True

    return any(real(statement) for statement in module.body)


def _syntax(code: str) -> ast.Module | None:
    """CPython's tree of the code, or None where its grammar or one of the limits refuses."""
    if _is_prose(code) or not _is_shallow(code):
        return None
    # The filters are the process's, but for these moments only: a user's -W error would turn a mere "\d" into an error.
    with _PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _is_prose(code: str) -> bool:
    """Whether the first line cannot be Python: a tag, a fence, or two words side by side of which neither is a keyword.

    Never true of a program; saves the parsers the long thoughts of a reasoning model.
    """
    line = next((line for line in code.split("\n") if line.strip() and not line.lstrip().startswith("#")), "").lstrip()
    if line.startswith(("<", "`")):
        return True
    before_strings = re.split("[\"'#\\\\]", line, maxsplit=1)[0]
    return any(_KEYWORDS.isdisjoint(match.groups()) for match in _WORDS.finditer(before_strings))


def _is_shallow(code: str) -> bool:
    """Whether the code is small, and nested little enough for CPython's recursive passes."""
    if code.count("{") * len(code) > MAX_BRACE_WORK:
        return False
    tree = _tree(code)
    return tree is not None and all(depth <= MAX_DEPTH for depth, _ in _walk(tree))


# tree-sitter.


def _tree(code: str) -> "Tree | None":
    """tree-sitter's tree of any text at all, with errors marked in it; None of a text beyond the limits."""
    if len(code) > MAX_CHARS or code.count("\\\n") > MAX_CONTINUED_LINES:
        return None
    import tree_sitter
    import tree_sitter_python  # type: ignore[import-untyped, unused-ignore]

    # A parser holds state, so each call has its own; that takes microseconds.
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_python.language()))
    return parser.parse(code.encode("utf-8", "surrogatepass"))


def _walk(tree: "Tree", leaves: frozenset[str] = frozenset()) -> Iterator[tuple[int, "Node"]]:
    """(depth, node) in pre-order, not entering nodes of these types. A loop, as the depth is the text's to choose."""
    cursor = tree.walk()
    depth = 0
    while True:
        node = cursor.node
        assert node is not None
        yield depth, node
        if node.type not in leaves and cursor.goto_first_child():
            depth += 1
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return
            depth -= 1


def _serialised(tree: "Tree") -> Iterator[str]:
    """One line per node: depth, type and, of a leaf, its text. Depths in pre-order give the structure back.

    A string is a leaf: the blanks in it count, also those in the expressions of f"{x = }".
    """
    path: list[str] = []
    comma = ""  # held back until the next node shows whether it is a trailing one
    for depth, node in _walk(tree, leaves=frozenset({"string"})):
        path[depth:] = [node.type]
        if node.type in _LAYOUT:
            continue
        if comma and node.type not in (")", "]", "}"):
            yield comma
        line = _line(depth, node)
        comma = line if node.type == "," and path[depth - 1] in _COMMA_IS_LAYOUT else ""
        if not comma:
            yield line


def _line(depth: int, node: "Node") -> str:
    if node.child_count and node.type != "string":
        return f"{depth} {node.type}"
    text = (node.text or b"").decode("utf-8", "surrogateescape")
    return f"{depth} {node.type} {text!r}"
