"""Samples that exist already become a run: anyone's saved completions are ranked and graded without a model.

Reads JSONL rows {"question_id", "index", "text" or "code", "logprob"?, "tokens"?}. It is also the deterministic
generator of the tests.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tts.errors import DataError
from tts.jsonl import expect, read_jsonl, user_path
from tts.plugins import FREE
from tts.types import Candidate, Problem

MAX_COUNT = 2**63 - 1


@dataclass(frozen=True)
class Replay:
    """Options: `path` of the samples. With `generator.n` unset, all samples of each problem are taken."""

    path: str = field(metadata=FREE)

    def indices(self, problem: Problem) -> list[int]:
        """The indices that the file holds for a problem, ascending. Raises DataError if there are none."""
        if problem.id not in self._indices:
            raise DataError(f"{self.path} has no sample of problem {problem.id!r}. Add some or narrow benchmark.ids.")
        return self._indices[problem.id]

    def generate(self, wanted: Sequence[tuple[Problem, int]]) -> Iterator[Candidate]:
        """The wanted samples in the order asked for. Raises DataError for one that the file does not hold."""
        for problem, index in wanted:
            if (problem.id, index) not in self._samples:
                raise DataError(f"{self.path} has no sample {index} of problem {problem.id!r}.")
            yield self._samples[problem.id, index]

    @cached_property
    def _indices(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for problem_id, index in sorted(self._samples):
            found[problem_id].append(index)
        return dict(found)

    @cached_property
    def _samples(self) -> dict[tuple[str, int], Candidate]:
        path, samples = user_path(self.path), {}
        for number, row in read_jsonl(path):
            candidate = _candidate(row, f"{path}, line {number}")
            if candidate.key in samples:
                raise DataError(f"{path}, line {number}: sample {candidate.key} is there twice. Delete one.")
            samples[candidate.key] = candidate
        return samples


def _candidate(row: Mapping[str, Any], where: str) -> Candidate:
    code = expect(row, "code", str, where, needed=row.get("text") is None)
    text = expect(row, "text", str, where, needed=False)
    return Candidate(
        problem_id=str(expect(row, "question_id", (str, int), where)),
        index=_count(row, "index", where),
        text=code if text is None else text,
        code=code,
        tokens=None if row.get("tokens") is None else _count(row, "tokens", where),
        logprob=_logprob(row, where),
        finish=expect(row, "finish", str, where, needed=False) or "stop",
    )


def _count(row: Mapping[str, Any], name: str, where: str) -> int:
    count: int = expect(row, name, int, where)
    if not 0 <= count <= MAX_COUNT:
        raise DataError(f"{where}: {name} must be from 0 to {MAX_COUNT}, got {str(count)[:40]}.")
    return count


def _logprob(row: Mapping[str, Any], where: str) -> float | None:
    value: int | float | None = expect(row, "logprob", (int, float), where, needed=False)
    if value is not None and not abs(value) <= sys.float_info.max:
        raise DataError(f"{where}: logprob must be a finite number, got {str(value)[:40]}. Leave it out if unknown.")
    return None if value is None else float(value)


plugin = Replay
