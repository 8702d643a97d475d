"""What a user may get wrong: one paragraph says what was got and what to do, exit status 2, nothing is lost."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Sequence

import pytest
from support import IDS, Done, bring_up, command, environment, mini_rows, rows_of, tts, write_rows

from tts.errors import UserError
from tts.store import open_for_reading, open_for_writing


def assert_refused(done: Done, *parts: str) -> None:
    """Exit status 2 and, after the progress bars, one paragraph that holds the parts."""
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    assert done.error.startswith("Error: ")
    assert done.err.count("Error: ") == 1
    assert done.error.count("\n") == 1 and done.error.endswith("\n"), done.error
    for part in parts:
        assert part in done.error, done.error


def assert_refused_here(small, *parts: str, overrides: Sequence[str] = ()) -> None:
    """The same in this process, which is quicker: a user's error of one paragraph that holds the parts."""
    with pytest.raises(UserError) as caught:
        bring_up(small, *overrides)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def run(small, *overrides: str, **more) -> Done:
    return tts(small.folder, "run", "config.yaml", *overrides, "--folder", "run", **more)


def held(small) -> list[tuple[str, int]]:
    """What the run holds, read from its file."""
    with open_for_reading(small.folder / "run") as store:
        return [candidate.key for candidate in store.candidates()]


def replace_line(path, number: int, line: str) -> None:
    lines = path.read_text(errors="surrogateescape").splitlines()
    lines[number - 1] = line
    path.write_text("\n".join(lines) + "\n", errors="surrogateescape")


MALFORMED = [
    ('{"question_id": "x"', "not JSON"),
    ("[1, 2]", "a row must be a JSON object, got list"),
    ("\udcff\udcfe", "not JSON"),
    ("[" * 100_000, "not JSON"),
]


class TestMalformedLines:
    @pytest.mark.parametrize(("line", "reason"), MALFORMED)
    def test_of_problems(self, small, line, reason):
        replace_line(small.folder / "problems.jsonl", 2, line)

        assert_refused_here(small, "problems.jsonl, line 2: ", reason)

    @pytest.mark.parametrize(("line", "reason"), MALFORMED[:1])
    def test_of_samples(self, small, line, reason):
        replace_line(small.folder / "samples.jsonl", 5, line)

        assert_refused(run(small), "samples.jsonl, line 5: ", reason, "Mend or delete this line")

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ('{"question_id": "double"}', "code must be str, got nothing"),
            ('{"question_id": "double", "index": 0, "code": 5}', "code must be str, got 5"),
            ('{"question_id": "double", "index": "0", "code": ""}', "index must be int, got '0'"),
            ('{"question_id": "sum-of-tow", "index": 0, "code": ""}', "Did you mean 'sum-of-two'?"),
            ('{"index": 0, "code": ""}', "question_id must be str or int, got nothing"),
            *MALFORMED[:1],
        ],
    )
    def test_of_candidates(self, small, cli, line, reason):
        replace_line(small.folder / "problems.jsonl", 1, json.dumps(mini_rows(IDS[:1])[0]))
        row = {"question_id": IDS[0], "index": 0, "code": ""}
        write_rows(small.folder / "c.jsonl", [row, row])
        replace_line(small.folder / "c.jsonl", 2, line.replace('"double"', f'"{IDS[0]}"'))
        done = cli("grade", "problems.jsonl", "c.jsonl", "--out", "g.jsonl")

        assert_refused(done, "c.jsonl, line 2: ", reason)
        assert not (small.folder / "g.jsonl").exists()

    @pytest.mark.parametrize(
        ("line", "reason"),
        [('{"id": 1, "question": "q"}', "code must be str, got nothing"), *MALFORMED[:1]],
    )
    def test_of_pairs(self, cli, tmp_path, line, reason):
        (tmp_path / "pairs.jsonl").write_text('\n{"id": 0, "question": "q", "code": ""}\n' + line)
        done = cli("score", "pairs.jsonl", "--scorer", "length", "--out", "s.jsonl")

        assert_refused(done, "pairs.jsonl, line 3: ", reason)
        assert not (tmp_path / "s.jsonl").exists()


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("version=2", ["Error: config.yaml has version 2; this tts reads version 1. Install the tts that wrote it"]),
        ("selectors=[argmx]", ["Error: No 'argmx' in tts/select. Did you mean 'argmax'? There are: argmax, codet"]),
        ("gradin.timeout=3", ["Error: No 'gradin' in config.yaml. Did you mean 'grading'? There are: behaviours"]),
        ("generator.n=0", ["In config.yaml: generator.n: ", "greater than or equal to 1, got 0."]),
        ("generator.path=nowhere.jsonl", ["Error: nowhere.jsonl cannot be read: No such file or directory. Give the"]),
    ],
)
def test_the_command_exits_2_with_one_paragraph(small, override, parts):
    assert_refused(run(small, override), *parts)


