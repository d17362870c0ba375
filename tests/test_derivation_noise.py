"""A second derivation of noisy_bn, from packed files alone, and what docs say of it."""

import numpy as np
import pandas as pd
import pytest
from derived import (
    FIRST_REPORT_SEED,
    by_rule_r,
    committed_claims,
    effect_in_words,
    interval,
    stands,
    with_tables,
)

CHOSEN = {"none": 3, "batch": 10, "noisy": 10}


@pytest.fixture(scope="module")
def judged() -> pd.DataFrame:
    found = committed_claims()
    return found[found["sweep"] == "noisy_bn"].set_index("part")


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    return with_tables("noisy_bn")


def first_at_95(history: pd.DataFrame) -> float:
    return float(history.loc[history["val_accuracy"] >= 0.95, "step"].min())


def report(runs: pd.DataFrame, arm: str) -> pd.DataFrame:
    found = runs[(runs.index >= FIRST_REPORT_SEED) & (runs["arm"] == arm)]
    assert list(found.index) == list(range(100, 110))
    assert set(found["lr"]) == {CHOSEN[arm]}
    return found


def steps(runs: pd.DataFrame, arm: str) -> pd.Series:
    return report(runs, arm)["history"].map(first_at_95)


def path(runs: pd.DataFrame, arm: str, since: int = 1000, until: int = 10_000) -> pd.Series:
    """How far the median of the last layer's inputs goes, from step 1,000 on."""

    def length(probes: pd.DataFrame) -> float:
        moves = probes[(probes["statistic"] == "median_move") & (probes["layer"] == 3)]
        then = (moves["step"] > since) & (moves["step"] <= until)
        return float(moves.loc[then, "value"].sum())

    return report(runs, arm)["probes"].map(length)


def test_each_arm_chose_the_rate_with_the_fewest_steps(runs):
    tuning = runs[runs.index < FIRST_REPORT_SEED]
    for arm, rate in CHOSEN.items():
        mine = tuning[tuning["arm"] == arm]
        late = mine["history"].map(first_at_95).fillna(10_000)
        assert np.log(late).groupby(mine["lr"]).mean().idxmin() == rate


def test_every_part_is_that_of_a_second_derivation(runs, judged):
    drift = np.log2(path(runs, "noisy") / path(runs, "none"))  # the pooled spread cancels
    faster = np.log2(steps(runs, "noisy") / steps(runs, "batch"))
    for part, values in (("drift, median", drift), ("steps", faster)):
        found = (values.mean(), *interval(values))
        row = judged.loc[part]
        assert (row["effect"], row["low"], row["high"]) == pytest.approx(found, rel=1e-5)
    assert by_rule_r(drift) == judged.loc["drift, median", "verdict"] == "supported"
    low, high = interval(faster, 0.9)
    assert -0.32 < low < high < 0.32 and judged.loc["steps", "verdict"] == "equal"
    assert judged.loc["", "verdict"] == "supported"
    assert judged.loc["", "effect"] == judged.loc["steps", "effect"]


def test_what_docs_say_of_noise_is_what_the_runs_say(runs, judged):
    medians = {arm: f"{steps(runs, arm).median():,.0f}" for arm in CHOSEN}
    drift = np.log2(path(runs, "noisy") / path(runs, "none"))
    faster = np.log2(steps(runs, "noisy") / steps(runs, "batch"))
    stands(
        f"{medians['noisy']} steps and BN in {medians['batch']} (medians), log2 "
        f"{effect_in_words(faster)} paired by seed",
        f"the network without BN takes {medians['none']}",
        f"log2 {effect_in_words(drift)}. Yet",
    )
    assert "wanders 3.88 pooled spreads against 1.38" in judged.loc["drift, median", "sentence"]


def test_what_docs_say_of_inputs_before_95_percent_is_what_the_probe_saw(runs):
    assert max(steps(runs, arm).median() for arm in ("batch", "noisy")) < 1000
    early = {arm: path(runs, arm, 500, 1000) for arm in CHOSEN}
    others = [np.log2(early["noisy"] / early[arm]) for arm in ("batch", "none")]
    stands(
        f"wander more with the noise than with BN, log2 {effect_in_words(others[0])}, and not "
        f"more that could be told than without BN, {effect_in_words(others[1])}"
    )
