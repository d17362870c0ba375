"""What docs/results.md says of four presets on training around BN is what the runs say."""

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from derived import (
    FIRST_REPORT_SEED,
    committed_claims,
    effect_in_words,
    interval,
    path_length,
    points,
    row_in_words,
    setting,
    sign_flip_p,
    stands,
    tuned,
    with_tables,
)
from scipy import stats

CLAIMS = committed_claims()
SWEEPS = ["shuffling", "weight_decay", "regularization", "position"]
JUDGED = CLAIMS[CLAIMS["sweep"].isin(SWEEPS)].set_index(["claim", "part"])
L2 = "less-l2-faster-decay"
POSITION = "before-nonlinearity"
RATES = (0.03, 0.1, 0.3, 1)  # that train in both places


def told(claim: str, part: str) -> str:
    return row_in_words(JUDGED.loc[claim, part])


def arms_of(sweep: str, *keys: str) -> dict[tuple, pd.DataFrame]:
    runs = with_tables(sweep)
    return dict(list(runs.groupby([setting(runs, key) for key in keys])))


def tuning_at(runs: pd.DataFrame, rate: float) -> pd.DataFrame:
    return runs[(runs.index < FIRST_REPORT_SEED) & (runs["lr"] == rate)]


def percent(values: pd.Series) -> str:
    return f"{values.mean():.2%}"


def with_rate(runs: pd.DataFrame) -> str:
    return f"{percent(runs['test'])} ({runs['lr'].iloc[0]:g})"


def last(runs: pd.DataFrame, name: str = "train_loss") -> pd.Series:
    return runs["history"].map(lambda history: history[name].iloc[-1])


def in_a_row(values: list[str]) -> str:
    return f"{', '.join(values[:-1])} and {values[-1]}"


def test_docs_have_every_primary_and_every_contradicted_part():
    for (claim, part), row in JUDGED[JUDGED["primary"].astype(bool)].iterrows():
        stands(f"| {claim}: {part} | {row_in_words(row)} points | {row['verdict_holm']} |")
    for _, row in JUDGED[JUDGED["verdict"] == "contradicted"].iterrows():
        stands(row_in_words(row))


# --- shuffling


@pytest.fixture(scope="module")
def shuffled() -> dict[tuple, pd.DataFrame]:
    return arms_of("shuffling", "norm", "trainer.reshuffle")


def test_what_docs_say_of_reshuffling_is_what_the_runs_say(shuffled):
    of = {arm: tuned(runs, report_seeds=20) for arm, runs in shuffled.items()}
    test = {arm: percent(runs["test"]) for arm, runs in of.items()}
    rate = {arm: f"{runs['lr'].iloc[0]:g}" for arm, runs in of.items()}
    assert rate["none", True] == rate["none", False] == "3"
    difference = JUDGED.loc["shuffling-helps", "difference"]
    stands(
        f"is {test['batch', True]} with BN where they are reshuffled and {test['batch', False]} "
        f"where not, {test['none', True]} and {test['none', False]} without BN, "
        f"{told('shuffling-helps', 'without BN')}",
        f"{row_in_words(difference)} (inconclusive; {difference['detectable']:.2f} could have",
        f"{rate['batch', True]} reshuffled and {rate['batch', False]} not.",
    )
    gain = points(of["batch", True], of["batch", False], "validation")
    batch, none = (of[arm, False]["loss"] - of[arm, True]["loss"] for arm in ("batch", "none"))
    stands(
        f"On validation data the twenty seeds gain {effect_in_words(gain)}",
        f"gain {effect_in_words(batch, 3)[1:]} with BN and {effect_in_words(none, 3)[1:]} without",
    )


