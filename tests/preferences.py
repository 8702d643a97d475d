"""Pairs that a tiny random model can learn, without running any program."""

from pathlib import Path

from tts import pair_rows
from tts.pairs import HELD_OUT, TRAIN, Pair
from tts.types import Candidate, Problem


def statement(i: int) -> str:
    """One that is like no other: numbers are all the same."""
    return f"task {''.join(chr(97 + int(digit)) for digit in str(i))}"


def pairs(count: int = 24, held_out: int = 8) -> list[Pair]:
    """Pairs told apart by one letter of a program; the last `held_out` of `count` problems are held out."""
    found = []
    for i in range(count):
        side = HELD_OUT if i >= count - held_out else TRAIN
        found.append(Pair(f"p{i}", statement(i), f"x = {i}\nreturn_b", f"x = {i}\nreturn_a", split=side))
    return found


def write(folder: Path, given: list[Pair] | None = None) -> Path:
    """Write them as `tts pairs` does."""
    pair_rows.write(folder / "pairs.jsonl", pairs() if given is None else given)
    return folder / "pairs.jsonl"


def candidates(given: list[Pair]) -> list[tuple[Problem, Candidate]]:
    """What a scorer gets: of each pair the chosen program with index 0, the rejected one with index 1."""
    return [
        (Problem(pair.problem_id, pair.statement, ()), Candidate(pair.problem_id, index, "", code))
        for pair in given
        for index, code in enumerate((pair.chosen, pair.rejected))
    ]
