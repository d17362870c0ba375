"""Means with their intervals as points with bars, none beyond what the metric can be."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bnexp.analysis import measures, style
from bnexp.analysis.statistics import MIN_SEEDS, Estimate, t_interval


def estimates(table: pd.DataFrame, key: str, metric: str) -> dict[float, Estimate]:
    """A metric by the values of a numeric key, ascending."""
    groups = measures.split(table[[key, metric]], key)
    return {value: t_interval(group[metric]) for value, group in groups.items()}


def bars(
    axis: Axes, found: Mapping[float, Estimate], look: style.Look, bounds: tuple[float, float]
) -> None:
    """A line through means against numbers, with a bar where there are seeds enough."""
    x = np.array(list(found))
    means = np.array([one.mean for one in found.values()])
    ends = np.array([ends_of(one, bounds) for one in found.values()])
    lengths = np.abs(ends - means[:, None]).T
    line: dict[str, Any] = {"color": look.colour, "ls": look.line, "linewidth": 1.5}
    axis.errorbar(x, means, lengths, capsize=2, **line)


def dots(axis: Axes, x: pd.Series, y: pd.Series, look: style.Look) -> None:
    """The seeds."""
    axis.plot(x, y, color=look.colour, marker=look.marker, markersize=2.5, linestyle="", alpha=0.6)


def ends_of(found: Estimate, bounds: tuple[float, float]) -> tuple[float, float]:
    """Of an interval, cut at what the metric can be; NaN for too few seeds."""
    if found.n < MIN_SEEDS:
        return np.nan, np.nan
    low, high = np.clip([found.low, found.high], *bounds)
    return float(low), float(high)


def cut(found: Iterable[Estimate], bounds: tuple[float, float] = (0.0, 1.0)) -> str:
    """A sentence where an interval of shares reaches beyond what a share can be."""
    low, high = bounds
    drawn = [one for one in found if one.n >= MIN_SEEDS]
    beyond = any(one.low < low or one.high > high for one in drawn)
    return f" Intervals are cut at {low:g} and {high:g}." if beyond else ""


def row(
    axis: Axes,
    y: float,
    found: Estimate,
    colour: str,
    marker: Any = "o",
    *,
    filled: bool = True,
    ends: tuple[float, float] | None = None,
) -> None:
    """A line of a forest plot: an effect with its interval.

    Args:
        axis: the panel.
        y: its place from the top.
        found: the effect.
        colour, marker: its look.
        filled: the marker.
        ends: of the interval; None: as estimated.
    """
    axis.plot(ends or (found.low, found.high), [y, y], color=colour, linewidth=1.5)
    inside = colour if filled else "white"
    axis.plot(found.mean, y, marker, color=colour, markerfacecolor=inside, markersize=5)


LINEAR = 2.0  # percentage points, up to which a scale of points stays linear
WIDE = 5 * LINEAR  # from which on it is logarithmic beyond, if the largest is
FAR = 8.0  # times the median


def points_scale(axis: Axes, values: np.ndarray) -> None:
    """Makes the x axis of percentage points logarithmic beyond a few, if most would be crowded."""
    known = np.abs(values[np.isfinite(values)])
    if len(known) and known.max() > max(WIDE, FAR * float(np.median(known))):
        axis.set_xscale("symlog", linthresh=LINEAR)
