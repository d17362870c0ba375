"""A second derivation of the committed trials' verdicts: plain pandas and SciPy, from files alone.

Nothing of `bnexp.analysis` or `bnexp.sweeps` is used here but to be compared with.
"""

import math

import numpy as np
import pandas as pd
import pytest
from derived import (
    COMMITTED,
    PAGE,
    RAW_PAGE,
    by_rule_r,
    committed_claims,
    effect_in_words,
    interval,
    of_sweep,
    row_in_words,
    table,
)
from scipy import stats

from bnexp.analysis import load_runs, tables
from bnexp.analysis.claims.deep import figure3
from bnexp.analysis.claims.judge import judge
from bnexp.analysis.claims.table import claims_table

CELL = ["lr", "stddev", "schedule"]
PUBLISHED = {"stddev": 0.05, "schedule": "constant"}
FULL, SHORT = 50000, 10000


def reached(history: pd.DataFrame, target: float, budget: int) -> float:
    there = history.loc[history["val_accuracy"] >= target, "step"]
    return float(there.iloc[0]) if len(there) else float(budget)


def read() -> pd.DataFrame:
    """A row for each run of fig1: what it was, and what is to be compared."""
    rows = []
    for packed, row in of_sweep("fig1"):
        history = table(packed, "history.csv")
        row |= {target: reached(history, target, row["steps"]) for target in (0.9, 0.95, 0.97)}
        if packed["probes.csv"]:
            probes = table(packed, "probes.csv")
            late = probes[(probes["probe"] == "activations") & (probes["step"] > 1000)]
            late = late[late["layer"].astype(str) == "3"]
            for name in ("median", "spread"):
                row[name] = late.loc[late["statistic"] == f"{name}_move", "value"].sum()
        rows.append(row)
    return pd.DataFrame(rows)


def best(runs: pd.DataFrame, arm: str, score: pd.Series, fixed: dict[str, object]) -> pd.DataFrame:
    """The report runs of an arm with the best of the five best combinations."""
    mine = runs.assign(score=score)[runs["arm"] == arm]
    for key, value in fixed.items():
        mine = mine[mine[key] == value]
    tuning = mine[mine["seed"] < 100]
    short = tuning[tuning["steps"] == SHORT].groupby(CELL)["score"].mean()
    finalists = short.sort_values(ascending=False, kind="stable").index[:5]
    full = tuning[tuning["steps"] == FULL].groupby(CELL)["score"].mean()
    cell = full.reindex(finalists).sort_values(ascending=False, kind="stable").index[0]
    report = mine[(mine["seed"] >= 100) & (mine["steps"] == FULL)].set_index(CELL).loc[cell]
    return report.set_index("seed").sort_index()


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    return read()


@pytest.fixture(scope="module")
def told() -> pd.DataFrame:
    """What is judged of the committed runs now."""
    return claims_table(judge(load_runs(COMMITTED))).set_index(["sweep", "claim", "part"])


@pytest.fixture(scope="module")
def judged(told) -> pd.DataFrame:
    return told.loc["fig1"]


def arms(runs: pd.DataFrame, how: str, fixed: dict[str, object]):
    score = runs["validation"] if how == "accuracy" else -np.log2(runs[0.95])
    return (best(runs, arm, score, fixed) for arm in ("none", "batch"))


def derive(runs: pd.DataFrame) -> dict[tuple[str, str], pd.Series]:
    """By claim and part, the difference of each seed."""
    found = {}
    for name, fixed in (("tuned", {}), ("as published", PUBLISHED)):
        none, batch = arms(runs, "accuracy", fixed)
        found["higher-accuracy", name] = 100 * (batch["test"] - none["test"])
        for path in ("median", "spread"):
            found["stable-inputs", f"{name}, {path}"] = np.log2(none[path] / batch[path])
        none, batch = arms(runs, "steps", fixed)
        for target in (0.9, 0.95, 0.97):
            ratio = np.log2(none[target] / batch[target])
            found["faster-training", f"{name}, {target:.0%}"] = ratio
    return found


def test_effects_and_intervals_are_those_of_a_second_derivation(runs, judged):
    for key, values in derive(runs).items():
        row = judged.loc[key]
        assert row["n"] == len(values) == 10
        assert row["effect"] == pytest.approx(values.mean(), rel=1e-9), key
        assert (row["low"], row["high"]) == pytest.approx(interval(values), rel=1e-9), key
        assert row["p"] == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=1e-6) or (
            row["verdict"] == "inconclusive"
        )


