"""The claims that BN makes training less delicate: saturation, learning rate, initial weights."""

import math
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
)
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import LR, VALIDATION, by_seed, split, tuned
from bnexp.analysis.statistics import (
    CONTRADICTED,
    INCONCLUSIVE,
    MIN_SEEDS,
    SUPPORTED,
    paired_difference,
    paired_log2_ratio,
)
from bnexp.folders.runs import FINISHED

KIND, STDDEV = "init.kind", "init.stddev"
INIT = (KIND, STDDEV)
ACTIVATION = "model.activation"
DEPTH = "depth"

TRAINS_BELOW = math.log(10) / 2  # training loss, nats: half of guessing among ten classes
SATURATION_STDDEVS = (0.05, 0.5, 1.0, 5.0)
GOOD_CELL = 0.90
STUCK, TRAINED = 0.15, 0.90  # validation accuracy: never above the one, at least the other


def gaussian(table: pd.DataFrame) -> pd.DataFrame:
    """The runs whose initial weights are Gaussian, which have a standard deviation to vary.

    Raises:
        MeasureError: there are none.
    """
    chosen = table[table[KIND] == "gaussian"]
    if chosen.empty:
        raise measures.MeasureError("no run with init=gaussian has ended")
    return chosen


def _less_saturation(runs: Runs) -> Iterator[Finding]:
    """At each standard deviation the arms' best rates; the seeds' means over all of these."""
    saturation = measures.probed(runs, "activations", "saturation")
    share = saturation.groupby("run")["value"].mean()
    sigmoid = runs.where({ACTIVATION: "sigmoid"})
    none, batch = measures.arms(gaussian(measures.ended(sigmoid)))
    gaps = {}
    without, with_bn = split(none, STDDEV), split(batch, STDDEV)
    for stddev in SATURATION_STDDEVS:
        if stddev not in without or stddev not in with_bn:
            continue
        theirs, ours = (tuned(arm[stddev]).by_seed(share) for arm in (without, with_bn))
        gaps[stddev] = theirs - ours
        yield _saturation(f"σ = {stddev:g}", theirs, ours, beside=True)
    if not gaps:
        raise measures.MeasureError("no σ at which runs of both arms have ended")
    mean = pd.DataFrame(gaps).mean(axis=1, skipna=False)
    effect = paired_difference(mean, 0 * mean).scaled(100)
    sentence = (
        f"The share of sigmoid inputs beyond ±4 is {shown(effect)} percentage points higher "
        f"without BN (mean over training, hidden layers and σ = "
        f"{', '.join(f'{stddev:g}' for stddev in gaps)})."
    )
    yield by_rule_r("all σ", "share of inputs beyond ±4, none − BN", POINTS, effect, sentence)


def _saturation(part: str, theirs: pd.Series, ours: pd.Series, *, beside: bool) -> Finding:
    effect = paired_difference(theirs, ours).scaled(100)
    sentence = (
        f"{percent(ours.mean())} of the sigmoid inputs lie beyond ±4 with BN, "
        f"{percent(theirs.mean())} without: {shown(effect)}."
    )
    measure = "share of inputs beyond ±4, none − BN"
    return by_rule_r(part, measure, POINTS, effect, sentence, beside=beside)


def largest_rate(runs: Runs, table: pd.DataFrame) -> pd.Series:
    """By seed: the largest learning rate at which the training loss ends below TRAINS_BELOW.

    Where none does, half of the smallest tried.
    """
    last = runs.history.sort_values("step").groupby("run")["train_loss"].last()
    loss = last.reindex(table.index)
    trains = (loss < TRAINS_BELOW) & (table["status"] == FINISHED)
    rates = table[LR].where(trains).groupby(table["seed"]).max()
    return rates.fillna(table[LR].min() / 2).astype(float)


