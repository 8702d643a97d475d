"""A training as a picture: losses and held-out accuracy by step, and what a margin of scores is worth."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tts.palette import COLOURS, GREY, INK
from tts.training import Epoch, best_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def write_picture(epochs: Sequence[Epoch], path: Path) -> None:
    """Write a PNG or an SVG, by the path's ending. Raises OSError if it cannot be written."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 3.2), layout="constrained")
    losses, accuracy, margins = figure.subplots(1, 3)
    _losses(losses, epochs)
    _accuracy(accuracy, epochs)
    _margins(margins, best_of(epochs))
    for axes in (losses, accuracy, margins):
        _tidy(axes)
    with matplotlib.rc_context({"svg.hashsalt": "tts", "svg.fonttype": "path"}):
        figure.savefig(path, dpi=200, facecolor="white", metadata={"Date": None} if path.suffix == ".svg" else None)


def _losses(axes: "Axes", epochs: Sequence[Epoch]) -> None:
    trained = [(one.step, one.train_loss) for one in epochs if one.train_loss is not None]
    axes.plot([step for step, _ in trained], [loss for _, loss in trained], color=COLOURS[0], marker="o", label="train")
    axes.plot(
        [one.step for one in epochs], [one.loss for one in epochs], color=COLOURS[1], marker="s", label="held out"
    )
    axes.axhline(math.log(2), color=GREY, linestyle="--", linewidth=1, label="by chance")
    axes.set_title("Bradley-Terry loss, nats", loc="left", fontsize=9, color=INK)
    axes.set_xlabel("step", fontsize=8, color=INK)
    axes.legend(frameon=False, fontsize=7, labelcolor=INK)


def _accuracy(axes: "Axes", epochs: Sequence[Epoch]) -> None:
    steps, values = [one.step for one in epochs], [100 * one.accuracy.value for one in epochs]
    low = [100 * one.accuracy.low for one in epochs]
    high = [100 * one.accuracy.high for one in epochs]
    axes.fill_between(steps, low, high, color=COLOURS[1], alpha=0.15, linewidth=0)
    axes.plot(steps, values, color=COLOURS[1], marker="s", label="all pairs")
    sampled = [(one.step, 100 * one.sampled.value) for one in epochs if one.sampled is not None]
    if sampled:
        axes.plot(*zip(*sampled, strict=True), color=COLOURS[0], marker="^", label="without mutants")
        axes.legend(frameon=False, fontsize=7, labelcolor=INK)
    best = best_of(epochs)
    axes.plot(best.step, 100 * best.accuracy.value, color=COLOURS[2], marker="o", markersize=9, fillstyle="none")
    axes.axhline(50, color=GREY, linestyle="--", linewidth=1)
    axes.set_title("Held-out accuracy, % (circle: kept)", loc="left", fontsize=9, color=INK)
    axes.set_xlabel("step", fontsize=8, color=INK)


def _margins(axes: "Axes", best: Epoch) -> None:
    """How often the higher score is right, by how much higher it is, beside what the fitted scale says."""
    middles = [(one.low + one.high) / 2 for one in best.margins]
    axes.plot(middles, [100 * one.fitted for one in best.margins], color=GREY, linestyle="--", label="fitted")
    axes.plot(middles, [100 * one.accuracy.value for one in best.margins], color=COLOURS[2], marker="o", label="found")
    axes.set_title("Right, %, by how far scores are apart", loc="left", fontsize=9, color=INK)
    axes.set_xlabel("difference of scores", fontsize=8, color=INK)
    axes.legend(frameon=False, fontsize=7, labelcolor=INK)


def _tidy(axes: "Axes") -> None:
    axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
    axes.tick_params(colors=INK, labelsize=7, length=3)
    for side, spine in axes.spines.items():
        spine.set(color=GREY, visible=side in ("left", "bottom"))