def test_what_docs_say_of_reshuffling_at_equal_rates_is_what_the_runs_say(shuffled):
    scores = {
        anew: in_a_row(
            [
                percent(tuning_at(shuffled["batch", anew], rate)["validation"])
                for rate in (0.3, 1, 3)
            ]
        )
        for anew in (True, False)
    }
    stands(f"1 and 3 are {scores[True]} reshuffled, {scores[False]} not")

    def gains(arm: str, of) -> pd.Series:
        pairs = [[tuning_at(shuffled[arm, anew], rate) for anew in (True, False)] for rate in rates]
        return pd.concat([of(more) - of(less) for more, less in pairs])

    rates = (0.1, 0.3, 1, 3)
    right = 100 * gains("batch", lambda runs: runs["test"]).mean()
    stands(f"their test accuracy gains {round(right, 6):.2f} points on average")
    batch, none = gains("batch", last), gains("none", last)
    assert len(batch) == 8
    stands(
        f"lower by {batch.min():.3f} to {batch.max():.3f} in each of eight pairs",
        f"without BN by {none.min():.3f} to {none.max():.3f}",
    )


# --- weight decay


@pytest.fixture(scope="module")
def decayed() -> dict[tuple, pd.DataFrame]:
    """By arm, penalty, and steps in which the rate halves."""
    return arms_of("weight_decay", "norm", "optimizer.weight_decay", "schedule.every")


def test_what_docs_say_of_penalty_and_decay_is_what_the_runs_say(decayed):
    of = {arm: tuned(runs) for arm, runs in decayed.items()}
    for penalty in (0.0005, 0.0001):
        for name, every in (("slow", 10000), ("fast", 1667)):
            none, batch = (with_rate(of[arm, penalty, every]) for arm in ("none", "batch"))
            stands(f"| {penalty}, {name} | {none} | {batch} |")
    gain, less, errors = {}, {}, {}
    for arm in ("batch", "none"):
        neither, both = of[arm, 0.0005, 10000], of[arm, 0.0001, 1667]
        gain[arm] = points(both, neither)
        less[arm] = points(of[arm, 0.0001, 10000], neither)
        errors[arm] = np.log2((1 - neither["test"]) / (1 - both["test"]))
    difference = JUDGED.loc[L2, "difference"]
    factors = [f"{2 ** errors[arm].mean():.2f}" for arm in ("batch", "none")]
    stands(
        f"less L2 with {told(L2, 'less L2')}, the faster decay with {told(L2, 'faster decay')}",
        f"gain {effect_in_words(gain['none'])} points, BN's gain less that is "
        f"{row_in_words(difference)} (inconclusive), and less L2 alone gains "
        f"{effect_in_words(less['none'])}",
        f"by {factors[0]} with BN and by {factors[1]} without (log2 "
        f"{effect_in_words(errors['batch'])} and {effect_in_words(errors['none'])})",
        f"could have told {difference['detectable']:.2f}",
    )


def test_what_docs_say_of_rates_that_fall_is_what_the_runs_say(decayed):
    neither, both = decayed["batch", 0.0005, 10000], decayed["batch", 0.0001, 1667]
    first, second = (
        [percent(tuning_at(runs, rate)["test"]) for runs in (both, neither)] for rate in (0.3, 1)
    )
    ends = [27 * 0.5 ** (10000 / 1667), 0.3 * 0.5]
    stands(
        f"with BN is {first[0]} with both changes and {first[1]} with neither (two tuning seeds; "
        f"at 1 it is {second[0]} and {second[1]})",
        f"a rate {27 / 0.3:.0f} times as high, which ends at {ends[0]:.2f}, where 0.3 with the "
        f"slow decay ends at {ends[1]:.2f}",
    )
    mine = tuned(decayed["none", 0.0001, 1667])
    accuracy = pd.DataFrame([one.set_index("step")["val_accuracy"] for one in mine["history"]])
    stuck = (accuracy < 0.15).sum()
    assert (mine["lr"] == 27).all() and list(stuck[[1000, 3000, 5000, 6000]]) == [10, 5, 1, 0]
    stands(
        "All ten networks are at chance at step 1,000, five still at 3,000 and one at 5,000",
        f"accuracy is {mine['test'].min():.2%} to {mine['test'].max():.2%}",
    )


# --- dropout


@pytest.fixture(scope="module")
def dropped() -> dict[tuple, pd.DataFrame]:
    return arms_of("regularization", "norm", "model.dropout")


