"""A second derivation of what shuffling, weight_decay, regularization and position were judged.

Plain pandas and SciPy, from the rules of docs/claims.md and the packed files alone.
"""

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import CONF
from derived import (
    FIRST_REPORT_SEED,
    by_rule_r,
    committed_claims,
    detectable,
    holm,
    interval,
    p_value,
    path_length,
    points,
    setting,
    sign_flip_p,
    tuned,
    with_tables,
)
from scipy import stats

SEEDS = {"shuffling": 20, "weight_decay": 10, "regularization": 20, "position": 10}
L2, SLOW, FAST = (0.0005, 0.0001), 10000, 1667
NO_DROPOUT = ("regularizes", "without dropout")
MARGIN = 0.2  # of dropout's being needless, in points
GUESSING = np.log(10)


@pytest.fixture(scope="module")
def claims() -> pd.DataFrame:
    return committed_claims()


@pytest.fixture(scope="module")
def judged(claims) -> pd.DataFrame:
    return claims[claims["sweep"].isin(SEEDS)].set_index(["claim", "part"])


# --- the parts: a value for each seed


def by_settings(runs: pd.DataFrame, *keys: str) -> dict[tuple, pd.DataFrame]:
    groups = runs.groupby([setting(runs, key) for key in keys])
    return dict(list(groups))


def shuffling(runs: pd.DataFrame) -> dict[str, pd.Series]:
    of = by_settings(runs, "norm", "trainer.reshuffle")
    of = {arm: tuned(one, report_seeds=20) for arm, one in of.items()}
    batch, none = (points(of[arm, True], of[arm, False]) for arm in ("batch", "none"))
    return {"with BN": batch, "without BN": none, "difference": batch - none}


def weight_decay(runs: pd.DataFrame) -> dict[str, pd.Series]:
    of = by_settings(runs, "norm", "optimizer.weight_decay", "schedule.every")
    of = {arm: tuned(one) for arm, one in of.items()}
    (more, less), neither = L2, of["batch", L2[0], SLOW]
    both, of_none = (points(of[arm, less, FAST], of[arm, more, SLOW]) for arm in ("batch", "none"))
    return {
        "both": both,
        "less L2": points(of["batch", less, SLOW], neither),
        "faster decay": points(of["batch", more, FAST], neither),
        "difference": both - of_none,
    }


def regularization(runs: pd.DataFrame) -> dict[str, pd.Series]:
    of = by_settings(runs, "norm", "model.dropout")
    report = {arm: tuned(one, report_seeds=20) for arm, one in of.items()}
    alone = report["batch", 0.0]

    def with_best_dropout(arm: str) -> pd.DataFrame:
        tuning = {share: one for (kind, share), one in of.items() if kind == arm and share}
        scores = {
            share: one[one.index < FIRST_REPORT_SEED].groupby("lr")["validation"].mean().max()
            for share, one in tuning.items()
        }
        return report[arm, max(scores, key=scores.__getitem__)]

    return {
        "without dropout": points(alone, with_best_dropout("batch")),
        "none with dropout": points(alone, with_best_dropout("none")),
        "generalization gap": gap_at_matched_loss(report["none", 0.0], alone),
    }


def gap_at_matched_loss(none: pd.DataFrame, batch: pd.DataFrame) -> pd.Series:
    """Of none − BN, at a run's first evaluation with a training loss that every run gets to."""
    lowest = max(one["history"].map(lambda h: h["train_loss"].min()).max() for one in (none, batch))

    def gap(history: pd.DataFrame) -> float:
        first = history[history["train_loss"] <= lowest].iloc[0]
        return first["val_loss"] - first["train_loss"]

    return none["history"].map(gap) - batch["history"].map(gap)


def position(runs: pd.DataFrame) -> dict[str, pd.Series]:
    found = {}
    for activation, mine in runs.groupby(setting(runs, "model.activation")):
        of = {place: one for (place,), one in by_settings(mine, "norm.position").items()}
        before, after = (tuned(of[place], tuning_seeds=6) for place in ("pre", "post"))
        tuning = [of[place][of[place].index < FIRST_REPORT_SEED] for place in ("pre", "post")]
        rates = [largest_rate(one) for one in tuning]
        died = [(one[one["lr"] == 3]["status"] == "diverged").astype(float) for one in tuning]
        values = {
            "accuracy": points(before, after),
            "largest rate": np.log2(rates[0] / rates[1]),
            "diverged at 3": 100 * (died[1] - died[0]),
            "drift, median": np.log2(path_length(after, "median") / path_length(before, "median")),
            "drift, spread": np.log2(path_length(after, "spread") / path_length(before, "spread")),
        }
        found |= {f"activation={activation}, {part}": one for part, one in values.items()}
    return found


def largest_rate(runs: pd.DataFrame) -> pd.Series:
    """By seed, of the rates whose training loss ends below half of guessing's."""
    finished = runs[runs["status"] == "finished"]
    ends = finished["history"].map(lambda history: history["train_loss"].iloc[-1])
    return finished[ends < GUESSING / 2].groupby(level=0)["lr"].max()