class TestProblems:
    def test_without_tests_are_found_before_anything_is_sampled(self, small):
        row = mini_rows(IDS[1:2])[0] | {"public_test_cases": "[]", "private_test_cases": "[]"}
        replace_line(small.folder / "problems.jsonl", 2, json.dumps(row))

        assert_refused(run(small), "line 2 (io-add-two): no tests, neither public nor private", "Add some or delete")
        assert not (small.folder / "run").exists()

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"question_id": None}, "question_id is missing"),
            ({"question_content": ""}, "question_content is missing"),
            ({"question_id": IDS[0]}, f"the id '{IDS[0]}' is there twice"),
            ({"question_id": "\ud800"}, "is no Unicode text"),
            ({"metadata": "{"}, "metadata is not JSON"),
            ({"public_test_cases": '[{"input": "1", "output": 2}]'}, "input and output must be strings"),
            ({"public_test_cases": '[{"input": "1", "testtype": "stdin"}]'}, "a test has no 'output'"),
            ({"public_test_cases": '[{"input": "1", "output": "", "testtype": "shell"}]'}, "got 'shell'"),
        ],
    )
    def test_that_are_no_rows(self, small, changes, reason):
        replace_line(small.folder / "problems.jsonl", 3, json.dumps(mini_rows(IDS[2:])[0] | changes))

        assert_refused_here(small, "problems.jsonl, line 3", reason)

    @pytest.mark.parametrize(
        ("override", "parts"),
        [
            (
                "benchmark.path=nowhere.jsonl",
                ["nowhere.jsonl cannot be read: No such file", "Give the path of a JSONL"],
            ),
            ("benchmark.ids=[sum-of-tow]", ["No 'sum-of-tow'", "Did you mean 'sum-of-two'?"]),
            ("benchmark.difficulty=[impossible]", ["No problem of", "passes the filters. Widen"]),
            ("benchmark.limit=0", ["benchmark.limit must be at least 1, got 0"]),
        ],
    )
    def test_that_are_not_there(self, small, override, parts):
        assert_refused_here(small, *parts, overrides=[override])


class TestSamples:
    @pytest.mark.parametrize(
        ("override", "parts"),
        [
            ("generator.path=nowhere.jsonl", ["nowhere.jsonl cannot be read: No such file"]),
            (
                "generator.n=5",
                [f"Only 4 samples of problem '{IDS[0]}' exist and generator.n is 5", "Set generator.n=4"],
            ),
            ("generator.n=0", ["generator.n: input should be greater than or equal to 1, got 0"]),
        ],
    )
    def test_that_are_not_there(self, small, override, parts):
        assert_refused_here(small, *parts, overrides=[override])

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"index": -1}, "index must be from 0 to"),
            ({"index": 2**63}, "index must be from 0 to"),
            ({"index": 1}, "is there twice. Delete one"),
            ({"tokens": -5}, "tokens must be from 0 to"),
            ({"logprob": float("inf")}, "logprob must be a finite number, got inf"),
            ({"logprob": float("nan")}, "logprob must be a finite number, got nan"),
            ({"logprob": 10**400}, "logprob must be a finite number"),
            ({"logprob": "high"}, "logprob must be int or float, got 'high'"),
            ({"text": 5}, "text must be str, got 5"),
        ],
    )
    def test_that_are_no_rows(self, small, changes, reason):
        row = rows_of(small.folder / "samples.jsonl")[2] | changes
        replace_line(small.folder / "samples.jsonl", 3, json.dumps(row))

        assert_refused_here(small, "samples.jsonl, line 3: ", reason)

    def test_that_lack_a_problem(self, small):
        rows = [row for row in rows_of(small.folder / "samples.jsonl") if row["question_id"] != IDS[1]]
        write_rows(small.folder / "samples.jsonl", rows)

        assert_refused(run(small), f"has no sample of problem '{IDS[1]}'. Add some or narrow benchmark.ids")


