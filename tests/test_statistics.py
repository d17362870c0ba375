"""Statistics against SciPy and hand-computed cases; measures on runs with known answers."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from synthetic import rising, run, runs

from bnexp.analysis import best_rates, compare, curves, measures, statistics
from bnexp.analysis.statistics import (
    CONTRADICTED,
    INCONCLUSIVE,
    SUPPORTED,
    Estimate,
)
from bnexp.folders.runs import DIVERGED, FAILED

A = pd.Series([0.91, 0.94, 0.90, 0.97], index=[0, 1, 2, 3])
B = pd.Series([0.89, 0.95, 0.85, 0.93], index=[0, 1, 2, 3])


def test_t_interval_is_scipys():
    got = statistics.t_interval(A)
    low, high = stats.t.interval(0.95, 3, loc=A.mean(), scale=stats.sem(A))
    assert (got.n, got.mean) == (4, A.mean())
    assert got.sd == pytest.approx(A.std())
    assert (got.low, got.high) == pytest.approx((low, high))


def test_t_interval_by_hand():
    """n = 3: mean 2, sd 1, t(0.975, 2) = 4.302653."""
    got = statistics.t_interval([1, 2, 3, np.nan])
    assert got.half_width == pytest.approx(4.302653 / np.sqrt(3), rel=1e-6)


def test_values_on_one_point_of_a_grid_have_the_spread_of_two_roundings():
    """Six seeds at log2 4 on a grid of doublings: sd of the difference of two uniform errors."""
    rounding = np.std(np.subtract.outer(*[np.linspace(-0.5, 0.5, 2001)] * 2))
    got = statistics.no_finer(statistics.t_interval([4.0] * 6), step=1)
    assert got.sd == pytest.approx(rounding, rel=1e-3)
    low, high = stats.t.interval(0.95, 5, loc=4, scale=rounding / np.sqrt(6))
    assert (got.low, got.high) == pytest.approx((low, high), rel=1e-3)
    assert statistics.no_finer(statistics.t_interval(B), step=0.01).sd == pytest.approx(B.std())


@pytest.mark.parametrize("value", [0.1, np.log2(3)])
def test_without_any_spread_the_p_value_is_that_of_equal_signs(value):
    alike = statistics.t_interval([value] * 6)
    assert (alike.sd, alike.low, alike.high) == (0, alike.mean, alike.mean)
    signs = statistics.sign_flip_p([value] * 6)
    assert statistics.p_value(alike) == statistics.p_value(alike, 2) == signs == 2 / 64
    assert statistics.p_value(alike, alike.mean) == 1


@pytest.mark.parametrize(("values", "n"), [([], 0), ([0.5], 1), ([np.nan], 0)])
def test_too_few_values_have_no_interval(values, n):
    got = statistics.t_interval(values)
    assert got.n == n
    assert np.isnan([got.sd, got.low, got.high]).all()


def test_paired_difference_and_p_value_are_scipys():
    got = statistics.paired_difference(A, B)
    test = stats.ttest_rel(A, B)
    interval = test.confidence_interval(0.95)
    assert got.mean == pytest.approx((A - B).mean())
    assert (got.low, got.high) == pytest.approx((interval.low, interval.high))
    assert statistics.p_value(got) == pytest.approx(test.pvalue)
    shifted = stats.ttest_1samp(A - B, 0.01)
    assert statistics.p_value(got, 0.01) == pytest.approx(shifted.pvalue)


def test_pairs_are_those_that_both_have():
    got = statistics.paired_difference(A, B.drop(2))
    assert got.n == 3
    assert got.mean == pytest.approx(np.mean([0.02, -0.01, 0.04]))


def test_log_ratio_by_hand():
    got = statistics.paired_log2_ratio(pd.Series([400, 800.0]), pd.Series([100, 100.0]))
    assert got.mean == pytest.approx(2.5)
    assert got.n == 2


def test_a_log_ratio_of_nothing_is_refused():
    with pytest.raises(ValueError, match="positive"):
        statistics.paired_log2_ratio(pd.Series([1.0]), pd.Series([0.0]))


def test_bootstrap_is_scipys():
    x = np.random.default_rng(1).normal(size=30)
    theirs = stats.bootstrap(
        (x,), np.median, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    ours = statistics.bootstrap_interval(x, resamples=20_000)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_bootstrap_of_censored_steps():
    """Of 5 values with 2 infinite ones, the median's interval reaches infinity."""
    low, high = statistics.bootstrap_interval([100, 200, 300, np.inf, np.inf])
    assert (low, high) == (100, np.inf)
    assert np.isnan(statistics.bootstrap_interval([100.0])).all()
    assert statistics.bootstrap_interval([7.0, 7.0, 7.0]) == (7, 7)


