"""The spectrum of the Hessian: how its eigenvalues are distributed, and the largest of them."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnexp.analysis import style
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures import Wanted, choices, panels, probed, ranges, words
from bnexp.analysis.loading import Runs

PLACE = 75  # among the figures of a sweep

NODE, WEIGHT, EIGENVALUE = "node_", "weight_", "eigenvalue_"
SMOOTHING = 0.15  # of the density: a Gaussian's standard deviation on the axis arcsinh(λ / c)
POINTS = 500  # of a density, along the axis
REACH = 4 * SMOOTHING  # beyond the outermost nodes
BELOW = 10.0  # times under the hump of the largest eigenvalue the panel ends
LEADING = 11  # eigenvalues that are marked
MOST = 4  # conditions

Key: TypeAlias = tuple[str, str]  # condition and arm


def spectrum(runs: Runs, how: str) -> Iterator[Drawing]:
    """Density of the Hessian's eigenvalues at the last record and an early one, the largest marked.

    None without the probe. After Ghorbani et al. 2019 (arXiv 1901.10159), section 2.

    Args:
        runs: those that are drawn.
        how: which they are, for captions.
    """
    rows = _rows(runs)
    if rows.empty:
        return
    shown = probed.with_rows(runs, rows)
    steps = sorted(set(map(int, rows["step"])))
    conditions = panels.conditions_of(shown)
    drawn = conditions[:MOST]
    leading = _leading(shown, rows[rows["step"] == steps[-1]])
    linear = _linear(leading)
    caption = (
        f"Distribution of the eigenvalues λ of the Hessian of the training batch's loss{_at(steps)}"
        ": a Lanczos quadrature from one random vector (Ghorbani et al. 2019, section 2), each "
        f"node broadened by a Gaussian of {SMOOTHING:g} on the axis, arcsinh(λ / {linear:g}), "
        f"which is linear up to about ±{linear:g} and logarithmic beyond. The density is that on "
        f"this axis, its mean over {panels.seeds(shown)}. Triangles: the {LEADING} largest "
        f"eigenvalues{_last(steps)}, mean by rank; {how}. Of a single eigenvalue the place is "
        "exact and the height is chance. Waves in the bulk are nodes of the quadrature and no "
        "groups of eigenvalues. At the same step the arms are at different losses."
    )
    caption += _missing(shown, rows, steps[-1])
    caption += words.first_of(len(drawn), len(conditions))
    figure = _draw(shown, rows, drawn, leading, linear)
    yield Drawing("spectrum", "Spectrum of the Hessian", caption, figure, _alt(leading))


def density(nodes: np.ndarray, weights: np.ndarray, places: np.ndarray) -> np.ndarray:
    """A quadrature as a density, each node broadened by a Gaussian of `SMOOTHING`.

    Args:
        nodes, weights: (n,); weights sum to 1.
        places: where, (m,), in the units of the nodes.

    Returns:
        (m,), whose integral over places is 1.
    """
    apart = (places[:, None] - nodes) / SMOOTHING
    return np.exp(-(apart**2) / 2) @ weights / (SMOOTHING * np.sqrt(2 * np.pi))


def _rows(runs: Runs) -> pd.DataFrame:
    """What the probe saw at the first step after 0 and at the last; only where all is finite."""
    table = runs.probes
    rows = table[(table["probe"] == "hessian") & (table["step"] > 0)]
    rows = rows[rows["step"].isin([rows["step"].min(), rows["step"].max()])]
    finite = pd.Series(np.isfinite(rows["value"].to_numpy(float)), index=rows.index)
    return rows[finite.groupby([rows["run"], rows["step"]]).transform("all")]


def _at(steps: list[int]) -> str:
    if len(steps) == 1:
        return f" at step {steps[0]}"
    return f" at step {steps[-1]}, the last record, and at step {steps[0]}, the first (faint)"


def _last(steps: list[int]) -> str:
    return " at the last record" if len(steps) > 1 else ""


def _missing(runs: Runs, rows: pd.DataFrame, step: int) -> str:
    number = len(runs.runs) - rows.loc[rows["step"] == step, "run"].nunique()
    return f" {number} of {len(runs.runs)} runs have no record there." if number else ""


def _leading(runs: Runs, rows: pd.DataFrame) -> dict[Key, np.ndarray]:
    """By condition and arm the largest eigenvalues, descending: means over seeds by rank."""
    found = {}
    names = [f"{EIGENVALUE}{number}" for number in range(1, LEADING + 1)]
    for condition in panels.conditions_of(runs):
        for arm, members in probed.arms_among(runs, condition).items():
            mine = rows[rows["run"].isin(members.index)]
            means = mine.groupby("statistic")["value"].mean().reindex(names).dropna()
            if len(means):
                found[condition, arm] = means.to_numpy(float)
    return found


def _linear(leading: Mapping[Key, np.ndarray]) -> float:
    """Up to where the axis is linear: a power of ten, some hundredth of an arm's largest."""
    return float(10.0 ** np.floor(np.log10(min(abs(one[0]) for one in leading.values())) - 1.5))


