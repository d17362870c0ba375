"""The claims on the loss around a network: matched loss by plain arithmetic, and each verdict."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_choices import choices_of
from made_trial import REPORT_SEEDS, judged, noise
from scipy import stats
from synthetic import run

from bnexp.analysis.claims import optimization
from bnexp.analysis.claims.matching import LEVELS, at_matched_loss
from bnexp.analysis.claims.model import Finding
from bnexp.analysis.evidence import Evidence
from bnexp.analysis.measures import MeasureError
from bnexp.analysis.statistics import CONTRADICTED, INCONCLUSIVE, SUPPORTED

BY_ID = {claim.id: claim for claim in optimization.CLAIMS if claim.sweep == "landscape"}
VERDICT = {1: SUPPORTED, -1: CONTRADICTED, 0: INCONCLUSIVE}
ARMS = {f"norm={kind}": {"norm.kind": kind} for kind in ("none", "batch")}
RATES = {"norm=none": 1.0, "norm=batch": 3.0}
KINDS = ("sigmoid", "relu")
STEPS = range(0, 5001, 500)
Rows = Iterator[tuple[int, str, str, str, float]]
Made = list[dict[str, Any]]


# --- at matched loss


def curve(*points: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame(points, columns=["loss", "value"], dtype=float)


def test_the_difference_at_matched_loss_by_hand():
    """From loss 1/2 to 1: one goes 2 → 8 over (2, 1/2), the other stays at 2."""
    first, second = curve((2, 2), (0.5, 8)), curve((1, 2), (0.25, 2))
    found = at_matched_loss(first, second)
    assert (found.highest, found.lowest) == (pytest.approx(1), pytest.approx(0.5))
    # log2 of the first at loss L: 1 + (1 - log2 L); over levels from L = 1/2 (3) to 1 (2)
    by_hand = [1 + (1 - level) - 1 for level in np.linspace(-1, 0, LEVELS)]
    assert found.difference == pytest.approx(np.mean(by_hand)) == pytest.approx(1.5)


def test_what_is_above_an_earlier_loss_or_has_no_value_is_left_out():
    plain = curve((2, 2), (1, 4), (0.5, 8))
    other = curve((2, 1), (0.25, 1))
    disturbed = curve(
        (2, 2), (2.5, 99), (2, 77), (1, 4), (0.9, -1), (0.8, 0), (0.7, math.nan), (0.5, 8)
    )
    disturbed.loc[len(disturbed)] = [0.1, math.inf]
    assert at_matched_loss(disturbed, other) == at_matched_loss(plain, other)


@pytest.mark.parametrize(
    "other", [curve((0.5, 1), (0.1, 1)), curve((9, 1), (8, 1)), curve((0.4, 1)), curve()]
)
def test_without_a_range_in_common_there_is_no_value(other: pd.DataFrame):
    for pair in itertools.permutations([curve((2, 2), (0.5, 8)), other]):
        assert np.isnan(at_matched_loss(*pair)).all()


losses = st.lists(st.floats(0.01, 10), min_size=2, max_size=8)


@given(losses, losses, st.floats(-3, 3), st.floats(-4, 4))
def test_a_factor_at_every_loss_is_found_whatever_the_pace(first, second, power, factor):
    one = curve(*((loss, loss**power * 2**factor) for loss in first))
    other = curve(*((loss, loss**power) for loss in second))
    found = at_matched_loss(one, other)
    if not math.isnan(found.difference):
        assert found.difference == pytest.approx(factor, abs=1e-6)
        assert at_matched_loss(other, one).difference == pytest.approx(-factor, abs=1e-6)


# --- made-up networks


def loss_of(arm: int, step: int) -> float:
    """BN is ahead at every step, so that at matched steps another measure would be told."""
    return 2.0 * math.exp(-step / (2000, 1000)[arm])


def of_arm(arm: int, seed: int, sign: int, pattern: int = 0) -> float:
    """Log2 of what a measure is multiplied by, 1 apart in the mean where there is a sign."""
    return sign * (0.5 - arm) + 0.2 * noise(arm + pattern, seed)


def landscape(arm: int, seed: int, sign: int) -> Rows:
    for step in STEPS:
        loss = loss_of(arm, step)
        apart = 2 ** of_arm(arm, seed, sign)
        found = {
            "loss": loss,
            "loss_low": 0.9 * loss,
            "loss_high": 0.9 * loss + 0.1 * loss**0.5 * apart,
            "gradient_change": loss**-0.3 * 2 ** of_arm(arm, seed, sign, 1),
            "smoothness": 7 * loss * apart,
        }
        if step == 0:  # left out
            found |= {"gradient_change": 1e9, "smoothness": 1e-9}
        yield from ((step, "landscape", "", name, value) for name, value in found.items())


def gradient_shift(arm: int, seed: int, sign: int) -> Rows:
    """BN / none is 1, a half, and 2^-0.5: as much shift, less, and neither."""
    factor = {1: 0.0, -1: -1.0, 0: -0.5}[sign] * arm + 0.2 * noise(arm, seed)
    cosine = 0.5 - 0.1 * sign * (arm - 0.5) + 0.02 * noise(arm, seed)
    for step, layer in itertools.product(STEPS, "234"):
        change = 0.1 * int(layer) * 2**factor if step else 1e9
        yield step, "gradient_shift", layer, "change", change
        yield step, "gradient_shift", layer, "cosine", cosine


def hessian(arm: int, seed: int, sign: int) -> Rows:
    for step in STEPS:
        loss = loss_of(arm, step)
        found = {
            "loss": loss,
            "eigenvalue_1": 30 * loss * 2 ** of_arm(arm, seed, sign),
            "eigenvalue_11": 3 * loss,
            "gradient_share": 0.1 * loss**0.2 * 2 ** of_arm(arm, seed, sign, 1),
            "residual": 1e-4 * (1 + arm),
        }
        yield from ((step, "hessian", "", name, value) for name, value in found.items())


PROBES = {
    "smoother-landscape": landscape,
    "shift-not-reduced": gradient_shift,
    "hessian-outliers": hessian,
}


def networks(claim: str, sign: int, seeds: int = 10, relu: int | None = None) -> Made:
    """At each arm's own rate and at the other's; at the other's nothing is apart."""
    made = []
    signs = {"sigmoid": sign, "relu": sign if relu is None else relu}
    for kind, (arm, name), seed in itertools.product(KINDS, enumerate(ARMS), REPORT_SEEDS[:seeds]):
        for rate in RATES.values():
            apart = signs[kind] if rate == RATES[name] else 0
            probes = PROBES[claim](arm, seed, apart)
            config = {"model.activation": kind, "optimizer.lr": rate, **ARMS[name]}
            made.append(run(config, [0.9], seed=seed, probes=probes))
    return made


