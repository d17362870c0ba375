"""Every kind of figure of many kinds of sweeps: nothing is cut, no labels run together, every arm
of the legend can be seen, no interval lies where there can be no value."""

import itertools
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import cache

import measured
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from mechanism_runs import BATCH_ARMS, along_gradient, deep, hessians, of_batch_sizes
from synthetic import rising, run, runs
from synthetic_trial import trial
from test_figures import all_claims, grid, probed

from bnexp.analysis import figures, parts, style
from bnexp.analysis.drawing import Drawing, Saved
from bnexp.analysis.figures import panels
from bnexp.analysis.figures.intervals import points_scale
from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.folders.runs import DIVERGED

ARMS = ("none", "batch")


def five_arms() -> Runs:
    """Long labels, and one label that alone is wider than a panel."""
    arms = [{"norm.kind": "none", "norm.momentum": 0.0, "norm.epsilon": 0.0}]
    arms += [
        {"norm.kind": "batch", "norm.momentum": momentum, "norm.epsilon": epsilon}
        for momentum, epsilon in itertools.product((0.9, 0.99999), (1e-5, 0.001))
    ]
    return runs(
        [
            run(arm | {"norm.note": "x" * 40 * (arm["norm.kind"] == "batch")}, rising(0.95), seed=s)
            for arm in arms
            for s in range(3)
        ]
    )


def batch_sizes() -> Runs:
    """Of very different steps: each sees as many images."""
    return runs(
        [
            run(
                {
                    "norm.kind": arm,
                    "optimizer.lr": rate,
                    "trainer.batch_size": size,
                    "trainer.steps": 120_000 // size,
                },
                rising(0.9 + 0.02 * (arm == "batch") + 0.01 * seed, 10),
                seed=seed,
                every=12_000 // size,
            )
            for arm, rate, size, seed in itertools.product(
                ARMS, (0.03, 0.3), (2, 4, 8, 16, 60, 256), range(3)
            )
        ]
    )


def colliding_logs() -> Runs:
    """Steps and losses within a decade, and learning rates close to each other."""
    return runs(
        [
            run(
                {"norm.kind": arm, "optimizer.lr": 0.1 * 1.3**k, "trainer.steps": 5000},
                rising(0.99 - 0.004 * k, 10, start=0.6),
                losses=list(np.linspace(0.9, 0.06, 10)),
                seed=seed,
                every=500,
            )
            for arm, k, seed in itertools.product(ARMS, range(9), range(3))
        ]
    )


def diverged() -> Runs:
    """Before the first evaluation, later with a huge loss, every run of an arm, none of another."""
    made = []
    for arm, rate, seed in itertools.product(ARMS, (0.1, 1.0, 10.0), range(3)):
        config = {"norm.kind": arm, "optimizer.lr": rate}
        if arm == "none" and rate > 0.5:
            seen = [0.3, 0.1][: seed if rate < 5 else 0]
            losses = [2.0, 1e9][: len(seen)]
            made.append(run(config, seen, losses=losses, seed=seed, status=DIVERGED))
        else:
            made.append(run(config, rising(0.9 + 0.01 * seed, 6), seed=seed))
    return runs(made)


def perfect() -> Runs:
    """Accuracies of 1 and 0 with intervals beyond, and losses with intervals below 0."""
    made = []
    for arm, rate, seed in itertools.product(ARMS, (0.1, 1.0), range(3)):
        final = 1.0 if seed or arm == "batch" else 0.0
        losses = [0.02 + 0.9 * (seed == 0)] * 3 + [0.02, 0.9 * (seed == 1) + 0.03]
        accuracies = [0.0, 1.0 * (seed == 1), final, 1.0, final]
        config = {"norm.kind": arm, "optimizer.lr": rate}
        made.append(run(config, accuracies, losses=losses, seed=seed))
    return runs(made)


