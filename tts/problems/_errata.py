"""Problems whose verdicts are known not to be fair: LiveCodeBench's published errata, and a user's own in a file.

A flagged problem stays in the benchmark and gets the tag ERRATA; a report then gives its numbers with and without
the flagged ones.
"""

from collections.abc import Mapping
from pathlib import Path

from tts.errors import DataError, unknown
from tts.jsonl import expect, read_jsonl
from tts.types import Problem

KINDS = ("multiple_answers", "interactive", "bad_tests")

# ERRATA.md of the repository LiveCodeBench/LiveCodeBench at commit 6ebcdda4d51e: AtCoder's problems by question_id,
# LeetCode's by question_title. The version before it lacks the last two of bad_tests.
PUBLISHED: Mapping[str, str] = {
    name: kind
    for kind, names in {
        "multiple_answers": (
            "abc311_c",
            "abc326_d",
            "abc327_b",
            "abc333_e",
            "abc343_e",
            "abc362_c",
            "find-words-containing-character",
            "find-the-peaks",
            "generate-binary-strings-without-adjacent-zeros",
        ),
        "interactive": ("abc337_e", "abc355_e"),
        "bad_tests": ("abc350_c", "apply-operations-to-make-string-empty", "most-frequent-ids"),
    }.items()
    for name in names
}


def published(problem: Problem) -> str:
    """The kind of a LiveCodeBench problem's published erratum, or nothing."""
    title = problem.tags.get("title", "").lower().replace(" ", "-")
    return PUBLISHED.get(problem.id) or PUBLISHED.get(title, "")


def read_errata(path: Path) -> dict[str, str]:
    """question_id -> kind, from JSON lines of {"question_id", "kind", "note"?}. Raises DataError."""
    found: dict[str, str] = {}
    for number, row in read_jsonl(path):
        where = f"{path}, line {number}"
        name = str(expect(row, "question_id", (str, int), where))
        kind = expect(row, "kind", str, where)
        expect(row, "note", str, where, needed=False)
        if kind not in KINDS:
            raise DataError(f"{where}: {unknown(kind, 'the kinds of errata', KINDS)}")
        if name in found:
            raise DataError(f"{where}: question_id {name!r} is there twice. Delete one of the lines.")
        found[name] = kind
    return found