def evidence_of(made: Made, *, matched: bool = True) -> Evidence:
    conditions = {f"model.activation={kind}": {"model.activation": kind} for kind in KINDS}
    return judged(made, choices_of(made, ARMS, RATES, conditions=conditions, matched=matched))


def parts(claim: str, runs: Evidence) -> dict[str, Finding]:
    return {one.part: one for one in BY_ID[claim].judge(runs)}


@pytest.mark.parametrize("sign", [1, -1, 0])
@pytest.mark.parametrize("claim", BY_ID)
def test_every_part_has_its_verdict(claim: str, sign: int):
    found = parts(claim, evidence_of(networks(claim, sign), matched=False))
    assert {one.verdict for one in found.values()} == {VERDICT[sign]}
    assert [one.part for one in found.values() if one.primary] == ["activation=sigmoid"]
    for one in found.values():
        assert (one.p < 0.05) == bool(sign)


@pytest.mark.parametrize("claim", BY_ID)
def test_sigmoid_is_primary_and_relu_stands_beside(claim: str):
    found = parts(claim, evidence_of(networks(claim, 1, relu=-1), matched=False))
    assert found["activation=sigmoid"].verdict == SUPPORTED
    assert found["activation=relu"].verdict == CONTRADICTED
    assert not found["activation=relu"].primary


def test_the_parts_are_those_of_the_protocol():
    names = {
        claim: [
            part.removeprefix("activation=sigmoid").removeprefix(", ")
            for part in parts(claim, evidence_of(networks(claim, 1), matched=False))
            if part.startswith("activation=sigmoid")
        ]
        for claim in BY_ID
    }
    assert names == {
        "smoother-landscape": ["", "range", "gradient change", "smoothness"],
        "shift-not-reduced": ["", "layer 2", "layer 3", "layer 4", "cosine"],
        "hessian-outliers": ["", "λ1/λ11", "gradient share", "λ1"],
    }


def test_at_the_same_rates_where_the_arms_were_run_so():
    smooth = parts("smoother-landscape", evidence_of(networks("smoother-landscape", 1)))
    own, same = smooth["activation=sigmoid, range"], "activation=sigmoid, both at the rate of "
    assert own.effect.mean == pytest.approx(1)
    assert smooth[f"{same}norm=none, range"].effect.mean == pytest.approx(0.5)
    assert smooth[f"{same}norm=batch, range"].effect.mean == pytest.approx(0.5)
    assert "optimizer.lr=3" in smooth[f"{same}norm=batch, range"].sentence
    shift = parts("shift-not-reduced", evidence_of(networks("shift-not-reduced", -1)))
    assert shift["activation=sigmoid"].effect.mean == pytest.approx(-1)
    assert shift[f"{same}norm=batch"].effect.mean == pytest.approx(-1)
    assert shift[f"{same}norm=none"].effect.mean == pytest.approx(-0.5)


