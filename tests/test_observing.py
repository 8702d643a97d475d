"""What programs are run on to tell them apart: inputs mutated from public ones, and tests that a model wrote."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support import IDS, Small, bring_up, write_rows

from tts import analysis
from tts import config as configs
from tts.config import BehavioursConfig
from tts.errors import ConfigError, DataError
from tts.grade import GradeJob, Grader
from tts.mutants import mutants
from tts.observing import MOST_WRITTEN, Observing
from tts.sandbox import Limits
from tts.store import open_for_reading
from tts.types import Call, Check, Problem, Stdin

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-50, 50) | st.floats(-9, 9) | st.text("abc", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xy", max_size=2), inner, max_size=2),
    max_leaves=6,
)


# mutants


@given(st.lists(VALUES, min_size=1, max_size=3), st.integers(0, 5))
def test_mutants_of_a_call_keep_types_and_differ(args: list[object], seed: int) -> None:
    test = Call("f", tuple(args), 7)
    found = mutants([test], 5, seed, "p")

    assert len({repr(m.args) for m in (test, *found)}) == len(found) + 1 <= 6
    for mutant in found:
        assert mutant.entry_point == "f" and mutant.returns is None
        assert [type(a) for a in mutant.args] == [type(a) for a in args]
        assert sum(a != b for a, b in zip(map(repr, mutant.args), map(repr, args), strict=True)) == 1


def test_mutants_of_integers_that_python_does_not_print_differ_too() -> None:
    long = 10**5000
    found = {mutant.args for mutant in mutants([Call("f", (long,), 7)], 5, 0, "p")}

    assert len(found) == 5 and (long,) not in found


@given(st.lists(st.integers(-20, 20), min_size=2, max_size=5), st.integers(0, 9))
def test_mutants_of_a_text_keep_its_lines_and_words(numbers: list[int], seed: int) -> None:
    text = f"{len(numbers)}\n{' '.join(map(str, numbers))}\n"
    for mutant in mutants([Stdin(text, "x")], 4, seed, "p"):
        first, second, last = mutant.input.split("\n")
        assert (first, last) == (str(len(numbers)), "") and mutant.input != text
        assert len(second.split()) == len(numbers)
        changed = [int(word) for word in second.split()]
        if sorted(changed) != sorted(numbers):
            (place,) = [i for i, (a, b) in enumerate(zip(changed, numbers, strict=True)) if a != b]
            assert (changed[place] < 0) <= (numbers[place] < 0)


def test_mutants_are_the_same_each_time_and_few_where_there_is_little_to_change() -> None:
    tests = [Stdin("3\n1 2 3\n", ""), Call("f", ([1, 2], "ab"), None)]
    assert mutants(tests, 8, 1, "p") == mutants(tests, 8, 1, "p") != mutants(tests, 8, 2, "p")
    assert len(mutants(tests, 8, 1, "p")) == 8
    assert mutants([Call("f", (), 1)], 8, 1, "p") == [] == mutants([Stdin("", "")], 8, 1, "p")
    assert mutants([Check("def check(f): pass", "f")], 8, 1, "p") == [] == mutants([], 8, 1, "p")
    assert len(mutants([Call("f", (True,), 1)], 8, 1, "p")) == 1


# tests that a model wrote

FUNCTION = Problem("p", "", (), (Call("add", (1, 2), 3),))


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Observing]:
    def read(*rows: dict[str, object], extra: int = 0) -> Observing:
        path = write_rows(tmp_path / "written.jsonl", rows)
        return Observing.of(BehavioursConfig(extra_inputs=extra, tests=str(path)), 0, "grader")

    return read


def test_written_asserts_become_tests_once_and_what_is_none_is_passed_over(written: Callable[..., Observing]) -> None:
    code = "assert add(1, 1) == 2\nassert add(2, 2) == 5\nassert other(1) == 1\nassert add(x) == 1\nprint('hi')"
    text = "Here:\n```python\ndef test():\n    assert add(1, 1) == 2\n    assert add(0, 0) == 0\n```"
    rows = [{"question_id": "p", "code": code}, {"question_id": "p", "text": text}, {"question_id": "p", "code": "("}]
    found = written(*rows, {"question_id": "q", "code": "assert add(9, 9) == 18"}).written_tests(FUNCTION)
    assert found == [Call("add", args, got, strict=True) for args, got in [((1, 1), 2), ((2, 2), 5), ((0, 0), 0)]]


def test_a_written_assert_beyond_pythons_own_limit_is_passed_over(written: Callable[..., Observing]) -> None:
    code = f"assert add({'-' * 1200}1, 1) == 2\nassert add(1, 1) == 2"
    assert len(written({"question_id": "p", "code": code}).written_tests(FUNCTION)) == 1


def test_written_cases_are_in_livecodebenchs_format(written: Callable[..., Observing]) -> None:
    cases = [{"input": "1\n", "output": "2\n", "testtype": "stdin"}, {"input": 3}, "nonsense"]
    found = written({"question_id": 7, "tests": cases}).written_tests(Problem("7", "", (), (Stdin("", ""),)))
    assert found == [Stdin("1\n", "2\n")]


def test_of_very_many_written_tests_the_first_are_taken(written: Callable[..., Observing]) -> None:
    code = "\n".join(f"assert add({i}, 0) == {i}" for i in range(300))
    assert len(written({"question_id": "p", "code": code}).written_tests(FUNCTION)) == MOST_WRITTEN


def test_a_job_has_public_then_mutated_then_written_inputs(written: Callable[..., Observing]) -> None:
    job = written({"question_id": "p", "code": "assert add(5, 5) == 10"}, extra=3).job(FUNCTION, "x")
    assert (job.public, job.written, len(job.tests)) == (1, 1, 5)
    assert job.tests[0] == FUNCTION.public_tests[0] and job.tests[-1] == Call("add", (5, 5), 10, strict=True)


def test_all_that_a_behaviour_depends_on_is_in_the_version(written: Callable[..., Observing]) -> None:
    row = {"question_id": "p", "code": "assert add(1, 1) == 2"}
    seen = [written(row), written(row, extra=2), written(row, row), Observing.of(BehavioursConfig(), 0, "grader")]
    seen += [
        Observing.of(BehavioursConfig(extra_inputs=2), seed, grader) for seed, grader in ((0, "g"), (1, "g"), (1, "h"))
    ]
    assert len({one.version for one in seen}) == len(seen)
    assert written(row).version == seen[0].version


@pytest.mark.parametrize("row", [{"code": "x"}, {"question_id": "p"}, {"question_id": "p", "code": 5}])
def test_a_row_of_another_form_is_named(row: dict[str, object], written: Callable[..., Observing]) -> None:
    with pytest.raises(DataError, match=r"written\.jsonl, line 1"):
        written(row)


def test_an_absent_file_and_a_wish_without_one_are_errors(tmp_path: Path, small: Small) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl"):
        Observing.of(BehavioursConfig(tests=str(tmp_path / "none.jsonl")), 0, "g")
    small.write(selectors=[{"name": "codet", "tests": "written"}])
    with pytest.raises(ConfigError, match=r"'codet'.*behaviours\.tests"):
        configs.load(small.folder / "config.yaml")


def test_an_ensemble_names_scorers_that_are_there(small: Small) -> None:
    small.write(selectors=[{"name": "ensemble", "scorers": ["likelyhood"]}])
    with pytest.raises(ConfigError, match="likelihood"):
        configs.load(small.folder / "config.yaml")


# running them


def test_what_is_observed_says_which_tests_are_passed() -> None:
    code = "def add(a, b):\n    return a + b if a < 9 else 1 / 0"
    tests = (Call("add", (1, 2), 3), Call("add", (1, 2), 4), Call("add", (9, 9), None), Call("add", (5, 5), 10))
    ((_, _, found),) = Grader(Limits(), workers=1).behaviours([GradeJob("p", code, tests, 2, 1)])
    assert (found.outputs, found.passed, found.written) == (("3", "3", None), (True, False), (True,))


ALL = [
    "majority",
    "mbr",
    "codet",
    "tests_then_score",
    "staged",
    "pessimistic",
    "mob",
    "soft",
    "ensemble",
    "regularised",
]


def test_a_run_observes_once_and_a_second_selector_costs_nothing(small: Small) -> None:
    small.write(selectors=["majority"], behaviours={"extra_inputs": 4})
    bring_up(small)
    with open_for_reading(small.folder / "run") as store:
        first = store.behaviours(store.meta("observer"))
        assert store.meta("timings")["behaviours"] > 0
    public = {p.id: len(p.public_tests) for p in _problems(small)}
    assert {len(b.outputs) - public[name] for (name, _), b in first.items()} <= {0, 1, 2, 3, 4}
    assert any(len(b.outputs) > public[name] for (name, _), b in first.items())
    assert all(len(b.passed) == public[name] for (name, _), b in first.items())

    small.write(selectors=ALL, behaviours={"extra_inputs": 4})
    bring_up(small)
    with open_for_reading(small.folder / "run") as store:
        assert store.behaviours(store.meta("observer")) == first
        curves = {curve.name: curve for curve in analysis.analyse(store).curves}
    assert set(ALL) <= set(curves)
    assert curves["staged"].saved is not None and curves["staged"].saved.of_scores > 0
    assert (curves["ensemble"].scorers, curves["codet"].scorers) == (("likelihood", "length"), ())
    assert curves["tests_then_score"].points[-1].value == 1.0, "the right program alone passes its public tests"


def _problems(small: Small) -> list[Problem]:
    with open_for_reading(small.folder / "run") as store:
        return store.problems()


def test_written_tests_are_run_and_another_file_is_run_anew(small: Small) -> None:
    path = small.folder / "written.jsonl"
    case = {"input": "1 2\n", "output": "3\n", "testtype": "stdin"}
    write_rows(path, [{"question_id": name, "tests": [case]} for name in IDS])
    wanted = {"behaviours": {"tests": str(path)}, "selectors": [{"name": "codet", "tests": "written"}]}
    small.write(**wanted)
    bring_up(small)
    with open_for_reading(small.folder / "run") as store:
        before = store.meta("observer")
        marks = {name: b.written for (name, _), b in store.behaviours(before).items()}
        assert any(marks.values())
        assert yaml.safe_load(store.meta("config"))["behaviours"]["tests"] == str(path)
    write_rows(path, [{"question_id": name, "tests": [case, case | {"input": "2 2\n"}]} for name in IDS])
    bring_up(small)
    with open_for_reading(small.folder / "run") as store:
        after = store.behaviours(store.meta("observer"))
        assert store.meta("observer") != before and max(len(b.written) for b in after.values()) == 2
