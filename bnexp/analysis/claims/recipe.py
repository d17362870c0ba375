"""The claims about how to train once BN is there: rates, steps, dropout, L2, shuffling (§4.2)."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from bnexp.analysis import measures
from bnexp.analysis.claims.figure1 import never
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
from bnexp.analysis.measures import LR, NORM, VALIDATION, Tuned, by_seed, split, tuned
from bnexp.analysis.naming import SCHEDULE
from bnexp.analysis.statistics import paired_difference, paired_log2_ratio
from bnexp.folders.runs import DIVERGED

DROPOUT, L2, RESHUFFLE = "model.dropout", "optimizer.weight_decay", "trainer.reshuffle"
FASTER, FASTEST = 5, 30  # times the baseline's learning rate
BATCH_SIZE = "trainer.batch_size"
COMPARABLE = 60  # the largest batch at which both arms make steps enough: the paper's
DROPOUT_MARGIN = 0.2  # percentage points
CLOSE = 0.01  # two learning rates this near in ratio are the same


def near_rate(table: pd.DataFrame, rate: float) -> pd.DataFrame:
    """The runs at this learning rate, written exactly or rounded."""
    return table[(table[LR].astype(float) / rate - 1).abs() < CLOSE]


def times_rate(table: pd.DataFrame, rate: float) -> pd.DataFrame:
    """The runs at this learning rate.

    Raises:
        MeasureError: there are none.
    """
    chosen = near_rate(table, rate)
    if chosen.empty:
        arm = table[NORM].iloc[0]
        raise measures.MeasureError(f"no run with norm={arm} at learning rate {rate:g}")
    return chosen


def baseline_maximum(runs: Runs, baseline: Tuned) -> pd.Series:
    """By seed: the highest validation accuracy that the baseline passes through."""
    best = runs.history.groupby("run")["val_accuracy"].max()
    return baseline.by_seed(best)


def figure3(runs: Runs) -> pd.DataFrame:
    """The table of Fig. 3: model, learning rate, steps to the baseline's maximum, maximum.

    Steps are the median over seeds (infinite: most never get there), maximum the mean; the
    baseline is the arm without normalization at its best learning rate.

    Raises:
        MeasureError: no baseline or no BN run has ended.
    """
    none, batch = measures.arms(measures.ended(runs))
    base = tuned(none)
    goal = baseline_maximum(runs, base)
    maxima = runs.history.groupby("run")["val_accuracy"].max()
    rows = []
    for arm, table in (("none", none), ("batch", batch)):
        for rate, group in split(table, LR).items():
            targets = group["seed"].map(goal)
            steps = measures.reached(runs, targets.reindex(runs.runs.index))[group.index]
            rows.append(
                {
                    "arm": arm,
                    "learning rate": rate,
                    "times the baseline": rate / base.rate,
                    "n": len(group),
                    "budget": float(group["trainer.steps"].max()),
                    "diverged": int((group["status"] == DIVERGED).sum()),
                    "steps to the baseline's maximum": float(steps.median()),
                    "reached": int(np.isfinite(steps).sum()),
                    "maximum": float(maxima.reindex(group.index).mean()),
                }
            )
    return pd.DataFrame(rows)


def _fewer_steps(runs: Runs) -> Iterator[Finding]:
    for part, chosen in measures.parts(runs, LR):
        none, batch = measures.arms(measures.ended(chosen))
        base = tuned(none)
        goal = baseline_maximum(chosen, base)
        for factor in (1, FASTER):
            ours = Tuned(base.rate * factor, "", times_rate(batch, base.rate * factor))
            yield _to_maximum(chosen, joined(part, f"{factor}× rate"), base, ours, goal, none)
        yield _higher_maximum(part, base, batch)


def _to_maximum(
    runs: Runs, part: str, base: Tuned, ours: Tuned, goal: pd.Series, none: pd.DataFrame
) -> Finding:
    """Rule R on log2 of the steps' ratio against 1: fewer than half."""
    targets = runs.runs["seed"].map(goal)
    steps = measures.censored(runs, targets)
    effect = paired_log2_ratio(base.by_seed(steps), ours.by_seed(steps))
    faster = near_rate(none, base.rate * FASTER)
    diverged = int((faster["status"] == DIVERGED).sum())
    sentence = (
        f"To the baseline's own maximum ({percent(goal.mean())} at learning rate "
        f"{base.rate:g}) BN at {ours.rate:g} takes {ours.by_seed(steps).median():.4g} steps, the "
        f"baseline {base.by_seed(steps).median():.4g} (medians), {times(effect.mean)} as many: "
        f"log2 {shown(effect)}.{never(runs, targets, base, ours)}"
    )
    if len(faster):
        sentence += f" The baseline at {FASTER}× diverges in {diverged} of {len(faster)} runs."
    measure = "steps to the baseline's maximum, none / BN, against a factor of 2"
    return by_rule_r(part, measure, LOG2, effect, sentence, null=1.0)


