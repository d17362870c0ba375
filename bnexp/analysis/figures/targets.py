"""Steps to a target accuracy, with what never got there."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bnexp.analysis import best_rates, measures, style
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures import Wanted, panels, ranges, words
from bnexp.analysis.figures.layout import Sheet
from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.statistics import bootstrap_interval
from bnexp.analysis.tables import TARGETS

PLACE = 40  # among the figures of a sweep

MAX_ROWS = 24


def steps_to_target(runs: Runs) -> Iterator[Drawing]:
    """Median steps to 90, 95 and 97% validation accuracy; none if no run gets to the first.

    Where there are more conditions than rows, each arm is shown at its best learning rate.
    """
    if runs.history.empty or np.isinf(measures.reached(runs, TARGETS[0])).all():
        return
    shown, how = best_rates.tuned_runs(runs)
    if best_rates.rate_varies(runs) and len(panels.conditions_of(runs)) <= MAX_ROWS:
        shown, how = runs, "learning rates as named"
    conditions = panels.conditions_of(shown)
    drawn = conditions[:MAX_ROWS]
    caption = (
        f"Median over {panels.seeds(shown)} of the first evaluated step at each validation "
        "accuracy, with a 95% bootstrap interval. An open triangle: more than half of the seeds "
        f"are not there at the end of their steps; {how}."
        f"{words.first_of(len(drawn), len(conditions))}"
    )
    figure = _draw(shown, drawn)
    yield Drawing("steps_to_target", "Steps to a target", caption, figure, _alt(shown))


def _alt(runs: Runs) -> str:
    steps = measures.reached(runs, TARGETS[0])
    keys = [runs.runs[CONDITION], runs.runs[ARM]]
    medians = steps.groupby(keys, sort=False).median()
    told = words.by_condition(medians, "{:.0f}").replace(" none", " never")
    others = " and ".join(f"{target:.0%}" for target in TARGETS[1:])
    return (
        f"Median steps to {TARGETS[0]:.0%} validation accuracy: {told}. Beside it, those to "
        f"{others}."
    )


def _draw(runs: Runs, conditions: list[str]) -> Figure:
    arms = panels.arms_of(runs)
    height = 0.3 + len(conditions) * max(0.24, 0.13 * len(arms))
    figure = Sheet([2.5] * len(TARGETS), [height])
    axes: list[Axes] = []
    for column, target in enumerate(TARGETS):
        first = axes[0] if axes else None
        axis = figure.add_subplot(figure.cells[0, column], sharex=first, sharey=first)
        axis.set_title(f"{target:.0%} validation accuracy")
        axis.set_xlabel(style.X_LABELS["step"])
        axis.tick_params(labelleft=first is None)
        axes.append(axis)
    axes[0].set_xscale("log")
    shown = runs.runs[CONDITION].isin(conditions)
    soonest = measures.reached(runs, TARGETS[0])[shown]  # and infinite for those that never are
    ranges.room(axes[0], "x", [*soonest, *runs.runs.loc[shown, "trainer.steps"]], points=4)
    for axis, target in zip(axes, TARGETS, strict=True):
        reached = measures.reached(runs, target)
        for row, condition in enumerate(conditions):
            _row(axis, runs.runs[runs.runs[CONDITION] == condition], reached, row, arms)
    axes[0].set_yticks(range(len(conditions)), list(map(panels.wrapped, conditions)))
    axes[0].set_ylim(len(conditions) - 0.4, -0.6)
    never = Line2D([], [], color="#555555", marker=">", markerfacecolor="none", linestyle="")
    never.set_label("not within the budget")
    panels.legend(figure, arms, never, markers=True)
    return figure


def _row(axis: Axes, table: pd.DataFrame, steps: pd.Series, row: int, arms: list[str]) -> None:
    looks = style.looks(arms)
    for i, arm in enumerate(arms):
        members = table[table[ARM] == arm]
        if members.empty:
            continue
        look = looks[arm]
        y = row + 0.6 * ((i + 0.5) / len(arms) - 0.5)
        spent, budget = steps[members.index], float(members["trainer.steps"].max())
        median = float(np.median(spent))
        if np.isinf(median):
            axis.plot(budget, y, ">", color=look.colour, markerfacecolor="none", markersize=5)
            continue
        low, high = np.minimum(bootstrap_interval(spent), budget)
        axis.plot([low, high], [y, y], color=look.colour, ls=look.line, linewidth=1.2)
        axis.plot(median, y, color=look.colour, marker=look.marker, markersize=4)


def draw(runs: Runs, wanted: Wanted) -> Iterator[Drawing]:
    """The figures, once a run has ended."""
    if panels.has_ended(runs):
        yield from steps_to_target(runs)