def once() -> Runs:
    """Each run was evaluated a single time, all at the same accuracy."""
    return runs([run({"norm.kind": arm}, [0.95], seed=seed) for arm in ARMS for seed in range(3)])


def twelve() -> Runs:
    """Conditions with long names; in some an arm is missing."""
    cells = itertools.product(
        ARMS, ("sigmoid", "relu", "tanh"), ("gaussian", "glorot_uniform"), (0.0, 0.5), range(3)
    )
    return runs(
        [
            run(
                {
                    "norm.kind": arm,
                    "model.activation": activation,
                    "init.kind": init,
                    "model.dropout": dropout,
                },
                rising((0.15 if arm == "none" and init == "gaussian" else 0.9) + 0.02 * seed, 8),
                seed=seed,
            )
            for arm, activation, init, dropout, seed in cells
            if not (arm == "none" and activation == "tanh" and dropout)
        ]
    )


def fails_first() -> Runs:
    """Probed, in two conditions; in the first the arm without BN stays at chance."""
    made = []
    for arm, stddev, seed in itertools.product(ARMS, (0.005, 0.05), range(3)):
        trains = arm == "batch" or stddev > 0.01
        rows = [
            (step, "activations", layer, name, value * trains * (1 + step / 3000))
            for step in range(0, 3001, 500)
            for layer in "123"
            for name, value in (("unit_p15", -1), ("unit_p50", 0), ("unit_p85", 1))
        ]
        config = {"norm.kind": arm, "init.stddev": stddev}
        accuracies = rising(0.95, start=0.5) if trains else [0.1] * 30
        made.append(run(config, accuracies, seed=seed, probes=rows))
    return runs(made)


def many_layers() -> Runs:
    return grid(
        rates=tuple(2.0**k for k in range(-6, 4)),
        stddevs=(0.005, 5.0),
        hidden=("100", "-".join(["100"] * 8)),
        diverging=(8.0,),
    )


SWEEPS: dict[str, Callable[[], Runs]] = {
    "two arms": grid,
    "five arms": five_arms,
    "batch sizes": batch_sizes,
    "logarithmic": colliding_logs,
    "diverged": diverged,
    "perfect": perfect,
    "evaluated once": once,
    "single condition": lambda: grid(rates=(0.1,)),
    "twelve conditions": twelve,
    "many layers": many_layers,
    "fails first": fails_first,
    "probed": lambda: probed("activations", "gradients", "population"),
    "landscape": along_gradient,
    "spectrum": hessians,
    "start": lambda: deep((3, 10, 30, 50)),
    "arms by batch size": lambda: of_batch_sizes(BATCH_ARMS[:3] + BATCH_ARMS[-1:]),
}
NAMES = [*SWEEPS, "trial", "claims"]


@cache
def sweep(name: str) -> Runs:
    return SWEEPS[name]()


@cache
def drawings(name: str) -> list[Drawing]:
    if name == "claims":
        return all_claims()
    if name == "trial":
        return trials()
    return figures.sweep_figures(sweep(name))


def trials() -> list[Drawing]:
    """A trial of three arms under three conditions, one of which some runs never learn."""
    from bnexp.analysis.figures import effects, layout

    arms = ("norm=none", "norm=batch", "norm=group")
    groups = []
    for condition, low in (("", 0.1), ("activation=sigmoid, depth=8", 0.1), ("relu", 0.9)):
        record, made = trial(
            lambda arm, seed, low=low: (
                rising(low if arm == "norm=none" else 0.9 + 0.001 * (seed % 10), 6)
                if seed % 10
                else None
            ),
            arms=arms,
            condition=condition,
        )
        groups += effects.of_trial(made, record)
    found = list(effects.effects(groups, "each arm with its own choice"))
    for one in found:
        layout.fit(one.figure)
    return found


every_sweep = pytest.mark.parametrize("name", NAMES)


@every_sweep
def test_nothing_is_cut_at_the_edge_of_the_canvas(name: str):
    assert {one.name: measured.outside(one.figure) for one in drawings(name)} == {
        one.name: [] for one in drawings(name)
    }


