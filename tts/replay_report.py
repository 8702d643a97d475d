"""A replay shown: a terminal table, JSON, and a picture of accuracy against tokens, uniform sampling always in it."""

import dataclasses
import textwrap
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from tts.cost_report import number
from tts.errors import counted
from tts.palette import COLOURS, GREY, INK, MARKERS
from tts.picture import MARKERS as SHAPES
from tts.replay import Replay, Spot, Uniform
from tts.report import add_row, plain_table
from tts.wording import interval, percent, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNIFORM = "uniform"


def table(found: Replay) -> Table:
    """Uniform sampling by k, then each policy's settings."""
    scorer = f", scores of {found.scorer}" if found.scorer else ""
    columns = ["policy", "options", "candidates", "tokens", "solved", "over uniform at equal cost"]
    drawn = plain_table(f"replay of {found.folder}: {found.selector}{scorer}", columns, notes(found))
    for point in _shown(found.uniform):
        value = _value(point.value, point.se, point.exact) + f" {interval(point.low, point.high)}"
        add_row(drawn, [UNIFORM, f"k={point.k}", number(point.k), number(point.tokens), value, "-"], style="dim")
    for _, mine in groupby(found.spots, key=lambda spot: spot.policy):
        spots = list(mine)
        drawn.add_section()
        for spot in spots:
            add_row(drawn, _row(spot))
    return drawn


def _shown(uniform: Sequence[Uniform]) -> list[Uniform]:
    """The powers of two, and the last."""
    return [point for point in uniform if point.k & (point.k - 1) == 0 or point is uniform[-1]]


def _row(spot: Spot) -> list[str]:
    gap = spot.over_uniform
    value = _value(spot.value, spot.se, spot.exact) + f" {interval(spot.low, spot.high)}"
    beside = f"{percent(gap.value, True)} {interval(gap.low, gap.high, True)}"
    return [spot.policy, spot.options, f"{spot.candidates:.2f}", number(spot.tokens), value, beside]


def _value(value: float, se: float, exact: bool) -> str:
    return percent(value) if exact else f"~{percent(value)} ±{percent(se)}"


def notes(found: Replay) -> list[str]:
    """What the numbers are."""
    unit = "tokens that the generator writes" if found.in_tokens else "candidates, since tokens are not known"
    return [
        f"{found.benchmark}: {counted(found.problems, 'problem')}, at most {counted(found.n, 'candidate')} each; "
        f"percent of problems solved by {found.selector}. Candidates and tokens are means per problem.",
        _estimates(found),
        f"[a, b] is a {100 * found.level:g}% interval, a bootstrap over problems. 'Over uniform' is the paired "
        f"difference to the same number for every problem, at equal mean {unit}.",
    ]


def _estimates(found: Replay) -> str:
    """Which values were drawn, and of what."""
    of = [f"{counted(found.orders, 'drawn order')} of each problem's candidates"] * any(
        not s.exact for s in found.spots
    )
    of += [f"drawn subsets of them ({UNIFORM})"] * any(not point.exact for point in found.uniform)
    if not of:
        return "All values are exact, averages over all orders of each problem's candidates."
    return f"~ is an average over {' or '.join(of)}, ± its standard error; everything else is exact."


def as_json(found: Replay) -> dict[str, Any]:
    """Every number of the replay but each problem's own; accuracies are fractions."""
    plain = dataclasses.asdict(found) | {"folder": str(found.folder)}
    plain["spots"] = [{name: value for name, value in spot.items() if name != "per_problem"} for spot in plain["spots"]]
    return plain


def write_picture(found: Replay, path: Path) -> None:
    """Accuracy against cost as PNG or SVG, by the path's ending. Raises OSError if it cannot be written."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "tts"}):
        figure = _figure(found)
        figure.savefig(path, format=path.suffix.removeprefix("."), dpi=200, facecolor="white")


def caption(found: Replay) -> str:
    """n, k, problems, orders and interval, in words."""
    first, last = found.uniform[0].k, found.uniform[-1].k
    return (
        f"{found.benchmark} ({found.folder.name}): {counted(found.problems, 'problem')}, n = {found.n}, "
        f"{found.selector}. Line: {UNIFORM} sampling at {counted(len(found.uniform), 'value')} of k from {first} to "
        f"{last}. Points: policies, each the mean over problems and over at most {counted(found.orders, 'order')} of "
        f"their candidates. Band and bars: {100 * found.level:g}% intervals, a bootstrap over problems. Paired "
        "differences at equal cost: see the table."
    )


def _figure(found: Replay) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.4, 4.4), layout="constrained")
    axes = figure.subplots()
    _draw_uniform(axes, found)
    for position, (name, mine) in enumerate(groupby(found.spots, key=lambda spot: spot.policy)):
        spots = sorted(mine, key=lambda spot: _cost(spot))
        colour, marker = COLOURS[position % len(COLOURS)], SHAPES[MARKERS[position % len(MARKERS)]]
        look: dict[str, Any] = {"color": colour, "marker": marker, "linewidth": 1.4, "markersize": 4.5, "zorder": 3}
        costs = [_cost(s) for s in spots]
        axes.plot(costs, [100 * s.value for s in spots], label=plain(name), **look)
        axes.vlines(costs, [100 * s.low for s in spots], [100 * s.high for s in spots], color=colour, linewidth=1.0)
    _draw_axes(axes, found)
    text = "\n".join(textwrap.wrap(plain(caption(found)), 140))
    figure.supxlabel(text, x=0.012, ha="left", fontsize=7, color=INK, linespacing=1.4)
    return figure


def _cost(point: Spot | Uniform) -> float:
    if point.tokens is not None:
        return point.tokens
    return point.candidates if isinstance(point, Spot) else float(point.k)


def _draw_uniform(axes: "Axes", found: Replay) -> None:
    costs = [_cost(point) for point in found.uniform]
    low, high = ([100 * getattr(point, end) for point in found.uniform] for end in ("low", "high"))
    axes.fill_between(costs, low, high, color=GREY, alpha=0.18, linewidth=0)
    look: dict[str, Any] = {"color": INK, "linestyle": (0, (4, 2)), "linewidth": 1.6, "zorder": 2}
    axes.plot(costs, [100 * point.value for point in found.uniform], label=UNIFORM, **look)


def _draw_axes(axes: "Axes", found: Replay) -> None:
    axes.set_xscale("log", base=2)
    unit = "tokens that the generator writes" if found.in_tokens else "candidates"
    axes.set_xlabel(f"{unit} per problem", fontsize=9, color=INK)
    axes.set_ylabel("problems solved (%)", fontsize=9, color=INK)
    axes.set_title(plain(f"Stopping on {found.benchmark}: {found.selector}"), loc="left", fontsize=10, color=INK)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
    axes.tick_params(colors=INK, labelsize=8, length=3)
    axes.legend(fontsize=8, labelcolor=INK, frameon=False)
    for side, spine in axes.spines.items():
        spine.set(color=GREY, visible=side in ("left", "bottom"))