def _higher_learning_rate(runs: Runs) -> Iterator[Finding]:
    for part, chosen in measures.parts(runs, LR):
        none, batch = measures.arms(measures.ended(chosen))
        theirs, ours = largest_rate(chosen, none), largest_rate(chosen, batch)
        effect = paired_log2_ratio(ours, theirs)
        verdict = by_rule_r(part, "", LOG2, effect, "").verdict
        median = float(np.log2((ours / theirs).median())) if effect.n else math.nan
        if verdict == SUPPORTED and median < 1:
            verdict = INCONCLUSIVE
        at_top = int((ours == batch[LR].max()).sum())
        sentence = (
            f"The largest learning rate that trains is {ours.median():.4g} with BN and "
            f"{theirs.median():.4g} without (medians): log2 {shown(effect)}, median ratio "
            f"{2**median:.3g}."
        )
        if at_top:
            sentence += f" For {at_top} of {len(ours)} seeds BN still trains at the highest tried."
        if (theirs < none[LR].min()).any():
            sentence += " Where no rate trains without BN, half the lowest tried is counted."
        measure = "largest learning rate that trains, BN / none; supported from a median of 2 on"
        yield Finding(part, measure, LOG2, effect, verdict, sentence)


def _init_robust(runs: Runs) -> Iterator[Finding]:
    for part, chosen in measures.parts(runs, LR, *INIT):
        none, batch = measures.arms(measures.ended(chosen))
        theirs, ours = (_range_over_stddev(gaussian(table)) for table in (none, batch))
        effect = paired_difference(theirs, ours).scaled(100)
        sentence = (
            f"Best-rate validation accuracy varies by {100 * ours.mean():.2f} points over σ with "
            f"BN, by {100 * theirs.mean():.2f} without: {shown(effect)}."
        )
        measure = "range over σ of best-rate validation accuracy, none − BN"
        yield by_rule_r(joined(part, "range"), measure, POINTS, effect, sentence)
        theirs, ours = (_good_cells(table) for table in (none, batch))
        effect = paired_difference(ours, theirs)
        sentence = (
            f"{ours.mean():.3g} of the cells of initialization and learning rate pass "
            f"{GOOD_CELL:.0%} with BN, {theirs.mean():.3g} without (means over seeds): "
            f"{shown(effect, 1)}."
        )
        measure = f"cells above {GOOD_CELL:.0%} validation accuracy, BN − none"
        yield by_rule_r(joined(part, "cells"), measure, "cells", effect, sentence)


def _range_over_stddev(table: pd.DataFrame) -> pd.Series:
    best = {
        stddev: tuned(group).by_seed(VALIDATION) for stddev, group in split(table, STDDEV).items()
    }
    if len(best) < 2:
        raise measures.MeasureError("fewer than two σ have ended runs")
    accuracies = pd.DataFrame(best).dropna()
    return accuracies.max(axis=1) - accuracies.min(axis=1)


def _good_cells(table: pd.DataFrame) -> pd.Series:
    return (table[VALIDATION] > GOOD_CELL).groupby(table["seed"]).sum().astype(float)


def _saturating_nonlinearities(runs: Runs) -> Iterator[Finding]:
    """The rule of this claim is no rule R: see `_depth_verdict`."""
    table = measures.ended(runs)
    table = table.assign(**{DEPTH: measures.depth(table)})
    none, batch = measures.arms(gaussian(table))
    rows = [
        (int(layers), group, split(batch, DEPTH)[layers])
        for layers, group in split(none, DEPTH).items()
        if layers in split(batch, DEPTH)
    ]
    if not rows:
        raise measures.MeasureError("no depth at which runs of both arms have ended")
    rescued = [row for row in rows if _is_stuck(row[1]) and _best(row[2]) >= TRAINED]
    layers, theirs, ours = (rescued or rows[::-1])[0]
    effect = paired_difference(
        tuned(ours).by_seed(VALIDATION), tuned(theirs).by_seed(VALIDATION)
    ).scaled(100)
    verdict = _depth_verdict(rows, effect.n)
    told = "; ".join(
        f"{count} layers {percent(_best(a))} and {percent(_best(b))}" for count, a, b in rows
    )
    first = f" The smallest depth that only BN trains is {layers}." if rescued else ""
    sentence = f"Best-rate validation accuracy without and with BN: {told}.{first}"
    measure = f"validation accuracy at {layers} layers, BN − none, best learning rates"
    yield Finding("", measure, POINTS, effect, verdict, sentence, null=None)
    yield from _glorot_control(table)


def _best(table: pd.DataFrame) -> float:
    return float(tuned(table).by_seed(VALIDATION).mean())


