"""`tts pairs`: graded runs and files of pairs -> what pairs are chosen from, and the chosen ones -> a file.

A row has the columns of the data set CodeScalerPair-51K (question_content, code_pos, code_neg) and three of our own:
problem_id, source and split. Rows without these are read as well, as pairs of sampled programs of their question.
JSONL or Parquet. Which pairs are chosen is `pairs.py`'s business.
"""

import json
import logging
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts import audit_probing
from tts.analysis import Judged, judge, stored_config
from tts.audit_probing import Trial
from tts.config import Config
from tts.errors import ConfigError, DataError, InfraError, StoreError, counted, explained
from tts.grade import Grader
from tts.jsonl import expect, read_jsonl
from tts.ledger import Ledger
from tts.pairs import HELD_OUT, SAMPLED, TRAIN, UNSPLIT, Chosen, Material, Pair, length_accuracy
from tts.pipeline import Progress
from tts.plugins import build
from tts.seeds import seed_of
from tts.store import open_for_reading
from tts.types import program_hash
from tts.writing import replacing

LOG = logging.getLogger("tts")
COLUMNS = ("question_content", "code_pos", "code_neg")  # of CodeScalerPair-51K
TRIED = 2  # changed programs executed for each that is wanted: some pass all the same
ENDINGS = (".jsonl", ".parquet")


@dataclass(frozen=True, slots=True)
class Mutating:
    """How many changed programs of each problem are wanted, where what was found out is kept, who hears of it, and by
    which seed it is drawn which changes are tried.
    """

    wanted: int
    kept_in: Path
    progress: Progress
    seed: int = 0


def materials(places: Sequence[Path], mutating: Mutating | None = None) -> list[Material]:
    """What run folders and files of pairs hold, in their order; of runs, with changed programs that execution found
    wrong. Raises StoreError for a folder without graded candidates, DataError for a file that is none of pairs.
    """
    found: list[Material] = []
    for place in places:
        found += _of_run(place, mutating) if place.is_dir() else _of_rows(read(place))
    return found


def _of_run(folder: Path, mutating: Mutating | None) -> list[Material]:
    with open_for_reading(folder) as store:
        config = stored_config(store)
        judged, _ = judge(store, config)
        ids, keys = {problem.id for problem in store.problems()}, store.candidate_keys()
    stored = sum(problem_id in ids for problem_id, _ in keys)
    if not judged:
        raise StoreError(
            f"{folder} has {counted(stored, 'candidate')} and none is graded, so nothing tells right programs from "
            "wrong ones. Continue it with the same `tts run`, or give another run."
        )
    if stored < len(keys):
        LOG.warning(
            "%s: %s of problems that its last command left out (by benchmark.ids, say) are left out here, too. For all "
            "of them give it the same `tts run` without that.",
            *(folder, counted(len(keys) - stored, "candidate")),
        )
    graded = sum(len(item.candidates) for item in judged)
    if graded < stored:
        LOG.warning(
            "%s: %d of %s not graded, and left out. Continue it with the same `tts run` for all.",
            *(folder, stored - graded, counted(stored, "candidate")),
        )
    changed = {} if mutating is None else _changed(judged, config, mutating)
    return [_material(item, changed.get(item.problem.id, ())) for item in judged]


def _material(item: Judged, changed: Sequence[tuple[str, str, str]]) -> Material:
    """Of candidates with a program that parses; the others teach nothing and are counted."""
    codes = [(c.code or "", right) for c, right in zip(item.candidates, item.correct, strict=True) if c.valid]
    right = tuple(code for code, passed in codes if passed)
    wrong = tuple(code for code, passed in codes if not passed)
    without = len(item.candidates) - len(codes)
    return Material(item.problem.id, item.problem.statement, right, wrong, tuple(changed), without=without)


def _changed(judged: Sequence[Judged], config: Config, mutating: Mutating) -> Mapping[str, list[tuple[str, str, str]]]:
    """Right programs changed so that they fail, as execution says. Raises InfraError where that could not be said."""
    limits = config.grading
    grader = Grader(limits.limits, limits.workers, isolation=limits.isolation, level=limits.level)
    trials = _drawn(audit_probing.make(judged, mutating.wanted), mutating.wanted, mutating.seed)
    benchmark = build("benchmark", config.benchmark, "benchmark", **config.context())
    with Ledger(mutating.kept_in) as ledger:
        tried = audit_probing.execute(trials, benchmark, grader, ledger, mutating.progress)
        if not len(ledger):
            mutating.kept_in.unlink()
    if tried.undecided:
        raise InfraError(
            f"{counted(tried.undecided, 'changed program')} could not be run because our own machinery failed. Run the "
            "command again: what is known is kept."
        )
    found: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for trial in tried.as_meant:
        found[trial.problem.id].append(_named(trial))
    return found


def _drawn(trials: Sequence[Trial], wanted: int, seed: int) -> list[Trial]:
    """Of each problem's changes that should break a program, enough that as many as are wanted will."""
    by_problem: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial.probe.breaks:
            by_problem[trial.problem.id].append(trial)
    for name, mine in by_problem.items():
        random.Random(seed_of(seed, "mutants", name)).shuffle(mine)
    return [trial for mine in by_problem.values() for trial in mine[: TRIED * wanted]]


