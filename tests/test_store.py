"""The store: what goes in comes out, once, whatever happens to the process, the file or the disk."""

import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import environment

from tts.errors import ModelError, StoreError
from tts.store import FILE, MARKS, SCHEMA_VERSION, SCHEMAS, encode, holds_candidates, open_for_reading, open_for_writing
from tts.types import Behaviour, Call, Candidate, Check, Grade, Message, Problem, Score, Stdin, Verdict

ODD = st.text(st.characters(exclude_categories=()))  # surrogates, NULs and all
NAMES = st.text(min_size=1)
COUNTS = st.none() | st.integers(0, 2**63 - 1)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD, inner, max_size=3),
    max_leaves=8,
)
CANDIDATES = st.builds(
    Candidate,
    problem_id=NAMES,
    index=st.integers(0, 2**63 - 1),
    text=ODD,
    code=st.none() | ODD,
    extraction=st.sampled_from(["tagged", "none"]),
    prompt_tokens=COUNTS,
    tokens=COUNTS,
    logprob=st.none() | FINITE,
    finish=ODD,
)
KEYS = st.recursive(st.integers() | ODD | st.just(1j), lambda inner: st.tuples(inner, inner), max_leaves=3)
VALUES = st.recursive(
    JSON | KEYS | st.sets(KEYS, max_size=3) | st.sampled_from([{name: [1]} for name in MARKS]),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)
TESTS = (
    st.builds(Stdin, ODD, ODD)
    | st.builds(Call, ODD, st.lists(VALUES, max_size=3).map(tuple), VALUES, strict=st.booleans())
    | st.builds(Check, ODD, ODD, st.booleans())
)
PROBLEMS = st.builds(
    Problem,
    id=NAMES,
    statement=ODD,
    messages=st.lists(st.builds(Message, ODD, ODD), max_size=2).map(tuple),
    public_tests=st.lists(TESTS, max_size=2).map(tuple),
    starter_code=ODD,
    tags=st.dictionaries(ODD, ODD, max_size=2),
    digest=st.text("0123456789abcdef", min_size=1),
)


def problem(name: str = "p", digest: str = "d") -> Problem:
    return Problem(id=name, statement="s", messages=(), digest=digest)


def put(folder: Path, *candidates: Candidate) -> None:
    with open_for_writing(folder) as store:
        list(store.add_candidates(candidates))


def held(folder: Path) -> list[Candidate]:
    with open_for_reading(folder) as store:
        return list(store.candidates())


