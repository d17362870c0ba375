"""The claims about why BN works, judged from what probes saw inside the networks."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from bnexp.analysis import measures
from bnexp.analysis.claims.figure1 import PATHS, stability
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
from bnexp.analysis.measures import BATCH, LR, NORM, VALIDATION, by_seed, tuned
from bnexp.analysis.statistics import (
    CONTRADICTED,
    INCONCLUSIVE,
    MIN_SEEDS,
    SUPPORTED,
    Estimate,
    paired_difference,
    paired_log2_ratio,
    t_interval,
)

SCALE, GRADIENT, POSITION = "init.scale", "norm.gradient", "norm.position"
MOMENTUM = "norm.momentum"
SLOPE, SLOPE_MARGIN = -1.0, 0.05
EARLY = 500  # steps
INSIDE, OUTSIDE = "full", {"no_mean": "no gradient through μ", "none": "through neither μ nor σ"}


def _large_weights_small_gradients(runs: Runs) -> Iterator[Finding]:
    norms = measures.probed(runs, "gradients", "gradient_norm", "weight_norm")
    start = norms[(norms["step"] == 0) & (norms["value"] > 0)]
    for part, chosen in measures.parts(runs, SCALE):
        for arm in measures.arms(measures.ended(chosen)):
            kind = arm[NORM].iloc[0]
            slopes = _slopes(start[start["run"].isin(arm.index)], arm)
            effect = t_interval(slopes)
            sentence = (
                f"With norm={kind} the gradient's norm goes as the weights' norm to the power "
                f"{shown(effect, 3)} at step 0 (mean over hidden layers; initial weights times "
                f"{', '.join(f'{scale:g}' for scale in sorted(arm[SCALE].unique()))})."
            )
            verdict = within(effect, SLOPE, SLOPE_MARGIN)
            measure = "slope of log‖∂L/∂W‖ on log‖W‖ at step 0; supported within .05 of −1"
            yield Finding(
                joined(part, kind),
                measure,
                "exponent",
                effect,
                verdict,
                sentence,
                null=None,
                beside=kind != BATCH,
            )


def _slopes(norms: pd.DataFrame, arm: pd.DataFrame) -> pd.Series:
    """By seed: the slope over the initial scales, mean over hidden layers."""
    logs = np.log(norms.set_index(["run", "layer", "statistic"])["value"]).unstack("statistic")
    logs = logs.dropna().join(arm[["seed"]], on="run")
    slopes = {
        key: np.polyfit(group["weight_norm"], group["gradient_norm"], 1)[0]
        for key, group in logs.groupby(["seed", "layer"])
        if len(group) > 1
    }
    if not slopes:
        raise measures.MeasureError("needs probed runs of two initial scales")
    return pd.Series(slopes).groupby(level=0).mean()


def within(effect: Estimate, value: float, margin: float) -> str:
    """Supported if the interval lies within `value` ± margin, contradicted if wholly outside."""
    if effect.n < MIN_SEEDS:
        return INCONCLUSIVE
    if value - margin <= effect.low and effect.high <= value + margin:
        return SUPPORTED
    outside = effect.low > value + margin or effect.high < value - margin
    return CONTRADICTED if outside else INCONCLUSIVE


def _normalize_inside_gradient(runs: Runs) -> Iterator[Finding]:
    table = measures.ended(runs)
    batch = table[table[NORM] == BATCH]
    inside = batch[batch[GRADIENT] == INSIDE]
    if inside.empty:
        raise measures.MeasureError(f"no run with {GRADIENT}={INSIDE} has ended")
    growths = {norm: _growth(runs, f"{norm}_norm") for norm in ("bias", "weight")}
    loss = runs.history.sort_values("step").groupby("run")["train_loss"].last()
    for kind, words in OUTSIDE.items():
        outside = batch[batch[GRADIENT] == kind]
        if outside.empty:
            continue
        for norm, growth in growths.items():
            yield _outside(joined(words, f"‖{norm[0]}‖"), outside, inside, growth, norm)
        ours, theirs = by_seed(outside, loss), by_seed(inside, loss)
        effect = paired_difference(ours, theirs)
        sentence = (
            f"The training loss ends at {ours.mean():.4g} against {theirs.mean():.4g} of BN: "
            f"{shown(effect, 3)}."
        )
        measure = "final training loss, outside − inside the gradient"
        yield by_rule_r(joined(words, "loss"), measure, "nats", effect, sentence, beside=True)


def _growth(runs: Runs, statistic: str) -> pd.Series:
    """By run: last less first norm, over all hidden layers together."""
    norms = measures.probed(runs, "gradients", statistic).sort_values("step")
    squares = norms.assign(value=norms["value"] ** 2)
    total = np.sqrt(squares.groupby(["run", "step"])["value"].sum()).groupby("run")
    return total.last() - total.first()


def _outside(
    part: str, outside: pd.DataFrame, inside: pd.DataFrame, growth: pd.Series, norm: str
) -> Finding:
    ours, theirs = by_seed(outside, growth), by_seed(inside, growth)
    effect = paired_difference(ours, theirs)
    sentence = (
        f"The {norm} norm grows by {ours.mean():.3g} while training, under BN with its full "
        f"gradient by {theirs.mean():.3g}: {shown(effect)}."
    )
    measure = f"growth of the {norm} norm, outside − inside the gradient"
    return by_rule_r(part, measure, "norm", effect, sentence, beside=norm != "bias")


def _before_nonlinearity(runs: Runs) -> Iterator[Finding]:
    for part, chosen in measures.parts(runs, LR):
        table = measures.ended(chosen)
        batch = table[table[NORM] == BATCH]
        before, after = (batch[batch[POSITION] == place] for place in ("pre", "post"))
        if before.empty or after.empty:
            raise measures.MeasureError("needs BN runs with norm.position=pre and post")
        ours, theirs = tuned(before), tuned(after)
        how = f"after against before; learning rates {theirs.rate:g} and {ours.rate:g}"
        for statistic in PATHS:
            path = measures.path_length(chosen, statistic)
            yield stability(part, theirs.by_seed(path), ours.by_seed(path), statistic, how)
        first, second = ours.by_seed(VALIDATION), theirs.by_seed(VALIDATION)
        effect = paired_difference(first, second).scaled(100)
        sentence = (
            f"Validation accuracy is {percent(first.mean())} with BN before the nonlinearity and "
            f"{percent(second.mean())} after: {shown(effect)}."
        )
        measure = "validation accuracy, before − after"
        yield by_rule_r(joined(part, "accuracy"), measure, POINTS, effect, sentence)


def _moving_average_lag(runs: Runs) -> Iterator[Finding]:
    table = measures.ended(runs)
    batch = table[table[NORM] == BATCH]
    decays = sorted(batch[MOMENTUM].unique())
    if len(decays) < 2:
        raise measures.MeasureError("needs BN runs of two values of norm.momentum")
    losses = measures.probed(runs, "population", "loss_population", "loss_batch")
    early = losses[(losses["step"] > 0) & (losses["step"] <= EARLY)]
    mean = early.groupby(["run", "statistic"])["value"].mean().unstack("statistic")
    gap = mean["loss_population"] - mean["loss_batch"]
    gaps = {decay: by_seed(batch[batch[MOMENTUM] == decay], gap) for decay in decays}
    effect = paired_difference(gaps[decays[-1]], gaps[decays[0]])
    told = "; ".join(
        f"{decay:g} (half-life {_half_life(decay):.3g} steps): {gaps[decay].mean():.3g}"
        for decay in decays
    )
    sentence = (
        f"Over the first {EARLY} steps the validation loss with population statistics exceeds "
        f"that with batch statistics, by decay of the averages, by {told}. Slowest − fastest: "
        f"{shown(effect, 3)}."
    )
    measure = f"validation loss, population − batch statistics, to step {EARLY}, slowest − fastest"
    yield by_rule_r("", measure, "nats", effect, sentence)


def _half_life(decay: float) -> float:
    return math.log(0.5) / math.log(decay)


def _jacobian(runs: Runs) -> Iterator[Finding]:
    values = measures.probed(runs, "jacobian", "median_abs_log", "condition")
    for part, chosen in measures.parts(runs):
        none, batch = measures.arms(measures.ended(chosen))
        mine = values[values["run"].isin(chosen.runs.index)]
        steps = sorted(mine["step"].unique())
        for step in steps:
            at = mine[mine["step"] == step]
            table = at.groupby(["run", "statistic"])["value"].mean().unstack("statistic")
            yield _singular_values(
                joined(part, f"step {step}"), none, batch, table, beside=step != steps[-1]
            )


def _singular_values(
    part: str, none: pd.DataFrame, batch: pd.DataFrame, values: pd.DataFrame, *, beside: bool
) -> Finding:
    """Rule R on how much farther from 1 the singular values are without BN."""
    theirs, ours = (by_seed(arm, values["median_abs_log"]) for arm in (none, batch))
    effect = paired_log2_ratio(theirs, ours)
    conditions = [by_seed(arm, values["condition"]).median() for arm in (batch, none)]
    sentence = (
        f"The singular values s of the layers' Jacobians have a median |log s| of "
        f"{ours.mean():.3g} with BN and {theirs.mean():.3g} without, {times(effect.mean)} as far "
        f"from 1: log2 {shown(effect)}. Condition numbers: {conditions[0]:.3g} and "
        f"{conditions[1]:.3g}."
    )
    measure = "median |log s| of the layers' Jacobians, none / BN"
    return by_rule_r(part, measure, LOG2, effect, sentence, beside=beside)


PLACE = 40  # among the claims
CLAIMS = (
    Claim(
        "large-weights-small-gradients",
        "Under BN larger weights get smaller gradients.",
        "§3.3",
        "Slope of log‖∂L/∂W‖ on log‖W‖ at step 0, initial weights times 1, 10 and 100; supported "
        "if the interval lies within .05 of −1, contradicted if it lies outside.",
        "weight_scale",
        _large_weights_small_gradients,
    ),
    Claim(
        "normalize-inside-gradient",
        "Where the gradient step does not see the normalization, the bias grows and the loss "
        "stays.",
        "§2",
        "Growth of ‖b‖ (and ‖W‖, loss) without gradient through μ, and through neither μ nor σ, "
        "less that of BN; rule R.",
        "outside_gradient",
        _normalize_inside_gradient,
    ),
    Claim(
        "before-nonlinearity",
        "Before the nonlinearity is the stabler place to normalize.",
        "§3.2",
        "Drift of the last hidden layer's inputs, log2 after / before, and validation accuracy, "
        "before − after; rule R for each.",
        "position",
        _before_nonlinearity,
    ),
    Claim(
        "moving-average-lag",
        "Slow moving averages spoil inference early in training.",
        "R. Shu's guide to BN in TensorFlow",
        "Validation loss with population less batch statistics over the first 500 steps, slowest "
        "− fastest decay; rule R.",
        "momentum",
        _moving_average_lag,
    ),
    Claim(
        "jacobian",
        "BN may keep the singular values of the layers' Jacobians near 1 (a conjecture).",
        "§3.3",
        "Median |log s| of the Jacobian from one layer's normalized inputs to the next's, log2 "
        "none / BN at the last step; rule R.",
        "jacobian",
        _jacobian,
    ),
)
