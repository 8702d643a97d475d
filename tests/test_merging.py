"""Joined shards are the run that they are parts of; what does not fit is refused and changes nothing."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support import IDS, Small, bring_up, rows_of

from tts import analysis, export, sentences
from tts import config as configs
from tts.errors import StoreError
from tts.findings import Findings
from tts.formats import as_json
from tts.merging import merge
from tts.store import open_for_reading, open_for_writing

MEASURED = ("seconds", "wall_seconds", "peak_mib")


def exported(run: Path) -> list[str]:
    with open_for_reading(run) as store:
        export.export(store, run / "rows.jsonl", "rows")
    return [
        json.dumps({name: value for name, value in row.items() if name not in MEASURED})
        for row in rows_of(run / "rows.jsonl")
    ]


def without_measured(value: Any) -> Any:
    """Without what two runs never have alike, and without how many sessions made them."""
    left_out = (*MEASURED, "cpu_seconds", "lost_seconds", "sessions")
    if isinstance(value, dict):
        return {key: without_measured(one) for key, one in value.items() if key not in left_out}
    return [without_measured(one) for one in value] if isinstance(value, list | tuple) else value


def numbers(run: Path) -> object:
    """All that a report computes."""
    with open_for_reading(run) as store:
        (found,) = as_json([Findings(analysis.analyse(store))])["runs"]
    return {key: without_measured(value) for key, value in found.items() if key != "folder"}


def shards(small: Small, parts: int, *overrides: str) -> list[Path]:
    for part in range(parts):
        bring_up(small, f"shard.part={part}", f"shard.parts={parts}", *overrides, folder=f"part{part}")
    return [small.folder / f"part{part}" for part in range(parts)]


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_joined_shards_are_the_whole_run(small: Small, parts: int) -> None:
    bring_up(small, folder="whole")
    found = merge(shards(small, parts)[::-1], small.folder / "joined")
    assert (found.candidates, found.problems, found.remarks) == (12, 3, ())
    assert exported(small.folder / "joined") == exported(small.folder / "whole")
    assert numbers(small.folder / "joined") == numbers(small.folder / "whole")


def test_a_joined_run_has_its_config_beside_it(small: Small) -> None:
    merge(shards(small, 2), small.folder / "joined")
    with open_for_reading(small.folder / "joined") as store:
        assert configs.load(small.folder / "joined" / "config.yaml") == analysis.stored_config(store)


def test_a_joined_run_goes_on_as_any_run_does(small: Small) -> None:
    merge(shards(small, 2, "generator.n=2"), small.folder / "joined")
    bring_up(small, folder="joined")
    bring_up(small, folder="whole")
    assert exported(small.folder / "joined") == exported(small.folder / "whole")


def test_what_two_runs_both_have_is_taken_once(small: Small) -> None:
    first, second, third = shards(small, 3)
    merge([first, second], small.folder / "some")
    assert merge([small.folder / "some", second, third], small.folder / "joined").candidates == 12
    with open_for_reading(small.folder / "joined") as store:
        assert {problem.id for problem in store.problems()} == set(IDS)
    bring_up(small, folder="joined")
    bring_up(small, folder="whole")
    assert exported(small.folder / "joined") == exported(small.folder / "whole")


def missing(run: Path) -> str | None:
    """The parts that a report says are not in a run; its sentence and its JSON must agree."""
    with open_for_reading(run) as store:
        report = analysis.analyse(store)
    (found,) = as_json([Findings(report)])["runs"]
    assert any("Not the whole benchmark" in note for note in sentences.notes(report)) == bool(found["missing_parts"])
    return found["missing_parts"]


def test_some_parts_joined_do_not_look_like_the_whole_until_the_rest_is_there(small: Small) -> None:
    first, second, third = shards(small, 3)
    (remark,) = merge([first, third], small.folder / "some").remarks
    assert remark.startswith("None of these runs has part 1 of 3 of the benchmark")
    assert missing(small.folder / "some") == "part 1 of 3"
    assert missing(second) == "parts 0, 2 of 3"
    assert len(merge([small.folder / "some", first], small.folder / "more").remarks) == 1
    assert missing(small.folder / "more") == "part 1 of 3"
    assert merge([small.folder / "some", second], small.folder / "all").remarks == ()
    assert missing(small.folder / "all") is None
    bring_up(small, folder="some")
    assert missing(small.folder / "some") is None
    assert exported(small.folder / "some") == exported(small.folder / "all")


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (set(), ""),
        ({(0, 1)}, ""),
        ({(1, 2)}, "part 0 of 2"),
        ({(0, 4), (2, 4)}, "parts 1, 3 of 4"),
        ({(0, 2), (0, 4), (1, 2)}, ""),
        ({(0, 2), (1, 40)}, "part 1 of 2"),
        ({(0, 1000)}, f"parts {', '.join(map(str, range(1, 26)))}, ... of 1000"),
    ],
)
def test_the_parts_that_are_missing_are_named(held: set[tuple[int, int]], expected: str) -> None:
    assert analysis.missing_parts(held) == expected


def test_a_whole_run_among_shards_is_the_whole(small: Small) -> None:
    bring_up(small, folder="whole")
    first, _ = shards(small, 2)
    assert merge([first, small.folder / "whole"], small.folder / "joined").remarks == ()
    assert missing(small.folder / "joined") is None


def test_what_a_killed_merge_left_behind_is_not_in_the_next_one(small: Small) -> None:
    first, second, third = shards(small, 3)
    merge([first, second, third], small.folder / "all")
    left = small.folder / "joined.merging"
    shutil.copytree(small.folder / "all", left)  # as a merge leaves it that is killed before its end
    assert merge([first, second], small.folder / "joined").candidates == 8
    with open_for_reading(small.folder / "joined") as store:
        assert {key[0] for key in store.candidate_keys()} == {one.id for one in store.problems()}
        assert len(store.problems()) == 2
    assert not left.exists()


def test_another_merge_under_way_is_left_alone(small: Small) -> None:
    parts = shards(small, 2)
    with open_for_writing(small.folder / "joined.merging") as other:
        other.claim({"seed": 1})
        with pytest.raises(StoreError, match="in use by another tts"):
            merge(parts, small.folder / "joined")
        assert (small.folder / "joined.merging" / "run.sqlite").is_file()
    assert not (small.folder / "joined").exists()


def test_what_was_undecided_and_what_it_took_is_of_all(small: Small) -> None:
    parts = shards(small, 2)
    for number, part in enumerate(parts):
        with open_for_writing(part) as store:
            store.set_meta({"undecided": [f"problem {number}"], "timings": {"grade": 2.0 + number}})
    merge(parts, small.folder / "joined")
    with open_for_reading(small.folder / "joined") as store:
        assert store.meta("undecided") == ["problem 0", "problem 1"]
        assert store.meta("timings") == {"grade": 5.0}
        assert len(store.meta("sessions")) == 2
        assert analysis.stored_config(store).shard is None


def test_other_fingerprints_are_refused_by_the_key_that_differs(small: Small) -> None:
    first, second = shards(small, 2)
    bring_up(small, "seed=7", folder="other")
    with pytest.raises(
        StoreError, match=r"other was run with seed = 7, .*part0 with 0\. Samples of the two must not mix"
    ):
        merge([first, second, small.folder / "other"], small.folder / "joined")
    assert not list(small.folder.glob("joined*"))


def test_another_text_of_one_sample_is_refused(small: Small) -> None:
    bring_up(small, folder="first")
    bring_up(small, folder="second")
    with open_for_writing(small.folder / "second") as store:
        (candidate, *_) = store.candidates()
        store._db.execute(
            "UPDATE candidates SET text = 'odd' WHERE problem_id = ? AND idx = 0", (candidate.problem_id,)
        )
        store._db.commit()
    with pytest.raises(StoreError, match=r"Sample 0 of problem .* with another text"):
        merge([small.folder / "first", small.folder / "second"], small.folder / "joined")
    assert not list(small.folder.glob("joined*"))


def test_another_problem_of_one_name_is_refused(small: Small) -> None:
    first, second = shards(small, 2)
    with open_for_writing(second) as store:
        store._db.execute("UPDATE problems SET digest = 'odd'")
        store._db.execute("UPDATE problems SET id = ?", (IDS[0],))
        store._db.commit()
    with pytest.raises(StoreError, match=r"Problem 'sum-of-two' is not the same in .*part1"):
        merge([first, second], small.folder / "joined")


def test_a_part_that_was_graded_otherwise_is_told(small: Small) -> None:
    bring_up(small, "shard.part=0", "shard.parts=2", folder="part0")
    bring_up(small, "shard.part=1", "shard.parts=2", "grading.timeout=3", "scorers=[length]", folder="part1")
    found = merge([small.folder / "part0", small.folder / "part1"], small.folder / "joined")
    assert ["graded with other limits" in found.remarks[0], "scored otherwise" in found.remarks[1]] == [True, True]


def test_a_run_in_use_and_a_folder_that_is_none_are_refused(small: Small, tmp_path: Path) -> None:
    (first,) = shards(small, 1)
    to = small.folder / "joined"
    with open_for_writing(first), pytest.raises(StoreError, match="is in use by another tts"):
        merge([first], to)
    with pytest.raises(StoreError, match="is no run folder"):
        merge([first, tmp_path / "none"], to)
    with pytest.raises(StoreError, match="given twice"):
        merge([first, small.folder / "." / "part0"], to)
    with pytest.raises(StoreError, match="is there already"):
        merge([first], first)
    assert not to.exists()


def test_the_command_joins_and_says_what_there_is(small: Small, cli) -> None:
    shards(small, 2)
    done = cli("merge", "part0", "part1", "--to", "joined")
    assert (done.code, done.out) == (0, "12 candidates of 3 problems in joined\n"), done.err
    some = cli("merge", "part0", "--to", "some")
    assert some.code == 0 and some.err.startswith("Warning: None of these runs has part 1 of 2 of the benchmark")
    failed = cli("merge", "part0", "nothing", "--to", "other")
    assert failed.code == 2 and failed.error.startswith("Error: nothing is no run folder")
