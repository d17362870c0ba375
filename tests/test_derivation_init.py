"""A second derivation of what `init` was judged, from docs/claims.md and the packed runs alone."""

import re

import pandas as pd
import pytest
import yaml
from conftest import CONF
from derived import (
    by_rule_r,
    committed_claims,
    detectable,
    holm,
    interval,
    p_value,
    setting,
    sign_flip_p,
)
from derived_init import SIGMAS, at_best_rate, begun, grid, network, passing, range_over

ARMS = {"without": "none", "with": "batch"}  # BN
PRESET = yaml.safe_load((CONF / "experiment" / "init.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def claims() -> pd.DataFrame:
    return committed_claims()


@pytest.fixture(scope="module")
def judged(claims) -> pd.DataFrame:
    return claims[claims["sweep"] == "init"].set_index(["claim", "part"])


# --- the parts: a value for each seed


@pytest.fixture(scope="module")
def parts() -> dict[tuple[str, str], pd.Series]:
    """By claim and part."""
    found = {}
    for sigma in SIGMAS:
        none, batch = (at_best_rate(begun(network("sigmoid", arm), sigma)) for arm in ARMS.values())
        found["less-saturation", f"σ = {sigma:g}"] = none["share"] - batch["share"]
        if sigma == 0.05:
            growth = (none["end"] - none["start"]) - (batch["end"] - batch["start"])
            found["less-saturation", "σ = 0.05, growth"] = growth
    for activation in ("sigmoid", "relu"):
        none, batch = (network(activation, arm) for arm in ARMS.values())
        part = f"activation={activation}"
        found["init-robust", f"{part}, range"] = range_over(none) - range_over(batch)
        found["init-robust", f"{part}, cells"] = passing(batch) - passing(none)
    return found


# --- the comparison


def test_runs_are_those_that_the_preset_asks_for():
    runs = grid()
    asked = PRESET["hydra"]["sweeper"]["params"]
    rates = [float(rate) for rate in asked["optimizer.lr"].split(",")]
    sigmas = [float(sigma) for sigma in asked["init.stddev"].split(",")]
    begins = [*sigmas, *[kind for kind in asked["init"].split(",") if kind != "gaussian"]]
    assert sigmas == list(SIGMAS) and len(begins) == 7
    for activation in asked["model.activation"].split(","):
        for arm in asked["norm"].split(","):
            for weights in begins:
                mine = begun(network(activation, arm), weights)
                found = sorted(zip(mine["lr"], mine.index, strict=True))
                assert found == [(rate, seed) for rate in rates for seed in range(6)]
    assert len(runs) == 2 * 2 * 7 * 10 * 6 == 1680
    for group in ("norm", "probes", "trainer"):
        of = runs[runs["arm"] == "batch"] if group == "norm" else runs
        for name, value in PRESET[group].items():
            assert (setting(of, f"{group}.{name}") == value).all(), (group, name)
    assert runs["config"].map(lambda one: one["model"]["hidden"] == [100, 100, 100]).all()
    assert (runs["schedule"] == "constant").all()
    died = runs["status"] == "diverged"
    assert set(runs.loc[~died, "status"]) == {"finished"}
    assert (runs.loc[~died, "made"] == 5000).all() and runs.loc[~died, "share"].notna().all()


def test_every_part_that_was_judged_is_derived(parts, judged):
    assert set(judged.index) == set(parts)
    assert len(parts) == len(judged) == 10


def test_effects_intervals_and_verdicts_are_those_of_a_second_derivation(parts, judged):
    for key, values in parts.items():
        row = judged.loc[key]
        assert row["n"] == len(values) == 6 and not row["beside"], key
        found, told = (values.mean(), *interval(values)), tuple(row[["effect", "low", "high"]])
        assert told == pytest.approx(found, rel=1e-6, abs=1e-9), key
        assert row["detectable"] == pytest.approx(detectable(values), rel=1e-5, abs=1e-9), key
        assert row["verdict"] == by_rule_r(values) == "supported", key
        assert f"sign-flip p = {sign_flip_p(values):.2g}" in row["sentence"], key


def test_p_values_and_holms_correction_are_those_of_a_second_derivation(parts, judged, claims):
    for key, values in parts.items():
        assert judged.loc[key, "p"] == pytest.approx(p_value(values), rel=1e-6), key
    corrected = holm(claims)
    mine = claims[(claims["sweep"] == "init") & claims["primary"].astype(bool)]
    assert list(zip(mine["claim"], mine["part"], strict=True)) == [
        ("less-saturation", "σ = 0.05"),
        ("init-robust", "activation=sigmoid, range"),
    ]
    assert list(mine["p_holm"]) == pytest.approx(list(corrected[mine.index]))
    assert (mine["p_holm"] < 0.05).all() and (mine["verdict_holm"] == "supported").all()


# --- what is told beside an effect


def test_levels_of_both_arms_are_those_of_a_second_derivation(judged):
    for sigma in SIGMAS:
        best = {
            arm: at_best_rate(begun(network("sigmoid", arm), sigma)) for arm in ("none", "batch")
        }
        rates = {arm: runs["lr"].iloc[0] for arm, runs in best.items()}
        told = judged.loc[("less-saturation", f"σ = {sigma:g}"), "sentence"]
        assert (
            f"is {best['batch']['share'].mean():.2f}% with BN and "
            f"{best['none']['share'].mean():.2f}% without (learning rates {rates['none']:g} "
            f"without BN, {rates['batch']:g} with BN"
        ) in told
        for words, arm in ARMS.items():
            assert (f"{words} BN the highest tried" in told) == (rates[arm] == 3), (sigma, arm)
    for activation in ("sigmoid", "relu"):
        none, batch = (network(activation, arm) for arm in ARMS.values())
        part = f"activation={activation}"
        assert (
            f"varies by {range_over(batch).mean():.2f} points over σ with BN, by "
            f"{range_over(none).mean():.2f} without"
        ) in judged.loc[("init-robust", f"{part}, range"), "sentence"]
        assert (
            f"{passing(batch).mean():.3g} of the cells of initialization and learning rate pass "
            f"90% with BN, {passing(none).mean():.3g} without"
        ) in judged.loc[("init-robust", f"{part}, cells"), "sentence"]


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_best_rates_at_an_edge_are_those_of_a_second_derivation(judged, activation):
    told = judged.loc[("init-robust", f"activation={activation}, range"), "sentence"]
    for words, arm in ARMS.items():
        best = {s: at_best_rate(begun(network(activation, arm), s))["lr"].iloc[0] for s in SIGMAS}
        edges = {0.0001: "lowest", 3: "highest"}
        found = [f"σ = {s:g} ({edges[rate]})" for s, rate in best.items() if rate in edges]
        listed = re.search(rf"Best rate {words} BN at an edge of those tried: (.*?)\. ", told)
        assert (listed[1].split(", ") if listed else []) == found, (activation, arm)


def test_runs_that_diverged_are_those_of_a_second_derivation(judged):
    for activation in ("sigmoid", "relu"):
        died = [
            (network(activation, arm)["status"] == "diverged").sum() for arm in ("batch", "none")
        ]
        told = judged.loc[("init-robust", f"activation={activation}, cells"), "sentence"]
        counted = f"{died[0]} of 420 runs with BN, {died[1]} of 420 runs without"
        assert (counted in told) == (sum(died) > 0)
        assert ("Diverged" in told) == (sum(died) > 0)