def test_verdicts_are_those_of_a_second_derivation(runs, judged):
    """Of steps, a verdict may be less, where another convention does not give it."""
    for (claim, part), values in derive(runs).items():
        wanted = by_rule_r(values)
        verdict = judged.loc[(claim, part), "verdict"]
        assert verdict == wanted or (claim == "faster-training" and verdict == "inconclusive")


def test_the_committed_table_is_that_of_the_committed_runs(told):
    kept = committed_claims()
    kept = kept[kept["sweep"] != ""].set_index(["sweep", "claim", "part"])  # less mathematics
    assert list(kept.index) == list(told.index)
    for column in ("verdict", "verdict_holm", "sentence", "protocol", "settings"):
        assert list(kept[column]) == list(told[column])
    assert (kept["settings"] == "").all()


def test_what_docs_say_of_the_trial_is_what_the_table_says(judged):
    told = {
        ("higher-accuracy", "tuned"): "supported",
        ("faster-training", "tuned, 95%"): "inconclusive",
        ("stable-inputs", "as published, median"): "supported",
        ("faster-training", "as published, 95%"): None,
        ("faster-training", "tuned, 90%"): None,
    }
    for key, verdict in told.items():
        row = judged.loc[key]
        assert row_in_words(row) in PAGE
        if verdict:
            assert row["primary"] and row["verdict_holm"] == verdict
            assert f"| {key[0]}: {key[1]} |" in PAGE


def test_what_docs_say_of_inputs_at_equal_rates_is_what_the_runs_say(runs):
    fresh = runs[
        (runs["seed"] >= 100) & (runs["stddev"] == 0.05) & (runs["schedule"] == "constant")
    ]
    by = fresh.pivot(index="seed", columns=["arm", "lr"], values="median")
    slow, fast = (np.log2(by["none", rate] / by["batch", rate]) for rate in (0.3, 3))
    told = f"have 0.3 it is log2 {effect_in_words(slow)}, where both have 3 it is"
    assert f"{told} {effect_in_words(fast)}." in PAGE


# --- depth


def chosen_by_halving(runs: pd.DataFrame) -> pd.DataFrame:
    """The report runs of one arm: the better half after seed 0, of these the best of both seeds."""
    cell = ["lr", "stddev"]
    scores = runs[runs["seed"] < 2].set_index([*cell, "seed"])["validation"].unstack()
    first = scores[0].sort_values(ascending=False, kind="stable")  # the grid's order where equal
    left = scores[scores.index.isin(first.index[: math.ceil(len(first) / 2)])]
    best = left[[0, 1]].mean(axis=1).sort_values(ascending=False, kind="stable").index[0]
    return runs[runs["seed"] >= 100].set_index(cell).loc[best].set_index("seed").sort_index()


def test_the_depth_that_only_bn_trains_is_that_of_a_second_derivation(told):
    runs = pd.DataFrame([row for _, row in of_sweep("depth")])
    found = {
        layers: {arm: chosen_by_halving(mine) for arm, mine in there.groupby("arm")}
        for layers, there in runs.groupby("layers")
    }
    rescued = [
        layers
        for layers, arms in found.items()
        if (arms["none"]["test"] <= 0.15).all() and arms["batch"]["test"].mean() >= 0.9
    ]
    row = told.loc[("depth", "saturating-nonlinearities", "depth")]
    layers = rescued[0] if rescued else max(found)
    values = 100 * (found[layers]["batch"]["test"] - found[layers]["none"]["test"])
    assert row["n"] == len(values) == 6
    assert row["effect"] == pytest.approx(values.mean(), rel=1e-9)
    assert f"at {layers} layers" in row["measure"]
    stuck = [one for one, arms in found.items() if (arms["none"]["test"] <= 0.15).all()]
    everywhere = all(arms["none"]["test"].mean() >= 0.9 for arms in found.values())
    wanted = "supported" if rescued else "contradicted" if stuck or everywhere else "inconclusive"
    assert row["verdict"] == wanted
    for count, arms in found.items():
        none, batch = (arms[arm]["test"].mean() for arm in ("none", "batch"))
        assert f"| {count} | {none:.2%} | {batch:.2%} |" in PAGE
        assert f"{count} layers {none:.2%}" in row["sentence"]
    assert f"{row_in_words(row)} points" in PAGE


