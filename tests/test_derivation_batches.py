"""A second derivation of `batch_size`, from docs/claims.md and packed files alone."""

import re

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import CONF
from derived import FIRST_REPORT_SEED, committed_claims, setting, with_tables
from derived_trials import Part, check_holm, check_row, chosen_rate

PRESET = yaml.safe_load((CONF / "experiment" / "batch_size.yaml").read_text(encoding="utf-8"))
RATES = PRESET["trial"]["tune"]["optimizer.lr"]
BATCHES = (2, 4, 8, 16, 60)
EXAMPLES = 120_000
ARMS = {  # as rows and sentences name them
    "none": "norm=none",
    "batch": "norm=batch norm.momentum=0.99",
    "renorm": "norm=batch norm.momentum=0.99 norm.renorm=true",
    "ghost": "norm=batch norm.momentum=0.99 norm.ghost_size=2",
    "exact": "norm=batch norm.momentum=0.99 norm.population=exact",
    "group": "norm=group",
}
GROWN = {8: [9], 60: [9, 27]}  # rates that were added, by batch
WON_BACK = {"exact": "exact statistics", "renorm": "renorm"}
SHARED = {"": [2, 4], ", batches of 2": [2], ", batches of 4": [4]}


def arm_of(norm: dict) -> str:
    """What sets one arm apart from the others."""
    if norm["kind"] != "batch":
        return norm["kind"]
    special = {
        "renorm": norm["renorm"],
        "ghost": norm["ghost_size"] == 2,
        "exact": norm["population"] == "exact",
    }
    return next((name for name, has in special.items() if has), "batch")


@pytest.fixture(scope="module")
def claims() -> pd.DataFrame:
    return committed_claims()


@pytest.fixture(scope="module")
def judged(claims) -> pd.DataFrame:
    return claims[claims["sweep"] == "batch_size"].set_index(["claim", "part"])


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    found = with_tables("batch_size")
    arms = found["config"].map(lambda one: arm_of(one["norm"]))
    return found.assign(arm=arms, batch=setting(found, "trainer.batch_size"))


@pytest.fixture(scope="module")
def rates(runs) -> dict[tuple[str, int], float]:
    tuning = runs[runs.index < FIRST_REPORT_SEED]
    return {key: chosen_rate(one) for key, one in tuning.groupby(["arm", "batch"])}


@pytest.fixture(scope="module")
def accuracy(runs, rates) -> dict[str, pd.DataFrame]:
    """Of each arm on test, in points: a row for each seed, a column for each batch."""
    found = {arm: {} for arm in ARMS}
    for (arm, batch), rate in rates.items():
        mine = runs[(runs["arm"] == arm) & (runs["batch"] == batch)]
        mine = mine[mine.index >= FIRST_REPORT_SEED]
        assert list(mine.index) == list(range(100, 110)) and (mine["lr"] == rate).all()
        found[arm][batch] = 100 * mine["test"]
    return {arm: pd.DataFrame(columns)[list(BATCHES)] for arm, columns in found.items()}


# --- what the runs are