class TestConfig:
    @pytest.mark.parametrize(
        ("overrides", "parts"),
        [
            (["version=2"], ["has version 2; this tts reads version 1", "Install the tts that wrote it"]),
            (["generator.name=repaly"], ["No 'repaly' in tts/generate", "Did you mean 'replay'?"]),
            (["benchmark.name=jsonll"], ["No 'jsonll' in tts/problems", "Did you mean 'jsonl'?"]),
            (["scorers=[lenght]"], ["No 'lenght' in tts/score", "Did you mean 'length'?"]),
            (["selectors=[argmx]"], ["No 'argmx' in tts/select", "Did you mean 'argmax'?", "majority"]),
            (["selectors=['nowhere:Class']"], ["'nowhere:Class' cannot be imported", "Install it or set PYTHONPATH"]),
            (["selectors=['json:loads']"], ["'json:loads' is not a dataclass"]),
            (["gradin.timeout=3"], ["No 'gradin' in ", "Did you mean 'grading'?"]),
            (["grading.tiemout=3"], ["No 'grading.tiemout'", "Did you mean 'grading.timeout'?"]),
            (["generator.pth=x"], ["No 'generator.pth' in the options of generator", "Did you mean 'generator.path'?"]),
            (["grading.timeout=soon"], ["grading.timeout: ", "got 'soon'"]),
            (["grading.timeout=.inf"], ["grading.timeout: ", "got inf"]),
            (["scorers=[length, length]"], ["scorers has 'length' twice", "Give one of them a `label:`"]),
            (["seed"], ["An override is key.sub=value, got 'seed'"]),
            (["seed={"], ["'seed={' is not readable YAML"]),
            (["scorers.7.name=length"], ["'7' is not a position in a list of 2"]),
            (["generator={name: 'test_pipeline:Logged'}"], ["generator.n is missing", "for example generator.n=8"]),
        ],
    )
    def test_that_cannot_be_used(self, small, overrides, parts):
        assert_refused_here(small, *parts, overrides=overrides)

    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            ("benchmark: [", ["is not readable YAML"]),
            ("- a\n- b\n", ["config.yaml must be a mapping with benchmark, generator"]),
            ("", ["config.yaml must be a mapping"]),
            ("seed: 1\nseed: 2\n", ["the key 'seed' is given twice"]),
        ],
    )
    def test_that_is_none(self, small, text, parts):
        (small.folder / "config.yaml").write_text(text)

        assert_refused_here(small, *parts)

    @pytest.mark.parametrize(("name", "why"), [("nowhere.yaml", "No such file or directory"), (".", "Is a directory")])
    def test_that_is_not_there(self, cli, name, why):
        assert_refused(cli("run", name), f"The config {name} cannot be read: {why}. Give the path of a YAML file")

    def test_of_another_version_in_a_run(self, small, cli):
        bring_up(small, "benchmark.limit=1")
        with open_for_reading(small.folder / "run") as store:
            text = store.meta("config")
        change = "UPDATE meta SET value = ? WHERE key = 'config'"
        _execute(small.folder / "run", change, json.dumps(text.replace("version: 1", "version: 7")))

        assert_refused(cli("report", "run"), "The config stored in run has version 7", "Install the tts that wrote it")
        assert len(held(small)) == 4


def _execute(folder, statement: str, *values: str) -> None:
    connection = sqlite3.connect(folder / "run.sqlite")
    with connection:
        connection.execute(statement, values)
    connection.close()


