"""`tts pairs`: what counts as a pair, that length tells nothing, that nothing leaks, what is refused."""

import json
import random
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import MINI, Done, Small, bring_up, make_small, programs, rows_of, tts, write_rows

from tts import pair_rows
from tts.errors import ConfigError, DataError
from tts.grade import GradeJob, Grader
from tts.likeness import ALIKE, alike, does_nothing, groups, shingles, skeleton
from tts.pairs import (
    HELD_OUT,
    SAMPLED,
    TRAIN,
    UNSPLIT,
    Chosen,
    Material,
    Pair,
    Rules,
    balanced,
    choose,
    length_accuracy,
    sided,
    split,
)
from tts.plugins import build
from tts.sandbox import Limits
from tts.types import Verdict, program_hash

WORDS = ("count", "the", "vowels", "primes", "of", "a", "list", "sum", "sorted", "tree", "7", "42")
statements = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join), min_size=1, max_size=12)


def program(i: int, filler: int = 0, name: str = "x") -> str:
    """A program that is like no other of another `i`, the longer the more filler."""
    return f"def f({name}):\n" + f"    {name} += {i}\n" * (filler + 1) + f"    return {name}\n"


def material(name: str, right: int, wrong: int, statement: str = "", seed: int = 0) -> Material:
    """A problem like no other with so many programs of many lengths."""
    draw = random.Random(f"{name} {seed}")
    codes = [program(i, draw.randrange(12)) for i in range(right + wrong)]
    return Material(
        name, statement or f"alpha{name} beta{name} gamma{name}", tuple(codes[:right]), tuple(codes[right:])
    )


def letters(i: int) -> str:
    """A number as a word."""
    return "".join(chr(97 + int(digit)) for digit in str(i))


# What is the same.


@pytest.mark.parametrize(
    "other",
    [
        "def f(y):\n    # why\n    return y+1\n",
        'def f(a):\n    """Adds."""\n    return (a + 1)\n',
        "def f(x):\r\n    return x + 1\r\n",
    ],
)
def test_layout_comments_docstrings_and_names_of_variables_make_no_other_program(other: str) -> None:
    assert skeleton(other) == skeleton("def f(x):\n    return x + 1\n")


@pytest.mark.parametrize(
    "other",
    [
        "def g(x):\n    return x + 1\n",
        "def f(x):\n    return x + 2\n",
        "def f(x, y):\n    return x + 1\n",
        "def f(x):\n    return y + 1\n",
    ],
)
def test_what_is_called_computed_or_undefined_makes_another_program(other: str) -> None:
    assert skeleton(other) != skeleton("def f(x):\n    return x + 1\n")


@pytest.mark.parametrize("body", ["{}: int\n    {}: int", "if True:\n        {} = {} = 0", "{}, {} = 1, 2"])
def test_fields_of_a_class_keep_their_names(body: str) -> None:
    text = "class P:\n    {}\n    def f(self, a):\n        b = a\n        return b\n"
    one, other = (text.format(body.format(*names)) for names in ("xy", "yx"))
    assert skeleton(one) != skeleton(other)
    assert skeleton(one) == skeleton(one.replace("b", "c"))


@pytest.mark.parametrize(
    "text",
    [
        "{} = lambda x: x\n",
        "def f(x):\n    global {0}\n    {0} = x\n",
        "def {0}(x): return x\ny = [{0} for {0} in ()]\n",
    ],
)
def test_what_can_be_called_from_outside_keeps_its_name(text: str) -> None:
    assert skeleton(text.format("solve")) != skeleton(text.format("other"))


def test_a_program_that_reads_and_prints_is_the_same_with_other_variables() -> None:
    text = "{0} = int(input())\nfor {1} in range({0}):\n    print({1})\n"
    assert skeleton(text.format("n", "i")) == skeleton(text.format("count", "turn"))