def test_runs_are_those_that_the_preset_asks_for(runs):
    assert len(PRESET["trial"]["arms"]) == len(ARMS) and set(runs["arm"]) == set(ARMS)
    assert (runs["steps"] == EXAMPLES // runs["batch"]).all()
    assert (setting(runs, "trainer.eval_every") == EXAMPLES // 10 // runs["batch"]).all()
    normalized = runs[~runs["arm"].isin(["none", "group"])]
    assert (setting(normalized, "norm.momentum") == 0.99).all()
    assert (runs["schedule"] == "constant").all() and (runs["stddev"] == 0.05).all()
    assert runs["config"].map(lambda one: one["model"]["hidden"] == [100, 100, 100]).all()
    assert (setting(runs, "model.activation") == "sigmoid").all()
    ended = runs["status"] == "finished"
    assert (runs.loc[ended, "made"] == runs.loc[ended, "steps"]).all()
    assert ended[runs.index >= FIRST_REPORT_SEED].all()
    assert (runs.index >= FIRST_REPORT_SEED).sum() == len(ARMS) * len(BATCHES) * 10


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("arm", ARMS)
def test_after_the_first_tuning_seed_the_worse_half_of_the_rates_is_dropped(runs, arm, batch):
    mine = runs[(runs["arm"] == arm) & (runs["batch"] == batch)]
    first, second = (mine[mine.index == seed].set_index("lr")["validation"] for seed in (0, 1))
    assert sorted(first.index) == sorted([*RATES, *GROWN.get(batch, [])])
    assert len(second) >= len(RATES) / 2 and set(second.index) < set(first.index)
    dropped = first.drop(second.index)
    assert dropped.max() <= first[second.index].min()


@pytest.mark.parametrize("batch", BATCHES)
def test_rates_were_added_as_long_as_an_arm_was_at_an_edge(runs, rates, batch):
    grid = [*RATES, *GROWN.get(batch, [])]
    assert all(grid[0] < rates[arm, batch] < grid[-1] for arm in ARMS)  # no edge is left
    tuning = runs[(runs["batch"] == batch) & (runs.index < FIRST_REPORT_SEED)]
    for last in grid[len(RATES) - 1 : -1]:
        by_arm = tuning[tuning["lr"] <= last].groupby("arm")
        assert last in [chosen_rate(one) for _, one in by_arm]


# --- the parts


def slope(accuracy: pd.DataFrame) -> pd.Series:
    """By least squares on log2 of the batch, by seed."""
    at = np.log2(accuracy.columns.to_numpy(dtype=float))
    return accuracy.apply(lambda row: np.polyfit(at, row, 1)[0], axis=1)


def gap(accuracy: dict[str, pd.DataFrame], batches: list[int]) -> pd.Series:
    return accuracy["batch"][60] - accuracy["batch"][batches].mean(axis=1)


def beyond_half(accuracy: dict[str, pd.DataFrame], arm: str, batches: list[int]) -> pd.Series:
    won = (accuracy[arm][batches] - accuracy["batch"][batches]).mean(axis=1)
    return won - gap(accuracy, batches) / 2


@pytest.fixture(scope="module")
def parts(accuracy) -> dict[tuple[str, str], Part]:
    def steeper(arm: str, batches: tuple[int, ...] = BATCHES) -> Part:
        ours, theirs = (accuracy[one][list(batches)] for one in (arm, "none"))
        return Part(slope(ours) - slope(theirs))

    found = {
        ("small-batches", ""): steeper("batch"),
        ("small-batches", "without batches of 2"): steeper("batch", BATCHES[1:]),
    }
    for arm in ("renorm", "ghost", "exact", "group"):
        found["small-batches", ARMS[arm]] = steeper(arm)
    for where, batches in SHARED.items():
        lost = Part(gap(accuracy, batches))
        found["batch-mismatch", f"gap{where}"] = lost
        for arm, words in WON_BACK.items():
            won = Part(beyond_half(accuracy, arm, batches))
            assert lost.verdict == "supported" and lost.p < won.p  # there is a gap to share
            found["batch-mismatch", f"{words}{where}"] = won
    return found


def test_every_part_that_was_judged_is_derived(parts, judged):
    assert set(judged.index) == set(parts)
    assert not judged["beside"].any() and (judged["settings"] == "").all()


def test_every_part_is_that_of_a_second_derivation(parts, judged):
    for key, part in parts.items():
        check_row(judged.loc[key], part)


def test_primary_verdicts_after_holm_are_those_of_a_second_derivation(claims):
    assert check_holm(claims, "batch_size") == {
        "small-batches": "supported",
        "batch-mismatch": "contradicted",
    }


# --- what is told beside an effect


def test_accuracies_and_rates_are_those_of_a_second_derivation(accuracy, rates, judged):
    for arm in ("batch", "renorm", "ghost", "exact", "group"):
        part = "" if arm == "batch" else ARMS[arm]
        told = judged.loc[("small-batches", part), "sentence"].replace("−", "-")
        listed = re.findall(r"(\d+): ([\d.]+)%, optimizer\.lr=([\d.]+)", told)
        ours, theirs = listed[: len(BATCHES)], listed[len(BATCHES) :]
        for one, levels in ((arm, ours), ("none", theirs)):
            assert [int(batch) for batch, _, _ in levels] == list(BATCHES)
            means = [float(mean) for _, mean, _ in levels]
            assert means == pytest.approx(list(accuracy[one].mean()), abs=0.0051)
            assert [float(rate) for _, _, rate in levels] == [rates[one, b] for b in BATCHES]
            assert f"{slope(accuracy[one]).mean():.2f} " in told


def test_shares_won_back_are_those_of_a_second_derivation(accuracy, rates, judged):
    for arm, words in WON_BACK.items():
        told = judged.loc[("batch-mismatch", words), "sentence"].replace("−", "-")
        for batch in (2, 4):
            won = (accuracy[arm][batch] - accuracy["batch"][batch]).mean()
            lost = gap(accuracy, [batch]).mean()
            assert (
                f"batches of {batch}: {won:.2f} of {lost:.2f} points, {won / lost:.0%} "
                f"(optimizer.lr={rates[arm, batch]:g}; BN: optimizer.lr={rates['batch', batch]:g})"
            ) in told


def test_ghost_batches_of_2_are_bn_in_batches_of_2(accuracy):
    assert (accuracy["ghost"][2] == accuracy["batch"][2]).all()
