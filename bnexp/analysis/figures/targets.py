"""Steps to a target accuracy, with what never got there."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bnexp.analysis import best_rates, measures, style
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures import Wanted, panels, ranges, words
from bnexp.analysis.figures.layout import Sheet
from bnexp.analysis.judged import HOW, comparisons, ended_trial, judged
from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.statistics import bootstrap_interval
from bnexp.analysis.targets import percent, targets

PLACE = 40  # among the figures of a sweep

MAX_ROWS = 24


def steps_to_target(runs: Runs) -> Iterator[Drawing]:
    """Median steps to accuracies that fit the runs (see `targets`); none if nothing learns.

    Of a trial, what it judges. Of other runs each arm at its best learning rate where there are
    more conditions than rows.
    """
    shown, how = _shown(runs)
    if not (goals := targets(runs)):
        return
    conditions = panels.conditions_of(shown)
    drawn = conditions[:MAX_ROWS]
    caption = (
        f"Median over {panels.seeds(shown)} of the first evaluated step at each validation "
        "accuracy, with a 95% bootstrap interval. An open triangle: more than half of the seeds "
        f"are not there at the end of their steps; {how}."
        f"{words.first_of(len(drawn), len(conditions))}"
    )
    figure = _draw(shown, drawn, goals)
    yield Drawing("steps_to_target", "Steps to a target", caption, figure, _alt(shown, goals))


def _shown(runs: Runs) -> tuple[Runs, str]:
    """The runs that are drawn, and how a caption says which they are."""
    if record := ended_trial(runs):
        return judged(runs, comparisons(record)), HOW
    if best_rates.rate_varies(runs) and len(panels.conditions_of(runs)) <= MAX_ROWS:
        return runs, "learning rates as named"
    return best_rates.tuned_runs(runs)


def _alt(runs: Runs, goals: Sequence[float]) -> str:
    steps = measures.reached(runs, goals[0])
    keys = [runs.runs[CONDITION], runs.runs[ARM]]
    medians = steps.groupby(keys, sort=False).median()
    told = words.by_condition(medians, "{:.0f}", missing="never")
    beside = f" Beside it, those to {' and '.join(map(percent, goals[1:]))}." * (len(goals) > 1)
    return f"Median steps to {percent(goals[0])} validation accuracy: {told}.{beside}"


def _draw(runs: Runs, conditions: list[str], goals: Sequence[float]) -> Figure:
    arms = panels.arms_of(runs)
    height = 0.3 + len(conditions) * max(0.24, 0.13 * len(arms))
    figure = Sheet([2.5] * len(goals), [height])
    axes: list[Axes] = []
    for column, target in enumerate(goals):
        first = axes[0] if axes else None
        axis = figure.add_subplot(figure.cells[0, column], sharex=first, sharey=first)
        axis.set_title(f"{percent(target)} validation accuracy")
        axis.set_xlabel(style.X_LABELS["step"])
        axis.tick_params(labelleft=first is None)
        axes.append(axis)
    axes[0].set_xscale("log")
    shown = runs.runs[CONDITION].isin(conditions)
    soonest = measures.reached(runs, goals[0])[shown]  # and infinite for those that never are
    ranges.room(axes[0], "x", [*soonest, *runs.runs.loc[shown, "trainer.steps"]], points=4)
    for axis, target in zip(axes, goals, strict=True):
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
