"""What probes saw inside the networks: Fig. 1 of the paper, and layer by layer."""

from collections.abc import Iterator
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bnexp.analysis import best_rates, measures, style
from bnexp.analysis.curves import mean_curves
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures import panels
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import LR, NORM
from bnexp.analysis.naming import ARM, CONDITION

PERCENTILES: dict[str, tuple[str, Literal[":", "-", "--"]]] = {
    "unit_p85": ("85th", ":"),
    "unit_p50": ("50th", "-"),
    "unit_p15": ("15th", "--"),
}
LAYER_FIGURES = (  # probe, statistic, y label
    ("gradients", "gradient_norm", "‖∂L/∂W‖"),
    ("gradients", "weight_norm", "‖W‖"),
    ("gradients", "bias_norm", "‖b‖"),
    ("activations", "saturation", "share of inputs beyond ±4"),
)
MAX_LAYERS = 8
MAX_CONDITIONS = 4  # a figure each


def _rows(runs: Runs, probe: str, *statistics: str) -> pd.DataFrame:
    """The probes' rows of these statistics; empty if there are none."""
    table = runs.probes
    if table.empty:
        return table
    return table[(table["probe"] == probe) & table["statistic"].isin(statistics)]


def figure_1(runs: Runs) -> Iterator[Drawing]:
    """The paper's Fig. 1: accuracy, and the last hidden layer's inputs without and with BN.

    Drawn from one network (the first condition) whose runs probed `activations`.
    """
    if _rows(runs, "activations", *PERCENTILES).empty:
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
    colours = style.colours(arms)
    means = mean_curves(runs, "val_accuracy")
    for arm in arms:
        mean = means[means[ARM] == arm]
        accuracy.plot(mean["step"], mean["mean"], color=colours[arm])
    accuracy.set_ylim(0.7, 1)  # the paper's axis
    accuracy.set_ylabel("validation accuracy")
    accuracy.set_title("(a)")
    for axis, kind, title in (
        (without, "none", "(b) without BN"),
        (with_bn, "batch", "(c) with BN"),
    ):
        run = runs.runs[runs.runs[NORM] == kind].sort_values("seed").index[0]
        colour = colours[runs.runs.loc[run, ARM]]
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


def layers(runs: Runs) -> Iterator[Drawing]:
    """Norms and saturation, a panel per layer; only what the runs probed."""
    for probe, statistic, label in LAYER_FIGURES:
        title = statistic.replace("_", " ").capitalize() + " by layer"
        yield from _over_time(
            runs, _rows(runs, probe, statistic), statistic, title, f"{label} by hidden layer", label
        )


def population_gap(runs: Runs) -> Iterator[Drawing]:
    """How much inference with population statistics loses to batch statistics while training."""
    losses = _rows(runs, "population", "loss_population", "loss_batch")
    if losses.empty:
        return
    wide = losses.pivot(index=["run", "step"], columns="statistic", values="value")
    gap = (wide["loss_population"] - wide["loss_batch"]).rename("value").reset_index()
    label = "validation loss (nats),\npopulation − batch statistics"
    told = "Validation loss with population statistics less that with each batch's own"
    title = "Population against batch statistics"
    yield from _over_time(runs, gap.assign(layer=""), "population_gap", title, told, label)


def _over_time(
    runs: Runs, table: pd.DataFrame, name: str, title: str, told: str, label: str
) -> Iterator[Drawing]:
    """A figure per condition of what was probed, at each arm's best learning rate."""
    if table.empty:
        return
    shown, how = best_rates.tuned_runs(runs)
    conditions = panels.conditions_of(shown)
    for number, condition in enumerate(conditions[:MAX_CONDITIONS], start=1):
        members = shown.runs[shown.runs[CONDITION] == condition]
        mine = table[table["run"].isin(members.index)]
        if mine.empty:
            continue
        caption = f"{told}: mean of {panels.seeds(shown)} (thick) and the seeds (thin)"
        caption += (f"; {condition}" if condition else "") + f"; {how}."
        if len(conditions) > MAX_CONDITIONS:
            caption += f" The first {MAX_CONDITIONS} of {len(conditions)} conditions are drawn."
        stem = f"{name}_{number}" if len(conditions) > 1 else name
        yield Drawing(stem, title, caption, _layers(members, mine, label))


def _layers(members: pd.DataFrame, table: pd.DataFrame, label: str) -> Figure:
    names = sorted(table["layer"].unique(), key=lambda name: int(name or 0))[:MAX_LAYERS]
    arms = list(members[ARM].unique())
    colours = style.colours(arms)
    figure, axes = panels.grid(
        [f"layer {name}" if name else "" for name in names], min(4, len(names))
    )
    for axis, name in zip(axes, names, strict=True):
        mine = table[table["layer"] == name]
        for arm in arms:
            runs = mine[mine["run"].isin(members.index[members[ARM] == arm])]
            for _, one in runs.groupby("run"):
                axis.plot(one["step"], one["value"], color=colours[arm], linewidth=0.6, alpha=0.4)
            mean = runs.groupby("step")["value"].mean()
            axis.plot(mean.index, mean, color=colours[arm], linewidth=1.6)
    if (table["value"] > 0).all():
        panels.logarithmic(axes[0], "y", table["value"])
    panels.label_axes(figure, axes, style.X_LABELS["step"], label)
    panels.legend(figure, arms)
    return figure
