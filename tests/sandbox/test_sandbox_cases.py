"""The sample of grader cases that lies beside the repository, each row through a real grader.

Its README says what the fields mean. A row's limit of wall-clock time is not ours to set: `must_not` says what counts.
"""

import json
import os
import re
import resource
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import glob
from pathlib import Path
from typing import Any

import pytest

from tts.errors import DataError
from tts.grade import Comparison, Grade, GradeJob, Grader, Undecided
from tts.sandbox import Limits
from tts.types import Call, Stdin, Test, Verdict

CASES = Path(__file__).parents[3] / "shared" / "data" / "grader_cases_sample.jsonl"
WORDS = {  # the README's
    Verdict.PASSED: "pass",
    Verdict.WRONG_ANSWER: "fail",
    Verdict.TIMEOUT: "timeout",
    Verdict.MEMORY: "memory",
    Verdict.RUNTIME_ERROR: "error",
    Verdict.OUTPUT_LIMIT: "output_limit",
}
# Of some rows the word for a flood is "fail": what was printed before it was stopped is no right answer.
BROADER = {"output_limit": ("fail",)}
ROWS = [json.loads(line) for line in CASES.read_text().splitlines()] if CASES.exists() else []

Row = dict[str, Any]


def decoded(row: Row) -> list[Test]:
    """Raises ValueError for data that cannot be decoded."""
    pairs = zip(row["inputs"], row["outputs"], strict=True)
    if row["kind"] == "stdin":
        return [Stdin(given, wanted) for given, wanted in pairs]
    return [
        Call(row["fn_name"], tuple(json.loads(line) for line in given.split("\n")), json.loads(wanted))
        for given, wanted in pairs
    ]


def word_of(row: Row) -> str:
    """What our grader makes of a row, in the README's words."""
    limits = Limits(row["limits"]["cpu_s"], row["limits"]["mem_mb"], row["limits"]["out_mb"])
    try:
        tests = decoded(row)
        tolerance = re.fullmatch(r"float:(.*)", row["compare"])
        comparison = Comparison(float(tolerance[1]) if tolerance else None)
        (done,) = Grader(limits, 1, comparison).grade([GradeJob(row["id"], row["code"], tests)])
    except (DataError, ValueError):
        return "error"  # of the data
    assert isinstance(done, Grade | Undecided)
    return done.why if isinstance(done, Undecided) else WORDS[done.verdict]


@contextmanager
def listening(row: Row) -> Iterator[socket.socket | None]:
    """The row's listener, on a free port instead of its own."""
    ports = [entry["udp_listener"] for entry in row["setup"] if "udp_listener" in entry]
    assert len(ports) == len(row["setup"]), f"a setup that is not known: {row['setup']}"
    if not ports:
        yield None
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.setblocking(False)
        row["code"] = row["code"].replace(str(ports[0]), str(listener.getsockname()[1]))
        yield listener


def remove_traces(row: Row) -> None:
    """Of an earlier run, or of this one."""
    for path in _traces(row):
        with suppress(FileNotFoundError):
            os.remove(path)


def _traces(row: Row) -> list[str]:
    patterns = [entry[kind] for entry in row["must_not"] for kind in ("file_exists", "glob_exists") if kind in entry]
    return [path for pattern in patterns for path in glob(pattern)]


def unmet(row: Row) -> str:
    """Why a row cannot be tried here."""
    for need in row["requires"]:
        version = re.fullmatch(r"python<3\.(\d+)", need)
        if not version:
            return f"it requires {need}"
        if sys.version_info >= (3, int(version[1])):
            return f"it requires {need}"
    return ""


def peak_mb(who: int) -> float:
    return resource.getrusage(who).ru_maxrss / 1024


@pytest.mark.skipif(not ROWS, reason=f"{CASES} is not there")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_a_case_is_judged_as_it_asks(row):
    if unmet(row):
        pytest.skip(unmet(row))
    row = dict(row)
    remove_traces(row)
    started, own, theirs = time.monotonic(), peak_mb(resource.RUSAGE_SELF), peak_mb(resource.RUSAGE_CHILDREN)
    try:
        with listening(row) as listener:
            word = word_of(row)

            assert {word, *BROADER.get(word, ())} & {*row["accept"]}
            for entry in row["must_not"]:
                ((what, bound),) = entry.items()
                if what == "wall_over_s":
                    assert time.monotonic() - started <= bound
                elif what == "grader_rss_over_mb":
                    assert peak_mb(resource.RUSAGE_SELF) <= max(bound, own)
                elif what == "tree_rss_over_mb":
                    assert peak_mb(resource.RUSAGE_CHILDREN) <= max(bound, theirs)
                elif what == "udp_recv":
                    assert listener
                    with pytest.raises(BlockingIOError):
                        listener.recv(1)
                elif what in ("file_exists", "glob_exists"):
                    assert _traces(row) == []
                elif what == "verdict":
                    assert word != bound
                else:
                    assert what == "grader_dies"  # it has not
    finally:
        remove_traces(row)
