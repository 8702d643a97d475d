"""What `tts export` does: a run's candidates with their scores and verdicts, as rows or in LiveCodeBench's layout."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tts.analysis import grade_of, stored_config, stored_grader, stored_scores
from tts.errors import ConfigError, unknown
from tts.grade_files import details
from tts.store import Store
from tts.types import Candidate, Grade, Problem, Verdict
from tts.writing import replacing, write_rows

NO_GRADE = Grade("", "", Verdict.NO_CODE, 0.0, 0, 0)


def export(store: Store, path: Path, layout: str) -> int:
    """Write a run's candidates; the number of rows. Raises ConfigError for an unknown layout or ending."""
    if layout == "livecodebench":
        samples = _livecodebench(store)
        with replacing(path) as beside, beside.open("w", encoding="utf-8") as file:
            json.dump(samples, file, indent=1)
        return len(samples)
    if layout != "rows":
        raise ConfigError(unknown(layout, "the export formats", ["rows", "livecodebench"]))
    if path.suffix == ".parquet":
        return _parquet(list(_export_rows(store)), path)
    if path.suffix != ".jsonl":
        raise ConfigError(f"--to must end in .jsonl or .parquet, got {path.name!r}.")
    return write_rows(path, _export_rows(store))


def _by_problem(store: Store) -> Iterator[tuple[Problem, list[Candidate]]]:
    problems = {problem.id: problem for problem in store.problems()}
    mine: dict[str, list[Candidate]] = {name: [] for name in problems}
    for candidate in store.candidates():
        mine[candidate.problem_id].append(candidate)
    yield from ((problems[name], found) for name, found in mine.items())


def _export_rows(store: Store) -> Iterator[dict[str, Any]]:
    config = stored_config(store)
    scores = stored_scores(store, config)
    grades = store.grades(stored_grader(store))
    for _, candidates in _by_problem(store):
        for c in candidates:
            found = {label: held[c.key].value if c.key in held else None for label, held in scores.items()}
            graded = grade_of(c, grades)
            yield {
                "question_id": c.problem_id,
                "index": c.index,
                "text": c.text,
                "code": c.code,
                "extraction": c.extraction,
                "finish": c.finish,
                "prompt_tokens": c.prompt_tokens,
                "tokens": c.tokens,
                "logprob": c.logprob,
                "scores": found,
                "verdict": None if graded is None else str(graded.verdict),
                "seconds": None if graded is None else round(graded.seconds, 6),
                **(dict.fromkeys(details(NO_GRADE)) if graded is None else details(graded)),
            }


def _livecodebench(store: Store) -> list[dict[str, Any]]:
    """The list that LiveCodeBench's runner saves and its custom evaluator reads."""
    rows = []
    for problem, candidates in _by_problem(store):
        tags = problem.tags
        rows.append(
            {
                "question_title": tags.get("title", ""),
                "question_content": problem.statement,
                "platform": tags.get("platform", ""),
                "question_id": problem.id,
                "contest_id": tags.get("contest_id", ""),
                "contest_date": tags.get("contest_date", ""),
                "starter_code": problem.starter_code,
                "difficulty": tags.get("difficulty", ""),
                "output_list": [c.text for c in candidates],
                "code_list": [c.code or "" for c in candidates],
            }
        )
    return rows


def _parquet(rows: list[dict[str, Any]], path: Path) -> int:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("Writing Parquet needs pyarrow. Run: pip install pyarrow. Or use .jsonl.") from error
    for row in rows:
        row["scores"] = row["scores"] or None  # Parquet has no type for a struct without fields
    with replacing(path) as beside:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), beside)
    return len(rows)
