"""The claims on what BN does to optimization: start, noise, landscape, rates (docs/claims.md, W).

Those on the landscape are judged in `landscape.py`.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

from bnexp.analysis.claims.arms import accuracy_apart, arm_with, final_accuracy
from bnexp.analysis.claims.combining import all_of, by_apart, by_speed_within, or_equal
from bnexp.analysis.claims.deep import at_factor
from bnexp.analysis.claims.figure1 import (
    AS_PUBLISHED,
    PATHS,
    TARGETS,
    accuracy,
    deaths,
    drift,
    how,
    timed,
    words,
)
from bnexp.analysis.claims.landscape import hessian_outliers, shift_not_reduced, smoother_landscape
from bnexp.analysis.claims.mechanism import died, final_loss
from bnexp.analysis.claims.model import (
    POINTS,
    WHY,
    Claim,
    Finding,
    by_rule_e,
    by_rule_r,
    by_speed,
    joined,
    shown,
)
from bnexp.analysis.evidence import TUNED, Chosen, Evidence
from bnexp.analysis.measures import NORM, MeasureError, by_seed
from bnexp.analysis.statistics import (
    EQUAL,
    INCONCLUSIVE,
    SUPPORTED,
    p_value,
    paired_difference,
    rule_r,
)
from bnexp.analysis.trials import ACCURACY, STEPS

NOISY = "noisy"
OPTIMIZER, PENALTIES = "optimizer.kind", {"sgd": "L2", "fixed_norm": "fixed norm"}
LEAD, FACTOR = 0.1, 1.25  # points, times as many steps: what counts as none
NOISE_MARGIN = 0.32  # log2 of steps
DECAY_MARGIN = 0.2  # points


# --- tuning


def _survives_tuning(runs: Evidence) -> Iterator[Finding]:
    lead = accuracy("accuracy", runs.chosen(TUNED, ACCURACY))
    measure, compared, told = timed(runs, runs.chosen(TUNED, STEPS), TARGETS[0])
    faster = by_speed("steps", measure, compared, told)
    found = or_equal(lead, LEAD), or_equal(faster, math.log2(FACTOR), compared)
    yield all_of("", {"accuracy": found[0], "steps": found[1]}, primary=True)
    yield from found


# --- noise


def _noisy_bn(runs: Evidence) -> Iterator[Finding]:
    arms = runs.all_chosen(TUNED, STEPS)
    none, batch, noisy = (arm_with(arms, {NORM: kind}) for kind in (runs.baseline, runs.arm, NOISY))
    median, spread = (_drift(runs, "drift", none, noisy, one) for one in PATHS)
    measure, compared, told = timed(runs, (noisy, batch), TARGETS[0])
    steps = by_speed_within("steps", measure, compared, told, NOISE_MARGIN)
    asked = {"drift": median, "steps": steps}
    yield all_of("", asked, holds=(SUPPORTED, EQUAL), primary=True)
    yield from (median, steps, spread)
    yield replace(_drift(runs, "drift against BN", batch, noisy, "median"), beside=True)


def _drift(runs: Evidence, part: str, theirs: Chosen, noisy: Chosen, statistic: str) -> Finding:
    told = f"{noisy.arm} against {theirs.arm}, {noisy.told} against {theirs.told}"
    found = drift(runs, part, (noisy.table, theirs.table), statistic, told)
    lost = "".join(died(arm.arm, arm.table) for arm in (noisy, theirs))
    measure = f"{found.measure}, {noisy.arm} / {theirs.arm}"
    return replace(found, measure=measure, sentence=f"{found.sentence}{lost}")


# --- the learning rate


def _large_rate_deep(runs: Evidence) -> Iterator[Finding]:
    theirs, ours = runs.chosen(TUNED, ACCURACY)
    yield _left_of_gain("", theirs, ours, at_factor(runs, theirs, ours.arm, 1), primary=True)


def _large_rate_fig1(runs: Evidence) -> Iterator[Finding]:
    theirs, ours = runs.chosen(AS_PUBLISHED, ACCURACY)
    _, same = runs.chosen(AS_PUBLISHED, ACCURACY, at=theirs.arm)
    part = joined("fig1", words(AS_PUBLISHED))
    yield _left_of_gain(part, theirs, ours, same, primary=False)


def _left_of_gain(
    part: str, theirs: Chosen, ours: Chosen, same: Chosen, *, primary: bool
) -> Finding:
    """Rule R on half of what BN gains at its best less what it gains at the baseline's choice."""
    base, best, kept = (final_accuracy(arm) for arm in (theirs, ours, same))
    gain, left = paired_difference(best, base), paired_difference(kept, base)
    effect = paired_difference((best - base) / 2, kept - base).scaled(100)
    sentence = (
        f"Test accuracy with {ours.arm} less that with {theirs.arm} is {shown(gain.scaled(100))}, "
        f"where each has what it chose {how(theirs, ours)}, and {shown(left.scaled(100))}, where "
        f"both have what {theirs.arm} chose. Half of the first less the second: "
        f"{shown(effect)}.{deaths(theirs, ours)}{died(same.arm, same.table)}"
    )
    measure = "half of BN's tuned gain in test accuracy − what is left with the baseline's choice"
    found = by_rule_r(part, measure, POINTS, effect, sentence, primary=primary)
    if rule_r(gain) == SUPPORTED:
        told = f"{found.sentence} Left of the mean gain: {left.mean / gain.mean:.0%}."
        return replace(found, p=max(found.p, p_value(gain)), sentence=told)
    told = f"{found.sentence} The gain itself is not above 0 by rule R: there is none to share out."
    return replace(found, verdict=INCONCLUSIVE, p=max(0.05, found.p), sentence=told)