def test_what_docs_say_of_dropout_is_what_the_runs_say(dropped):
    of = {arm: tuned(runs, report_seeds=20) for arm, runs in dropped.items()}
    for share in (0.0, 0.1, 0.3, 0.5):
        none, batch = (with_rate(of[arm, share]) for arm in ("none", "batch"))
        stands(f"| {share:g} | {none} | {batch} |")
    alone, best = of["batch", 0.0], of["batch", 0.5]
    values = points(alone, best)
    low, high = interval(values, confidence=0.9)
    worse = points(alone, of["batch", 0.1])
    losses = [f"{runs['loss'].mean():.3f}" for runs in (alone, best)]
    power = stats.norm.ppf(0.95) + stats.norm.ppf(0.8)
    seeds = (power * values.std() / (values.mean() + 0.2)) ** 2
    stands(
        f"a 90% interval, [{low:.2f}, {high:.2f}]: below 0",
        f"best dropout, 0.3, by {told('regularizes', 'none with dropout')}",
        f"which gains {effect_in_words(points(of['none', 0.3], of['none', 0.0]))} without BN",
        f"which is ahead by {effect_in_words(worse)}",
        f"{losses[0]} against {losses[1]}, {effect_in_words(alone['loss'] - best['loss'], 3)}",
        f"an effect of {values.mean():.2f} from the margin takes about {round(seeds, -1):.0f}",
    )
    gains = [
        100 * (tuning_at(dropped["batch", 0.3], rate)["test"].mean() - one["test"].mean())
        for rate in (0.1, 0.3, 1, 3, 9)
        for one in [tuning_at(dropped["batch", 0.0], rate)]
    ]
    stands(f"at each rate from 0.1 to 9, by {min(gains):.2f} to {max(gains):.2f} points")


def gaps(runs: pd.DataFrame, level: float) -> pd.Series:
    """Validation less training loss between the evaluations where the latter passes a level."""

    def gap(history: pd.DataFrame) -> float:
        passed = int(np.argmax(history["train_loss"] <= level))
        around = history.iloc[[passed, passed - 1]]
        return float(np.interp(level, around["train_loss"], around["val_loss"])) - level

    return runs["history"].map(gap)


def test_what_docs_say_of_the_generalization_gap_is_what_the_runs_say(dropped):
    of = {arm: tuned(dropped[arm, 0.0], report_seeds=20) for arm in ("none", "batch")}
    level = max(
        runs["history"].map(lambda history: history["train_loss"].min()).max()
        for runs in of.values()
    )

    def first(history: pd.DataFrame) -> float:
        there = history[history["train_loss"] <= level].iloc[0]
        return there["val_loss"] - there["train_loss"]

    batch, none = (f"{of[arm]['history'].map(first).mean():.3f}" for arm in ("batch", "none"))
    row = JUDGED.loc["regularizes", "generalization gap"]
    stands(
        f"first is at most {level:.3g}, which all runs reach, the validation loss lies {batch} "
        f"above it with BN and {none} without, {row_in_words(row, 3)}",
    )
    levels = (0.2, 0.1, 0.05, 0.02, 0.01)
    smaller = [(gaps(of["none"], one) - gaps(of["batch"], one)).mean() for one in levels]
    stands(f"smaller with BN by {min(smaller):.3f} to {max(smaller):.3f}")


# --- before or after the nonlinearity


@pytest.fixture(scope="module")
def placed() -> dict[tuple, pd.DataFrame]:
    """By activation and place."""
    return arms_of("position", "model.activation", "norm.position")


def part_of(activation: str, name: str) -> pd.Series:
    return JUDGED.loc[POSITION, f"activation={activation}, {name}"]


