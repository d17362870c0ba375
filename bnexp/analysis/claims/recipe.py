"""The claims about how to train once BN is there: dropout, L2, shuffling, LRN, batches (§4.2)."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from bnexp.analysis.claims.arms import (
    arm_with,
    difference_of_gains,
    final_accuracy,
    gain,
)
from bnexp.analysis.claims.figure1 import deaths
from bnexp.analysis.claims.model import (
    PAPER,
    Claim,
    Finding,
    by_rule_r,
    number,
    percent,
    shown,
)
from bnexp.analysis.evidence import TUNED, Chosen, Evidence
from bnexp.analysis.measures import NORM, MeasureError
from bnexp.analysis.statistics import paired_difference
from bnexp.analysis.trials import ACCURACY
from bnexp.folders.runs import DIVERGED

DROPOUT, L2, RESHUFFLE = "model.dropout", "optimizer.weight_decay", "trainer.reshuffle"
EVERY, LRN, BATCH_SIZE = "schedule.every", "model.lrn", "trainer.batch_size"
DROPOUT_MARGIN, LRN_MARGIN = 0.2, 0.5  # percentage points


def _regularizes(runs: Evidence) -> Iterator[Finding]:
    """The parts of the trial are the shares of dropout; each arm's best is chosen by its score."""
    pairs, scores = _by_dropout(runs)
    if 0 not in pairs or len(pairs) < 2:
        raise MeasureError("needs parts of the trial with dropout and without")
    none, batch = pairs[0]
    dropped = sorted(set(pairs) - {0.0})
    best = [max(dropped, key=lambda share: scores[share][i]) for i in (0, 1)]
    theirs, ours = (_told_share(pairs[best[i]][i], best[i], dropped) for i in (0, 1))
    yield gain("without dropout", ours, batch, margin=DROPOUT_MARGIN, primary=True)
    yield _gap(runs, none, batch)
    yield gain("none with dropout", theirs, batch)


def _by_dropout(
    runs: Evidence,
) -> tuple[dict[float, tuple[Chosen, Chosen]], dict[float, tuple[float, float]]]:
    """By share of dropout: the arms' report runs, and their scores in tuning."""
    pairs, scores = {}, {}
    if DROPOUT not in runs.runs:
        raise MeasureError(f"the runs have no {DROPOUT}")
    for name in runs.parts:
        none, batch = runs.chosen(name, ACCURACY)
        shares = set(pd.concat([none.table, batch.table])[DROPOUT])
        if len(shares) != 1:
            raise MeasureError(f"part {name} has several shares of dropout")
        share = float(shares.pop())
        pairs[share] = (none, batch)
        arms = runs.part(name, ACCURACY)["arms"]
        found = [arms[arm.arm]["score"] for arm in (none, batch)]
        scores[share] = tuple(-math.inf if score is None else float(score) for score in found)
    return pairs, {share: (first, second) for share, (first, second) in scores.items()}


def _told_share(arm: Chosen, share: float, tried: list[float]) -> Chosen:
    edge = {tried[0]: " (the lowest tried)", tried[-1]: " (the highest tried)"}
    where = edge.get(share, "") if len(tried) > 1 else ""
    return Chosen(f"{arm.arm} with its best dropout, {share:g}{where}", arm.table, arm.told)


def _gap(runs: Evidence, none: Chosen, batch: Chosen) -> Finding:
    """Validation less training loss where the training loss first is what all runs reach."""
    pair = (none, batch)
    lowest = runs.history.groupby("run")["train_loss"].min()
    finished = [arm.table.index[arm.table["status"] != DIVERGED] for arm in pair]
    reached = [lowest.reindex(index).max() for index in finished]
    matched = float(max(reached)) if all(map(len, finished)) else math.nan
    there = runs.history[runs.history["train_loss"] <= matched].sort_values("step")
    first = there.groupby("run").first()
    gap = first["val_loss"] - first["train_loss"]
    theirs, ours = (
        pd.Series(gap.reindex(arm.table.index).to_numpy(float), index=arm.table["seed"])
        for arm in pair
    )
    effect = paired_difference(theirs, ours)
    sentence = (
        f"Where the training loss reaches {matched:.3g}, without dropout, validation loss lies "
        f"{ours.mean():.3g} above it with BN and {theirs.mean():.3g} without: {shown(effect, 3)}."
        f"{deaths(none, batch)}"
    )
    measure = "validation − training loss at matched training loss, none − BN"
    return by_rule_r("generalization gap", measure, "nats", effect, sentence)