def test_effects_are_those_of_plain_arithmetic():
    apart = [1 + 0.2 * (noise(0, seed) - noise(1, seed)) for seed in REPORT_SEEDS]
    found = parts("smoother-landscape", evidence_of(networks("smoother-landscape", 1)))
    assert list(found["activation=sigmoid, range"].effect.values) == pytest.approx(apart)
    crossed = [2 - one for one in apart]  # the other pattern of noise
    change = found["activation=sigmoid, gradient change"].effect
    assert list(change.values) == pytest.approx(crossed)
    p = max(stats.ttest_1samp(values, 0).pvalue for values in (apart, crossed))
    assert found["activation=sigmoid"].p == pytest.approx(p)
    outliers = parts("hessian-outliers", evidence_of(networks("hessian-outliers", 1)))
    assert list(outliers["activation=sigmoid, λ1/λ11"].effect.values) == pytest.approx(apart)
    shift = parts("shift-not-reduced", evidence_of(networks("shift-not-reduced", 1)))
    less = [1 - one for one in apart]
    assert list(shift["activation=sigmoid"].effect.values) == pytest.approx(less)
    expected = stats.ttest_1samp(less, -0.5).pvalue
    assert shift["activation=sigmoid"].p == pytest.approx(expected)
    assert shift["activation=sigmoid"].null == -0.5


def test_one_of_two_is_not_enough():
    made = networks("hessian-outliers", 1)
    for one in made:
        one["probes"] = [
            (*place, 0.1 if place[3] == "gradient_share" else value)
            for *place, value in one["probes"]
        ]
    found = parts("hessian-outliers", evidence_of(made))
    assert found["activation=sigmoid, λ1/λ11"].verdict == SUPPORTED
    assert found["activation=sigmoid, gradient share"].verdict == INCONCLUSIVE
    assert found["activation=sigmoid"].verdict == INCONCLUSIVE


def test_an_eigenvalue_below_0_has_no_value_and_the_residual_is_told():
    made = networks("hessian-outliers", 1)
    for one in made:
        one["probes"] = [
            (*place, -1.0 if (place[0], place[3]) == (1500, "eigenvalue_11") else value)
            for *place, value in one["probes"]
        ]
    found = parts("hessian-outliers", evidence_of(made))["activation=sigmoid, λ1/λ11"]
    assert found.effect.mean == pytest.approx(1)
    assert "Without a value: 20 of 200 records." in found.sentence
    assert "Largest residual of the eigenvalues: 0.0002." in found.sentence


def test_seeds_that_pass_no_loss_in_common_are_told():
    made = networks("smoother-landscape", 1)
    for one in made:
        if one["row"]["norm.kind"] == "batch" and one["row"]["seed"] < 103:
            one["probes"] = [row for row in one["probes"] if row[0] == 5000]
    found = parts("smoother-landscape", evidence_of(made))["activation=sigmoid, range"]
    assert found.effect.n == 7
    assert "Left out, as they pass no loss in common: 3 of 10 seeds." in found.sentence
    for one in made:
        one["probes"] = [row for row in one["probes"] if row[0] == 5000]
    found = parts("smoother-landscape", evidence_of(made))["activation=sigmoid, range"]
    assert (found.effect.n, found.verdict) == (0, INCONCLUSIVE)
    assert found.sentence.startswith("The arms pass no training loss in common.")


def test_shift_is_of_the_steps_that_both_arms_made():
    made = networks("shift-not-reduced", 1)
    for one in made:  # the shift grows, and one arm ends early
        steps = 2501 if one["row"]["norm.kind"] == "none" else 5001
        one["probes"] = [
            (*place, value * (1 + place[0])) for *place, value in one["probes"] if place[0] < steps
        ]
    found = parts("shift-not-reduced", evidence_of(made))["activation=sigmoid"]
    assert found.effect.mean == pytest.approx(0)


@pytest.mark.parametrize("claim", BY_ID)
def test_five_seeds_are_never_enough(claim: str):
    found = parts(claim, evidence_of(networks(claim, 1, 5)))
    assert {(one.verdict, one.effect.n) for one in found.values()} == {(INCONCLUSIVE, 5)}


@pytest.mark.parametrize("claim", BY_ID)
def test_sentences_and_effects_are_whole(claim: str):
    for one in parts(claim, evidence_of(networks(claim, 1))).values():
        assert "nan" not in one.sentence
        assert "Could have told " in one.sentence
        assert one.sentence.endswith(".")
        assert np.isfinite([one.effect.mean, one.effect.low, one.effect.high, one.p]).all()
        assert one.measure
        assert one.unit


@pytest.mark.parametrize("claim", BY_ID)
def test_without_its_probes_or_its_trial_a_claim_says_so(claim: str):
    made = networks(claim, 1)
    with pytest.raises(MeasureError, match="no trial"):
        parts(claim, judged(made))
    bare = [{**one, "probes": []} for one in networks(claim, 1)]
    with pytest.raises(MeasureError, match="without probes="):
        parts(claim, evidence_of(bare))


@pytest.mark.parametrize("claim", BY_ID)
def test_a_run_that_was_not_probed_has_no_value_and_is_told(claim: str):
    made = networks(claim, 1)
    for one in made:
        if (one["row"]["norm.kind"], one["row"]["seed"]) == ("none", 104):
            one["probes"] = []
    found = [one for one in parts(claim, evidence_of(made)).values() if "rate of" not in one.part]
    assert {one.effect.n for one in found} == {9}
    assert all("eft out" in one.sentence for one in found)
