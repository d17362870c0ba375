"""A second derivation of `skips`, from docs/claims.md and packed files alone."""

import itertools

import pandas as pd
import pytest
import yaml
from conftest import CONF
from derived import FIRST_REPORT_SEED, committed_claims, points, setting, with_tables
from derived_skips import choice, edges, grids, scores
from derived_trials import Part, check_holm, check_row, check_whole

PRESET = yaml.safe_load((CONF / "experiment" / "skips.yaml").read_text(encoding="utf-8"))
FIRST_GRID = tuple(PRESET["trial"]["tune"][key] for key in ("optimizer.lr", "init.scale"))
SHORTCUTS = ("none", "residual", "highway")
NETWORKS = [(layers, activation) for layers in (20, 50) for activation in ("sigmoid", "relu")]
CHOSEN = {  # rate and scale
    (20, "sigmoid"): {"none": (0.1, 11.3), "residual": (0.1, 11.3), "highway": (1, 11.3)},
    (20, "relu"): {"none": (0.03, 1.41), "residual": (0.03, 0.177), "highway": (1, 0.5)},
    (50, "sigmoid"): {"none": (0.03, 11.3), "residual": (0.03, 11.3), "highway": (0.03, 11.3)},
    (50, "relu"): {
        "none": (0.00333, 1.41),
        "residual": (0.01, 0.177),
        "highway": (0.00111, 0.0627),
    },
}


@pytest.fixture(scope="module")
def claims() -> pd.DataFrame:
    return committed_claims()


@pytest.fixture(scope="module")
def judged(claims) -> pd.DataFrame:
    return claims[claims["sweep"] == "skips"].set_index("part")


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    found = with_tables("skips")
    return found.assign(
        activation=setting(found, "model.activation"),
        skip=setting(found, "model.skip"),
        short=found["steps"] == 400,
    )


def of_network(runs: pd.DataFrame, network: tuple[int, str]) -> dict[str, pd.DataFrame]:
    layers, activation = network
    here = runs[(runs["layers"] == layers) & (runs["activation"] == activation)]
    return {skip: here[here["skip"] == skip] for skip in SHORTCUTS}


# --- what was tried, and what each arm chose


@pytest.mark.parametrize("network", NETWORKS)
def test_grids_grew_as_long_as_an_arm_was_at_an_edge(runs, network):
    arms = of_network(runs, network)
    passed = grids(arms, FIRST_GRID)
    for skip, mine in arms.items():
        assert list(scores(mine, short=True).index) == list(itertools.product(*passed[-1])), skip
        assert not edges(mine, passed)


@pytest.mark.parametrize("network", NETWORKS)
def test_each_arm_chose_on_validation_between_the_best_short_runs_of_each_grid(runs, network):
    arms = of_network(runs, network)
    passed = grids(arms, FIRST_GRID)
    for skip, mine in arms.items():
        ran = mine[mine.index >= FIRST_REPORT_SEED]
        assert list(ran.index) == list(range(100, 110)) and not ran["short"].any()
        assert set(zip(ran["lr"], ran["scale"], strict=True)) == {choice(mine, passed)}
        assert CHOSEN[network][skip] == choice(mine, passed)


def test_no_arm_has_passed_over_a_better_run_in_full(runs):
    for network in NETWORKS:
        for skip, mine in of_network(runs, network).items():
            full = scores(mine, short=False)
            assert full.max() == full[CHOSEN[network][skip]]


# --- the parts


def named(network: tuple[int, str]) -> str:
    return f"{network[0]} layers of {network[1]}"


@pytest.fixture(scope="module")
def report(runs) -> dict[tuple[int, str], dict[str, pd.DataFrame]]:
    return {
        network: {skip: mine[mine.index >= FIRST_REPORT_SEED] for skip, mine in arms.items()}
        for network in NETWORKS
        for arms in [of_network(runs, network)]
    }


@pytest.fixture(scope="module")
def parts(report) -> dict[str, dict[str, Part]]:
    """Of residual and highway connections, less plain layers, by network."""
    return {
        skip: {named(network): Part(points(of[skip], of["none"])) for network, of in report.items()}
        for skip in SHORTCUTS[1:]
    }


def test_runs_are_those_that_the_preset_asks_for(runs):
    assert (runs["arm"] == "none").all() and (runs["schedule"] == "constant").all()
    assert (setting(runs, "init") == "glorot").all()
    assert (setting(runs, "trainer.batch_size") == 60).all()
    assert set(runs["steps"]) == {PRESET["trial"]["tuning"]["trainer.steps"], 1200}
    widths = runs["config"].map(lambda one: set(one["model"]["hidden"]) == {100})
    assert widths.all() and set(runs["layers"]) == {20, 50}
    ended = runs["status"] == "finished"
    assert (runs.loc[ended, "made"] == runs.loc[ended, "steps"]).all()


def test_no_report_run_diverged(report):
    assert all(
        (mine["status"] == "finished").all() for of in report.values() for mine in of.values()
    )


def test_every_part_is_that_of_a_second_derivation(parts, judged):
    assert set(judged.index) == {
        *parts,
        *(f"{skip}, {name}" for skip, of in parts.items() for name in of),
    }
    for skip, of in parts.items():
        for name, part in of.items():
            check_row(judged.loc[f"{skip}, {name}"], part)
        check_whole(judged.loc[skip], of)
    assert not judged["beside"].any() and (judged["settings"] == "").all()


def test_the_primary_verdict_after_holm_is_that_of_a_second_derivation(claims, judged):
    assert check_holm(claims, "skips") == {"skips-suffice": "inconclusive"}
    assert list(judged.index[judged["primary"].astype(bool)]) == ["residual"]


def test_accuracies_and_choices_are_those_of_a_second_derivation(report, judged):
    for network, of in report.items():
        for skip in SHORTCUTS[1:]:
            told = judged.loc[f"{skip}, {named(network)}", "sentence"]
            means = {one: f"{100 * of[one]['test'].mean():.2f}%" for one in (skip, "none")}
            assert f"{means[skip]} with model.skip={skip} and {means['none']} with" in told
            for one in (skip, "none"):
                rate, scale = CHOSEN[network][one]
                at = f"optimizer.lr={rate:g}, init.scale={scale:g}"
                assert f"model.skip={one}: {at}" in told
