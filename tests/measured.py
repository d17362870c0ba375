"""Drawn figures, measured: where texts, markers, legends and intervals lie, in pixels and data."""

import itertools
from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def outside(figure: Figure) -> list[str]:
    """Texts, legends and markers that do not lie wholly within the canvas."""
    figure.draw_without_rendering()
    canvas = figure.bbox.padded(1)
    places = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
    places += [("legend", legend.get_window_extent()) for legend in legends(figure)]
    places += [("marker", box) for axis in panels(figure) for box in free_markers(axis)]
    return [name for name, box in places if not _holds(canvas, box)]


def _holds(frame: Bbox, box: Bbox) -> bool:
    return bool(
        frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
    )


def panels(figure: Figure) -> list[Axes]:
    return [axis for axis in figure.axes if axis.get_visible()]


def legends(figure: Figure) -> list:
    return [*figure.legends, *(one for axis in panels(figure) if (one := axis.get_legend()))]


def texts(figure: Figure) -> list[Text]:
    """All that can be read."""
    found = [text for legend in legends(figure) for text in legend.get_texts()]
    found += figure.texts
    for axis in panels(figure):
        found += [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts]
        found += [label for which in "xy" for label in tick_labels(axis, which)]
    return [text for text in found if text is not None and text.get_text() and text.get_visible()]


def tick_labels(axis: Axes, which: str) -> list[Text]:
    """Those that are drawn: of major and minor ticks within the limits."""
    low, high = sorted(getattr(axis, f"get_{which}lim")())
    part = getattr(axis, f"{which}axis")
    ticks = [*part.get_major_ticks(), *part.get_minor_ticks()]
    labels = [
        label
        for tick in ticks
        for label in (tick.label1, tick.label2)
        if low <= tick.get_loc() <= high
    ]
    return [label for label in labels if label.get_visible() and label.get_text()]


def touching(figure: Figure) -> list[tuple[str, str]]:
    """Tick labels of one axis that overlap, or stand closer than a thin letter."""
    figure.draw_without_rendering()
    found = []
    for axis, which in itertools.product(panels(figure), "xy"):
        labels = [(one.get_text(), one.get_window_extent()) for one in tick_labels(axis, which)]
        apart = 2 if which == "x" else 0
        pairs = itertools.combinations(labels, 2)
        found += [(a, b) for (a, one), (b, other) in pairs if one.padded(apart).overlaps(other)]
    return found


def colliding(figure: Figure) -> list[tuple[str, str]]:
    """Texts of the figure, less ticks of one axis, that lie upon each other."""
    figure.draw_without_rendering()
    named = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
    return [
        (a, b) for (a, one), (b, other) in itertools.combinations(named, 2) if one.overlaps(other)
    ]


def _markers(axis: Axes, *, clipped: bool) -> Iterator[tuple[Line2D, Bbox]]:
    for line in axis.lines:
        if line.get_marker() in ("None", "", None, " ") or line.get_clip_on() != clipped:
            continue
        radius = line.get_markersize() / 2 / 72 * axis.figure.dpi
        if line.get_marker() == ".":
            radius /= 2
        points = line.get_transform().transform(line.get_xydata())
        for x, y in points[np.isfinite(points).all(axis=1)]:
            yield line, Bbox.from_extents(x - radius, y - radius, x + radius, y + radius)


def free_markers(axis: Axes) -> list[Bbox]:
    """Of markers that are drawn also outside their panel."""
    return [box for _, box in _markers(axis, clipped=False)]


def halves(figure: Figure) -> list[tuple[float, float]]:
    """Markers that the edge of their panel cuts: their centres, in pixels."""
    figure.draw_without_rendering()
    found = []
    for axis in panels(figure):
        frame = axis.bbox.padded(0.5)
        for _, box in _markers(axis, clipped=True):
            x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
            if frame.contains(x, y) and not _holds(frame, box):
                found.append((x, y))
    return found


def visible_colours(axis: Axes) -> set[str]:
    """The colours of lines and markers of which a point lies within the panel."""
    frame = axis.bbox.padded(0.5)
    found = set()
    for line in axis.lines:
        points = line.get_transform().transform(line.get_xydata())
        if any(frame.contains(x, y) for x, y in points[np.isfinite(points).all(axis=1)]):
            found.add(to_hex(line.get_color()))
    return found


def intervals(axis: Axes) -> list[np.ndarray]:
    """Bands, bars of means and lines between two ends: their corners, in data coordinates."""
    bands = [one for one in axis.collections if isinstance(one, PolyCollection)]
    bars = [one for one in axis.collections if isinstance(one, LineCollection)]
    found = [path.vertices for one in bands for path in one.get_paths()]
    found += [path.vertices for one in bars for path in one.get_paths() if len(path.vertices) == 2]
    return [corners[np.isfinite(corners).all(axis=1)] for corners in found if len(corners)]