# --- the effective rate


def _effective_learning_rate(runs: Evidence) -> Iterator[Finding]:
    """The arms are L2 and the fixed norm, in this order; the trial's conditions are the norms."""
    own, same = {}, {}
    for condition in runs.conditions:
        arms = runs.chosen(TUNED, ACCURACY, condition=condition)
        kind = str(arms[0].table[NORM].iloc[0])
        own[kind] = _named(runs, arms)
        at = runs.chosen(TUNED, ACCURACY, condition=condition, at=arms[0].arm)
        same[kind] = _named(runs, at)
    if missing := {runs.arm, runs.baseline} - set(same):
        raise MeasureError(f"the trial has no condition norm={missing.pop()}")
    found = _alike("with BN", same[runs.arm]), _unlike("without BN", same[runs.baseline])
    asked = {"with BN": found[0], "without BN": found[1]}
    yield all_of("", asked, holds=(SUPPORTED, EQUAL), primary=True)
    yield from found
    yield _alike("with BN, own rates", own[runs.arm])
    yield _unlike("without BN, own rates", own[runs.baseline])
    yield _loss("with BN, loss", *same[runs.arm])
    yield _loss("without BN, loss", *same[runs.baseline])


def _named(runs: Evidence, arms: tuple[Chosen, Chosen]) -> tuple[Chosen, Chosen]:
    """The same in short words: "L2 + BN"."""
    theirs, ours = (
        replace(
            arm,
            arm=PENALTIES.get(str(arm.table[OPTIMIZER].iloc[0]), arm.arm)
            + " + BN" * bool(arm.table[NORM].iloc[0] == runs.arm),
        )
        for arm in arms
    )
    return theirs, ours


def _alike(part: str, arms: tuple[Chosen, Chosen]) -> Finding:
    measure, effect, sentence = accuracy_apart(*arms)
    return by_rule_e(part, measure, POINTS, effect, sentence, DECAY_MARGIN)


def _unlike(part: str, arms: tuple[Chosen, Chosen]) -> Finding:
    measure, effect, sentence = accuracy_apart(*arms)
    return by_apart(part, f"{measure}, not equal", POINTS, effect, sentence, DECAY_MARGIN)


