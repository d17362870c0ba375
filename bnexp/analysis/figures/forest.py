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
from bnexp.analysis.figures import intervals, ranges, words
from bnexp.analysis.figures.layout import Sheet
from bnexp.analysis.statistics import Estimate

UNIT_LABELS = {
    POINTS: "percentage points",
    LOG2: "log2 of a ratio (1: twofold)",
}
SHAPES = {"o": "circle", "^": "triangle", "s": "square", "D": "diamond"}
WIDTH, ROW = 3.6, 0.24  # inches, of a panel and of a line of it
MOST = 60  # parts that can be read as one figure


def forest(claims: pd.DataFrame) -> Iterator[Drawing]:
    """A row per judged part of a claim, a panel per unit; none if none has an interval.

    Where they are more than `MOST`, primary parts alone. Runs with other settings than their
    preset's have a figure of their own.

    Args:
        claims: as `claims_table` makes it.
    """
    table = claims[~claims["beside"] & claims["low"].notna()]
    apart = table["settings"] != ""
    if not apart.all():
        caption, figure, alt = _drawn(table[~apart])
        yield Drawing("claims_forest", "Effects of all claims", caption, figure, alt)
    if apart.any():
        caption, figure, alt = _drawn(table[apart])
        keys = "; ".join(table.loc[apart, "settings"].unique())
        told = f"{caption} Not counted for the claims, as the runs differ in: {keys}."
        yield Drawing("claims_forest_settings", "Effects under your settings", told, figure, alt)


def _drawn(judged: pd.DataFrame) -> tuple[str, Figure, str]:
    crowded = judged["primary"].any() and len(judged) > MOST
    table = judged[judged["primary"]] if crowded else judged
    verdicts = [
        verdict for verdict in style.VERDICT_STYLES if verdict in set(table["verdict_holm"])
    ]
    shapes = "; ".join(f"{SHAPES[style.VERDICT_STYLES[one][1]]}: {one}" for one in verdicts)
    caption = (
        "The effect of every judged part of a claim with its 95% Student-t interval over seeds; "
        "right of the dashed line is the direction claimed, unless the claim is that two things "
        "are alike, or that they are not. Filled: the claim's primary part, "
        f"after Holm's correction. {shapes.capitalize()}; n = {_range(table['n'])} seeds."
    )
    if others := len(judged) - len(table):
        caption += f" {others} parts that are not primary stand in the table alone."
    counts = table["verdict_holm"].value_counts()
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in verdicts)
    primary = table[table["primary"]]
    named = [f"{row['claim']} {row['verdict_holm']}" for _, row in primary.iterrows()]
    alt = f"Forest plot of {len(table)} effects: {told}."
    return caption, _draw(table), f"{alt} Primary: {words.listed(named, 8)}." if named else alt


def _range(counts: pd.Series) -> str:
    low, high = counts.min(), counts.max()
    return str(low) if low == high else f"{low} to {high}"


def _draw(table: pd.DataFrame) -> Figure:
    groups = list(table.groupby("unit", sort=False))
    figure = Sheet([WIDTH], [ROW * (len(group) + 0.2) for _, group in groups])
    for place, (unit, group) in enumerate(groups):
        _panel(figure.add_subplot(figure.cells[place, 0]), group, str(unit))
    figure.entries = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=verdict)
        for verdict, (colour, marker) in style.VERDICT_STYLES.items()
        if verdict in set(table["verdict_holm"])
    ]
    return figure


def _panel(axis: Axes, table: pd.DataFrame, unit: str) -> None:
    values = table[["low", "high", "null"]].to_numpy(float)
    if unit == POINTS:
        intervals.points_scale(axis, values)
    ranges.room(axis, "x", values, points=4)
    for y, (_, row) in enumerate(table.iterrows()):
        effect = Estimate(row["n"], row["effect"], np.nan, row["low"], row["high"])
        colour, marker = style.VERDICT_STYLES[row["verdict_holm"]]
        axis.plot([row["null"], row["null"]], [y - 0.45, y + 0.45], "--", color="#333333", lw=1)
        intervals.row(axis, y, effect, colour, marker, filled=row["primary"])
    names = [f"{row['claim']}: {row['part']}".removesuffix(": ") for _, row in table.iterrows()]
    axis.set_yticks(range(len(table)), names)
    axis.set_ylim(len(table) - 0.4, -0.6)
    axis.set_xlabel(UNIT_LABELS.get(unit, unit))
    axis.grid(axis="y", visible=False)
