"""A second derivation of both networks of `substitutes`, from docs/claims.md and packed files."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest
import yaml
from conftest import CONF
from derived import FIRST_REPORT_SEED, committed_claims, of_sweep, points, setting
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


@dataclass(frozen=True)
class Network:
    """A sweep, how its parts are named, its seeds, and what came of the grid."""

    sweep: str
    prefix: str
    tuning_seeds: int
    report_seeds: int
    grown: tuple[float, ...]  # rates that were added
    chosen: dict[str, float]

    @property
    def preset(self) -> dict[str, Any]:
        path = CONF / "experiment" / f"{self.sweep}.yaml"
        return yaml.safe_load(path.read_text(encoding="utf-8"))

    @property
    def rates(self) -> list[float]:
        return self.preset["trial"]["tune"]["optimizer.lr"]


DENSE = Network(
    "substitutes",
    "",
    2,
    10,
    (3.33, 11.1),
    {
        "batch": 3.33,
        "none": 0.1,
        "group": 0.3,
        "layer": 0.3,
        "rms": 0.3,
        "standardization": 1,
        "skip_init": 0.3,
        "fixup": 0.1,
    },
)
RESIDUAL = Network(
    "substitutes_residual",
    "residual network, ",
    1,
    6,
    (0.009,),
    {
        "batch": 0.3,
        "none": 0.03,
        "group": 0.1,
        "layer": 0.03,
        "rms": 0.1,
        "standardization": 0.3,
        "skip_init": 0.3,
        "fixup": 0.03,
    },
)


def arm_of(config: dict) -> str:
    own = [name for name in ("skip_init", "fixup") if config["model"].get(name)]
    return own[0] if own else config["norm"]["kind"]


@pytest.fixture(scope="module", params=[DENSE, RESIDUAL], ids=lambda network: network.sweep)
def network(request) -> Network:
    return request.param


@pytest.fixture(scope="module")
def claims() -> pd.DataFrame:
    return committed_claims()


@pytest.fixture(scope="module")
def judged(claims, network) -> pd.DataFrame:
    return claims[claims["sweep"] == network.sweep].set_index("part")


@pytest.fixture(scope="module")
def runs(network) -> pd.DataFrame:
    rows = [row for _, row in of_sweep(network.sweep, [])]
    found = pd.DataFrame(rows).set_index("seed").sort_index()
    return found.assign(arm=found["config"].map(arm_of))


@pytest.fixture(scope="module")
def rates(runs) -> dict[str, float]:
    tuning = runs[runs.index < FIRST_REPORT_SEED]
    return {arm: chosen_rate(one) for arm, one in tuning.groupby("arm")}


@pytest.fixture(scope="module")
def report(runs, rates, network) -> dict[str, pd.DataFrame]:
    found, last = {}, FIRST_REPORT_SEED + network.report_seeds
    for arm, rate in rates.items():
        mine = runs[(runs["arm"] == arm) & (runs.index >= FIRST_REPORT_SEED)]
        assert list(mine.index) == list(range(FIRST_REPORT_SEED, last))
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


def test_runs_are_those_that_the_preset_asks_for(runs, network):
    assert len(network.preset["trial"]["arms"]) == len(ARMS) and set(runs["arm"]) == set(ARMS)
    for group in ("trainer", "data"):
        for name, value in network.preset.get(group, {}).items():
            assert list(setting(runs, f"{group}.{name}")) == [value] * len(runs), name
    assert (setting(runs[runs["arm"] == "batch"], "norm.momentum") == 0.95).all()
    assert (setting(runs, "init") == "he").all()
    assert (setting(runs, "model.activation") == "relu").all()
    if network is DENSE:
        with_shortcuts = setting(runs, "model.skip") == "residual"
        assert (with_shortcuts == runs["arm"].isin(["skip_init", "fixup"])).all()
        assert runs["config"].map(lambda one: one["model"]["hidden"] == 8 * [100]).all()
        assert (runs["schedule"] == "constant").all()
    else:
        assert (setting(runs, "model") == "residual").all()
        assert (runs["schedule"] == "step").all()
    ended = runs["status"] == "finished"
    assert (runs.loc[ended, "made"] == runs.loc[ended, "steps"]).all()
    assert ended[runs.index >= FIRST_REPORT_SEED].all()


@pytest.mark.parametrize("arm", ARMS)
def test_each_arm_chose_its_rate_on_validation_from_the_better_half(runs, rates, network, arm):
    mine, seeds = runs[runs["arm"] == arm], range(network.tuning_seeds)
    by_seed = [mine[mine.index == seed].set_index("lr")["validation"] for seed in seeds]
    grid = sorted([*network.rates, *network.grown])
    assert sorted(by_seed[0].index) == grid
    for later in by_seed[1:]:
        assert len(later) >= len(network.rates) / 2
        assert by_seed[0].drop(later.index).max() <= by_seed[0][later.index].min()
    assert rates[arm] == network.chosen[arm] not in (grid[0], grid[-1])  # no edge is left


def test_rates_were_added_as_long_as_an_arm_was_at_an_edge(runs, network):
    tuning, grid = runs[runs.index < FIRST_REPORT_SEED], network.rates
    for more in network.grown:
        edge, inner = (grid[0], grid[1]) if more < grid[0] else (grid[-1], grid[-2])
        tried = tuning[tuning["lr"].between(grid[0], grid[-1])]
        assert edge in {chosen_rate(one) for _, one in tried.groupby("arm")}
        assert more / edge == pytest.approx(edge / inner, rel=0.01)
        grid = sorted([*grid, more])


def test_every_part_is_that_of_a_second_derivation(parts, report, judged, network):
    rows = judged.rename(index=lambda part: part.removeprefix(network.prefix))
    assert set(rows.index) == {"all", *parts, "none"}
    assert judged.index.str.startswith(network.prefix).all()
    for name, part in parts.items():
        check_row(rows.loc[name], part)
        assert "Margin 0.2 percentage points. " in rows.loc[name, "sentence"]
    check_whole(rows.loc["all"], parts)
    check_beside(rows.loc["none"], points(report["none"], report["batch"]))
    primary = list(judged.index[judged["primary"].astype(bool)])
    assert primary == (["all"] if network is DENSE else [])


def test_the_primary_verdict_after_holm_is_that_of_a_second_derivation(claims):
    assert check_holm(claims, "substitutes") == {"not-unique": "inconclusive"}


def test_accuracies_are_those_of_a_second_derivation(report, judged, network):
    batch = f"{100 * report['batch']['test'].mean():.2f}% with norm=batch"
    for arm, name in METHODS.items():
        told = judged.loc[f"{network.prefix}{name}", "sentence"]
        assert told.startswith(f"Test accuracy is {100 * report[arm]['test'].mean():.2f}% with ")
        assert f"and {batch}" in told