@pytest.mark.parametrize("text", ["solve = lambda {0}: {0}\n", "print([{0} for {0}, b in []])\n"])
def test_what_is_a_lambda_s_or_a_comprehension_s_own_has_no_name(text: str) -> None:
    assert skeleton(text.format("x")) == skeleton(text.format("y"))


@pytest.mark.parametrize("value", ["", "None", "0", "''", "-1", "[]", "{}", "(1, 2)", "[{1: 'a'}, -2.5]", "set()"])
def test_a_program_that_only_returns_a_literal_does_nothing(value: str) -> None:
    assert does_nothing(f'import os\ndef f(x):\n    """Says."""\n    return {value}\n')


@pytest.mark.parametrize("body", ["pass", "...", "raise ValueError(x)", "'Says.'", "import os", "def g(): pass"])
def test_nor_does_one_that_only_raises_or_defines(body: str) -> None:
    assert does_nothing(f"def f(x):\n    {body}\n")


@pytest.mark.parametrize("body", ["return x", "return [x]", "return -x", "return 1 + 2", "return {[]: 1}", "print(0)"])
def test_a_program_that_computes_does_something(body: str) -> None:
    assert not does_nothing(f"def f(x):\n    {body}\n")


@pytest.mark.parametrize("name", sorted(path.stem for path in Path(__file__).parent.glob("mini_solutions/*.py")))
def test_real_programs_of_one_problem_have_skeletons_of_their_own(name: str) -> None:
    codes = programs(name.replace("_", "-"))
    assert len({skeleton(code) for code in codes}) == len(set(codes))


@given(statements, st.sampled_from([0.3, ALIKE, 0.8, 1.0]), st.data())
def test_groups_are_those_of_comparing_all_pairs(texts: list[str], least: float, data: st.DataObject) -> None:
    sets = [shingles(text) for text in texts]
    names = data.draw(st.just([]) | st.lists(st.sampled_from("abcdefghij"), min_size=len(texts), max_size=len(texts)))
    first = list(range(len(texts)))
    for _ in texts:  # spread the least position until nothing changes
        for i, one in enumerate(sets):
            for j, other in enumerate(sets):
                if alike(one, other, least) or (names and names[i] == names[j]):
                    first[i] = first[j] = min(first[i], first[j])
    assert groups(texts, least, names) == first


# What is chosen.


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=8), st.integers(1, 9))
def test_pairs_are_right_above_wrong_capped_split_and_balanced(counts: list[tuple[int, int]], cap: int) -> None:
    given_ = [material(letters(i), *count) for i, count in enumerate(counts)]
    mixed = [one for one in given_ if one.right and one.wrong]
    if len(mixed) < 2:
        with pytest.raises(DataError):
            choose(given_, Rules(cap))
        return
    found = choose(given_, Rules(cap, balance=False))
    by_name = {one.problem_id: one for one in given_}
    for pair in found.pairs:
        assert pair.chosen in by_name[pair.problem_id].right
        assert pair.rejected in by_name[pair.problem_id].wrong
    assert len(set(found.pairs)) == len(found.pairs)
    held = Counter(pair.problem_id for pair in found.pairs)
    assert held == {one.problem_id: min(cap, len(one.right) * len(one.wrong)) for one in mixed}
    assert all(len({p.split for p in found.pairs if p.problem_id == name}) == 1 for name in held)
    assert {pair.split for pair in found.pairs} == {TRAIN, HELD_OUT}
    assert (found.mixed, found.problems) == (len(mixed), len(given_))
    excess = {side: max(0, abs(sum(p.length_sign for p in mine)) - 1) for side, mine in found.splits.items()}
    lopsided = {side for side, mine in found.splits.items() if len(mine) - excess[side] <= 1 < len(mine)}
    if TRAIN in lopsided:
        with pytest.raises(DataError, match="--no-balance"):
            choose(given_, Rules(cap))
        return
    excess |= dict.fromkeys(lopsided, 0)  # what is held out stays as it is
    even = choose(given_, Rules(cap))
    assert set(even.pairs) <= set(found.pairs)
    assert {side: len(mine) + excess[side] for side, mine in even.splits.items()} == {
        side: len(mine) for side, mine in found.splits.items()
    }
    assert all(abs(sum(p.length_sign for p in mine)) <= 1 for side, mine in even.splits.items() if side not in lopsided)
    assert even.dropped.unbalanced == sum(excess.values())


