"""Samples that exist already become a run: anyone's saved completions are ranked and graded without a model.

Reads JSONL rows {"question_id", "index", "text" or "code", "logprob"?, "tokens"?}. It is also the deterministic
generator of the tests.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tts.errors import DataError
from tts.jsonl import expect, read_jsonl
from tts.types import Candidate, Problem


@dataclass(frozen=True)
class Replay:
    """Options: `path` of the samples. With `generator.n` unset, all samples of each problem are taken."""

    path: str

    def indices(self, problem: Problem) -> list[int]:
        """The indices that the file holds for a problem, ascending. Raises DataError if there are none."""
        found = sorted(index for problem_id, index in self._samples if problem_id == problem.id)
        if not found:
            raise DataError(f"{self.path} has no sample of problem {problem.id!r}. Add some or narrow benchmark.ids.")
        return found

    def generate(self, wanted: Sequence[tuple[Problem, int]]) -> Iterator[Candidate]:
        """The wanted samples in the order asked for. Raises DataError for one that the file does not hold."""
        for problem, index in wanted:
            if (problem.id, index) not in self._samples:
                raise DataError(f"{self.path} has no sample {index} of problem {problem.id!r}.")
            yield self._samples[problem.id, index]

    @cached_property
    def _samples(self) -> dict[tuple[str, int], Candidate]:
        path, samples = Path(self.path).expanduser(), {}
        for number, row in read_jsonl(path):
            candidate = _candidate(row, f"{path}, line {number}")
            if candidate.key in samples:
                raise DataError(f"{path}, line {number}: sample {candidate.key} is there twice. Delete one.")
            samples[candidate.key] = candidate
        return samples


def _candidate(row: Mapping[str, Any], where: str) -> Candidate:
    code = expect(row, "code", str, where, needed=row.get("text") is None)
    text = expect(row, "text", str, where, needed=False)
    logprob = expect(row, "logprob", (int, float), where, needed=False)
    return Candidate(
        problem_id=str(expect(row, "question_id", (str, int), where)),
        index=expect(row, "index", int, where),
        text=code if text is None else text,
        code=code,
        tokens=expect(row, "tokens", int, where, needed=False),
        logprob=None if logprob is None else float(logprob),
        finish=expect(row, "finish", str, where, needed=False) or "stop",
    )


plugin = Replay
