"""The claims of section 4.1 and Fig. 1, on the paper's own network: accuracy, speed, stability."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from bnexp.analysis import measures
from bnexp.analysis.claims.model import (
    LOG2,
    POINTS,
    Claim,
    Finding,
    by_rule_r,
    joined,
    percent,
    shown,
    times,
)
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import LR, TEST, Tuned, by_seed, tuned
from bnexp.analysis.statistics import paired_difference, paired_log2_ratio

TARGETS = (0.90, 0.95, 0.97)


def matched(none: pd.DataFrame, batch: pd.DataFrame) -> list[float]:
    """The learning rates that both arms were run at."""
    return sorted(set(none[LR]) & set(batch[LR]))


def rates(none: Tuned, batch: Tuned) -> str:
    """The learning rates compared, and which of them lie at the edge of the grid."""
    text = f"learning rate {batch.rate:g} with BN, {none.rate:g} without"
    edges = [("with", batch), ("without", none)]
    told = [f"{word} BN the {arm.edge} tried" for word, arm in edges if arm.edge]
    return f"{text}; {' and '.join(told)}" if told else text


def at_rate(table: pd.DataFrame, rate: float) -> pd.DataFrame:
    """The runs at one learning rate."""
    return table[table[LR] == rate]


def _higher_accuracy(runs: Runs) -> Iterator[Finding]:
    for part, chosen in measures.parts(runs, LR):
        none, batch = measures.arms(measures.ended(chosen))
        ours, theirs = tuned(batch), tuned(none)
        yield _accuracy(
            joined(part, "best learning rates"), theirs.table, ours.table, rates(theirs, ours)
        )
        for rate in matched(none, batch):
            yield _accuracy(
                joined(part, f"learning rate {rate:g}"),
                at_rate(none, rate),
                at_rate(batch, rate),
                f"learning rate {rate:g} for both",
                beside=True,
            )


def _accuracy(
    part: str, none: pd.DataFrame, batch: pd.DataFrame, how: str, *, beside: bool = False
) -> Finding:
    ours, theirs = by_seed(batch, TEST), by_seed(none, TEST)
    effect = paired_difference(ours, theirs).scaled(100)
    sentence = (
        f"Test accuracy is {percent(ours.mean())} with BN and {percent(theirs.mean())} without "
        f"({how}): {shown(effect)}."
    )
    measure = "test accuracy, BN − none"
    return by_rule_r(part, measure, POINTS, effect, sentence, beside=beside)


def _faster_training(runs: Runs) -> Iterator[Finding]:
    for part, chosen in measures.parts(runs, LR):
        none, batch = measures.arms(measures.ended(chosen))
        for target in TARGETS:
            name = joined(part, f"{target:.0%}")
            steps = measures.censored(chosen, target)
            theirs, ours = tuned(none, -np.log2(steps)), tuned(batch, -np.log2(steps))
            yield _speed(chosen, name, target, theirs, ours)
            yield _speed(chosen, f"{name}, seconds", target, theirs, ours, beside="seconds")
            for rate in matched(none, batch):
                theirs, ours = (Tuned(rate, "", at_rate(table, rate)) for table in (none, batch))
                at = f"{name}, learning rate {rate:g}"
                yield _speed(chosen, at, target, theirs, ours, beside="step")


def _speed(
    runs: Runs, part: str, target: float, none: Tuned, batch: Tuned, *, beside: str = ""
) -> Finding:
    """Log2 of how many times as long the arm without BN takes to reach the target."""
    column = beside or "step"
    spent = measures.censored(runs, target, column)
    theirs, ours = none.by_seed(spent), batch.by_seed(spent)
    effect = paired_log2_ratio(theirs, ours)
    unit = "steps" if column == "step" else "training seconds"
    sentence = (
        f"To {target:.0%} validation accuracy: {ours.median():.4g} {unit} with BN and "
        f"{theirs.median():.4g} without (medians; {rates(none, batch)}), {times(effect.mean)} as "
        f"many without: log2 {shown(effect)}.{never(runs, target, none, batch)}"
    )
    measure = f"{unit} to {target:.0%} validation accuracy, none / BN"
    return by_rule_r(part, measure, LOG2, effect, sentence, beside=bool(beside))


def never(runs: Runs, target: float | pd.Series, none: Tuned, batch: Tuned) -> str:
    """What is said of runs that do not reach the target."""
    first = measures.reached(runs, target)
    counts = [int(np.isinf(first[arm.table.index]).sum()) for arm in (batch, none)]
    if not any(counts):
        return ""
    return (
        f" Never there, counted as the budget: {counts[0]} of {len(batch.table)} runs with BN, "
        f"{counts[1]} of {len(none.table)} without."
    )


def stability(part: str, theirs: pd.Series, ours: pd.Series, statistic: str, how: str) -> Finding:
    """Rule R on how much farther the inputs wander without what `ours` has."""
    effect = paired_log2_ratio(theirs, ours)
    what = PATHS[statistic]
    sentence = (
        f"The {what} of the last hidden layer's inputs wanders {theirs.mean():.3g} spreads "
        f"against {ours.mean():.3g} ({how}): log2 {shown(effect)}."
    )
    measure = f"path length of the {what} / spread, from step {measures.PATH_START} on"
    return by_rule_r(joined(part, statistic), measure, LOG2, effect, sentence)


PATHS = {"median": "median", "spread": "distance from the 15th to the 85th percentile"}


def _stable_inputs(runs: Runs) -> Iterator[Finding]:
    for part, chosen in measures.parts(runs, LR):
        none, batch = (tuned(table) for table in measures.arms(measures.ended(chosen)))
        for statistic in PATHS:
            path = measures.path_length(chosen, statistic)
            how = f"without BN against with it; {rates(none, batch)}"
            yield stability(part, none.by_seed(path), batch.by_seed(path), statistic, how)


PLACE = 10  # among the claims
CLAIMS = (
    Claim(
        "higher-accuracy",
        "The network with BN reaches a higher test accuracy.",
        "§4.1, Fig. 1a",
        "Final test accuracy, BN − none, each arm at its own best learning rate by validation; "
        "rule R. Beside it: every learning rate that both arms share.",
        "fig1",
        _higher_accuracy,
    ),
    Claim(
        "faster-training",
        "BN trains faster.",
        "§4.1, Fig. 1a",
        "Steps to 90, 95 and 97% validation accuracy, log2 none / BN, each arm at its fastest "
        "learning rate; rule R. A run that never gets there counts as the budget.",
        "fig1",
        _faster_training,
    ),
    Claim(
        "stable-inputs",
        "With BN the distribution of the inputs to the last hidden layer's nonlinearity is more "
        "stable while training.",
        "§4.1, Fig. 1b, c",
        "Path length of the median and of the distance from the 15th to the 85th percentile from "
        "step 1,000 on, over the spread; log2 none / BN, each arm at its best learning rate; "
        "rule R.",
        "fig1",
        _stable_inputs,
    ),
)