def _draw(
    runs: Runs,
    rows: pd.DataFrame,
    conditions: list[str],
    leading: Mapping[Key, np.ndarray],
    linear: float,
) -> Figure:
    arms = panels.arms_of(runs)
    looks = style.looks(arms)
    figure, axes = panels.grid(conditions)
    axes[0].set_xscale("asinh", linear_width=linear)
    axes[0].set_yscale("log")
    nodes = np.arcsinh(rows.loc[rows["statistic"].str.startswith(NODE), "value"] / linear)
    places = np.linspace(nodes.min() - REACH, nodes.max() + REACH, POINTS)
    axes[0].set_xlim(linear * np.sinh(places[0]), linear * np.sinh(places[-1]))
    heights = []
    for axis, condition in zip(axes, conditions, strict=True):
        for number, (arm, members) in enumerate(probed.arms_among(runs, condition).items()):
            curves = _curves(rows[rows["run"].isin(members.index)], places, linear)
            for step, curve in curves.items():
                faint = step < rows["step"].max()
                axis.plot(linear * np.sinh(places), curve, **_line(looks[arm], faint=faint))
                heights.append(curve.max())
            if (condition, arm) in leading:
                largest = leading[condition, arm]
                near = np.abs(places - np.arcsinh(largest[0] / linear)) < SMOOTHING
                heights.append(list(curves.values())[-1][near].max() / BELOW)
                _marks(axis, largest, looks[arm], 0.04 + 0.06 * number)
    ranges.room(axes[0], "y", heights)
    panels.label_axes(axes, "eigenvalue λ of the Hessian", "density on this axis")
    panels.legend(figure, arms)
    return figure


def _curves(rows: pd.DataFrame, places: np.ndarray, linear: float) -> dict[int, np.ndarray]:
    """By step the mean density over runs."""
    found: dict[int, list[np.ndarray]] = {}
    for _, of_run in rows.groupby(["step", "run"]):
        values = of_run.set_index("statistic")["value"].astype(float)
        nodes, weights = (_numbered(values, name) for name in (NODE, WEIGHT))
        found.setdefault(int(of_run["step"].iloc[0]), []).append(
            density(np.arcsinh(nodes / linear), weights, places)
        )
    return {step: np.mean(of_runs, axis=0) for step, of_runs in found.items()}


def _numbered(values: pd.Series, name: str) -> np.ndarray:
    """The statistics name1, name2 and so on, in that order."""
    mine = values[values.index.str.startswith(name)]
    order = np.argsort(mine.index.str.removeprefix(name).astype(int))
    return mine.to_numpy()[order]


def _line(look: style.Look, *, faint: bool) -> dict[str, Any]:
    line: dict[str, Any] = {"color": look.colour, "linestyle": look.line}
    return line | ({"linewidth": 0.9, "alpha": 0.45} if faint else {"linewidth": 1.5})


def _marks(axis: Axes, eigenvalues: np.ndarray, look: style.Look, height: float) -> None:
    """Triangles at the bottom; `height` keeps the arms' apart."""
    place = axis.get_xaxis_transform()
    heights = np.full(len(eigenvalues), height)
    look_of_marks: dict[str, Any] = {"color": look.colour, "markersize": 4, "alpha": 0.8}
    axis.plot(eigenvalues, heights, "^", transform=place, linestyle="", **look_of_marks)


def _alt(leading: Mapping[Key, np.ndarray]) -> str:
    told = {
        key: f"{one[0]:.3g}" + (f", {one[-1]:.3g}" if len(one) == LEADING else "")
        for key, one in leading.items()
    }
    return (
        "Density of the eigenvalues of the Hessian; the largest and the eleventh at the last "
        f"record, mean: {words.by_pair(told)}."
    )


def draw(runs: Runs, wanted: Wanted) -> Iterator[Drawing]:
    """The figure, once a run has ended."""
    if panels.has_ended(runs):
        yield from spectrum(*choices.own(runs))
