"""Extraction on real-looking and on hostile completions, and what `parses` and `normalised` promise."""

import ast
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts import prompts
from tts.errors import ConfigError
from tts.prompts import ANY, BARE, EXTRACTORS, NONE, SALVAGED, TAGGED, UNCLOSED, UNTAGGED, Extraction, extract

# What the programs made up here would be warned of is not under test.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning")

NL = "\n"
F = "def f(x):\n    return x + 1\n"
G = "def g(x):\n    return x * 2\n"
CUT = "def f(x):\n    return (x +"


def fenced(code: str, tag: str = "python", fence: str = "```") -> str:
    return f"{fence}{tag}\n{code.removesuffix(NL)}{NL if code else ''}{fence}\n"


SOLUTION = """class Solution:
    def twoSum(self, nums: List[int], target: int) -> List[int]:
        seen = {}
        for i, n in enumerate(nums):
            if target - n in seen:
                return [seen[target - n], i]
            seen[n] = i
"""
DOCTESTED = '''def f(x):
    """Adds one.

    ```
    f(1)
    ```
    ```python
    f(2)
    ```
    """
    return x + 1
'''

FENCE_STRING = "s = '''\n```\n'''\nprint(s)\n"
QUOTING = 's = """\n```python\nf()\n```\n"""\n'

