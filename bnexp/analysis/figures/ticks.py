"""The ticks of every axis: plain numbers, as many as fit without two labels touching."""

import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.category import StrCategoryLocator
from matplotlib.figure import Figure
from matplotlib.ticker import (
    AsinhLocator,
    FixedLocator,
    LogFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
    SymmetricalLogLocator,
)

GAP = 4.0  # points between two labels
MOST = {"x": 7, "y": 6}  # labels on an axis, where the figure does not say which
FEW_DECADES = 3  # up to so many a logarithmic axis has lines between its labels
SUBS = ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))
SLACK = 1 + 1e-9  # what rounding may do to a tick at the edge of a panel
Places: TypeAlias = Sequence[float]


def fit(figure: Figure, renderer: RendererAgg) -> None:
    """Sets the ticks of every axis with visible labels; those that share them are set at once."""
    done = set()
    for axes in figure.axes:
        if axes.get_visible() and axes.name == "rectilinear":
            for axis, side in ((axes.xaxis, "bottom"), (axes.yaxis, "left")):
                if _has_labels(axis, side) and axis.major not in done:
                    done.add(axis.major)
                    _set(axis, renderer)


def _has_labels(axis: Axis, side: str) -> bool:
    shown = axis.get_tick_params()
    opposite = {"bottom": "top", "left": "right"}[side]
    labels = shown.get(f"label{side}") or shown.get(f"label{opposite}")
    return bool(labels) and axis.get_visible() and axis.axes.axison


def _set(axis: Axis, renderer: RendererAgg) -> None:
    locator = axis.get_major_locator()
    if axis.get_scale() != "linear":
        _between(axis)
    if isinstance(locator, FixedLocator | StrCategoryLocator):
        _thin(axis, renderer)
    elif isinstance(locator, LogLocator | SymmetricalLogLocator | AsinhLocator | MaxNLocator):
        _choose(axis, renderer)


def _thin(axis: Axis, renderer: RendererAgg) -> None:
    """Keeps the ticks that the figure names; words are turned, numbers left out, until all fit."""
    places = _within(axis, axis.get_major_locator()())
    labels = axis.get_major_formatter().format_ticks(places)
    if not labels or _fits(axis, places, labels, renderer):
        return
    words = not all(map(_is_number, labels))
    if words and isinstance(axis, XAxis):
        axis.set_tick_params(rotation=90)
    for step in range(1, len(labels) + 1):
        shown = [label if i % step == 0 else "" for i, label in enumerate(labels)]
        if _fits(axis, places, shown, renderer, turned=words):
            break
    axis.set_ticks(places, labels=shown)


def _is_number(label: str) -> bool:
    try:
        float(label.replace("−", "-"))
    except ValueError:
        return label == ""
    return True


def _choose(axis: Axis, renderer: RendererAgg) -> None:
    """The first of the candidates, from many ticks to few, whose labels fit."""
    most = MOST["x" if isinstance(axis, XAxis) else "y"]
    formatter = axis.get_major_formatter()
    plain = isinstance(formatter, LogFormatter)
    for places in _candidates(axis, most):
        labels = [f"{x:g}".replace("-", "−") for x in places]
        if not plain:
            labels = formatter.format_ticks(places)
        if _fits(axis, places, labels, renderer):
            break
    if plain or not isinstance(axis.get_major_locator(), MaxNLocator):
        axis.set_ticks(places, labels=labels)
    else:  # the formatter may write what all labels share, once
        axis.set_major_locator(FixedLocator(places))


def _candidates(axis: Axis, most: int) -> Iterator[list[float]]:
    low, high = sorted(axis.get_view_interval())
    found: Iterator[list[float]] = iter(())
    if axis.get_scale() == "log":
        found = _logarithmic(low, high)
    elif axis.get_scale() == "symlog":
        found = _symmetrical(low, high, 0)
    elif isinstance(locator := axis.get_major_locator(), AsinhLocator):
        found = _symmetrical(low, high, round(math.log10(locator.linear_width)))
    yield from (places for places in found if 1 < len(places) <= most)
    for number in range(most - 1, 0, -1):
        yield _within(axis, MaxNLocator(number, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))


def _logarithmic(low: float, high: float) -> Iterator[list[float]]:
    """Several a decade, then whole decades, then every second one and so on."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    whole = [[k for k in decades if k % step == 0] for step in (2, 3, 4, 5, 10)]
    for subs, exponents in [(subs, decades) for subs in SUBS] + [((1,), ks) for ks in whole]:
        places = [s * 10.0**k for k in exponents for s in subs]
        yield [place for place in places if low / SLACK <= place <= high * SLACK]


def _symmetrical(low: float, high: float, least: int) -> Iterator[list[float]]:
    """0 and powers of ten on both sides of it, from 10 to the power of `least` on."""
    last = math.ceil(math.log10(max(abs(low), abs(high), 10.0**least)))
    for subs, first, step in (
        ((1, 3), 0, 1),
        ((1,), 0, 1),
        ((1,), 1, 1),
        ((1,), 0, 2),
        ((1,), 1, 3),
    ):
        sizes = [s * 10.0**k for k in range(least + first, last + 1, step) for s in subs]
        places = [*(-size for size in reversed(sizes)), 0.0, *sizes]
        yield [place for place in places if low <= place <= high]


def _within(axis: Axis, places: Places) -> list[float]:
    """Those of the ticks that lie in the panel."""
    low, high = sorted(axis.get_view_interval())
    slack = (SLACK - 1) * (high - low)
    return [float(place) for place in places if low - slack <= place <= high + slack]


def _between(axis: Axis) -> None:
    """Lines without labels, between those that have one."""
    low, high = sorted(axis.get_view_interval())
    axis.set_minor_formatter(NullFormatter())
    if axis.get_scale() != "log" or high > 10**FEW_DECADES * low:
        axis.set_minor_locator(NullLocator())


def _fits(
    axis: Axis,
    places: Places,
    labels: Sequence[str],
    renderer: RendererAgg,
    *,
    turned: bool = False,
) -> bool:
    """Whether no two labels touch."""
    shown = [(place, label) for place, label in zip(places, labels, strict=True) if label]
    if len(shown) < 2:
        return True
    sizes = np.array([_size(axis, label, renderer, turned=turned) for _, label in shown])
    middles = _pixels(axis, [place for place, _ in shown])
    order = np.argsort(middles)
    middles, sizes = middles[order], sizes[order]
    apart = np.diff(middles) - (sizes[1:] + sizes[:-1]) / 2
    return bool(apart.min() >= renderer.points_to_pixels(GAP if isinstance(axis, XAxis) else 1))


def _size(axis: Axis, label: str, renderer: RendererAgg, *, turned: bool) -> float:
    """How much of the axis a label takes, in pixels."""
    font = axis.get_major_ticks(1)[0].label1.get_fontproperties()
    lines = label.split("\n")
    metrics = [renderer.get_text_width_height_descent(line, font, ismath=False) for line in lines]
    across = isinstance(axis, XAxis) and not turned
    if across:
        return max(width for width, _, _ in metrics)
    return sum(renderer.points_to_pixels(font.get_size_in_points()) * 1.2 for _ in lines)


def _pixels(axis: Axis, places: Places) -> np.ndarray:
    axes: Axes = axis.axes
    points = np.zeros((len(places), 2))
    column = 0 if isinstance(axis, XAxis) else 1
    points[:, column] = places
    other = axes.get_ylim() if column == 0 else axes.get_xlim()
    points[:, 1 - column] = other[0]  # anything that the other scale can show
    return np.asarray(axes.transData.transform(points))[:, column]
