"""Figures from runs: each function draws one and returns it; nothing is computed here."""

import math
from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bnexp.analysis import style
from bnexp.analysis.curves import mean_curves
from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.runs import DIVERGED

PANEL_WIDTH, PANEL_HEIGHT = 3.0, 2.3  # inches
MAX_COLUMNS = 4
MAX_PANELS = 36
MIN_SEEDS = 3  # with two, the interval is some ten times as wide as the seeds lie apart


def curves(runs: Runs, metric: str) -> list[Figure]:
    """A metric against steps, a panel per condition, a colour per arm.

    Thick lines are means over seeds with a 95% Student-t interval as a band (from MIN_SEEDS
    on), thin lines the seeds; a run that diverged ends in a red cross. Conditions beyond
    MAX_PANELS go to further figures.
    """
    conditions = list(runs.runs[CONDITION].unique())
    pages = [conditions[i : i + MAX_PANELS] for i in range(0, len(conditions), MAX_PANELS)]
    with matplotlib.rc_context(style.RC):
        return [_page(runs, metric, page) for page in pages]


def _page(runs: Runs, metric: str, conditions: Sequence[str]) -> Figure:
    arms = list(runs.runs[ARM].unique())
    colours = style.colours(arms)
    columns = _columns(conditions)
    rows = math.ceil(len(conditions) / columns)
    size = (max(PANEL_WIDTH * columns, 4.5), PANEL_HEIGHT * rows + 0.7)
    figure = Figure(figsize=size, layout="constrained")
    means = mean_curves(runs, metric)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axis, condition in zip(axes.flat, conditions, strict=False):
        chosen = runs.runs[runs.runs[CONDITION] == condition]
        for arm in arms:
            members = chosen[chosen[ARM] == arm]
            if len(members):
                mean = means[(means[CONDITION] == condition) & (means[ARM] == arm)]
                _arm_curves(axis, runs.history, members, mean, metric, colours[arm])
        axis.set_title(_wrapped(condition))
    for axis in axes.flat[len(conditions) :]:
        axis.set_visible(False)
    for index, axis in enumerate(axes.flat[: len(conditions)]):
        if index + columns >= len(conditions):
            axis.tick_params(labelbottom=True)
            axis.set_xlabel("training step")
    _scale(axes[0, 0], runs.history[metric].dropna(), metric)
    figure.supylabel(style.METRIC_LABELS[metric], fontsize="medium")
    _legend(figure, runs, arms, colours)
    return figure


def _columns(conditions: Sequence[str]) -> int:
    """As many as the settings named last have values, so that a row varies these alone."""
    settings = list(zip(*(condition.split(", ") for condition in conditions), strict=False))
    columns = 1
    for values in reversed(settings):
        if columns * len(set(values)) > MAX_COLUMNS:
            break
        columns *= len(set(values))
    return columns if columns > 1 else min(MAX_COLUMNS, len(conditions))


def _scale(axis: Axes, values: pd.Series, metric: str) -> None:
    """Limits from the seeds' own values: bands of few seeds may reach far beyond."""
    if values.empty:
        return
    low, high = values.min(), values.max()
    if metric == "val_accuracy":
        margin = max(0.06 * (high - low), 0.002)
        axis.set_ylim(max(0, low - margin), min(1, high + margin))
    elif low > 0:
        axis.set_yscale("log")
        axis.set_ylim(low / 1.2, high * 1.2)


def _arm_curves(
    axis: Axes,
    history: pd.DataFrame,
    members: pd.DataFrame,
    mean: pd.DataFrame,
    metric: str,
    colour: str,
) -> None:
    mine = history[history["run"].isin(members.index)]
    for run, seed in mine.groupby("run"):
        axis.plot(seed["step"], seed[metric], color=colour, linewidth=0.6, alpha=0.45)
        last = seed.dropna(subset=[metric]).tail(1)
        if members.loc[str(run), "status"] == DIVERGED and len(last):
            axis.plot(last["step"], last[metric], "x", color="red", markersize=6, zorder=5)
    for run in members.index[members["status"] == DIVERGED]:
        if run not in set(mine["run"]):  # diverged before the first evaluation
            axis.plot([0.03], [0.05], "x", color="red", transform=axis.transAxes, markersize=6)
    axis.plot(mean["step"], mean["mean"], color=colour, linewidth=1.8)
    if members["seed"].nunique() >= MIN_SEEDS:
        axis.fill_between(
            mean["step"], mean["low"], mean["high"], color=colour, alpha=0.18, linewidth=0
        )


def _legend(figure: Figure, runs: Runs, arms: Sequence[str], colours: dict[str, str]) -> None:
    handles = [
        Line2D([], [], color=colours[arm], linewidth=1.8, label=style.label(arm)) for arm in arms
    ]
    if (runs.runs["status"] == DIVERGED).any():
        cross = Line2D([], [], color="red", marker="x", linestyle="", label="diverged")
        handles.append(cross)
    figure.legend(handles=handles, loc="outside upper center", ncols=3)


def _wrapped(condition: str) -> str:
    """A title of at most about a panel's width per line."""
    lines = [""]
    for part in condition.split(", "):
        joined = f"{lines[-1]}, {part}" if lines[-1] else part
        if len(joined) > 34:
            lines.append(part)
        else:
            lines[-1] = joined
    return "\n".join(lines)