@pytest.mark.parametrize(
    ("low", "high", "n", "null", "verdict"),
    [
        (0.1, 0.3, 6, 0, SUPPORTED),
        (-0.3, -0.1, 6, 0, CONTRADICTED),
        (-0.1, 0.3, 6, 0, INCONCLUSIVE),
        (0.0, 0.3, 6, 0, INCONCLUSIVE),
        (0.1, 0.3, 5, 0, INCONCLUSIVE),
        (0.1, 0.3, 6, 0.2, INCONCLUSIVE),
        (0.1, 0.3, 6, 0.4, CONTRADICTED),
        (np.nan, np.nan, 1, 0, INCONCLUSIVE),
    ],
)
def test_rule_r(low, high, n, null, verdict):
    assert statistics.rule_r(Estimate(n, (low + high) / 2, 0.1, low, high), null) == verdict


def test_holm_by_hand():
    """Sorted .005, .01, .03, .04 times 4, 3, 2, 1, and none below the one before."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.5, np.nan, 0.9]) == pytest.approx([1, np.nan, 1], nan_ok=True)
    assert statistics.holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(p):
    corrected = np.array(statistics.holm(p))
    assert (corrected >= np.array(p) - 1e-12).all()
    assert (corrected <= np.minimum(1, np.array(p) * len(p)) + 1e-12).all()
    assert (np.diff(corrected[np.argsort(p, kind="stable")]) >= 0).all()


@given(st.lists(st.floats(-1e3, 1e3), min_size=6, max_size=9))
def test_rule_r_and_p_value_agree(values):
    effect = statistics.t_interval(values)
    if abs(statistics.p_value(effect) - 0.05) > 1e-6:
        decided = statistics.rule_r(effect) != INCONCLUSIVE
        assert decided == (statistics.p_value(effect) < 0.05)


def test_an_estimate_in_another_unit():
    got = Estimate(3, 0.01, 0.02, -0.01, 0.03).scaled(100)
    assert (got.n, got.mean, got.sd, got.low, got.high) == (3, 1, 2, -1, 3)


def two_seeds(*accuracies, **changes):
    return runs([run({}, curve, seed=i, **changes) for i, curve in enumerate(accuracies)])


def test_reached_is_the_first_evaluation_there_or_infinite():
    made = two_seeds([0.8, 0.95, 0.9], [0.97])
    assert list(measures.reached(made, 0.9)) == [200, 100]
    assert list(measures.reached(made, 0.96)) == [np.inf, 100]
    assert list(measures.reached(made, 0.95, "epoch")) == [200 / 900, 100 / 900]
    goals = pd.Series([0.8, 0.98], index=made.runs.index)
    assert list(measures.reached(made, goals)) == [100, np.inf]


def test_the_budget_stands_for_what_was_not_reached():
    """3,000 steps, at 1,000 a second."""
    made = two_seeds([0.8, 0.9], [0.1])
    assert list(measures.censored(made, 0.9)) == [200, 3000]
    assert list(measures.censored(made, 0.9, "seconds")) == [0.2, 3]


def test_a_diverged_network_is_worth_chance():
    made = two_seeds([0.8], [0.9], status=DIVERGED)
    assert list(measures.ended(made)["final_val_accuracy"]) == [0.1, 0.1]


def test_without_ended_runs_nothing_can_be_measured():
    with pytest.raises(measures.MeasureError, match="no run has ended"):
        measures.ended(two_seeds([0.8], status=FAILED))


def rates(**finals: float):
    cells = [(float(lr[1:].replace("_", ".")), final) for lr, final in finals.items()]
    return runs([run({"optimizer.lr": lr}, [final]) for lr, final in cells])


@pytest.mark.parametrize(
    ("finals", "rate", "edge"),
    [
        ({"r0_1": 0.5, "r1": 0.9, "r10": 0.7}, 1, ""),
        ({"r0_1": 0.9, "r1": 0.9, "r10": 0.7}, 0.1, "lowest"),
        ({"r0_1": 0.5, "r1": 0.6, "r10": 0.7}, 10, "highest"),
        ({"r1": 0.6}, 1, ""),
    ],
)
def test_the_best_rate_and_whether_it_lies_at_the_edge(finals, rate, edge):
    best = measures.tuned(measures.ended(rates(**finals)))
    assert (best.rate, best.edge) == (rate, edge)


def test_the_best_rate_is_each_arms_own():
    cells = [("none", 0.1, 0.9), ("none", 1.0, 0.8), ("batch", 0.1, 0.8), ("batch", 1.0, 0.95)]
    made = runs([run({"norm.kind": a, "optimizer.lr": lr}, [x]) for a, lr, x in cells])
    best = best_rates.best_rates(made)
    assert dict(zip(best["arm"], best["rate"], strict=True)) == {"none": 0.1, "batch": 1.0}
    chosen = best_rates.at_best_rates(made).runs
    assert list(chosen["final_val_accuracy"]) == [0.9, 0.95]
    assert list(chosen["condition"]) == ["", ""]
    assert best_rates.how_chosen(best).endswith("(none: 0.1, batch: 1)")
    assert best_rates.doubts(best) == (
        " At the edge of the rates tried: none: the lowest; batch: the highest."
    )


def test_two_runs_of_one_seed_are_refused():
    made = two_seeds([0.1], [0.2])
    table = made.runs.assign(seed=0)
    with pytest.raises(measures.MeasureError, match="more than one run"):
        measures.by_seed(table, "final_val_accuracy")


def test_parts_are_named_by_the_first_keys_that_tell_them_apart():
    made = runs(
        [
            run({"model.kind": kind, "model.hidden": hidden, "optimizer.lr": lr}, [0.5])
            for kind, hidden in (("mlp", "100"), ("cnn", "1024"))
            for lr in (0.1, 1.0)
        ]
    )
    assert [name for name, _ in measures.parts(made, "optimizer.lr")] == ["model=cnn", "model=mlp"]


def test_path_length_by_hand():
    """Moves of 1 after step 1,000, at steps 1,500 and 2,000 of layer 2; spread 4 on average."""
    rows = [
        (step, "activations", layer, statistic, value)
        for step, move, spread in ((500, 9, 9), (1000, 9, 9), (1500, 1, 3), (2000, 1, 5))
        for layer, factor in (("1", 7), ("2", 1))
        for statistic, value in (("median_move", move * factor), ("spread", spread))
    ]
    made = runs([run({}, [0.5], probes=rows)])
    assert measures.path_length(made, "median").tolist() == [0.5]


def test_probes_that_are_not_there_are_named():
    with pytest.raises(measures.MeasureError, match="without probes=activations"):
        measures.path_length(two_seeds([0.5]), "median")


def test_mean_curves_are_t_intervals_step_by_step():
    made = two_seeds([0.2, 0.4], [0.4, 0.5], [0.3, 0.9])
    table = curves.mean_curves(made, "val_accuracy")
    estimate = statistics.t_interval([0.4, 0.5, 0.9])
    last = table.iloc[-1]
    assert list(table["step"]) == [100, 200]
    assert list(last[["n", "epoch", "seconds"]]) == pytest.approx([3, 200 / 900, 0.2])
    assert (last["mean"], last["low"], last["high"]) == pytest.approx(
        (estimate.mean, estimate.low, estimate.high)
    )


def test_the_mean_curve_ends_where_the_first_seed_ends():
    table = curves.mean_curves(two_seeds([0.2, 0.4, 0.6], [0.4]), "val_accuracy")
    assert list(table["step"]) == [100]
    assert table["mean"][0] == pytest.approx(0.3)


def test_a_seed_that_diverged_counts_as_chance_and_leaves_no_mean_of_the_others():
    """Also before its first evaluation; of losses there is no mean then."""
    diverged = run({}, [0.4], seed=1, status=DIVERGED, classes=4)
    at_once = run({}, [], seed=2, status=DIVERGED, classes=4)
    made = runs([run({}, [0.5, 0.8, 0.9], seed=0, classes=4), diverged, at_once])
    table = curves.mean_curves(made, "val_accuracy")
    assert list(table["step"]) == [100, 200, 300]
    assert list(table["n"]) == [3, 3, 3]
    assert list(table["mean"]) == pytest.approx(
        [(0.5 + 0.4 + 0.25) / 3, (0.8 + 0.5) / 3, (0.9 + 0.5) / 3]
    )
    assert list(table["epoch"]) == pytest.approx([1 / 9, 2 / 9, 3 / 9])
    assert curves.mean_curves(made, "val_loss").empty


def test_an_arm_that_diverged_wholly_is_a_line_at_chance():
    """At the steps of its condition's other arm; alone it has no curve."""
    bad = [run({}, [], seed=s, status=DIVERGED, classes=2) for s in range(2)]
    good = [run({"norm.kind": "batch"}, [0.8, 0.9], seed=s, classes=2) for s in range(2)]
    table = curves.mean_curves(runs(bad + good), "val_accuracy")
    none = table[table["arm"] == "none"]
    assert list(none["mean"]) == [0.5, 0.5]
    assert list(none["seconds"]) == pytest.approx([0.1, 0.2])
    assert curves.mean_curves(runs(bad), "val_accuracy").empty


