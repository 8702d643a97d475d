"""The problems that the embedded scorer is trained on: their tests tell nearly right programs, and no pair leaks."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tts import plugins
from tts.pairs import Pair
from tts.types import Call

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import _own_problems
import train_embedded

NEARLY: dict[str, Callable[..., Any]] = {
    "farther_from_zero": lambda a, b: a if abs(a) > abs(b) else b,
    "fizz_word": lambda n: "fizz" if n % 3 == 0 else "buzz" if n % 5 == 0 else str(n),
    "is_longer": lambda a, b: len(a) >= len(b),
    "place_of": lambda values, x: -1,
    "without_value": lambda values, x: values,
    "zero_there": lambda values: False,
    "ends_in_five": lambda n: False,
    "is_square": lambda n: False,
    "is_power_of_two": lambda n: False,
    "in_between": lambda x, low, high: low <= x < high,
    "money_left": lambda a, b: a - b,
    "ends_equal": lambda values: False,
}


@pytest.mark.parametrize("task", _own_problems.TASKS, ids=lambda task: task.name)
def test_every_test_is_the_reference_s_and_no_answer_has_most_of_them(task: _own_problems.Task) -> None:
    cases = _own_problems._cases(task)
    assert all(task.reference(*given) == expected for given, expected in cases)
    answers = [repr(expected) for _, expected in cases]
    assert max(map(answers.count, answers)) <= 0.75 * len(answers)


@pytest.mark.parametrize("name", NEARLY)
def test_a_program_that_is_nearly_right_fails(name: str) -> None:
    (task,) = (task for task in _own_problems.TASKS if task.name == name)
    assert any(NEARLY[name](*given) != expected for given, expected in _own_problems._cases(task))


def test_both_forms_of_a_problem_are_on_one_side(tmp_path: Path) -> None:
    rows = _own_problems.rows()
    made = [Pair(row["question_id"], row["question_content"], f"x = {i}", f"y = {i}") for row in rows for i in range(2)]
    found = train_embedded._sided(made, train_embedded.real(tmp_path))
    sides = {pair.problem_id: pair.split for pair in found}
    twins = [name for name in sides if name.startswith("own-io-")]
    assert set(sides.values()) == {"train", "held-out"} and len(twins) == 50
    assert all(sides[name] == sides[name.replace("own-io-", "own-")] for name in twins)


def calls(*cases: tuple[tuple[Any, ...], Any]) -> list[Call]:
    return [Call("f", given, expected) for given, expected in cases]


@pytest.mark.parametrize(
    ("tests", "tasks"),
    [
        (calls((("abcd",), "ABCD"), (("x",), "X")), ["upper_text"]),
        (calls((("abcd",), "ABCD")), []),  # one may be met by chance
        (calls((("abcd",), "ABCD"), (("x",), "x")), []),
        (calls((("abcd", 1), "ABCD"), (("x", 2), "X")), []),
        (calls(((10**9,), 1), ((10**9,), 1)), []),  # which a reference would count up to
    ],
)
def test_a_task_that_is_another_problem_in_other_words_is_found(tests: list[Call], tasks: list[str]) -> None:
    assert _own_problems.met("elsewhere", tests) == tasks


def test_none_is_a_problem_of_mini() -> None:
    mini = plugins.build("benchmark", {"name": "mini"})
    assert [_own_problems.met(one.id, mini.tests(one.id)) for one in mini.problems()] == [[]] * 66


def test_the_recipe_ends_where_a_task_is_one_that_is_judged_by(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(_own_problems, "COINCIDENCES", set())
    monkeypatch.setattr(_own_problems, "met", lambda name, tests: ["half_of"] if name == "sum-of-two" else [])
    recipe = dataclasses.replace(train_embedded.tiny(tmp_path), judged=({"name": "mini"},))
    with pytest.raises(SystemExit, match="sum-of-two may be half_of in other words"):
        train_embedded.write_own(recipe)