def as_stored(candidate: Candidate) -> Candidate:
    code = None if candidate.code is None else encode(candidate.code)
    return Candidate(
        **{name: getattr(candidate, name) for name in ("problem_id", "index", "extraction", "prompt_tokens", "tokens")},
        text=encode(candidate.text),
        code=code,
        logprob=candidate.logprob,
        finish=encode(candidate.finish),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture(scope="module")
def any_folder(tmp_path_factory: pytest.TempPathFactory):
    """Empty folders without end, for Hypothesis."""

    def make() -> Path:
        return tmp_path_factory.mktemp("store") / "run"

    return make


class TestRoundTrips:
    @given(st.lists(CANDIDATES, max_size=4, unique_by=lambda c: c.key))
    @settings(max_examples=40, deadline=None)
    def test_candidates(self, any_folder, candidates):
        folder = any_folder()
        put(folder, *candidates)

        assert sorted(held(folder), key=lambda c: c.key) == sorted(map(as_stored, candidates), key=lambda c: c.key)

    @given(st.lists(PROBLEMS, max_size=3, unique_by=lambda p: p.id))
    @settings(max_examples=40, deadline=None)
    def test_problems_in_their_order(self, any_folder, problems):
        with open_for_writing(any_folder()) as store:
            store.add_problems(problems)

            assert store.problems() == problems

    @given(st.none() | FINITE, ODD, st.none() | FINITE, st.none() | FINITE)
    @settings(max_examples=20, deadline=None)
    def test_scores(self, any_folder, value, why, tokens, passes):
        with open_for_writing(any_folder()) as store:
            list(store.add_scores("length", [Score("p", 0, value, why, tokens, passes)]))

            assert store.scores("length") == {("p", 0): Score("p", 0, value, encode(why), tokens, passes)}
            assert store.scores("another") == {}

    @given(st.sampled_from(Verdict), FINITE, ODD, FINITE, ODD, ODD, st.none() | st.sampled_from(Verdict), ODD)
    @settings(max_examples=20, deadline=None)
    def test_grades(self, any_folder, verdict, seconds, detail, peak, stderr, diff, lcb, got):
        rest = 2 * peak, peak, stderr, diff, lcb, got
        with open_for_writing(any_folder()) as store:
            list(store.add_grades("v1", [Grade("p", "hash", verdict, seconds, 5, 3, detail, *rest)]))

            expected = Grade("p", "hash", verdict, seconds, 5, 3, encode(detail), *rest)
            assert store.grades("v1") == {("p", "hash"): expected}
            assert store.grades("v2") == {}

    @given(st.lists(st.none() | ODD, max_size=3))
    @settings(max_examples=20, deadline=None)
    def test_behaviours(self, any_folder, outputs):
        with open_for_writing(any_folder()) as store:
            list(store.add_behaviours("v1", [("p", "hash", Behaviour(tuple(outputs)))]))

            assert store.behaviours("v1") == {("p", "hash"): Behaviour(tuple(outputs))}

    def test_behaviours_of_some_problems(self, folder):
        with open_for_writing(folder) as store:
            list(store.add_behaviours("v1", [(name, "hash", Behaviour(("1",))) for name in "pqr"]))

            assert store.behaviours("v1", {"p", "r", "absent"}).keys() == {("p", "hash"), ("r", "hash")}
            assert store.behaviours("v1", set()) == {}

    def test_seconds_add_up_over_sessions(self, folder):
        for _ in range(2):
            with open_for_writing(folder) as store:
                store.add_spent({("generate", "p"): 1.5, ("generate", "q"): 0.25})
                store.add_spent({("generate", "p"): 0.5})
        with open_for_reading(folder) as store:
            assert store.spent() == {("generate", "p"): 4.0, ("generate", "q"): 0.5}

    @given(st.dictionaries(st.text(), JSON, max_size=3))
    @settings(max_examples=20, deadline=None)
    def test_meta(self, any_folder, values):
        with open_for_writing(any_folder()) as store:
            store.set_meta(values)

            assert {key: store.meta(key) for key in values} == values


def test_what_is_stored_twice_is_there_once(folder):
    first, second = Candidate("p", 0, "first"), Candidate("p", 0, "second")
    put(folder, first, second)
    put(folder, second)

    assert held(folder) == [first]


def test_a_folder_holds_candidates_once_one_is_stored(folder):
    assert not holds_candidates(folder)
    put(folder)
    assert (folder / FILE).exists() and not holds_candidates(folder)
    put(folder, Candidate("p", 0, "text"))
    assert holds_candidates(folder)

    (folder / FILE).write_bytes(b"no database")
    assert not holds_candidates(folder)


def test_a_candidate_is_on_disk_before_the_next_is_asked_for(folder):
    def three():
        for index in range(3):
            assert [c.index for c in held(folder)] == list(range(index))
            yield Candidate("p", index, "text")

    put(folder, *())
    with open_for_writing(folder) as store:
        list(store.add_candidates(three()))


def test_what_came_before_an_error_is_kept(folder):
    def failing():
        yield Candidate("p", 0, "text")
        raise RuntimeError

    with pytest.raises(RuntimeError), open_for_writing(folder) as store:
        list(store.add_candidates(failing()))

    assert held(folder) == [Candidate("p", 0, "text")]


class TestClaim:
    def test_the_same_fingerprint_continues(self, folder):
        put(folder, Candidate("p", 0, "text"))
        for _ in range(2):
            with open_for_writing(folder) as store:
                store.claim({"seed": 1, "generator.ids": ("a", "b")})

    @pytest.mark.parametrize(("given", "key"), [({"seed": 2}, "seed"), ({"seed": 1, "generator.top_p": 0.5}, "top_p")])
    def test_another_one_is_refused_by_the_key_that_differs(self, folder, given, key):
        with open_for_writing(folder) as store:
            store.claim({"seed": 1})
            list(store.add_candidates([Candidate("p", 0, "text")]))

            with pytest.raises(StoreError, match=rf"{key} = .*set \S*{key} back, or give another --folder"):
                store.claim(given)

    def test_a_run_that_sampled_nothing_may_change(self, folder):
        with open_for_writing(folder) as store:
            store.claim({"generator.model": "missing"})
            store.claim({"generator.model": "there"})

            assert store.meta("fingerprint") == {"generator.model": "there"}


class TestProblems:
    def test_a_changed_problem_with_candidates_is_refused_by_name(self, folder):
        with open_for_writing(folder) as store:
            store.add_problems([problem("a"), problem("b")])
            list(store.add_candidates([Candidate("b", 0, "text")]))

            with pytest.raises(StoreError, match="Problem 'b' is not what it was"):
                store.add_problems([problem("a"), replace(problem("b"), statement="other")])
            assert store.problems() == [problem("a"), problem("b")]

    def test_a_problem_with_other_tests_keeps_its_samples_and_nothing_that_its_tests_may_have_decided(self, folder):
        with open_for_writing(folder) as store:
            store.add_problems([problem("a"), problem("b")])
            list(store.add_candidates([Candidate(name, 0, "text", "code") for name in "ab"]))
            for name in "ab":
                list(store.add_scores("scorer", [Score(name, 0, 1.0)]))
                list(store.add_grades("grader", [Grade(name, "p", Verdict.PASSED, 0.0, 1, 1)]))
                list(store.add_behaviours("grader", [(name, "p", Behaviour(("1",)))]))

            assert store.add_problems([problem("a"), problem("b", digest="other")]) == ["b"]
            assert [found.key for found in store.candidates()] == [("a", 0), ("b", 0)]
            assert list(store.scores("scorer")) == [("a", 0)]
            assert list(store.grades("grader")) == [("a", "p")]
            assert list(store.behaviours("grader")) == [("a", "p")]
            assert store.add_problems([problem("a"), problem("b", digest="other")]) == []

    def test_a_problem_with_candidates_may_be_found_faulty_and_cleared_again(self, folder):
        faulty = Problem(id="b", statement="s", messages=(), digest="d", tags={"errata": "bad_tests"})
        with open_for_writing(folder) as store:
            for now in (problem("b"), faulty, problem("b")):
                store.add_problems([now])
                list(store.add_candidates([Candidate("b", 0, "text")]))

                assert store.problems() == [now]

    def test_a_changed_problem_without_candidates_is_replaced(self, folder):
        with open_for_writing(folder) as store:
            store.add_problems([problem("a"), problem("b")])
            store.add_problems([problem("a", digest="other")])

            assert store.problems() == [problem("a", digest="other")]

    def test_problems_with_candidates_stay_when_others_are_added(self, folder):
        with open_for_writing(folder) as store:
            store.add_problems([problem("b")])
            list(store.add_candidates([Candidate("b", 0, "text")]))
            store.add_problems([problem("a"), problem("b")])

            assert store.problems() == [problem("a"), problem("b")]


HOLDER = """
import sys, time
from pathlib import Path
from tts.store import open_for_writing
from tts.types import Candidate
with open_for_writing(Path(sys.argv[1])) as store:
    for _ in store.add_candidates(Candidate("p", index, "text") for index in range(3)):
        pass
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(folder):
    """Another process that has stored three candidates and keeps the run open."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


class TestTwoProcesses:
    def test_a_second_writer_is_refused(self, folder, holder):
        with pytest.raises(StoreError, match=r"in use by another tts. Wait for it to end, or give another --folder"):
            open_for_writing(folder)

    def test_a_reader_sees_what_a_writer_has_stored(self, folder, holder):
        assert [c.index for c in held(folder)] == [0, 1, 2]

    def test_a_killed_writer_leaves_all_it_stored_and_no_lock(self, folder, holder):
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        put(folder, Candidate("p", 3, "text"))

        assert [c.index for c in held(folder)] == [0, 1, 2, 3]

    def test_a_writer_may_come_after_one_that_failed_to_open(self, folder):
        put(folder, Candidate("p", 0, "text"))
        for version in ("99", str(SCHEMA_VERSION)):
            with sqlite3.connect(folder / FILE) as connection:
                connection.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (version,))
            connection.close()
            if version == "99":
                with pytest.raises(
                    StoreError, match=r"format 99; this tts reads 1 to 3\. Install the tts that wrote it"
                ):
                    open_for_writing(folder)

        put(folder, Candidate("p", 1, "text"))
        assert len(held(folder)) == 2


