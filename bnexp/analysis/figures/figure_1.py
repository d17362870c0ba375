"""Fig. 1 of the paper: accuracy, and percentiles of a typical sigmoid's input, while training."""

from collections.abc import Iterator
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bnexp.analysis import best_rates, measures, style
from bnexp.analysis.curves import mean_curves
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures import Wanted, panels
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import LR, NORM
from bnexp.analysis.naming import ARM, CONDITION

PLACE = 10  # among the figures of a sweep

PERCENTILES: dict[str, tuple[str, Literal[":", "-", "--"]]] = {
    "unit_p85": ("85th", ":"),
    "unit_p50": ("50th", "-"),
    "unit_p15": ("15th", "--"),
}


def figure_1(runs: Runs) -> Iterator[Drawing]:
    """The paper's Fig. 1: accuracy, and the last hidden layer's inputs without and with BN.

    Drawn from one network (the first condition) whose runs probed `activations`.
    """
    if panels.rows_of(runs, "activations", *PERCENTILES).empty:
        return
    shown, how = best_rates.tuned_runs(runs)
    shown = shown.select(shown.runs[CONDITION] == shown.runs[CONDITION].iloc[0], (LR,))
    if not {"none", "batch"} <= set(shown.runs[NORM]):
        return
    caption = (
        f"After Fig. 1 of Ioffe & Szegedy (2015). (a) Validation accuracy, mean of "
        f"{panels.seeds(shown)}; (b, c) the {{15, 50, 85}}th percentiles, over a fixed batch, of "
        "the inputs to one typical unit of the last hidden layer while training, of the first "
        f"seed; {how}."
    )
    yield Drawing("figure_1", "Fig. 1 of the paper, re-drawn", caption, _figure_1(shown))


def _figure_1(runs: Runs) -> Figure:
    figure = Figure(figsize=(8.2, 2.9), layout="constrained")
    accuracy, without, with_bn = figure.subplots(1, 3)
    without.sharey(with_bn)
    arms = panels.arms_of(runs)
    looks = style.looks(arms)
    means = mean_curves(runs, "val_accuracy")
    for arm in arms:
        mean = means[means[ARM] == arm]
        look = looks[arm]
        accuracy.plot(mean["step"], mean["mean"], color=look.colour, linestyle=look.line)
    accuracy.set_ylim(0.7, 1)  # the paper's axis
    accuracy.set_ylabel("validation accuracy")
    accuracy.set_title("(a)")
    for axis, kind, title in (
        (without, "none", "(b) without BN"),
        (with_bn, "batch", "(c) with BN"),
    ):
        run = runs.runs[runs.runs[NORM] == kind].sort_values("seed").index[0]
        colour = looks[runs.runs.loc[run, ARM]].colour
        _percentiles(axis, runs.probes[runs.probes["run"] == run], colour)
        axis.set_title(title)
    without.set_ylabel("input to the nonlinearity")
    for axis in (accuracy, without, with_bn):
        axis.set_xlabel(style.X_LABELS["step"])
    lines = [
        Line2D([], [], color="#555555", linestyle=line, label=f"{name} percentile")
        for name, line in PERCENTILES.values()
    ]
    panels.legend(figure, arms, *lines)
    return figure


def _percentiles(axis: Axes, probes: pd.DataFrame, colour: str) -> None:
    last = measures.last_layer(probes[probes["statistic"].isin(list(PERCENTILES))])
    for statistic, (name, line) in PERCENTILES.items():
        values = last[last["statistic"] == statistic].sort_values("step")
        axis.plot(values["step"], values["value"], line, color=colour, linewidth=1, label=name)


def draw(runs: Runs, wanted: Wanted) -> Iterator[Drawing]:
    """The figure, where the runs were probed."""
    yield from figure_1(runs)
