"""What an audit has found is there after a kill at any moment, and nobody else's file is taken for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.errors import DataError, StoreError
from tts.ledger import Ledger, key_of


def test_facts_are_found_again(tmp_path):
    path = tmp_path / "new" / "audit.jsonl"
    with Ledger(path) as ledger:
        ledger.keep("score", "a", value=1.5, why="")
        ledger.keep("verdict", "a", passed=True)
    with Ledger(path) as ledger:
        assert ledger.find("score", "a") == {"value": 1.5, "why": ""}
        assert ledger.find("verdict", "a") == {"passed": True}
        assert ledger.find("score", "b") is None
        assert len(ledger) == 2


def test_after_a_kill_at_any_byte_the_whole_lines_are_there_and_more_can_be_added(tmp_path):
    path = tmp_path / "audit.jsonl"
    with Ledger(path) as ledger:
        for i in range(3):
            ledger.keep("score", str(i), value=i)
    data = path.read_bytes()
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        with Ledger(path) as ledger:
            assert len(ledger) == data[:cut].count(b"\n")
            ledger.keep("score", "more", value=None)
        with Ledger(path) as ledger:
            assert ledger.find("score", "more") == {"value": None}


@pytest.mark.parametrize(
    ("text", "said"),
    [("no json\n", "line 1: not JSON"), ("\n[]\n", "line 2: a row must be"), ('{"kind": "score"}\n', "no fact")],
)
def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path, text, said):
    path = tmp_path / "audit.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        Ledger(path)
    assert path.read_text() == text


def test_a_second_process_is_refused(tmp_path):
    path = tmp_path / "audit.jsonl"
    program = f"from pathlib import Path; from tts.ledger import Ledger; Ledger(Path({str(path)!r}))"
    with Ledger(path):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "in use by another tts" in done.stderr
    with Ledger(path):
        pass


def test_a_folder_that_cannot_be_made_is_a_user_s_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="give another --out"):
        Ledger(Path(tmp_path / "file" / "audit.jsonl"))


PARTS = st.lists(st.none() | st.text(max_size=3) | st.integers(0, 3) | st.floats(allow_nan=False), max_size=4)


@given(PARTS, PARTS)
def test_keys_are_equal_where_the_parts_are(one, other):
    assert (key_of(*one) == key_of(*other)) == (json.dumps(one) == json.dumps(other))
