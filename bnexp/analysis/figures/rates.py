"""What the learning rate does: sensitivity curves, and heat maps against the initial weights."""

from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnexp.analysis import best_rates, measures, style
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures import Wanted, panels
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import LR, VALIDATION
from bnexp.analysis.naming import ARM, CONDITION, named, telling, varying
from bnexp.analysis.statistics import MIN_SEEDS, t_interval
from bnexp.folders.runs import DIVERGED, FINISHED

PLACE = 30  # among the figures of a sweep

FINAL = "final validation accuracy"
MAX_MAPS = 12  # conditions in one figure of heat maps


def sensitivity(runs: Runs) -> Iterator[Drawing]:
    """Final accuracy against the learning rate, per arm; none unless rates vary."""
    if not best_rates.rate_varies(runs):
        return
    table = measures.ended(best_rates.without_rate(runs))
    conditions = list(table[CONDITION].unique())
    best = best_rates.best_rates(runs)
    drawn = conditions[: panels.MAX_PANELS]
    caption = (
        f"Final validation accuracy at each learning rate: {panels.seeds(runs)} (dots), their mean "
        f"(line) with a 95% Student-t interval. A ring marks {best_rates.how_chosen(best)}."
    )
    if (table["status"] == DIVERGED).any():
        caption += (
            " A red cross: a seed diverged there, or several; in the mean it counts as "
            f"{measures.chance_text(table)}."
        )
    if len(drawn) < len(conditions):
        caption += f" The first {len(drawn)} of {len(conditions)} conditions."
    yield Drawing("sensitivity", "Learning-rate sensitivity", caption, _draw(runs, table, drawn))


def _draw(runs: Runs, table: pd.DataFrame, conditions: list[str]) -> Figure:
    arms = panels.arms_of(runs)
    looks = style.looks(arms)
    figure, axes = panels.grid(conditions)
    table = table[[CONDITION, ARM, LR, VALIDATION, "status"]]  # each part is a copy of all it has
    for axis, condition in zip(axes, conditions, strict=True):
        for i, arm in enumerate(arms):
            chosen = table[(table[CONDITION] == condition) & (table[ARM] == arm)]
            if len(chosen):
                _arm(axis, chosen, looks[arm], height=0.03 + 0.05 * i)
    panels.logarithmic(axes[0], "x", table[LR])
    _rate_ticks(axes[0], table[LR])
    panels.limits(axes[0], table[VALIDATION].dropna(), accuracy=True)
    panels.label_axes(figure, axes, style.LR_LABEL, FINAL)
    panels.legend(figure, arms, *panels.crosses(runs), markers=True)
    return figure


def _rate_ticks(axis: Axes, rates: pd.Series) -> None:
    """A tick at each rate, if there are few."""
    values = sorted(rates.unique())
    if len(values) <= 8:
        axis.set_xticks(values, [panels.rate_name(value) for value in values])
        axis.minorticks_off()


def _arm(axis: Axes, table: pd.DataFrame, look: style.Look, height: float) -> None:
    """One arm's seeds, means and crosses; `height` keeps the arms' crosses apart."""
    finished = table[table["status"] == FINISHED]
    points: dict[str, Any] = {
        "color": look.colour,
        "marker": look.marker,
        "markersize": 2.5,
        "ls": "",
    }
    axis.plot(finished[LR], finished[VALIDATION], alpha=0.6, **points)
    means = []
    for rate, group in measures.split(table, LR).items():
        if (group["status"] == DIVERGED).any():
            _cross(axis, rate, height, look.colour)
        estimate = t_interval(group[VALIDATION])
        shown = estimate.half_width if estimate.n >= MIN_SEEDS else np.nan
        means.append((rate, estimate.mean, shown))
    rates, values, halves = (np.array(column) for column in zip(*means, strict=True))
    axis.errorbar(rates, values, halves, color=look.colour, ls=look.line, linewidth=1.5, capsize=2)
    best = measures.tuned(table)
    top = best.table[VALIDATION].mean()
    ring: dict[str, Any] = {
        "color": look.colour,
        "markerfacecolor": "none",
        "markersize": 9,
        "clip_on": False,
    }
    axis.plot(best.rate, top, "o", **ring)


def _cross(axis: Axes, rate: float, height: float, colour: str) -> None:
    """A red cross on a disc of the arm's colour, low in the panel."""
    place = axis.get_xaxis_transform()
    axis.plot(
        rate, height, "o", color=colour, alpha=0.3, markersize=9, transform=place, clip_on=False
    )
    axis.plot(
        rate,
        height,
        "x",
        color=style.DIVERGED_COLOUR,
        markeredgewidth=1.5,
        transform=place,
        clip_on=False,
    )


