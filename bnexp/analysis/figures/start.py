"""Deep networks at the start: how gradients grow toward the input, and how many directions stay."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bnexp.analysis import style
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures import Wanted, choices, panels, probed, ranges, words
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import BATCH, NORM
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.statistics import MIN_SEEDS

PLACE = 65  # among the figures of a sweep

GRADIENT, RANK = "gradient_norm", "soft_rank"
QUANTITIES = {
    GRADIENT: "norm of the gradient, ‖∂L/∂H‖",
    RANK: "soft rank of H",
}
HIDDEN, ACTIVATION = "model.hidden", "model.activation"
GROWTH = float(np.sqrt(np.pi / (np.pi - 1)))  # a layer: 1.21 (Yang et al. 2019)
GUIDE: dict[str, Any] = {"color": "#777777", "linestyle": "--", "linewidth": 1.0}
FEW = 8  # layers, of which each has a tick
MOST = 4  # conditions

Courses: TypeAlias = dict[Any, pd.DataFrame]  # by condition, arm and depth


def start(runs: Runs, how: str) -> Iterator[Drawing]:
    """Gradient norm and soft rank by layer before the first step; none without the probe.

    Args:
        runs: those that are drawn, in conditions that do not tell depths apart.
        how: which they are, for captions.
    """
    rows = panels.rows_of(runs, "rank", *QUANTITIES)
    rows = rows[rows["step"] == 0] if len(rows) else rows
    if rows.empty or rows["layer"].nunique() < 2:
        return
    rows = rows.assign(layer=rows["layer"].astype(int))
    table = runs.runs[runs.runs.index.isin(rows["run"].unique())]
    table = table.assign(layers=rows.groupby("run")["layer"].max())
    conditions = list(table[CONDITION].unique())
    drawn = conditions[:MOST]
    depths = sorted(table["layers"].unique())
    caption = (
        "Before the first step, by hidden layer from the input on, with H what enters its "
        "nonlinearity: the norm of the loss's gradient by H (left), and the soft rank of H, "
        "(tr C)² / ‖C‖²_F with C = HᵀH / n, from 1, where the images lie along one direction, to "
        f"the number of units (right). {_depths(depths)} Means of {_seeds(table)}, from "
        f"{MIN_SEEDS} seeds on with a 95% Student-t interval (shaded); {how}."
    )
    if _guided(table, drawn):
        caption += (
            f" Dashed: a gradient that grows by √(π / (π − 1)) = {GROWTH:.2f} a layer toward the "
            "input, as Yang et al. 2019 derived for wide ReLU networks with Batch Normalization; "
            "from the last layer on."
        )
    caption += " How training goes on from there it does not tell."
    caption += words.first_of(len(drawn), len(conditions))
    figure = _draw(table, rows, drawn)
    yield Drawing("start", "Gradients and rank at the start", caption, figure, _alt(table, rows))


def _depths(depths: list[int]) -> str:
    if len(depths) == 1:
        return f"Networks of {depths[0]} hidden layers."
    others = ", ".join(map(str, depths[:-1]))
    return f"Thick: the deepest networks, of {depths[-1]} hidden layers; thin: of {others}."


def _seeds(table: pd.DataFrame) -> str:
    counts = table.groupby([CONDITION, ARM, "layers"])["seed"].nunique()
    low, high = int(counts.min()), int(counts.max())
    return f"{low if low == high else f'{low} to {high}'} {'seed' if high == 1 else 'seeds'}"


def _guided(table: pd.DataFrame, conditions: list[str]) -> bool:
    return any(_guides(table[table[CONDITION] == one]) for one in conditions)


def _guides(members: pd.DataFrame) -> bool:
    """Whether the rate of growth is that of these networks: ReLUs, and BN among the arms."""
    relu = ACTIVATION in members and (members[ACTIVATION] == "relu").all()
    return bool(relu and (members[NORM] == BATCH).any())


def _draw(table: pd.DataFrame, rows: pd.DataFrame, conditions: list[str]) -> Figure:
    arms = list(table[ARM].unique())
    looks = style.looks(arms)
    figure, axes = probed.matrix(conditions, len(QUANTITIES))
    members = table[table[CONDITION].isin(conditions)]
    courses = {name: _courses(members, rows[rows["statistic"] == name]) for name in QUANTITIES}
    for axis, name in zip(axes[0], QUANTITIES, strict=True):
        probed.limits(axis, list(courses[name].values()))
    ranges.room(axes[0][0], "x", rows["layer"])
    if (layers := rows["layer"].max()) <= FEW:
        axes[0][0].set_xticks(range(1, layers + 1))
    for row, condition in zip(axes, conditions, strict=True):
        mine = members[members[CONDITION] == condition]
        for axis, name in zip(row, QUANTITIES, strict=True):
            _lines(axis, mine, courses[name], looks)
        if _guides(mine):
            _guide(row[0], mine, courses[GRADIENT])
    probed.label_columns(axes, "hidden layer", list(QUANTITIES.values()))
    guide = [Line2D([], [], label=f"× {GROWTH:.2f} a layer (Yang et al. 2019)", **GUIDE)]
    panels.legend(figure, arms, *(guide if _guided(table, conditions) else []))
    return figure


def _courses(members: pd.DataFrame, rows: pd.DataFrame) -> Courses:
    groups = members.groupby([CONDITION, ARM, "layers"], sort=False)
    return {key: probed.course(rows, of_arm, "layer") for key, of_arm in groups}


def _lines(
    axis: Axes, members: pd.DataFrame, courses: Courses, looks: dict[str, style.Look]
) -> None:
    """A line an arm and depth; of the deepest networks a thick one with its interval."""
    deepest = members["layers"].max()
    for condition, arm, layers in members[[CONDITION, ARM, "layers"]].drop_duplicates().to_numpy():
        found, look = courses[condition, arm, layers], looks[arm]
        if layers == deepest:
            probed.mean_line(axis, found, look)
        else:
            thin: dict[str, Any] = {"color": look.colour, "linestyle": look.line, "alpha": 0.6}
            axis.plot(found.index, found["mean"], linewidth=0.8, **thin)


def _guide(axis: Axes, members: pd.DataFrame, courses: Courses) -> None:
    """From where the gradient of the deepest network with BN is at its last layer."""
    deepest = members[members["layers"] == members["layers"].max()]
    with_bn = deepest.loc[deepest[NORM] == BATCH, [CONDITION, ARM, "layers"]]
    if len(with_bn):
        found = courses[tuple(with_bn.iloc[0])]["mean"]
        layers = found.index.to_numpy()
        axis.plot(layers, found.iloc[-1] * GROWTH ** (layers[-1] - layers), zorder=3, **GUIDE)


def _alt(table: pd.DataFrame, rows: pd.DataFrame) -> str:
    deepest = table[table["layers"] == table["layers"].max()]
    told = []
    for name, what in ((GRADIENT, "gradient norm"), (RANK, "soft rank")):
        courses = _courses(deepest, rows[rows["statistic"] == name])
        means = {key[:2]: found["mean"] for key, found in courses.items()}
        ends = {key: f"{one.iloc[0]:.3g} to {one.iloc[-1]:.3g}" for key, one in means.items()}
        told.append(f"{what}: {words.by_pair(ends)}")
    return (
        f"Before the first step, from the first to the last of {table['layers'].max()} hidden "
        f"layers, means of the {'; '.join(told)}."
    )


def draw(runs: Runs, wanted: Wanted) -> Iterator[Drawing]:
    """The figure, once a run has ended."""
    if panels.has_ended(runs):
        yield from start(*choices.across(runs, HIDDEN))
