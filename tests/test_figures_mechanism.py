"""Figures on why BN works: what is drawn are means of what the runs recorded, or nothing is."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from mechanism_runs import (
    ARMS,
    BATCH_ARMS,
    NORM_DEFAULTS,
    SIZES,
    along_gradient,
    deep,
    hessian_rows,
    hessians,
    landscape_rows,
    of_batch_sizes,
)
from synthetic import NOISE, reported, rising, run, runs, trial_evidence
from test_figures import drawn, grid, titles

from bnexp.analysis import style
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures import spectrum
from bnexp.analysis.judged import HOW
from bnexp.analysis.loading import Runs
from bnexp.analysis.statistics import t_interval
from bnexp.folders.runs import DIVERGED

NAMES = ("landscape", "spectrum", "start", "batch_sizes")


def lines(axis: Axes, arm: str, width: float = 1.5) -> list[np.ndarray]:
    """The thick lines of an arm: (points, 2) each."""
    colour = style.ARM_COLOURS[arm]
    mine = [one for one in axis.lines if one.get_color() == colour and one.get_linestyle() == "-"]
    return [one.get_xydata() for one in mine if one.get_linewidth() >= width]


def mean_of(made: Runs, statistic: str, arm: str, activation: str) -> pd.Series:
    """By step, as a second way to the same numbers."""
    table = made.probes.join(made.runs[["norm.kind", "model.activation"]], on="run")
    mine = (table["norm.kind"] == arm) & (table["model.activation"] == activation)
    return table[mine & (table["statistic"] == statistic)].groupby("step")["value"].mean()


def test_none_of_them_is_drawn_without_what_it_shows():
    assert not set(NAMES) & set(drawn(grid()))


def test_the_landscape_is_the_mean_loss_its_range_and_the_change_of_the_gradient():
    made = along_gradient()
    drawing = drawn(made)["landscape"]
    assert titles(drawing) == ["activation=relu"] * 3 + ["activation=sigmoid"] * 3
    for row, activation in enumerate(("relu", "sigmoid")):
        axes = drawing.figure.axes[3 * row : 3 * row + 3]
        names = ("loss", "gradient_change", "smoothness")
        for (axis, name), arm in itertools.product(zip(axes, names, strict=True), ARMS):
            [line] = lines(axis, arm)
            expected = mean_of(made, name, arm, activation)
            assert line[:, 0].tolist() == expected.index.tolist()
            assert line[:, 1] == pytest.approx(expected.to_numpy())
        for band, arm in zip(axes[0].collections, ARMS, strict=True):
            corners = pd.DataFrame(band.get_paths()[0].vertices).groupby(0)[1].agg(["min", "max"])
            assert corners["min"].to_numpy() == pytest.approx(
                mean_of(made, "loss_low", arm, activation).to_numpy()
            )
            assert corners["max"].to_numpy() == pytest.approx(
                mean_of(made, "loss_high", arm, activation).to_numpy()
            )


def test_gradient_change_has_the_interval_of_its_seeds():
    axis = drawn(along_gradient())["landscape"].figure.axes[1]
    for band, arm in zip(axis.collections, ARMS, strict=True):
        values = [
            value
            for seed in range(5)
            for step, _, _, name, value in landscape_rows(arm, seed)
            if (step, name) == (500, "gradient_change")
        ]
        heights = [y for x, y in band.get_paths()[0].vertices if x == 500]
        expected = t_interval(values)
        assert (min(heights), max(heights)) == pytest.approx((expected.low, expected.high))


def test_a_loss_that_is_lost_along_the_gradient_leaves_the_panel():
    rows = [
        (step, probe, layer, name, np.inf if name == "loss_high" and step == 3000 else value)
        for step, probe, layer, name, value in landscape_rows("none", 0)
    ]
    drawing = drawn(runs([run({}, rising(0.9), probes=rows)]))["landscape"]
    [band] = drawing.figure.axes[0].collections
    assert band.get_paths()[0].vertices[:, 1].max() > max(drawing.figure.axes[0].get_ylim())
    assert "Losses above 30 lie outside." in drawing.caption


def test_a_mean_along_the_gradient_ends_with_its_first_seed():
    made = [
        run(
            {"norm.kind": arm},
            rising(0.9),
            seed=seed,
            probes=landscape_rows(arm, seed, last=1000 if lost else 3000),
            **({"status": DIVERGED} if lost else {}),
        )
        for arm, seed in itertools.product(ARMS, range(3))
        for lost in [arm == "none" and seed == 1]
    ]
    axis = drawn(runs(made))["landscape"].figure.axes[0]
    assert {arm: lines(axis, arm)[0][-1, 0] for arm in ARMS} == {"none": 1000, "batch": 3000}


def test_of_a_trial_the_landscape_is_of_what_it_judges():
    made = []
    for arm, seed in itertools.product(ARMS, (0, 1, 100, 101, 102)):
        wide = 5.0 if seed < 100 else 0.1  # the tuning runs would show elsewhere
        rows = [(0, "landscape", "", name, wide) for name in ("loss", "loss_low", "loss_high")]
        rows += [(0, "landscape", "", name, wide) for name in ("gradient_change", "smoothness")]
        one = run({"norm.kind": arm}, [0.9], seed=seed, probes=rows)
        made.append(reported(one, f"norm={arm}") if seed >= 100 else one)
    drawing = drawn(trial_evidence(made))["landscape"]
    assert HOW in drawing.caption
    for axis in drawing.figure.axes:
        [line] = lines(axis, "batch")
        assert line == pytest.approx(np.array([[0, 0.1]]))


def test_the_density_of_a_quadrature_is_a_density_with_its_nodes_where_they_are():
    places = np.linspace(-5, 25, 4000)
    nodes, weights = np.array([0.0, 3.0, 20.0]), np.array([0.9, 0.09, 0.01])
    found = spectrum.density(nodes, weights, places)
    assert np.trapezoid(found, places) == pytest.approx(1)
    assert found @ places * (places[1] - places[0]) == pytest.approx(weights @ nodes, rel=1e-6)
    around = np.abs(places - 20) < 1
    assert np.trapezoid(found[around], places[around]) == pytest.approx(0.01)


def test_the_spectrum_is_the_mean_density_of_the_seeds_at_two_records():
    drawing = drawn(hessians())["spectrum"]
    assert titles(drawing) == ["activation=relu", "activation=sigmoid"]
    axis = drawing.figure.axes[0]
    scale = axis.get_xaxis().get_transform().linear_width
    made = hessians()
    last = made.probes[made.probes["step"] == 3000].pivot(
        index="run", columns="statistic", values="value"
    )
    numbers = range(1, 27)
    for arm in ARMS:
        of_arm = made.runs.query("`norm.kind` == @arm and `model.activation` == 'relu'").index
        [line] = lines(axis, arm)
        places = np.arcsinh(line[:, 0] / scale)
        nodes = np.arcsinh(last.loc[of_arm, [f"node_{i}" for i in numbers]].to_numpy() / scale)
        weights = last.loc[of_arm, [f"weight_{i}" for i in numbers]].to_numpy()
        densities = [spectrum.density(*one, places) for one in zip(nodes, weights, strict=True)]
        assert line[:, 1] == pytest.approx(np.mean(densities, axis=0))
    faint = [one for one in axis.lines if one.get_linewidth() == 0.9]
    assert len(faint) == 2
    assert "at step 3000, the last record, and at step 500, the first (faint)" in drawing.caption


def test_the_largest_eigenvalues_are_marked_by_their_means():
    axis = drawn(hessians())["spectrum"].figure.axes[0]
    marks = [one for one in axis.lines if one.get_marker() == "^"]
    expected = [
        largest * 2 * np.mean([1 + 0.02 * seed for seed in range(5)]) for largest in (40, 2)
    ]
    assert [one.get_xdata()[0] for one in marks] == pytest.approx(expected)
    assert [len(one.get_xdata()) for one in marks] == [11, 11]
    assert marks[0].get_ydata()[0] != marks[1].get_ydata()[0]


def test_a_spectrum_seen_once_is_drawn_once():
    drawing = drawn(hessians(records=[0, 500]))["spectrum"]
    assert [len(lines(drawing.figure.axes[0], arm, 0.5)) for arm in ARMS] == [1, 1]
    assert "at step 500:" in drawing.caption
    assert "spectrum" not in drawn(hessians(records=[0]))


def test_a_spectrum_that_is_not_finite_is_left_out_and_told():
    made = []
    for seed in range(3):
        nodes = np.full(12, np.nan) if seed == 1 else np.linspace(-1, 10, 12)
        rows = hessian_rows(500, nodes, np.full(12, 1 / 12))
        made.append(run({"norm.kind": "batch"}, [0.9], seed=seed, probes=rows))
    drawing = drawn(runs(made))["spectrum"]
    assert np.isfinite(lines(drawing.figure.axes[0], "batch")[0]).all()
    assert "2 seeds" in drawing.caption


def test_the_start_of_the_deepest_networks_is_thick_and_of_all_others_thin():
    drawing = drawn(deep())["start"]
    for axis, statistic in zip(drawing.figure.axes, ("gradient_norm", "soft_rank"), strict=True):
        for arm in ARMS:
            [deepest] = lines(axis, arm)
            made = deep((30,))
            table = made.probes.join(made.runs["norm.kind"], on="run")
            mine = table[(table["norm.kind"] == arm) & (table["statistic"] == statistic)]
            expected = mine.groupby(mine["layer"].astype(int))["value"].mean()
            assert deepest[:, 0].tolist() == list(range(1, 31))
            assert deepest[:, 1] == pytest.approx(expected.to_numpy())
            assert {len(one) for one in lines(axis, arm, 0.5)} == {3, 10, 30}
    assert "of 30 hidden layers; thin: of 3, 10." in drawing.caption


def test_the_dashed_line_grows_by_the_rate_of_yang_from_where_bn_ends():
    gradient, rank = drawn(deep())["start"].figure.axes
    [guide] = [one.get_ydata() for one in gradient.lines if one.get_linestyle() == "--"]
    assert guide[:-1] / guide[1:] == pytest.approx(np.full(29, 1.2112), abs=1e-4)
    assert guide[-1] == pytest.approx(lines(gradient, "batch")[0][-1, 1])
    assert not [one for one in rank.lines if one.get_linestyle() == "--"]


@pytest.mark.parametrize("made", [deep(activation="tanh"), deep(arms=["none"])])
def test_there_is_no_such_line_where_the_rate_is_not_that_of_the_networks(made: Runs):
    drawing = drawn(made)["start"]
    assert not [one for one in drawing.figure.axes[0].lines if one.get_linestyle() == "--"]
    assert "Yang" not in drawing.caption


def test_a_network_of_one_layer_has_no_growth_to_show():
    assert "start" not in drawn(deep((1,)))


def accuracies(drawing: Drawing) -> dict[str, dict[float, float]]:
    """By arm, as the legend calls it: the means by batch size."""
    [axis], [legend] = drawing.figure.axes, drawing.figure.legends
    found = {}
    for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
        mine = [one for one in axis.lines if one.get_color() == handle.get_color()]
        [mean] = [one.get_xydata() for one in mine if one.get_linestyle() == "-"]
        sizes = [min(SIZES, key=lambda size, x=x: abs(np.log(size / x))) for x in mean[:, 0]]
        found[text.get_text()] = dict(zip(sizes, mean[:, 1], strict=True))
    return found


def test_accuracy_by_batch_size_has_every_arm_at_its_own_best_rate():
    drawing = drawn(of_batch_sizes(BATCH_ARMS[:2]))["batch_sizes"]
    assert accuracies(drawing) == {
        "no normalization": pytest.approx(dict.fromkeys(SIZES, 0.97)),
        "Batch Normalization": pytest.approx({2: 0.9575, 8: 0.974375, 60: 0.97925}),
    }
    assert "each arm at its own best learning rate" in drawing.caption
    assert "All train on about 6,000 images" in drawing.caption
    assert drawing.figure.axes[0].get_xscale() == "log"


def test_arms_of_one_kind_are_told_apart_by_their_settings():
    labels = list(accuracies(drawn(of_batch_sizes())["batch_sizes"]))
    assert len(labels) == len(set(labels)) == len(BATCH_ARMS)
    assert [name for name in labels if "renorm=True" in name]


def test_a_run_that_diverged_counts_as_chance_in_accuracy_by_batch_size():
    found = accuracies(drawn(of_batch_sizes())["batch_sizes"])["Group Normalization"]
    others = 0.98 - 0.01 * 0.5 + 0.001 * np.array(NOISE["batch"][:4])
    assert found[2] == pytest.approx(np.mean([*others, 0.1]))


def test_accuracy_by_batch_size_of_a_trial_is_of_its_fresh_seeds():
    made = []
    for arm, size, seed in itertools.product(BATCH_ARMS[:3], SIZES, (0, 100, 101, 102)):
        name = f"norm={arm['norm.kind']}" + " norm.renorm=true" * ("norm.renorm" in arm)
        final = 0.5 if seed < 100 else 0.9 + 0.01 * np.log2(size) * (name != "norm=none")
        config = {**NORM_DEFAULTS, **arm, "trainer.batch_size": size, "trainer.steps": 600}
        one = run(config, [final], seed=seed)
        condition = f"trainer.batch_size={size}"
        made.append(reported(one, name, condition=condition) if seed >= 100 else one)
    drawing = drawn(trial_evidence(made))["batch_sizes"]
    with_bn = pytest.approx({size: 0.9 + 0.01 * np.log2(size) for size in SIZES})
    assert accuracies(drawing) == {
        "no normalization": pytest.approx(dict.fromkeys(SIZES, 0.9)),
        "Batch Normalization": with_bn,
        "Batch Normalization, renorm=true": with_bn,
    }
    assert titles(drawing) == [""]
    assert HOW in drawing.caption
    assert "All train for 600 steps" in drawing.caption


def test_accuracy_by_depth_of_a_trial_in_two_parts_has_a_panel_for_each():
    made = []
    for part, hidden, arm, seed in itertools.product(
        ("as_published", "tuned"), ("100", "100-100-100"), ARMS, range(100, 103)
    ):
        config = {"norm.kind": arm, "model.hidden": hidden, "init.stddev": 0.05 * len(part)}
        condition = f"model.hidden=[{hidden.replace('-', ',')}]"
        one = run(config, [0.9], seed=seed)
        made.append(reported(one, f"norm={arm}", part=part, condition=condition))
    drawing = drawn(trial_evidence(made))["depth"]
    assert titles(drawing) == ["as published", "tuned"]
    assert [list(axis.get_xticks()) for axis in drawing.figure.axes] == [[1, 3], [1, 3]]
