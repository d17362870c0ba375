"""A second derivation of `substitutes` and `substitutes_residual`, from packed files alone."""

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
REPORT_SEEDS = {"substitutes": 10, "substitutes_residual": 6}
GROWN = {"substitutes": [3.33, 11.1]}  # rates that were added
CHOSEN = {
    "substitutes": {
        "batch": 3.33,
        "none": 0.1,
        "group": 0.3,
        "layer": 0.3,
        "rms": 0.3,
        "standardization": 1,
        "skip_init": 0.3,
        "fixup": 0.1,
    }
}
SWEEPS = tuple(CHOSEN)


def preset(sweep: str) -> dict:
    return yaml.safe_load((CONF / "experiment" / f"{sweep}.yaml").read_text(encoding="utf-8"))


def rates_of(sweep: str) -> list[float]:
    return preset(sweep)["trial"]["tune"]["optimizer.lr"]


def arm_of(config: dict) -> str:
    shortcuts = [name for name in ("skip_init", "fixup") if config["model"][name]]
    return shortcuts[0] if shortcuts else config["norm"]["kind"]


@pytest.fixture(scope="module")
def claims() -> pd.DataFrame:
    return committed_claims()


@pytest.fixture(scope="module", params=SWEEPS)
def sweep(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def judged(claims, sweep) -> pd.DataFrame:
    return claims[claims["sweep"] == sweep].set_index("part")


@pytest.fixture(scope="module")
def runs(sweep) -> pd.DataFrame:
    found = with_tables(sweep)
    return found.assign(arm=found["config"].map(arm_of))


@pytest.fixture(scope="module")
def rates(runs) -> dict[str, float]:
    tuning = runs[runs.index < FIRST_REPORT_SEED]
    return {arm: chosen_rate(one) for arm, one in tuning.groupby("arm")}


@pytest.fixture(scope="module")
def report(runs, rates, sweep) -> dict[str, pd.DataFrame]:
    found = {}
    for arm, rate in rates.items():
        mine = runs[(runs["arm"] == arm) & (runs.index >= FIRST_REPORT_SEED)]
        assert list(mine.index) == list(range(100, 100 + REPORT_SEEDS[sweep]))
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


def test_runs_are_those_that_the_preset_asks_for(runs, sweep):
    asked = preset(sweep)
    assert len(asked["trial"]["arms"]) == len(ARMS) and set(runs["arm"]) == set(ARMS)
    for group in ("trainer", "data"):
        for name, value in asked.get(group, {}).items():
            assert all(config[group][name] == value for config in runs["config"])
    assert (setting(runs[runs["arm"] == "batch"], "norm.momentum") == 0.95).all()
    assert (setting(runs, "init") == "he").all()
    assert (setting(runs, "model.activation") == "relu").all()
    if sweep == "substitutes":
        skips = runs["config"].map(lambda one: one["model"]["skip"])
        assert ((skips == "residual") == runs["arm"].isin(["skip_init", "fixup"])).all()
        assert (runs["layers"] == 8).all() and (runs["schedule"] == "constant").all()
    else:
        assert (setting(runs, "model") == "residual").all()
        assert (runs["schedule"] == "step").all() and (setting(runs, "data") == "cifar10").all()
    ended = runs["status"] == "finished"
    assert (runs.loc[ended, "made"] == asked["trainer"]["steps"]).all()


def test_each_arm_chose_its_rate_on_validation_from_what_was_tried(runs, rates, sweep):
    grid = [*rates_of(sweep), *GROWN[sweep]]
    tuning = runs[runs.index < FIRST_REPORT_SEED]
    seeds = [0, 1] if sweep == "substitutes" else [0]
    for arm, mine in tuning.groupby("arm"):
        first = mine[mine.index == 0].set_index("lr")["validation"]
        last = mine[mine.index == seeds[-1]].set_index("lr")["validation"]
        assert sorted(first.index) == sorted(grid) and set(mine.index) == set(seeds), arm
        dropped = first.drop(last.index)
        assert dropped.empty or dropped.max() <= first[last.index].min(), arm
        assert len(last) >= len(rates_of(sweep)) / len(seeds)
    assert rates == CHOSEN[sweep]
    assert all(min(grid) < rate < max(grid) for rate in rates.values())  # no edge is left


def test_rates_were_added_as_long_as_an_arm_was_at_an_edge(runs, sweep):
    asked, tuning = rates_of(sweep), runs[runs.index < FIRST_REPORT_SEED]
    for k, more in enumerate(GROWN[sweep]):
        before = [*asked, *GROWN[sweep][:k]]
        tried = tuning[tuning["lr"].isin(before)]
        best = {chosen_rate(one) for _, one in tried.groupby("arm")}
        assert (max(before) if more > max(before) else min(before)) in best


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


def test_no_run_that_judges_diverged(report):
    assert all((mine["status"] == "finished").all() for mine in report.values())
