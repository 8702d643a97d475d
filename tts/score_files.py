"""What `tts score` does: a file of questions and programs in, a file of scores out; what is known waits beside it.

Everything wrong with the input is found before any work.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tts.engine import scored
from tts.errors import UserError, counted
from tts.jsonl import expect, read_jsonl
from tts.ledger import Ledger, key_of
from tts.pipeline import Progress
from tts.plugins import fingerprint
from tts.protocols import Scorer
from tts.types import Candidate, Problem, Score
from tts.writing import check_writable, write_rows

LOG = logging.getLogger("tts")

Pair = tuple[Problem, Candidate]


def score(pairs: Path, scorer: Scorer, out: Path, progress: Progress) -> int:
    """Score a file of pairs {"id", "question", "code"}; the number of rows. Raises DataError before scoring
    anything. What is known is in OUT.part until all is, and the same command goes on from there.
    """
    names, asked = _read_pairs(pairs)
    check_writable(out, pairs)
    with _kept(out) as ledger:
        scores = _scores(asked, scorer, ledger, progress)
        if not scores:
            LOG.warning("%s holds no pair: %s will be empty.", pairs, out)
        elif all(score.value is None for score in scores):
            LOG.warning("No pair got a score; of the first is said: %s.", scores[0].why)
        rows = ({"id": name, "value": s.value, "why": s.why} for name, s in zip(names, scores, strict=True))
        return write_rows(out, rows)


def _read_pairs(path: Path) -> tuple[list[str | int], list[Pair]]:
    """The rows' ids, and the pairs, each a problem of its own."""
    names, asked = [], []
    for position, (number, row) in enumerate(read_jsonl(path)):
        where = f"{path}, line {number}"
        names.append(expect(row, "id", (str, int), where))
        problem = Problem(id=str(position), statement=expect(row, "question", str, where), messages=())
        code = expect(row, "code", str, where)
        asked.append((problem, Candidate(problem.id, 0, code, code, "given")))
    return names, asked


def part_of(out: Path) -> Path:
    """Where scores are kept until all are known."""
    target = out.resolve()
    return target.with_name(f"{target.name}.part")


@contextmanager
def _kept(out: Path) -> Iterator[Ledger]:
    """The scores that are known, in a file beside the one to write, which goes when that is there or nothing is in
    it. A user's error says that it stays.
    """
    part = part_of(out)
    with Ledger(part) as ledger:
        try:
            yield ledger
        except UserError as error:
            if not len(ledger):
                raise
            are = "is" if len(ledger) == 1 else "are"
            kept = f"{counted(len(ledger), 'score')} {are} kept in {part}; the same command goes on from there."
            raise UserError(f"{error} {kept}") from error
        finally:
            if not len(ledger):
                part.unlink()
    part.unlink(missing_ok=True)


def _scores(asked: Sequence[Pair], scorer: Scorer, ledger: Ledger, progress: Progress) -> list[Score]:
    """The pairs' scores in their order, from the ledger or else of the scorer, whose go there as they come."""
    identity = fingerprint(type(scorer).__name__, scorer)
    keys = {problem.id: key_of(identity, problem.statement, candidate.code) for problem, candidate in asked}
    facts = {name: fact for name, key in keys.items() if (fact := ledger.find("score", key)) is not None}
    found = {name: Score(name, 0, fact["value"], fact["why"]) for name, fact in facts.items()}
    missing = [pair for pair in asked if pair[0].id not in found]
    progress.stage("score", len(asked), len(found))
    for made in scored("scorer", scorer, missing) if missing else ():
        found[made.problem_id] = made
        ledger.keep("score", keys[made.problem_id], value=made.value, why=made.why)
        progress.advance("score")
    return [found[problem.id] for problem, _ in asked]
