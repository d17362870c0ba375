"""What the learning rate does: sensitivity curves, and heat maps against the initial weights."""

from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnexp.analysis import best_rates, measures, style
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures import Wanted, intervals, panels, ranges, words
from bnexp.analysis.figures.layout import Sheet
from bnexp.analysis.judged import tuning_runs
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import LR, VALIDATION
from bnexp.analysis.naming import ARM, CONDITION, named, telling, varying
from bnexp.analysis.statistics import t_interval
from bnexp.analysis.targets import percent, targets
from bnexp.folders.runs import DIVERGED, FINISHED

PLACE = 30  # among the figures of a sweep

FINAL = "final validation accuracy"
RING = 4.5  # points, its radius
MANY_RATES = 8  # up to so many each has a tick
DARK = 0.55  # of the colour scale, up to which numbers are white
MANY_PANELS = 12  # of rates; heat maps show more of them better
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
        f"{best_rates.doubts(best)}"
    )
    if (table["status"] == DIVERGED).any():
        caption += (
            " A red cross: a seed diverged there, or several; in the mean it counts as "
            f"{measures.chance_text(table)}."
        )
    groups = table.groupby([CONDITION, ARM, LR])[VALIDATION]
    caption += intervals.cut(t_interval(values) for _, values in groups)
    caption += words.first_of(len(drawn), len(conditions))
    caption += words.absent(table, drawn, panels.arms_of(runs))
    figure = _draw(runs, table, drawn)
    yield Drawing("sensitivity", "Learning-rate sensitivity", caption, figure, _alt(table, best))


def _alt(table: pd.DataFrame, best: pd.DataFrame) -> str:
    means = table.groupby([CONDITION, ARM, LR], sort=False)[VALIDATION].mean()
    tops = {
        (row[CONDITION], row[ARM]): means[row[CONDITION], row[ARM], row["rate"]]
        for _, row in best.iterrows()
    }
    rates = table[LR]
    index = pd.MultiIndex.from_tuples(list(tops), names=[CONDITION, ARM])
    told = words.by_condition(pd.Series(list(tops.values()), index=index), "{:.1%}")
    return (
        f"Final validation accuracy against learning rates from {rates.min():g} to "
        f"{rates.max():g}. At each arm's best: {told}."
    )


def _draw(runs: Runs, table: pd.DataFrame, conditions: list[str]) -> Figure:
    arms = panels.arms_of(runs)
    looks = style.looks(arms)
    figure, axes = panels.grid(conditions)
    table = table[[CONDITION, ARM, LR, VALIDATION, "status"]]  # each part is a copy of all it has
    axes[0].set_xscale("log")
    ranges.room(axes[0], "x", table[LR], points=RING)
    ranges.room(axes[0], "y", table[VALIDATION], points=RING)
    rates = sorted(table[LR].unique())
    if len(rates) <= MANY_RATES:
        axes[0].set_xticks(rates, list(map(panels.rate_name, rates)))
        axes[0].minorticks_off()
    for axis, condition in zip(axes, conditions, strict=True):
        for i, arm in enumerate(arms):
            chosen = table[(table[CONDITION] == condition) & (table[ARM] == arm)]
            if len(chosen):
                _arm(axis, chosen, looks[arm], height=0.03 + 0.05 * i)
    panels.label_axes(axes, style.LR_LABEL, FINAL)
    panels.legend(figure, arms, *panels.crosses(runs), markers=True)
    return figure


def _arm(axis: Axes, table: pd.DataFrame, look: style.Look, height: float) -> None:
    """One arm's seeds, means and crosses; `height` keeps the arms' crosses apart."""
    finished = table[table["status"] == FINISHED]
    intervals.dots(axis, finished[LR], finished[VALIDATION], look)
    lost = sorted(table.loc[table["status"] == DIVERGED, LR].unique())
    if lost:
        heights = np.full(len(lost), height)
        panels.cross(axis, lost, heights, look.colour, axis.get_xaxis_transform())
    found = intervals.estimates(table, LR, VALIDATION)
    intervals.bars(axis, found, look, style.bounds(VALIDATION))
    best = measures.tuned(table)
    top = best.table[VALIDATION].mean()
    ring: dict[str, Any] = {"color": look.colour, "markerfacecolor": "none", "clip_on": False}
    axis.plot(best.rate, top, "o", markersize=2 * RING, **ring)


