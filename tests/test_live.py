"""How far a run is, seen from outside: what is stored of what is asked for, and whether anybody works on it."""

import subprocess
from pathlib import Path

import pytest
from rich.console import Console
from support import Small, bring_up, command, own_cache, tts

from tts import config as configs
from tts import live
from tts.errors import StoreError
from tts.pipeline import build
from tts.store import is_being_written, open_for_reading, open_for_writing
from tts.types import Candidate


def test_a_finished_run_is_complete_and_nobody_works_on_it(small: Small) -> None:
    bring_up(small)
    found = live.look(small.folder / "run")

    assert [(stage.name, stage.done, stage.total) for stage in found.stages] == [
        ("generate", 12, 12),
        ("score likelihood", 12, 12),
        ("score length", 12, 12),
        ("grade", 12, 12),
        ("behaviours", 12, 12),
    ]
    assert found.complete and not found.at_work
    assert found.verdicts == {"passed": 3, "wrong_answer": 9}


def test_a_run_that_asks_for_more_than_it_has_is_not_complete(small: Small) -> None:
    small.write(selectors=["argmax"])
    bring_up(small, "generator.n=2")
    with open_for_writing(small.folder / "run") as store:
        config = configs.load(small.folder / "config.yaml", ["generator.n=4"])
        store.set_meta({"config": config.resolved().dump()})
        while_open = live.look(small.folder / "run")
    after = live.look(small.folder / "run")

    assert after.stages[0] == live.Stage("generate", 6, 12)
    assert "behaviours" not in [stage.name for stage in after.stages]
    assert (while_open.at_work, after.at_work) == (True, False)
    assert not after.complete


def test_a_run_that_a_policy_shortened_is_complete(small: Small) -> None:
    bring_up(small, "stopping={name: fixed, k: 2, ahead: 0}")
    found = live.look(small.folder / "run")

    assert found.stages[0] == live.Stage("generate", 6, 6)
    assert found.complete


def test_programs_are_counted_once_however_often_they_were_sampled(small: Small) -> None:
    bring_up(small)
    with open_for_writing(small.folder / "run") as store:
        problem = store.problems()[0]
        twice = next(c for c in store.candidates() if c.problem_id == problem.id)
        again = Candidate(problem.id, 99, twice.text, twice.code, twice.extraction)
        for _ in store.add_candidates([again]):
            pass
    stages = {stage.name: stage for stage in live.look(small.folder / "run").stages}

    assert (stages["generate"].done, stages["generate"].total) == (13, 13)
    assert (stages["grade"].done, stages["grade"].total) == (12, 12)
    assert (stages["score length"].done, stages["score length"].total) == (12, 13)


def test_what_is_counted_is_what_is_stored(small: Small) -> None:
    bring_up(small)
    parts = build(configs.load(small.folder / "config.yaml"))
    with open_for_reading(small.folder / "run") as store:
        grader = store.meta("grader")
        found = store.counts(grader, grader, {label: name for label, (name, _) in parts.scorers.items()})

        assert found.candidates == len(store.candidate_keys()) and found.problems == len(store.problems())
        assert sum(found.verdicts.values()) == found.programs == len(store.grades(grader))
        assert found.observed == len(store.behaviours(grader))
        assert store.counts("no such grader", "none", {}).verdicts == {}


def test_whether_somebody_writes_is_found_without_the_lock(small: Small) -> None:
    folder = small.folder / "run"
    assert not is_being_written(folder)
    with open_for_writing(folder):
        assert is_being_written(folder)
    assert not is_being_written(folder)


def test_a_folder_without_a_run_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no run folder"):
        live.look(tmp_path)


def test_bars_show_counts_rates_and_what_is_left() -> None:
    stages = (live.Stage("generate", 50, 100), live.Stage("score \u202ex", 20, 50), live.Stage("grade", 20, 20))
    before = live.Progress((live.Stage("generate", 0, 100), live.Stage("score \u202ex", 20, 20)), {}, True)
    found = live.Progress(stages, {"passed": 5, "wrong_answer": 15}, True)
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(live.drawn(Path("runs/demo"), found, before, 10.0))
    text = capture.get()

    assert "generate" in text and "50 of 100" in text and "5.0/s, 0:00:10 left" in text
    assert "score \\u202ex" in text and "20 of 50" in text
    assert "20 programs graded: 15 wrong answer, 5 passed" in text


def test_watching_ends_with_the_run_and_says_that_it_is_complete(small: Small) -> None:
    bring_up(small, "generator.n=1")
    env = own_cache(small.folder)
    running = subprocess.Popen(
        command("run", "config.yaml", "--folder", "run"), cwd=small.folder, env=env, stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    while running.poll() is None and not is_being_written(small.folder / "run"):
        pass
    watched = tts(small.folder, "report", "run", "--watch")

    assert running.wait(60) == 0
    assert watched.code == 0, watched.err
    *_, line, end = watched.out.splitlines()
    assert "generate 12 of 12" in line and "grade 12 of 12" in line
    assert end == "run is complete. Its table and page: tts report run"


def test_watching_a_run_that_was_left_says_how_to_go_on(small: Small) -> None:
    bring_up(small, "generator.n=2")
    with open_for_writing(small.folder / "run") as store:
        store.set_meta({"config": configs.load(small.folder / "config.yaml", ["generator.n=4"]).resolved().dump()})
    done = tts(small.folder, "report", "run", "--watch")

    assert done.code == 0
    assert done.out.splitlines()[-1] == (
        "Nobody works on run, which is not complete. Continue it with the same `tts run`."
    )


@pytest.mark.parametrize("arguments", [["run", "run", "--watch"], ["run", "--watch", "--format", "md"]])
def test_watching_takes_one_run_and_no_format(small: Small, arguments: list[str]) -> None:
    bring_up(small)
    done = tts(small.folder, "report", *arguments)

    assert done.code == 2 and "--watch shows one run in the terminal" in done.error