def test_length_tells_nothing_where_right_programs_are_mostly_longer() -> None:
    draw = random.Random(0)
    given_ = []
    for i in range(60):
        right = tuple(program(j, draw.randrange(4, 16)) for j in range(4))
        wrong = tuple(program(j + 4, draw.randrange(0, 8)) for j in range(4))
        given_.append(Material(letters(i), f"alpha{letters(i)} beta gamma{letters(i)}", right, wrong))
    plain = choose(given_, Rules(4, 0.25, balance=False))
    even = choose(given_, Rules(4, 0.25))
    everything = [Pair("", "", a, b) for one in given_ for a in one.right for b in one.wrong]
    assert length_accuracy(everything) > 0.85  # it would tell
    assert length_accuracy(plain.pairs) < length_accuracy(everything)
    for mine in even.splits.values():
        assert len(mine) > 10
        assert abs(sum(pair.length_sign for pair in mine)) <= 1
    assert even.dropped.unbalanced == len(plain.pairs) - len(even.pairs)
    assert len({pair.problem_id for pair in even.pairs}) > 40  # of problems with several pairs first


lopsided = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6), st.integers(1, 4)), min_size=1, max_size=14)


@given(lopsided)
def test_balance_drops_the_farthest_lengths_one_by_one_and_last_pairs_last(items: list[tuple[int, int, int]]) -> None:
    """Against the definition: again and again the worst of what is left."""
    pairs = [Pair(f"p{p}", f"p{p}", "a" * a, "b" * b) for p, a, b in items]
    kept = list(pairs)
    while abs(surplus := sum(pair.length_sign for pair in kept)) > 1:
        counts = Counter(pair.statement for pair in kept)
        mine = [pair for pair in kept if pair.length_sign * surplus > 0]
        worst = max(mine, key=lambda pair: (counts[pair.statement] > 1, pair.stretch))
        kept.remove(worst)
    if len(kept) <= 1 < len(pairs):
        with pytest.raises(DataError, match="--no-balance"):
            balanced(pairs, TRAIN)
    else:
        assert sorted(map(repr, balanced(pairs, TRAIN))) == sorted(map(repr, kept))


def test_where_every_chosen_program_is_longer_no_balance_can_be_had() -> None:
    given_ = [
        Material(letters(i), f"alpha{letters(i)}", (program(1, 9), program(2, 9)), (program(3), program(4)))
        for i in range(6)
    ]
    with pytest.raises(DataError, match=r"is the longer one.*--no-balance"):
        choose(given_, Rules())
    assert length_accuracy(choose(given_, Rules(balance=False)).pairs) == 1


def test_a_lopsided_side_that_is_held_out_refuses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    pairs = [Pair(f"p{i}", f"p{i}", "a" * 9, "b" * (i + 1)) for i in range(3)]
    assert balanced(pairs, HELD_OUT) == pairs
    assert "length alone tells 100% of them. Hold out more" in caplog.text


def test_programs_that_are_alike_count_once_and_what_does_nothing_not_at_all() -> None:
    right = (program(1), program(1, name="y"), "def f(x)\n")
    wrong = (program(1, name="z"), program(2), "def f(x):\n    pass\n", "def f(x):\n    return 0\n")
    found = choose([Material("a", "alpha", right, wrong)], Rules(held_out=0, balance=False))
    assert [(pair.chosen, pair.rejected) for pair in found.pairs] == [(program(1), program(2))]
    gone = found.dropped
    assert (gone.alike, gone.trivial, gone.unparsable) == (2, 2, 1)


