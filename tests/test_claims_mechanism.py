"""The claims on why BN works give each of their verdicts; five seeds are never enough."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from made_trial import REPORT_SEEDS, TUNE_SEEDS, judged, noise, trial_of
from synthetic import rising, run

from bnexp.analysis.claims import mechanism
from bnexp.analysis.claims.model import Finding
from bnexp.analysis.measures import MeasureError
from bnexp.analysis.statistics import (
    CONTRADICTED,
    INCONCLUSIVE,
    SUPPORTED,
    t_interval,
)
from bnexp.folders.runs import DIVERGED

Made = list[dict[str, Any]]
BY_ID = {claim.id: claim for claim in mechanism.CLAIMS}
VERDICT = {1: SUPPORTED, -1: CONTRADICTED, 0: INCONCLUSIVE}
SEEDS = 10


def lead(arm: int, sign: int) -> float:
    """What an arm is better by, if the second is to be better (1), worse (-1) or as good (0)."""
    return sign * (arm - 0.5)


def weight_scale(sign: int, seeds: int = SEEDS, kinds: tuple[str, str] = ("none", "batch")) -> Made:
    exponents = {1: -1.0, -1: -0.5, 0: -1.04}
    made = []
    for kind, scale, seed in itertools.product(kinds, (1.0, 10.0, 100.0), range(seeds)):
        exponent = exponents[sign] + (0.01 if sign else 0.03) * noise(0, seed)
        growth = 2 ** (0.5 * sign * (scale == 1) + 0.2 * noise(int(scale), seed))
        probes = [
            (step, "gradients", layer, statistic, value)
            for layer in "123"
            for step, statistic, value in (
                (0, "gradient_norm", scale**exponent),
                (0, "weight_norm", scale),
                (2000, "weight_norm", scale * growth),
            )
        ]
        config = {"norm.kind": kind, "init.scale": scale}
        made.append(run(config, rising(0.9), seed=seed, sweep="weight_scale", probes=probes))
    return made


GRADIENTS = {
    f"norm.gradient={kind}": {"norm.gradient": kind} for kind in ("full", "no_mean", "none")
}


def biases(arm: int, sign: int, seed: int) -> Iterator[tuple[int, str, str, str, float]]:
    """‖b‖ goes up from step 1,000 on, and more so later; or down; or neither."""
    end = {1: 4.0, -1: 0.5, 0: 1.0}[sign] * 2 ** (0.2 * noise(arm, seed))
    middle = {1: 1.5, -1: 0.8, 0: end / 2 + 0.1 * noise(arm + 1, seed)}[sign]
    for (step, value), layer in itertools.product(
        ((0, 0.0), (1000, 1.0), (5000, middle), (10000, end)), "123"
    ):
        yield step, "gradients", layer, "bias_norm", value * (arm > 0)


def outside_gradient(sign: int, seeds: int = SEEDS) -> Made:
    made = []
    for (arm, config), seed in itertools.product(
        enumerate(GRADIENTS.values()), REPORT_SEEDS[:seeds]
    ):
        loss = 0.5 + 0.1 * sign * (arm > 0) + 0.02 * noise(arm if arm < 2 else 1, seed)
        made.append(
            run(
                {**config, "norm.kind": "batch", "optimizer.lr": 1.0, "trainer.steps": 10000},
                [0.9],
                losses=[loss],
                seed=seed,
                sweep="outside_gradient",
                probes=biases(arm, sign, seed),
            )
        )
    return made


POSITIONS = {f"norm.position={place}": {"norm.position": place} for place in ("post", "pre")}
ACTIVATIONS = {
    f"model.activation={kind}": {"model.activation": kind} for kind in ("sigmoid", "relu")
}


def drifting(arm: int, sign: int, seed: int) -> Iterator[tuple[int, str, str, str, float]]:
    move = 0.1 * 2 ** (-lead(arm, sign) + 0.2 * noise(arm, seed))
    for step, layer in itertools.product(range(0, 3001, 500), "123"):
        for statistic in ("median_move", "spread_move"):
            yield step, "activations", layer, statistic, move
        yield step, "activations", layer, "spread", 2.0


def position(sign: int, seeds: int = SEEDS) -> Made:
    """At rate 3 the worse place diverges on all seeds but one, and all else trains."""
    made = []
    cells = itertools.product(ACTIVATIONS.values(), enumerate(POSITIONS.values()), (1.0, 3.0))
    for activation, (arm, place), rate in cells:
        dies = {1: (5, 0), -1: (0, 5), 0: (3, 3)}[sign][arm]
        for seed in (*TUNE_SEEDS[:seeds], *REPORT_SEEDS[:seeds]):
            place_in_line = seed % 10 if arm == 0 else 5 - seed % 10
            if rate == 3 and place_in_line < dies and seed in TUNE_SEEDS:
                final, status = [], DIVERGED
            else:
                final = [0.9 + 0.02 * lead(arm, sign) + 0.003 * noise(arm, seed)]
                status = "finished"
            config = {"norm.kind": "batch", "optimizer.lr": rate, **activation, **place}
            probes = drifting(arm, sign, seed)
            one = run(config, final, seed=seed, sweep="position", status=status, probes=probes)
            made.append(one)
    return made


def momentum(sign: int, seeds: int = SEEDS) -> Made:
    made = []
    for decay, seed in itertools.product((0.5, 0.9, 0.999), range(seeds)):
        gap = 0.3 * sign + 0.05 * noise(0, seed)
        probes = [
            (step, "population", "", statistic, value)
            for step in (0, 50, 500, 3000)
            for statistic, value in (
                ("loss_batch", 0.4),
                ("loss_population", 0.4 + gap if step == 500 else 9.0),
            )
        ]
        config = {"norm.kind": "batch", "norm.momentum": decay}
        made.append(run(config, rising(0.9), seed=seed, sweep="momentum", probes=probes))
    return made


ARMS = {f"norm={kind}": {"norm.kind": kind} for kind in ("none", "batch")}


def jacobian(sign: int, seeds: int = SEEDS) -> Made:
    made = []
    for (arm, config), seed in itertools.product(enumerate(ARMS.values()), REPORT_SEEDS[:seeds]):
        distance = math.log(2) * 2 ** (-2 * lead(arm, sign) + 0.2 * noise(arm, seed))
        probes = [
            (step, "jacobian", layer, statistic, distance)
            for step in (0, 1000, 3000)
            for layer in "23"
            for statistic in ("median_abs_log", "condition")
        ]
        config = {**config, "optimizer.lr": 1.0}
        made.append(run(config, [0.9], seed=seed, sweep="jacobian", probes=probes))
    return made


SCENARIOS: dict[str, Callable[..., Made]] = {
    "large-weights-small-gradients": weight_scale,
    "normalize-inside-gradient": outside_gradient,
    "before-nonlinearity": position,
    "moving-average-lag": momentum,
    "jacobian": jacobian,
}
TRIALS: dict[str, dict[str, Any]] = {
    "normalize-inside-gradient": {"arms": GRADIENTS},
    "before-nonlinearity": {"arms": POSITIONS, "conditions": ACTIVATIONS},
    "jacobian": {"arms": ARMS},
}
PRIMARY = {
    "large-weights-small-gradients": "batch",
    "normalize-inside-gradient": "no gradient through μ, loss",
    "before-nonlinearity": "activation=sigmoid, accuracy",
    "moving-average-lag": "decay 0.999",
    "jacobian": "",
}


def found(claim: str, made: Made, **trial: Any) -> list[Finding]:
    record = trial_of(made, **TRIALS[claim], **trial) if claim in TRIALS else None
    return list(BY_ID[claim].judge(judged(made, record)))


def by_part(claim: str, made: Made, **trial: Any) -> dict[str, Finding]:
    return {finding.part: finding for finding in found(claim, made, **trial)}


def test_every_claim_has_a_scenario():
    assert list(SCENARIOS) == list(BY_ID) == list(PRIMARY)


@pytest.mark.parametrize("sign", [1, -1, 0])
@pytest.mark.parametrize("claim", SCENARIOS)
def test_every_part_has_its_verdict(claim: str, sign: int):
    parts = [one for one in found(claim, SCENARIOS[claim](sign)) if not one.beside]
    assert {one.part: one.verdict for one in parts} == {one.part: VERDICT[sign] for one in parts}
    assert [one.part for one in parts if one.primary] == [PRIMARY[claim]]
    for one in parts:
        assert (one.p < 0.05) == bool(sign)


@pytest.mark.parametrize("claim", SCENARIOS)
def test_five_seeds_are_never_enough(claim: str):
    parts = [one for one in found(claim, SCENARIOS[claim](1, 5)) if not one.beside]
    assert {(one.verdict, one.effect.n) for one in parts} == {(INCONCLUSIVE, 5)}


@pytest.mark.parametrize("claim", SCENARIOS)
def test_sentences_and_effects_are_whole(claim: str):
    for one in found(claim, SCENARIOS[claim](1)):
        assert "nan" not in one.sentence
        assert "Could have told " in one.sentence
        assert one.sentence.endswith(".")
        assert np.isfinite([one.effect.mean, one.effect.low, one.effect.high, one.p]).all()
        assert one.measure
        assert one.unit


@pytest.mark.parametrize("claim", SCENARIOS)
def test_without_its_probes_or_its_trial_a_claim_says_so(claim: str):
    bare = [{**one, "probes": []} for one in SCENARIOS[claim](1)]
    with pytest.raises(MeasureError, match="without probes="):
        found(claim, bare)
    if claim in TRIALS:
        with pytest.raises(MeasureError, match="no trial"):
            list(BY_ID[claim].judge(judged(SCENARIOS[claim](1))))


@pytest.mark.parametrize("claim", TRIALS)
def test_an_edge_of_the_grid_is_told(claim: str):
    parts = by_part(claim, SCENARIOS[claim](1), edges={"optimizer.lr": "highest"})
    primary = parts[PRIMARY[claim]]
    assert "optimizer.lr=1 (the highest tried)" in primary.sentence


def test_a_diverged_network_has_the_test_loss_of_guessing():
    made = outside_gradient(1)
    for one in made:
        one["row"]["classes"] = 4
        if one["row"]["norm.gradient"] == "no_mean":
            one["row"] |= {"status": DIVERGED, "test_log_loss": None, "test_accuracy": None}
    finding = by_part("normalize-inside-gradient", made)[PRIMARY["normalize-inside-gradient"]]
    assert finding.effect.n == SEEDS
    assert finding.effect.mean == pytest.approx(math.log(4) - 0.5)
    assert "Diverged, counted as chance: 10 of 10 runs with norm.gradient=no_mean" in (
        finding.sentence
    )


def test_the_bias_grows_in_factors_from_step_1000_on():
    finding = by_part("normalize-inside-gradient", outside_gradient(1))[
        "no gradient through μ, ‖b‖"
    ]
    assert finding.effect.mean == pytest.approx(2)
    assert "With norm.gradient=full it ends at 0." in finding.sentence


def test_what_is_normalized_before_the_nonlinearity_is_judged_for_each_activation():
    made = position(1)
    worse = [one for one in position(-1) if one["row"]["model.activation"] == "relu"]
    made = [one for one in made if one["row"]["model.activation"] == "sigmoid"] + worse
    parts = by_part("before-nonlinearity", made)
    assert parts["activation=sigmoid, accuracy"].verdict == SUPPORTED
    assert parts["activation=relu, accuracy"].verdict == CONTRADICTED
    assert not parts["activation=relu, accuracy"].primary


def test_shares_and_rates_are_of_the_tuning_seeds():
    parts = by_part("before-nonlinearity", position(1))
    share = parts["activation=sigmoid, diverged at 3"]
    assert (share.effect.n, share.effect.mean) == (6, pytest.approx(100 * 5 / 6))
    rates = parts["activation=sigmoid, largest rate"]
    assert rates.effect.mean == pytest.approx(5 / 6 * math.log2(3))
    assert "The highest tried trains for 6 of 6 seeds before and 1 of 6 after." in rates.sentence


def test_singular_values_are_judged_against_a_factor_of_two():
    """BN's lie farther from 1 than that, and yet nearer to it than those without."""
    made = jacobian(1)
    for one in made:
        one["probes"] = [(*place, 4 * value) for *place, value in one["probes"]]
    parts = by_part("jacobian", made)
    assert parts[""].verdict == CONTRADICTED
    assert parts["against none"].verdict == SUPPORTED


