"""Learning curves: a metric while training, a panel per condition."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnexp.analysis import best_rates, style
from bnexp.analysis.curves import after_divergence, evaluated_early, mean_curves
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures import Wanted, panels, ranges, words
from bnexp.analysis.judged import HOW, comparisons, ended_trial, judged
from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.statistics import MIN_SEEDS
from bnexp.folders.runs import DIVERGED

PLACE = 20  # among the figures of a sweep


def curves(runs: Runs, metric: str, x: str = "step") -> Iterator[Drawing]:
    """A metric against steps, epochs or seconds; none if no run has been evaluated.

    Of a trial, what it judges. Of other runs each arm at its best learning rate where there are
    more conditions than panels.
    """
    shown, how = _shown(runs)
    if shown.history.empty or shown.history[metric].isna().all():
        return
    conditions = panels.conditions_of(shown)
    drawn = conditions[: panels.MAX_PANELS]
    means = mean_curves(shown, metric)
    figure = _draw(shown, means, drawn, metric, x)
    title = style.metric_label(metric).partition(" (")[0].capitalize()
    cut = _cut(means, metric, figure.axes[0])
    caption = _caption(shown, cut, conditions, how, metric)
    yield Drawing(metric, title, caption, figure, _alt(shown, means, conditions, metric, x))


def _shown(runs: Runs) -> tuple[Runs, str]:
    """The runs that are drawn, and how a caption says which they are."""
    if record := ended_trial(runs):
        return judged(runs, comparisons(record)), HOW
    if best_rates.rate_varies(runs) and len(panels.conditions_of(runs)) <= panels.MAX_PANELS:
        return runs, "learning rates as titled"
    return best_rates.tuned_runs(runs)


def _caption(runs: Runs, cut: str, conditions: list[str], how: str, metric: str) -> str:
    few = panels.seeds(runs)
    text = f"Mean of {few} (thick)"
    if runs.runs.groupby([CONDITION, ARM])["seed"].nunique().max() >= MIN_SEEDS:
        text += f", 95% Student-t interval (band{cut})"
    text += f" and the seeds (thin); {how}."
    text += words.first_of(min(len(conditions), panels.MAX_PANELS), len(conditions))
    text += words.absent(runs.runs, conditions[: panels.MAX_PANELS], panels.arms_of(runs))
    if (runs.runs["status"] == DIVERGED).any():
        text += f" A red cross: the run diverged there; {after_divergence(runs, metric)}."
    if "loss" in metric and (runs.history[metric] > ranges.MAX_LOSS).any():
        text += f" Losses above {ranges.MAX_LOSS:g} lie outside."
    return text


def _cut(means: pd.DataFrame, metric: str, axis: Axes) -> str:
    """What a caption says of intervals that reach beyond the panel, or what the metric can be."""
    low, high = style.bounds(metric)
    drawn = means[means["n"] >= MIN_SEEDS]
    if axis.get_yscale() == "log":
        leaving = (drawn["low"] < min(axis.get_ylim())).any()
        return ", none where it leaves the panel" if leaving else ""
    beyond = (drawn["low"] < low).any() or (drawn["high"] > high).any()
    return f", cut at {low:g} and {high:g}" if beyond else ""


def _alt(runs: Runs, means: pd.DataFrame, conditions: list[str], metric: str, x: str) -> str:
    many = f" in {len(conditions)} conditions" if len(conditions) > 1 else ""
    told = f"{style.metric_label(metric).capitalize()} against {style.X_LABELS[x]}{many}."
    last = means.groupby([CONDITION, ARM], sort=False)["mean"].last()
    number = "{:.1%}" if style.bounds(metric)[1] == 1 else "{:.3g}"
    if len(last):
        told += f" Last mean of all seeds: {words.by_condition(last, number)}."
    diverged = int((runs.runs["status"] == DIVERGED).sum())
    return told + (f" {diverged} of {len(runs.runs)} runs diverged." if diverged else "")


def _draw(runs: Runs, curves: pd.DataFrame, conditions: list[str], metric: str, x: str) -> Figure:
    arms = panels.arms_of(runs)
    looks = style.looks(arms)
    history = runs.history[["run", x, metric]].dropna(subset=[metric])
    condition_of = history["run"].map(runs.runs[CONDITION])
    spans = history[x].groupby(condition_of).agg(["min", "max"]).reindex(conditions, fill_value=1)
    figure, axes = panels.grid(conditions, reach=list(spans["max"]))
    if evaluated_early(runs, history[x]):
        for axis in axes:
            axis.set_xscale("log")
    ranges.room_x(axes, spans.to_numpy())
    seen = pd.concat([history[metric], curves["mean"]])
    ranges.limits(axes[0], metric, seen)
    means = dict(tuple(curves.groupby([CONDITION, ARM], sort=False)))
    members = dict(tuple(runs.runs[[CONDITION, ARM, "status"]].groupby([CONDITION, ARM])))
    histories = {
        str(run): rows[[x, metric]].to_numpy(float)
        for run, rows in history.groupby("run", sort=False)
    }
    for axis, condition in zip(axes, conditions, strict=True):
        for number, arm in enumerate(arms):
            if (condition, arm) in members:
                table = members[condition, arm]["status"]
                _seeds(axis, histories, table, looks[arm], height=0.05 + 0.07 * number)
            if (condition, arm) in means:
                _mean(axis, means[condition, arm], x, metric, looks[arm])
    panels.label_axes(axes, style.X_LABELS[x], style.metric_label(metric))
    panels.legend(figure, arms, *panels.crosses(runs))
    return figure


def _seeds(
    axis: Axes,
    histories: dict[str, np.ndarray],
    statuses: pd.Series,
    look: style.Look,
    height: float,
) -> None:
    """Thin lines, and crosses at the ends of runs that diverged.

    Those that diverged before the first evaluation have theirs in the panel's corner, at a height
    of their arm's.
    """
    seen = {run: histories[str(run)] for run in statuses.index if str(run) in histories}
    panels.lines(axis, seen.values(), look.colour)
    diverged = statuses.index[statuses == DIVERGED]
    ends = np.array([seen[run][-1] for run in diverged if run in seen])
    if len(ends):
        panels.cross(axis, ends[:, 0], ends[:, 1].clip(*axis.get_ylim()), look.colour)
    if len(ends) < len(diverged):
        panels.cross(axis, 0.03, height, look.colour, axis.transAxes)


def _mean(axis: Axes, mean: pd.DataFrame, x: str, metric: str, look: style.Look) -> None:
    alone = "o" if len(mean) == 1 else ""
    line = {"color": look.colour, "linestyle": look.line, "linewidth": 1.8}
    axis.plot(mean[x], mean["mean"], marker=alone, markersize=4, **line)
    known = mean[mean["n"] >= MIN_SEEDS]
    low, high = (known[end].clip(*style.bounds(metric)) for end in ("low", "high"))
    panels.band(axis, known[x], low, high, look.colour)


def draw(runs: Runs, wanted: Wanted) -> Iterator[Drawing]:
    """A figure for each metric."""
    for metric in wanted.metrics:
        yield from curves(runs, metric, wanted.x)
