"""What all figures share: a grid of panels, the legend of arms, crosses, words for captions."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatterSciNotation, NullLocator

from bnexp.analysis import style
from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.folders.runs import DIVERGED, FINISHED

WIDTH, HEIGHT = 3.0, 2.3  # inches, of a panel
CHARACTER, HANDLE = 0.066, 0.55  # inches, of a legend's label and of the line before it
MAX_COLUMNS = 5
MAX_PANELS = 36
ENOUGH_DECADES = 100  # ratio from which on powers of ten suffice as ticks
MAX_LOSS = 30.0  # nats, some 13 times that of guessing; what lies beyond would hide the rest


def grid(titles: Sequence[str], columns: int = 0) -> tuple[Figure, list[Axes]]:
    """A figure with a titled panel for each; all share their axes."""
    columns = columns or columns_for(titles)
    rows = math.ceil(len(titles) / columns)
    size = (max(WIDTH * columns, 4.5), HEIGHT * rows + 0.7)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat[len(titles) :]:
        axis.set_visible(False)
    used = list(axes.flat[: len(titles)])
    for index, (axis, title) in enumerate(zip(used, titles, strict=True)):
        axis.set_title(wrapped(title))
        if index + columns >= len(titles):
            axis.tick_params(labelbottom=True)
    return figure, used


def label_axes(figure: Figure, axes: Sequence[Axes], x: str, y: str) -> None:
    """The x label below each column, the y label once."""
    for axis in axes:
        if axis.xaxis.get_tick_params()["labelbottom"]:
            axis.set_xlabel(x)
    figure.supylabel(y, fontsize="medium")


def columns_for(conditions: Sequence[str]) -> int:
    """As many as the settings named last have values, so that a row varies these alone."""
    settings = list(zip(*(condition.split(", ") for condition in conditions), strict=False))
    columns = 1
    for values in reversed(settings):
        if columns * len(set(values)) > MAX_COLUMNS:
            break
        columns *= len(set(values))
    if columns > 1:
        return columns
    last = len(set(settings[-1])) if settings else 1
    whole = max((n for n in range(2, MAX_COLUMNS + 1) if last % n == 0), default=4)
    return min(whole, len(conditions))


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


def legend(figure: Figure, arms: Sequence[str], *more: Line2D, markers: bool = False) -> None:
    """The arms' looks, with markers where points are drawn, and what else there is to tell."""
    handles = [
        Line2D([], [], color=look.colour, linestyle=look.line, linewidth=1.8)
        for look in style.looks(arms).values()
    ]
    for handle, arm in zip(handles, arms, strict=True):
        handle.set_label(style.label(arm))
        if markers:
            handle.set(marker=style.looks(arms)[arm].marker, markersize=4)
    handles += more
    columns = _columns([str(handle.get_label()) for handle in handles], figure.get_figwidth())
    figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def _columns(labels: Sequence[str], width: float) -> int:
    """Into how many columns a legend's labels fit, filled one after the other."""
    for count in range(len(labels), 1, -1):
        columns = np.array_split([len(label) for label in labels], count)  # as matplotlib does
        if sum(CHARACTER * max(lengths) + HANDLE for lengths in columns) <= width:
            return count
    return 1


def crosses(runs: Runs) -> list[Line2D]:
    """The legend's entry for runs that diverged, if there are such."""
    if not (runs.runs["status"] == DIVERGED).any():
        return []
    return [Line2D([], [], color=style.DIVERGED_COLOUR, marker="x", linestyle="", label="diverged")]


def cross(axis: Axes, x: float, y: float, *, of_axes: bool = False) -> None:
    """A red cross for a run that diverged, in data coordinates or as shares of the axes."""
    coordinates = axis.transAxes if of_axes else axis.transData
    axis.plot(
        [x],
        [y],
        "x",
        color=style.DIVERGED_COLOUR,
        markersize=6,
        zorder=5,
        clip_on=False,
        transform=coordinates,
    )


def rate_name(rate: float) -> str:
    """A learning rate in few digits, for ticks."""
    return f"{rate:.2g}"


def arms_of(runs: Runs) -> list[str]:
    """The arms in their order."""
    return list(runs.runs[ARM].unique())


def conditions_of(runs: Runs) -> list[str]:
    """The conditions in their order."""
    return list(runs.runs[CONDITION].unique())


class PlainLog(LogFormatterSciNotation):
    """0.01 0.1 1 10 on a logarithmic axis."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def logarithmic(axis: Axes, which: str, values: pd.Series) -> None:
    """Makes an axis ("x" or "y") logarithmic, with plain numbers, for positive values."""
    getattr(axis, f"set_{which}scale")("log")
    part = getattr(axis, f"{which}axis")
    part.set_major_formatter(PlainLog())
    if values.max() > ENOUGH_DECADES * values.min():
        part.set_minor_locator(NullLocator())
    else:
        part.set_minor_formatter(PlainLog(minor_thresholds=(1, 0.4)))


def limits(axis: Axes, values: pd.Series, *, accuracy: bool) -> None:
    """Limits from the seeds' own values: bands of few seeds may reach far beyond."""
    values = values[np.isfinite(values)]
    if values.empty:
        return
    low, high = values.min(), values.max()
    if accuracy:
        margin = max(0.06 * (high - low), 0.002)
        axis.set_ylim(max(0, low - margin), min(1, high + margin))
    elif low > 0:
        logarithmic(axis, "y", values)
        axis.set_ylim(low / 1.2, min(high * 1.2, MAX_LOSS))


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