def test_the_draw_is_the_seed_s_and_not_the_order_s() -> None:
    given_ = [material(letters(i), 3, 3) for i in range(8)]
    same = choose(given_, Rules(2, balance=False)), choose(given_[::-1], Rules(2, balance=False))
    assert {(p.problem_id, p.split) for p in same[0].pairs} == {(p.problem_id, p.split) for p in same[1].pairs}
    others = [choose(given_, Rules(2, balance=False, seed=seed)) for seed in range(6)]
    assert len({tuple(other.pairs) for other in others}) > 1


def test_two_runs_on_one_problem_give_one_problem() -> None:
    one, two = Material("a", "alpha", (program(1),), ()), Material("a", "alpha", (program(1),), (program(2),))
    found = choose([one, two, material("b", 1, 1)], Rules(balance=False))
    assert (found.problems, len(found.pairs)) == (2, 2)


def test_no_pair_has_programs_of_two_runs() -> None:
    """They would be told apart by which model wrote them: right by the better one, wrong by the other."""
    better = [Material(letters(i), f"alpha{letters(i)}", (program(1), program(2)), (program(3),)) for i in range(6)]
    worse = [Material(letters(i), f"alpha{letters(i)}", (program(4),), (program(5), program(6))) for i in range(6)]
    found = choose(better + worse, Rules(balance=False))
    assert {(pair.chosen, pair.rejected) for pair in found.pairs} == {
        *((program(1), program(3)), (program(2), program(3)), (program(4), program(5)), (program(4), program(6)))
    }
    right = [Material(letters(i), f"alpha{letters(i)}", (program(1),), ()) for i in range(6)]
    wrong = [Material(letters(i), f"alpha{letters(i)}", (), (program(3),)) for i in range(6)]
    with pytest.raises(DataError, match="of one run: of 6 problems, 6 have a right one and 6 a wrong one"):
        choose(right + wrong, Rules())


def test_a_program_that_two_runs_have_is_of_both() -> None:
    same = "def f(other):\n    return other\n", "def f(x):\n    return x\n"
    runs = [Material("a", "alpha", (same[0],), ()), Material("a", "alpha", (same[1],), (program(3),))]
    (pair,) = choose(runs, Rules(held_out=0, balance=False)).pairs
    assert (pair.chosen, pair.rejected) == (same[0], program(3))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Write a function to sum a list.\nassert f(1) == 1\nassert f(2) == 2", "Flatten it.\nassert f(1) == 1", True),
        ("Write a function to sum a list.\nassert f([1]) == 1", "Flatten the thing.\nassert g([1]) == 1", False),
        ("Write a function to sum a list.\nassert f(1, 2, 3, 4, 5) == 1", "Write a function to sum a list.", True),
        ("Write a function to sum a list.", "Write a function to sum a list. Here is how it is called. f(1).", True),
        ("Write it.", "Write it. Here is how it is called and what comes out.", False),
        ("写一个函数，返回列表中所有偶数的和。", "写一个函数，返回列表中所有奇数的和。", True),
        ("写一个函数，返回列表中所有偶数的和。", "判断一个字符串是否是回文串。", False),
    ],
)  # fmt: skip
def test_what_makes_two_statements_one_problem(one: str, other: str, same: bool) -> None:
    assert (len(set(groups([one, other]))) == 1) is same


# Sides.


@given(statements, st.floats(0.01, 0.9), st.integers(0, 3))
def test_problems_that_are_alike_are_on_one_side(texts: list[str], share: float, seed: int) -> None:
    texts = list(dict.fromkeys(texts))
    if len(set(groups(texts))) < 2:
        with pytest.raises(DataError, match="are alike"):
            split(texts, share, seed)
        return
    sides = split(texts, share, seed)
    sets = [shingles(text) for text in texts]
    for one, side in zip(sets, sides, strict=True):
        assert all(side == its for other, its in zip(sets, sides, strict=True) if alike(one, other))
    assert set(sides) == {TRAIN, HELD_OUT}


