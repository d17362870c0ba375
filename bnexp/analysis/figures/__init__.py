"""Figures from runs: each function draws what the runs allow, with its caption."""

from collections.abc import Sequence

import matplotlib
import pandas as pd

from bnexp.analysis import style
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures.curves import curves
from bnexp.analysis.figures.depth import depth
from bnexp.analysis.figures.forest import forest
from bnexp.analysis.figures.probes import figure_1, layers, population_gap
from bnexp.analysis.figures.rates import heat_maps, sensitivity
from bnexp.analysis.figures.targets import steps_to_target
from bnexp.analysis.loading import Runs
from bnexp.folders.runs import DIVERGED, FINISHED

METRICS = ("val_accuracy", "val_loss")

__all__ = ["METRICS", "claims_figures", "sweep_figures"]


def sweep_figures(runs: Runs, metrics: Sequence[str] = METRICS, x: str = "step") -> list[Drawing]:
    """Every figure that the runs of one sweep allow."""
    with matplotlib.rc_context(style.RC):
        drawings = list(figure_1(runs))
        for metric in metrics:
            drawings += curves(runs, metric, x)
        if runs.runs["status"].isin([FINISHED, DIVERGED]).any():
            for draw in (sensitivity, heat_maps, steps_to_target, depth, layers, population_gap):
                drawings += draw(runs)
    return drawings


def claims_figures(claims: pd.DataFrame) -> list[Drawing]:
    """The figures of all claims together."""
    with matplotlib.rc_context(style.RC):
        return list(forest(claims))