class TestModels:
    def test_a_missing_folder_of_a_scorer_is_found_before_anything_is_sampled(self, small):
        done = run(small, "scorers=[{name: codescaler, model: ./nowhere}]")

        assert_refused(done, "No model folder './nowhere'. Give a folder, a hub name")
        assert not (small.folder / "run").exists()

    def test_a_missing_folder_of_a_generator(self, small):
        done = run(small, "generator={name: transformers, model: ./nowhere, n: 1}")

        assert_refused(done, "No model folder './nowhere'. Give a folder, a hub name")

    def test_a_folder_without_a_model(self, small):
        (small.folder / "empty").mkdir()
        done = run(small, "generator={name: transformers, model: ./empty, n: 1}")

        assert_refused(done, "The model folder empty has no config.json", "Give a Hugging Face folder")


class TestRunFolders:
    @pytest.fixture
    def corrupt(self, finished, small):
        """The small benchmark's finished run with random bytes where its file was."""
        shutil.copytree(finished / "run", small.folder / "run")
        (small.folder / "run" / "run.sqlite").write_bytes(random.Random(0).randbytes(20_000))
        return small

    @pytest.mark.parametrize(
        "arguments",
        [
            ["run", "config.yaml", "--folder", "run"],
            ["report", "run"],
            ["report", "run", "--json"],
            ["export", "run", "--to", "rows.jsonl"],
            ["compare", "run", "run"],
        ],
    )
    def test_with_a_corrupt_file(self, corrupt, cli, arguments):
        before = (corrupt.folder / "run" / "run.sqlite").read_bytes()

        assert_refused(cli(*arguments), "run/run.sqlite is damaged or no run file", "Restore it from a copy, or give")
        assert (corrupt.folder / "run" / "run.sqlite").read_bytes() == before

    @pytest.mark.parametrize("arguments", [["report"], ["export", "--to", "rows.jsonl"]])
    def test_that_are_none(self, cli, tmp_path, arguments):
        (tmp_path / "empty").mkdir()

        for name in ("empty", "nowhere"):
            assert_refused(cli(*arguments, name), f"{name} is no run folder", "Give a folder that `tts run` made")

    def test_whose_run_never_began(self, small, cli):
        with open_for_writing(small.folder / "run"):
            pass

        assert_refused(
            cli("report", "run"), "run holds no config: its run stopped before it began. Run `tts run` on it"
        )

    def test_that_are_a_file(self, small, cli):
        done = cli("run", "config.yaml", "--folder", "config.yaml")

        assert_refused(done, "The run folder config.yaml cannot be made: File exists. Give another --folder")

    def test_that_another_run_uses(self, small):
        generator = {"name": "test_pipeline:Logged", "n": 1, "seconds": 30}
        small.write(generator=generator, selectors=["argmax"])
        arguments = command("run", "config.yaml", "--folder", "run")
        first = subprocess.Popen(arguments, cwd=small.folder, env=environment(), stderr=subprocess.PIPE, text=True)
        while not (small.folder / "run" / "run.sqlite").exists():
            assert first.poll() is None
        try:
            assert_refused(run(small), "run is in use by another tts. Wait for it to end, or give another --folder")
        finally:
            first.send_signal(signal.SIGINT)
            first.communicate()
        assert first.returncode == 130


def wide_samples(small) -> None:
    """Samples of 40 kB each, so that a small disk is full after a few."""
    rows = [row | {"text": row["text"] + "x" * 40_000} for row in rows_of(small.folder / "samples.jsonl")]
    write_rows(small.folder / "samples.jsonl", rows)


