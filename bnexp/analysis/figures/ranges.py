"""How far axes go: all that is drawn lies inside, with room for markers, and no further."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from bnexp.analysis import style

FAR = 10.0  # ratio from which on any positive metric has a logarithmic axis
MAX_LOSS = 30.0  # nats, some 13 times that of guessing; what lies beyond would hide the rest


def room(
    axis: Axes, which: str, values: ArrayLike, *, margin: float = 0.05, points: float = 3.0
) -> None:
    """Limits with all values inside, and markers of this radius not cut at the edge.

    Args:
        axis: the panel.
        which: "x" or "y".
        values: all that is drawn; not finite ones do not count, nor what its scale cannot show.
        margin: on both sides, as a share of the range.
        points: of a marker, which a margin may need to be as wide as.
    """
    part = axis.xaxis if which == "x" else axis.yaxis
    known = np.asarray(values, float)
    known = known[np.isfinite(known) & ((known > 0) | (axis_scale(axis, which) != "log"))]
    if not len(known):
        return
    transform = part.get_transform()
    low, high = transform.transform(np.array([known.min(), known.max()]))
    box = axis.bbox.width if which == "x" else axis.bbox.height
    share = max(margin, points / (box / axis.figure.dpi * 72 - 2 * points))
    pad = share * (high - low) if high > low else _around(low, axis_scale(axis, which))
    ends = transform.inverted().transform(np.array([low - pad, high + pad]))
    getattr(axis, f"set_{which}lim")(*ends)


def room_x(axes: Sequence[Axes], values: Sequence[ArrayLike], **margins: float) -> None:
    """`room` for the x axes of panels, together where they share one."""
    together: dict[Any, list[int]] = {}
    for index, axis in enumerate(axes):
        together.setdefault(axis.xaxis.major, []).append(index)
    for members in together.values():
        everything = np.concatenate([np.asarray(values[index], float) for index in members])
        room(axes[members[0]], "x", everything, **margins)


def axis_scale(axis: Axes, which: str) -> str:
    """Of "x" or "y": "linear", "log" or "symlog"."""
    return str(getattr(axis, f"get_{which}scale")())


def _around(value: float, scale: str) -> float:
    """What a panel shows on both sides where there is one value alone."""
    return 0.3 if scale == "log" else max(0.01 * abs(value), 0.002)


def limits(axis: Axes, metric: str, values: pd.Series) -> None:
    """Scale and limits of y, from the seeds' own values: bands of few seeds may reach far beyond.

    What is no share and wholly above 0 has a logarithmic axis if it cannot be negative, or goes
    far.
    """
    low, high = style.bounds(metric)
    known = values[np.isfinite(values)]
    if known.empty:
        return
    if math.isinf(high) and known.min() > 0 and (low == 0 or known.max() > FAR * known.min()):
        axis.set_yscale("log")
    if metric.endswith("loss"):
        known = known.clip(upper=max(MAX_LOSS, 1.2 * float(known.min())))
    room(axis, "y", known, margin=0.06)