CASES = {
    # Several blocks.
    "one block": (f"Sure!\n\n{fenced(F)}\nIt adds `1` to `x`.", F, TAGGED),
    "the last block wins": (f"Draft:\n{fenced(F)}\nBetter:\n{fenced(G)}", G, TAGGED),
    "the last block that parses wins": (f"{fenced(F)}\nor\n{fenced('def g(x:')}", F, TAGGED),
    "output shown after the code": (f"{fenced(F)}\nOutput:\n{fenced('[1, 2]', '')}", F, TAGGED),
    "output that is python": (f"{fenced(F, '')}\nOutput:\n\n{fenced('5', '')}", F, UNTAGGED),
    "output tagged python": (f"{fenced(F)}\nprints\n{fenced('[1, 2]')}", F, TAGGED),
    "a block tagged output": (f"{fenced(F)}\n{fenced('x = 5', 'output')}", F, TAGGED),
    "a block tagged text": (f"{fenced(F)}\n{fenced('done', 'text')}", F, TAGGED),
    "a block tagged bash": (f"{fenced(F)}\nRun:\n{fenced('python main.py', 'bash')}", F, TAGGED),
    "tagged before untagged": (f"{fenced(F)}\n{fenced(G, '')}", F, TAGGED),
    "untagged before any": (f"{fenced(F, '')}\n{fenced(G, 'text')}", F, UNTAGGED),
    "another tag": (f"Here:\n{fenced(F, 'Solution')}", F, ANY),
    "another language": ("Here:\n```cpp\nint main() { return 0; }\n```\n", None, NONE),
    "method and markdown": (
        f"## Approach\n\n- a *map*\n\n{fenced(SOLUTION)}\n### Complexity\n\n- O(n)",
        SOLUTION,
        TAGGED,
    ),
    "comments only": (fenced("# nothing to do\n"), None, NONE),
    "an empty block": (f"{fenced(F)}\n{fenced('')}", F, TAGGED),
    # Fences.
    "upper-case tag": (fenced(F, "Python"), F, TAGGED),
    "short tag": (fenced(F, "py"), F, TAGGED),
    "versioned tag": (fenced(F, "python3.11"), F, TAGGED),
    "attributes": (fenced(F, '{.python title="a.py"}'), F, TAGGED),
    "file name": (fenced(F, "python:main.py"), F, TAGGED),
    "tildes": (fenced(F, "python", "~~~"), F, TAGGED),
    "a longer fence holds a shorter": (fenced(QUOTING, "python", "````"), QUOTING, TAGGED),
    "a docstring's fence does not close": (f"So:\n{fenced(DOCTESTED)}", DOCTESTED, TAGGED),
    "in a list": ("1. Write:\n\n   ```python\n   def f(x):\n       return x + 1\n   ```\n2. Done", F, TAGGED),
    "after a list marker": ("- ```python\n  def f(x):\n      return x + 1\n  ```\n", F, TAGGED),
    "after prose": (f"Solution: {fenced(F)}", F, TAGGED),
    "in a markdown block": (f"```markdown\n# Answer\n{fenced(F)}```\n", F, TAGGED),
    "under a heading of tildes": (f"Answer\n~~~~~~\n{fenced(F)}", F, TAGGED),
    "a draft left open": (f"```python\ndef f(\n{fenced(F)}", F, TAGGED),
    "windows line ends": (f"Hi!\n\n{fenced(F)}".replace("\n", "\r\n"), F, TAGGED),
    "inline backticks": ("Use `f(x)` or ```f = 1``` here.", None, NONE),
    # Fences with text on their line.
    "a token after the fence": (f"```python\n{F}```<|im_end|>", F, TAGGED),
    "a token after an untagged fence": (f"```\n{F}```<|im_end|>", F, UNTAGGED),
    "a token after a longer fence": (f"So:\n~~~python\n{F}~~~~</s>\n", F, TAGGED),
    "prose after the fence": (f"```python\n{F}``` Hope this helps\n\nIt's `O(1)`.", F, TAGGED),
    "prose after the fence, then output": (f"```python\n{F}``` It's\n\nOutput:\n```\n5\n```\nBye", F, TAGGED),
    "a better block ended by a token": (f"{fenced(F)}\nBetter:\n```python\n{G}```<|im_end|>", G, TAGGED),
    "a better block behind a token": (f"```python\n{F}```<|im_end|>\nBetter:\n{fenced(G)}", G, TAGGED),
    "output instead of the fence": (f"```python\n{F}```output\n5\n```\nThat's it.", F, TAGGED),
    "a fence at the end of the code": (f"So:\n```python\n{F.strip()}```", F, TAGGED),
    "a fence at the end of the code, then output": (f"```python\n{F.strip()}```\nIt's\n{fenced('5', '')}", F, TAGGED),
    "a fence at the end of code with a hash": ("```python\nprint('#' * 3)```", "print('#' * 3)\n", TAGGED),
    "a token, but no program": ("Hi\n```python\nx = (\n```<|im_end|>", None, NONE),
    "a token after a broken block": (f"{F}\n```python\nx = (\n```<|im_end|>\nBye now", F, BARE),
    # Fences inside strings.
    "a string with a fence": (f"So:\n{fenced(FENCE_STRING)}Bye", FENCE_STRING, TAGGED),
    "a string with a fence, alone": (fenced(FENCE_STRING), FENCE_STRING, TAGGED),
    "a string with a tagged fence": (f"So:\n{fenced(QUOTING)}Bye", QUOTING, TAGGED),
    "a string with a fence, then a token": (f"So:\n```python\n{FENCE_STRING}```<|im_end|>", FENCE_STRING, TAGGED),
    "two strings with fences": (f"So:\n{fenced(FENCE_STRING * 2)}\n{fenced('5', '')}", FENCE_STRING * 2, TAGGED),
    "a draft with an open string": (f"```python\ns = '''a\n```\nOr:\n{fenced(F)}", F, TAGGED),
    # Byte order marks.
    "a mark before bare code": (f"\ufeff{F}", F, BARE),
    "a mark before the fence": (f"\ufeff{fenced(F, '')}", F, UNTAGGED),
    "a mark inside the fence": (f"So:\n{fenced(NL + chr(0xFEFF) + F)}", F, TAGGED),
    # Bare text.
    "bare": (F, F, BARE),
    "bare and indented": ("\n    def f(x):\n        return x + 1\n\n", F, BARE),
    "bare with fences in its docstring": (DOCTESTED, DOCTESTED, BARE),
    "bare with tags in its strings": ("s = '''\n<think>\n</think>\n'''\n", "s = '''\n<think>\n</think>\n'''\n", BARE),
    "bare, closed by the prompt's fence": (f"{F}```\n\nIt adds one. Try:\n\n{fenced('print(f(2))')}", F, BARE),
    "bare, then output": (f"{F}\n{fenced('x = 5', 'output')}", F, BARE),
    "bare statement": ("print(sum(map(int, input().split())))", "print(sum(map(int, input().split())))\n", BARE),
    "prose around": (
        f"Here's the code, it's easy:\n\nimport sys\n\n{F}\nThis isn't slow.\nBye",
        f"import sys\n\n{F}",
        SALVAGED,
    ),
    "prose without blank lines": (f"Here is my answer:\n{F}This works since x is a number.\n", F, SALVAGED),
    "prose before a class": (f"I don't know; let's see.\n\n{SOLUTION}\nThe time is O(n).\n", SOLUTION, SALVAGED),
    "markdown around": (f"# Answer\n\n{F}print(f(1))\n\n### Notes\n- **f**: a", f"{F}print(f(1))\n", SALVAGED),
    "the longest run": (f"Use this\nimport os\nand then this\n{F}\nto finish it", F, SALVAGED),
    # Thoughts.
    "thought": (f"<think>\nMaybe\n{fenced(G)}</think>\n\n{fenced(F)}", F, TAGGED),
    "thought opened by the template": (f"Okay, so {fenced(G)}</think>\n\n{fenced(F)}", F, TAGGED),
    "thought with an open fence": (f"Okay\n```python\ndef\n</think>{fenced(F)}", F, TAGGED),
    "thought before bare code": (f"<think></think>\n{F}", F, BARE),
    "thought opened twice": (f"<think>\n<think>\n{fenced(G)}</think>\n{fenced(F)}", F, TAGGED),
    "code that mentions the tags": (
        fenced("s = '<think>'\nt = '</think>'\n"),
        "s = '<think>'\nt = '</think>'\n",
        TAGGED,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_completions(name: str) -> None:
    text, code, rule = CASES[name]
    found = extract(text)
    assert found.rule == rule
    assert not found.truncated
    assert found.code == code


@pytest.mark.parametrize(
    ("text", "code", "rule"),
    [
        (f"Sure:\n```python\n{F}", F, UNCLOSED),
        (f"```\n{F}", F, UNCLOSED),
        ("```python\ns = '```'\ndef f(", None, NONE),
        ("```python\nimport os  # a ```\ndef f(", None, NONE),
        (f"```python\n{CUT}", None, NONE),
        (f"```python\nimport os\n\n{CUT}", None, NONE),
        (f"{fenced(F)}\nBetter:\n```python\n{CUT}", F, TAGGED),
        ("Sure:\n```python", None, NONE),
        (f"<think>\nMaybe\n{fenced(G)}", None, NONE),
        (f"{fenced(F)}\n<think>\nIs it right?", F, TAGGED),
        (f"{F}\n<think>\nIs it right?", F, BARE),
    ],
)
def test_a_cut_completion_is_truncated_and_not_repaired(text: str, code: str | None, rule: str) -> None:
    assert extract(text) == Extraction(code, rule, truncated=True)


@pytest.mark.parametrize(
    "text",
    ["", "Sorry", "Sorry.", "Hello world", "well-known", "x < y", "Note: this", "Note: n = 5", "pass", "return", "5"]
    + ["Python (fast)", "'''docs'''", "# comment", "None", "Yes, no", "I can't do that.", "f, g", "```\n```", "..."],
)
def test_prose_is_not_a_program(text: str) -> None:
    assert extract(text) == Extraction(None, NONE, truncated=False)
    assert extract(fenced(text + "\n", "")).code is None
    assert (extract(fenced(text + "\n")).code is None) == (text not in ("Python (fast)", "Note: n = 5"))


@pytest.mark.parametrize(
    "code",
    ["import os", "x = 1", "x += 1", "f(x)", "a.b()", "while x: y", "if x: y", "return x", "class A: pass"]
    + ["del x", "assert x", "await f()", "[f(x) for x in y]", "with a: b", "@a\ndef f(): 0", "match x:\n case 1: 0"],
)
def test_statements_are_programs(code: str) -> None:
    assert extract(code).code == code + "\n"


@pytest.mark.parametrize(
    "code",
    ["print('YES') if int(input()) % 2 == 0 else print('NO')", "print (sum(map(int,input().split())))"]
    + ["int(input())>3 and print('x')", "print(1), print(2)", "n: int = 5", "{f(x) for x in y}"],
)
def test_under_a_python_tag_a_call_or_an_assignment_is_a_program(code: str) -> None:
    assert extract(f"So:\n{fenced(code)}Bye") == Extraction(code + "\n", TAGGED, truncated=False)
    assert extract(fenced(code, "")).code is None


def test_the_code_is_trimmed() -> None:
    assert extract("```python\n\n  \n  import os  \n\n  x = 1\t\n \n\n```").code == "import os  \n\nx = 1\n"


def test_an_unknown_rule_is_named_with_its_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'cascade'"):
        extract("", "cascad")


# The recipe's rule.


@pytest.mark.parametrize(
    ("text", "code", "rule"),
    [
        (fenced(F), F, TAGGED),
        (f"Sure!\n{fenced(F, '')}Done", F, UNTAGGED),
        (fenced(F, "cpp"), F, ANY),
        (f"So: {fenced(F)}", F, TAGGED),
        (f"<think>\n{fenced(G)}</think>\n", G, TAGGED),
        (f"```python\n{F.strip()}```", F, TAGGED),
        (fenced(F, "python", "````"), F, TAGGED),
        (fenced(F) + fenced(G), None, NONE),
        (fenced(F) + fenced("5", ""), None, NONE),
        (fenced("def f("), None, NONE),
        (fenced("x = 'a ``` b'\n"), None, NONE),
        (fenced("  def f():\n    return 1\n"), "def f():\n    return 1\n", TAGGED),
        (fenced("  import os\n  x = 1\n"), None, NONE),
        (fenced(F, "python "), None, NONE),
        (fenced(F, "python", "~~~"), None, NONE),
        (fenced(F).replace("\n", "\r\n"), None, NONE),
        (fenced("5"), "5\n", TAGGED),
        (fenced(""), None, NONE),
        (F, None, NONE),
    ],
)
def test_codescaler(text: str, code: str | None, rule: str) -> None:
    found = extract(text, "codescaler")
    assert (found.code, found.rule) == (code, rule)


def test_codescaler_sees_an_open_fence() -> None:
    assert extract(f"```python\n{F}", "codescaler") == Extraction(None, NONE, truncated=True)


# Any text at all.

FRAGMENTS = st.sampled_from(
    [
        "```",
        "````",
        "~~~",
        "```python\n",
        "````py\n",
        "~~~python\n",
        "```text\n",
        "\n```\n",
        "\n````\n",
        "\n~~~\n",
        "\n",
    ]
    + ["<think>", "</think>", "\n<think>\n", "\n</think>\n", "'''", '"""', "'", "\\", "\r\n", "\r", "\t", "    ", " "]
    + [
        F,
        G,
        CUT,
        SOLUTION,
        DOCTESTED,
        "x = 1\n",
        "import os\n",
        "print(x)\n",
        "x",
        "Sorry, no.\n",
        "# a\n",
        "\n  y = 2\n",
    ]
    + [
        "1. ",
        "- ",
        "a: ",
        "s = '''\n",
        "s = '```'\n",
        "if x:\n",
        "\ud800",
        "\0",
        "\x0c",
        "\x1c",
        "\u2028",
        "\xa0",
        "é",
        "f'{x}'",
        "\ufeff",
        "```<|im_end|>\n",
        "``` Bye\n",
        "print(x)```",
        "print (x)\n",
        FENCE_STRING,
    ]
)
COMPLETIONS = st.lists(FRAGMENTS, max_size=14).map("".join)
ANYTHING = st.text(st.characters(), max_size=60)  # with surrogates and control characters
CHATTER = st.one_of(COMPLETIONS, ANYTHING, st.tuples(COMPLETIONS, ANYTHING, COMPLETIONS).map("".join))


@pytest.mark.parametrize("rule", EXTRACTORS)
@settings(max_examples=250, deadline=None)
@given(CHATTER)
def test_no_text_raises_and_all_code_parses(rule: str, text: str) -> None:
    found = extract(text, rule)
    assert (found.code is None) == (found.rule == NONE)
    if found.code is not None:
        ast.parse(found.code)
        assert found.code.endswith("\n")
        assert not found.code.endswith("\n\n")


def longer_fence(code: str) -> str:
    runs = [len(run) for run in "".join(c if c == "`" else " " for c in code).split()]
    return "`" * max([3, *(run + 1 for run in runs)])


@settings(max_examples=500, deadline=None)
@given(CHATTER)
def test_extracting_again_changes_nothing(text: str) -> None:
    code = extract(text).code
    if code is not None:
        if prompts._program(code):  # not only under its tag
            assert extract(code) == Extraction(code, BARE, truncated=False)
        assert extract(fenced(code, "python", longer_fence(code))) == Extraction(code, TAGGED, truncated=False)


@settings(max_examples=300, deadline=None)
@given(CHATTER)
def test_parses_agrees_with_cpython(text: str) -> None:
    try:
        ast.parse(text)
        expected = True
    except (SyntaxError, ValueError):
        expected = False
    assert prompts.parses(text) == expected


@settings(max_examples=300, deadline=None)
@given(CHATTER, CHATTER)
def test_equal_when_normalised_means_equal_syntax_trees(one: str, other: str) -> None:
    one_code, other_code = extract(one).code, extract(other).code
    if one_code and other_code and prompts.normalised(one_code) == prompts.normalised(other_code):
        assert ast.dump(ast.parse(one_code)) == ast.dump(ast.parse(other_code))


# Normalised.

SPREAD = '''# A comment
import os


def f(a,   b = 1, # why
      *c):
        """Docs."""

        # Another
        x = [ a,
              b, ]  # both
        return g(x,
                 y = {1 : 2,},) + \\
            1;
'''
DENSE = '''import os
def f(a, b=1, *c):
 """Docs."""
 x = [a, b]; return g(x, y={1: 2}) + 1
'''


@pytest.mark.parametrize("other", [SPREAD, SPREAD.replace("\n", "\r\n"), "\n\n" + DENSE + "\n# end"])
def test_layout_does_not_count(other: str) -> None:
    assert prompts.normalised(DENSE) == prompts.normalised(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 2"),
        ("x = 1", "y = 1"),
        ("(a)", "(a,)"),
        ("x[a]", "x[a,]"),
        ("f(a, b)", "f(b, a)"),
        ("f(a)(b)", "f(a, b)"),
        ("a - b - c", "a - (b - c)"),
        ("if a:\n  b\nc", "if a:\n  b\n  c"),
        ("if a:\n  if b: c\nelse: d", "if a:\n  if b: c\n  else: d"),
        ("s = 'a b'", "s = 'a  b'"),
        ("s = 'a\\nb'", "s = 'a\\nc'"),
        ("s = f'{x=}'", "s = f'{x = }'"),
        ("s = '#a'", "s = '#b'"),
        ("s = '''a\n  b'''", "s = '''a\n b'''"),
        ("def f():\n  'docs'", "def f():\n  'other docs'"),
        ("def f(\n", "def f(\n\n"),
        ("s = '\ud800'", "s = '\ud801'"),
    ],
)
def test_what_counts(one: str, other: str) -> None:
    assert prompts.normalised(one) != prompts.normalised(other)


@settings(max_examples=200, deadline=None)
@given(CHATTER)
def test_any_text_can_be_normalised(text: str) -> None:
    assert prompts.normalised(text) == prompts.normalised(text.replace("\n", "\r\n") if "\r" not in text else text)


# Hostile sizes.

HOSTILE = {
    "parentheses": "(",
    "brackets": "[",
    "calls": "f(",
    "minus": "-",
    "not": "not ",
    "attributes": "a.b.",
    "sums": "1+",
    "trailers": "a()",
    "lambdas": "lambda:",
    "headers": "if x:\n ",
    "else": "a if b else ",
    "f-strings": "f'{",
    "f-string expressions": "f'{a}",
    "quotes": "'",
    "triple quotes": "'''\n",
    "continuations": "\\\n",
    "windows continuations": "\\\r\n",
    "backticks": "`",
    "tildes": "~",
    "fences": "```python\n",
    "blocks": "```python\nx = 1 1\n```\n",
    "blocks ended by tokens": "```python\nx = 1 1\n```a\n",
    "good blocks ended by tokens": "~~~\nx = 1\n~~~ a b\n~~~~\n",
    "glued fences": "x = 1```\n",
    "open strings": "```python\nx = 1 1\n'''\n```\n",
    "strings with fences": "```python\nf('''\n```\n''')\n",
    "byte order marks": "\ufeff",
    "quiet statements": "a;",
    "open thoughts": "\n<think>",
    "closed thoughts": "</think>",
    "words": "hello world, it's me ",
    "lines of prose": "It's a dog's life\n",
    "definitions": "def f(): pass\nx y\n",
    "lists": "[a,],",
    "surrogates": "\ud800",
    "nuls": "\0",
    "returns": "\r",
    "blanks": " ",
    "letters": "a",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_neither_hangs_nor_crashes(name: str) -> None:
    piece = HOSTILE[name]
    started = time.monotonic()
    for text in (piece * (10**6 // len(piece)), piece * ((prompts.MAX_CHARS - 1) // len(piece))):
        extract(text)
        extract(text, "codescaler")
        prompts.normalised(text)
    assert time.monotonic() - started < 30  # about 1; generous, for a busy machine


@pytest.mark.parametrize("body", ["x = 1", "x = 1 1", "'''", "x = 1\n{fence} a\ny"])
def test_ever_shorter_fences_take_no_longer(body: str) -> None:
    """None of them closes the ones before, so that every block could reach to the end."""
    fences = ["~" * size for size in range(400, 2, -1)]
    text = "".join(f"{fence}\n{body.format(fence=fence)}\n{fence} a b\n" for fence in fences)
    started = time.monotonic()
    extract(text + "\n" * 700_000)
    extract(text[-100_000:] + "x\n" * 10_000)
    assert time.monotonic() - started < 30  # about 2


def test_the_longest_f_string_is_refused_before_cpython_sees_it() -> None:
    started = time.monotonic()
    assert not prompts.parses("x = f'" + "{a}" * 43000 + "'")
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("code", ["a" + ".b" * 50000, "x = 1" + " + 1" * 30000, "-" * 100000 + "x"])
def test_a_deep_tree_does_not_overrun_a_small_stack(code: str) -> None:
    """With the recursion limit raised and little stack, CPython alone would crash on the first two."""
    program = (
        "import sys, threading\nfrom tts import prompts\ncode = sys.stdin.read()\n"
        "sys.setrecursionlimit(10**6)\nthreading.stack_size(2**19)\n"
        "thread = threading.Thread(target=lambda: print(prompts.parses(code)))\nthread.start()\nthread.join()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], input=code, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "False\n")


def test_the_limits_themselves_are_allowed() -> None:
    assert prompts.parses("x = 1" + " + 1" * (prompts.MAX_DEPTH // 2))
    assert prompts.parses("#" * prompts.MAX_CHARS)
    assert not prompts.parses("#" * (prompts.MAX_CHARS + 1))


def test_warnings_are_neither_shown_nor_errors(recwarn: pytest.WarningsRecorder) -> None:
    assert prompts.parses(r"x = '\d'")
    assert not recwarn.list


def test_threads_may_extract_side_by_side() -> None:
    found: list[str | None] = []
    threads = [threading.Thread(target=lambda: found.append(extract(fenced(F * 50)).code)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [F * 50] * 8


def test_importing_the_module_does_not_load_tree_sitter() -> None:
    program = "import sys, tts.prompts\nprint('tree_sitter' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
    )


class TestLastBlock:
    TAGS = ("cpp", "c++", "cc")

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("a\n```cpp\nx\n```\nb\n```c++\ny\n```\nc\n```text\nz\n```", "y"),
            ("```CC\nx\n```", "x"),
            ("```\nx\n```\n```python\ny\n```", "y"),
            ("```cpp\nx\n```\n```cpp\n\n```", "x"),
            ("```cpp\nx\ny", "x\ny"),
            ("<think>\n```cpp\nx\n```\n</think>\n```\ny\n```", "y"),
            ("```cpp\r\nx\r\ny\r\n```", "x\ny"),
            ("int main() {}", None),
            ("", None),
        ],
    )
    def test_the_last_tagged_block_goes_before_the_last(self, text, found):
        assert prompts.last_block(text, self.TAGS) == found
