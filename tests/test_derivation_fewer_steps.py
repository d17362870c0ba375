"""A second derivation of fewer-steps on each deep network, from the rules and packed runs alone."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from derived import (
    COMMITTED,
    FIRST_REPORT_SEED,
    agrees,
    by_rule_r,
    committed_claims,
    effect_in_words,
    judged,
    of_sweep,
    p_value,
    points,
    row_in_words,
    stands,
)
from derived_trial import Question, differing, grid_of, play, preset, report, tuning_runs
from scipy import stats

CLAIM, SEEDS, CHANCE, DEAD = "fewer-steps", 6, 0.1, 0.15
FINALISTS = {"deep": 2}
FACTORS = (1, 5, 30)
STEP, ACCURACY = "history.csv:step", "history.csv:val_accuracy"
BOUNDS = {"η*": 1, "5η*": 1, "the better of 5η* and 30η*": 2}


@dataclass(frozen=True)
class Network:
    """Runs of a sweep, BN's with its own choice, and those at multiples of the baseline's rate."""

    sweep: str
    runs: pd.DataFrame
    rate: float
    own: pd.DataFrame
    at: dict[tuple[str, int], pd.DataFrame]
    reported: int


def read(sweep: str) -> pd.DataFrame:
    rows = []
    for packed, row in of_sweep(sweep, [STEP, ACCURACY]):
        steps, found = ((packed[column] or "").splitlines() for column in (STEP, ACCURACY))
        curve = pd.Series(list(map(float, found)), index=list(map(int, steps)))
        maximum = CHANCE if row["status"] == "diverged" else curve.max()
        rows.append(row | {"curve": curve, "maximum": maximum})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module", params=["deep", "inception"])
def network(request) -> Network:
    runs, grid = read(request.param), grid_of(request.param)
    finalists = FINALISTS.get(request.param, 0)
    asked = {arm: Question(arm, halving=True, finalists=finalists) for arm in ("none", "batch")}
    chosen, grid, made = play(runs, grid, asked)
    assert tuning_runs(runs, grid) == made
    of = {arm: dict(zip(grid, cell, strict=True)) for arm, cell in chosen.items()}
    rate = of["none"]["lr"]
    at = {
        (arm, factor): report(runs, arm, SEEDS, **of["none"] | {"lr": factor * rate})
        for arm in of
        for factor in FACTORS
    }
    own = report(runs, "batch", SEEDS, **of["batch"])
    beside = any(own["curve"].equals(one["curve"]) for one in at.values())
    return Network(request.param, runs, rate, own, at, SEEDS * (len(at) + (not beside)))


@pytest.fixture(scope="module")
def claims(network) -> pd.DataFrame:
    """Of this network; elsewhere than on the first its name stands before the part."""
    found = committed_claims()
    mine = found[(found["sweep"] == network.sweep) & (found["claim"] == CLAIM)]
    return mine.assign(part=mine["part"].str.removeprefix(f"{network.sweep}, "))


# --- steps to the baseline's own maximum


def first(runs: pd.DataFrame, targets: pd.Series, before: bool = False) -> pd.Series:
    """The first evaluation at each seed's target, or the one before it; infinite if none is."""

    def of(curve: pd.Series, target: float) -> float:
        there = np.flatnonzero(curve >= target)
        return [0, *curve.index][there[0] + (not before)] if len(there) else np.inf

    return pd.Series({seed: of(runs["curve"][seed], targets[seed]) for seed in runs.index})


def ratios(base: pd.DataFrame, runs: pd.DataFrame, how: str = "budget") -> pd.Series:
    """Log2 of the baseline's steps over those of these runs, by seed."""
    found = [first(one, base["maximum"], how == "before") for one in (base, runs)]
    if how != "never":
        found = [steps.clip(1, base["steps"].iloc[0]) for steps in found]
    return np.log2(found[0]) - np.log2(found[1])


def verdict(base: pd.DataFrame, runs: pd.DataFrame, bound: float) -> str:
    """By rule R, if no other way to count the steps says otherwise."""
    found = by_rule_r(ratios(base, runs), bound)
    never = ratios(base, runs, "never")
    if np.isinf(never).any():
        signs = stats.binomtest(int((never > bound).sum()), len(never))
        if signs.pvalue >= 0.05:
            return "inconclusive"
    return found if found == by_rule_r(ratios(base, runs, "before"), bound) else "inconclusive"