def heat_maps(runs: Runs) -> Iterator[Drawing]:
    """Initialization × learning rate, the arms side by side; none unless both vary."""
    inits = [k for k in telling(runs.runs, varying(runs.runs)) if k.startswith("init.")]
    if not inits or not best_rates.rate_varies(runs):
        return
    table = measures.ended(best_rates.without_rate(runs, (LR, *inits)))
    table = table.assign(init=pd.Series(named(table, inits)))
    conditions = list(table[CONDITION].unique())[:MAX_MAPS]
    caption = (
        f"Mean final validation accuracy in percent over {panels.seeds(runs)} for each initial "
        "distribution of the weights and learning rate; a red × where all seeds diverged, a red "
        f"number of them where some did (these count as {measures.chance_text(table)})."
    )
    if table[CONDITION].nunique() > MAX_MAPS:
        caption += f" The first {MAX_MAPS} of {table[CONDITION].nunique()} conditions."
    figure = _draw_maps(table, conditions, inits)
    yield Drawing("init_heatmap", "Initialization × learning rate", caption, figure)


def _init_order(table: pd.DataFrame, inits: list[str]) -> list[str]:
    """By standard deviation where it is given, distributions without one last."""
    first = table.drop_duplicates("init").set_index("init")
    return list(first.sort_values(inits, key=_numbers_first).index)


def _numbers_first(column: pd.Series) -> pd.Series:
    numeric = pd.api.types.is_numeric_dtype(column)
    return column if numeric else column.astype(str)


def _draw_maps(table: pd.DataFrame, conditions: list[str], inits: list[str]) -> Figure:
    arms = list(table[ARM].unique())
    rates, rows = sorted(table[LR].unique()), _init_order(table, inits)
    size = (
        1.4 + len(arms) * max(0.5 * len(rates), 2.2) + 0.6,
        len(conditions) * (0.32 * len(rows) + 0.6) + 0.6,
    )
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(conditions), len(arms), sharex=True, sharey=True, squeeze=False)
    low = float(table[VALIDATION].min())
    norm = matplotlib.colors.Normalize(min(low, 0.9), 1.0)
    for line, condition in zip(axes, conditions, strict=True):
        for axis, arm in zip(line, arms, strict=True):
            chosen = table[(table[CONDITION] == condition) & (table[ARM] == arm)]
            _map(axis, chosen, rows, rates, norm)
            title = [style.label(arm), condition] if condition else [style.label(arm)]
            axis.set_title(panels.wrapped(", ".join(title), 46))
    figure.supxlabel(style.LR_LABEL, fontsize="medium")
    shades = matplotlib.cm.ScalarMappable(norm, style.HEAT)
    figure.colorbar(shades, ax=axes, label=FINAL, aspect=30)
    return figure


def _map(
    axis: Axes,
    table: pd.DataFrame,
    rows: list[str],
    rates: list[float],
    norm: matplotlib.colors.Normalize,
) -> None:
    means = table.pivot_table(VALIDATION, "init", LR, "mean").reindex(rows, columns=rates)
    lost = (table["status"] == DIVERGED).groupby([table["init"], table[LR]])
    share, count = (lost.agg(how).unstack().reindex(rows, columns=rates) for how in ("mean", "sum"))
    shown = means.mask(share == 1)
    axis.imshow(shown, cmap=style.HEAT, norm=norm, aspect="auto")
    for y, init in enumerate(rows):
        for x, rate in enumerate(rates):
            _cell(axis, x, y, means.loc[init, rate], share.loc[init, rate], count.loc[init, rate])
    axis.set_xticks(range(len(rates)), [panels.rate_name(rate) for rate in rates])
    axis.set_yticks(range(len(rows)), rows)
    axis.grid(visible=False)
    axis.tick_params(length=0)


def _cell(axis: Axes, x: int, y: int, mean: float, share: float, count: float) -> None:
    if share == 1:
        axis.text(x, y, "×", color=style.DIVERGED_COLOUR, ha="center", va="center", fontsize=11)
    elif not np.isnan(mean):
        dark = mean < 0.6
        colour = "white" if dark else "black"
        axis.text(x, y, f"{100 * mean:.1f}", color=colour, ha="center", va="center", fontsize=7)
        if share > 0:
            red = "#FF8080" if dark else style.DIVERGED_COLOUR
            at = (x + 0.48, y + 0.48)
            axis.text(*at, f"{count:.0f}×", color=red, ha="right", va="bottom", fontsize=6)


def draw(runs: Runs, wanted: Wanted) -> Iterator[Drawing]:
    """Both figures, once a run has ended."""
    if panels.has_ended(runs):
        yield from sensitivity(runs)
        yield from heat_maps(runs)
