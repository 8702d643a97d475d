"""How far the best score of a problem lies above the next, and how often the best is right: what a margin is worth.

Over a run's problems, for each of its scorers. The statistics are `ranking.py`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tts import analysis, ranking
from tts.analysis import Judged, RunReport
from tts.ranking import Bootstrap, Calibration, Interval
from tts.select.argmax import Argmax
from tts.types import Pool, Score

MOST_BINS, LEAST_PROBLEMS = 8, 5  # bins of a calibration, and problems in each, but for a run that has fewer


@dataclass(frozen=True, slots=True)
class Bin:
    """Problems whose margin is from `low` to `high`, in units of the score, and how often the best score was right."""

    low: float
    high: float
    right: Interval


@dataclass(frozen=True, slots=True)
class Margins:
    """A scorer's margins: of each problem in the report's order (None where fewer than two programs have a score),
    the share of right choices by them, and how often the higher of two scores is right.
    """

    scorer: str
    per_problem: tuple[float | None, ...]
    bins: tuple[Bin, ...]
    pairs: Calibration


def by_scorer(report: RunReport) -> list[Margins]:
    """The margins of each scorer of a run."""
    options = report.config.report
    how = Bootstrap(options.resamples, options.level, report.config.seed)
    return [_margins(label, report.fair, scores, how) for label, scores in report.scores.items()]


def _margins(label: str, judged: Sequence[Judged], scores: Mapping[tuple[str, int], Score], how: Bootstrap) -> Margins:
    found = [_margin(item, scores) for item in judged]
    known = [(margin, right) for margin, right in found if margin is not None]
    return Margins(
        scorer=label,
        per_problem=tuple(margin for margin, _ in found),
        bins=tuple(_bins(known, how)),
        pairs=ranking.calibrate([analysis.scored(item, scores) for item in judged], how),
    )


def _margin(item: Judged, scores: Mapping[tuple[str, int], Score]) -> tuple[float | None, float]:
    """The best score less that of the best other program, and whether the best is right."""
    kept = [i for i, c in enumerate(item.candidates) if c.valid and _value(scores, c.key) is not None]
    if not kept:
        return None, 0.0
    pool = Pool(item.problem, item.candidates, tuple(scores.get(c.key) or Score(*c.key, None) for c in item.candidates))
    best = kept[Argmax().select(pool.take(kept)).position or 0]
    others = [pool.scores[i].value for i in kept if item.candidates[i].code != item.candidates[best].code]
    top = pool.scores[best].value
    margin = None if top is None else top - max(value for value in others if value is not None) if others else None
    return margin, item.correct[best]


def _value(scores: Mapping[tuple[str, int], Score], key: tuple[str, int]) -> float | None:
    found = scores.get(key)
    return None if found is None else found.value


def _bins(known: Sequence[tuple[float, float]], how: Bootstrap) -> list[Bin]:
    """Bins of about equally many problems, from the smallest margins up."""
    count = max(1, min(MOST_BINS, len(known) // LEAST_PROBLEMS))
    parts = np.array_split(np.array(sorted(known), dtype=float).reshape(-1, 2), count)
    return [Bin(float(part[0, 0]), float(part[-1, 0]), ranking.mean(part[:, 1], how)) for part in parts if len(part)]
