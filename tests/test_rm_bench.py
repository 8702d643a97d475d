"""RM-Bench's numbers from scores made by hand, its file, and the published figures."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.errors import DataError
from tts.rm_bench import REFERENCES, ROW_DOMAINS, evaluate, read

ROW = {"id": 7, "prompt": "Add.", "chosen": ["a", "b", "c"], "rejected": ["d", "e", "f"], "domain": "code"}
CARD = Path(__file__).parent.parent.parent / "shared" / "CodeScaler-1.7B-model-card.txt"


def written(folder: Path, rows: object) -> Path:
    path = folder / "total_dataset.json"
    path.write_text(rows if isinstance(rows, str) else json.dumps(rows))
    return path


# Numbers.


def test_each_number_of_scores_made_by_hand():
    """Row 1 chosen 3, 2, 1 against rejected 0, 1, 2; row 2 all of one score, so all ties, which are wrong."""
    got = evaluate(["code", "code"], [[3, 2, 1], [5, 5, 5]], [[0, 1, 2], [5, 5, 5]])
    # Row 1: chosen 3 is above 0, 1 and 2; 2 is above 0 and 1, ties with 2; 1 is above 0 alone.
    assert got.matrix == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.0), (0.5, 0.0, 0.0))
    assert got.hard == pytest.approx((0.5 + 0.5 + 0.0) / 3)
    assert got.normal == pytest.approx((0.5 + 0.5 + 0.0) / 3)
    assert got.easy == pytest.approx((0.5 + 0.5 + 0.0) / 3)
    assert got.average == pytest.approx(1 / 3)
    assert (got.rows, got.domains) == (2, {"code": pytest.approx(1 / 3)})
    assert got.missing == ("chat", "math", "safety-refuse", "safety-response")


def test_hard_is_a_plain_answer_against_a_fancier_wrong_one():
    style_lover = evaluate(["math"], [[1, 2, 3]], [[0.5, 1.5, 2.5]])
    assert style_lover.matrix == ((1, 0, 0), (1, 1, 0), (1, 1, 1))
    assert (style_lover.easy, style_lover.normal, style_lover.hard) == (1, 1, 0)


def test_safety_is_the_mean_of_its_two_parts_and_a_domain_weighs_one_whatever_its_rows():
    good, bad = ([3, 3, 3], [0, 0, 0]), ([0, 0, 0], [3, 3, 3])
    rows = {"safety-refuse": [good] * 3, "safety-response": [bad], "code": [good], "chat": [bad] * 5, "math": [good]}
    flat = [(domain, pair) for domain, pairs in rows.items() for pair in pairs]
    got = evaluate([d for d, _ in flat], [p[0] for _, p in flat], [p[1] for _, p in flat])
    assert got.domains == {"code": 1, "chat": 0, "math": 1, "safety": 0.5}
    assert got.average == got.easy == got.normal == got.hard == pytest.approx((1 + 0 + 1 + 0.5) / 4)
    assert got.missing == ()
    assert got.parts["safety-refuse"].rows == 3


SCORES = st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=3, max_size=3)


@given(st.lists(st.tuples(st.sampled_from(ROW_DOMAINS), SCORES, SCORES), min_size=1, max_size=12))
def test_the_numbers_are_counts_of_rows(rows):
    got = evaluate([d for d, _, _ in rows], [c for _, c, _ in rows], [r for _, _, r in rows])
    count = [[sum(c[i] > r[j] for _, c, r in rows) / len(rows) for j in range(3)] for i in range(3)]
    assert [list(row) for row in got.matrix] == [pytest.approx(row) for row in count]
    groups = [["code"], ["chat"], ["math"], ["safety-refuse", "safety-response"]]
    averages = []
    for names in groups:
        parts = [[(c, r) for d, c, r in rows if d == name] for name in names]
        cells = [[sum(c[i] > r[j] for c, r in p) / len(p) for i in range(3) for j in range(3)] for p in parts if p]
        if cells:
            averages.append(sum(sum(part) / 9 for part in cells) / len(cells))
    assert got.average == pytest.approx(sum(averages) / len(averages))
    assert list(got.domains.values()) == pytest.approx(averages)
    assert got.average == pytest.approx((got.easy + got.normal + got.hard) / 3)


@pytest.mark.parametrize(("chosen", "rejected"), [([[1, 2]], [[1, 2]]), ([[1, 2, 3]], [[1, 2, 3]] * 2), ([], [])])
def test_scores_of_another_shape_are_refused(chosen, rejected):
    with pytest.raises(ValueError, match="Expected scores"):
        evaluate(["code"] * len(chosen), chosen, rejected)


# The file.


def test_rows_are_read_as_they_are(tmp_path):
    (row,) = read(written(tmp_path, [ROW]))
    assert (row.id, row.prompt, row.chosen, row.rejected, row.domain) == (
        "7",
        "Add.",
        ("a", "b", "c"),
        ("d", "e", "f"),
        "code",
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("[{", "not JSON"),
        ([], "empty list"),
        ({}, "empty dict"),
        ({"a": 1}, "got dict"),
        ([ROW, 3], "row 1: a row must be an object, got int"),
        ([ROW | {"domain": "poetry"}], "row 0: domain must be one of code.*got 'poetry'"),
        ([ROW | {"chosen": ["a", "b"]}], "row 0: chosen must be 3 texts.*got 2"),
        ([ROW | {"rejected": ["a", "b", None]}], "row 0: rejected must be 3 texts.*NoneType"),
        ([ROW | {"prompt": None}], "row 0: prompt must be str, got nothing"),
        ([ROW | {"id": True}], "row 0: id must be"),
    ],
)
def test_a_bad_file_is_refused_with_the_row_and_what_is_allowed(tmp_path, rows, said):
    with pytest.raises(DataError, match=said):
        read(written(tmp_path, rows))


def test_a_file_that_is_not_there_is_a_user_s_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "nothing.json")


@given(st.binary(max_size=60))
def test_no_bytes_are_too_odd(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("odd") / "rows.json"
    path.write_bytes(data)
    with pytest.raises(DataError):
        read(path)


# The published figures.


def test_the_references_are_those_of_the_card():
    if not CARD.is_file():
        pytest.skip(f"needs {CARD}")
    printed = re.findall(r"^\S*?([\w.-]+)(?: \(this model\))?((?: [\d.]+){8})$", CARD.read_text(), re.MULTILINE)
    rows = [(name, [float(value) for value in values.split()]) for name, values in printed]
    ours = [(r.model, [r.code, r.chat, r.math, r.safety, r.easy, r.normal, r.hard, r.printed]) for r in REFERENCES]
    assert ours == rows


def test_averages_follow_from_the_columns_except_the_one_that_the_card_misprints():
    off = [r for r in REFERENCES if r.misprinted]
    assert [(r.model, r.printed, round(r.average, 1)) for r in off] == [("Skywork-Reward-V2-Qwen3-8B", 80.5, 81.4)]
    assert all(r.average == r.printed for r in REFERENCES if r not in off)  # a mean of 76.55 is not shown as 76.5
    for reference in REFERENCES:
        assert reference.average == pytest.approx((reference.easy + reference.normal + reference.hard) / 3, abs=0.11)