@pytest.mark.parametrize("infinite", [math.nan, math.inf, 1e30])
def test_a_singular_matrix_counts_as_the_worst_and_is_not_left_out(infinite):
    def effect(value):
        made = jacobian(1)
        for one in made:
            if one["row"]["norm.kind"] == "none":
                one["probes"] = [
                    (*place, value if place[2:] == ["2", "condition"] else number)
                    for *place, number in one["probes"]
                ]
        return by_part("jacobian", made)["condition"].effect

    assert effect(infinite).mean == effect(1 / np.finfo(float).eps).mean
    assert effect(infinite).n == SEEDS


def test_runs_that_died_before_they_had_a_value_are_told():
    made = momentum(1)
    made[-1]["probes"] = [row for row in made[-1]["probes"] if row[0] < 500]
    made[-1]["row"]["status"] = DIVERGED
    finding = by_part("moving-average-lag", made)["decay 0.999"]
    assert finding.effect.n == SEEDS - 1
    assert "Diverged: 1 of 10 runs with decay 0.999." in finding.sentence
    assert "Without a value, and so left out: 1 of 10 runs" in finding.sentence


def test_the_arms_are_those_that_were_run():
    parts = by_part("large-weights-small-gradients", weight_scale(1, kinds=("none", "layer")))
    assert parts["layer"].primary
    assert parts["none"].beside
    assert "With norm=layer the gradient's norm" in parts["layer"].sentence


@pytest.mark.parametrize(
    ("middle", "spread", "n", "verdict"),
    [
        (-1.0, 0.02, 6, SUPPORTED),
        (-0.98, 0.05, 6, INCONCLUSIVE),
        (-0.8, 0.05, 6, CONTRADICTED),
        (-1.3, 0.05, 6, CONTRADICTED),
        (-1.0, 0.02, 5, INCONCLUSIVE),
    ],
)
def test_within(middle: float, spread: float, n: int, verdict: str):
    effect = t_interval(middle + spread * np.linspace(-1, 1, n))
    told, p = mechanism.within(effect, -1.0, 0.05)
    assert told == verdict
    assert (p < 0.05) == (verdict != INCONCLUSIVE) or n == 5