# --- data that nobody tuned for


def test_the_trial_on_cifar_10_is_that_of_a_second_derivation():
    rows = [row for _, row in of_sweep("cifar10_cnn")]
    runs = pd.DataFrame(rows).set_index("seed").sort_index()
    best = runs[runs.index < 100].groupby(["arm", "lr"])["validation"].mean()
    test = {
        arm: runs[(runs.index >= 100) & (runs["arm"] == arm) & (runs["lr"] == best[arm].idxmax())]
        for arm in ("none", "batch")
    }
    values = 100 * (test["batch"]["test"] - test["none"]["test"])
    told = effect_in_words(values)
    assert f"{test['none']['test'].mean():.2%} without BN and" in PAGE
    assert f"{test['batch']['test'].mean():.2%} with it, {told}: no difference" in PAGE
    assert len(values) == 6


# --- sixteen convolutions


@pytest.fixture(scope="module")
def deep() -> pd.DataFrame:
    rows = []
    for packed, row in of_sweep("deep"):
        there = packed["predictions.csv"] is not None
        row["predictions"] = table(packed, "predictions.csv") if there else None
        rows.append(row)
    return pd.DataFrame(rows)


def chosen_of_finalists(runs: pd.DataFrame, arm: str) -> tuple[float, float]:
    """Rate and scale of the finalist that is best in full; finalists are the best in short."""
    cell = ["lr", "scale"]
    tuning = runs[(runs["arm"] == arm) & (runs["seed"] < 100)]
    by_length = {
        steps: group.groupby(cell)["validation"].agg(["mean", "count"])
        for steps, group in tuning.groupby("steps")
    }
    short, full = (by_length[steps].query("count == 2")["mean"] for steps in (1500, 5000))
    assert set(short.sort_values().index[-2:]) <= set(full.index)
    return full.idxmax()


def at(runs: pd.DataFrame, arm: str, rate: float, scale: float) -> pd.DataFrame:
    alike = np.isclose(runs["lr"], rate) & (runs["scale"] == scale) & (runs["arm"] == arm)
    found = runs[alike & (runs["seed"] >= 100)].set_index("seed").sort_index()
    assert list(found.index) == [100, 101, 102, 103, 104, 105]
    return found


def test_the_ensemble_is_that_of_a_second_derivation(deep, told):
    runs = at(deep, "batch", *chosen_of_finalists(deep, "batch"))
    labels = runs["predictions"].iloc[0]["label"].to_numpy()
    networks = [one.drop(columns="label").to_numpy() for one in runs["predictions"]]
    right = [one.argmax(axis=1) == labels for one in networks]
    together = sum(networks).argmax(axis=1) == labels
    values = 100 * (together.mean() - np.array([one.mean() for one in right]))
    assert told.loc[("deep", "ensemble", ""), "effect"] == pytest.approx(values.mean())


def test_what_docs_say_of_sixteen_convolutions_is_what_the_tables_say(deep, told):
    found = load_runs(COMMITTED)
    steps = tables.figure3_text(figure3(found.of_sweep("deep")).assign(network=""))
    assert steps.to_markdown(index=False) in RAW_PAGE
    rows = [("fewer-steps", "5η*"), ("fewer-steps", "η*"), ("fewer-steps", "maximum at 30η*")]
    for key in [*rows, ("ensemble", "")]:
        row = told.loc[("deep", *key)]
        assert row_in_words(row) in PAGE
        assert row["verdict"] == "supported"
    for part, steps_told in (("5η*", "{} times fewer, log2"), ("η*", "{} times fewer, log2")):
        effect = told.loc[("deep", "fewer-steps", part), "effect"]
        assert steps_told.format(f"{2**effect:.1f}") in PAGE
    none = at(deep, "none", *chosen_of_finalists(deep, "none"))
    labels = none["predictions"].iloc[0]["label"].to_numpy()
    networks = [one.drop(columns="label").to_numpy() for one in none["predictions"]]
    together = (sum(networks).argmax(axis=1) == labels).mean()
    alone = f"six networks without BN go from {none['test'].mean():.2%} to {together:.2%} together"
    assert alone in PAGE
