"""A replay shown: a terminal table, numbers for other programs, a section of the run's page, and a picture of accuracy
against tokens, uniform sampling always in it.
"""

import base64
import dataclasses
import io
import json
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import markupsafe
from rich.table import Table

from tts import sheets
from tts.cost_report import number
from tts.errors import DataError, counted
from tts.jsonl import read_saved
from tts.page import page_environment
from tts.palette import COLOURS, GREY, INK, MARKERS
from tts.picture import MARKERS as SHAPES
from tts.plugins import Spec
from tts.replay import Gap, Replay, Spot, Uniform
from tts.report import as_table
from tts.sheets import csv_text
from tts.wording import Sheet, interval, percent, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILE, VERSION = "replay", 1
UNIFORM = "uniform"
NOTHING = markupsafe.Markup()
_NO_NAME = re.compile(r"[^\w.+]+")
SPOT = ("policy", "options", "candidates", "answered")
VALUES = ("tokens", "value", "low", "high", "se", "exact")
ENDS = MappingProxyType({"": "value", "_low": "low", "_high": "high", "_se": "se"})  # of a column, of a difference


def table(found: Replay) -> Table:
    """The sheet on a terminal."""
    return as_table(sheet(found))


def sheet(found: Replay) -> Sheet:
    """Uniform sampling by k, then each policy's settings."""
    scorer = f", scores of {found.scorer}" if found.scorer else ""
    beside = [f"over {UNIFORM}, {name}" for name in (found.selector, *(one.selector for one in found.references))]
    rows = [_uniform_row(UNIFORM, point, found) for point in _shown(found.uniform)]
    for one in found.references:
        rows += [_uniform_row(f"{UNIFORM}, {one.selector}", point, found) for point in _shown(one.uniform)]
    return Sheet(
        title=f"replay of {found.folder}: {found.selector}{scorer}",
        headers=["policy", "options", "candidates", "tokens", "solved", *beside],
        rows=rows + [_row(spot, found) for spot in found.spots],
        notes=notes(found),
        grouped=True,
    )


def _uniform_row(name: str, point: Uniform, found: Replay) -> list[str]:
    value = f"{_value(point.value, point.se, point.exact)} {interval(point.low, point.high)}"
    nothing = ["-"] * (1 + len(found.references))
    return [name, f"k={point.k}", number(point.k), number(point.tokens), value, *nothing]


def _shown(uniform: Sequence[Uniform]) -> list[Uniform]:
    """The powers of two, and the last."""
    return [point for point in uniform if point.k & (point.k - 1) == 0 or point is uniform[-1]]


def _row(spot: Spot, found: Replay) -> list[str]:
    value = f"{_value(spot.value, spot.se, spot.exact)} {interval(spot.low, spot.high)}"
    alike = [spot.over_alike if one.selector == _alike(spot) else None for one in found.references]
    gaps = ["-" if gap is None else _gap(gap) for gap in (spot.over_uniform, *alike)]
    return [spot.policy, spot.options, f"{spot.candidates:.2f}", number(spot.tokens), value, *gaps]


def _alike(spot: Spot) -> str | None:
    return None if spot.over_alike is None else spot.over_alike.selector


def _gap(gap: Gap) -> str:
    return f"{_value(gap.value, gap.se, gap.exact, True)} {interval(gap.low, gap.high, True)}"


def _value(value: float, se: float, exact: bool, sign: bool = False) -> str:
    return percent(value, sign) if exact else f"~{percent(value, sign)} ±{percent(se)}"


def notes(found: Replay) -> list[str]:
    """What the numbers are."""
    unit = "tokens that the generator writes" if found.in_tokens else "candidates, since tokens are not known"
    return [
        f"{found.benchmark}: {counted(found.problems, 'problem')}, at most {counted(found.n, 'candidate')} each. "
        f"'Solved' is the percent of problems whose answer is right, chosen by {found.selector} of the candidates that "
        "were decided on. Candidates and tokens are means per problem.",
        *_answering(found),
        _estimates(found),
        f"[a, b] is a {100 * found.level:g}% interval, a bootstrap over problems. 'Over {UNIFORM}' is the paired "
        f"difference to the same number for every problem, at equal mean {unit}.",
    ]


def _answering(found: Replay) -> list[str]:
    """Which policies chose themselves, and what they are to be compared with."""
    said = []
    for name, mine in groupby(found.spots, key=lambda spot: spot.policy):
        spots = list(mine)
        shares = [spot.answered for spot in spots]
        if not any(shares):
            continue
        ends = dict.fromkeys(f"{percent(share)}%" for share in (min(shares), max(shares)))
        alike = next(filter(None, map(_alike, spots)), None)
        beside = f" It chooses as {alike} does: that is the selector to compare it with." if alike else ""
        said.append(
            f"{name} chose the answer itself {' to '.join(ends)} of the time, and left it to {found.selector} only in "
            f"the rest.{beside}"
        )
    return said


def _estimates(found: Replay) -> str:
    """Which values were drawn, and of what."""
    of = [f"{counted(found.orders, 'drawn order')} of each problem's candidates"] * any(
        not s.exact for s in found.spots
    )
    curves = (found.uniform, *(one.uniform for one in found.references))
    of += [f"drawn subsets of them ({UNIFORM})"] * any(not point.exact for curve in curves for point in curve)
    if not of:
        return "All values are exact, averages over all orders of each problem's candidates."
    return f"~ is an average over {' or '.join(of)}, ± its standard error; everything else is exact."


