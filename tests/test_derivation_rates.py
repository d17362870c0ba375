"""A second derivation of learning_rate, from docs/claims.md and the packed runs alone."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import yaml
from derived import (
    agrees,
    by_rule_r,
    committed_claims,
    holm,
    judged,
    of_sweep,
    p_value,
    row_in_words,
    setting,
    stands,
)
from derived_trial import preset

CLAIM = "higher-learning-rate"
BOUND, STEP = 1, 1  # both in log2: twice as high, and the grid's own step
HALF_OF_GUESSING = math.log(10) / 2
AT = {20_000: "", 5_000: ", step 5000"}  # steps, and how a part is named for them
BY = ["activation", "stddev"]
PRIMARY = "activation=sigmoid, stddev=0.05"
COLUMNS = ("history.csv:step", "history.csv:train_loss")
SWEPT = {
    "norm": "arm",
    "model.activation": "activation",
    "init.stddev": "stddev",
    "optimizer.lr": "lr",
    "seed": "seed",
}


def loss_at(packed: dict[str, str | None], step: int) -> float:
    """On the training set; infinite where the run did not get there with a finite one."""
    steps, losses = ((packed[column] or "").splitlines() for column in COLUMNS)
    found = float(dict(zip(map(int, steps), losses, strict=True)).get(step) or "inf")
    return found if math.isfinite(found) else math.inf


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    rows = [
        row | {step: loss_at(packed, step) for step in AT}
        for packed, row in of_sweep("learning_rate", list(COLUMNS))
    ]
    found = pd.DataFrame(rows)
    return found.assign(activation=setting(found, "model.activation"))


def largest(runs: pd.DataFrame, arm: str, step: int) -> pd.Series:
    """The rate, by seed, of those whose loss is below half of guessing's at this step."""
    trains = (runs["arm"] == arm) & (runs[step] < HALF_OF_GUESSING)
    return runs[trains].groupby("seed")["lr"].max()


@pytest.fixture(scope="module")
def rates(runs) -> dict[str, dict[str, pd.Series]]:
    """By part and arm."""
    return {
        f"activation={activation}, stddev={stddev:g}{AT[step]}": {
            arm: largest(mine, arm, step) for arm in ("none", "batch")
        }
        for (activation, stddev), mine in runs.groupby(BY)
        for step in AT
    }


@pytest.fixture(scope="module")
def parts(rates) -> dict[str, pd.Series]:
    """By part, a value for each seed."""
    return {part: np.log2(of["batch"] / of["none"]) for part, of in rates.items()}


@pytest.fixture(scope="module")
def claims() -> pd.DataFrame:
    return committed_claims()


# --- the comparison


def test_runs_are_those_that_the_preset_asks_for(runs):
    asked = preset("learning_rate")
    swept = asked["hydra"]["sweeper"]["params"]
    values = [yaml.safe_load(f"[{swept[key]}]") for key in SWEPT]
    assert len(runs) == 576
    cells = runs[list(SWEPT.values())].itertuples(index=False, name=None)
    assert sorted(cells) == sorted(itertools.product(*values))
    assert set(swept) == set(SWEPT)
    for group in ("norm", "trainer"):
        of = runs[runs["arm"] == "batch"] if group == "norm" else runs
        for name, value in asked[group].items():
            assert (setting(of, f"{group}.{name}") == value).all(), (group, name)
    assert runs["config"].map(lambda one: one["model"]["hidden"] == [100, 100, 100]).all()
    assert (runs["schedule"] == "constant").all()
    died = runs["status"] == "diverged"
    assert set(runs.loc[~died, "status"]) == {"finished"}
    assert (runs.loc[died, 20_000] == np.inf).all()


def test_every_part_is_that_of_a_second_derivation(parts, claims):
    assert set(claims.loc[claims["claim"] == CLAIM, "part"]) == set(parts)
    for part, values in parts.items():
        row = judged(claims, CLAIM, part)
        agrees(row, values, p_value(values, BOUND, STEP), STEP, BOUND)
        assert row["n"] == 6 and row["null"] == BOUND, part
        assert row["verdict"] == by_rule_r(values, BOUND, STEP), part
        assert row["primary"] == (part == PRIMARY), part


def test_holms_correction_is_that_of_a_second_derivation(claims):
    corrected = holm(claims)
    row = claims[(claims["claim"] == CLAIM) & (claims["part"] == PRIMARY)].squeeze()
    assert row["p_holm"] == pytest.approx(corrected[row.name])
    stands = row["verdict"] if row["p_holm"] < 0.05 else "inconclusive"
    assert row["verdict_holm"] == stands


def test_what_is_told_beside_is_that_of_a_second_derivation(runs, rates, parts, claims):
    """Medians, rates that trained to the end of the grid, runs that diverged, and rounding."""
    groups = {f"activation={a}, stddev={s:g}": one for (a, s), one in runs.groupby(BY)}
    for part, of in rates.items():
        told = judged(claims, CLAIM, part)["sentence"]
        with_bn, without = of["batch"].median(), of["none"].median()
        assert f"is {with_bn:g} with BN and {without:g} without (medians)" in told
        highest = (of["batch"] == runs["lr"].max()).sum()
        assert (f"For {highest} of 6 seeds the highest tried still trains with BN" in told) == (
            highest > 0
        )
        died = (
            groups[part.removesuffix(AT[5_000])]
            .groupby("arm")["status"]
            .apply(lambda status: (status == "diverged").sum())
        )
        counts = f"{died['batch']} of 72 runs with BN, {died['none']} of 72 without"
        assert counts in told
        narrow = parts[part].nunique() == 1
        assert ("the interval is that of rounding" in told) == narrow


def test_what_docs_say_of_rates_is_what_the_runs_say(runs, rates, claims):
    primary = judged(claims, CLAIM, PRIMARY)
    stands(
        f"`learning_rate` ({len(runs)} runs) asks",
        f"| {CLAIM}: {PRIMARY} | {row_in_words(primary)} log2 ratio | {primary['verdict_holm']} |",
    )
    for activation, name in (("sigmoid", "sigmoids"), ("relu", "ReLUs")):
        for stddev in (0.05, 0.3):
            part = f"activation={activation}, stddev={stddev:g}"
            none, batch = (rates[part][arm].median() for arm in ("none", "batch"))
            told = row_in_words(judged(claims, CLAIM, part))
            stands(f"| {name}, σ {stddev:g} | {none:g} | {batch:g} | {told} |")
    assert round(2 ** primary["effect"]) == 5
