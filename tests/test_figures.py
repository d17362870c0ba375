"""Figures: what is drawn, when nothing is, what captions say; no text is cut or overlaps."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from synthetic import NOISE, rising, run, runs
from test_claims import activations
from test_claims_mechanism import BY_ID, SCENARIOS, found

from bnexp.analysis import figures, style
from bnexp.analysis.claims.judge import judge
from bnexp.analysis.claims.model import POINTS, Judgement, by_rule_e
from bnexp.analysis.claims.table import claims_table
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures import panels
from bnexp.analysis.loading import Runs
from bnexp.analysis.statistics import t_interval
from bnexp.analysis.targets import percent, targets
from bnexp.folders.runs import DIVERGED, FAILED

ARMS = ("none", "batch")


def drawn(made: Runs, **options) -> dict[str, Drawing]:
    return {drawing.name: drawing for drawing in figures.sweep_figures(made, **options)}


def grid(rates=(0.1, 1.0), stddevs=(0.05,), hidden=("100-100",), seeds=3, diverging=()) -> Runs:
    """Both arms over a grid; the arm without BN diverges at `diverging` rates."""
    cells = itertools.product(ARMS, rates, stddevs, hidden, range(seeds))
    made = []
    for arm, rate, stddev, layers, seed in cells:
        config = {"norm.kind": arm, "optimizer.lr": rate}
        config |= {"init.stddev": stddev, "model.hidden": layers}
        if arm == "none" and rate in diverging:
            made.append(run(config, [0.2, 0.3][:seed], seed=seed, status=DIVERGED))
        else:
            final = 0.9 + 0.05 * (arm == "batch") + 0.01 * NOISE[arm][seed]
            made.append(run(config, rising(final, 6), seed=seed))
    return runs(made)


def probed(*probes: str) -> Runs:
    """Both arms with the rows of the named probes."""
    made = []
    for arm, seed in itertools.product(ARMS, range(3)):
        rows = []
        if "activations" in probes:
            rows += activations(arm, 1, seed)
            for step, layer in itertools.product(range(0, 3001, 500), "123"):
                for statistic, value in (("unit_p15", -1), ("unit_p50", 0), ("unit_p85", 1)):
                    wander = value + (arm == "none") * step / 1000
                    rows.append((step, "activations", layer, statistic, wander))
                rows.append((step, "activations", layer, "saturation", 0.1 + 0.01 * seed))
        if "gradients" in probes:
            for step, layer in itertools.product(range(0, 3001, 500), "123"):
                rows.append((step, "gradients", layer, "gradient_norm", 0.1 * (1 + seed)))
                rows.append((step, "gradients", layer, "weight_norm", 5.0 + seed))
                rows.append((step, "gradients", layer, "bias_norm", step / 1000))
        if "population" in probes:
            for step in range(0, 3001, 500):
                rows.append((step, "population", "", "loss_batch", 0.4))
                rows.append((step, "population", "", "loss_population", 0.5 + 0.1 * seed))
        made.append(run({"norm.kind": arm}, rising(0.95), seed=seed, probes=rows))
    return runs(made)


def titles(drawing: Drawing) -> list[str]:
    return [axis.get_title() for axis in drawing.figure.axes if axis.get_visible()]


def crosses(figure: Figure) -> int:
    lines = [line for axis in figure.axes for line in axis.lines]
    red = [line for line in lines if line.get_color() == style.DIVERGED_COLOUR]
    return sum(len(np.atleast_1d(line.get_xdata())) for line in red if line.get_marker() == "x")


def test_curves_have_a_panel_per_condition_and_a_line_per_seed_and_mean():
    drawing = drawn(grid())["val_accuracy"]
    assert titles(drawing) == ["lr=0.1", "lr=1"]
    for axis in drawing.figure.axes:
        seeds = [one for one in axis.collections if isinstance(one, LineCollection)]
        assert [len(one.get_paths()) for one in seeds] == [3, 3]
        assert len(axis.collections) == 2 + 2  # the intervals
        assert len(axis.lines) == 2  # the means
        assert axis.get_xlabel() == "training step"
    assert drawing.figure.axes[0].get_ylabel() == "validation accuracy"
    assert drawing.caption == (
        "Mean of 3 seeds (thick), 95% Student-t interval (band) and the seeds (thin); learning "
        "rates as titled."
    )


@pytest.mark.parametrize(
    ("x", "label", "last"),
    [
        ("step", "training step", 600),
        ("epoch", "epoch", 600 / 900),
        ("seconds", "training time (s)", 0.6),
    ],
)
def test_curves_against_steps_epochs_or_seconds(x: str, label: str, last: float):
    axis = drawn(grid(), x=x, metrics=["train_loss"])["train_loss"].figure.axes[0]
    assert axis.get_xlabel() == label
    ends = [path.vertices[-1, 0] for path in axis.collections[0].get_paths()]
    ends += [line.get_xdata()[-1] for line in axis.lines]
    assert ends == pytest.approx([last] * len(ends))


def test_diverged_runs_are_red_crosses_also_before_the_first_evaluation():
    drawing = drawn(grid(diverging=(1.0,)))["val_accuracy"]
    assert crosses(drawing.figure) == 3
    assert "A red cross: the run diverged there" in drawing.caption
    [legend] = drawing.figure.legends
    assert "diverged" in [text.get_text() for text in legend.get_texts()]


def test_an_arm_has_its_colour_in_every_figure():
    for drawing in drawn(grid(stddevs=(0.05, 5.0), hidden=("100", "100-100"))).values():
        if drawing.name == "init_heatmap":
            continue
        handles = drawing.figure.legends[0].legend_handles
        colours = [handle.get_color() for handle in handles[:2]]
        assert colours == [style.ARM_COLOURS[arm] for arm in ARMS]


def test_with_too_many_conditions_each_arm_is_drawn_at_its_best_rate():
    made = grid(rates=tuple(2.0**k for k in range(-6, 4)), stddevs=(0.01, 0.05, 0.5, 5.0), seeds=3)
    drawing = drawn(made)["val_accuracy"]
    assert titles(drawing) == [f"stddev={s:g}" for s in (0.01, 0.05, 0.5, 5.0)]
    assert "each arm at its own best learning rate" in drawing.caption


def test_with_still_too_many_the_caption_says_how_many():
    made = grid(stddevs=tuple(0.01 * (i + 1) for i in range(40)), seeds=1)
    drawing = drawn(made)["val_loss"]
    assert len(titles(drawing)) == panels.MAX_PANELS
    assert "The first 36 of 40 conditions." in drawing.caption


def test_sensitivity_rings_the_best_rate_and_crosses_out_what_diverged():
    drawing = drawn(grid(rates=(0.1, 1.0, 10.0), diverging=(10.0,)))["sensitivity"]
    [axis] = drawing.figure.axes
    assert axis.get_xscale() == "log"
    assert crosses(drawing.figure) == 1
    rings = [line for line in axis.lines if line.get_markerfacecolor() == "none"]
    assert [ring.get_xdata()[0] for ring in rings] == [0.1, 0.1]
    assert "At the edge of the rates tried: none: the lowest" in drawing.caption
    assert drawing.caption.startswith("Final validation accuracy at each learning rate: 3 seeds")


def test_heat_maps_show_both_arms_side_by_side():
    made = grid(rates=(0.1, 1.0, 10.0), stddevs=(0.05, 5.0), diverging=(10.0,))
    drawing = drawn(made)["init_heatmap"]
    without, with_bn = drawing.figure.axes[:2]
    assert [axis.get_title() for axis in (without, with_bn)] == [
        "no normalization",
        "Batch Normalization",
    ]
    cells = [text.get_text() for text in without.texts]
    assert cells.count("×") == 2
    assert [label.get_text() for label in without.get_yticklabels()] == [
        "stddev=0.05",
        "stddev=5",
    ]
    shown = 100 * (0.9 + 0.01 * np.mean(NOISE["none"][:3]))
    assert cells[0] == f"{shown:.1f}"


def test_no_heat_map_where_the_initial_weights_follow_from_the_network():
    made = [
        run(
            {"model.kind": model, "init.kind": init, "optimizer.lr": lr, "norm.kind": arm},
            [0.5, 0.9],
        )
        for model, init in (("mlp", "gaussian"), ("cnn", "truncated"))
        for lr in (0.1, 1.0)
        for arm in ("none", "batch")
    ]
    assert "init_heatmap" not in drawn(runs(made))


def test_steps_to_target_mark_what_never_got_there():
    drawing = drawn(grid())["steps_to_target"]
    assert titles(drawing) == [f"{percent(one)} validation accuracy" for one in targets(grid())]
    highest = drawing.figure.axes[-1]
    never = [line for line in highest.lines if line.get_marker() == ">"]
    assert len(never) == 2  # without BN, at both rates
    assert all(line.get_xdata()[0] == 3000 for line in never)


def test_depth_is_drawn_where_it_varies():
    drawing = drawn(grid(hidden=("100", "100-100-100")))["depth"]
    [axis] = drawing.figure.axes
    assert list(axis.get_xticks()) == [1, 3]
    assert "each arm at its own best learning rate" in drawing.caption


def test_figure_1_of_the_paper():
    drawing = drawn(probed("activations"))["figure_1"]
    assert titles(drawing) == ["(a)", "(b) without BN", "(c) with BN"]
    accuracy, without, with_bn = drawing.figure.axes
    assert accuracy.get_ylim() == pytest.approx((0.7, 1), abs=0.01)
    ends = {line.get_label(): line.get_ydata()[-1] for line in without.lines}
    assert ends == {"15th": 2, "50th": 3, "85th": 4}
    assert {line.get_ydata()[-1] for line in with_bn.lines} == {-1, 0, 1}


def test_norms_and_saturation_have_a_panel_per_layer():
    made = drawn(probed("activations", "gradients"))
    labels = {
        "gradient_norm": "‖∂L/∂W‖",
        "weight_norm": "‖W‖",
        "bias_norm": "‖b‖",
        "saturation": "share of inputs beyond ±4",
    }
    for name, label in labels.items():
        assert titles(made[name]) == ["layer 1", "layer 2", "layer 3"]
        assert made[name].figure.axes[0].get_ylabel().replace("\n", " ") == label


def test_the_gap_between_population_and_batch_statistics_is_drawn():
    drawing = drawn(probed("population"))["population_gap"]
    [axis] = drawing.figure.axes
    seeds = [path for one in axis.collections for path in one.get_paths()]
    assert [path.vertices[-1, 1] for path in seeds] == pytest.approx([0.1, 0.2, 0.3] * 2)
    assert [line.get_ydata()[-1] for line in axis.lines] == pytest.approx([0.2, 0.2])  # means
    assert "Validation loss with population statistics less" in drawing.caption


@pytest.mark.parametrize(
    ("made", "names"),
    [
        (runs([run({}, [0.1, 0.12], classes=10)]), ["val_accuracy", "val_loss"]),
        (runs([run({}, [0.5, 0.95])]), ["val_accuracy", "val_loss", "steps_to_target"]),
        (runs([run({}, [], status=DIVERGED)]), []),
        (runs([run({}, [], status=FAILED)]), []),
        (runs([run({}, [0.5], status="unfinished")]), ["val_accuracy", "val_loss"]),
    ],
)
def test_only_what_the_runs_allow_is_drawn(made: Runs, names: list[str]):
    assert list(drawn(made)) == names


def test_a_large_sweep_of_which_no_run_has_ended_yet_is_drawn():
    made = [
        run({"optimizer.lr": float(lr)}, [0.3, 0.95], status="unfinished") for lr in range(1, 41)
    ]
    drawing = drawn(runs(made))["val_accuracy"]
    assert "no run has ended yet. The first 36 of 40 conditions." in drawing.caption


def test_networks_of_different_depth_are_no_sweep_over_depth():
    cells = [("mlp", "100-100", "he"), ("cnn", "1024", "glorot")]
    made = [
        run({"model.kind": kind, "model.hidden": hidden, "init.kind": init}, [0.5])
        for kind, hidden, init in cells
    ]
    assert "depth" not in drawn(runs(made))


def all_claims() -> list[Drawing]:
    """Of claims with all verdicts; one of them from runs with other settings."""
    judgements = [
        Judgement(BY_ID[name], found(name, scenario(i % 3 - 1)))
        for i, (name, scenario) in enumerate(SCENARIOS.items())
    ]
    claim = replace(BY_ID["jacobian"], id="equal")
    effect = t_interval([0.1, -0.1, 0.2, 0.0, -0.2, 0.1])
    equal = by_rule_e("", "accuracy", POINTS, effect, "Seen.", 0.5, primary=True)
    judgements.append(Judgement(claim, [equal]))
    judgements.append(replace(judgements[0], settings=["trainer.steps"]))
    return figures.claims_figures(claims_table(judgements))


def forest_rows(drawing: Drawing) -> list[str]:
    axes = drawing.figure.axes
    return [label.get_text() for axis in axes for label in axis.get_yticklabels()]


def test_the_forest_has_a_row_per_judged_part_and_a_panel_per_unit():
    drawing, apart = all_claims()
    rows = forest_rows(drawing)
    assert {"jacobian", "equal", "moving-average-lag: decay 0.999"} <= set(rows)
    assert "large-weights-small-gradients: none" not in rows  # it stands beside
    assert len(rows) == len(set(rows)) == 28
    assert [axis.get_xlabel() for axis in drawing.figure.axes] == [
        "exponent",
        "log2 of a ratio (1: twofold)",
        "nats",
        "norm",
        "percentage points",
    ]
    verdicts = {text.get_text() for text in drawing.figure.legends[0].get_texts()}
    assert verdicts == set(style.VERDICT_STYLES)
    assert apart.name == "claims_forest_settings"
    assert forest_rows(apart) == [
        "large-weights-small-gradients: batch",
        "large-weights-small-gradients: batch, ‖W‖",
    ]


def test_where_parts_are_too_many_the_forest_has_primary_ones_alone(monkeypatch):
    effect = t_interval([0.1, -0.1, 0.2, 0.0, -0.2, 0.1])
    monkeypatch.setattr("bnexp.analysis.figures.forest.MOST", 2)
    found = [by_rule_e(part, "", POINTS, effect, "", 0.5, primary=part == "b") for part in "abc"]
    [drawing] = figures.claims_figures(claims_table([Judgement(BY_ID["jacobian"], found)]))
    assert forest_rows(drawing) == ["jacobian: b"]
    assert "2 parts that are not primary stand in the table alone" in drawing.caption


def test_primary_parts_are_filled():
    markers = [
        line
        for axis in all_claims()[1].figure.axes
        for line in axis.lines
        if line.get_marker() != "None"
    ]
    primary, secondary = (line.get_markerfacecolor() for line in markers)
    assert primary == markers[0].get_color()
    assert secondary == "white"


def test_without_intervals_there_is_no_forest():
    assert not figures.claims_figures(claims_table(judge(runs([run({}, [0.5])]))))


def test_the_same_figure_gives_the_same_files(tmp_path: Path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        drawn(grid())["val_loss"].save(tmp_path / folder, ["png", "svg", "pdf"], "s_")
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["s_val_loss.pdf", "s_val_loss.png", "s_val_loss.svg"]
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