@pytest.fixture(scope="module")
def parts() -> dict[tuple[str, str], pd.Series]:
    """By claim and part."""
    derived = {
        "shuffling-helps": shuffling(with_tables("shuffling")),
        "less-l2-faster-decay": weight_decay(with_tables("weight_decay")),
        "regularizes": regularization(with_tables("regularization")),
        "before-nonlinearity": position(with_tables("position")),
    }
    return {(claim, part): found for claim in derived for part, found in derived[claim].items()}


# --- the rules


def step_of(key: tuple[str, str]) -> float:
    """Of the grid that a part's values lie on, in log2."""
    return np.log2(1 / 0.3) if key[1].endswith("largest rate") else 0


def verdict_of(key: tuple[str, str], values: pd.Series) -> str:
    if key != NO_DROPOUT:
        return by_rule_r(values, step=step_of(key))
    low, high = interval(values, confidence=0.9)
    return "supported" if low > -MARGIN else "contradicted" if high < -MARGIN else "inconclusive"


def p_of(key: tuple[str, str], values: pd.Series) -> float:
    """Two-sided against 0, or one-sided against the margin."""
    if key != NO_DROPOUT:
        return p_value(values, step=step_of(key))
    return stats.ttest_1samp(values, -MARGIN, alternative="greater").pvalue


# --- the comparison


def test_every_part_that_was_judged_is_derived(parts, judged):
    assert set(judged.index) == set(parts)
    assert len(parts) == len(judged) == 20


def test_effects_intervals_and_verdicts_are_those_of_a_second_derivation(parts, judged):
    for key, values in parts.items():
        row = judged.loc[key]
        of_tuning = key[1].endswith(("largest rate", "diverged at 3"))
        assert row["n"] == len(values) == (6 if of_tuning else SEEDS[row["sweep"]])
        found = values.mean(), *interval(values, step=step_of(key))
        told = tuple(row[["effect", "low", "high"]])
        assert told == pytest.approx(found, rel=1e-6, abs=1e-9), key
        least = detectable(values, step_of(key))
        assert row["detectable"] == pytest.approx(least, rel=1e-5, abs=1e-9), key
        assert row["verdict"] == verdict_of(key, values), key
        assert f"sign-flip p = {sign_flip_p(values):.2g}" in row["sentence"], key
        steps = with_tables(row["sweep"])["steps"].iloc[0]
        assert f"smaller than P in its steps: {steps:,} in place of 50,000" in row["sentence"], key
        assert not row["beside"]


def test_p_values_and_holms_correction_are_those_of_a_second_derivation(parts, judged, claims):
    for key, values in parts.items():
        assert judged.loc[key, "p"] == pytest.approx(p_of(key, values), rel=1e-6), key
    corrected = holm(claims)
    mine = claims[claims["primary"].astype(bool) & claims["sweep"].isin(SEEDS)]
    assert list(mine["p_holm"]) == pytest.approx(list(corrected[mine.index]))
    stands = mine["verdict"].where(mine["p_holm"] < 0.05, "inconclusive")
    assert list(mine["verdict_holm"]) == list(stands)
    assert dict(zip(mine["claim"], stands, strict=True)) == {
        "regularizes": "inconclusive",
        "shuffling-helps": "supported",
        "less-l2-faster-decay": "supported",
        "before-nonlinearity": "inconclusive",
    }


@pytest.mark.parametrize("sweep", SEEDS)
def test_runs_are_those_that_the_preset_asks_for(sweep):
    preset = yaml.safe_load((CONF / "experiment" / f"{sweep}.yaml").read_text(encoding="utf-8"))
    mine = with_tables(sweep)
    died = mine["status"] == "diverged"
    assert set(mine.loc[~died, "status"]) == {"finished"}
    assert died.sum() == (10 if sweep == "position" else 0)
    normalized = mine[mine["arm"] != "none"]
    for group in ("norm", "data", "schedule", "trainer", "probes"):
        for name, value in preset.get(group, {}).items():
            of = normalized if group == "norm" else mine
            assert (setting(of, f"{group}.{name}") == value).all(), (group, name)
    assert mine["config"].map(lambda one: one["model"]["hidden"] == [100, 100, 100]).all()
    assert (mine["stddev"] == 0.05).all()
    schedule = "exponential" if sweep == "weight_decay" else "constant"
    assert (mine["schedule"] == schedule).all()


@pytest.mark.parametrize("sweep", SEEDS)
def test_grids_went_on_as_long_as_the_best_rate_of_an_arm_was_at_an_edge(sweep):
    preset = yaml.safe_load((CONF / "experiment" / f"{sweep}.yaml").read_text(encoding="utf-8"))
    mine = with_tables(sweep)
    mine = mine[mine.index < FIRST_REPORT_SEED]
    asked, rates = preset["trial"]["tune"]["optimizer.lr"], sorted(mine["lr"].unique())
    assert rates[: len(asked)] == asked and len(rates) <= len(asked) + 3
    keys = ["norm", "norm.position", "trainer.reshuffle", "model.activation", "model.dropout"]
    keys += ["optimizer.weight_decay", "schedule.every"]
    arms = mine.groupby([setting(mine, key) for key in keys] + ["lr"], dropna=False)["validation"]
    scores = arms.mean().unstack()
    for last, more in zip(rates[len(asked) - 1 :], rates[len(asked) :], strict=False):
        assert more == pytest.approx(3 * last)
        assert (scores[[rate for rate in rates if rate <= last]].idxmax(axis=1) == last).any()