def _is_stuck(table: pd.DataFrame) -> bool:
    return bool((table[VALIDATION] <= STUCK).all())


def _depth_verdict(rows: list[tuple[int, pd.DataFrame, pd.DataFrame]], seeds: int) -> str:
    """Supported if at some depth no run without BN passes STUCK and BN reaches TRAINED.

    Contradicted if BN fails wherever the other arm is stuck, or if that arm trains at every
    depth.
    """
    if seeds < MIN_SEEDS:
        return INCONCLUSIVE
    stuck = [batch for _, none, batch in rows if _is_stuck(none)]
    if any(_best(batch) >= TRAINED for batch in stuck):
        return SUPPORTED
    if stuck or all(_best(none) >= TRAINED for _, none, _ in rows):
        return CONTRADICTED
    return INCONCLUSIVE


def _glorot_control(table: pd.DataFrame) -> Iterator[Finding]:
    """Beside: the same depths with Glorot's initial weights."""
    control = table[table[KIND] == "glorot"]
    for layers, group in split(control, DEPTH).items():
        none, batch = (group[group["norm.kind"] == kind] for kind in ("none", "batch"))
        if none.empty or batch.empty:
            continue
        ours, theirs = (tuned(arm).by_seed(VALIDATION) for arm in (batch, none))
        effect = paired_difference(ours, theirs).scaled(100)
        sentence = (
            f"With Glorot's initial weights, {layers:g} layers: {percent(ours.mean())} with BN, "
            f"{percent(theirs.mean())} without: {shown(effect)}."
        )
        measure = "validation accuracy, BN − none, best learning rates"
        yield by_rule_r(
            f"glorot, {layers:g} layers", measure, POINTS, effect, sentence, beside=True
        )


def _sigmoid_cnn(runs: Runs) -> Iterator[Finding]:
    for part, chosen in measures.parts(runs, LR):
        none, batch = (tuned(table) for table in measures.arms(measures.ended(chosen)))
        ours, theirs = (by_seed(arm.table, VALIDATION) for arm in (batch, none))
        effect = paired_difference(ours, theirs).scaled(100)
        sentence = (
            f"Validation accuracy is {percent(ours.mean())} with BN (learning rate "
            f"{batch.rate:g}) and {percent(theirs.mean())} without ({none.rate:g}); chance is "
            f"{percent(measures.CHANCE)}: {shown(effect)}."
        )
        measure = "best-rate validation accuracy, BN − none"
        yield by_rule_r(part, measure, POINTS, effect, sentence)


PLACE = 20  # among the claims
CLAIMS = (
    Claim(
        "less-saturation",
        "BN keeps the inputs of saturating nonlinearities out of the saturated regime.",
        "§1, §3.3",
        "Share of sigmoid inputs with absolute value above 4, mean over training and layers, "
        "none − BN at the arms' best learning rates for each σ; rule R on the mean over σ.",
        "init",
        _less_saturation,
    ),
    Claim(
        "higher-learning-rate",
        "BN allows much higher learning rates.",
        "§3.3",
        "Largest learning rate at which the training loss ends finite and below ½·ln 10, per "
        "seed, log2 BN / none; supported if rule R holds and the median ratio is at least 2.",
        "learning_rate",
        _higher_learning_rate,
    ),
    Claim(
        "init-robust",
        "With BN less care is needed about the initial weights.",
        "abstract, §1",
        "Range over σ of best-rate validation accuracy, none − BN, and the number of cells of "
        "initialization and learning rate above 90%, BN − none; rule R.",
        "init",
        _init_robust,
    ),
    Claim(
        "saturating-nonlinearities",
        "Deep networks of saturating nonlinearities, stuck without BN, train with it.",
        "§4.2.2",
        "Supported if at some depth the arm without BN stays at or below 15% validation accuracy "
        "in every cell while BN reaches 90% at its best learning rate.",
        "depth",
        _saturating_nonlinearities,
    ),
    Claim(
        "sigmoid-cnn",
        "A convolutional network of sigmoids trains with BN, and stays at chance without.",
        "§4.2.2",
        "Validation accuracy at each arm's best learning rate, BN − none, per activation; rule R.",
        "activation",
        _sigmoid_cnn,
    ),
)