# What the version of this file that wrote format 1 made.
FORMAT_1 = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE problems (
        id TEXT PRIMARY KEY, position INTEGER NOT NULL, digest TEXT NOT NULL, data TEXT NOT NULL)""",
    """CREATE TABLE candidates (
        problem_id TEXT NOT NULL, idx INTEGER NOT NULL, text TEXT NOT NULL, code TEXT, extraction TEXT NOT NULL,
        prompt_tokens INTEGER, tokens INTEGER, logprob REAL, finish TEXT NOT NULL,
        truncated INTEGER NOT NULL, PRIMARY KEY (problem_id, idx)) WITHOUT ROWID""",
    """CREATE TABLE scores (
        scorer TEXT NOT NULL, problem_id TEXT NOT NULL, idx INTEGER NOT NULL, value REAL, why TEXT NOT NULL,
        PRIMARY KEY (scorer, problem_id, idx)) WITHOUT ROWID""",
    """CREATE TABLE grades (
        grader TEXT NOT NULL, problem_id TEXT NOT NULL, program TEXT NOT NULL, verdict TEXT NOT NULL,
        seconds REAL NOT NULL, tests INTEGER NOT NULL, passed INTEGER NOT NULL, detail TEXT NOT NULL,
        PRIMARY KEY (grader, problem_id, program)) WITHOUT ROWID""",
    """CREATE TABLE behaviours (
        grader TEXT NOT NULL, problem_id TEXT NOT NULL, program TEXT NOT NULL, outputs TEXT NOT NULL,
        PRIMARY KEY (grader, problem_id, program)) WITHOUT ROWID""",
    "INSERT INTO meta VALUES ('schema', '1'), ('fingerprint', '{\"seed\": 1}')",
    "INSERT INTO candidates VALUES ('p', 0, 'text', 'x', 'tagged', 1, 2, -0.5, 'stop', 0)",
    "INSERT INTO scores VALUES ('length', 'p', 0, 1.5, 'because')",
    "INSERT INTO grades VALUES ('v1', 'p', 'good', 'passed', 0.5, 3, 3, ''), "
    "('v1', 'p', 'bad', 'wrong_answer', 0.25, 3, 1, 'test 1: wrong answer')",
    "INSERT INTO behaviours VALUES ('v1', 'p', 'good', '[\"1\", null]')",
)
FORMAT_2 = (
    *(SCHEMAS[2][-1] if "CREATE TABLE grades" in one else one for one in FORMAT_1[:6]),
    "INSERT INTO meta VALUES ('schema', '2'), ('fingerprint', '{\"seed\": 1}')",
    *(one.replace(", '')", ", '', '{}')").replace("answer')", "answer', '{}')") for one in FORMAT_1[7:]),
)
GRADES_1 = {
    ("p", "good"): Grade("p", "good", Verdict.PASSED, 0.5, 3, 3),
    ("p", "bad"): Grade("p", "bad", Verdict.WRONG_ANSWER, 0.25, 3, 1, "test 1: wrong answer"),
}


@pytest.fixture(params=[1, 2])
def older(folder, request):
    """A run of an older format."""
    folder.mkdir()
    with sqlite3.connect(folder / FILE) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for statement in {1: FORMAT_1, 2: FORMAT_2}[request.param]:
            connection.execute(statement)
    connection.close()
    return folder


def assert_all_there(store):
    assert store.meta("fingerprint") == {"seed": 1}
    assert list(store.candidates()) == [Candidate("p", 0, "text", "x", "tagged", 1, 2, -0.5)]
    assert store.scores("length") == {("p", 0): Score("p", 0, 1.5, "because")}
    assert store.grades("v1") == GRADES_1
    assert store.behaviours("v1") == {("p", "good"): Behaviour(("1", None))}


class TestARunThatFailedBeforeItsFirstSample:
    def fail(self, folder: Path, *candidates: Candidate) -> None:
        def begin() -> None:
            with open_for_writing(folder) as store:
                store.claim({"model": "missing"})
                list(store.add_candidates(candidates))
                raise ModelError("No model folder 'missing'.")

        with pytest.raises(ModelError):
            begin()

    def test_leaves_no_folder(self, folder):
        self.fail(folder)

        assert not folder.exists()

    def test_leaves_no_folder_above_it_either(self, tmp_path):
        self.fail(tmp_path / "runs" / "first")

        assert list(tmp_path.iterdir()) == []

    def test_leaves_other_runs(self, tmp_path):
        (tmp_path / "runs" / "second").mkdir(parents=True)
        self.fail(tmp_path / "runs" / "first")

        assert [path.name for path in (tmp_path / "runs").iterdir()] == ["second"]

    def test_leaves_a_folder_that_was_there_before(self, folder):
        folder.mkdir(parents=True)
        (folder / "notes.txt").write_text("mine")
        self.fail(folder)

        assert (folder / "notes.txt").read_text() == "mine"

    def test_is_kept_if_it_was_begun_earlier_or_has_a_sample(self, folder):
        with open_for_writing(folder) as store:
            store.claim({"model": "there"})
        self.fail(folder)
        assert (folder / FILE).exists()

    def test_is_kept_with_its_first_sample(self, folder):
        self.fail(folder, Candidate("p", 0, "text"))

        with open_for_reading(folder) as store:
            assert store.candidate_keys() == {("p", 0)}


class TestAnOlderFormat:
    def test_is_read_as_it_is(self, older):
        before = (older / FILE).read_bytes()
        with open_for_reading(older) as store:
            assert_all_there(store)
            assert store.grades("v1")["p", "bad"].failed_test == 1

        assert (older / FILE).read_bytes() == before

    def test_is_brought_up_to_this_one_when_it_is_written_and_nothing_is_lost(self, older):
        new = Grade("p", "new", Verdict.TIMEOUT, 1.0, 3, 0, "late", 2.0, 64.0, "err", "diff", got="5")
        for _ in range(2):
            with open_for_writing(older) as store:
                assert store.schema == SCHEMA_VERSION == 3
                assert store.spent() == {}
                assert_all_there(store)
        with open_for_writing(older) as store:
            list(store.add_grades("v1", [new]))
        with open_for_reading(older) as store:
            assert store.grades("v1") == GRADES_1 | {("p", "new"): new}

    def test_can_be_read_by_who_had_opened_it_before(self, older):
        with open_for_reading(older) as reader:
            open_for_writing(older).__exit__(None)

            assert_all_there(reader)

    def test_with_other_tables_than_it_had_is_damaged(self, older):
        with sqlite3.connect(older / FILE) as connection:
            connection.execute("ALTER TABLE grades ADD COLUMN more TEXT")
        connection.close()

        with pytest.raises(StoreError, match="its tables are not those of a run"):
            open_for_writing(older)

    def test_on_a_disk_without_room_stays_what_it_was(self, older, disk):
        disk.mount("size=4m")
        with sqlite3.connect(older / FILE) as connection:
            rows = ((i, "d" * 1000) for i in range(600))
            connection.executemany("INSERT INTO scores VALUES ('v0', 'p', ?, 0.5, ?)", rows)
        connection.close()
        (disk.folder / FILE).write_bytes((older / FILE).read_bytes())
        filler = disk.folder / "filler"
        filler.write_bytes(bytes(4_000_000 - (older / FILE).stat().st_size - 300_000))
        with pytest.raises(StoreError, match=r"cannot be written: .*free some space"):
            open_for_writing(disk.folder)

        filler.unlink()
        disk.mount("size=16m")
        with open_for_reading(disk.folder) as store:
            assert store.schema < SCHEMA_VERSION
        with open_for_writing(disk.folder) as store:
            assert_all_there(store)
            assert len(store.scores("v0")) == 600


class TestFoldersThatAreNoRuns:
    def test_a_folder_without_a_run(self, tmp_path):
        with pytest.raises(StoreError, match=r"it has no run\.sqlite. Give a folder that `tts run` made"):
            open_for_reading(tmp_path)

    @pytest.mark.parametrize("opened", [open_for_reading, open_for_writing])
    def test_a_database_of_another_program(self, tmp_path, opened):
        with sqlite3.connect(tmp_path / FILE) as connection:
            connection.execute("CREATE TABLE songs (title TEXT)")
        connection.close()
        with pytest.raises(StoreError, match="is no tts run"):
            opened(tmp_path)
        with sqlite3.connect(tmp_path / FILE) as connection:
            assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]
        connection.close()

    @pytest.mark.parametrize("name", ["a b", "50%", "what?", "#1", "ünïcode", "a'b\"c"])
    def test_a_folder_may_have_any_name(self, tmp_path, name):
        put(tmp_path / name, Candidate("p", 0, "text"))

        assert len(held(tmp_path / name)) == 1

    def test_a_file_in_the_folders_place(self, tmp_path):
        (tmp_path / "file").write_text("mine")

        with pytest.raises(StoreError, match=r"cannot be made: File exists. Give another --folder"):
            open_for_writing(tmp_path / "file")
        assert (tmp_path / "file").read_text() == "mine"

    def test_a_run_on_a_read_only_disk_can_be_read(self, disk):
        disk.mount("size=1m")
        put(disk.folder / "run", Candidate("p", 0, "text"))
        disk.mount("ro")

        assert len(held(disk.folder / "run")) == 1
        with pytest.raises(StoreError, match=r"Read-only file system. Give another --folder"):
            open_for_writing(disk.folder / "run")


def read_all(folder: Path) -> None:
    with open_for_reading(folder) as store:
        store.problems(), list(store.candidates()), store.candidate_keys()
        store.scores("length"), store.grades("v1"), store.behaviours("v1")
        store.meta("fingerprint")


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """A run file with something in every table, over several pages."""
    folder = tmp_path_factory.mktemp("sound")
    with open_for_writing(folder) as store:
        store.claim({"seed": 1})
        store.add_problems([problem(f"p{i}") for i in range(20)])
        list(
            store.add_candidates(Candidate(f"p{i}", 0, f"text {i} " * 200, f"print({i})", "tagged") for i in range(20))
        )
        list(store.add_scores("length", (Score(f"p{i}", 0, float(i)) for i in range(20))))
        list(store.add_grades("v1", (Grade(f"p{i}", "hash", Verdict.PASSED, 0.1, 3, 3) for i in range(20))))
        list(store.add_behaviours("v1", ((f"p{i}", "hash", Behaviour(("1",))) for i in range(20))))
    return folder / FILE


def damaged(folder: Path, content: bytes) -> Path:
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(content)
    return folder


def assert_clear(folder: Path) -> None:
    with suppress(StoreError):
        read_all(folder)


class TestDamage:
    @pytest.mark.parametrize("opened", [read_all, open_for_writing])
    @pytest.mark.parametrize("keep", [100, 4096, 20_000])
    def test_a_truncated_file_is_named_with_the_remedy(self, folder, sound, keep, opened):
        with pytest.raises(StoreError, match=rf"{FILE} is damaged or no run file \(.*\). Restore it from a copy"):
            opened(damaged(folder, sound.read_bytes()[:keep]))
        assert (folder / FILE).read_bytes() == sound.read_bytes()[:keep]

    @pytest.mark.parametrize("opened", [read_all, open_for_writing])
    def test_random_bytes_are_named_with_the_remedy(self, folder, opened):
        content = random.Random(0).randbytes(30_000)

        with pytest.raises(StoreError, match="is damaged or no run file"):
            opened(damaged(folder, content))
        assert (folder / FILE).read_bytes() == content

    def test_an_empty_file_is_no_run_to_read(self, folder):
        with pytest.raises(StoreError, match="is no tts run"):
            open_for_reading(damaged(folder, b""))

    @given(st.dictionaries(st.integers(0, 100_000), st.integers(0, 255), min_size=1, max_size=20))
    @settings(max_examples=150, deadline=None)
    def test_changed_bytes_give_other_facts_or_one_clear_error(self, any_folder, sound, changes):
        content = bytearray(sound.read_bytes())
        for place, value in changes.items():
            content[place % len(content)] = value

        assert_clear(damaged(any_folder(), bytes(content)))

    def test_a_page_of_zeros_gives_other_facts_or_one_clear_error(self, any_folder, sound):
        content = sound.read_bytes()
        for start in range(0, len(content), 4096):
            assert_clear(damaged(any_folder(), content[:start] + bytes(4096) + content[start + 4096 :]))

    def test_the_first_page_of_a_table_is_missed_when_opening(self, folder, sound):
        connection = sqlite3.connect(sound)
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'grades'").fetchone()
        connection.close()
        content = bytearray(sound.read_bytes())
        content[(page - 1) * 4096 : page * 4096] = bytes(4096)

        with pytest.raises(StoreError, match="is damaged or no run file"):
            open_for_writing(damaged(folder, bytes(content)))


def fill(folder: Path, count: int = 1000) -> list[Candidate]:
    """Store as many candidates as there is room for; those that were said to be stored."""
    stored = []
    with open_for_writing(folder) as store:
        missing = [i for i in range(count) if ("p", i) not in store.candidate_keys()]
        for candidate in store.add_candidates(Candidate("p", i, f"{i} " * 200) for i in missing):
            stored.append(candidate)
    return stored


class TestFullDisk:
    def test_nothing_stored_is_lost_and_the_run_goes_on_after_space_is_made(self, disk):
        disk.mount("size=400k")
        folder = disk.folder / "run"
        with pytest.raises(StoreError, match=r"cannot be written: .*Nothing stored is lost: free some space and run"):
            fill(folder)
        before = held(folder)
        assert 10 < len(before) < 1000

        disk.mount("size=16m")
        assert len(fill(folder)) == 1000 - len(before)
        assert [c.index for c in held(folder)] == list(range(1000))

    @pytest.mark.parametrize("size", ["4k", "16k", "48k", "80k"])
    def test_a_disk_too_small_to_begin_on(self, disk, size):
        disk.mount(f"size={size}")

        with pytest.raises(StoreError, match=r"cannot be (written|made|opened)"):
            fill(disk.folder / "run")

    def test_a_full_disk_can_be_read(self, disk):
        disk.mount("size=400k")
        with pytest.raises(StoreError):
            fill(disk.folder / "run")
        with pytest.raises(OSError, match="No space left"):
            (disk.folder / "filler").write_bytes(bytes(400_000))

        assert len(held(disk.folder / "run")) > 10
