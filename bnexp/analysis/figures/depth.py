"""Accuracy against depth."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bnexp.analysis import best_rates, measures, style
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures import Wanted, panels
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import LR, VALIDATION
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.statistics import MIN_SEEDS, t_interval

PLACE = 50  # among the figures of a sweep

HIDDEN = "model.hidden"


def depth(runs: Runs) -> Iterator[Drawing]:
    """Best-rate validation accuracy against the number of hidden layers; none unless it varies."""
    at_best, how = best_rates.tuned_runs(runs)
    shown = best_rates.without_rate(at_best, (LR, HIDDEN))
    depths = measures.depth(shown.runs).groupby(shown.runs[CONDITION]).nunique()
    if depths.max() < 2:  # different networks may have different depths: not that
        return
    caption = (
        f"Final validation accuracy by number of hidden layers: {panels.seeds(at_best)} (dots) and "
        f"their mean with a 95% Student-t interval; {how}. A diverged run counts as "
        f"{measures.chance_text(shown.runs)}."
    )
    yield Drawing("depth", "Accuracy by depth", caption, _draw(shown))


def _draw(runs: Runs) -> Figure:
    table = measures.ended(runs)
    table = table.assign(layers=measures.depth(table))
    conditions, arms = panels.conditions_of(runs)[: panels.MAX_PANELS], panels.arms_of(runs)
    looks = style.looks(arms)
    figure, axes = panels.grid(conditions)
    for axis, condition in zip(axes, conditions, strict=True):
        for i, arm in enumerate(arms):
            mine = table[(table[CONDITION] == condition) & (table[ARM] == arm)]
            shift = 0.12 * (i - (len(arms) - 1) / 2)
            estimates = {
                x: t_interval(g[VALIDATION]) for x, g in measures.split(mine, "layers").items()
            }
            x = np.array(list(estimates)) + shift
            halves = [e.half_width if e.n >= MIN_SEEDS else np.nan for e in estimates.values()]
            means = [e.mean for e in estimates.values()]
            look = looks[arm]
            axis.errorbar(
                x, means, halves, color=look.colour, ls=look.line, linewidth=1.5, capsize=2
            )
            points: dict[str, Any] = {
                "color": look.colour,
                "marker": look.marker,
                "markersize": 3,
                "ls": "",
            }
            axis.plot(mine["layers"] + shift, mine[VALIDATION], alpha=0.6, **points)
    axes[0].set_xticks(sorted(table["layers"].unique()))
    axes[0].set_ylim(0, 1.02)
    panels.label_axes(figure, axes, "hidden layers", "final validation accuracy")
    panels.legend(figure, arms, markers=True)
    return figure


def draw(runs: Runs, wanted: Wanted) -> Iterator[Drawing]:
    """The figure, once a run has ended."""
    if panels.has_ended(runs) and HIDDEN in runs.runs:
        yield from depth(runs)