def _shuffling_helps(runs: Evidence) -> Iterator[Finding]:
    arms = runs.all_chosen(TUNED, ACCURACY)
    pairs = {
        kind: (
            arm_with(arms, {NORM: kind, RESHUFFLE: False}),
            arm_with(arms, {NORM: kind, RESHUFFLE: True}),
        )
        for kind in (runs.arm, runs.baseline)
    }
    yield gain("with BN", *pairs[runs.arm], primary=True)
    yield gain("without BN", *pairs[runs.baseline])
    measure = "gain by reshuffling, BN − none"
    yield difference_of_gains("difference", measure, pairs[runs.baseline], pairs[runs.arm])


def _less_l2_faster_decay(runs: Evidence) -> Iterator[Finding]:
    arms = runs.all_chosen(TUNED, ACCURACY)
    table = pd.concat([arm.table for arm in arms])
    less, more = _two(table, L2)
    fast, slow = _two(table, EVERY)

    def arm(kind: str, weight: float, every: float) -> Chosen:
        return arm_with(arms, {NORM: kind, L2: weight, EVERY: every})

    neither = arm(runs.arm, more, slow)
    yield gain("both", neither, arm(runs.arm, less, fast), primary=True)
    yield gain("less L2", neither, arm(runs.arm, less, slow))
    yield gain("faster decay", neither, arm(runs.arm, more, fast))
    measure = "gain by less L2 and faster decay, BN − none"
    of_none, of_batch = (
        (arm(kind, more, slow), arm(kind, less, fast)) for kind in (runs.baseline, runs.arm)
    )
    yield difference_of_gains("difference", measure, of_none, of_batch)


def _two(table: pd.DataFrame, key: str) -> tuple[float, float]:
    values = sorted(table[key].dropna().unique()) if key in table else []
    if len(values) != 2:
        raise MeasureError(f"needs two values of {key}, and there are {len(values)}")
    return values[0], values[1]


def _no_lrn(runs: Evidence) -> Iterator[Finding]:
    arms = runs.all_chosen(TUNED, ACCURACY)
    for part, kind in (("with BN", runs.arm), ("without BN", runs.baseline)):
        primary = kind == runs.arm
        on, off = (arm_with(arms, {NORM: kind, LRN: value}) for value in (True, False))
        yield gain(part, on, off, margin=LRN_MARGIN, primary=primary)


def by_batch_size(runs: Evidence) -> dict[float, list[Chosen]]:
    """The arms of a trial for each size of the batch."""
    found = {}
    for condition in runs.conditions:
        arms = runs.all_chosen(TUNED, ACCURACY, condition=condition)
        found[float(arms[0].table[BATCH_SIZE].iloc[0])] = arms
    return found


def _small_batches(runs: Evidence) -> Iterator[Finding]:
    sizes = by_batch_size(runs)
    if len(sizes) < 2:
        raise MeasureError("needs runs of two sizes of batches")
    names = [arm.arm for arm in next(iter(sizes.values()))]
    curves = {name: {} for name in names}  # type: dict[str, dict[float, Chosen]]
    for size in sorted(sizes):
        for arm in sizes[size]:
            curves[arm.arm][size] = arm
    none, batch, *others = _baseline_first(curves, runs)
    yield _slope("", none, batch, primary=True)
    if len(sizes) > 2:
        yield _slope(f"without batches of {min(sizes):g}", *map(_without_least, (none, batch)))
    for other in others:
        yield _slope(_name(other), none, other)


Curve = dict[float, Chosen]  # an arm at each size of the batch, ascending


