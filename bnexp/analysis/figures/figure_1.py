"""Fig. 1 of the paper: accuracy, and percentiles of a typical sigmoid's input, while training."""

from collections.abc import Iterator
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bnexp.analysis import best_rates, measures, style
from bnexp.analysis.curves import evaluated_early, mean_curves
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures import Wanted, panels, ranges, words
from bnexp.analysis.figures.layout import Sheet
from bnexp.analysis.judged import HOW, ended_trial, judged, own_choices
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import LR, NORM
from bnexp.analysis.naming import ARM, CONDITION

PLACE = 10  # among the figures of a sweep

PERCENTILES: dict[str, tuple[str, Literal[":", "-", "--"]]] = {
    "unit_p85": ("85th", ":"),
    "unit_p50": ("50th", "-"),
    "unit_p15": ("15th", "--"),
}
AS_PUBLISHED = "as published"
LOWEST = 0.7  # validation accuracy, of the paper's axis
KINDS = {"none": "(b) without BN", "batch": "(c) with BN"}


def figure_1(runs: Runs) -> Iterator[Drawing]:
    """The paper's Fig. 1: accuracy, and the last hidden layer's inputs without and with BN.

    Drawn from the condition in which both are best, of runs that probed `activations`; of a trial
    as the network was published, if it judges that.
    """
    tuned, how = _shown(runs)
    probed = panels.rows_of(tuned, "activations", *PERCENTILES)
    if probed.empty or (probed := measures.last_layer(probed)).empty:
        return
    condition = _condition(tuned, set(probed["run"]))
    if condition is None:
        return
    shown = tuned.select(tuned.runs[CONDITION] == condition, (LR,))
    means = mean_curves(shown, "val_accuracy")
    others = tuned.runs[CONDITION].nunique() - 1
    told = (
        f": {condition}, of {others + 1} conditions the one where both are best" if others else ""
    )
    last = means.groupby(ARM, sort=False)["mean"].last()
    caption = (
        f"After Fig. 1 of Ioffe & Szegedy (2015){told}. (a) Validation accuracy, mean of "
        f"{panels.seeds(shown)}; (b, c) the {{15, 50, 85}}th percentiles, over a fixed batch, of "
        "the inputs to one typical unit of the last hidden layer while training, of the first "
        f"seed; {how}."
    )
    ends = words.by_arm({str(arm): f"{value:.1%}" for arm, value in last.items()})
    alt = (
        f"(a) Validation accuracy against steps, in the end {ends}. (b, c) Percentiles of one "
        f"unit's input, 15th to 85th in the end: {_spreads(shown)}."
    )
    title = "Fig. 1 of the paper, re-drawn"
    yield Drawing("figure_1", title, caption, _figure_1(shown, means), alt)


def _shown(runs: Runs) -> tuple[Runs, str]:
    record = ended_trial(runs)
    if record is None:
        return best_rates.tuned_runs(runs)
    own = own_choices(record)
    return judged(runs, [one for one in own if AS_PUBLISHED in one.name] or own), HOW


def _condition(runs: Runs, probed: set[str]) -> str | None:
    """Where the worse of the two arms is best; None: nowhere are both.

    An arm that does not train would show a line at chance, and inputs that never move.
    """
    table = runs.runs[runs.runs.index.isin(probed) & runs.runs[NORM].isin(KINDS)]
    worth = measures.worth(table)[measures.VALIDATION].fillna(0)
    means = worth.groupby([table[CONDITION], table[NORM]], sort=False).mean().unstack()
    if set(means) < set(KINDS) or means.dropna().empty:
        return None
    return str(means.dropna().min(axis=1).idxmax())


def _first(runs: Runs, kind: str) -> str:
    """The run of the first seed that was probed."""
    mine = runs.runs[(runs.runs[NORM] == kind) & runs.runs.index.isin(runs.probes["run"].unique())]
    return str(mine.sort_values("seed").index[0])


def _percentiles(runs: Runs, kind: str) -> pd.DataFrame:
    """A column for each, by step."""
    probes = runs.probes[runs.probes["run"] == _first(runs, kind)]
    last = measures.last_layer(probes[probes["statistic"].isin(list(PERCENTILES))])
    return last.pivot(index="step", columns="statistic", values="value").sort_index()


def _spreads(runs: Runs) -> str:
    ends = {kind: _percentiles(runs, kind).iloc[-1] for kind in KINDS}
    told = {kind: f"{one['unit_p15']:.2g} to {one['unit_p85']:.2g}" for kind, one in ends.items()}
    return words.by_arm(told)


def _figure_1(runs: Runs, means: pd.DataFrame) -> Figure:
    figure = Sheet([2.4] * 3, [2.1])
    accuracy = figure.add_subplot(figure.cells[0, 0])
    arms = panels.arms_of(runs)
    looks = style.looks(arms)
    for arm in arms:
        mean, look = means[means[ARM] == arm], looks[arm]
        accuracy.plot(mean["step"], mean["mean"], color=look.colour, linestyle=look.line)
    if evaluated_early(runs, means["step"]):
        accuracy.set_xscale("log")
    ranges.room(accuracy, "x", means["step"])
    ranges.room(accuracy, "y", [_lowest(means), 1.0], margin=0.02)
    accuracy.set_ylabel("validation accuracy")
    accuracy.set_title("(a)")
    without = figure.add_subplot(figure.cells[0, 1])
    with_bn = figure.add_subplot(figure.cells[0, 2], sharey=without)
    for axis, (kind, title) in zip((without, with_bn), KINDS.items(), strict=True):
        colour = looks[str(runs.runs.loc[_first(runs, kind), ARM])].colour
        _lines(axis, _percentiles(runs, kind), colour)
        axis.set_title(title)
    with_bn.tick_params(labelleft=False)
    without.set_ylabel("input to the nonlinearity")
    for axis in (accuracy, without, with_bn):
        axis.set_xlabel(style.X_LABELS["step"])
    handles = [
        Line2D([], [], color="#555555", linestyle=line, label=f"{name} percentile")
        for name, line in PERCENTILES.values()
    ]
    panels.legend(figure, arms, *handles)
    return figure


def _lowest(means: pd.DataFrame) -> float:
    """Where the accuracy's axis begins: as in the paper, unless an arm stays below that."""
    best = float(means.groupby(ARM)["mean"].max().min())
    return LOWEST if best > LOWEST else min(float(means["mean"].min()), LOWEST)


def _lines(axis: Axes, table: pd.DataFrame, colour: str) -> None:
    for statistic, (name, line) in PERCENTILES.items():
        axis.plot(table.index, table[statistic], line, color=colour, linewidth=1, label=name)


def draw(runs: Runs, wanted: Wanted) -> Iterator[Drawing]:
    """The figure, where the runs were probed."""
    yield from figure_1(runs)
