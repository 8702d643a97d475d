"""The cache of verdicts: grading twice is reading, whatever happens to the process or the file; never a condition."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import command, environment, rows_of, tts, write_rows

from tts.store import load_grade
from tts.types import Call, Check, Grade, Stdin, Tolerance, Verdict, program_hash
from tts.verdicts import Key, Verdicts, hash_of_tests

KEY = Key("p", "tests", "program", "grader")
GRADE = Grade("p", "program", Verdict.WRONG_ANSWER, 0.5, 3, 1, "why", 0.75, 12.5, "err", "-1\n+2", Verdict.PASSED, "2")
MEASURED = ("seconds", "wall_seconds", "peak_mib")
COUNT = 24


def silent(text: str) -> None:
    raise AssertionError(text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "verdicts.sqlite"


class TestOneFile:
    def test_what_is_kept_is_found_by_another(self, path):
        with Verdicts(path, silent) as one:
            one.keep(KEY, GRADE)
            with Verdicts(path, silent) as another:
                assert another.find(KEY) == GRADE

    @pytest.mark.parametrize("name", ["problem_id", "tests", "program", "grader"])
    def test_another_problem_test_program_or_grader_is_another_verdict(self, path, name):
        other = Key(**{field: getattr(KEY, field) for field in KEY.__slots__} | {name: "other"})
        with Verdicts(path, silent) as verdicts:
            verdicts.keep(KEY, GRADE)

            assert verdicts.find(other) is None

    def test_without_a_file_nothing_is_kept_or_said(self):
        with Verdicts(None, silent) as verdicts:
            verdicts.keep(KEY, GRADE)

            assert verdicts.find(KEY) is None
            assert not verdicts.usable


def test_the_hash_is_of_everything_that_decides():
    tests = [Stdin("1", "2"), Call("f", ([1],), 2)]
    others = [
        (tests[:1], 1),
        (tests[::-1], 1),
        (tests, 2),
        ([Stdin("1", "2", Tolerance(1e-6, 1e-6)), tests[1]], 1),
        ([Stdin("1", "2", Tolerance(1e-6, 0.0)), tests[1]], 1),
        ([Stdin("1", "2"), Check("", "f")], 1),
        ([Stdin("1", "2"), Call("f", ([1],), "2")], 1),
        ([Stdin("1", "2"), Call("f", ([10**5000],), 2)], 1),
        ([Stdin("1\ud800", "2"), Call("f", ([1],), 2)], 1),
        ([Stdin("1", "2"), Call("f", ((1,),), 2)], 1),
        ([Stdin("1", "2"), Call("f", ({1},), 2)], 1),
        ([Stdin("1", "2"), Call("f", ({1: 2},), 2)], 1),
        ([Stdin("1", "2"), Call("f", ({"1": 2},), 2)], 1),
        ([Stdin("1", "2"), Call("f", (1j,), 2)], 1),
        ([Stdin("12", ""), Call("f", ([1],), 2)], 1),
    ]
    found = {hash_of_tests(*other) for other in [(tests, 1), *others]}

    assert len(found) == 1 + len(others)
    assert hash_of_tests([Stdin("1", "2"), Call("f", ([1],), 2)], 1) in found


def warnings_of(path: Path) -> list[str]:
    """What is said when a file is asked for a verdict and given one, twice; no wrong verdict is found."""
    said: list[str] = []
    with Verdicts(path, said.append) as verdicts:
        for _ in range(2):
            assert verdicts.find(KEY) in (None, GRADE)
            verdicts.keep(KEY, GRADE)
    return said


def of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")


def of_another_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE verdicts (grade TEXT)")


UNUSABLE = {
    "a folder": Path.mkdir,
    "random bytes": lambda path: path.write_bytes(random.Random(0).randbytes(30_000)),
    "text": lambda path: path.write_text("my notes"),
    "a database of another program": of_another_program,
    "a cache of another version": of_another_version,
    "a broken link": lambda path: path.symlink_to("/proc/nowhere/verdicts"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_file_that_is_no_cache_is_one_warning_and_left_alone(tmp_path, name):
    path = tmp_path / "cache"
    UNUSABLE[name](path)
    before = path.read_bytes() if path.is_file() else None
    (said,) = warnings_of(path)

    assert f"the cache of verdicts {path} cannot be used" in said and "Grading goes on without it" in said
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> bytes:
    """A cache of several pages."""
    path = tmp_path_factory.mktemp("sound") / "verdicts.sqlite"
    with Verdicts(path, silent) as verdicts:
        verdicts.keep(KEY, GRADE)
        for number in range(100):
            verdicts.keep(Key(f"p{number}", "tests", "program", "grader"), GRADE)
    return path.read_bytes()


@given(
    st.dictionaries(st.integers(0, 200_000), st.integers(0, 255), min_size=1, max_size=20), st.none() | st.integers(0)
)
@settings(max_examples=100, deadline=None)
def test_a_damaged_file_is_at_most_one_warning_and_never_another_verdict(tmp_path_factory, sound, changes, cut):
    content = bytearray(sound)
    for place, value in changes.items():
        content[place % len(content)] = value
    path = tmp_path_factory.mktemp("damaged") / "cache"
    path.write_bytes(content[: None if cut is None else cut % len(content)])

    assert len(warnings_of(path)) <= 1


def test_a_verdict_that_was_changed_is_noticed(path):
    with Verdicts(path, silent) as verdicts:
        verdicts.keep(KEY, GRADE)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("""UPDATE verdicts SET grade = replace(grade, 'wrong_answer', 'passed')""")
        connection.commit()
    (said,) = warnings_of(path)

    assert "a verdict in it is not what was written" in said


def test_a_full_disk_is_one_warning(disk):
    disk.mount("size=64k")
    (disk.folder / "filler").write_bytes(bytes(40_000))
    said: list[str] = []
    with Verdicts(disk.folder / "cache", said.append) as verdicts:
        for number in range(1000):
            verdicts.keep(Key(f"p{number}", "tests", "program", "grader"), GRADE)

    assert len(said) == 1
    assert "full" in said[0] or "I/O" in said[0]


# -- `tts grade` -------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a problem and COUNT programs."""
    tests = [{"input": f"{n}\n", "output": f"{2 * n}\n", "testtype": "stdin"} for n in range(3)]
    problem = {"question_id": "double", "question_content": "Double it.", "public_test_cases": json.dumps(tests[:1])}
    write_rows(tmp_path / "p.jsonl", [problem | {"private_test_cases": json.dumps(tests[1:])}])
    ends = ("print(2 * n)", "print(2)", "print(n + 1)", "1 / 0")
    rows = [
        {
            "question_id": "double",
            "index": i,
            "code": f"n = int(input())\nfor _ in range(200000): pass\n{ends[i % 4]}# {i}",
        }
        for i in range(COUNT)
    ]
    write_rows(tmp_path / "c.jsonl", rows)
    return tmp_path