def _higher_maximum(part: str, base: Tuned, batch: pd.DataFrame) -> Finding:
    ours = by_seed(times_rate(batch, base.rate * FASTEST), VALIDATION)
    theirs = base.by_seed(VALIDATION)
    effect = paired_difference(ours, theirs).scaled(100)
    sentence = (
        f"At {FASTEST} times the baseline's best learning rate BN ends at {percent(ours.mean())} "
        f"validation accuracy, the baseline at {percent(theirs.mean())}: {shown(effect)}."
    )
    measure = "final validation accuracy, BN − none"
    return by_rule_r(joined(part, f"{FASTEST}× rate"), measure, POINTS, effect, sentence)


def _regularizes(runs: Runs) -> Iterator[Finding]:
    for part, chosen in measures.parts(runs, LR, DROPOUT):
        none, batch = measures.arms(measures.ended(chosen))
        yield _without_dropout(joined(part, "without dropout"), batch)
        yield _gap(chosen, joined(part, "generalization gap"), none, batch)


def _without_dropout(part: str, batch: pd.DataFrame) -> Finding:
    without, dropped = batch[batch[DROPOUT] == 0], batch[batch[DROPOUT] > 0]
    if without.empty or dropped.empty:
        raise measures.MeasureError("needs runs of BN with dropout and without")
    arms = {share: tuned(group) for share, group in split(dropped, DROPOUT).items()}
    share = max(arms, key=lambda key: arms[key].by_seed(VALIDATION).mean())
    ours, theirs = tuned(without).by_seed(VALIDATION), arms[share].by_seed(VALIDATION)
    effect = paired_difference(ours, theirs).scaled(100)
    sentence = (
        f"BN reaches {percent(ours.mean())} validation accuracy without dropout and "
        f"{percent(theirs.mean())} with its best dropout ({share:g}): {shown(effect)}; judged "
        f"against a margin of {DROPOUT_MARGIN} points."
    )
    measure = "validation accuracy of BN, without − with the best dropout"
    return by_rule_r(part, measure, POINTS, effect, sentence, null=-DROPOUT_MARGIN)


def _gap(runs: Runs, part: str, none: pd.DataFrame, batch: pd.DataFrame) -> Finding:
    """Validation less training loss where the training loss first is what all runs reach."""
    arms = [tuned(table[table[DROPOUT] == 0]) for table in (none, batch)]
    lowest = runs.history.groupby("run")["train_loss"].min()
    matched = max(float(arm.by_seed(lowest).max()) for arm in arms)
    there = runs.history[runs.history["train_loss"] <= matched].sort_values("step")
    first = there.groupby("run").first()
    gap = first["val_loss"] - first["train_loss"]
    theirs, ours = (arm.by_seed(gap) for arm in arms)
    effect = paired_difference(theirs, ours)
    sentence = (
        f"Where the training loss reaches {matched:.3g}, validation loss lies "
        f"{ours.mean():.3g} above it with BN and {theirs.mean():.3g} without: {shown(effect, 3)}."
    )
    measure = "validation − training loss at matched training loss, none − BN"
    return by_rule_r(part, measure, "nats", effect, sentence)


def _shuffling_helps(runs: Runs) -> Iterator[Finding]:
    for part, chosen in measures.parts(runs, LR, RESHUFFLE):
        gains = []
        for arm in measures.arms(measures.ended(chosen)):
            fixed, shuffled = (arm[arm[RESHUFFLE] == value] for value in (False, True))
            if fixed.empty or shuffled.empty:
                raise measures.MeasureError("needs runs with fixed and with reshuffled batches")
            gains.append(tuned(shuffled).by_seed(VALIDATION) - tuned(fixed).by_seed(VALIDATION))
        without, with_bn = gains
        effect = paired_difference(with_bn, without).scaled(100)
        sentence = (
            f"Reshuffling gains {100 * with_bn.mean():.2f} points of validation accuracy with BN "
            f"and {100 * without.mean():.2f} without: {shown(effect)}."
        )
        measure = "gain by reshuffling with BN − gain without"
        yield by_rule_r(part, measure, POINTS, effect, sentence)


def decay_rate(table: pd.DataFrame) -> pd.Series:
    """By run: how fast the learning rate decays, in nats a step."""
    return -np.log(table["schedule.rate"]) / table["schedule.every"]


def _less_l2_faster_decay(runs: Runs) -> Iterator[Finding]:
    decay = ("schedule.rate", "schedule.every")
    for part, chosen in measures.parts(runs, LR, L2, *decay):
        table = measures.ended(chosen)
        batch = table[table[NORM] == "batch"]
        table = batch.assign(decay=decay_rate(batch).round(12))
        rates, weights = sorted(table["decay"].unique()), sorted(table[L2].unique())
        if len(rates) < 2 or len(weights) < 2:
            raise measures.MeasureError("needs BN runs of two decays and two weight decays")
        yield _two(
            joined(part, "less L2"),
            table[table["decay"] == rates[0]],
            L2,
            weights[-1],
            weights[-2] if weights[-2] > 0 else weights[0],
        )
        yield _two(
            joined(part, "faster decay"),
            table[table[L2] == (weights[-2] if len(weights) > 2 else weights[0])],
            "decay",
            rates[0],
            rates[-1],
        )


