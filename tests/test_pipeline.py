"""Runs: what is there is not done again, and however a run was stopped it ends with the same rows."""

import json
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import IDS, SELECTORS, Small, bring_up, command, environment, programs, rows_of, tts, write_rows

from tts import export
from tts.errors import ModelError, StoreError
from tts.grade import Undecided
from tts.pipeline import unsettled
from tts.plugins import FREE
from tts.store import SCHEMAS, open_for_reading
from tts.types import Candidate, Problem, Score

TABLES = ("problems", "candidates", "scores", "grades", "behaviours")


@dataclass(frozen=True)
class Logged:
    """A deterministic generator that writes down what it is asked for and takes its time over each candidate."""

    seed: int = 0
    temperature: float = 1.0
    log: str = field(default="", metadata=FREE)
    seconds: float = field(default=0.0, metadata=FREE)

    def generate(self, wanted: Sequence[tuple[Problem, int]]) -> Iterator[Candidate]:
        for problem, index in wanted:
            time.sleep(self.seconds)
            note(self.log, [problem.id, index])
            code = programs(problem.id)[index % 4]
            text = f"```python\n{code}# {index} takes a while\nimport time\ntime.sleep({self.seconds / 8})\n```"
            yield Candidate(problem.id, index, text, prompt_tokens=7, tokens=index, logprob=-index / 8)


@dataclass(frozen=True)
class Missing:
    """A generator whose model is not there, which it finds out when it is first used."""

    def generate(self, wanted: Sequence[tuple[Problem, int]]) -> Iterator[Candidate]:
        raise ModelError("No model folder 'nowhere'.")
        yield


@dataclass(frozen=True)
class LoggedScorer:
    """A deterministic scorer of the same kind."""

    sign: int = 1
    log: str = field(default="", metadata=FREE)
    seconds: float = field(default=0.0, metadata=FREE)

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        for _, candidate in pairs:
            time.sleep(self.seconds)
            note(self.log, [candidate.problem_id, candidate.index])
            yield Score(*candidate.key, self.sign * (candidate.index * 7 % 5))


def note(log: str, entry: object) -> None:
    if log:
        with open(log, "a") as file:
            file.write(json.dumps(entry) + "\n")


@pytest.fixture
def logged(small: Small) -> Small:
    """The small benchmark with the generator and a scorer that write down what they are asked for."""
    folder = small.folder
    generator = {"name": "test_pipeline:Logged", "n": 2, "log": str(folder / "generated.jsonl")}
    scorer = {"name": "test_pipeline:LoggedScorer", "label": "first", "log": str(folder / "scored.jsonl")}
    small.config.update(generator=generator, scorers=[scorer], selectors=["argmax"])
    small.write()
    return small


@pytest.fixture
def run(small: Small) -> Callable[..., None]:
    """Brings the run in the folder `run` up to the config."""
    return lambda *overrides: bring_up(small, *overrides)


def rows(folder: Path) -> list[str]:
    """A run's exported rows without what was measured, which no two runs share."""
    with open_for_reading(folder) as store:
        export.export(store, folder / "exported.jsonl", "rows")
    found = rows_of(folder / "exported.jsonl")
    for row in found:
        del row["seconds"], row["wall_seconds"], row["peak_mib"]
    return [json.dumps(row) for row in found]


def asked(folder: Path, kind: str = "generated") -> list[tuple[str, int]]:
    """What a plug-in was asked for since the last look."""
    log = folder / f"{kind}.jsonl"
    entries = [(name, index) for name, index in rows_of(log)] if log.exists() else []
    log.unlink(missing_ok=True)
    return entries


def facts(folder: Path) -> dict[str, list[Any]]:
    """Every row of every table of facts, with the measured seconds, which would change if a thing were done again."""
    connection = sqlite3.connect(folder / "run" / "run.sqlite")
    try:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall() for table in TABLES}
    finally:
        connection.close()