def grade(folder: Path, out: str, *options: object) -> str:
    """Grade the folder's programs; what was said."""
    done = tts(folder, "grade", "p.jsonl", "c.jsonl", "--out", out, *options)
    assert done.code == 0, done.err
    return done.err


def verdicts_of(path: Path) -> list[dict[str, object]]:
    """The rows without what was measured, which no two runs share."""
    return [{name: value for name, value in row.items() if name not in MEASURED} for row in rows_of(path)]


def kept(path: Path) -> dict[str, str]:
    """The cached grades by their program."""
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path, timeout=10)) as connection, suppress(sqlite3.OperationalError):
        return dict(connection.execute("SELECT program, grade FROM verdicts"))
    return {}


def test_grading_twice_is_reading(folder):
    first, second = grade(folder, "one.jsonl"), grade(folder, "two.jsonl")

    assert f"{COUNT} of {COUNT} programs were graded before" not in first
    assert f"{COUNT} of {COUNT} programs were graded before" in second
    assert (folder / "one.jsonl").read_bytes() == (folder / "two.jsonl").read_bytes()
    home = folder.with_name(f"{folder.name}-cache")
    assert len(kept(home / "tts" / "verdicts.sqlite")) == COUNT


@pytest.mark.parametrize("options", [["--timeout", 5], ["--memory-mib", 500], ["--tolerance", 0.5], ["--also", "lcb"]])
def test_other_options_grade_anew(folder, options):
    grade(folder, "one.jsonl", "--cache", "cache")

    assert "graded before" not in grade(folder, "two.jsonl", "--cache", "cache", *options)


