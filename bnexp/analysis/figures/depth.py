"""Accuracy against depth."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bnexp.analysis import measures, style
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures import Wanted, choices, intervals, panels, ranges, words
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import VALIDATION
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.statistics import t_interval

PLACE = 50  # among the figures of a sweep

HIDDEN = "model.hidden"
APART = 0.12  # layers, between two arms


def depth(runs: Runs) -> Iterator[Drawing]:
    """Best-rate validation accuracy against the number of hidden layers; none unless it varies."""
    shown, how = choices.across(runs, HIDDEN)
    depths = measures.depth(shown.runs).groupby(shown.runs[CONDITION]).nunique()
    if depths.max() < 2:  # different networks may have different depths: not that
        return
    table = measures.ended(shown)
    table = table.assign(layers=measures.depth(table))
    groups = table.groupby([CONDITION, ARM, "layers"])[VALIDATION]
    conditions = panels.conditions_of(shown)
    drawn = conditions[: panels.MAX_PANELS]
    caption = (
        f"Final validation accuracy by number of hidden layers: {_seeds(shown)} (dots) and "
        f"their mean with a 95% Student-t interval; {how}. A diverged run counts as "
        f"{measures.chance_text(shown.runs)}."
        f"{intervals.cut(t_interval(one) for _, one in groups)}"
        f"{words.first_of(len(drawn), len(conditions))}"
    )
    figure = _draw(table, drawn, panels.arms_of(shown))
    yield Drawing("depth", "Accuracy by depth", caption, figure, _alt(table))


def _seeds(runs: Runs) -> str:
    return panels.seeds(replace(runs, runs=runs.runs.assign(**{CONDITION: runs.runs[HIDDEN]})))


def _alt(table: pd.DataFrame) -> str:
    parts = []
    for layers in (table["layers"].min(), table["layers"].max()):
        mine = table[table["layers"] == layers]
        means = mine.groupby([CONDITION, ARM], sort=False)[VALIDATION].mean()
        parts.append(f"with {layers}: {words.by_condition(means, '{:.1%}')}")
    return f"Final validation accuracy by number of hidden layers, {'. '.join(parts)}."


def _draw(table: pd.DataFrame, conditions: list[str], arms: list[str]) -> Figure:
    looks = style.looks(arms)
    figure, axes = panels.grid(conditions)
    depths = sorted(table["layers"].unique())
    reach = APART * len(arms) / 2
    ranges.room(axes[0], "x", [depths[0] - reach, depths[-1] + reach])
    ranges.room(axes[0], "y", [0, 1], margin=0.03)
    for axis, condition in zip(axes, conditions, strict=True):
        for i, arm in enumerate(arms):
            mine = table[(table[CONDITION] == condition) & (table[ARM] == arm)]
            if mine.empty:
                continue
            mine = mine.assign(place=mine["layers"] + APART * (i - (len(arms) - 1) / 2))
            found = intervals.estimates(mine, "place", VALIDATION)
            intervals.bars(axis, found, looks[arm], style.bounds(VALIDATION))
            intervals.dots(axis, mine["place"], mine[VALIDATION], looks[arm])
    axes[0].set_xticks(np.array(depths))
    panels.label_axes(axes, "hidden layers", "final validation accuracy")
    panels.legend(figure, arms, markers=True)
    return figure


def draw(runs: Runs, wanted: Wanted) -> Iterator[Drawing]:
    """The figure, once a run has ended."""
    if panels.has_ended(runs) and HIDDEN in runs.runs:
        yield from depth(runs)