def in_format(path: Path, version: int) -> None:
    """Rewrite a run's file as one of an older format, without what that could not hold."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in SCHEMAS[version]:
            table = statement.split()[2]
            connection.execute(f"ALTER TABLE {table} RENAME TO later_{table}")
            connection.execute(statement)
            columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))
            connection.execute(f"INSERT INTO {table} SELECT {columns} FROM later_{table}")
            connection.execute(f"DROP TABLE later_{table}")
        connection.execute("DROP TABLE spent")
        connection.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (str(version),))
        connection.commit()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class TestOnlyWhatIsMissing:
    def test_a_finished_run_does_nothing_again(self, logged, run):
        run()
        before, _, _ = facts(logged.folder), asked(logged.folder), asked(logged.folder, "scored")
        run()

        assert facts(logged.folder) == before
        assert asked(logged.folder) == asked(logged.folder, "scored") == []

    def test_raising_n_asks_for_the_new_indices_only(self, logged, run):
        run()
        before, _, _ = facts(logged.folder), asked(logged.folder), asked(logged.folder, "scored")
        run("generator.n=4")

        new = sorted((name, index) for name in IDS for index in (2, 3))
        assert sorted(asked(logged.folder)) == sorted(asked(logged.folder, "scored")) == new
        after = facts(logged.folder)
        assert all(set(before[table]) <= set(after[table]) for table in TABLES)
        assert len(after["candidates"]) == 12

    def test_lowering_n_removes_nothing(self, logged, run):
        run()
        before = facts(logged.folder)
        run("generator.n=1")

        assert facts(logged.folder) == before

    def test_adding_a_scorer_only_scores(self, logged, run):
        run()
        before, _, _ = facts(logged.folder), asked(logged.folder), asked(logged.folder, "scored")
        second = logged.config["scorers"][0] | {"label": "second", "sign": -1}
        logged.write(scorers=[*logged.config["scorers"], second])
        run()

        after = facts(logged.folder)
        assert sorted(asked(logged.folder, "scored")) == sorted((name, index) for name in IDS for index in (0, 1))
        assert asked(logged.folder) == []
        assert {table for table in TABLES if after[table] != before[table]} == {"scores"}
        assert len(after["scores"]) == 12

    def test_a_scorer_under_another_label_is_the_same_scorer(self, logged, run):
        run()
        asked(logged.folder, "scored")
        run("scorers.0.label=renamed")

        assert asked(logged.folder, "scored") == []

    def test_adding_a_selector_that_needs_behaviours_only_observes(self, logged, run):
        run()
        before = facts(logged.folder)
        logged.write(selectors=["argmax", "majority"])
        run()

        after = facts(logged.folder)
        assert {table for table in TABLES if after[table] != before[table]} == {"behaviours"}

    def test_adding_problems_only_does_those(self, logged, run):
        run("benchmark.limit=2")
        before, _ = facts(logged.folder), asked(logged.folder)
        run()

        assert asked(logged.folder) == [(IDS[2], 0), (IDS[2], 1)]
        after = facts(logged.folder)
        assert all(set(before[table]) <= set(after[table]) for table in TABLES)

    def test_other_limits_grade_anew_and_nothing_else(self, logged, run):
        run()
        before = facts(logged.folder)
        run("grading.timeout=3")

        after = facts(logged.folder)
        assert {table for table in TABLES if after[table] != before[table]} == {"grades"}
        assert set(before["grades"]) < set(after["grades"])

    @pytest.mark.parametrize("version", [1, 2])
    def test_a_run_of_a_format_before_is_continued_without_doing_anything_again(self, logged, run, version):
        run("generator.n=1")
        in_format(logged.folder / "run" / "run.sqlite", version)
        before, _ = facts(logged.folder), asked(logged.folder)
        run("generator.n=2")

        assert asked(logged.folder) == [(name, 1) for name in IDS]
        after = facts(logged.folder)
        kept = {"scores": 5, "grades": 8}  # columns that every format has
        for table in TABLES:
            width = kept.get(table)
            assert {row[:width] for row in before[table]} <= {row[:width] for row in after[table]}

    def test_identical_programs_are_graded_once(self, logged, run):
        rows = [{"question_id": IDS[0], "index": index, "code": programs(IDS[0])[index % 2]} for index in range(10)]
        (logged.folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        logged.write(
            benchmark=logged.config["benchmark"] | {"limit": 1},
            generator={"name": "replay", "path": str(logged.folder / "samples.jsonl")},
            selectors=["majority"],
        )
        run()

        assert [len(facts(logged.folder)[table]) for table in ("candidates", "grades", "behaviours")] == [10, 2, 2]


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("seed=1", "seed"),
        ("prompt.system=Be brief.", "prompt.system"),
        ("prompt.extraction=codescaler", "prompt.extraction"),
        ("generator.temperature=0.5", "generator.temperature"),
        ("generator.seed=5", "seed"),
        ("generator={name: replay, path: SAMPLES}", "generator.name"),
        ("benchmark.name=livecodebench", "benchmark.name"),
    ],
)
def test_other_samples_are_refused_by_the_key_that_differs(logged, run, override, key):
    run("generator.n=1")
    before = contents(logged.folder / "run")

    with pytest.raises(StoreError, match=rf"was run with {key} = .*: set {key} back, or give another --folder"):
        run(override.replace("SAMPLES", str(logged.folder / "samples.jsonl")))
    assert contents(logged.folder / "run") == before


def test_a_refused_run_exits_2_and_changes_nothing(logged, run):
    run("generator.n=1")
    before = contents(logged.folder / "run")
    done = tts(logged.folder, "run", "config.yaml", "seed=1", "--folder", "run")

    assert done.code == 2
    assert done.error.startswith("Error: run was run with seed = 0; now it is 1.")
    assert contents(logged.folder / "run") == before


def test_a_changed_problem_is_refused_by_its_name(logged, run):
    run("generator.n=1")
    path = logged.folder / "problems.jsonl"
    path.write_text(path.read_text().replace("Return their sum.", "Return their product."))
    before = contents(logged.folder / "run")

    with pytest.raises(StoreError, match=f"Problem '{IDS[0]}' is not what it was"):
        run("generator.n=1")
    assert contents(logged.folder / "run") == before


def test_other_tests_of_a_problem_are_said_and_its_samples_graded_anew(logged, run, caplog):
    run("generator.n=1")
    path = logged.folder / "problems.jsonl"
    before, first = facts(logged.folder), rows_of(path)[0]
    tests = [test | {"output": f"{test['output']}1"} for test in json.loads(first["public_test_cases"])]
    write_rows(path, [first | {"public_test_cases": json.dumps(tests)}, *rows_of(path)[1:]])
    run("generator.n=1")

    assert "The tests of 1 problem are not what they were when" in caplog.text and f"({IDS[0]})" in caplog.text
    after = facts(logged.folder)
    assert [after[table] == before[table] for table in ("candidates", "grades")] == [True, False]
    caplog.clear()
    run("generator.n=1")
    assert "not what they were" not in caplog.text


def test_a_run_that_could_not_sample_may_be_corrected(logged, run):
    with pytest.raises(ModelError, match="nowhere"):
        run("generator={name: test_pipeline:Missing, n: 1}")
    run("generator.n=1")

    assert len(facts(logged.folder)["candidates"]) == 3


def test_a_run_in_steps_exports_the_same_bytes_as_one_at_once(logged, run):
    for step in ("benchmark.limit=1", "benchmark.limit=2", "generator.n=3", "generator.n=4"):
        run(step)
    bring_up(logged, "generator.n=4", folder="once")

    assert rows(logged.folder / "run") == rows(logged.folder / "once")


@pytest.fixture
def slow(logged: Small) -> Small:
    """The same, with every candidate, score and program taking a while."""

    def slowly(n: int) -> Small:
        logged.config["generator"].update(n=n, seconds=0.04)
        logged.config["scorers"][0].update(seconds=0.02)
        logged.config["selectors"] = list(SELECTORS)
        logged.write()
        return logged

    return slowly


def start(folder: Path) -> subprocess.Popen[str]:
    arguments = command("run", "config.yaml", "--folder", "run")
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(arguments, cwd=folder, env=environment(), text=True, **pipes)


def wait_for_rows(folder: Path, table: str, count: int) -> None:
    """Wait until so many rows of a table are stored."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if len(facts(folder)[table]) >= count:
                return
        except sqlite3.OperationalError:  # not begun yet
            pass
        time.sleep(0.01)
    raise AssertionError(f"no {table}")