def heat_maps(runs: Runs, goals: Sequence[float]) -> Iterator[Drawing]:
    """Initialization × learning rate, the arms side by side; none unless both vary."""
    inits = [k for k in telling(runs.runs, varying(runs.runs)) if k.startswith("init.")]
    if not inits or not best_rates.rate_varies(runs):
        return
    table = measures.ended(best_rates.without_rate(runs, (LR, *inits)))
    table = table.assign(init=pd.Series(named(table, inits)))
    everything = list(table[CONDITION].unique())
    conditions = everything[:MAX_MAPS]
    caption = (
        f"Mean final validation accuracy in percent over {panels.seeds(runs)} for each initial "
        "distribution of the weights and learning rate; a red × where all seeds diverged, a red "
        f"number of them where some did (these count as {measures.chance_text(table)})."
    )
    caption += words.first_of(len(conditions), len(everything))
    figure = _draw_maps(table, conditions, inits)
    title = "Initialization × learning rate"
    yield Drawing("init_heatmap", title, caption, figure, _alt_of_maps(table, goals))


def _alt_of_maps(table: pd.DataFrame, goals: Sequence[float]) -> str:
    means = table.groupby([CONDITION, ARM, "init", LR], sort=False)[VALIDATION].mean()
    by_arm = {str(arm): of_arm for arm, of_arm in means.groupby(level=ARM, sort=False)}
    told = {arm: f"{one.min():.1%} to {one.max():.1%}" for arm, one in by_arm.items()}
    text = (
        "Heat maps of mean final validation accuracy by initial weights and learning rate: "
        f"{words.by_arm(told)}."
    )
    if goals:
        above = {arm: f"{(one >= goals[0]).mean():.0%}" for arm, one in by_arm.items()}
        text += f" Share of cells from {percent(goals[0])} on: {words.by_arm(above)}."
    return text


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
    width, height = max(0.42 * len(rates), 2.2), 0.28 * len(rows) + 0.1
    figure = Sheet([width] * len(arms) + [0.15], [height] * len(conditions))
    low = float(table[VALIDATION].min())
    norm = matplotlib.colors.Normalize(min(low, 0.9), 1.0)
    for row, condition in enumerate(conditions):
        for column, arm in enumerate(arms):
            chosen = table[(table[CONDITION] == condition) & (table[ARM] == arm)]
            axis = figure.add_subplot(figure.cells[row, column])
            _map(axis, chosen, rows, rates, norm)
            title = [style.label(arm), condition] if condition else [style.label(arm)]
            axis.set_title(panels.wrapped(", ".join(title), int(width / panels.CHARACTER)))
            last = row == len(conditions) - 1
            axis.tick_params(labelleft=column == 0, labelbottom=last)
            axis.set_xlabel(style.LR_LABEL if last else "")
    shades = matplotlib.cm.ScalarMappable(norm, style.HEAT)
    beside = figure.add_subplot(figure.cells[:, -1])
    figure.colorbar(shades, cax=beside, label=FINAL)
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
            mean, lost, number = (one.loc[init, rate] for one in (means, share, count))
            _cell(axis, (x, y), mean, lost, number, dark=norm(mean) < DARK)
    axis.set_xticks(range(len(rates)), [panels.rate_name(rate) for rate in rates])
    axis.set_yticks(range(len(rows)), rows)
    axis.grid(visible=False)
    axis.tick_params(length=0)


def _cell(
    axis: Axes, at: tuple[int, int], mean: float, share: float, count: float, *, dark: bool
) -> None:
    within: dict[str, Any] = {"clip_on": True, "ha": "center", "va": "center"}
    if share == 1:
        axis.text(*at, "×", color=style.DIVERGED_COLOUR, fontsize=11, **within)
    elif not np.isnan(mean):
        colour = "white" if dark else "black"
        axis.text(*at, f"{100 * mean:.1f}", color=colour, fontsize=7, **within)
        if share > 0:
            red = "#FF8080" if dark else style.DIVERGED_COLOUR
            within |= {"ha": "right", "va": "bottom"}
            axis.text(at[0] + 0.48, at[1] + 0.48, f"{count:.0f}×", color=red, fontsize=6, **within)


def draw(runs: Runs, wanted: Wanted) -> Iterator[Drawing]:
    """Both figures, once a run has ended."""
    if panels.has_ended(runs):
        tried = tuning_runs(runs)
        maps = list(heat_maps(tried, targets(runs)))
        if not maps or len(panels.conditions_of(best_rates.without_rate(tried))) <= MANY_PANELS:
            yield from sensitivity(tried)
        yield from maps
