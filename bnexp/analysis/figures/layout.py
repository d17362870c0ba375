"""Where everything of a figure goes: panels keep their size, and the canvas fits around them.

So nothing is cut at an edge, whatever the labels, legends and titles are. Each panel is measured
once, which is faster than a layout that tries sizes until all fit.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from bnexp.analysis.figures import ticks

PAD = 0.06  # inches, around everything
GAP = 0.12  # inches, between what two panels have around them
RESOLUTION = 150  # dots per inch, of PNG files


class Sheet(Figure):
    """A figure of panels in columns and rows, with these widths and heights in inches."""

    def __init__(self, widths: Sequence[float], heights: Sequence[float]) -> None:
        super().__init__((sum(widths), sum(heights)), dpi=RESOLUTION)
        ratios = {"width_ratios": widths, "height_ratios": heights}
        edges = {"left": 0, "right": 1, "bottom": 0, "top": 1, "wspace": 0, "hspace": 0}
        self.cells = self.add_gridspec(len(heights), len(widths), **ratios, **edges)
        self.entries: list[Line2D] = []  # of the legend above all panels


def fit(figure: Figure) -> None:
    """Sets the ticks, and makes the canvas hold everything that is drawn.

    A `Sheet` is laid out around its panels. Of any other figure the own layout stands, and the
    canvas grows where something would be cut.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)  # else every format that is saved lays out again
    renderer = RendererAgg(1, 1, figure.dpi)  # measures only
    ticks.fit(figure, renderer)
    if isinstance(figure, Sheet):
        _spread(figure, renderer)
    else:
        _grow(figure, renderer)


def _spread(sheet: Sheet, renderer: RendererAgg) -> None:
    """Sets columns and rows apart by what their panels have around them; the legend on top."""
    columns, rows = sheet.cells.ncols, sheet.cells.nrows
    width, height = np.zeros(columns), np.zeros(rows)
    around = {"left": np.zeros(columns), "right": np.zeros(columns)}
    around |= {"top": np.zeros(rows), "bottom": np.zeros(rows)}
    places = {axis: _place(axis) for axis in sheet.axes}
    for axis, (x, y) in places.items():
        panel = axis.bbox
        whole = axis.get_tightbbox(renderer)
        if whole is None:  # invisible
            whole = panel
        if len(x) == 1:
            width[x[0]] = panel.width
        if len(y) == 1:
            height[y[0]] = panel.height
        for side, index, size in (
            ("left", x[0], panel.x0 - whole.x0),
            ("right", x[-1], whole.x1 - panel.x1),
            ("top", y[0], whole.y1 - panel.y1),
            ("bottom", y[-1], panel.y0 - whole.y0),
        ):
            around[side][index] = max(around[side][index], size)
    pad, gap = PAD * sheet.dpi, GAP * sheet.dpi
    left = pad + np.cumsum(around["left"] + np.append(0, (width + around["right"] + gap)[:-1]))
    total = left[-1] + width[-1] + around["right"][-1] + pad
    legend = _legend(sheet, total, renderer)
    wanted = max(total, legend.width + 2 * pad)
    left += (wanted - total) / 2
    above = pad + (legend.height + gap if sheet.entries else 0)
    top = above + np.cumsum(around["top"] + np.append(0, (height + around["bottom"] + gap)[:-1]))
    canvas = np.array([wanted, top[-1] + height[-1] + around["bottom"][-1] + pad])
    sheet.set_size_inches(canvas[0] / sheet.dpi, canvas[1] / sheet.dpi)
    for axis, (x, y) in places.items():
        right, bottom = left[x[-1]] + width[x[-1]], top[y[-1]] + height[y[-1]]
        sizes = np.array([left[x[0]], canvas[1] - bottom, right - left[x[0]], bottom - top[y[0]]])
        _put(axis, sizes / np.tile(canvas, 2))


def _place(axis: Axes) -> tuple[range, range]:
    """The columns and the rows of a sheet that a panel fills."""
    spec = axis.get_subplotspec()
    assert spec is not None
    return spec.colspan, spec.rowspan


def _put(axis: Axes, place: Sequence[float]) -> None:
    axis.set_position(Bbox.from_bounds(*place))
    axis.set_in_layout(True)  # still measured, though no longer of a grid


def _grow(figure: Figure, renderer: RendererAgg) -> None:
    """Widens the canvas on each side where something would be cut."""
    box, (width, height) = figure.get_tightbbox(renderer), figure.get_size_inches()
    left, right = max(0, PAD - box.x0), max(0, box.x1 + PAD - width)
    bottom, top = max(0, PAD - box.y0), max(0, box.y1 + PAD - height)
    if max(left, right, bottom, top) == 0:
        return
    new = np.array([width + left + right, height + bottom + top])
    figure.set_size_inches(new[0], new[1])
    for axis in figure.axes:
        x, y, w, h = axis.get_position().bounds
        inches = np.array([left + x * width, bottom + y * height, w * width, h * height])
        _put(axis, inches / np.tile(new, 2))


def _legend(sheet: Sheet, width: float, renderer: RendererAgg) -> Bbox:
    """Adds the legend in as many columns as fit into the width, in pixels; returns its size."""
    for old in list(sheet.legends):
        old.remove()
    for columns in range(len(sheet.entries), 0, -1):
        made = sheet.legend(handles=sheet.entries, loc="upper center", ncols=columns)
        size = made.get_window_extent(renderer)
        if columns == 1 or size.width <= width:
            return size
        made.remove()
    return Bbox.from_bounds(0, 0, 0, 0)
