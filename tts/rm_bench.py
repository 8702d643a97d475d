"""RM-Bench (Liu et al. 2024, arXiv 2410.16184): its rows, its numbers, and published figures to stand beside.

Reads the authors' `total_dataset.json`, which is not shipped: a list of {id, prompt, chosen, rejected, domain}, chosen
and rejected being three answers each, in the styles concise, detailed in plain text, detailed in Markdown. Scores are
given; how an answer is scored is not decided here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tts.errors import DataError
from tts.jsonl import expect, read_json
from tts.metrics import Floats

STYLES = ("concise", "detailed, plain", "detailed, Markdown")
# A domain of the results and the domains of the rows that it is the mean of, each of which weighs the same.
DOMAINS: Mapping[str, tuple[str, ...]] = {
    "code": ("code",),
    "chat": ("chat",),
    "math": ("math",),
    "safety": ("safety-refuse", "safety-response"),
}
ROW_DOMAINS = tuple(name for parts in DOMAINS.values() for name in parts)
REMEDY = "Give RM-Bench's total_dataset.json as its authors publish it."


@dataclass(frozen=True, slots=True)
class Row:
    """A prompt and its answers, three right or better ones and three wrong or worse ones, by style."""

    id: str
    prompt: str
    chosen: tuple[str, ...]
    rejected: tuple[str, ...]
    domain: str


@dataclass(frozen=True, slots=True)
class Accuracy:
    """`matrix[i][j]` is the share of rows where the chosen answer in style i scores above the rejected one in style j.

    `hard` is the mean above the diagonal, where the rejected answer has the fancier style; `normal` that of the
    diagonal, `easy` that below it.
    """

    rows: int
    matrix: tuple[tuple[float, ...], ...]
    easy: float
    normal: float
    hard: float

    @property
    def average(self) -> float:
        """The mean of easy, normal and hard."""
        return (self.easy + self.normal + self.hard) / 3


@dataclass(frozen=True, slots=True)
class Result:
    """`parts` by the rows' own domains, `domains` and `easy`, `normal`, `hard` and `average` as published: means of
    means. `matrix` is over all rows. `missing` are domains without a row, which are in no mean.
    """

    rows: int
    matrix: tuple[tuple[float, ...], ...]
    parts: dict[str, Accuracy]
    domains: dict[str, float]
    easy: float
    normal: float
    hard: float
    average: float
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """Published figures in percent; `printed` is the average as published."""

    model: str
    code: float
    chat: float
    math: float
    safety: float
    easy: float
    normal: float
    hard: float
    printed: float

    @property
    def recomputed(self) -> float:
        """The mean of the four domains, which the average is."""
        return (self.code + self.chat + self.math + self.safety) / 4

    @property
    def misprinted(self) -> bool:
        """Whether the printed average is no rounding of what its own columns give."""
        return abs(self.recomputed - self.printed) > ROUNDING

    @property
    def average(self) -> float:
        """The average as published, or recomputed where it is misprinted."""
        return self.recomputed if self.misprinted else self.printed


ROUNDING = 0.1  # of an average whose columns are rounded to a tenth themselves
SOURCE = "the model card of CodeScaler-1.7B"
REFERENCES = (
    Reference("Skywork-Reward-Llama-3.1-8B", 54.5, 69.5, 60.6, 95.7, 89.0, 74.7, 46.6, 70.1),
    Reference("AceCodeRM-7B", 66.9, 66.7, 65.3, 89.9, 79.9, 74.4, 62.2, 72.2),
    Reference("AceCoder-RM-32B", 72.1, 73.7, 70.5, 88.0, 84.5, 78.3, 65.5, 76.1),
    Reference("Skywork-Reward-V2-Qwen3-1.7B", 72.3, 69.6, 71.4, 92.9, 92.8, 82.3, 54.5, 76.6),
    Reference("Skywork-Reward-V2-Qwen3-4B", 74.4, 78.2, 73.6, 95.7, 92.1, 85.0, 64.4, 80.5),
    Reference("Skywork-Reward-V2-Qwen3-8B", 73.6, 80.6, 75.0, 96.5, 91.8, 85.5, 67.0, 80.5),
    Reference("CodeScaler-1.7B", 73.1, 74.4, 74.7, 93.1, 91.7, 83.2, 61.5, 78.8),
    Reference("CodeScaler-4B", 76.3, 80.4, 79.0, 95.8, 92.9, 86.5, 69.2, 82.9),
    Reference("CodeScaler-8B", 76.9, 83.0, 79.9, 96.4, 92.5, 87.9, 71.8, 84.1),
)


def read(path: Path) -> list[Row]:
    """The rows of the authors' file. Raises DataError, naming the row, counted from 0, and what is wrong with it."""
    rows = read_json(path, "list of rows", REMEDY)
    if not isinstance(rows, list) or not rows:
        got = f"an empty {type(rows).__name__}" if rows in ([], {}) else type(rows).__name__
        raise DataError(f"{path} must hold a list of rows, got {got}. {REMEDY}")
    return [_row(row, f"{path}, row {position}") for position, row in enumerate(rows)]