def test_a_failed_run_is_not_in_the_mean():
    made = runs([run({}, [0.4, 0.5], seed=0), run({}, [0.8], seed=1, status=FAILED)])
    table = curves.mean_curves(made, "val_accuracy")
    assert list(table["mean"]) == [0.4, 0.5]
    assert list(table["n"]) == [1, 1]


def test_a_run_that_has_not_begun_does_not_hide_the_others():
    made = runs([run({}, rising(0.5), seed=0), run({}, [], seed=1, status="unfinished")])
    assert len(curves.mean_curves(made, "val_accuracy")) == 30


def test_compare_is_the_paired_difference_in_each_condition():
    cells = itertools.product(("none", "batch"), (0.1, 1.0), range(3))
    made = [
        run(
            {"norm.kind": arm, "optimizer.lr": lr},
            [0.5 + 0.1 * lr * (arm == "batch") + 0.01 * s],
            seed=s,
        )
        for arm, lr, s in cells
    ]
    table = compare(runs(made))
    assert list(table["condition"]) == ["lr=0.1", "lr=1"]
    assert list(table["difference"]) == pytest.approx([0.01, 0.1])
    assert list(table["n"]) == [3, 3]
    with pytest.raises(measures.MeasureError, match="more than one run"):
        compare(runs([*made, made[0]]))