def better(network: Network) -> int:
    """The factor with the larger mean ratio, of 5 and 30."""
    base = network.at["none", 1]
    return max((5, 30), key=lambda factor: ratios(base, network.at["batch", factor]).mean())


# --- the comparison


def test_runs_are_those_that_the_preset_and_the_rules_ask_for(network):
    runs = network.runs
    assert differing(runs, network.sweep) == []
    assert preset(network.sweep)["trial"]["factors"]["optimizer.lr"] == list(FACTORS)
    assert (runs["seed"] >= FIRST_REPORT_SEED).sum() == network.reported
    assert set(runs["status"]) <= {"finished", "diverged"}


@pytest.mark.parametrize("factor", FACTORS)
def test_what_lies_between_two_evaluations_is_little(network, factor):
    """They lie up to 125 steps apart, more than the 5% of the median that the rules ask for."""
    base, runs = network.at["none", 1], network.at["batch", factor]
    moved = ratios(base, runs, "before") - ratios(base, runs)
    assert abs(moved.mean()) < 0.2


@pytest.mark.parametrize("part", BOUNDS)
def test_steps_are_those_of_a_second_derivation(network, claims, part):
    factor = {"η*": 1, "5η*": 5}.get(part) or better(network)
    base, runs, bound = network.at["none", 1], network.at["batch", factor], BOUNDS[part]
    values, row = ratios(base, runs), judged(claims, CLAIM, part)
    agrees(row, values, p_value(values, bound), bound=bound)
    assert row["verdict"] == verdict(base, runs, bound)
    assert row["n"] == SEEDS and row["null"] == bound
    assert row["primary"] == (network.sweep == "deep" and part == "5η*")
    takes, took = (first(one, base["maximum"]).median() for one in (runs, base))
    assert f"takes {takes:.4g} steps, the baseline {took:.4g} (medians)" in row["sentence"]
    never = np.isinf(first(runs, base["maximum"])).sum()
    assert (f"counted as the budget: {never} of {SEEDS} runs" in row["sentence"]) == (never > 0)
    if part == "5η*":
        dead = (network.at["none", 5]["validation"] <= DEAD).sum()
        assert f"at 5η* is dead or diverged in {dead} of {SEEDS} runs" in row["sentence"]


def test_the_maximum_at_30_times_the_rate_is_that_of_a_second_derivation(network, claims):
    values = 100 * (network.at["batch", 30]["maximum"] - network.at["none", 1]["maximum"])
    row = judged(claims, CLAIM, "maximum at 30η*")
    agrees(row, values, p_value(values))
    assert row["verdict"] == by_rule_r(values) and not row["primary"]


def test_the_table_of_figure_3_is_that_of_a_second_derivation(network):
    found = pd.read_csv(COMMITTED / "report" / "tables" / f"{network.sweep}_figure3.csv")
    base = network.at["none", 1]
    assert len(found) == len(network.at)
    rows = [row for _, row in found.iterrows()]
    for ((arm, factor), runs), row in zip(network.at.items(), rows, strict=True):
        steps = first(runs, base["maximum"])
        assert (row["arm"], row["n"]) == (arm, SEEDS)
        assert row["learning rate"] == pytest.approx(factor * network.rate)
        assert row["diverged"] == (runs["status"] == "diverged").sum()
        assert row["steps to the baseline's maximum"] == steps.median()
        assert row["reached"] == np.isfinite(steps).sum()
        assert row["maximum"] == pytest.approx(runs["maximum"].mean())


def test_what_docs_say_of_it_is_what_was_judged(network, claims):
    stands(f"`{network.sweep}` ({len(network.runs)} runs")
    for _, row in claims.iterrows():
        stands(row_in_words(row))
    none, batch = network.at["none", 1], network.own
    stands(
        f"Tuned, test accuracy is {none['test'].mean():.2%} without BN and "
        f"{batch['test'].mean():.2%} with it, {effect_in_words(points(batch, none))} points"
    )
    for factor in (1, 5):
        fewer = 2 ** ratios(none, network.at["batch", factor]).mean()
        stands(f"{fewer:.1f} times fewer")
    if network.sweep == "inception":
        told = [
            f"{network.at['batch', factor]['test'].mean():.2%} at {factor * network.rate:g}"
            for factor in (1, 5)
        ]
        stands(f"a larger one adds accuracy, {', '.join(told)}")
