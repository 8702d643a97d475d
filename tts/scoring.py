"""Scores of pairs, from wherever they are to be had: a run's store, an audit's ledger, or else the scorer.

What the scorer had to compute is kept in the ledger at once. Decides nothing about scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tts.engine import scored
from tts.ledger import Ledger, key_of
from tts.pipeline import Progress
from tts.types import Candidate, Problem, Score

Pair = tuple[Problem, Candidate]
Scores = Mapping[tuple[str, int], Score]


@dataclass(frozen=True)
class Scoring:
    """A scorer with its label and its identity, which is what its stored scores are known by."""

    label: str
    identity: str
    scorer: Any
    ledger: Ledger
    progress: Progress

    def scores(self, what: str, pairs: Sequence[Pair], stored: Scores | None = None) -> dict[tuple[str, int], Score]:
        """The score of each pair by the candidate's key, of which no two may be alike. Raises as the scorer does."""
        found = {candidate.key: self._known(problem, candidate, stored or {}) for problem, candidate in pairs}
        missing = [pair for pair in pairs if found[pair[1].key] is None]
        stage = f"{what} {self.label}"
        self.progress.stage(stage, len(pairs), len(pairs) - len(missing))
        by_key = {pair[1].key: pair for pair in missing}
        for score in scored(f"scorer {self.label!r}", self.scorer, missing) if missing else ():
            found[score.key] = score
            self.ledger.keep("score", self._key(*by_key[score.key]), value=score.value, why=score.why)
            self.progress.advance(stage)
        return {key: score for key, score in found.items() if score is not None}

    def _known(self, problem: Problem, candidate: Candidate, stored: Scores) -> Score | None:
        if candidate.key in stored:
            return stored[candidate.key]
        fact = self.ledger.find("score", self._key(problem, candidate))
        return None if fact is None else Score(*candidate.key, fact["value"], fact["why"])

    def _key(self, problem: Problem, candidate: Candidate) -> str:
        """All that any scorer may look at."""
        about = problem.id, problem.digest, problem.statement
        return key_of(self.identity, about, candidate.code, candidate.logprob, candidate.tokens)