def _row(row: Any, where: str) -> Row:
    if not isinstance(row, dict):
        raise DataError(f"{where}: a row must be an object, got {type(row).__name__}. {REMEDY}")
    domain = expect(row, "domain", str, where)
    if domain not in ROW_DOMAINS:
        raise DataError(f"{where}: domain must be one of {', '.join(ROW_DOMAINS)}, got {domain!r}. {REMEDY}")
    name, prompt = str(expect(row, "id", (str, int), where)), expect(row, "prompt", str, where)
    return Row(name, prompt, _answers(row, "chosen", where), _answers(row, "rejected", where), domain)


def _answers(row: Mapping[str, Any], field: str, where: str) -> tuple[str, ...]:
    found = expect(row, field, list, where)
    if len(found) != len(STYLES) or not all(isinstance(text, str) for text in found):
        kinds = ", ".join(type(text).__name__ for text in found[:6])
        raise DataError(f"{where}: {field} must be 3 texts, one for each style, got {len(found)} ({kinds}). {REMEDY}")
    return tuple(found)


def evaluate(domains: Sequence[str], chosen: ArrayLike, rejected: ArrayLike) -> Result:
    """RM-Bench's numbers, as fractions, of scores (rows, 3) for the chosen and the rejected answers by style.

    A tie is wrong. ValueError for no rows, or for shapes that do not fit.
    """
    right, wrong = np.asarray(chosen, dtype=np.float64), np.asarray(rejected, dtype=np.float64)
    if right.shape != (len(domains), len(STYLES)) or wrong.shape != right.shape or not domains:
        raise ValueError(f"Expected scores ({len(domains)}, 3) twice, got {right.shape} and {wrong.shape}.")
    above = (right[:, :, None] > wrong[:, None, :]).astype(np.float64)
    held = np.array(domains)
    parts = {name: accuracy(above[held == name]) for name in ROW_DOMAINS if (held == name).any()}
    by_domain = {name: _mean_of(parts, names) for name, names in DOMAINS.items() if parts.keys() & set(names)}
    easy, normal, hard, average = np.mean(list(by_domain.values()), axis=0).tolist()
    return Result(
        rows=len(domains),
        matrix=accuracy(above).matrix,
        parts=parts,
        domains={name: values[3] for name, values in by_domain.items()},
        easy=easy,
        normal=normal,
        hard=hard,
        average=average,
        missing=tuple(name for name in ROW_DOMAINS if name not in parts),
    )


def _mean_of(parts: Mapping[str, Accuracy], names: Sequence[str]) -> list[float]:
    """Easy, normal, hard and average of a domain, the mean over its parts."""
    mine = [parts[name] for name in names if name in parts]
    rows = [[part.easy, part.normal, part.hard, part.average] for part in mine]
    means: list[float] = np.mean(rows, axis=0).tolist()
    return means


def accuracy(above: Floats) -> Accuracy:
    """The numbers of rows (rows, 3, 3), 1 where the chosen answer in style i scores above the rejected one in j."""
    matrix = above.mean(axis=0)
    upper, lower = np.triu_indices(len(STYLES), 1), np.tril_indices(len(STYLES), -1)
    return Accuracy(
        rows=len(above),
        matrix=tuple(map(tuple, matrix.tolist())),
        easy=float(matrix[lower].mean()),
        normal=float(np.diag(matrix).mean()),
        hard=float(matrix[upper].mean()),
    )
