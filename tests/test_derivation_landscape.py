"""A second derivation of `landscape`, from docs/claims.md and packed files alone."""

import itertools
from collections.abc import Iterator

import pandas as pd
import pytest
import yaml
from conftest import CONF
from derived import FIRST_REPORT_SEED, committed_claims, setting, with_tables
from derived_landscape import (
    change_by_layer,
    cosine,
    in_common,
    largest_residual,
    recorded,
    shift,
)
from derived_trials import Part, check_holm, check_row, check_whole

PRESET = yaml.safe_load((CONF / "experiment" / "landscape.yaml").read_text(encoding="utf-8"))
RATES = PRESET["trial"]["tune"]["optimizer.lr"]
CHOSEN = {"sigmoid": {"none": 3, "batch": 10}, "relu": {"none": 0.1, "batch": 0.3}}
GROWN = {"sigmoid": [*RATES, 33.3], "relu": [0.0333, *RATES]}  # once
LESS = -0.5  # log2: below it the shift counts as reduced
ASKED = {  # of each of two claims, at once
    "smoother-landscape": ("range", "gradient change"),
    "hessian-outliers": ("λ1/λ11", "gradient share"),
}


@pytest.fixture(scope="module")
def claims() -> pd.DataFrame:
    return committed_claims()


@pytest.fixture(scope="module")
def judged(claims) -> pd.DataFrame:
    return claims[claims["sweep"] == "landscape"].set_index(["claim", "part"])


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    found = with_tables("landscape")
    probed = setting(found, "probes.record").map(bool)
    return found.assign(activation=setting(found, "model.activation"), probed=probed)


def report(runs: pd.DataFrame, activation: str, arm: str, rate: float) -> pd.DataFrame:
    mine = (runs["activation"] == activation) & (runs["arm"] == arm) & (runs["lr"] == rate)
    found = runs[mine & (runs.index >= FIRST_REPORT_SEED)]
    assert list(found.index) == list(range(100, 110)) and found["probed"].all()
    return found


def compared(
    runs: pd.DataFrame,
) -> Iterator[tuple[str, dict[str, pd.DataFrame]]]:
    """Report runs of both arms at what each chose, and then both at what one of them chose."""
    for activation, chosen in CHOSEN.items():
        name = f"activation={activation}"
        yield name, {arm: report(runs, activation, arm, rate) for arm, rate in chosen.items()}
        for one, rate in chosen.items():
            where = f"{name}, both at the rate of norm={one}"
            yield where, {arm: report(runs, activation, arm, rate) for arm in chosen}


@pytest.fixture(scope="module")
def losses(runs) -> dict[str, dict[tuple[str, str], pd.DataFrame]]:
    """By place, claim and part what the arms have at the losses in common."""
    return {where: in_common(of["none"], of["batch"]) for where, of in compared(runs)}


@pytest.fixture(scope="module")
def parts(runs, losses) -> dict[tuple[str, str], Part]:
    """By claim and part."""
    found = {}
    for where, of in compared(runs):
        alone = "both at" not in where
        for (claim, part), values in losses[where].items():
            if alone or claim == "smoother-landscape":
                found[claim, f"{where}, {part}"] = Part(values["ratio"])
        change = shift(of["batch"], of["none"])
        found["shift-not-reduced", where] = Part(change.mean(axis=1), LESS)
        if alone:
            for layer in (2, 3, 4):
                values = change[layer].mean(axis=1)
                found["shift-not-reduced", f"{where}, layer {layer}"] = Part(values, LESS)
            values = cosine(of["none"]) - cosine(of["batch"])
            found["shift-not-reduced", f"{where}, cosine"] = Part(values)
    return found


# --- the comparison


def test_runs_are_those_that_the_preset_asks_for(runs):
    for group in ("norm", "probes", "trainer"):
        of = runs[runs["arm"] == "batch"] if group == "norm" else runs
        of = of[of["probed"]] if group == "probes" else of
        for name, value in PRESET[group].items():
            assert setting(of, f"{group}.{name}").map(lambda one, v=value: one == v).all(), name
    assert (runs["schedule"] == "constant").all() and (runs["stddev"] == 0.05).all()
    assert runs["config"].map(lambda one: one["model"]["hidden"] == [100, 100, 100]).all()
    ended = runs["status"] == "finished"
    assert (runs.loc[ended, "made"] == 5000).all()
    report_runs = runs[runs.index >= FIRST_REPORT_SEED]
    assert (report_runs["status"] == "finished").all()
    assert len(report_runs) == 2 * 2 * 2 * 10 and len(runs) == len(report_runs) + 2 * (24 + 4)


