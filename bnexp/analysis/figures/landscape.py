"""How far the loss and its gradient change along the gradient, while training."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnexp.analysis import style
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures import Wanted, choices, panels, probed, ranges, words
from bnexp.analysis.loading import Runs
from bnexp.analysis.statistics import MIN_SEEDS

PLACE = 70  # among the figures of a sweep

LOW, LOSS, HIGH = "loss_low", "loss", "loss_high"
LINES = {  # statistic: y label
    "gradient_change": "change of the gradient\n‖g − g′‖ / ‖g‖",
    "smoothness": "per length of the step (β)\n‖g − g′‖ / (aη‖g‖)",
}
MOST = 4  # conditions

# by condition and arm, then by statistic
Courses: TypeAlias = dict[tuple[str, str], dict[str, pd.DataFrame]]


def landscape(runs: Runs, how: str) -> Iterator[Drawing]:
    """Loss range along the gradient, gradient change and smoothness; none without the probe.

    After Fig. 4 of Santurkar et al. 2018 (arXiv 1805.11604).

    Args:
        runs: those that are drawn.
        how: which they are, for captions.
    """
    rows = panels.rows_of(runs, "landscape", LOW, LOSS, HIGH, *LINES)
    if rows.empty:
        return
    shown = probed.with_rows(runs, rows)
    conditions = panels.conditions_of(shown)
    drawn = conditions[:MOST]
    courses = _courses(shown, rows)
    caption = (
        "From the weights w at each record, steps of 0.5 to 4 times the learning rate η along the "
        "negative gradient −g of the training batch. Left: the loss at w (line), and from the "
        "smallest to the largest loss after such a step (band). Middle: how much the gradient "
        "changes, ‖g − g′‖ / ‖g‖, and right: by the length of the step, ‖g − g′‖ / (aη‖g‖), the "
        "effective β-smoothness of Santurkar et al. 2018; each the largest over the eight "
        f"steps, and from {MIN_SEEDS} seeds on with a 95% Student-t interval (shaded). Means of "
        f"{panels.seeds(shown)}; {how}. Each arm steps by its own rate, and at the same step the "
        "arms are at different losses: a narrower band alone does not say that the landscape is "
        "smoother."
    )
    if any((one[HIGH]["mean"] > ranges.MAX_LOSS).any() for one in courses.values()):
        caption += f" Losses above {ranges.MAX_LOSS:g} lie outside."
    caption += words.first_of(len(drawn), len(conditions))
    figure = _draw(shown, courses, drawn)
    yield Drawing("landscape", "Loss along the gradient", caption, figure, _alt(courses))


def _courses(runs: Runs, rows: pd.DataFrame) -> Courses:
    """By condition and arm, the mean course of each statistic; a loss that is lost is infinite."""
    lost = (rows["statistic"] == HIGH) & ~np.isfinite(rows["value"])
    rows = rows.assign(value=rows["value"].mask(lost, np.inf))
    found: Courses = {}
    for condition in panels.conditions_of(runs):
        for arm, members in probed.arms_among(runs, condition).items():
            mine = rows[rows["run"].isin(members.index)]
            found[condition, arm] = {
                name: probed.course(mine[mine["statistic"] == name], members)
                for name in (LOW, LOSS, HIGH, *LINES)
            }
    return found


def _draw(runs: Runs, courses: Courses, conditions: list[str]) -> Figure:
    arms = panels.arms_of(runs)
    looks = style.looks(arms)
    figure, rows = probed.matrix(conditions, 1 + len(LINES))
    drawn = [one for (condition, _), one in courses.items() if condition in conditions]
    ranges.room(rows[0][0], "x", np.concatenate([one[LOSS].index for one in drawn]))
    losses = pd.concat([one[name]["mean"] for one in drawn for name in (LOW, LOSS, HIGH)])
    ranges.limits(rows[0][0], "train_loss", losses)
    for axis, name in zip(rows[0][1:], LINES, strict=True):
        probed.limits(axis, [one[name] for one in drawn])
    for row, condition in zip(rows, conditions, strict=True):
        for arm in probed.arms_among(runs, condition):
            found = courses[condition, arm]
            _band(row[0], found, looks[arm])
            for axis, name in zip(row[1:], LINES, strict=True):
                probed.mean_line(axis, found[name], looks[arm])
    labels = ["training loss (nats)\nat w and along −g", *LINES.values()]
    probed.label_columns(rows, style.X_LABELS["step"], labels)
    panels.legend(figure, arms)
    return figure


def _band(axis: Axes, found: dict[str, pd.DataFrame], look: style.Look) -> None:
    """The loss within its range; an end that is lost lies above the panel."""
    line: dict[str, Any] = {"color": look.colour, "linestyle": look.line}
    top = 10 * max(axis.get_ylim())
    low, loss, high = (found[name]["mean"].clip(upper=top) for name in (LOW, LOSS, HIGH))
    axis.plot(loss.index, loss, linewidth=1.6, **line)
    for end in (low, high):
        axis.plot(end.index, end, linewidth=0.5, alpha=0.6, **line)
    shared = low.index.intersection(high.index)
    shade: dict[str, Any] = {"color": look.colour, "alpha": 0.22, "linewidth": 0}
    axis.fill_between(shared.to_series(), low[shared], high[shared], **shade)


def _alt(courses: Courses) -> str:
    ranges_told = {
        key: f"{one[LOW]['mean'].iloc[-1]:.3g} to {one[HIGH]['mean'].iloc[-1]:.3g}"
        for key, one in courses.items()
        if len(one[LOW]) and len(one[HIGH])
    }
    told = words.by_pair(ranges_told)
    return (
        "Loss after steps of 0.5 to 4 times the learning rate along the negative gradient, against "
        f"training steps; means of the smallest and the largest at the last record: {told}."
    )


def draw(runs: Runs, wanted: Wanted) -> Iterator[Drawing]:
    """The figure, once a run has ended."""
    if panels.has_ended(runs):
        yield from landscape(*choices.own(runs))
