"""A second derivation of what weight_scale, outside_gradient, momentum and jacobian were judged.

Plain pandas and SciPy, from the rules of docs/claims.md and the packed files alone.
"""

import itertools

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import CONF
from derived import (
    arms,
    by_rule_r,
    committed_claims,
    detectable,
    holm,
    interval,
    norm_of,
    population_loss,
    probed,
    setting,
    sign_flip_p,
    with_tables,
)
from scipy import stats

SWEEPS = ["weight_scale", "outside_gradient", "momentum", "jacobian"]


@pytest.fixture(scope="module")
def claims() -> pd.DataFrame:
    return committed_claims()


@pytest.fixture(scope="module")
def judged(claims) -> pd.DataFrame:
    return claims[claims["sweep"].isin(SWEEPS)].set_index(["claim", "part"])


# --- the parts: a value for each seed


def weight_scale(runs: pd.DataFrame) -> dict[str, pd.Series]:
    found = {}
    for arm, mine in runs.groupby("arm"):
        scales = [one for _, one in mine.groupby("scale")]
        weights = [probed(one, "weight_norm", 0) for one in scales]
        gradients = [probed(one, "gradient_norm", 0) for one in scales]
        found[arm] = pd.Series(
            {
                seed: np.mean([slope(weights, gradients, seed, layer) for layer in (1, 2, 3)])
                for seed in weights[0].index
            }
        )
        growth = [norm_of(probed(one, "weight_norm", 2000)) for one in scales]
        growth = [end / norm_of(start) for end, start in zip(growth, weights, strict=True)]
        found[f"{arm}, ‖W‖"] = np.log2(growth[0] / growth[-1])
    return found


def slope(weights: list, gradients: list, seed: int, layer: int) -> float:
    x, y = (np.log([one.loc[seed, layer] for one in norms]) for norms in (weights, gradients))
    return float(stats.linregress(x, y).slope)


def outside_gradient(runs: pd.DataFrame) -> dict[str, pd.Series]:
    found, of = {}, arms(runs, "norm.gradient")
    for arm, name in (("no_mean", "no gradient through μ"), ("none", "through neither μ nor σ")):
        found[f"{name}, loss"] = of[arm]["loss"] - of["full"]["loss"]
        start, early, half, end = (
            norm_of(probed(of[arm], "bias_norm", step)) for step in (0, 1000, 5000, 10000)
        )
        found[f"{name}, ‖b‖"] = np.log2(end / early)
        found[f"{name}, ‖b‖, last half"] = (end - half) - (half - start)
    return found


def momentum(runs: pd.DataFrame) -> dict[str, pd.Series]:
    found = {}
    for decay, mine in runs.groupby(setting(runs, "norm.momentum")):
        losses = (population_loss(mine, how, 500) for how in ("population", "batch"))
        found[f"decay {decay}"] = next(losses) - next(losses)
    return found


def jacobian(runs: pd.DataFrame) -> dict[str, pd.Series]:
    of = arms(runs, "norm")
    found = {}
    for step, when in ((10000, ""), (0, "at the start")):
        none, batch = (probed(of[arm], "median_abs_log", step) for arm in ("none", "batch"))
        found[when] = np.log(2) - batch.mean(axis=1)
        ratio = np.log2(none.mean(axis=1) / batch.mean(axis=1))
        found[", ".join(filter(None, (when, "against none")))] = ratio
        none, batch = (probed(of[arm], "condition", step) for arm in ("none", "batch"))
        largest = 1 / np.finfo(float).eps  # in place of what is not finite
        none, batch = (one.fillna(largest).clip(upper=largest) for one in (none, batch))
        ratio = np.log2(none.mean(axis=1) / batch.mean(axis=1))
        found[", ".join(filter(None, (when, "condition")))] = ratio
    return found


@pytest.fixture(scope="module")
def parts() -> dict[tuple[str, str], pd.Series]:
    """By claim and part."""
    derived = {
        "large-weights-small-gradients": weight_scale(with_tables("weight_scale")),
        "normalize-inside-gradient": outside_gradient(with_tables("outside_gradient")),
        "moving-average-lag": momentum(with_tables("momentum")),
        "jacobian": jacobian(with_tables("jacobian")),
    }
    return {(claim, part): found for claim in derived for part, found in derived[claim].items()}