def test_what_docs_say_of_places_is_what_the_runs_say(placed):
    of = {arm: tuned(runs, tuning_seeds=6) for arm, runs in placed.items()}
    before, after = of["sigmoid", "pre"], of["sigmoid", "post"]
    accuracy = part_of("sigmoid", "accuracy")
    assert (accuracy["verdict"], accuracy["verdict_holm"]) == ("contradicted", "inconclusive")
    relu = [with_rate(of["relu", place]) for place in ("pre", "post")]
    stands(
        f"{with_rate(before).replace('(', 'before (rate ')} and "
        f"{with_rate(after).replace('(', 'after (')}, which",
        f"but p = {accuracy['p']:.3f} does not stand",
        f"it is {relu[0]} and {relu[1]}, {row_in_words(part_of('relu', 'accuracy'))}, supported",
    )
    tuning = [
        [tuning_at(placed["sigmoid", one], rate) for one in ("post", "pre")] for rate in RATES
    ]
    ahead = [f"{points(post, pre).mean():.2f}" for post, pre in tuning]
    ends = {post["lr"].iloc[0]: (last(post).mean(), last(pre).mean()) for post, pre in tuning}
    assert all(post < pre for post, pre in ends.values())
    stands(
        f"by {in_a_row(ahead)} points of test accuracy at 0.03, 0.1, 0.3 and 1",
        f"at 0.3 with {ends[0.3][0]:.3f} against {ends[0.3][1]:.3f}",
    )
    others = " ".join((ROOT / "docs" / "claims.md").read_text(encoding="utf-8").split())
    assert "0.9747 with it before the nonlinearity, 0.9728 after" in others
    stands("had 97.47% and 97.28%")


def test_what_docs_say_of_the_largest_rates_is_what_the_runs_say(placed):
    rates = {kind: part_of(kind, "largest rate") for kind in ("sigmoid", "relu")}
    diverged = {kind: part_of(kind, "diverged at 3") for kind in ("sigmoid", "relu")}
    assert tuning_at(placed["sigmoid", "post"], 3)["status"].eq("diverged").all()
    trains = tuning_at(placed["relu", "post"], 3)["status"] == "finished"
    assert trains.sum() == 2
    died = pd.concat([runs[runs["status"] == "diverged"] for runs in placed.values()])
    assert len(died) == 10 and (died["lr"] == 3).all()
    of_relu = 100 * (~trains).astype(float)
    alike = pd.Series([1.0] * 6)
    stands(
        f"log2 {row_in_words(rates['sigmoid'])} with sigmoids, 3 before and 1 after in all six",
        f"(sign-flip p = {sign_flip_p(alike):.3f}, the least that six seeds can have)",
        f"it is {row_in_words(rates['relu'])}, as 3 trains in two of six seeds after",
        f"{diverged['sigmoid']['effect']:.0f} points with sigmoids and "
        f"{diverged['relu']['effect']:.0f} with ReLUs. Its interval there goes to "
        f"{diverged['relu']['high']:.0f}",
        f"All ten died by step {died['made'].max()}",
        f"sign flips give both parts of ReLUs p = {sign_flip_p(of_relu):.2f}",
    )
    best = {arm: tuned(runs, tuning_seeds=6)["lr"].iloc[0] for arm, runs in placed.items()}
    assert [best[kind, "pre"] / best[kind, "post"] for kind in rates] == pytest.approx([10 / 3, 3])


def test_what_docs_say_of_drift_is_what_the_runs_say(placed):
    median, spread = (
        {kind: row_in_words(part_of(kind, f"drift, {name}")) for kind in ("sigmoid", "relu")}
        for name in ("median", "spread")
    )
    stands(
        f"in both places, log2 {median['sigmoid']} (inconclusive), and more before with ReLUs, "
        f"{median['relu']} (contradicted)",
        f"{spread['sigmoid']} and {spread['relu']} (supported)",
    )
    for kind, name in (("sigmoid", "sigmoids"), ("relu", "ReLUs")):
        pairs = [[tuning_at(placed[kind, one], rate) for one in ("post", "pre")] for rate in RATES]
        ratios = [
            np.log2(path_length(post, "median") / path_length(pre, "median")).mean()
            for post, pre in pairs
        ]
        stands(f"{in_a_row([f'{one:+.2f}' for one in ratios])} with {name}")