def _named(trial: Trial) -> tuple[str, str, str]:
    return trial.base, trial.made, f"mutant: {trial.probe.name}"


def _of_rows(pairs: Iterable[Pair]) -> list[Material]:
    """A file's pairs by question."""
    by_statement: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_statement[pair.statement].append(pair)
    return [
        Material(mine[0].problem_id, statement, (), (), pairs=tuple((p.chosen, p.rejected, p.source) for p in mine))
        for statement, mine in by_statement.items()
    ]


def read(path: Path) -> list[Pair]:
    """The pairs of a file, as they stand. Raises DataError for a row that is none, naming it."""
    if path.is_dir():
        raise DataError(f"{path} is a folder. If it is a run's: `tts pairs {path} --out pairs.jsonl` makes its pairs.")
    if path.suffix not in ENDINGS:
        raise DataError(f"{path} is no run's folder and no file of pairs ({' or '.join(ENDINGS)}). Give one of them.")
    rows = _read_parquet(path) if path.suffix == ".parquet" else read_jsonl(path)
    return [_pair(row, f"{path}, {'row' if path.suffix == '.parquet' else 'line'} {number}") for number, row in rows]


def _pair(row: Mapping[str, Any], where: str) -> Pair:
    statement, chosen, rejected = (expect(row, name, str, where) for name in COLUMNS)
    given = expect(row, "problem_id", (str, int), where, needed=False)
    side = expect(row, "split", str, where, needed=False) or UNSPLIT
    if side not in (TRAIN, HELD_OUT, UNSPLIT):
        raise DataError(f"{where}: split must be {TRAIN} or {HELD_OUT}, got {side!r}.")
    source = expect(row, "source", str, where, needed=False) or SAMPLED
    name = program_hash(statement)[:12] if given is None else str(given)
    return Pair(name, statement, chosen, rejected, source, side)


def _read_parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    pyarrow, parquet = _pyarrow()
    remedy = "Give a Parquet file with the columns " + ", ".join(COLUMNS) + "."
    with explained(DataError, f"{path} cannot be read", remedy), path.open("rb") as file:
        try:
            rows = parquet.read_table(file).to_pylist()
        except (pyarrow.ArrowInvalid, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read: {error}. {remedy}") from error
    yield from enumerate(rows, 1)


def check_ending(path: Path) -> None:
    """Raises ConfigError for a file to write that is a folder, or whose name does not say in which format."""
    if path.is_dir():
        raise ConfigError(f"--out {path} is a folder. Give the name of a file in it: {path / 'pairs.jsonl'}.")
    if path.suffix not in ENDINGS:
        raise ConfigError(f"--out must end in {' or '.join(ENDINGS)}, got {path.name!r}.")


def write(path: Path, pairs: Sequence[Pair], bare: bool = False) -> None:
    """Write pairs as rows; `bare` has nothing but CodeScalerPair-51K's columns. Raises ConfigError as
    `check_ending`.
    """
    check_ending(path)
    rows = [_row(pair, bare) for pair in pairs]
    with replacing(path) as beside:
        if path.suffix == ".parquet":
            pyarrow, parquet = _pyarrow()
            parquet.write_table(pyarrow.Table.from_pylist([_encodable(row) for row in rows]), beside)
        else:
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            beside.write_text(text, encoding="utf-8", errors="backslashreplace")


def _encodable(row: Mapping[str, str]) -> dict[str, str]:
    """With a lone surrogate, which Parquet cannot hold, as it is written in Python."""
    return {name: text.encode("utf-8", "backslashreplace").decode("utf-8") for name, text in row.items()}


def _row(pair: Pair, bare: bool) -> dict[str, str]:
    row = dict(zip(COLUMNS, (pair.statement, pair.chosen, pair.rejected), strict=True))
    return row if bare else row | {"problem_id": pair.problem_id, "source": pair.source, "split": pair.split}


def summary(found: Chosen) -> list[str]:
    """What was chosen and what was left out, a line each."""
    gone = found.dropped
    lines = [
        f"{found.mixed} of {counted(found.problems, 'problem')} have right and wrong programs that count; left out: "
        f"{gone.alike} programs alike others but for words, {gone.trivial} that do nothing, {gone.unparsable} answers "
        f"without one that parses; {counted(gone.unbalanced, 'pair')} for the balance of lengths."
    ]
    if gone.unfit or gone.beyond:
        lines.append(
            f"Of the pairs of files, left out: {gone.unfit} alike others or with a program that does nothing or does "
            f"not parse, {gone.beyond} beyond --per-problem."
        )
    for side, mine in found.splits.items():
        problems, changed = len({pair.statement for pair in mine}), sum(pair.source != SAMPLED for pair in mine)
        told = f"; length alone tells {100 * length_accuracy(mine):.1f}% of them" if mine else ""
        lines.append(
            f"{side}: {counted(len(mine), 'pair')} of {counted(problems, 'problem')}, {changed} with a mutant{told}."
        )
    return lines


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("A Parquet file needs pyarrow. Run: pip install pyarrow. Or use .jsonl.") from error
    return pyarrow, pyarrow.parquet
