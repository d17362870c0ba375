"""What all figures share: a grid of panels, the legend of arms, crosses, ranges, intervals."""

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from bnexp.analysis import style
from bnexp.analysis.figures.layout import Sheet
from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.folders.runs import DIVERGED, FINISHED

WIDTHS = {1: 4.2, 2: 3.4}  # inches, of a panel, by how many stand side by side
WIDTH, NARROWEST = 9.0, 1.5  # inches, of more panels together, and of one of them at least
CHARACTER = 0.066  # inches, of a title's letter on average
MAX_COLUMNS, IN_A_ROW = 7, 5  # panels side by side: in a grid, and where there is no grid
MAX_PANELS = 36
ALIKE = 2.0  # ratio up to which panels share their x axis


def grid(
    titles: Sequence[str], columns: int = 0, reach: Sequence[float] = ()
) -> tuple[Sheet, list[Axes]]:
    """A sheet with a titled panel for each; all share their y axis.

    Args:
        titles: one a panel.
        columns: how many panels stand side by side; 0: by the titles.
        reach: how far the x axis of each panel goes; panels whose reach differs much do not share
            it. Empty: all share it.
    """
    columns = columns or columns_for(titles)
    rows = math.ceil(len(titles) / columns)
    width = WIDTHS.get(columns, max(NARROWEST, WIDTH / columns))
    height = min(2.4, max(1.5, 0.75 * width))
    sheet = Sheet([width] * columns, [height] * rows)
    ways = _shared(reach or [1.0] * len(titles), columns)
    axes: list[Axes] = []
    for index, title in enumerate(titles):
        sharing = axes[ways[index]] if ways[index] < index else None
        cell = sheet.cells[index // columns, index % columns]
        axis = sheet.add_subplot(cell, sharex=sharing, sharey=axes[0] if axes else None)
        axis.set_title(wrapped(title, int(width / CHARACTER)))
        last = index + columns >= len(titles)
        below = last or ways[index + columns] != ways[index]
        axis.tick_params(labelbottom=below, labelleft=index % columns == 0)
        axes.append(axis)
    return sheet, axes


def _shared(reach: Sequence[float], columns: int) -> list[int]:
    """For each panel the first that has its x axis: of all, else of its column, else its own."""
    if _are_alike(reach):
        return [0] * len(reach)
    if all(_are_alike(reach[column::columns]) for column in range(columns)):
        return [index % columns for index in range(len(reach))]
    return list(range(len(reach)))


def _are_alike(reach: Sequence[float]) -> bool:
    return max(reach) <= ALIKE * min(reach)


def label_axes(axes: Sequence[Axes], x: str, y: str) -> None:
    """The x label below panels with ticks there, the y label beside the first of each row."""
    for axis in axes:
        if axis.xaxis.get_tick_params()["labelbottom"]:
            axis.set_xlabel(x)
        if axis.yaxis.get_tick_params()["labelleft"]:
            inches = axis.bbox.height / axis.figure.dpi
            lines = (textwrap.wrap(line, int(inches / CHARACTER)) for line in y.split("\n"))
            axis.set_ylabel("\n".join(part for line in lines for part in line))


def columns_for(conditions: Sequence[str]) -> int:
    """As many as have their first settings alike, so that a row varies the last ones alone."""
    if len(conditions) <= IN_A_ROW:
        return len(conditions)
    parts = [condition.split(", ") for condition in conditions]
    for shared in range(1, max(map(len, parts))):
        counts = set(Counter(tuple(part[:shared]) for part in parts).values())
        if len(counts) == 1 and 1 < (count := counts.pop()) <= MAX_COLUMNS:
            return count
    return max((n for n in range(3, IN_A_ROW + 1) if len(conditions) % n == 0), default=4)


def wrapped(condition: str, width: int = 34) -> str:
    """A title of at most about a panel's width per line."""
    lines = [""]
    for part in condition.split(", "):
        joined = f"{lines[-1]}, {part}" if lines[-1] else part
        if len(joined) > width and lines[-1]:
            lines.append(part)
        else:
            lines[-1] = joined
    return "\n".join(lines)


def legend(sheet: Sheet, arms: Sequence[str], *more: Line2D, markers: bool = False) -> None:
    """The arms' looks, with markers where points are drawn, and what else there is to tell."""
    handles = []
    for arm, look in style.looks(arms).items():
        handle = Line2D([], [], color=look.colour, linestyle=look.line, linewidth=1.8)
        handle.set_label(style.label(arm))
        if markers:
            handle.set(marker=look.marker, markersize=4)
        handles.append(handle)
    sheet.entries = [*handles, *more]


def crosses(runs: Runs) -> list[Line2D]:
    """The legend's entry for runs that diverged, if there are such."""
    if not (runs.runs["status"] == DIVERGED).any():
        return []
    return [Line2D([], [], color=style.DIVERGED_COLOUR, marker="x", linestyle="", label="diverged")]


def cross(
    axis: Axes, x: ArrayLike, y: ArrayLike, colour: str, transform: Any = None, size: float = 6
) -> None:
    """Red crosses for runs that diverged, on discs of their arm's colour.

    Args:
        axis: the panel.
        x, y: where, in data coordinates, or those of `transform`.
        colour: of the arm.
        transform: another than the data's.
        size: of a cross, in points.
    """
    place: dict[str, Any] = {
        "clip_on": False,
        "transform": transform or axis.transData,
        "linestyle": "",
    }
    axis.plot(x, y, marker="o", color=colour, alpha=0.3, markersize=1.5 * size, zorder=4, **place)
    red: dict[str, Any] = {
        "color": style.DIVERGED_COLOUR,
        "markersize": size,
        "markeredgewidth": 1.3,
    }
    axis.plot(x, y, marker="x", zorder=5, **red, **place)


def lines(axis: Axes, curves: Iterable[np.ndarray], colour: str) -> None:
    """Thin curves, one a seed, drawn at once, as hundreds would take long one by one.

    Args:
        axis: the panel.
        curves: (points, 2) each; one of a single point is a dot.
        colour: of all.
    """
    points = [curve for curve in curves if len(curve)]
    drawn = LineCollection(points, colors=colour, linewidths=0.6, alpha=0.45)
    axis.add_collection(drawn, autolim=False)
    single = np.array([curve[0] for curve in points if len(curve) == 1])
    if len(single):
        axis.plot(*single.T, ".", color=colour, alpha=0.45, markersize=4)


def band(axis: Axes, x: pd.Series, low: pd.Series, high: pd.Series, colour: str) -> None:
    """A shaded interval; on a logarithmic axis only where its lower end lies in the panel.

    An interval that comes near 0 would stand there as a wall.
    """
    log = axis.get_yscale() == "log"
    shown = (low >= min(axis.get_ylim())).to_numpy() if log else None
    shade: dict[str, Any] = {"color": colour, "alpha": 0.18, "linewidth": 0}
    axis.fill_between(x, low, high, where=shown, **shade)


def rate_name(rate: float) -> str:
    """A learning rate in few digits, for ticks."""
    return f"{rate:.2g}"


def arms_of(runs: Runs) -> list[str]:
    """The arms in their order."""
    return list(runs.runs[ARM].unique())


def conditions_of(runs: Runs) -> list[str]:
    """The conditions in their order."""
    return list(runs.runs[CONDITION].unique())


def seeds(runs: Runs) -> str:
    """ "3 seeds", or "2 to 5 seeds" where arms and conditions differ."""
    counts = runs.runs.groupby([CONDITION, ARM])["seed"].nunique()
    low, high = int(counts.min()), int(counts.max())
    number = str(low) if low == high else f"{low} to {high}"
    return f"{number} {'seed' if high == 1 else 'seeds'}"


def rows_of(runs: Runs, probe: str, *statistics: str) -> pd.DataFrame:
    """The probes' rows of these statistics; empty if there are none."""
    table = runs.probes
    if table.empty:
        return table
    return table[(table["probe"] == probe) & table["statistic"].isin(statistics)]


def has_ended(runs: Runs) -> bool:
    """Whether any run has."""
    return bool(runs.runs["status"].isin([FINISHED, DIVERGED]).any())
