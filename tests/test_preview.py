"""`tts problems` shows what a model would see, exactly, and nothing of a hidden test but that it is there."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Done, write_rows

from tts import preview
from tts.errors import ConfigError
from tts.problems.mini import Mini

Cli = Callable[..., Done]
HOSTILE = "nul \x00 esc \x1b[31m bidi \u202e del \x7f"
HIDDEN = [{"input": "SECRET\n", "output": "SECRET\n"}, {"input": "SECRET 2\n", "output": "SECRET\n"}]


def row(name: str = "q1", **changes: object) -> dict[str, object]:
    return {
        "question_id": name,
        "question_content": "Add.\nTwo lines.",
        "difficulty": "easy",
        "public_test_cases": [{"input": "1\n2\n", "output": "3\n"}],
        "private_test_cases": HIDDEN,
    } | changes


def shown(folder: Path, *rows: dict[str, object], head: int = 3) -> preview.Preview:
    return preview.preview("jsonl", {"path": str(write_rows(folder / "rows.jsonl", rows))}, head)


def test_the_text_has_id_tags_messages_public_tests_and_counts(tmp_path: Path) -> None:
    text = preview.as_text(shown(tmp_path, row(), row("q2"), head=1))

    assert text.startswith("jsonl: 2 problems, 1 shown\n\n===== q1\ndifficulty: easy\n1 public test, 2 hidden tests\n")
    assert "--- system\nYou are an expert Python programmer." in text
    assert "--- user\n### Question:\nAdd.\nTwo lines.\n\n### Format: Read the inputs from stdin" in text
    assert text.endswith("--- public test 1\nkind: stdin\ninput:\n1\n2\noutput: 3")
    assert "q2" not in text


def test_hidden_tests_are_counted_and_not_shown(tmp_path: Path) -> None:
    found = shown(tmp_path, row())

    assert "SECRET" not in preview.as_text(found) + preview.as_json(found)
    assert json.loads(preview.as_json(found))["shown"][0]["hidden_tests"] == 2


def test_json_has_every_message_and_test_to_the_letter() -> None:
    problems = Mini().problems()

    found = json.loads(preview.as_json(preview.preview("mini", {}, len(problems))))

    assert (found["benchmark"], found["problems"]) == ("mini", len(problems))
    for one, problem in zip(found["shown"], problems, strict=True):
        assert [(m["role"], m["content"]) for m in one["messages"]] == [(m.role, m.content) for m in problem.messages]
        assert (one["id"], one["tags"]) == (problem.id, problem.tags)
        assert len(one["public_tests"]) == len(problem.public_tests) > 0
        assert one["hidden_tests"] == len(Mini().tests(problem.id)) - len(problem.public_tests) > 0


def test_no_character_of_the_data_reaches_a_terminal_raw(tmp_path: Path) -> None:
    case = [{"input": HOSTILE, "output": HOSTILE}]
    found = shown(tmp_path, row(HOSTILE, question_content=HOSTILE, difficulty=HOSTILE, public_test_cases=case))
    text, tree = preview.as_text(found), preview.as_json(found)

    assert not set("\x00\x1b\u202e\x7f") & set(text + tree)
    assert text.count("esc \\x1b[31m bidi \\u202e") == 5
    assert json.loads(tree)["shown"][0]["id"] == HOSTILE


def test_an_integer_too_long_to_print_is_said_to_be_one(tmp_path: Path) -> None:
    case = [{"input": "9" * 5_000, "output": "[1]"}]
    found = shown(tmp_path, row(public_test_cases=case, metadata={"func_name": "f"}, private_test_cases=[]))

    assert "args: (an integer of thousands of digits is in it)\nreturns: [1]" in preview.as_text(found)
    assert json.loads(preview.as_json(found))["shown"][0]["public_tests"][0]["returns"] == [1]


@pytest.mark.parametrize(
    ("shown", "setup", "expression", "returns"),
    [
        ("assert set(f((3, 4), 5)) == {3}", "", "set(f((3, 4), 5))", "{3}"),
        ("assert f('a', [1])", "", "bool(f('a', [1]))", True),
        ("assert not f(2)", "", "bool(f(2))", False),
        ("assert f(x) == 3", "x = 2", "x = 2\nf(x)", 3),
        ("assert f(2) == 3", "", None, 3),
    ],
)
def test_an_expression_is_shown_as_the_assert_has_it(
    tmp_path: Path, shown: str, setup: str, expression: str | None, returns: object
) -> None:
    row = {"task_id": 11, "text": "Do.", "code": "def f(x): pass", "test_list": [shown], "test_setup_code": setup}
    found = preview.preview("mbpp", {"path": str(write_rows(tmp_path / "rows.jsonl", [row]))}, 1)
    (test,) = json.loads(preview.as_json(found))["shown"][0]["public_tests"]

    assert "lambda" not in preview.as_text(found)
    assert (test.get("expression"), test["returns"]) == (expression, returns)
    assert ("entry_point" in test) == ("args" in test) == (expression is None)


def test_unknown_options_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"No 'limt' in the options of benchmark 'mini'\. Did you mean 'limit'"):
        preview.preview("mini", {"limt": 3}, 3)


def test_the_command_takes_options_and_outside_code(cli: Cli, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [row("a"), row("b"), row("c")])
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom tts.types import Message, Problem, Stdin\n"
        "@dataclass(frozen=True)\nclass One:\n    word: str = 'none'\n"
        "    def problems(self):\n        yield Problem('p', self.word, (Message('user', self.word),))\n"
        "    def tests(self, name):\n        return [Stdin('', '')]\n"
    )

    of_rows = cli("problems", "jsonl", "path=rows.jsonl", "ids=[c, b]", "--head", 1)
    outside = cli("problems", "mine:One", "word=hello", "--json")

    assert of_rows.code == outside.code == 0
    assert of_rows.out.startswith("jsonl: 2 problems, 1 shown\n\n===== b\n")
    assert json.loads(outside.out)["shown"][0]["messages"] == [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["minj"], "Did you mean 'mini'?"),
        (["jsonl"], "path: field required, for example path=rows.jsonl."),
        (["jsonl", "path=rows.jsonl"], "rows.jsonl cannot be read: No such file"),
        (["mini", "limit"], "An option is key=value, got 'limit'. `tts list` has the options"),
        (["jsonl", "/data/rows.jsonl"], "got '/data/rows.jsonl'. Did you mean path=/data/rows.jsonl?"),
        (["mini", "ids=[is-eve]"], "Did you mean 'is-even'?"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(cli: Cli, arguments: list[str], words: str) -> None:
    done = cli("problems", *arguments)

    assert done.code == 2 and words in done.err and "Traceback" not in done.err and done.out == ""


def test_broken_tests_of_a_problem_that_is_shown_are_a_user_s_error(cli: Cli, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [row("a"), row("b", private_test_cases="%")])

    assert cli("problems", "jsonl", "path=rows.jsonl", "--head", 1).code == 0
    done = cli("problems", "jsonl", "path=rows.jsonl")
    assert done.code == 2 and "line 2 (b): private_test_cases cannot be decoded" in done.err


def test_a_warning_about_the_data_is_on_standard_error(cli: Cli, tmp_path: Path) -> None:
    write_rows(tmp_path / "test.jsonl", [row()])

    done = cli("problems", "livecodebench", "path=.", "release=v1")

    assert done.code == 0 and done.err == ". holds 1 problem; release v1 has 400.\n"
    assert done.out.startswith("livecodebench: 1 problem, 1 shown")
