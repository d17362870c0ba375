"""Statistics of protocol 2 against SciPy, statsmodels and enumeration; steps to a target."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW
from synthetic import run, runs

from bnexp.analysis import statistics
from bnexp.analysis.claims.combining import by_speed_within
from bnexp.analysis.claims.model import by_speed
from bnexp.analysis.statistics import CONTRADICTED, EQUAL, INCONCLUSIVE, SUPPORTED
from bnexp.analysis.steps import SECONDS, crossings, speed

numbers = st.lists(st.floats(-5, 5).map(lambda x: round(x, 3)), min_size=2, max_size=9)
VALUES = np.random.default_rng(0).normal(0.3, 1.0, 12)


@given(numbers, st.sampled_from([0.0, 0.25]))
def test_sign_flips_are_those_of_an_enumeration(values, null):
    x = np.array(values) - null
    flips = np.array(list(itertools.product((1, -1), repeat=len(x))))
    share = np.mean(np.abs(flips @ x) >= abs(x.sum()) - 1e-9)
    assert statistics.sign_flip_p(values, null) == pytest.approx(share)


def test_sign_flips_are_scipys():
    drawn = stats.permutation_test(
        (VALUES,),
        np.mean,
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=False,
    )
    assert statistics.sign_flip_p(VALUES) == pytest.approx(drawn.pvalue)


def test_forty_seeds_are_exact_too():
    assert statistics.sign_flip_p(np.ones(40)) == pytest.approx(2 / 2**40)
    assert np.isnan(statistics.sign_flip_p([]))


@pytest.mark.parametrize("n", [3, 6, 10, 20])
def test_the_detectable_effect_is_statsmodels(n):
    effect = statistics.t_interval(VALUES[:n] if n <= 12 else np.tile(VALUES, 2)[:n])
    wanted = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8)
    assert statistics.detectable(effect) == pytest.approx(wanted * effect.sd, rel=1e-6)


def test_two_one_sided_tests_are_statsmodels():
    effect = statistics.t_interval(VALUES)
    p, above, _ = DescrStatsW(VALUES).ttost_mean(-0.9, 0.9)
    assert statistics.p_within(effect, 0.9) == pytest.approx(p)
    assert statistics.p_above(effect, -0.9) == pytest.approx(above[1])


@pytest.mark.parametrize(
    ("mean", "sd", "n", "margin", "equal", "worse"),
    [
        (0.0, 0.1, 10, 0.2, EQUAL, SUPPORTED),
        (0.5, 0.1, 10, 0.2, CONTRADICTED, SUPPORTED),
        (-0.5, 0.1, 10, 0.2, CONTRADICTED, CONTRADICTED),
        (0.0, 1.0, 10, 0.2, INCONCLUSIVE, INCONCLUSIVE),
    ],
)
def test_rule_e(mean, sd, n, margin, equal, worse):
    x = np.linspace(-1, 1, n)
    effect = statistics.t_interval(mean + sd * x / x.std(ddof=1))
    assert statistics.rule_e(effect, margin) == equal
    assert statistics.no_worse(effect, margin) == worse
    low, high = stats.t.interval(0.9, n - 1, loc=mean, scale=sd / np.sqrt(n))
    assert (equal == EQUAL) == (-margin < low and high < margin)


def test_holm_over_a_family_counts_what_was_not_run_as_well():
    p = [0.001, 0.02, np.nan, 0.04]
    whole = [0.001, 0.02, 0.04, *[1.0] * 7]
    wanted = multipletests(whole, method="holm")[1][:3]
    got = statistics.holm(p, family=10)
    assert np.isnan(got[2])
    assert [got[0], got[1], got[3]] == pytest.approx(list(wanted))
    assert statistics.holm(p) == pytest.approx(
        [*multipletests([0.001, 0.02, 0.04], method="holm")[1][:2], np.nan, 0.04], nan_ok=True
    )


def test_the_sign_test_is_the_binomial_one():
    assert statistics.sign_test_p([np.inf] * 6) == pytest.approx(2 / 2**6)
    assert statistics.sign_test_p([1, 2, -np.inf, np.nan, 0]) == pytest.approx(
        stats.binomtest(2, 3).pvalue
    )


# ---- steps to a target ---------------------------------------------------------------------------


def arm(when: list[int | None], kind: str):
    """Runs of 3,000 steps that are at 95% from a step on, or never; evaluated every 100."""
    for seed, step in enumerate(when):
        curve = [0.96 if step and 100 * (i + 1) >= step else 0.5 for i in range(30)]
        yield run({"norm.kind": kind}, curve, seed=seed)


def compared(none: list[int | None], batch: list[int | None], column: str = "step"):
    found = runs([*arm(none, "none"), *arm(batch, "batch")])
    when = crossings(found, 0.95, column)
    table = found.runs
    theirs, ours = (when.of(table[table["norm.kind"] == kind]) for kind in ("none", "batch"))
    return theirs, ours, speed(theirs, ours)


SLOW, FAST = [1500, 1600, 1700, 1400, 1500, 1600], [500, 600, 500, 400, 500, 500]


def test_a_crossing_is_the_first_evaluation_that_is_there():
    theirs, _, found = compared(SLOW, FAST)
    assert list(theirs.first) == SLOW
    assert list(theirs.before) == [step - 100 for step in SLOW]
    ratio = np.log2(np.array(SLOW) / np.array(FAST))
    assert found.effect.mean == pytest.approx(ratio.mean())
    assert found.verdict() == SUPPORTED
    assert compared(FAST, SLOW)[2].verdict() == CONTRADICTED


@pytest.mark.parametrize(("late", "soon", "coarse"), [(3000, 500, True), (2900, 2500, False)])
def test_a_verdict_tells_where_evaluations_lie_too_far_apart(late, soon, coarse):
    found = compared([late] * 6, [soon] * 6)[2]
    for finding in (by_speed("", "", found, "."), by_speed_within("", "", found, ".", 9)):
        assert ("20% of the median apart, not 5%" in finding.sentence) == coarse


def test_seconds_are_counted_alike():
    theirs, _, _ = compared(SLOW, FAST, SECONDS)
    assert list(theirs.first) == pytest.approx([step / 1000 for step in SLOW])


def test_what_is_never_there_counts_as_the_budget_and_as_infinitely_late():
    theirs, _, found = compared([None] * 6, FAST)
    assert theirs.never == 6
    assert list(theirs.censored) == [3000] * 6
    assert found.verdict() == SUPPORTED  # six of six are later, also if infinitely so


def test_a_verdict_that_only_the_budget_gives_is_none():
    """Two runs of BN are never there: by the budget hardly later, else infinitely late."""
    slow, fast = [2900] * 7, [500, 510, 500, 520, 500, None, None]
    found = compared(slow, fast)[2]
    assert statistics.rule_r(found.effect) == SUPPORTED
    assert found.verdict() == INCONCLUSIVE


def test_a_verdict_that_hangs_on_the_evaluations_grid_is_none():
    """Five of six are at the same evaluation, and what the sixth says is one step of the grid."""
    behind = compared([100] * 6, [100] * 5 + [200])[2]
    assert behind.verdict() == INCONCLUSIVE


def test_both_never_there_says_nothing():
    found = compared([None] * 6, [None] * 6)[2]
    assert found.effect.mean == 0
    assert found.verdict() == INCONCLUSIVE


def test_pairs_are_those_of_both_arms():
    found = runs([*arm(SLOW, "none"), *arm(FAST[:3], "batch")])
    when = crossings(found, pd.Series(0.95, index=found.runs.index))
    tables = [found.runs[found.runs["norm.kind"] == kind] for kind in ("none", "batch")]
    assert speed(*(when.of(table) for table in tables)).effect.n == 3