@every_sweep
def test_no_two_tick_labels_of_an_axis_touch(name: str):
    assert [(one.name, measured.touching(one.figure)) for one in drawings(name)] == [
        (one.name, []) for one in drawings(name)
    ]


@every_sweep
def test_no_two_texts_lie_upon_each_other(name: str):
    for one in drawings(name):
        assert measured.colliding(one.figure) == [], one.name


@every_sweep
def test_every_axis_has_at_least_two_ticks_to_read_it_by(name: str):
    for one in drawings(name):
        for axis in (axis for axis in measured.panels(one.figure) if axis.get_xlabel()):
            names = {label.get_text() for label in measured.tick_labels(axis, "x")}
            assert len(names) >= 2, (one.name, axis.get_title(), names)


@pytest.mark.parametrize("name", SWEEPS)
def test_a_curve_fills_its_panel_from_side_to_side(name: str):
    [curves] = [one for one in drawings(name) if one.name == "val_accuracy"]
    for axis in measured.panels(curves.figure):
        ends = [x for line in axis.lines for x in line.get_xdata() if line.get_ls() == "-"]
        low, high = axis.get_xlim()
        if len(set(ends)) > 1:
            assert (max(ends) - min(*ends, 0)) / (high - min(low, 0)) > 0.45, axis.get_title()


@every_sweep
def test_no_marker_is_cut_in_half_at_the_edge_of_its_panel(name: str):
    for one in drawings(name):
        assert measured.halves(one.figure) == [], one.name


@every_sweep
def test_no_interval_lies_beyond_what_the_metric_can_be(name: str):
    for one in drawings(name):
        for axis in one.figure.axes:
            log = axis.get_yscale() == "log"
            accuracy = "accuracy" in axis.get_ylabel() or "accuracy" in whole_label(one.figure)
            for corners in measured.intervals(axis) if log or accuracy else []:
                assert corners[:, 1].min() >= 0, one.name
                assert not (log and corners[:, 1].min() <= 0), one.name
                assert not accuracy or corners[:, 1].max() <= 1, one.name


def test_a_band_on_a_logarithmic_axis_ends_where_its_lower_end_leaves_the_panel():
    [losses] = [one for one in drawings("perfect") if one.name == "val_loss"]
    assert "none where it leaves the panel" in losses.caption
    for axis in losses.figure.axes:
        bottom = axis.get_ylim()[0]
        assert all(corners[:, 1].min() >= bottom for corners in measured.intervals(axis))


def whole_label(figure: Figure) -> str:
    """The y label of all panels: that of the first, or the figure's own."""
    own = figure.get_supylabel() if getattr(figure, "_supylabel", None) else ""
    return own or figure.axes[0].get_ylabel()


@pytest.mark.parametrize("name", SWEEPS)
def test_every_arm_of_the_legend_can_be_seen_in_its_panels(name: str):
    made = sweep(name)
    arms = list(made.runs[ARM].unique())
    colours = {style.label(arm): style.colours(arms)[arm] for arm in arms}
    for one in drawings(name):
        one.figure.draw_without_rendering()
        shown = [text.get_text() for legend in one.figure.legends for text in legend.get_texts()]
        for label in set(shown) & set(colours):
            for axis in panels_of(one, made, label, arms):
                seen = {to_hex(colour) for colour in measured.visible_colours(axis)}
                assert to_hex(colours[label]) in seen, (one.name, axis.get_title(), label)


