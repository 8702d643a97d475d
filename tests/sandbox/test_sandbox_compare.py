"""The comparison is LiveCodeBench's, save for the documented differences."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.sandbox import Outcome, Status, canonical, matches
from tts.sandbox.compare import matches_lcb
from tts.sandbox.guest import wire
from tts.types import Call, Stdin, Tolerance


def printed(want: str, got: str, tolerance: float | None = None) -> bool:
    return matches(Stdin("", want), Outcome(Status.OK, got, 0.0), _both(tolerance))


def _both(tolerance: float | None) -> Tolerance | None:
    return None if tolerance is None else Tolerance(tolerance, tolerance)


def claimed(value: object) -> Outcome:
    return Outcome(Status.OK, wire.parse(wire.dumps(value)), 0.0)


def returned(want: object, got: object, tolerance: float | None = None) -> bool:
    return matches(Call("f", (), want), claimed(got), _both(tolerance))


@pytest.mark.parametrize(
    ("want", "got", "right"),
    [
        ("3\n", " 3 ", True),
        ("1 2\n3", "1 2  \r\n  3\n\n", True),
        ("1\n2", "1\n\n2", False),
        ("1 2", "1\n2", False),
        ("1.0 2", "1 2.00", True),
        ("1  2", "1 2", True),
        ("a b", "a  b", False),
        ("a 1", "a 1.0", False),
        ("1e3", "1000", True),
        ("0.3", "0.30000000000000004", False),
        ("nan", "nan", True),
        ("nan 1", "nan  1", False),
        ("sNaN 1", "1 1", False),
        ("1 2", "1 2 3", False),
        ("", "", True),
        ("", "0", False),
        ("yes", "YES", False),
    ],
)
def test_printed_text(want, got, right):
    assert printed(want, got) is right
    assert printed(got, want) is right


@pytest.mark.parametrize(
    ("want", "got", "right"),
    [
        ([1, [2]], (1, (2,)), True),
        ((1, 2), [1, 2], True),
        (1, 1.0, True),
        (1, True, True),
        (0.3, 0.1 + 0.2, False),
        ({1: 2}, {"1": 2}, False),
        ({1: 2}, {True: 2}, False),
        ({1: 2}, {1: 2.0}, True),
        ({(1, 2): [3]}, {(1, 2): (3,)}, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({1, 2}, {2, 1}, True),
        ({1, 2}, [1, 2], False),
        ([1, 2], {1, 2}, False),
        ("1", 1, False),
        (None, None, True),
        (None, 0, False),
        (None, [], False),
        (10**30, 10**30, True),
        (math.nan, math.nan, False),
        (math.inf, math.inf, True),
        (1j, 1j, True),
        ([], {}, False),
        ({}, set(), False),
    ],
)
def test_returned_values(want, got, right):
    assert returned(want, got) is right


def lcb_printed(want: str, got: str) -> bool:
    return matches_lcb(Stdin("", want), Outcome(Status.OK, got, 0.0))


def lcb_returned(want: object, got: object) -> bool:
    return matches_lcb(Call("f", (), want), claimed(got))


class TestLiveCodeBenchsOwnComparison:
    @pytest.mark.parametrize(
        ("want", "got", "right"),
        [
            ("3\n", " 3 ", True),
            ("1 2\n3", "1 2  \r\n  3\n\n", True),
            ("1\n2", "1\n\n2", False),
            ("1.0 2", "1 2.00", True),
            ("a  b", "a b", False),
            ("a 1", "a 1.0", False),
            ("1_0", "10", True),
            ("0.3", "0.30000000000000004", False),
            ("nan", "nan", True),
            ("nan 1", "nan  1", False),
            ("sNaN 1", "1 1", False),
            ("Infinity", "inf", True),
            ("1 2", "1 2 3", False),
            ("1 2", "1 2 x", False),
            ("", "", True),
            ("", "0", False),
            ("5" * 20_000, "5" * 20_000 + ".0", True),  # ours compares such lengths as text
        ],
    )
    def test_printed_text(self, want, got, right):
        assert lcb_printed(want, got) is right
        assert lcb_printed(got, want) is right

    @pytest.mark.parametrize(
        ("want", "got", "right"),
        [
            ([1, 2], (1, 2), True),
            ([[1, 2]], [(1, 2)], False),
            ([[1, 2]], ([1, 2],), True),
            (1, True, True),
            (1, 1.0, True),
            ([], (), True),
            ([], {}, False),
            ({"1": 2}, {1: 2}, False),
            ({"a": [1]}, {"a": [1.0]}, True),
            ({"a": [1]}, {"a": (1,)}, False),
            ({"a": 1}, {"a": 1, "b": 2}, False),
            ([1, 2], {1, 2}, False),
            ("a", "a", True),
            (None, None, True),
            (None, 0, False),
            (0.3, 0.1 + 0.2, False),
            (math.nan, math.nan, False),
            (10**30, 1e30, False),
            ([1, 2], range(1, 3), False),
        ],
    )
    def test_returned_values(self, want, got, right):
        outcome = Outcome(Status.OK, wire.parse(wire.dumps(got, opaque=True)), 0.0)

        assert matches_lcb(Call("f", (), want), outcome) is right

    def test_a_failed_outcome_never_matches(self):
        assert not matches_lcb(Stdin("", ""), Outcome(Status.TIMEOUT, "", 0.0))

    def test_hostile_output_is_quick(self):
        started = time.monotonic()
        assert not lcb_printed("1", "9" * 8_000_000)
        assert not lcb_printed("1", "1e999999999999999999")
        assert not lcb_printed("1", "1 " * 4_000_000)
        assert not lcb_printed("1", "0" + "\n" * 8_000_000 + "1")
        assert not lcb_returned({1: 2}, {k * ((1 << 61) - 1): 0 for k in range(3)})
        assert time.monotonic() - started < 5


def test_a_tolerance_is_for_floats_alone():
    assert printed("0.5 1.25", "0.5000001 1.25", 1e-6)
    assert printed("1000000.5", "1000000.9", 1e-6)
    assert not printed("1000000", "1000001", 1e-3)
    assert not printed("nan", "1.0", 1e9)
    assert returned([0.3], [0.1 + 0.2], 1e-9)
    assert not returned(3, 3.0000001, 1e-6)
    assert not returned(math.nan, math.nan, 1.0)


def test_a_failed_outcome_never_matches():
    assert not matches(Stdin("", ""), Outcome(Status.TIMEOUT, "", 0.0))
    assert not matches(Call("f", (), None), Outcome(Status.RUNTIME_ERROR, None, 0.0))


def test_hostile_numbers_are_quick():
    started = time.monotonic()
    assert not printed("1", "9" * 8_000_000)
    assert not printed("1", "1e999999999999999999")
    assert not printed("1.5", "1e999999", 1e-6)
    assert not printed("1", "0" + "\n" * 8_000_000 + "1")
    assert not returned({1: 2}, {k * ((1 << 61) - 1): 0 for k in range(3)})
    assert time.monotonic() - started < 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.integers(10**30, 10**40),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.integers() | st.text() | st.tuples(st.integers()), inner, max_size=4)
        | st.sets(st.integers() | st.text(), max_size=4)
    ),
    max_leaves=12,
)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 2.5]) | st.sampled_from(["", "1", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("1ab"), inner, max_size=3),
    max_leaves=6,
)
RETURNED = st.recursive(
    JSON,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.integers(0, 1) | st.booleans() | st.sampled_from("1ab"), inner, max_size=3)
        | st.sets(st.integers(0, 2), max_size=3)
    ),
    max_leaves=6,
)


@given(JSON, JSON | RETURNED)
def test_livecodebenchs_comparison_of_values_is_pythons_but_for_a_tuple_at_the_top(want, got):
    assert lcb_returned(want, got) is ((list(got) if isinstance(got, tuple) else got) == want)


@given(RETURNED, RETURNED)
def test_a_strict_comparison_of_values_is_pythons(want, got):
    test = Call("f", (), want, strict=True)

    assert matches(test, claimed(got)) is (want == got)
    assert (canonical(test, claimed(want)) == canonical(test, claimed(got))) is (want == got)


@given(RETURNED)
def test_a_strict_tolerance_keeps_to_the_type(value):
    test = Call("f", (), value, Tolerance(0.25, 0.0), strict=True)
    nearby = {float: lambda: value + 0.125, list: lambda: tuple(value), tuple: lambda: list(value)}

    assert matches(test, claimed(value))
    assert matches(test, claimed(nearby.get(type(value), lambda: [value])())) is (type(value) is float)


@given(JSON)
def test_equal_values_are_equal_to_livecodebench(value):
    assert lcb_returned(value, value)
    if isinstance(value, list):
        assert lcb_returned(value, tuple(value))


@given(st.text(st.sampled_from("01.e- \nna"), max_size=12), st.text(st.sampled_from("01.e- \nna"), max_size=12))
def test_on_printed_text_both_comparisons_agree(want, got):
    assert lcb_printed(want, got) is printed(want, got)


@given(VALUES)
def test_values_survive_the_wire(value):
    rebuilt = wire.build(wire.parse(wire.dumps(value)))
    assert (type(rebuilt), rebuilt) == (type(value), value)
    assert returned(value, value)


@given(st.text(st.sampled_from('[]{}",:tsdifc01aenull.-'), max_size=40))
def test_a_document_claims_a_value_or_is_refused(text):
    try:
        value = wire.parse(text.encode())
    except ValueError:
        return
    assert canonical(Call("f", (), None), Outcome(Status.OK, value, 0.0)) is not None


@pytest.mark.parametrize(
    "document",
    [b"", b"[" * 100_000, b"NaN", b'{"x":1}', b'{"d":[1]}', b'{"i":7}', b"1 2", b'{"o":[]}', b'{"c":[1]}', b'"\xff"'],
)
def test_bad_documents_are_refused(document):
    with pytest.raises(ValueError, match=r"."):
        wire.parse(document)


def test_only_lists_outside_strings_are_limited():
    assert wire.parse(b'[",[[{{\\"[[",[]]', max_lists=2) == [',[[{{"[[', []]
    assert wire.parse(b"[" + b"0," * 5_000_000 + b"0]") == [0] * 5_000_001
    assert wire.parse(b'"' + b"," * 5_000_000 + b'"') == "," * 5_000_000
    with pytest.raises(wire.TooLarge):
        wire.parse(b'["\\\\",[],[]]', max_lists=2)
    with pytest.raises(wire.TooLarge):
        wire.parse(b"[" + b"[]," * wire.MAX_LISTS + b"0]")


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {"k": v}])
def test_depth_is_limited_on_both_sides_alike(wrap):
    def nested(depth):
        value = 1
        for _ in range(depth):
            value = wrap(value)
        return value

    assert returned(nested(300), nested(300))
    assert canonical(Call("f", (), None), claimed(nested(300))) is not None
    with pytest.raises(ValueError, match="310 deep"):
        wire.dumps(nested(320))


def test_surrogates_and_other_characters_cross_as_they_are():
    assert returned("\ud83d\ude00\u00e9", "\ud83d\ude00\u00e9")
    assert not returned("\U0001f600", "\ud83d\ude00")
    assert len(wire.dumps("\u00e9" * 1000)) == 2002


def test_what_is_not_data_equals_nothing_and_has_no_canonical_text():
    test = Call("f", (), None)
    for value in (range(3), object(), [b"x"], {object(): 1}, (1, {2: {3: iter(())}})):
        outcome = Outcome(Status.OK, wire.parse(wire.dumps(value, opaque=True)), 0.0)
        assert canonical(test, outcome) is None
        assert not matches(Call("f", (), None), outcome)
        assert not matches(Call("f", (), {"a": 1}), outcome)
    with pytest.raises(TypeError):
        wire.dumps([object()])


def test_equal_values_have_one_canonical_text():
    def text(value: object) -> str | None:
        return canonical(Call("f", (), None), claimed(value))

    assert text([1, (2.0, True)]) == text((1.0, [2, 1]))
    assert text({1: 2, 3: 4}) == text({3: 4, 1: 2})
    assert len({text(value) for value in ("1", 1, [1], {1: 1}, {"1": 1}, {1}, None, 1.5)}) == 8
    assert canonical(Stdin("", ""), Outcome(Status.OK, " a \nb\n\n", 0.0)) == "a\nb"
    assert canonical(Stdin("", ""), Outcome(Status.MEMORY, None, 0.0)) is None