def _baseline_first(curves: dict[str, Curve], runs: Evidence) -> list[Curve]:
    """The arm without normalization, plain BN, then the others as they come."""
    kinds = [next(iter(curve.values())).table[NORM].iloc[0] for curve in curves.values()]
    found = list(curves.values())
    if not {runs.baseline, runs.arm} <= set(kinds):
        raise MeasureError(f"needs arms with norm={runs.baseline} and norm={runs.arm}")
    first, second = kinds.index(runs.baseline), kinds.index(runs.arm)
    others = [curve for i, curve in enumerate(found) if i not in (first, second)]
    return [found[first], found[second], *others]


def _without_least(curve: Curve) -> Curve:
    return {size: arm for size, arm in curve.items() if size > min(curve)}


def _name(curve: Curve) -> str:
    return next(iter(curve.values())).arm


def _slope(part: str, none: Curve, other: Curve, *, primary: bool = False) -> Finding:
    theirs, ours = _slopes(none), _slopes(other)
    effect = paired_difference(ours, theirs).scaled(100)
    sentence = (
        f"Each doubling of the batch gains {number(100 * ours.mean())} points of test accuracy "
        f"with {_name(other)} ({_told(other)}) and {number(100 * theirs.mean())} with "
        f"{_name(none)} ({_told(none)}): {shown(effect)}."
        f"{deaths(_everything(none), _everything(other))}"
    )
    measure = f"slope of test accuracy on log2 batch size, {_name(other)} − {_name(none)}"
    return by_rule_r(part, measure, "points a doubling", effect, sentence, primary=primary)


def _slopes(curve: Curve) -> pd.Series:
    """By seed: the least-squares slope of accuracy on log2 batch size."""
    accuracies = pd.DataFrame({size: final_accuracy(arm) for size, arm in curve.items()}).dropna()
    x = np.array([math.log2(size) for size in accuracies.columns])
    return (accuracies * (x - x.mean())).sum(axis=1) / ((x - x.mean()) ** 2).sum()


def _told(curve: Curve) -> str:
    return "; ".join(
        f"{size:g}: {percent(final_accuracy(arm).mean())}, {arm.told}"
        for size, arm in curve.items()
    )


def _everything(curve: Curve) -> Chosen:
    return Chosen(_name(curve), pd.concat([arm.table for arm in curve.values()]), "")


PLACE = 30  # among the claims
CLAIMS = (
    Claim(
        "regularizes",
        "BN makes dropout unnecessary.",
        "§3.4",
        "Test accuracy of BN without dropout less that with its best dropout, rates tuned: no "
        "worse, E(0.2 points). Secondary: generalization gap at matched training loss, none − "
        "BN; BN without dropout less none with its best; rule R.",
        "regularization",
        _regularizes,
        PAPER,
    ),
    Claim(
        "shuffling-helps",
        "With BN, reshuffling the examples gains about 1%.",
        "§4.2.1",
        "Test accuracy of BN, reshuffled less fixed batches, rates tuned; rule R. Secondary: the "
        "same without BN, and the difference of the two.",
        "shuffling",
        _shuffling_helps,
        PAPER,
    ),
    Claim(
        "less-l2-faster-decay",
        "With BN a 5 times smaller L2 penalty and a 6 times faster decay of the learning rate do "
        "better.",
        "§4.2.1",
        "Test accuracy of BN, both changed less neither, rates tuned; rule R. Secondary: each "
        "change alone; the gain with BN less that without.",
        "weight_decay",
        _less_l2_faster_decay,
        PAPER,
    ),
    Claim(
        "no-lrn",
        "BN makes local response normalization (LRN) needless.",
        "§4.2.1",
        "Test accuracy of BN without LRN less with it, rates tuned: no worse, E(0.5 points). "
        "Secondary: the same without BN.",
        "lrn",
        _no_lrn,
        PAPER,
    ),
    Claim(
        "small-batches",
        "BN suffers from small batches.",
        "later work: Batch Renormalization, Group Normalization",
        "Slope of test accuracy on the log2 of the batch at equal numbers of examples, rates "
        "tuned, BN − none; rule R. Secondary: without the smallest batch; other norms − none.",
        "batch_size",
        _small_batches,
        PAPER,
    ),
)