LONG = pytest.mark.long


STAGES = ["candidates", "scores", "grades", "behaviours"]


@pytest.mark.parametrize("stage", [pytest.param(s, marks=LONG) if s in STAGES[1::2] else s for s in STAGES])
def test_an_interrupted_run_says_how_to_continue_and_continues(slow, run, stage):
    folder = slow(8).folder
    process = start(folder)
    wait_for_rows(folder, stage, 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    stored = facts(folder)

    assert process.returncode == 130
    assert "Traceback" not in err
    assert "Stopped. What was finished is stored. To continue: tts run config.yaml --folder run" in err
    assert 3 <= len(stored[stage]) < 24
    run()
    after = facts(folder)
    assert all(set(stored[table]) <= set(after[table]) for table in TABLES)
    assert [len(after[table]) for table in TABLES] == [3, 24, 24, 24, 24]
    assert Counter(asked(folder)) == Counter((name, index) for name in IDS for index in range(8))


def test_a_kill_loses_nothing_that_was_finished(slow):
    folder = slow(8).folder
    process = start(folder)
    wait_for_rows(folder, "candidates", 6)
    process.kill()
    process.communicate()

    finished = len(rows_of(folder / "generated.jsonl"))
    assert finished - 1 <= len(facts(folder)["candidates"]) <= finished


def kill_often(folder: Path, kills: int, longest: float) -> Counter[str]:
    """Start the run again and again and kill it after random times, the first ones early, since what a run has stored
    it does not do again; how many kills came in which stage.
    """
    rng, stages = random.Random(kills), Counter[str]()
    for i in range(kills):
        process = start(folder)
        try:
            process.communicate(timeout=rng.uniform(0.05, longest * min(1.0, (i + 1) / (kills / 2))))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            stages[stage_of(folder)] += 1
    return stages


def seconds_of(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def stage_of(folder: Path) -> str:
    """The last stage that has stored something."""
    try:
        found = facts(folder)
    except sqlite3.OperationalError:
        return "begin"
    return next((name for name in reversed(TABLES) if found[name]), "begin")


@pytest.mark.parametrize(
    ("kills", "n", "stages"),
    [(8, 6, 2), pytest.param(30, 32, 3, marks=LONG)],
)
def test_kills_at_random_moments_end_with_the_rows_of_an_undisturbed_run(slow, run, kills, n, stages):
    small = slow(n)
    work = seconds_of(lambda: bring_up(small, folder="undisturbed"))
    begin = seconds_of(lambda: tts(small.folder, "sandbox-check"))  # which every run begins with
    asked(small.folder)

    killed = kill_often(small.folder, kills, longest=2 * begin + 2 * work / kills)
    run()

    found = rows(small.folder / "run")
    assert found == rows(small.folder / "undisturbed")
    assert len(found) == 3 * n
    again = Counter(asked(small.folder)) - Counter((name, index) for name in IDS for index in range(n))
    assert again.total() <= killed.total()  # what was in flight at each kill
    assert len(killed) >= stages, killed


@dataclass(frozen=True)
class Forgetful:
    """A generator that loses one candidate of each problem, and an outside plug-in."""

    def generate(self, wanted):
        for problem, index in wanted:
            if index != 1:
                yield Candidate(problem.id, index, "print(1)", "print(1)")


def test_a_generator_that_yields_too_little_is_a_failure_and_what_came_is_kept(small):
    small.write(generator={"name": "test_pipeline:Forgetful", "n": 3})
    done = tts(small.folder, "run", "config.yaml", "--folder", "run")
    assert done.code == 1
    assert "yielded nothing for 3 candidates" in done.err
    with open_for_reading(small.folder / "run") as store:
        assert len(store.candidate_keys()) == 6


def test_samples_that_changed_in_their_file_are_refused(small):
    assert tts(small.folder, "run", "config.yaml", "--folder", "run").code == 0
    path = small.folder / "samples.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0] |= {"code": "print('other')", "text": "print('other')"}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = tts(small.folder, "run", "config.yaml", "--folder", "run")
    assert done.code == 2
    assert f"Sample {rows[0]['index']} of problem {rows[0]['question_id']!r} is not the one" in done.error


def test_a_samples_file_may_move(small):
    assert tts(small.folder, "run", "config.yaml", "--folder", "run").code == 0
    (small.folder / "samples.jsonl").rename(small.folder / "moved.jsonl")
    done = tts(small.folder, "run", "config.yaml", "generator.path=moved.jsonl", "--folder", "run")
    assert done.code == 0, done.err


def test_the_report_follows_the_config_s_problems(small):
    assert tts(small.folder, "run", "config.yaml", "--folder", "run").code == 0
    narrowed = ["benchmark.limit=1", "scorers=[length]", "selectors=[argmax]"]
    assert tts(small.folder, "run", "config.yaml", *narrowed, "--folder", "run").code == 0
    (one,) = json.loads(tts(small.folder, "report", "run", "--json").out)["runs"]
    assert one["problems"] == 1
    assert tts(small.folder, "run", "config.yaml", "--folder", "run").code == 0
    (one,) = json.loads(tts(small.folder, "report", "run", "--json").out)["runs"]
    assert one["problems"] == 3


def test_the_stored_config_writes_out_every_default(small):
    assert tts(small.folder, "run", "config.yaml", "--folder", "run").code == 0
    kept = yaml.safe_load((small.folder / "run" / "config.yaml").read_text())
    threshold = next(item for item in kept["selectors"] if item["name"] == "threshold")
    assert threshold["then"] == "majority"
    assert threshold["mode"] == "relative"


def test_a_run_whose_growth_is_interrupted_still_reports_what_was_complete(small):
    bring_up(small, "generator.n=2")
    bring_up(small, folder="whole")
    (before,) = json.loads(tts(small.folder, "report", "run", "--json").out)["runs"]
    db = sqlite3.connect(small.folder / "run" / "run.sqlite")
    with db:  # two new samples of one problem, as a run leaves them that was stopped before it graded
        db.execute("ATTACH ? AS whole", (str(small.folder / "whole" / "run.sqlite"),))
        db.execute("INSERT INTO candidates SELECT * FROM whole.candidates WHERE problem_id = ? AND idx >= 2", (IDS[0],))
    db.close()
    assert before["problems"] == 3
    assert json.loads(tts(small.folder, "report", "run", "--json").out)["runs"] == [before]


def test_a_run_keeps_to_a_problems_own_tolerance_and_shows_how_a_public_test_differs(small: Small):
    case = {"input": "", "output": "0.5", "testtype": "stdin"}
    tests = {"public_test_cases": json.dumps([case]), "private_test_cases": json.dumps([case])}
    problems = [
        {"question_id": "near", "question_content": "Print a half.", "metadata": {"tolerance": 0.01}, **tests},
        {"question_id": "exact", "question_content": "Print a half.", **tests},
    ]
    write_rows(small.folder / "problems.jsonl", problems)
    samples = [{"question_id": name, "index": 0, "code": "print(0.501)"} for name in ("near", "exact")]
    write_rows(small.folder / "samples.jsonl", samples)
    small.write(scorers=[], selectors=["random"])
    bring_up(small)
    with open_for_reading(small.folder / "run") as store:
        export.export(store, small.folder / "rows.jsonl", "rows")

    found = {row["question_id"]: row for row in rows_of(small.folder / "rows.jsonl")}
    assert (found["near"]["verdict"], found["near"]["diff"]) == ("passed", "")
    assert (found["exact"]["verdict"], found["exact"]["failed_test"]) == ("wrong_answer", 0)
    assert found["exact"]["diff"].endswith("\n-0.5\n+0.501")


def test_what_could_not_be_decided_is_counted_for_what_it_is():
    lost, other = Undecided("p", "", "it died", index=2), Undecided("p", "", "it died", index=3)
    program = Undecided("q", "abc", "no cell")
    assert str(unsettled([lost])) == (
        "1 candidate could not be drawn or scored, because our own machinery failed; 1 problem is left out of the "
        "report. Run the same command again to try once more. p: it died"
    )
    assert str(unsettled([program, program])).startswith("1 program could not be run, because ")
    assert str(unsettled([lost, other, program])).startswith(
        "2 candidates could not be drawn or scored and 1 program could not be run, because our own machinery failed; "
        "2 problems are left out of the report. "
    )
    assert str(unsettled([lost, other, program])).endswith("The first: p: it died")
