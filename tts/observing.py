"""What programs are run on for the selectors that compare what they do: a problem's public tests, inputs mutated from
them, and tests that a model wrote. Decides what; running is `grade.py`'s, storing the store's.

Tests that a model wrote are rows of a JSONL file, `{"question_id": ..., "tests": [{"input", "output", "testtype"}]}` in
LiveCodeBench's format, or `{"question_id": ..., "code" or "text": ...}` with assert statements, as `tts export` writes
the samples of a run whose prompt asked for asserts. What cannot be read as a test is passed over: a model wrote it.
"""

import ast
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts import prompts
from tts.config import BehavioursConfig
from tts.errors import DataError, explained
from tts.grade import GradeJob
from tts.jsonl import expect, read_jsonl, user_path
from tts.mutants import mutants
from tts.problems._asserts import NotData, Subject, from_assert, parsed
from tts.problems._tests import decode
from tts.types import Call, Check, Problem, Run, Test

VERSION = 1
MOST_WRITTEN = 100  # tests of one problem that a model wrote, the first in the file


@dataclass(frozen=True, slots=True)
class Observing:
    """How a run's programs are observed. `version` names all that the result depends on beside program and problem."""

    extra_inputs: int
    seed: int
    written: Mapping[str, list[Mapping[str, Any]]]
    version: str

    @classmethod
    def of(cls, wanted: BehavioursConfig, seed: int, grader: str) -> "Observing":
        """As a config wants it, by a grader of that version. Raises DataError for an unreadable file."""
        parts = [f"{grader} observing {VERSION}"]
        if wanted.extra_inputs:
            parts.append(f"extra inputs {wanted.extra_inputs} seed {seed}")
        written: Mapping[str, list[Mapping[str, Any]]] = {}
        if wanted.tests is not None:
            path = user_path(wanted.tests)
            with explained(DataError, f"behaviours.tests, {path}, cannot be read", "Give the path of a JSONL file."):
                parts.append(f"tests {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}")
            written = _rows(path)
        return cls(wanted.extra_inputs, seed, written, " ".join(parts))

    def job(self, problem: Problem, code: str) -> GradeJob:
        """The inputs to run one program on: the public tests, the mutants, then what a model wrote."""
        public = problem.public_tests
        extra: list[Run] = mutants(public, self.extra_inputs, self.seed, problem.id)
        written = self.written_tests(problem)
        return GradeJob(problem.id, code, (*public, *extra, *written), len(public), len(written))

    def written_tests(self, problem: Problem) -> list[Test]:
        """The tests that a model wrote for a problem, each once."""
        found = (test for row in self.written.get(problem.id, []) for test in _tests(row, _entry_point(problem)))
        return list({test.asked: test for test in found}.values())[:MOST_WRITTEN]


def _rows(path: Path) -> dict[str, list[Mapping[str, Any]]]:
    rows: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for number, row in read_jsonl(path):
        name = expect(row, "question_id", (str, int), f"{path}, line {number}")
        if not any(isinstance(row.get(key), str | list) for key in ("tests", "code", "text")):
            raise DataError(f"{path}, line {number}: a row needs tests, code or text, got {sorted(row)}.")
        rows[str(name)].append(row)
    return rows


def _entry_point(problem: Problem) -> str | None:
    """The function that a problem asks for, if it asks for one."""
    called = (test.entry_point for test in problem.public_tests if isinstance(test, Call | Check))
    return problem.tags.get("entry_point") or next((name for name in called if name.isidentifier()), None)


def _tests(row: Mapping[str, Any], entry_point: str | None) -> Iterable[Test]:
    if row.get("tests"):
        return _cases(row["tests"], entry_point)
    code = row.get("code")
    if code is None and isinstance(row.get("text"), str):
        code = prompts.extract(row["text"], "cascade").code
    return _asserts(code, entry_point) if isinstance(code, str) and entry_point else ()


def _cases(cases: Any, entry_point: str | None) -> Iterator[Test]:
    for case in cases if isinstance(cases, list) else ():
        try:
            yield from decode([case], entry_point)
        except ValueError:
            continue  # a model wrote it


def _asserts(code: str, entry_point: str) -> Iterator[Test]:
    """The asserts of a text that compare a call with a constant; any other would be code that is run."""
    try:
        statements = parsed(code)
    except ValueError:
        return
    for node in (node for statement in statements for node in ast.walk(statement)):
        if isinstance(node, ast.Assert):
            try:
                yield from from_assert(node.test, Subject(entry_point))
            except (NotData, RecursionError):
                continue  # a model wrote it, also what is nested beyond Python's limit
