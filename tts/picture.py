"""The curves of one or several runs as a picture fit for a paper, by matplotlib: PNG, or SVG whose texts are paths.

Where there are more selectors than colours, the best that differ are drawn, or those that one asks for.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts.analysis import Curve, RunReport
from tts.palette import COLOURS, GREY, INK, Look, best_first, distinct, looks
from tts.sentences import ordered, picture_caption, run_names
from tts.types import ORACLE
from tts.wording import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = {
    "circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "triangle-down": "v", "cross": "P", "x": "X",
}  # fmt: skip
DASHED: dict[str, Any] = {
    "solid": "-", "dash": (0, (4, 2)), "dot": (0, (1, 1.6)), "longdash": (0, (7, 2)), "dashdot": (0, (5, 2, 1, 2)),
    "longdashdot": (0, (9, 2, 1, 2)),
}  # fmt: skip
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)))


def write_pictures(reports: Sequence[RunReport], folder: Path, curves: Sequence[str] = ()) -> list[Path]:
    """curves.png and curves.svg, the curves of one or several runs with their caption in them; their paths. `curves`
    names the selectors to draw beside random and oracle, by default all where there are colours enough.

    Raises OSError if they cannot be written.
    """
    import matplotlib

    names = curves or _chosen(reports)
    figure = _figure(reports, names, picture_caption(reports, names))
    paths = [folder / "curves.png", folder / "curves.svg"]
    figure.savefig(paths[0], format="png", dpi=200, facecolor="white")
    with matplotlib.rc_context({"svg.hashsalt": "tts", "svg.fonttype": "path"}):
        figure.savefig(paths[1], format="svg", facecolor="white", metadata={"Date": None})
    return paths


def _chosen(reports: Sequence[RunReport]) -> list[str]:
    differing = distinct(reports)
    everyone = list(dict.fromkeys([*differing, *best_first(reports)]))
    return everyone if len(everyone) <= len(COLOURS) else differing[: len(COLOURS)]


def _figure(reports: Sequence[RunReport], names: Sequence[str], caption: str) -> "Figure":
    """Percent solved against k of the named curves, a colour per selector, a dash pattern per run; no global state of
    matplotlib's.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.4, 4.4), layout="constrained")
    axes = figure.subplots()
    styles = {name: _style(look) for name, look in looks(names).items()}
    curves = [[curve for curve in ordered(report) if curve.name in styles] for report in reports]
    top_down = _by_height(curves)
    for position, mine in enumerate(curves):
        _draw_run(axes, mine, styles, None if len(reports) == 1 else DASHES[position % len(DASHES)])
    if len(reports) == 1:
        _draw_intervals(axes, top_down, styles)
    _draw_axes(axes, reports)
    handles, labels = _legend(reports, top_down, styles)
    look = {"fontsize": 8, "labelcolor": INK, "frameon": False, "handlelength": 3.2}
    figure.legend(handles, labels, loc="outside right upper", **look)
    text = "\n".join(textwrap.wrap(plain(caption), 140))
    figure.supxlabel(text, x=0.012, ha="left", fontsize=7, color=INK, linespacing=1.4)
    return figure


def _style(look: Look) -> dict[str, Any]:
    """A look in matplotlib's words."""
    marker = {} if look.marker is None else {"marker": MARKERS[look.marker], "markersize": 4.5}
    return {"color": look.colour, "linestyle": DASHED[look.dash], "linewidth": 1.6, **marker}


def _draw_run(axes: "Axes", curves: Sequence[Curve], styles: Mapping[str, Mapping[str, Any]], dashes: Any) -> None:
    """Some curves of a run, in dashes of its own where it is one of several."""
    for curve in curves:
        style = {**styles[curve.name], **({} if dashes is None else {"linestyle": dashes})}
        axes.plot([p.k for p in curve.points], [100 * p.value for p in curve.points], zorder=3, **style)


def _draw_intervals(axes: "Axes", curves: Sequence[Curve], styles: Mapping[str, Mapping[str, Any]]) -> None:
    """Beside the last k, a bar for each curve's interval there, in the legend's order."""
    octaves = max(1.0, math.log2(curves[0].points[-1].k / curves[0].points[0].k))
    for position, curve in enumerate(curves):
        last, style = curve.points[-1], styles[curve.name]
        aside = last.k * 2 ** (octaves * (0.04 + 0.02 * position))
        marker = {"color": style["color"], "marker": style.get("marker", "_"), "markersize": 3.5}
        axes.vlines(aside, 100 * last.low, 100 * last.high, color=style["color"], linewidth=1.1, zorder=2)
        axes.plot(aside, 100 * last.value, zorder=3, **marker)


def _by_height(runs: Sequence[Sequence[Curve]]) -> list[Curve]:
    """One curve of each name, from the top down as they end."""
    first = {curve.name: curve for curves in reversed(runs) for curve in curves}
    return sorted(first.values(), key=lambda curve: (-curve.points[-1].value, curve.name != ORACLE))


def _draw_axes(axes: "Axes", reports: Sequence[RunReport]) -> None:
    """A base-2 axis with whole numbers on it, a light grid and a title."""
    ks = sorted({k for report in reports for k in report.ks})
    axes.set_xscale("log", base=2)
    ticks = _ticks(ks)
    axes.set_xticks(ticks, labels=[str(k) for k in ticks])
    axes.minorticks_off()
    margin = 2 ** (0.05 * max(1.0, math.log2(ks[-1] / ks[0])))
    axes.set_xlim(ks[0] / margin, max(ks[-1] * margin, axes.dataLim.x1 * margin**0.4))
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -1.5), min(high, 101.5))
    axes.set_xlabel("k, the candidates that a selector chooses from", fontsize=9, color=INK)
    axes.set_ylabel("problems solved (%)", fontsize=9, color=INK)
    benchmarks = dict.fromkeys(report.config.benchmark_label for report in reports)
    axes.set_title(plain(f"Best of k on {', '.join(benchmarks)}"), loc="left", fontsize=10, color=INK)
    axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
    axes.tick_params(colors=INK, labelsize=8, length=3)
    axes.patch.set_visible(False)
    for side, spine in axes.spines.items():
        spine.set(color=GREY, visible=side in ("left", "bottom"))


def _ticks(ks: Sequence[int]) -> list[int]:
    """The ks to label: from the right, each at least half a doubling from the one before."""
    kept: list[int] = []
    for k in reversed(ks):
        if not kept or kept[-1] / k >= 2**0.5:
            kept.append(k)
    return kept[::-1]


def _legend(
    reports: Sequence[RunReport], curves: Sequence[Curve], styles: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Any], list[str]]:
    """Handles and labels: the curves, then a line for each run."""
    from matplotlib.lines import Line2D

    names = [curve.name for curve in curves]
    labels = [plain(name) for name in names]
    if len(reports) == 1:
        return [Line2D([], [], **styles[name]) for name in names], labels
    handles = [Line2D([], [], **{**styles[name], "linestyle": "-"}) for name in names]
    handles.append(Line2D([], [], linestyle="none"))
    labels.append("")
    for position, name in enumerate(run_names(reports)):
        handles.append(Line2D([], [], color=INK, linewidth=1.2, linestyle=DASHES[position % len(DASHES)]))
        labels.append("\n".join(textwrap.wrap(f"run {plain(name)}", 26)))
    return handles, labels