@pytest.mark.parametrize("activation", CHOSEN)
def test_each_arm_chose_its_rate_on_validation_after_its_grid_grew_once(runs, activation):
    mine = runs[(runs["activation"] == activation) & (runs.index < FIRST_REPORT_SEED)]
    at_first = []
    for arm, chosen in CHOSEN[activation].items():
        tuning = mine[(mine["arm"] == arm) & ~mine["probed"]]
        assert sorted(tuning["lr"]) == sorted(2 * GROWN[activation])
        scores = tuning.groupby("lr")["validation"].mean()
        assert scores.idxmax() == chosen
        assert scores.index.min() < chosen < scores.index.max()  # no edge is left
        at_first.append(scores[RATES].idxmax())
        again = mine[(mine["arm"] == arm) & mine["probed"]]
        assert list(again["lr"]) == [chosen, chosen]  # probed, and alike but for that
        assert list(again["test"]) == list(tuning.loc[tuning["lr"] == chosen, "test"])
    assert {0.1, 10} & set(at_first)


def test_every_part_that_was_judged_is_derived(parts, judged):
    wholes = {(claim, f"activation={one}") for claim in ASKED for one in CHOSEN}
    assert set(judged.index) == set(parts) | wholes
    assert not judged["beside"].any() and (judged["settings"] == "").all()


def test_every_part_is_that_of_a_second_derivation(parts, judged):
    for key, part in parts.items():
        check_row(judged.loc[key], part)


@pytest.mark.parametrize("claim", ASKED)
@pytest.mark.parametrize("activation", CHOSEN)
def test_what_two_things_say_together_is_that_of_a_second_derivation(
    parts, judged, claim, activation
):
    name = f"activation={activation}"
    asked = {part: parts[claim, f"{name}, {part}"] for part in ASKED[claim]}
    check_whole(judged.loc[(claim, name)], asked)


def test_primary_verdicts_after_holm_are_those_of_a_second_derivation(claims):
    found = check_holm(claims, "landscape")
    assert found["smoother-landscape"] == found["shift-not-reduced"] == "contradicted"
    assert set(found) == {*ASKED, "shift-not-reduced"}


# --- what is told beside an effect


def test_losses_in_common_and_residuals_are_those_of_a_second_derivation(runs, losses, judged):
    for where, of in compared(runs):
        for (claim, part), values in losses[where].items():
            if (claim, f"{where}, {part}") not in judged.index:
                continue
            told = judged.loc[(claim, f"{where}, {part}"), "sentence"]
            if values.empty:
                assert told.startswith("The arms pass no training loss in common. ")
                continue
            first, last = values[["first", "last"]].median()
            assert f"At the same training loss ({first:.3g} to {last:.3g}, medians" in told
            assert f"is {2 ** values['ratio'].mean():.3g} times as large with norm=none" in told
            if claim == "hessian-outliers":
                residual = max(largest_residual(one) for one in of.values())
                assert f"Largest residual of the eigenvalues: {residual:.2g}. " in told


def test_changes_of_a_gradient_are_those_of_a_second_derivation(runs, judged):
    for where, of in compared(runs):
        had = shift(of["batch"], of["none"]).notna()  # by both
        logs = {arm: change_by_layer(one).where(had) for arm, one in of.items()}
        means = {arm: 2 ** values.mean(axis=1).mean() for arm, values in logs.items()}
        told = judged.loc[("shift-not-reduced", where), "sentence"]
        assert (
            f"changes a layer's gradient by {means['batch']:.3g} of its norm with norm=batch and "
            f"{means['none']:.3g} with norm=none (geometric means)"
        ) in told


def test_at_the_losses_in_common_the_range_is_how_far_the_loss_falls(runs, losses):
    rises = []
    for where, of in compared(runs):
        first = losses[where]["smoother-landscape", "range"]["first"]
        for seed, mine in itertools.product(first.index, of.values()):
            along = recorded(mine.loc[seed, "probes"], "landscape")
            here = along[along["loss"] <= first[seed]]
            rises += list(here["loss_high"] > here["loss"])
    assert len(rises) > 700 and sum(rises) <= 2
