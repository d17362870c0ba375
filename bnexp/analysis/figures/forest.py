"""All claims' effects with their intervals, in one figure."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bnexp.analysis import style
from bnexp.analysis.claims.model import LOG2, POINTS
from bnexp.analysis.drawing import Drawing

UNIT_LABELS = {
    POINTS: "percentage points",
    LOG2: "log2 of a ratio (1: twofold)",
}
LINEAR_TO = {POINTS: 2.0}  # beyond, the axis is logarithmic


def forest(claims: pd.DataFrame) -> Iterator[Drawing]:
    """A row per judged part of a claim, a panel per unit; none if none has an interval.

    Runs with other settings than their preset's have a figure of their own.

    Args:
        claims: as `claims_table` makes it.
    """
    table = claims[~claims["beside"] & claims["low"].notna()]
    apart = table["settings"] != ""
    if not apart.all():
        yield Drawing("claims_forest", "Effects of all claims", *_drawn(table[~apart]))
    if apart.any():
        caption, figure = _drawn(table[apart])
        keys = "; ".join(table.loc[apart, "settings"].unique())
        told = f"{caption} Not counted for the claims, as the runs differ in: {keys}."
        yield Drawing("claims_forest_settings", "Effects under your settings", told, figure)


def _drawn(table: pd.DataFrame) -> tuple[str, Figure]:
    caption = (
        "The effect of every judged part of a claim with its 95% Student-t interval over seeds; "
        "right of the dashed line is the direction claimed. Filled: the claim's primary part, "
        "after Holm's correction. Circle: supported; triangle: equal; square: contradicted; "
        f"diamond: inconclusive; n = {_range(table['n'])} seeds."
    )
    return caption, _draw(table)


def _range(counts: pd.Series) -> str:
    low, high = counts.min(), counts.max()
    return str(low) if low == high else f"{low} to {high}"


def _draw(table: pd.DataFrame) -> Figure:
    groups = list(table.groupby("unit", sort=False))
    rows = [len(group) for _, group in groups]
    size = (7.0, 0.24 * sum(rows) + 0.75 * len(groups) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(groups), 1, squeeze=False, height_ratios=[n + 1.2 for n in rows])
    for axis, (unit, group) in zip(axes[:, 0], groups, strict=True):
        _panel(axis, group, str(unit))
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=verdict)
        for verdict, (colour, marker) in style.VERDICT_STYLES.items()
        if verdict in set(table["verdict_holm"])
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def _panel(axis: Axes, table: pd.DataFrame, unit: str) -> None:
    for y, (_, row) in enumerate(table.iterrows()):
        colour, marker = style.VERDICT_STYLES[row["verdict_holm"]]
        inside = colour if row["primary"] else "white"
        axis.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.5)
        axis.plot(row["effect"], y, marker, color=colour, markerfacecolor=inside, markersize=5)
        axis.plot([row["null"], row["null"]], [y - 0.45, y + 0.45], "--", color="#333333", lw=1)
    names = [f"{row['claim']}: {row['part']}".removesuffix(": ") for _, row in table.iterrows()]
    axis.set_yticks(range(len(table)), names)
    axis.set_ylim(len(table) - 0.4, -0.6)
    if unit in LINEAR_TO and np.nanmax(np.abs(table[["low", "high"]])) > 5 * LINEAR_TO[unit]:
        axis.set_xscale("symlog", linthresh=LINEAR_TO[unit])
        axis.xaxis.set_major_formatter("{x:g}")
    else:
        axis.locator_params(axis="x", nbins=4)  # also where all ticks have many digits
    axis.set_xlabel(UNIT_LABELS.get(unit, unit))
    axis.grid(axis="y", visible=False)
