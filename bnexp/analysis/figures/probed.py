"""What the figures of probes share: means over seeds, and panels with a column per quantity."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bnexp.analysis import style
from bnexp.analysis.figures import panels, ranges
from bnexp.analysis.figures.layout import Sheet
from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.statistics import MIN_SEEDS, t_quantile
from bnexp.folders.runs import DIVERGED, FAILED

WIDTHS = {2: 3.4, 3: 2.4}  # inches, of a panel, by how many quantities stand side by side
HEIGHT = 1.9  # inches
NEAR = 0.25  # of the mean, below which an interval comes near 0


def with_rows(runs: Runs, rows: pd.DataFrame) -> Runs:
    """The runs of which there are such rows of probes, and those that diverged before any."""
    probed = runs.runs.index.isin(rows["run"].unique())
    conditions = runs.runs.loc[probed, CONDITION].unique()
    lost = (runs.runs["status"] == DIVERGED) & runs.runs[CONDITION].isin(conditions)
    return replace(runs, runs=runs.runs[probed | lost])


def course(rows: pd.DataFrame, members: pd.DataFrame, by: str = "step") -> pd.DataFrame:
    """Mean over seeds of probed values, with its 95% Student-t interval.

    Over all runs that were probed or diverged before: it ends where the first of them does.

    Args:
        rows: of one statistic, with the columns run and value.
        members: rows of the table of runs, those to be averaged.
        by: the column of `rows` along which the mean runs.

    Returns:
        Columns mean, low, high and n, indexed by `by`; low and high are NaN for fewer than
        `MIN_SEEDS` seeds.
    """
    probed = members.index.isin(rows["run"].unique())
    counted = (probed | (members["status"] == DIVERGED)) & (members["status"] != FAILED)
    groups = rows[rows["run"].isin(members.index[counted])].groupby(by)["value"]
    found = groups.agg(mean="mean", sd="std", n="count")
    found = found[found["n"] == counted.sum()]
    half = t_quantile(found["n"] - 1) * found["sd"] / np.sqrt(found["n"])
    half = half.where(found["n"] >= MIN_SEEDS)
    return found.assign(low=found["mean"] - half, high=found["mean"] + half).drop(columns="sd")


def matrix(conditions: Sequence[str], quantities: int) -> tuple[Sheet, list[list[Axes]]]:
    """A row of panels per condition, a column per quantity, which share their axes."""
    width = WIDTHS[quantities]
    sheet = Sheet([width] * quantities, [HEIGHT] * len(conditions))
    rows: list[list[Axes]] = []
    for number, condition in enumerate(conditions):
        rows.append([])
        for column in range(quantities):
            corner = rows[0][0] if rows[0] else None
            above = rows[0][column] if number else None
            axis = sheet.add_subplot(sheet.cells[number, column], sharex=corner, sharey=above)
            axis.set_title(panels.wrapped(condition, int(width / panels.CHARACTER)))
            axis.tick_params(labelbottom=number == len(conditions) - 1)
            rows[number].append(axis)
    return sheet, rows


def label_columns(rows: Sequence[Sequence[Axes]], x: str, labels: Sequence[str]) -> None:
    """The x label below the last row, at each panel the y label of its quantity."""
    for row in rows:
        for axis, label in zip(row, labels, strict=True):
            panels.label_axes([axis], x, label)


def mean_line(axis: Axes, found: pd.DataFrame, look: style.Look) -> None:
    """A mean with its interval."""
    alone = "o" if len(found) == 1 else ""
    line: dict[str, Any] = {"color": look.colour, "linestyle": look.line, "linewidth": 1.6}
    axis.plot(found.index, found["mean"], marker=alone, markersize=4, **line)
    panels.band(axis, found.index.to_series(), found["low"], found["high"], look.colour)


def limits(axis: Axes, found: Sequence[pd.DataFrame]) -> None:
    """Limits of y with all means and intervals inside; logarithmic where all means are above 0.

    An interval that comes near 0 does not count there: it would leave most of the panel empty.
    """
    values = pd.concat([one[["mean", "low", "high"]] for one in found])
    if (values["mean"] > 0).all():
        axis.set_yscale("log")
        values = values.assign(low=values["low"].where(values["low"] > NEAR * values["mean"]))
    ranges.room(axis, "y", values)


def arms_among(runs: Runs, condition: str) -> dict[str, pd.DataFrame]:
    """The runs of a condition by arm, in the arms' order."""
    members = runs.runs[runs.runs[CONDITION] == condition]
    return {str(arm): table for arm, table in members.groupby(ARM, sort=False)}
