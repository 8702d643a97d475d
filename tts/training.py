"""What `tts train` is asked for, read strictly, and what it says after each epoch; pure data and statistics."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pydantic
from pydantic import ConfigDict, Field, field_validator

from tts import ranking, wording
from tts.config import read_as
from tts.errors import DataError, check_option
from tts.jsonl import read_jsonl, without_nan
from tts.metrics import Floats
from tts.models import EMBEDDED, check_device
from tts.pairs import SAMPLED, Pair
from tts.ranking import Bin, Bootstrap, Interval
from tts.writing import write_rows

if TYPE_CHECKING:
    from rich.console import RenderableType


class _Strict(pydantic.BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LoraConfig(_Strict):
    """A LoRA adapter: its `rank`, `alpha` (updates are scaled by alpha / rank), `dropout`, and the linear layers that
    get one, by the ends of their names; all but the head where left out. `last_layers` gives one to so many of the
    model's blocks only, from the last back, below which nothing has to be computed backwards.
    """

    rank: int = Field(default=16, ge=1, le=1024, strict=True)
    alpha: float = Field(default=32, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[str, ...] = ()
    last_layers: int | None = Field(default=None, ge=1, strict=True)


class TrainConfig(_Strict):
    """One training. `model` is any causal language model, or a reward model to go on with: a folder, a hub name or
    "embedded"; `lora` null trains all of its weights. `pairs` are files that `tts pairs` wrote; of those without a
    split, a share `held_out` of the problems is kept from training. A pair of which a program has more than
    `max_length` tokens is left out. A step is of `batch` pairs, run `micro_batch` at a time. `margin` is how far the
    chosen score should lie above; `center` times the squared sum of both scores is added to the loss. `patience` epochs
    without a better look, one of a higher held-out accuracy or of an equal one at a lower loss, end it. `save_steps`
    are between two checkpoints within an epoch.
    """

    version: Literal[1] = 1
    model: str = EMBEDDED
    pairs: tuple[str, ...]
    lora: LoraConfig | None = LoraConfig()
    held_out: float = Field(default=0.1, gt=0, lt=1)
    max_length: int | None = Field(default=1024, ge=1, strict=True)
    epochs: int = Field(default=3, ge=1, le=1000, strict=True)
    batch: int = Field(default=16, ge=1, strict=True)
    micro_batch: int = Field(default=4, ge=1, strict=True)
    learning_rate: float = Field(default=1e-4, gt=0, le=1)
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of the steps")
    weight_decay: float = Field(default=0.0, ge=0)
    margin: float = Field(default=0.0, ge=0)
    center: float = Field(default=0.0, ge=0)
    patience: int = Field(default=2, ge=1, strict=True)
    save_steps: int = Field(default=50, ge=1, strict=True)
    gradient_checkpointing: bool = False
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = "auto"
    seed: int = Field(default=0, ge=0, lt=2**32, strict=True)

    @field_validator("pairs", mode="before")
    @classmethod
    def _one_or_several(cls, given: object) -> object:
        return [given] if isinstance(given, str) else given

    @field_validator("pairs")
    @classmethod
    def _some(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        check_option(bool(given), "pairs", "one file of pairs or several", given)
        return given

    @field_validator("device")
    @classmethod
    def _known(cls, given: str) -> str:
        check_device("device", given)
        return given

    @field_validator("micro_batch")
    @classmethod
    def _divides(cls, given: int, info: pydantic.ValidationInfo) -> int:
        batch = info.data.get("batch", given)
        check_option(batch % given == 0, "micro_batch", f"a divisor of batch, {batch}", given)
        return given


def load(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """The config of a YAML file with overrides applied. Raises ConfigError as `config.load`."""
    return read_as(TrainConfig, path, overrides, "epochs=2")


# What is found after each epoch.


@dataclass(frozen=True, slots=True)
class Epoch:
    """One look at the held-out pairs: after `step` steps, at the mean training loss since the last look (None before
    the first step). `accuracy` is the share of pairs in which the chosen program scores higher, a tie half, averaged
    within a problem first; `loss` is Bradley-Terry's, in nats; `scale` is what a difference of scores is multiplied
    with to be the log odds that it is right, `margins` how often the higher score is right, by how much higher it is.
    `sampled` is the accuracy on the pairs without a mutant, if there are others, too: mutants can be easier to tell
    than what a model writes, and a pool has none.
    """

    epoch: float
    step: int
    seconds: float
    train_loss: float | None
    loss: float
    accuracy: Interval
    mean_margin: float
    scale: Interval
    margins: tuple[Bin, ...]
    sampled: Interval | None = None


def looked(pairs: Sequence[Pair], scores: Mapping[tuple[str, str], float], how: Bootstrap, **when: Any) -> Epoch:
    """The statistics of held-out pairs from the scores of their programs, by (statement, program)."""
    chosen = np.array([scores[pair.statement, pair.chosen] for pair in pairs])
    rejected = np.array([scores[pair.statement, pair.rejected] for pair in pairs])
    higher = np.where(chosen == rejected, 0.5, chosen > rejected)
    groups = _by_problem(pairs, range(len(pairs)))
    sampled = [i for i, pair in enumerate(pairs) if pair.source == SAMPLED]
    found = ranking.calibrate([_programs([pairs[i] for i in mine], scores) for mine in groups], how)
    return Epoch(
        **when,
        loss=float(np.logaddexp(0, rejected - chosen).mean()),
        accuracy=_accuracy(higher, groups, how),
        mean_margin=float((chosen - rejected).mean()),
        scale=found.scale,
        margins=found.bins,
        sampled=_accuracy(higher, _by_problem(pairs, sampled), how) if 0 < len(sampled) < len(pairs) else None,
    )


def _by_problem(pairs: Sequence[Pair], which: Collection[int]) -> list[list[int]]:
    """The positions of these of the pairs, problem by problem."""
    found: dict[str, list[int]] = defaultdict(list)
    for i in which:
        found[pairs[i].statement].append(i)
    return list(found.values())


def _accuracy(higher: Floats, groups: Sequence[Sequence[int]], how: Bootstrap) -> Interval:
    return ranking.mean([float(higher[mine].mean()) for mine in groups], how)


def _programs(mine: Sequence[Pair], scores: Mapping[tuple[str, str], float]) -> ranking.Problem:
    """One problem's programs, each once: scores and correctness."""
    right = dict.fromkeys((pair.chosen for pair in mine), 1.0) | {pair.rejected: 0.0 for pair in mine}
    values = np.array([scores[mine[0].statement, code] for code in right])
    return values, np.array(list(right.values()))