def test_no_cache_reads_and_keeps_nothing(folder):
    home = folder.with_name(f"{folder.name}-cache")
    grade(folder, "one.jsonl", "--no-cache")
    assert not (home / "tts" / "verdicts.sqlite").exists()
    grade(folder, "two.jsonl")

    assert "graded before" not in grade(folder, "three.jsonl", "--no-cache")


def test_a_changed_hidden_test_is_another_problem(folder):
    grade(folder, "one.jsonl", "--cache", "cache")
    text = (folder / "p.jsonl").read_text()
    (folder / "p.jsonl").write_text(text.replace('\\"4\\\\n\\"', '\\"5\\\\n\\"'))
    assert (folder / "p.jsonl").read_text() != text

    assert "graded before" not in grade(folder, "two.jsonl", "--cache", "cache")
    assert "passed" not in {row["verdict"] for row in rows_of(folder / "two.jsonl")}


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_grading_goes_on_from_what_it_found(folder, seed):
    grade(folder, "undisturbed.jsonl", "--no-cache")
    enough = random.Random(seed).randrange(1, COUNT - 2)
    arguments = command("grade", "p.jsonl", "c.jsonl", "--out", "killed.jsonl", "--cache", "cache", "--workers", 1)
    with subprocess.Popen(arguments, cwd=folder, env=environment(), stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 120
        while len(kept(folder / "cache")) < enough and process.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    committed = kept(folder / "cache")
    assert enough <= len(committed)
    assert len(committed) == COUNT or not (folder / "killed.jsonl").exists()

    said = grade(folder, "again.jsonl", "--cache", "cache")
    assert f"{len(committed)} of {COUNT} programs were graded before" in said
    assert verdicts_of(folder / "again.jsonl") == verdicts_of(folder / "undisturbed.jsonl")
    after = kept(folder / "cache")
    assert len(after) == COUNT
    assert committed.items() <= after.items()
    seconds = {row["index"]: row["seconds"] for row in rows_of(folder / "again.jsonl")}
    for row in rows_of(folder / "c.jsonl"):
        if (text := committed.get(program_hash(row["code"]))) is not None:
            measured = load_grade("double", "", *json.loads(text)).seconds
            assert seconds[row["index"]] == round(measured, 6)  # it was read, not graded again


def test_several_at_once_share_one_new_cache(folder):
    arguments = [command("grade", "p.jsonl", "c.jsonl", "--out", f"{i}.jsonl", "--cache", "cache") for i in range(3)]
    pipes = {"stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(line, cwd=folder, env=environment(), **pipes) for line in arguments]
    for process in processes:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
        assert "Warning" not in said

    rows = [verdicts_of(folder / f"{i}.jsonl") for i in range(3)]
    assert rows[0] == rows[1] == rows[2]
    assert len(kept(folder / "cache")) == COUNT


def test_many_that_open_a_new_cache_at_once_all_can(tmp_path):
    program = (
        "import sys\nfrom pathlib import Path\nfrom tts.verdicts import Verdicts\nsys.stdin.read()\n"
        "assert Verdicts(Path('cache'), print).usable"
    )
    line = [*command()[:1], "-c", program]
    for _ in range(3):
        start, begin = os.pipe()
        processes = [subprocess.Popen(line, cwd=tmp_path, env=environment(), stdin=start) for _ in range(6)]
        time.sleep(1.0)
        os.close(start), os.close(begin)

        assert [process.wait(60) for process in processes] == [0] * 6
        for path in tmp_path.iterdir():
            path.unlink()


@pytest.mark.parametrize("name", ["random bytes", "a folder"])
def test_grading_goes_on_without_a_cache_that_is_of_no_use(folder, name):
    UNUSABLE[name](folder / "cache")
    said = grade(folder, "one.jsonl", "--cache", "cache")

    assert said.count("Warning: the cache of verdicts cache cannot be used") == 1
    assert len(rows_of(folder / "one.jsonl")) == COUNT


def test_grading_goes_on_where_the_cache_cannot_be_written(folder, disk):
    disk.mount("size=1m")
    disk.mount("ro")
    said = grade(folder, "one.jsonl", "--cache", disk.folder / "verdicts.sqlite")

    assert said.count("Warning") == 1
    assert len(rows_of(folder / "one.jsonl")) == COUNT
