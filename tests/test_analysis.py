"""Statistics against SciPy and known answers; names of arms and conditions; drawing."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bnexp.analysis import curves, figures, measures, naming, statistics, tables
from bnexp.analysis.loading import Runs
from bnexp.runs import DIVERGED, FINISHED


def synthetic(configs: list[dict], accuracies: list[list[float]], status=FINISHED) -> Runs:
    """Runs with the given flat configs and validation accuracies at steps 10, 20, ..."""
    base = {"norm.kind": "none", "norm.momentum": 0.9, "optimizer.lr": 0.1, "seed": 0}
    base |= {"trainer.steps": 30, "sweep": "s"}
    rows, histories = [], []
    for i, (config, curve) in enumerate(zip(configs, accuracies, strict=True)):
        result = {"status": status, "test_accuracy": curve[-1] if curve else np.nan}
        rows.append({"run": f"r{i}", **base, **config, **result})
        steps = [10 * (k + 1) for k in range(len(curve))]
        losses = [1 - value for value in curve]
        columns = {"run": f"r{i}", "step": steps, "val_accuracy": curve, "val_loss": losses}
        columns |= {"epoch": np.divide(steps, 10), "seconds": np.divide(steps, 100)}
        histories.append(pd.DataFrame(columns))
    table = naming.with_names(pd.DataFrame(rows).set_index("run"))
    history = pd.concat(histories, ignore_index=True)
    return Runs(table, history, pd.DataFrame(columns=["run"]), [])


def test_t_interval_is_scipys():
    x = [0.91, 0.94, 0.90, 0.97]
    got = statistics.t_interval(x)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(x), scale=stats.sem(x))
    assert (got.n, got.mean, got.sd) == (4, np.mean(x), np.std(x, ddof=1))
    assert (got.low, got.high) == pytest.approx((low, high))


def test_t_interval_by_hand():
    """n = 3: mean 2, sd 1, t(0.975, 2) = 4.302653."""
    got = statistics.t_interval([1, 2, 3, np.nan])
    assert got.half_width == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)


@pytest.mark.parametrize(("values", "n"), [([], 0), ([0.5], 1), ([np.nan], 0)])
def test_too_few_values_have_no_interval(values, n):
    got = statistics.t_interval(values)
    assert got.n == n
    assert np.isnan([got.sd, got.low, got.high]).all()


def test_steps_to_target_is_the_first_evaluation_there_or_infinite():
    runs = synthetic([{}], [[0.8, 0.95, 0.9]])
    assert measures.reached(runs, 0.9)["r0"] == 20
    assert measures.reached(runs, 0.96)["r0"] == np.inf


def test_the_mean_curve_ends_where_the_first_seed_ends():
    runs = synthetic([{"seed": 0}, {"seed": 1}], [[0.2, 0.4, 0.6], [0.4]])
    curve = curves.mean_curves(runs, "val_accuracy")
    assert list(curve["step"]) == [10]
    assert curve["mean"][0] == pytest.approx(0.3)


def test_arms_and_conditions_are_named_by_what_differs():
    configs = [
        {"norm.kind": kind, "optimizer.lr": lr, "init.kind": init, "init.bias": bias}
        for kind in ("batch", "none")
        for lr in (1.0, 0.1)
        for init, bias in (("he", 0.0), ("original", 0.1))
    ]
    table = synthetic(configs, [[0.5]] * 8).runs
    assert list(table["condition"].unique()) == [
        "lr=0.1, init=he",
        "lr=0.1, init=original",
        "lr=1, init=he",
        "lr=1, init=original",
    ]
    assert list(table["arm"].unique()) == ["none", "batch"]


def test_norm_settings_tell_arms_apart_but_not_where_there_is_no_norm():
    configs = [{"norm.kind": "none"}] + [
        {"norm.kind": "batch", "norm.momentum": momentum} for momentum in (0.5, 0.99)
    ]
    table = synthetic(configs, [[0.5]] * 3).runs
    assert list(table["arm"]) == ["none", "batch momentum=0.5", "batch momentum=0.99"]


def test_keys_with_the_same_last_part_are_named_in_full():
    configs = [{"norm.kind": "batch", "a.size": a, "b.size": b} for a in (1, 2) for b in (1, 2)]
    table = synthetic(configs, [[0.5]] * 4).runs
    assert table["condition"].iloc[0] == "a.size=1, b.size=1"


def test_summary_counts_censors_and_never_drops():
    runs = synthetic([{"seed": seed} for seed in range(3)], [[0.5, 0.91], [0.92, 0.96], [0.3, 0.4]])
    [row] = tables.summarize(runs).to_dict("records")
    assert row["n"] == 3
    assert (row["steps_to_90_median"], row["steps_to_90_reached"]) == (20, 2)
    assert (row["steps_to_95_median"], row["steps_to_95_reached"]) == (np.inf, 1)
    [text] = tables.as_text(tables.summarize(runs)).to_dict("records")
    assert text["steps to 90%"] == "20 (2/3)"
    assert text["steps to 95%"] == "> 30 (1/3)"
    assert text["ended"] == "3 finished"


def test_diverged_runs_count_and_are_drawn_as_red_crosses():
    runs = synthetic([{"seed": 0}, {"seed": 1}], [[0.2, 0.3], []], status=DIVERGED)
    [row] = tables.summarize(runs).to_dict("records")
    assert (row["n"], row["diverged"], row["finished"]) == (2, 2, 0)
    [figure] = figures.curves(runs, "val_accuracy")
    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert len(crosses) == 2
    assert "diverged" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_figure_has_a_panel_per_condition_and_a_line_per_seed_and_mean():
    configs = [
        {"norm.kind": kind, "optimizer.lr": lr, "seed": seed}
        for kind in ("none", "batch")
        for lr in (0.1, 1.0)
        for seed in (0, 1, 2)
    ]
    runs = synthetic(configs, [[0.5, 0.6, 0.7]] * 12)
    [figure] = figures.curves(runs, "val_accuracy")
    assert [axis.get_title() for axis in figure.axes] == ["lr=0.1", "lr=1"]
    for axis in figure.axes:
        assert len(axis.lines) == 2 * (3 + 1)
        assert len(axis.collections) == 2  # the intervals
        assert axis.get_xlabel() == "training step"
    assert figure.get_supylabel() == "validation accuracy"


def test_many_conditions_go_to_further_figures():
    configs = [{"optimizer.lr": float(lr)} for lr in range(1, figures.MAX_PANELS + 2)]
    pages = figures.curves(synthetic(configs, [[0.5]] * len(configs)), "val_loss")
    assert [len([a for a in page.axes if a.get_visible()]) for page in pages] == [36, 1]
