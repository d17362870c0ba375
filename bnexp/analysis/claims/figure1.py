"""The claims of section 4.1 and Fig. 1, on the paper's own network: accuracy, speed, stability."""

from collections.abc import Iterator

import pandas as pd

from bnexp.analysis import measures
from bnexp.analysis.claims.model import (
    LOG2,
    PAPER,
    POINTS,
    Claim,
    Finding,
    by_rule_r,
    by_speed,
    joined,
    percent,
    shown,
    times,
)
from bnexp.analysis.evidence import TUNED, Chosen, Evidence
from bnexp.analysis.measures import TEST, by_seed
from bnexp.analysis.statistics import paired_difference, paired_log2_ratio
from bnexp.analysis.steps import SECONDS, STEP, Crossings, Speed, crossings, speed
from bnexp.analysis.trials import ACCURACY, STEPS
from bnexp.folders.runs import DIVERGED

AS_PUBLISHED = "as_published"
TARGETS = (0.95, 0.90, 0.97)  # the first is the primary part's


def words(part: str) -> str:
    """The name of a trial's part in a table."""
    return part.replace("_", " ")


def how(theirs: Chosen, ours: Chosen) -> str:
    """What the arms chose, in brackets behind a sentence."""
    return f"({ours.arm}: {ours.told}; {theirs.arm}: {theirs.told})"


def deaths(theirs: Chosen, ours: Chosen) -> str:
    """What is said of runs that diverged."""
    counts = [int((arm.table["status"] == DIVERGED).sum()) for arm in (ours, theirs)]
    if not any(counts):
        return ""
    return (
        f" Diverged, counted as chance: {counts[0]} of {len(ours.table)} runs with "
        f"{ours.arm}, {counts[1]} of {len(theirs.table)} with {theirs.arm}."
    )


def accuracy(part: str, arms: tuple[Chosen, Chosen], *, primary: bool = False) -> Finding:
    """Rule R on the test accuracy of a trial's arms."""
    theirs, ours = arms
    a, b = by_seed(ours.table, TEST), by_seed(theirs.table, TEST)
    effect = paired_difference(a, b).scaled(100)
    sentence = (
        f"Test accuracy is {percent(a.mean())} with {ours.arm} and {percent(b.mean())} with "
        f"{theirs.arm} {how(theirs, ours)}: {shown(effect)}.{deaths(theirs, ours)}"
    )
    measure = f"test accuracy, {ours.arm} − {theirs.arm}"
    return by_rule_r(part, measure, POINTS, effect, sentence, primary=primary)


def timed(
    runs: Evidence, arms: tuple[Chosen, Chosen], target: float, *, column: str = STEP
) -> tuple[str, Speed, str]:
    """How many times as long the first arm takes to the target: measure, log2, and a sentence."""
    theirs, ours = arms
    when = crossings(runs, target, column)
    a, b = when.of(ours.table), when.of(theirs.table)
    compared = speed(b, a)
    unit = "steps" if column == STEP else "training seconds"
    sentence = (
        f"To {target:.0%} validation accuracy: {a.first.median():.4g} {unit} with {ours.arm} and "
        f"{b.first.median():.4g} with {theirs.arm} (medians) {how(theirs, ours)}; "
        f"paired by seed {times(compared.effect.mean)} as many with {theirs.arm}: log2 "
        f"{shown(compared.effect)}.{never(a, b, ours.arm, theirs.arm)}{deaths(theirs, ours)}"
    )
    measure = f"{unit} to {target:.0%} validation accuracy, {theirs.arm} / {ours.arm}"
    return measure, compared, sentence


def steps_to(
    runs: Evidence,
    part: str,
    arms: tuple[Chosen, Chosen],
    target: float,
    *,
    column: str = STEP,
    primary: bool = False,
) -> Finding:
    """Rule R on log2 of how many times as long the baseline takes to the target."""
    return by_speed(part, *timed(runs, arms, target, column=column), primary=primary)


def never(ours: Crossings, theirs: Crossings, arm: str, baseline: str) -> str:
    """What is said of runs that do not reach the target."""
    if not (ours.never or theirs.never):
        return ""
    return (
        f" Never there, counted as the budget: {ours.never} of {len(ours.first)} runs with {arm}, "
        f"{theirs.never} of {len(theirs.first)} with {baseline}."
    )