@given(st.lists(st.integers(1, 30), min_size=2, max_size=12), st.floats(0.01, 0.9), st.integers(0, 7))
def test_what_is_held_out_is_as_near_to_the_share_as_groups_allow(sizes: list[int], share: float, seed: int) -> None:
    total, aim = sum(sizes), share * sum(sizes)
    sides = split([text for i, size in enumerate(sizes) for text in alikes(letters(i), size)], share, seed)
    held = sides.count(HELD_OUT)
    assert 0 < held < total
    assert abs(held - aim) <= aim or held == min(sizes)  # no farther than with none held out, which is not allowed


@pytest.mark.parametrize("seed", range(8))
def test_a_large_group_does_not_empty_the_training_side(seed: int) -> None:
    texts = [*alikes("b", 90), *(f"alpha{letters(i)} delta{letters(i)} phi{letters(i)}" for i in range(10))]
    sides = split(texts, 0.1, seed)
    assert sides.count(HELD_OUT) == 10 and set(sides[:90]) == {TRAIN}


def test_where_groups_do_not_allow_the_share_that_is_told(caplog: pytest.LogCaptureFixture) -> None:
    assert split([*alikes("b", 99), "alpha delta phi"], 0.1, 0).count(HELD_OUT) == 1
    assert "1 of 100 problems are held out, not 10.0: those that are alike are on one side, the most of them 99." in (
        caplog.text
    )


def alikes(name: str, count: int) -> list[str]:
    """Statements that differ in a number."""
    return [f"alpha{name} beta{name} gamma{name} {i}" for i in range(count)]


def test_pairs_without_a_side_get_one_by_their_problem() -> None:
    given_ = [Pair(letters(i), f"alpha{letters(i)}", "a", str(j), split=UNSPLIT) for i in range(10) for j in range(3)]
    found = sided(given_, 0.3, 0)
    assert len({(pair.statement, pair.split) for pair in found}) == 10
    assert sum(pair.split == HELD_OUT for pair in found) == 9
    assert sided(found, 0.9, 1) == found


@pytest.mark.parametrize("side", [TRAIN, HELD_OUT])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("other", ["alpha beta gamma 1", "alpha beta gamma 2"], ids=["same", "alike"])
def test_a_given_side_is_that_of_all_that_are_alike(side: str, seed: int, other: str) -> None:
    known = Pair("a", "alpha beta gamma 1", "x", "y", split=side)
    free = [Pair("b", other, "x", "z", split=UNSPLIT)]
    free += [Pair(letters(i), f"alpha{letters(i)}", "x", "y", split=UNSPLIT) for i in range(8)]
    found = sided([*free, known], 0.5, seed)
    assert found[0].split == found[-1].split == side
    assert {pair.split for pair in found} == {TRAIN, HELD_OUT}


@pytest.mark.parametrize("other", ["alpha beta gamma 1", "alpha beta gamma 2"], ids=["same", "alike"])
def test_sides_that_contradict_each_other_are_refused(other: str) -> None:
    both = [Pair("a", "alpha beta gamma 1", "x", "y", split=TRAIN), Pair("b", other, "x", "y", split=HELD_OUT)]
    with pytest.raises(DataError, match=r"Problem 'a' is given the side 'train', and .* 'b' the side 'held-out'.*anew"):
        sided(both, 0.1, 0)


def test_what_has_no_side_may_all_be_trained_on_where_others_are_held_out() -> None:
    known, free = Pair("a", "alpha", "x", "y", split=HELD_OUT), Pair("b", "beta", "x", "y", split=UNSPLIT)
    assert [pair.split for pair in sided([known, free], 0.5, 0)] == [HELD_OUT, TRAIN]
    other = replace(known, split=TRAIN)
    assert [pair.split for pair in sided([other, free], 0.5, 0)] == [TRAIN, HELD_OUT]


# From runs to files.