def _two(part: str, table: pd.DataFrame, key: str, before: float, after: float) -> Finding:
    """Rule R on what changing one key gains."""
    theirs, ours = (
        tuned(table[table[key] == value]).by_seed(VALIDATION) for value in (before, after)
    )
    effect = paired_difference(ours, theirs).scaled(100)
    name = "weight decay" if key == L2 else "learning-rate decay a step"
    sentence = (
        f"With BN, validation accuracy is {percent(ours.mean())} at {name} {after:.3g} and "
        f"{percent(theirs.mean())} at {before:.3g}: {shown(effect)}. The paper changed seven "
        "things at once; this is one of them alone."
    )
    measure = f"validation accuracy of BN, {part.rpartition(', ')[2]} − as before"
    return by_rule_r(part, measure, POINTS, effect, sentence)


def _small_batches(runs: Runs) -> Iterator[Finding]:
    """As the rule has it, over all sizes; beside it over those up to `COMPARABLE`.

    At equal examples the largest batches make too few steps for the arm without BN to train, and
    that counts for the claim although small batches have no part in it.
    """
    for part, chosen in measures.parts(runs, LR, BATCH_SIZE, *SCHEDULE):
        none, batch = measures.arms(measures.ended(chosen))
        yield _slope(part, none, batch)
        small = [arm[arm[BATCH_SIZE] <= COMPARABLE] for arm in (none, batch)]
        if len(small[0]) < len(none) and all(arm[BATCH_SIZE].nunique() > 1 for arm in small):
            yield _slope(joined(part, f"batches up to {COMPARABLE}"), *small, beside=True)


def _slope(part: str, none: pd.DataFrame, batch: pd.DataFrame, *, beside: bool = False) -> Finding:
    (theirs, theirs_told), (ours, ours_told) = (_slopes(arm, BATCH_SIZE) for arm in (none, batch))
    effect = paired_difference(ours, theirs).scaled(100)
    sentence = (
        f"Each doubling of the batch gains {100 * ours.mean():.2f} points of validation "
        f"accuracy with BN ({ours_told}) and {100 * theirs.mean():.2f} without "
        f"({theirs_told}): {shown(effect)}."
    )
    measure = "slope of best-rate validation accuracy on log2 batch size, BN − none"
    return by_rule_r(part, measure, "points a doubling", effect, sentence, beside=beside)


def _slopes(arm: pd.DataFrame, size: str) -> tuple[pd.Series, str]:
    """By seed: the least-squares slope of accuracy on log2 batch size; and the accuracies."""
    best = {count: tuned(group).by_seed(VALIDATION) for count, group in split(arm, size).items()}
    if len(best) < 2:
        raise measures.MeasureError("needs runs of two batch sizes")
    accuracies = pd.DataFrame(best).dropna()
    x = np.array([math.log2(count) for count in accuracies.columns])
    slopes = (accuracies * (x - x.mean())).sum(axis=1) / ((x - x.mean()) ** 2).sum()
    told = ", ".join(f"{count:g}: {percent(best[count].mean())}" for count in best)
    return slopes, told


PLACE = 30  # among the claims
CLAIMS = (
    Claim(
        "fewer-steps",
        "At the same learning rate BN needs less than half the steps, at 5 times the rate far "
        "fewer, and at 30 times it ends more accurate.",
        "§4.2.2, Fig. 2 and 3",
        "Steps to the maximum of the baseline at its best learning rate η*: log2 none / BN at "
        "η* and 5η* against 1 (half the steps); final validation accuracy at 30η*, BN − none; "
        "rule R for each. A run that never gets there counts as the budget.",
        "fewer_steps",
        _fewer_steps,
    ),
    Claim(
        "regularizes",
        "BN regularizes: dropout can be removed.",
        "§3.4",
        "Validation accuracy of BN without dropout against its best dropout less 0.2 points; "
        "generalization gap at matched training loss, none − BN; rule R for each.",
        "regularization",
        _regularizes,
    ),
    Claim(
        "shuffling-helps",
        "Reshuffling the examples helps more with BN, as it regularizes.",
        "§4.2.1",
        "Gain in validation accuracy by reshuffling against fixed batches, BN − none; rule R.",
        "shuffling",
        _shuffling_helps,
    ),
    Claim(
        "less-l2-faster-decay",
        "With BN a 5 times smaller L2 penalty and a 6 times faster decay of the learning rate do "
        "better.",
        "§4.2.1",
        "Validation accuracy of BN, λ/5 − λ at the slow decay, and fast − slow decay at λ/5; "
        "rule R for each.",
        "weight_decay",
        _less_l2_faster_decay,
    ),
    Claim(
        "small-batches",
        "BN suffers from small batches.",
        "later work: Batch Renormalization, Group Normalization",
        "Slope of best-rate validation accuracy on log2 batch size, BN − none; rule R.",
        "batch_size",
        _small_batches,
    ),
)