def _higher_accuracy(runs: Evidence) -> Iterator[Finding]:
    yield accuracy(TUNED, runs.chosen(TUNED, ACCURACY), primary=True)
    yield accuracy(words(AS_PUBLISHED), runs.chosen(AS_PUBLISHED, ACCURACY))
    for arm in runs.part(AS_PUBLISHED, ACCURACY)["arms"]:
        part = joined(words(AS_PUBLISHED), f"both at the rate of {arm}")
        yield accuracy(part, runs.chosen(AS_PUBLISHED, ACCURACY, at=arm))


def _faster_training(runs: Evidence) -> Iterator[Finding]:
    for name in (TUNED, AS_PUBLISHED):
        arms = runs.chosen(name, STEPS)
        for target in TARGETS:
            part = joined(words(name), f"{target:.0%}")
            primary = (name, target) == (TUNED, TARGETS[0])
            yield steps_to(runs, part, arms, target, primary=primary)
        part = joined(words(name), f"{TARGETS[0]:.0%}", "seconds")
        yield steps_to(runs, part, arms, TARGETS[0], column=SECONDS)


def path_and_spread(runs: Evidence, statistic: str) -> tuple[pd.Series, pd.Series]:
    """By run, of the last hidden layer's inputs from step `PATH_START` on.

    How far a percentile wandered in all (mean over units), and the mean distance from the 15th to
    the 85th percentile.
    """
    probed = measures.probed(runs, "activations", f"{statistic}_move", "spread")
    table = measures.last_layer(probed)
    late = table[table["step"] > measures.PATH_START]
    moves = late[late["statistic"] == f"{statistic}_move"].groupby("run")["value"].sum()
    return moves, late[late["statistic"] == "spread"].groupby("run")["value"].mean()


PATHS = {"median": "median", "spread": "distance from the 15th to the 85th percentile"}


def drift(
    runs: Evidence,
    part: str,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    statistic: str,
    told: str,
    *,
    primary: bool = False,
) -> Finding:
    """Rule R on how much farther the last hidden layer's inputs wander in the first table."""
    path, spread = path_and_spread(runs, statistic)
    first, second = (by_seed(table, path) for table in tables)
    pooled = (by_seed(tables[0], spread) + by_seed(tables[1], spread)) / 2
    effect = paired_log2_ratio(first, second)
    sentence = (
        f"The {PATHS[statistic]} of the last hidden layer's inputs wanders "
        f"{(first / pooled).mean():.3g} pooled spreads against {(second / pooled).mean():.3g} "
        f"({told}): log2 {shown(effect)}."
    )
    measure = f"path length of the {PATHS[statistic]}, from step {measures.PATH_START} on"
    return by_rule_r(joined(part, statistic), measure, LOG2, effect, sentence, primary=primary)


def _stable_inputs(runs: Evidence) -> Iterator[Finding]:
    for name in (AS_PUBLISHED, TUNED):
        theirs, ours = runs.chosen(name, ACCURACY)
        for statistic in PATHS:
            told = f"{theirs.arm} against {ours.arm}, {theirs.told} against {ours.told}"
            primary = (name, statistic) == (AS_PUBLISHED, "median")
            tables = (theirs.table, ours.table)
            yield drift(runs, words(name), tables, statistic, told, primary=primary)


PLACE = 10  # among the claims
CLAIMS = (
    Claim(
        "higher-accuracy",
        "The network with BN reaches a higher test accuracy.",
        "§4.1, Fig. 1a",
        "Test accuracy on fresh seeds, BN − none, rate, initial weights and schedule of both arms "
        "tuned alike; rule R. Secondary: as published (small Gaussian weights, constant rate), and "
        "with equal rates.",
        "fig1",
        _higher_accuracy,
        PAPER,
    ),
    Claim(
        "faster-training",
        "BN trains faster.",
        "§4.1, Fig. 1a",
        "Steps to 95% validation accuracy, log2 none / BN, both arms tuned for it; rule R, which "
        "must hold however runs that never get there are counted. Secondary: 90%, 97%, seconds, "
        "as published.",
        "fig1",
        _faster_training,
        PAPER,
    ),
    Claim(
        "stable-inputs",
        "With BN the distribution of the inputs to the last hidden layer's nonlinearity is more "
        "stable while training.",
        "§4.1, Fig. 1b, c",
        "Path length of the median from step 1,000 on, as published, over the spread of both arms "
        "pooled; log2 none / BN; rule R. Secondary: of the distance from the 15th to the 85th "
        "percentile; tuned.",
        "fig1",
        _stable_inputs,
        PAPER,
    ),
)
