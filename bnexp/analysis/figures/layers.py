"""What probes saw layer by layer: norms, saturation; and population against batch statistics."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bnexp.analysis import best_rates, style
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures import Wanted, panels, probed, ranges, words
from bnexp.analysis.judged import HOW, comparisons, ended_trial, judged
from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.folders.runs import DIVERGED

PLACE = 60  # among the figures of a sweep

LAYER_FIGURES = (  # probe, statistic, y label
    ("gradients", "gradient_norm", "‖∂L/∂W‖"),
    ("gradients", "weight_norm", "‖W‖"),
    ("gradients", "bias_norm", "‖b‖"),
    ("activations", "saturation", "share of inputs beyond ±4"),
)
MAX_LAYERS = 8
MAX_CONDITIONS = 4  # a figure each


def layers(runs: Runs, how: str) -> Iterator[Drawing]:
    """Norms and saturation, a panel per layer; only what the runs probed.

    Args:
        runs: those that are drawn.
        how: which they are, for captions.
    """
    for probe, statistic, label in LAYER_FIGURES:
        title = statistic.replace("_", " ").capitalize() + " by layer"
        yield from _over_time(
            runs,
            how,
            panels.rows_of(runs, probe, statistic),
            statistic,
            title,
            f"{label[0].upper()}{label[1:]} by hidden layer",
            label,
        )


def population_gap(runs: Runs, how: str) -> Iterator[Drawing]:
    """How much inference with population statistics loses to batch statistics while training."""
    losses = panels.rows_of(runs, "population", "loss_population", "loss_batch")
    if losses.empty:
        return
    wide = losses.pivot(index=["run", "step"], columns="statistic", values="value")
    gap = (wide["loss_population"] - wide["loss_batch"]).rename("value").reset_index()
    label = "validation loss (nats),\npopulation − batch statistics"
    told = "Validation loss with population statistics less that with each batch's own"
    title = "Population against batch statistics"
    yield from _over_time(runs, how, gap.assign(layer=""), "population_gap", title, told, label)


def _over_time(
    runs: Runs, how: str, table: pd.DataFrame, name: str, title: str, told: str, label: str
) -> Iterator[Drawing]:
    """A figure per condition of what was probed."""
    looks = style.looks(panels.arms_of(runs))
    seen = runs.runs[runs.runs.index.isin(table["run"].unique() if len(table) else [])]
    conditions = list(seen[CONDITION].unique())
    for number, condition in enumerate(conditions[:MAX_CONDITIONS], start=1):
        members = runs.runs[runs.runs[CONDITION] == condition]
        mine = table[table["run"].isin(members.index)]
        seeds = panels.seeds(replace(runs, runs=members))
        caption = f"{told}: mean of {seeds} (thick) and the seeds (thin)"
        if (members["status"] == DIVERGED).any():
            caption += "; a mean ends with its first seed"
        caption += (f"; {condition}" if condition else "") + f"; {how}."
        caption += words.first_of(min(len(conditions), MAX_CONDITIONS), len(conditions))
        stem = f"{name}_{number}" if len(conditions) > 1 else name
        figure = _layers(members, mine, label, looks)
        yield Drawing(stem, title, caption, figure, _alt(members, mine, told, condition))


def _alt(members: pd.DataFrame, table: pd.DataFrame, told: str, condition: str) -> str:
    names = sorted(table["layer"].unique(), key=_number)
    parts = []
    for name in dict.fromkeys([names[0], names[-1]]):
        means = {
            arm: probed.course(table[table["layer"] == name], of_arm)["mean"]
            for arm, of_arm in members.groupby(ARM, sort=False)
        }
        ends = {str(arm): f"{mean.iloc[-1]:.3g}" for arm, mean in means.items() if len(mean)}
        if ends:
            parts.append((f"layer {name}: " if name else "") + words.by_arm(ends))
    where = f", {condition}" if condition else ""
    return f"{told}{where}, against steps. Last means: {words.listed(parts)}."


def _number(layer: str) -> tuple[float, str]:
    """Layers are numbered; one's own probe may name them."""
    return (float(layer), "") if layer.isdecimal() else (np.inf, layer)


def _layers(
    members: pd.DataFrame, table: pd.DataFrame, label: str, looks: dict[str, style.Look]
) -> Figure:
    names = sorted(table["layer"].unique(), key=_number)[:MAX_LAYERS]
    columns = min(4, len(names))
    figure, axes = panels.grid([f"layer {name}" if name else "" for name in names], columns)
    if (table["value"] > 0).all():
        axes[0].set_yscale("log")
    ranges.room(axes[0], "y", table["value"])
    ranges.room(axes[0], "x", table["step"])
    for axis, name in zip(axes, names, strict=True):
        mine = table[table["layer"] == name]
        for arm, look in looks.items():
            of_arm = members[members[ARM] == arm]
            seeds = mine[mine["run"].isin(of_arm.index)]
            seen = [one[["step", "value"]].to_numpy(float) for _, one in seeds.groupby("run")]
            panels.lines(axis, seen, look.colour)
            mean = probed.course(seeds, of_arm)["mean"]
            axis.plot(mean.index, mean, color=look.colour, linestyle=look.line, linewidth=1.6)
    panels.label_axes(axes, style.X_LABELS["step"], label)
    panels.legend(figure, list(dict.fromkeys(members[ARM])))
    return figure


def draw(runs: Runs, wanted: Wanted) -> Iterator[Drawing]:
    """All of these, once a run has ended."""
    if not panels.has_ended(runs):
        return
    if record := ended_trial(runs):
        shown, how = judged(runs, comparisons(record)), HOW
    else:
        shown, how = best_rates.tuned_runs(runs)
    yield from layers(shown, how)
    yield from population_gap(shown, how)
