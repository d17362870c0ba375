"""A second derivation of `substitutes`, from docs/claims.md and packed files alone."""

import pandas as pd
import pytest
import yaml
from conftest import CONF
from derived import FIRST_REPORT_SEED, committed_claims, points, setting, with_tables
from derived_trials import Part, check_beside, check_holm, check_row, check_whole, chosen_rate

MARGIN = 0.2
METHODS = {  # as rows and sentences name them
    "group": "Group Norm",
    "layer": "Layer Norm",
    "rms": "RMS Norm",
    "standardization": "weight standardization",
    "skip_init": "SkipInit",
    "fixup": "Fixup",
}
ARMS = ("batch", "none", *METHODS)
PRESET = yaml.safe_load((CONF / "experiment" / "substitutes.yaml").read_text(encoding="utf-8"))
RATES = PRESET["trial"]["tune"]["optimizer.lr"]
GROWN = [3.33, 11.1]  # rates that were added
CHOSEN = {
    "batch": 3.33,
    "none": 0.1,
    "group": 0.3,
    "layer": 0.3,
    "rms": 0.3,
    "standardization": 1,
    "skip_init": 0.3,
    "fixup": 0.1,
}


def arm_of(config: dict) -> str:
    shortcuts = [name for name in ("skip_init", "fixup") if config["model"][name]]
    return shortcuts[0] if shortcuts else config["norm"]["kind"]


@pytest.fixture(scope="module")
def claims() -> pd.DataFrame:
    return committed_claims()


@pytest.fixture(scope="module")
def judged(claims) -> pd.DataFrame:
    return claims[claims["sweep"] == "substitutes"].set_index("part")


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    found = with_tables("substitutes")
    return found.assign(arm=found["config"].map(arm_of))


@pytest.fixture(scope="module")
def rates(runs) -> dict[str, float]:
    tuning = runs[runs.index < FIRST_REPORT_SEED]
    return {arm: chosen_rate(one) for arm, one in tuning.groupby("arm")}


@pytest.fixture(scope="module")
def report(runs, rates) -> dict[str, pd.DataFrame]:
    found = {}
    for arm, rate in rates.items():
        mine = runs[(runs["arm"] == arm) & (runs.index >= FIRST_REPORT_SEED)]
        assert list(mine.index) == list(range(100, 110))
        assert (mine["lr"] == rate).all()
        found[arm] = mine
    return found


@pytest.fixture(scope="module")
def parts(report) -> dict[str, Part]:
    """Of each method, less BN."""
    return {
        name: Part(points(report[arm], report["batch"]), margin=MARGIN)
        for arm, name in METHODS.items()
    }


def test_runs_are_those_that_the_preset_asks_for(runs):
    assert len(PRESET["trial"]["arms"]) == len(ARMS) and set(runs["arm"]) == set(ARMS)
    for name, value in PRESET["trainer"].items():
        assert (setting(runs, f"trainer.{name}") == value).all()
    assert (setting(runs[runs["arm"] == "batch"], "norm.momentum") == 0.95).all()
    assert (setting(runs, "init") == "he").all()
    assert (setting(runs, "model.activation") == "relu").all()
    with_shortcuts = setting(runs, "model.skip") == "residual"
    assert (with_shortcuts == runs["arm"].isin(["skip_init", "fixup"])).all()
    assert runs["config"].map(lambda one: one["model"]["hidden"] == 8 * [100]).all()
    assert (runs["schedule"] == "constant").all()
    ended = runs["status"] == "finished"
    assert (runs.loc[ended, "made"] == 10_000).all() and ended[runs.index >= 100].all()


@pytest.mark.parametrize("arm", ARMS)
def test_each_arm_chose_its_rate_on_validation_from_the_better_half(runs, rates, arm):
    mine = runs[runs["arm"] == arm]
    first, second = (mine[mine.index == seed].set_index("lr")["validation"] for seed in (0, 1))
    assert sorted(first.index) == [*RATES, *GROWN]
    assert len(second) >= len(RATES) / 2
    assert first.drop(second.index).max() <= first[second.index].min()
    assert rates[arm] == CHOSEN[arm] not in (RATES[0], GROWN[-1])  # no edge is left


def test_rates_were_added_as_long_as_an_arm_was_at_an_edge(runs):
    tuning, grid = runs[runs.index < FIRST_REPORT_SEED], [*RATES, *GROWN]
    for last in (RATES[-1], GROWN[0]):
        best = {chosen_rate(one) for _, one in tuning[tuning["lr"] <= last].groupby("arm")}
        assert last in best
        assert grid[grid.index(last) + 1] == pytest.approx(last / 0.3, rel=0.01)


def test_every_part_is_that_of_a_second_derivation(parts, report, judged):
    assert set(judged.index) == {"all", *parts, "none"}
    for name, part in parts.items():
        check_row(judged.loc[name], part)
        assert "Margin 0.2 percentage points. " in judged.loc[name, "sentence"]
    check_whole(judged.loc["all"], parts)
    check_beside(judged.loc["none"], points(report["none"], report["batch"]))
    assert (judged["settings"] == "").all()


def test_the_primary_verdict_after_holm_is_that_of_a_second_derivation(claims):
    assert check_holm(claims, "substitutes") == {"not-unique": "inconclusive"}


def test_accuracies_are_those_of_a_second_derivation(report, judged):
    batch = f"{100 * report['batch']['test'].mean():.2f}% with norm=batch ("
    for arm, name in METHODS.items():
        told = judged.loc[name, "sentence"]
        assert told.startswith(f"Test accuracy is {100 * report[arm]['test'].mean():.2f}% with ")
        assert f"and {batch}" in told
