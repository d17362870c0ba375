"""Learning curves: a metric while training, a panel per condition."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnexp.analysis import best_rates, style
from bnexp.analysis.curves import after_divergence, mean_curves
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures import Wanted, panels
from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.statistics import MIN_SEEDS
from bnexp.folders.runs import DIVERGED

PLACE = 20  # among the figures of a sweep


def curves(runs: Runs, metric: str, x: str = "step") -> Iterator[Drawing]:
    """A metric against steps, epochs or seconds; none if no run has been evaluated.

    Where there are more conditions than panels, each arm is drawn at its best learning rate.
    """
    if runs.history.empty or runs.history[metric].isna().all():
        return
    shown, how = best_rates.tuned_runs(runs)
    if best_rates.rate_varies(runs) and len(panels.conditions_of(runs)) <= panels.MAX_PANELS:
        shown, how = runs, "learning rates as titled"
    conditions = panels.conditions_of(shown)
    drawn = conditions[: panels.MAX_PANELS]
    figure = _draw(shown, drawn, metric, x)
    title = style.metric_label(metric).partition(" (")[0].capitalize()
    yield Drawing(metric, title, _caption(shown, conditions, how, metric), figure)


def _caption(runs: Runs, conditions: list[str], how: str, metric: str) -> str:
    few = panels.seeds(runs)
    text = f"Mean of {few} (thick)"
    if runs.runs.groupby([CONDITION, ARM])["seed"].nunique().max() >= MIN_SEEDS:
        text += ", 95% Student-t interval (band)"
    text += f" and the seeds (thin); {how}."
    if len(conditions) > panels.MAX_PANELS:
        text += f" The first {panels.MAX_PANELS} of {len(conditions)} conditions."
    if (runs.runs["status"] == DIVERGED).any():
        text += f" A red cross: the run diverged there; {after_divergence(runs, metric)}."
    if "loss" in metric and (runs.history[metric] > panels.MAX_LOSS).any():
        text += f" Losses above {panels.MAX_LOSS:g} lie outside."
    return text


def _draw(runs: Runs, conditions: list[str], metric: str, x: str) -> Figure:
    arms = panels.arms_of(runs)
    looks = style.looks(arms)
    figure, axes = panels.grid(conditions)
    curves = mean_curves(runs, metric)
    means = dict(tuple(curves.groupby([CONDITION, ARM], sort=False)))
    members = dict(
        tuple(runs.runs[[CONDITION, ARM, "status"]].groupby([CONDITION, ARM], sort=False))
    )
    histories = {str(run): rows for run, rows in runs.history.groupby("run", sort=False)}
    for axis, condition in zip(axes, conditions, strict=True):
        for arm in arms:
            if (condition, arm) in members:
                table = members[condition, arm]
                _seeds(axis, histories, table, metric, x, looks[arm])
            if (condition, arm) in means:
                _mean(axis, means[condition, arm], x, looks[arm])
    seen = pd.concat([runs.history[metric].dropna(), curves["mean"]])
    panels.limits(axes[0], seen, accuracy="accuracy" in metric)
    panels.label_axes(figure, axes, style.X_LABELS[x], style.metric_label(metric))
    panels.legend(figure, arms, *panels.crosses(runs))
    return figure


def _seeds(
    axis: Axes,
    histories: dict[str, pd.DataFrame],
    members: pd.DataFrame,
    metric: str,
    x: str,
    look: style.Look,
) -> None:
    for run, status in members["status"].items():
        seen = histories.get(str(run), pd.DataFrame(columns=[x, metric])).dropna(subset=[metric])
        axis.plot(seen[x], seen[metric], color=look.colour, linewidth=0.6, alpha=0.45)
        if status == DIVERGED and len(seen):
            panels.cross(axis, seen[x].iloc[-1], seen[metric].iloc[-1])
        elif status == DIVERGED:  # before the first evaluation
            panels.cross(axis, 0.03, 0.05, of_axes=True)


def _mean(axis: Axes, mean: pd.DataFrame, x: str, look: style.Look) -> None:
    axis.plot(mean[x], mean["mean"], color=look.colour, linestyle=look.line, linewidth=1.8)
    band = mean[mean["n"] >= MIN_SEEDS]
    shade: dict[str, Any] = {"color": look.colour, "alpha": 0.18, "linewidth": 0}
    axis.fill_between(band[x], band["low"], band["high"], **shade)


def draw(runs: Runs, wanted: Wanted) -> Iterator[Drawing]:
    """A figure for each metric."""
    for metric in wanted.metrics:
        yield from curves(runs, metric, wanted.x)