# --- the rules


def is_slope(key: tuple[str, str]) -> bool:
    return key[0] == "large-weights-small-gradients" and "‖" not in key[1]


def verdict_of(key: tuple[str, str], values: pd.Series) -> str:
    if not is_slope(key):
        return by_rule_r(values)
    low, high = interval(values)
    if low > -1.05 and high < -0.95:
        return "supported"
    return "contradicted" if high < -1.05 or low > -0.95 else "inconclusive"


def p_of(key: tuple[str, str], values: pd.Series) -> float:
    """Two-sided; of a slope that of its 95% interval's being within the margin."""
    if not is_slope(key):
        return stats.ttest_1samp(values, 0).pvalue
    above = stats.ttest_1samp(values, -1.05, alternative="greater").pvalue
    below = stats.ttest_1samp(values, -0.95, alternative="less").pvalue
    return 2 * max(above, below)


# --- the comparison


def test_every_part_that_was_judged_is_derived(parts, judged):
    assert set(judged.index) == set(parts)
    assert len(parts) == len(judged) == 20


def test_effects_intervals_and_verdicts_are_those_of_a_second_derivation(parts, judged):
    for key, values in parts.items():
        row = judged.loc[key]
        assert (
            row["n"] == len(values) == (6 if row["sweep"] in ("weight_scale", "momentum") else 10)
        )
        found = (values.mean(), *interval(values), detectable(values))
        told = tuple(row[["effect", "low", "high", "detectable"]])
        assert told == pytest.approx(found, rel=1e-6, abs=1e-9), key
        assert row["verdict"] == ("" if row["beside"] else verdict_of(key, values)), key
        told_p = f"sign-flip p = {sign_flip_p(values + is_slope(key)):.2g}"
        assert told_p in row["sentence"], key


def test_p_values_and_holms_correction_are_those_of_a_second_derivation(parts, judged, claims):
    for key, values in parts.items():
        if not judged.loc[key, "beside"]:
            assert judged.loc[key, "p"] == pytest.approx(p_of(key, values), rel=1e-6), key
    corrected = holm(claims)
    mine = claims[claims["primary"].astype(bool) & claims["sweep"].isin(SWEEPS)]
    assert len(mine) == 4
    assert list(mine["p_holm"]) == pytest.approx(list(corrected[mine.index]))
    assert (mine["p_holm"] < 0.05).all()
    assert (mine["verdict_holm"] == mine["verdict"]).all()


@pytest.mark.parametrize("sweep", SWEEPS)
def test_runs_are_those_that_the_preset_asks_for(sweep):
    preset = yaml.safe_load((CONF / "experiment" / f"{sweep}.yaml").read_text(encoding="utf-8"))
    mine = with_tables(sweep)
    assert (mine["status"] == "finished").all()
    normalized = mine[mine["arm"] != "none"]
    for group in ("norm", "optimizer", "trainer", "probes"):
        for name, value in preset.get(group, {}).items():
            of = normalized if group == "norm" else mine
            assert (setting(of, f"{group}.{name}") == value).all(), (group, name)
    assert mine["config"].map(lambda one: one["model"]["hidden"] == [100, 100, 100]).all()
    assert (setting(mine, "model.activation") == "sigmoid").all()
    assert (mine["stddev"] == 0.05).all() and (mine["schedule"] == "constant").all()
    if "trial" in preset:
        assert set(preset["trial"]["tune"]["optimizer.lr"]) <= set(mine["lr"])  # which may grow
    else:
        assert_is_the_grid(mine, preset["hydra"]["sweeper"]["params"])


def assert_is_the_grid(runs: pd.DataFrame, asked: dict[str, object]) -> None:
    grid = itertools.product(*(str(values).split(",") for values in asked.values()))
    listed = [tuple(yaml.safe_load(cell) for cell in cells) for cells in grid]
    made = [runs.index if key == "seed" else setting(runs, key) for key in asked]
    assert sorted(zip(*made, strict=True)) == sorted(listed)