class TestFullDisk:
    def test_loses_nothing_and_the_same_command_continues(self, small, disk, cli):
        wide_samples(small)
        disk.mount("size=400k")
        place = disk.folder / "run"
        assert_refused(
            cli("run", "config.yaml", "--folder", place), "cannot be written", "free some space and run the same"
        )
        with open_for_reading(place) as store:
            before = store.candidate_keys()
        assert 0 < len(before) < 12

        disk.mount("size=8m")
        done = cli("run", "config.yaml", "--folder", place)
        assert done.code == 0, done.err
        cli("export", place, "--to", "rows.jsonl")
        rows = rows_of(small.folder / "rows.jsonl")
        assert len(rows) == 12 and all(row["verdict"] for row in rows)

    def test_that_has_no_room_for_the_report_keeps_the_run(self, small, disk, cli):
        disk.mount("size=8m")
        bring_up(small, folder="disk/run")
        free = os.statvfs(disk.folder).f_bavail * 4096
        (disk.folder / "filler").write_bytes(bytes(free - 100_000))

        assert_refused(cli("report", "disk/run"), "disk/run cannot be written: No space", "run `tts report disk/run`")
        (disk.folder / "filler").unlink()
        assert cli("report", "disk/run").code == 0
        assert (disk.folder / "run" / "report.html").exists()

    def test_with_a_limit_on_the_size_of_files(self, small):
        wide_samples(small)
        assert_refused(run(small, ulimit="-f 400"), "run cannot be written", "Nothing stored is lost: free some space")
        before = held(small)
        assert 0 < len(before) < 12

        bring_up(small)
        assert set(before) < set(held(small))

    def test_for_grades(self, small, disk, cli):
        disk.mount("size=4k")
        candidates = [{"question_id": IDS[0], "index": index, "code": "x"} for index in range(100)]
        write_rows(small.folder / "c.jsonl", candidates)
        done = cli("grade", "problems.jsonl", "c.jsonl", "--out", disk.folder / "g.jsonl")

        assert_refused(done, "g.jsonl cannot be written: No space left on device. Free some space, or give another")
        assert list(disk.folder.iterdir()) == []


class TestOutputs:
    @pytest.mark.parametrize("out", ["/proc/nowhere/g.jsonl", "config.yaml/g.jsonl", ".", "/dev/null"])
    def test_that_cannot_be_written_are_found_before_grading(self, small, cli, out):
        code = "while True: pass"
        write_rows(small.folder / "c.jsonl", [{"question_id": IDS[0], "index": 0, "code": code}])
        done = cli("grade", "problems.jsonl", "c.jsonl", "--out", out)

        remedy = "Give the path of a file to write" if out in (".", "/dev/null") else "give another file to write"
        assert_refused(done, f"{out} cannot be written", remedy)
        assert "1/1" not in done.err

    @pytest.mark.parametrize("end", ["", "-wal"])
    def test_that_are_the_file_of_verdicts_are_refused_and_nothing_is_made(self, small, cli, end):
        done = cli("grade", "problems.jsonl", "samples.jsonl", "--out", f"kept{end}", "--cache", "kept")

        assert_refused(done, f"--out kept{end} is or goes with kept, the file of verdicts")
        assert not list(small.folder.glob("kept*"))

    def test_of_score_too(self, cli, tmp_path):
        write_rows(tmp_path / "pairs.jsonl", [{"id": 0, "question": "q", "code": "x"}])

        assert_refused(cli("score", "pairs.jsonl", "--scorer", "length", "--out", "/proc/s.jsonl"), "cannot be written")

    def test_leave_what_was_there_when_the_input_is_bad(self, small, cli):
        (small.folder / "g.jsonl").write_text("of before")
        write_rows(small.folder / "c.jsonl", [{}])

        assert_refused(cli("grade", "problems.jsonl", "c.jsonl", "--out", "g.jsonl"), "c.jsonl, line 1")
        assert (small.folder / "g.jsonl").read_text() == "of before"

    def test_of_compare(self, finished, small, cli):
        done = cli("compare", finished / "run", finished / "run", "--to", "config.yaml")

        assert_refused(done, "config.yaml cannot be written: File exists. Give another --to")


@pytest.mark.parametrize("name", ["nowhere.jsonl", "."])
def test_candidates_that_cannot_be_read(small, cli, name):
    done = cli("grade", "problems.jsonl", name, "--out", "g.jsonl")

    assert_refused(done, f"{name} cannot be read", "Give the path of a JSONL file")


def test_an_output_that_is_an_input_is_refused_and_left_alone(small, cli):
    problems = small.folder / "problems.jsonl"
    before = problems.read_bytes()
    done = cli("grade", "problems.jsonl", "samples.jsonl", "--out", "problems.jsonl")
    assert_refused(done, "--out problems.jsonl is the input problems.jsonl")
    assert problems.read_bytes() == before