def best_of(epochs: Sequence[Epoch]) -> Epoch:
    """The epoch with the best held-out accuracy, of equals the lowest loss, the first."""
    return min(epochs, key=lambda one: (-one.accuracy.value, one.loss, one.step))


def over(epochs: Sequence[Epoch], patience: int) -> bool:
    """Whether `patience` looks have passed without a better one; never before the first."""
    return bool(epochs) and len(epochs) - 1 - list(epochs).index(best_of(epochs)) >= patience


def table(epochs: Sequence[Epoch]) -> "RenderableType":
    """The epochs for people; the best one is marked."""
    from rich import box
    from rich.table import Table

    narrow: dict[str, Any] = {"box": box.SIMPLE_HEAD, "padding": 0}  # so that 80 columns are enough
    found = Table("epoch", "step", "min", "loss", "held-out\nloss", "margin", "scale", "accuracy", **narrow)
    if any(one.sampled for one in epochs):
        found.add_column("without\nmutants")
    best = best_of(epochs)
    for one in epochs:
        found.add_row(
            f"{one.epoch:.2f}" + ("\nkept" if one is best else ""),
            *(str(one.step), f"{one.seconds / 60:.1f}"),
            "-" if one.train_loss is None else f"{one.train_loss:.4f}",
            *(f"{one.loss:.4f}", f"{one.mean_margin:+.3f}", f"{one.scale.value:.3g}"),
            *(percent(share).replace(" ", "\n", 1) for share in (one.accuracy, one.sampled) if share),
        )
    return found


def percent(share: Interval) -> str:
    """A share with its interval."""
    return f"{wording.percent(share.value)}% {wording.interval(share.low, share.high)}"


# Kept in a file.


def keep(path: Path, epochs: Iterable[Epoch]) -> None:
    """Write the epochs, a line each. Raises UserError where the file cannot be written, which stays as it was."""
    # Infinity, a scale where every pair is in order, stays.
    write_rows(path, (without_nan(asdict(one), infinite=True) for one in epochs))


def kept(path: Path) -> list[Epoch]:
    """What is in the file; nothing where there is none. Raises DataError for a file of something else."""
    if not path.is_file():
        return []
    try:
        return [_epoch(row) for _, row in read_jsonl(path)]
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not what `tts train` wrote ({error!r}). Delete it, or train in another folder."
        ) from error


def _epoch(row: dict[str, Any]) -> Epoch:
    names = ("accuracy", "scale", *(["sampled"] if row.get("sampled") else []))
    ends = {name: _interval(row[name]) for name in names}
    return Epoch(**{**_numbers(row, "loss", "mean_margin"), **ends, "margins": tuple(map(_bin, row["margins"]))})


def _bin(row: Mapping[str, Any]) -> Bin:
    return Bin(**{**_numbers(row, "low", "high", "fitted"), "accuracy": _interval(row["accuracy"])})


def _interval(row: Mapping[str, Any]) -> Interval:
    return Interval(**_numbers(row, "value", "low", "high"))


def _numbers(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The row with null where a number has no value as what it was."""
    return {**row, **{name: math.nan for name in names if row[name] is None}}
