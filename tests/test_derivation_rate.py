"""A second derivation of `effective_rate`, from docs/claims.md and packed files alone."""

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import CONF
from derived import (
    FIRST_REPORT_SEED,
    committed_claims,
    interval,
    p_value,
    points,
    setting,
    with_tables,
)
from derived_trials import Part, check_beside, check_holm, check_row, check_whole

PRESET = yaml.safe_load((CONF / "experiment" / "effective_rate.yaml").read_text(encoding="utf-8"))
RATES = PRESET["trial"]["tune"]["optimizer.lr"]
CHOSEN = {"batch": {"sgd": 0.3, "fixed_norm": 0.3}, "none": {"sgd": 1, "fixed_norm": 0.3}}
MARGIN = 0.2


class NotEqual(Part):
    """R(margin) on either side, and contradicted where E(margin) says equal."""

    @property
    def verdict(self) -> str:
        low, high = interval(self.values)
        if low > MARGIN or high < -MARGIN:
            return "supported"
        return "contradicted" if Part(self.values, margin=MARGIN).holds else "inconclusive"

    @property
    def p(self) -> float:
        return p_value(self.values, np.copysign(MARGIN, self.values.mean()))


@pytest.fixture(scope="module")
def claims() -> pd.DataFrame:
    return committed_claims()


@pytest.fixture(scope="module")
def judged(claims) -> pd.DataFrame:
    return claims[claims["sweep"] == "effective_rate"].set_index("part")


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    found = with_tables("effective_rate")
    probed = setting(found, "probes.record").map(bool)
    return found.assign(optimizer=setting(found, "optimizer"), probed=probed)


def report(runs: pd.DataFrame, arm: str, optimizer: str, rate: float) -> pd.DataFrame:
    mine = (runs["arm"] == arm) & (runs["optimizer"] == optimizer) & (runs["lr"] == rate)
    found = runs[mine & (runs.index >= FIRST_REPORT_SEED)]
    assert list(found.index) == list(range(100, 110)) and found["probed"].all()
    return found


def pair(runs: pd.DataFrame, arm: str, rates: dict[str, float]) -> list[pd.DataFrame]:
    """Fixed norm and L2."""
    return [report(runs, arm, kind, rates[kind]) for kind in ("fixed_norm", "sgd")]


def at_the_rate_of_l2(arm: str) -> dict[str, float]:
    return dict.fromkeys(CHOSEN[arm], CHOSEN[arm]["sgd"])


# --- what the runs are


def test_runs_are_those_that_the_preset_asks_for(runs):
    for group in ("norm", "trainer"):
        of = runs[runs["arm"] == "batch"] if group == "norm" else runs
        for name, value in PRESET[group].items():
            assert (setting(of, f"{group}.{name}") == value).all(), name
    assert (setting(runs[runs["probed"]], "probes.every") == 500).all()
    assert (setting(runs[runs["optimizer"] == "sgd"], "optimizer.weight_decay") == 0.0005).all()
    assert (setting(runs[runs["optimizer"] != "sgd"], "optimizer.l2") == 0.0005).all()
    assert (runs["schedule"] == "constant").all() and (runs["stddev"] == 0.05).all()
    assert runs["config"].map(lambda one: one["model"]["hidden"] == [100, 100, 100]).all()
    assert (setting(runs, "model.activation") == "sigmoid").all()
    assert (runs["status"] == "finished").all() and (runs["made"] == 10_000).all()
    assert len(runs) == 4 * 5 * 2 + 4 * 2 + (4 + 2) * 10


@pytest.mark.parametrize("arm", CHOSEN)
@pytest.mark.parametrize("optimizer", ["sgd", "fixed_norm"])
def test_each_chose_its_rate_on_validation_from_a_grid_that_did_not_grow(runs, arm, optimizer):
    mine = runs[(runs["arm"] == arm) & (runs["optimizer"] == optimizer)]
    tuning = mine[(mine.index < FIRST_REPORT_SEED) & ~mine["probed"]]
    assert sorted(tuning["lr"]) == sorted(2 * RATES)
    scores = tuning.groupby("lr")["validation"].mean()
    assert scores.idxmax() == CHOSEN[arm][optimizer]
    assert scores.index.min() < scores.idxmax() < scores.index.max()
    again = mine[(mine.index < FIRST_REPORT_SEED) & mine["probed"]]
    assert list(again["lr"]) == 2 * [scores.idxmax()]  # probed, and alike but for that
    assert list(again["test"]) == list(tuning.loc[tuning["lr"] == scores.idxmax(), "test"])


def test_under_bn_both_take_one_course_of_the_effective_rate(runs):
    def course(one: pd.DataFrame) -> pd.Series:
        return one.set_index(["step", "layer"])["value"]

    for ours, theirs in zip(
        *(one["probes"] for one in pair(runs, "batch", CHOSEN["batch"])), strict=True
    ):
        ratio = course(ours) / course(theirs)
        assert len(ratio) == 21 * 3 and (np.abs(np.log(ratio)) < 0.01).all()


# --- the parts


def accuracy(runs: pd.DataFrame, arm: str, rates: dict[str, float]) -> pd.Series:
    """Of fixed norm less that of L2, on test."""
    return points(*pair(runs, arm, rates))


@pytest.fixture(scope="module")
def parts(runs) -> dict[str, Part]:
    found = {}
    for where, rates in (("", at_the_rate_of_l2), (", own rates", CHOSEN.__getitem__)):
        under, without = (accuracy(runs, arm, rates(arm)) for arm in ("batch", "none"))
        found[f"with BN{where}"] = Part(under, margin=MARGIN)
        found[f"without BN{where}"] = NotEqual(without)
    return found


def test_every_part_that_was_judged_is_derived(parts, judged):
    assert set(judged.index) == {"", *parts, "with BN, loss", "without BN, loss"}
    assert (judged["settings"] == "").all()


def test_every_part_is_that_of_a_second_derivation(parts, judged):
    for name, part in parts.items():
        check_row(judged.loc[name], part)
        assert "Margin 0.2 percentage points. " in judged.loc[name, "sentence"]
    check_whole(judged.loc[""], {name: parts[name] for name in ("with BN", "without BN")})
    assert judged.loc["with BN", "verdict"] == "equal"
    assert judged.loc["without BN", "verdict"] == "supported"


def test_the_primary_verdict_after_holm_is_that_of_a_second_derivation(claims):
    assert check_holm(claims, "effective_rate") == {"effective-learning-rate": "supported"}


@pytest.mark.parametrize(("arm", "words"), [("batch", "with BN"), ("none", "without BN")])
def test_accuracies_and_losses_are_those_of_a_second_derivation(runs, judged, arm, words):
    fixed, l2 = pair(runs, arm, at_the_rate_of_l2(arm))
    check_beside(judged.loc[f"{words}, loss"], fixed["loss"] - l2["loss"])
    norm = " + BN" if arm == "batch" else ""
    assert (
        f"Test accuracy is {100 * fixed['test'].mean():.2f}% with fixed norm{norm} and "
        f"{100 * l2['test'].mean():.2f}% with L2{norm}"
    ) in judged.loc[words, "sentence"]
    assert (
        f"The test loss is {fixed['loss'].mean():.4g} with fixed norm{norm} and "
        f"{l2['loss'].mean():.4g} with L2{norm}"
    ) in judged.loc[f"{words}, loss", "sentence"]


def test_without_bn_a_fixed_norm_is_worse_at_every_seed(runs):
    assert (accuracy(runs, "none", at_the_rate_of_l2("none")) < -10).all()
    assert (accuracy(runs, "none", CHOSEN["none"]) < -5).all()