def write_mini(folder: Path) -> Small:
    """A fifth of mini with its reference solutions and the wrong ones of the tests."""
    small = make_small(folder)
    rows = [row for file in sorted(MINI.glob("*.jsonl")) for row in rows_of(file)][::5]
    write_rows(folder / "problems.jsonl", rows)
    names = [row["question_id"] for row in rows]
    samples = [
        {"question_id": name, "index": i, "code": code, "logprob": -0.1, "tokens": 9}
        for name in names
        for i, code in enumerate(programs(name))
    ]
    write_rows(folder / "samples.jsonl", samples)
    small.write(selectors=["random"], scorers=["length"], grading={"timeout": 1})
    return small


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a graded run of some of mini in `run`."""
    folder = tmp_path_factory.mktemp("mini")
    bring_up(write_mini(folder))
    return folder


def test_of_a_run_come_pairs_that_the_grader_confirms(mini: Path, tmp_path: Path) -> None:
    done = tts(tmp_path, "pairs", mini / "run", "--out", "pairs.jsonl", "--mutants", 1, "--held-out", 0.2)
    assert done.code == 0, done.err
    told = re.findall(r"(\S+): (\d+) pairs of .*?; length alone tells (.+?)% of them", done.out)
    assert [side for side, _, _ in told] == [TRAIN, HELD_OUT]
    for _, count, percent in told:  # of one kind there may be one pair more than of the other
        assert float(percent) <= 50 + 50 / int(count) + 0.05
    found = pair_rows.read(tmp_path / "pairs.jsonl")
    benchmark = build("benchmark", {"name": "jsonl", "path": str(mini / "problems.jsonl")})
    grader = Grader(Limits.given(None, 512, 16))
    sampled, changed = ([p for p in found if (p.source == SAMPLED) is kind] for kind in (True, False))
    assert len(sampled) >= 10 and len(changed) >= 6
    assert {pair.source.split(":")[0] for pair in changed} == {"mutant"}
    for pair in changed[:4] + sampled[:2]:
        tests = benchmark.tests(pair.problem_id)
        jobs = [GradeJob(pair.problem_id, code, tests) for code in (pair.chosen, pair.rejected)]
        passed = {grade.program for grade in grader.grade(jobs) if getattr(grade, "verdict", "") is Verdict.PASSED}
        assert passed == {program_hash(pair.chosen)}
    assert {p.split for p in found} == {TRAIN, HELD_OUT}


def test_a_second_time_nothing_is_executed(mini: Path, tmp_path: Path) -> None:
    first = tts(tmp_path, "pairs", mini / "run", "--out", "pairs.jsonl", "--mutants", 1)
    rows = (tmp_path / "pairs.jsonl").read_bytes()
    count = len(rows_of(tmp_path / "pairs.jsonl.verdicts.jsonl"))
    second = tts(tmp_path, "pairs", mini / "run", "--out", "pairs.jsonl", "--mutants", 1)
    assert (first.code, second.code) == (0, 0)
    assert f"run changed programs: {count} of {count}" in second.err.splitlines()[0]
    assert (tmp_path / "pairs.jsonl").read_bytes() == rows


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_the_rows_of_the_published_data_set_are_written_and_read(mini: Path, tmp_path: Path, ending: str) -> None:
    assert tts(tmp_path, "pairs", mini / "run", "--out", f"bare.{ending}", "--bare").code == 0
    bare = pair_rows.read(tmp_path / f"bare.{ending}")
    assert {pair.split for pair in bare} == {UNSPLIT}
    if ending == "jsonl":
        assert {tuple(row) for row in rows_of(tmp_path / "bare.jsonl")} == {pair_rows.COLUMNS}
    done = tts(tmp_path, "pairs", f"bare.{ending}", "--out", "again.jsonl", "--no-balance")
    assert done.code == 0, done.err
    again = pair_rows.read(tmp_path / "again.jsonl")
    assert {(p.statement, p.chosen) for p in again} == {(p.statement, p.chosen) for p in bare}
    assert {p.split for p in again} == {TRAIN, HELD_OUT}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    given_ = [Pair("a", "α", "a\n", "b\n", "mutant: off_by_one", HELD_OUT), Pair("b", "", "", "x")]
    for name in ("one.jsonl", "two.parquet"):
        pair_rows.write(tmp_path / name, given_)
        assert pair_rows.read(tmp_path / name) == given_


MUTANT = "mutant: off_by_one"


def reread(folder: Path, given_: list[Pair], **rules: Any) -> Chosen:
    """What is chosen of a file of these pairs."""
    pair_rows.write(folder / "pairs.jsonl", given_)
    return choose(pair_rows.materials([folder / "pairs.jsonl"]), Rules(held_out=0, balance=False, **rules))


@pytest.mark.parametrize("sources", [(SAMPLED, MUTANT), (MUTANT, MUTANT)], ids=["both", "mutants only"])
def test_pairs_of_a_file_stay_pairs_whatever_mutants_are_made_of_runs(tmp_path: Path, sources: tuple[str, str]) -> None:
    given_ = [
        Pair(name, f"alpha{name}", program(10 * j), program(10 * j + 1), source)
        for name in "ab"
        for j, source in enumerate(sources)
    ]
    found = reread(tmp_path, given_)
    assert set(found.pairs) == set(given_)
    assert len(pair_rows.summary(found)) == 3


def test_what_is_left_out_of_a_file_is_told(tmp_path: Path) -> None:
    codes = [(program(1), program(2)), (program(1), program(3)), (program(4), program(5))]
    unfit = [
        (program(1), program(2, name="y")),  # the first again
        (program(1), program(4)),  # a right one, as another pair says
        (program(1), "def f(x):\n    pass\n"),
        ("def f(x)\n", program(6)),
    ]
    found = reread(tmp_path, [Pair("a", "alpha", *two, MUTANT) for two in codes + unfit], per_problem=2)
    assert (found.dropped.unfit, found.dropped.beyond, len(found.pairs)) == (4, 1, 2)
    assert set(found.pairs) < {Pair("a", "alpha", *two, MUTANT) for two in codes}
    assert pair_rows.summary(found)[1] == (
        "Of the pairs of files, left out: 4 alike others or with a program that does nothing or does not parse, "
        "1 beyond --per-problem."
    )


def test_a_file_s_pairs_and_a_run_s_programs_of_one_problem_are_chosen_from_together() -> None:
    run = Material("a", "alpha", (program(1),), (program(2), program(3)), ((program(1), program(7), MUTANT),))
    file = Material("b", "alpha", (), (), pairs=((program(1), program(2), SAMPLED), (program(3), program(7), MUTANT)))
    found = choose([run, file], Rules(held_out=0, mutants=1, balance=False))
    assert {(pair.problem_id, pair.chosen, pair.rejected, pair.source) for pair in found.pairs} == {
        ("a", program(1), program(2), SAMPLED),
        ("a", program(3), program(7), MUTANT),  # the file calls 3 right, so that the run's is no wrong one
    }
    assert (found.problems, found.dropped.alike) == (1, 1)


# What is refused.


def test_a_run_without_graded_candidates_is_refused(tmp_path: Path, finished: Path, cli: Callable[..., Done]) -> None:
    shutil.copytree(finished / "run", tmp_path / "run")
    with sqlite3.connect(tmp_path / "run" / "run.sqlite") as database:
        database.execute("DELETE FROM grades")
    done = cli("pairs", "run", "--out", "pairs.jsonl")
    assert done.code == 2
    assert "none is graded" in done.error and "same `tts run`" in done.error


def test_what_of_a_run_is_not_graded_is_told(finished: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree(finished / "run", tmp_path / "run")
    with sqlite3.connect(tmp_path / "run" / "run.sqlite") as database:
        (stored,) = database.execute("SELECT count(*) FROM candidates").fetchone()
        database.execute("DELETE FROM grades WHERE program = (SELECT max(program) FROM grades)")
    pair_rows.materials([tmp_path / "run"])
    assert f"of {stored} candidates not graded, and left out" in caplog.text


def test_no_problem_with_both_kinds_is_refused(tmp_path: Path, small: Small, cli: Callable[..., Done]) -> None:
    samples = [row for row in rows_of(tmp_path / "samples.jsonl") if row["index"] == 0]
    write_rows(tmp_path / "samples.jsonl", samples)
    bring_up(small)
    done = cli("pairs", "run", "--out", "pairs.jsonl")
    assert done.code == 2
    assert "of 3 problems, 3 have a right one and 0 a wrong one" in done.error
    assert not list(tmp_path.glob("pairs*"))


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({"question_content": "a", "code_pos": "b"}, "line 1: code_neg must be str, got nothing"),
        ({"question_content": "a", "code_pos": 1, "code_neg": "c"}, "line 1: code_pos must be str, got 1"),
        (
            {"question_content": "a", "code_pos": "b", "code_neg": "c", "split": "test"},
            "split must be train or held-out",
        ),
    ],
)
def test_a_row_that_is_no_pair_is_named(tmp_path: Path, row: dict[str, object], error: str) -> None:
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=error):
        pair_rows.read(tmp_path / "pairs.jsonl")


def test_files_whose_pairs_are_all_unfit_are_refused_as_that(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="hold 1 pair, and none can be used"):
        reread(tmp_path, [Pair("a", "alpha", program(1), "def f(x):\n    pass\n")])
    with pytest.raises(DataError, match="hold 0 pairs, and none can be used"):
        reread(tmp_path, [])


def test_a_parquet_file_with_what_is_no_text_is_refused(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {name: pyarrow.array([b"\xff\xfe"]).view(pyarrow.utf8()) for name in pair_rows.COLUMNS}
    parquet.write_table(pyarrow.table(columns), tmp_path / "pairs.parquet")
    with pytest.raises(DataError, match="cannot be read"):
        pair_rows.read(tmp_path / "pairs.parquet")


@pytest.mark.parametrize(("ending", "read"), [("jsonl", "say \ud800"), ("parquet", "say \\ud800")])
def test_a_lone_surrogate_is_written_as_an_escape(tmp_path: Path, ending: str, read: str) -> None:
    """Which JSON reads as what it was, and in Parquet stays."""
    path = tmp_path / f"pairs.{ending}"
    pair_rows.write(path, [Pair("a", "say \ud800", program(1), program(2))])
    assert pair_rows.read(path)[0].statement == read


def test_what_is_to_be_written_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a folder\. Give the name of a file in it"):
        pair_rows.check_ending(tmp_path)


def test_a_run_is_not_trained_on_as_it_stands(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"is a folder. If it is a run's: `tts pairs {tmp_path} --out"):
        pair_rows.read(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("nowhere", "--out", "pairs.jsonl"), "nowhere is no run's folder and no file of pairs"),
        (("nowhere.parquet", "--out", "pairs.jsonl"), "nowhere.parquet cannot be read: No such file"),
        ((".", "--out", "pairs.csv"), "--out must end in .jsonl or .parquet"),
        ((".", "--out", "pairs.jsonl", "--held-out", 1), "--held-out must be from 0"),
        ((".", "--out", "pairs.jsonl", "--per-problem", 0), "--per-problem must be at least 1"),
    ],
)
def test_bad_arguments_are_told(cli: Callable[..., Done], arguments: tuple[object, ...], error: str) -> None:
    done = cli("pairs", *arguments)
    assert done.code == 2
    assert error in done.error


def test_a_damaged_parquet_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "pairs.parquet").write_bytes(b"PAR1 or not")
    with pytest.raises(DataError, match="cannot be read"):
        pair_rows.read(tmp_path / "pairs.parquet")