def panels_of(drawing: Drawing, made: Runs, label: str, arms: list[str]) -> list[Axes]:
    """Those where an arm has runs; all of a figure whose panels are no conditions."""
    there = [
        condition
        for (condition, arm), _ in made.runs.groupby([CONDITION, ARM])
        if style.label(arm) == label
    ]
    known = set(made.runs[CONDITION])
    found = []
    for axis in measured.panels(drawing.figure):
        title = axis.get_title().replace("\n", ", ")
        if title in known - {""}:
            found += [axis] if title in there else []
        elif axis.get_title() not in ("(b) without BN", "(c) with BN"):
            found.append(axis)
    return found[:1] if drawing.name == "effects" else found  # beside: the others less the first


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_told_to_those_who_cannot_see_it(name: str):
    for one in drawings(name):
        assert len(one.alt) > 40, one.name
        assert any(digit.isdigit() for digit in one.alt), one.name
        assert "nan" not in one.alt
        assert len(one.alt) < 900, one.name


OWN = """
from matplotlib.figure import Figure
from bnexp.analysis.drawing import Drawing

def draw(runs, wanted):
    figure = Figure((2, 1.5), layout="constrained")
    axis = figure.add_subplot()
    axis.plot([400, 5000], [0, 1], label="an arm with a name that is far too long for this")
    axis.set_xscale("log")
    steps = [500 * i for i in range(1, 10)]
    axis.set_xticks(steps, [f"{step} steps" for step in steps])
    figure.legend(loc="outside upper center")
    yield Drawing("own", "My own", "Mine.", figure)
"""


def test_a_figure_of_ones_own_is_fitted_too(tmp_path, monkeypatch):
    """As docs/extending.md writes one, with a legend wider than the canvas and ticks that touch."""
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "own.py").write_text(OWN)
    monkeypatch.setattr(parts, "own_folders", lambda: [tmp_path])
    [own] = [one for one in figures.sweep_figures(grid(rates=(0.1,))) if one.name == "own"]
    assert measured.outside(own.figure) == []
    assert measured.touching(own.figure) == []
    (tmp_path / "out").mkdir()
    saved = own.save(tmp_path / "out", ["png"])
    assert saved.alt == "My own"
    assert Saved(**json.loads(json.dumps(asdict(saved)))) == saved


def test_what_speaks_against_a_rate_is_told_beside_the_rates_alone():
    made = drawings("many layers")
    assert [one.name for one in made if "At the edge" in one.caption] == ["sensitivity"]


def test_figure_1_is_drawn_where_both_arms_train_and_says_where():
    [figure_1] = [one for one in drawings("fails first") if one.name == "figure_1"]
    assert "stddev=0.05, of 2 conditions the one where both are best" in figure_1.caption
    without = figure_1.figure.axes[1]
    assert max(abs(line.get_ydata()).max() for line in without.lines) > 1


def test_a_row_of_panels_varies_the_last_settings_alone():
    inits = ["init=gaussian, stddev=0.05", "init=gaussian, stddev=5", "init=he"]
    cells = [f"activation={name}, {init}" for name in ("relu", "sigmoid") for init in inits]
    assert panels.columns_for(cells) == 3
    assert panels.columns_for([f"lr={rate}" for rate in range(5)]) == 5
    assert panels.columns_for([f"lr={rate}" for rate in range(8)]) == 4


def test_the_first_figure_is_what_came_out_arm_by_arm_and_seed_by_seed():
    [shown] = drawings("trial")
    accuracy, difference = shown.figure.axes
    assert accuracy.get_xlabel() == "test accuracy (%)"
    assert difference.get_xlabel() == "difference from no normalization (points)"
    assert len([line for line in accuracy.lines if len(line.get_xdata()) == 10]) == 3 * 3
    assert len([line for line in difference.lines if len(line.get_xdata()) == 10]) == 3 * 2
    assert [text.get_text()[:2] for text in difference.texts[:2]] == ["+7", "+7"]
    assert drawings("twelve conditions")[0].name == "effects"


def test_points_are_logarithmic_only_where_most_would_be_crowded():
    for values, scale in (([0.3, -0.2, 0.5, 25.0], "symlog"), ([12.7, 21.0, 29.3], "linear")):
        axis = Figure().subplots()
        points_scale(axis, np.array([*values, np.nan]))
        assert axis.get_xscale() == scale