def as_json(found: Replay) -> dict[str, Any]:
    """Every number of the replay; accuracies are fractions."""
    return dataclasses.asdict(found) | {"folder": str(found.folder)}


def _csv(found: Replay) -> str:
    """One row per k of uniform sampling and per setting of a policy."""
    uniform = [(found.selector, found.uniform), *((one.selector, one.uniform) for one in found.references)]
    rows = [
        {"policy": UNIFORM, "options": f"k={p.k}", "selector": name, "candidates": p.k, **_known(p, VALUES)}
        for name, points in uniform
        for p in points
    ]
    for spot in found.spots:
        row = {"selector": found.selector, **_known(spot, (*SPOT, *VALUES))}
        for column, gap in (("over_uniform", spot.over_uniform), ("over_alike", spot.over_alike)):
            row |= {} if gap is None else {f"{column}{end}": getattr(gap, of) for end, of in ENDS.items()}
        rows.append(row)
    beside = [f"{column}{end}" for column in ("over_uniform", "over_alike") for end in ENDS]
    return csv_text([*SPOT, "selector", *VALUES, *beside], rows)


def _known(point: Spot | Uniform, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(point, name) for name in names}


FORMATS: Mapping[str, Callable[[Replay], str]] = MappingProxyType(
    {
        "md": lambda found: sheets.markdown([sheet(found)]) + "\n",
        "json": lambda found: json.dumps(as_json(found), indent=1) + "\n",
        "csv": _csv,
        "tex": lambda found: sheets.latex([sheet(found)], f"{found.folder.name}-replay"),
    }
)


def file_of(folder: Path, selector: str, policies: Sequence[object]) -> Path:
    """Where a replay's picture goes where nobody says: a file for each selector and set of policies."""
    names = [selector, *(Spec.parse("policy", one).name for one in policies)]
    return folder / f"{FILE}-{'-'.join(_NO_NAME.sub('_', name) for name in dict.fromkeys(names))}.png"


def write(found: Replay, path: Path) -> None:
    """Accuracy against cost as PNG or SVG, by the path's ending; beside it, as JSON, what a run's page shows of the
    replays in its folder. Raises OSError if they cannot be written.
    """
    picture = _drawn(found, path.suffix.removeprefix("."))
    path.write_bytes(picture)
    kind = {".png": "image/png", ".svg": "image/svg+xml"}[path.suffix]
    shown = {
        "version": VERSION,
        "sheet": dataclasses.asdict(sheet(found)),
        "caption": caption(found),
        "picture": f"data:{kind};base64,{base64.b64encode(picture).decode()}",
        "numbers": as_json(found),
    }
    path.with_suffix(".json").write_text(json.dumps(shown, indent=1) + "\n", encoding="utf-8")


def saved_section(folder: Path) -> markupsafe.Markup:
    """The replays in a run's folder as a section of its page; nothing if there are none. Raises DataError for a file
    that is none, or another version's.
    """
    found = [_load(path) for path in sorted(folder.glob(f"{FILE}-*.json"))]
    if not found:
        return NOTHING
    shown = page_environment().get_template("replay.html.j2").render(found=found)
    return markupsafe.Markup(shown)  # autoescaped


def _load(path: Path) -> dict[str, Any]:
    remedy = "Run `tts replay` again, or delete the file."
    found = read_saved(path, "replay", VERSION, remedy)
    try:
        return {"sheet": Sheet(**found["sheet"]), "caption": str(found["caption"]), "picture": str(found["picture"])}
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} is no saved replay ({error!r}). {remedy}") from error


def _drawn(found: Replay, kind: str) -> bytes:
    import matplotlib

    drawn = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "tts"}):
        _figure(found).savefig(drawn, format=kind, dpi=200, facecolor="white")
    return drawn.getvalue()


def caption(found: Replay) -> str:
    """n, k, problems, orders and interval, in words."""
    first, last = found.uniform[0].k, found.uniform[-1].k
    return (
        f"{found.benchmark} ({found.folder.name}): {counted(found.problems, 'problem')}, n = {found.n}, "
        f"{found.selector}. Dashes: {UNIFORM} sampling at {counted(len(found.uniform), 'value')} of k from {first} to "
        f"{last}{_dotted(found)}. Points: policies, each the mean over problems and over at most "
        f"{counted(found.orders, 'order')} of their candidates. Band and bars: {100 * found.level:g}% intervals, a "
        "bootstrap over problems. Paired differences at equal cost: see the table."
    )


def _dotted(found: Replay) -> str:
    names = " and ".join(one.selector for one in found.references)
    return f"; dots: the same with {names}, which chooses as a policy does" if names else ""


def _figure(found: Replay) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.4, 4.4), layout="constrained")
    axes = figure.subplots()
    _draw_uniform(axes, found)
    for one in found.references:
        label = plain(f"{UNIFORM}, {one.selector}")
        axes.plot([*map(_cost, one.uniform)], [100 * p.value for p in one.uniform], ":", color=INK, label=label)
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
