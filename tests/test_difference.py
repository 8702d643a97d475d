"""How an answer differs: true, short, and quick whatever was printed or returned."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.difference import MAX_CHARACTERS, difference
from tts.sandbox import Outcome, Status, matches
from tts.sandbox.compare import Elements, Opaque, Pairs, shown
from tts.types import Call, Stdin, Tolerance

TEXTS = st.text(st.sampled_from("01 .\nab"), max_size=40)


def printed(want: str, got: str, tolerance: float = 0.0) -> str:
    return difference(Stdin("", want), got, Tolerance(tolerance, tolerance))


def returned(want: object, got: object) -> str:
    return difference(Call("f", (), want), got, None)


@pytest.mark.parametrize(
    ("want", "got", "text"),
    [
        ("1\n2\n3\n", "1\n2\n4\n", "At line 3 (3 lines expected, 3 printed):\n-3\n+4"),
        ("1\n2\n3", "1\n3", "At line 2 (3 lines expected, 2 printed):\n-2\n 3"),
        ("1\n2", "1\n2\n2", "At line 3 (2 lines expected, 3 printed):\n+2"),
        ("1.0\n2 3\n5", " 1 \n2  3\n6", "At line 3 (3 lines expected, 3 printed):\n-5\n+6"),
        ("", "x", "At line 1 (0 lines expected, 1 printed):\n+x"),
        ("x", "", "At line 1 (1 line expected, 0 printed):\n-x"),
    ],
)
def test_the_first_line_that_differs_by_the_rules(want, got, text):
    assert printed(want, got) == text


def test_a_tolerance_is_kept():
    assert printed("0.5\n0.25", "0.5000001\n0.26", 1e-6) == "At line 2 (2 lines expected, 2 printed):\n-0.25\n+0.26"


@pytest.mark.parametrize(
    ("want", "got", "text"),
    [
        ([1, 2], [1, 3], "At character 5:\n-[1, 2]\n+[1, 3]"),
        ([[1], None], ((1,), True), "At character 7:\n-[[1], None]\n+[[1], True]"),
        ({"b": 1, "a": "é"}, Pairs((("a", "é"), ("b", 2))), "At character 17:\n-{'a': \"é\", 'b': 1}"),
        (1, Opaque(), "At character 1:\n-1\n+<an object>"),
        ([1], Elements((1,)), "At character 1:\n-[1]\n+{1}"),
        ({}, Elements(()), "At character 1:\n-{}\n+set()"),
        (0, 1 << 10_000, "At character 2:\n-0\n+0x1000"),
    ],
)
def test_values_are_shown_as_text(want, got, text):
    assert returned(want, got).replace('"a"', "'a'").replace('"b"', "'b'").startswith(text)


def test_a_difference_far_along_a_line_is_in_sight():
    want, got = "1 " * 5_000 + "7 8", "1 " * 5_000 + "9 8"

    assert printed(want, got).endswith("-…" + "1 " * 20 + "7 8\n+…" + "1 " * 20 + "9 8")


@given(TEXTS, TEXTS)
def test_a_wrong_answer_has_a_difference_that_is_short(want, got):
    if not matches(Stdin("", want), Outcome(Status.OK, got, 0.0)):
        lines = printed(want, got).splitlines()
        assert len(lines) > 1
        assert {line[0] for line in lines[1:]} & set("+-")


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_any_text_gives_text_that_can_be_stored(want, got):
    found = printed(want, got)

    assert len(found) <= MAX_CHARACTERS
    found.encode()


LARGE = 4_000_000
HUGE = {
    "equal lines": ("1.0\n" * LARGE + "2", "1\n" * LARGE),
    "one line": ("a" * LARGE + "b", "a" * LARGE + "c"),
    "many tokens": ("1 " * LARGE + "2", "1 " * LARGE + "3"),
    "empty lines": ("1\n2", "1" + "\n" * LARGE + "2"),
    "all different": ("\n".join(map(str, range(300_000))), "\n".join(map(str, range(300_000, 0, -1)))),
    "alike and shifted": ("a\nb\n" * 300_000, "b\na\n" * 300_000),
}


@pytest.mark.parametrize("name", HUGE)
def test_huge_outputs_are_quick_and_short(name):
    started = time.monotonic()
    found = printed(*HUGE[name])

    assert len(found) <= MAX_CHARACTERS
    assert time.monotonic() - started < 10  # a second is plenty on an idle machine


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "got",
    [
        "x" * LARGE,
        [0] * LARGE,
        Pairs(tuple((i, ()) for i in range(300_000))),
        Pairs(tuple((str(i), [[]]) for i in range(300_000))),
        Elements(tuple(range(300_000))),
        [1 << (8 * LARGE)] * 100,
        [[["x" * 1000] * 1000] * 1000] * 1000,
        nested(310),
    ],
)
def test_huge_values_are_quick_and_short(got):
    started = time.monotonic()
    found = returned({"a": [1]}, got)

    assert len(found) <= MAX_CHARACTERS
    assert len(shown(got, 50)) <= 50
    assert time.monotonic() - started < 10


def test_values_that_differ_beyond_what_is_looked_at_say_so():
    assert "are the same" in returned([0] * 100_000, [0] * 100_001)