def _loss(part: str, theirs: Chosen, ours: Chosen) -> Finding:
    a, b = (by_seed(arm.table, final_loss(arm.table)) for arm in (ours, theirs))
    effect = paired_difference(a, b)
    sentence = (
        f"The test loss is {a.mean():.4g} with {ours.arm} and {b.mean():.4g} with {theirs.arm}: "
        f"{shown(effect, 3)}.{deaths(theirs, ours)}"
    )
    measure = f"test loss, {ours.arm} − {theirs.arm}"
    return by_rule_r(part, measure, "nats", effect, sentence, beside=True)


SANTURKAR = "Santurkar et al. 2018, arXiv:1805.11604"
_RATE = (
    "large-rate-is-the-cause",
    "The gain of BN comes from the larger learning rate.",
    "Bjorck et al. 2018, arXiv:1806.02375",
)

PLACE = 45  # among the claims
CLAIMS = (
    Claim(
        "survives-tuning",
        "BN keeps a lead when the baseline's initial weights are tuned too.",
        "the question that protocol 1 left open",
        "Test accuracy, BN − none, and steps to 95%, log2 none / BN, all settings of both arms "
        "tuned: each by rule R, else E(0.1 points) and E(log2 1.25); both are asked for. "
        "Secondary: each alone.",
        "fig1",
        _survives_tuning,
        WHY,
    ),
    Claim(
        "noisy-bn",
        "BN followed by noise that changes with time is less stable, and no slower.",
        SANTURKAR,
        "Path length of the median of the last hidden layer's inputs, log2 noisy / none, rule R; "
        "and steps to 95%, log2 noisy / BN, E(0.32); the rate tuned for each arm. Secondary: each "
        "alone; the distance from the 15th to the 85th percentile.",
        "noisy_bn",
        _noisy_bn,
        WHY,
    ),
    Claim(
        "smoother-landscape",
        "With BN the loss is smoother.",
        SANTURKAR,
        "Every 500 steps, along −g (g the gradient) at 0.5 to 4 times the step: range of the "
        "loss, and ‖g − g′‖ / ‖g‖; log2 none / BN at matched training loss, sigmoid, rule R for "
        "both. Secondary: each alone; ReLU; ‖g − g′‖ over the length of the step; equal rates.",
        "landscape",
        smoother_landscape,
        WHY,
    ),
    Claim(
        "shift-not-reduced",
        "BN does not reduce internal covariate shift, measured as how much the update of earlier "
        "layers changes a layer's gradient.",
        SANTURKAR,
        "‖G − G′‖ / ‖G‖, mean over layers and steps, sigmoid, log2 BN / none: supported where the "
        "lower limit is above −0.5. Secondary: each layer; ReLU; cosine; equal rates.",
        "landscape",
        shift_not_reduced,
        WHY,
    ),
    Claim(
        *_RATE,
        "Half of BN's gain in test accuracy, both arms tuned, less what is left of it with the "
        "baseline's own choice; rule R.",
        "deep",
        _large_rate_deep,
        WHY,
    ),
    Claim(
        *_RATE,
        "Secondary: the same on the dense network as published.",
        "fig1",
        _large_rate_fig1,
        WHY,
    ),
    Claim(
        "effective-learning-rate",
        "Under BN, L2 acts through the effective learning rate.",
        "van Laarhoven 2017, arXiv:1706.05350",
        "Test accuracy, weights brought to a fixed norm after each step at the same η/‖W‖² less "
        "L2, at the rate that L2 chose: with BN E(0.2 points), and without BN not equal. "
        "Secondary: each alone; each at its own rate.",
        "effective_rate",
        _effective_learning_rate,
        WHY,
    ),
    Claim(
        "hessian-outliers",
        "BN removes outliers of the Hessian's spectrum.",
        "Ghorbani et al. 2019, arXiv:1901.10159",
        "Lanczos: λ1/λ11 (eigenvalues), and the share of the gradient in the top 10 directions, "
        "at matched loss, log2 none / BN, sigmoid, rule R for both. Secondary: each alone; ReLU; "
        "λ1.",
        "landscape",
        hessian_outliers,
        WHY,
    ),
)
