"""The claims about why BN works, judged from what probes saw inside the networks."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from bnexp.analysis import measures
from bnexp.analysis.claims.figure1 import PATHS, accuracy, deaths, drift, how
from bnexp.analysis.claims.model import (
    LOG2,
    PAPER,
    POINTS,
    Claim,
    Finding,
    by_rule_r,
    could_tell,
    joined,
    percent,
    shown,
    times,
)
from bnexp.analysis.claims.robustness import largest_rate, ratio_of_rates
from bnexp.analysis.evidence import TUNED, Chosen, Evidence
from bnexp.analysis.loading import SEED, Runs
from bnexp.analysis.measures import LR, NORM, MeasureError, by_seed
from bnexp.analysis.statistics import (
    CONTRADICTED,
    INCONCLUSIVE,
    MIN_JUDGED,
    SUPPORTED,
    Estimate,
    p_within,
    paired_difference,
    paired_log2_ratio,
    t_interval,
)
from bnexp.analysis.trials import ACCURACY
from bnexp.folders.runs import DIVERGED

SCALE, POSITION, MOMENTUM = "init.scale", "norm.position", "norm.momentum"
ACTIVATION = "model.activation"
SLOPE, SLOPE_MARGIN = -1.0, 0.05
SLOW, EARLY = 0.999, 500  # decay of the averages; steps
LARGE_RATE = 3.0
NEAR_1 = math.log(2)  # |log s| of a singular value at twice or half of 1
OUTSIDE = {
    "norm.gradient=no_mean": "no gradient through μ",
    "norm.gradient=none": "through neither μ nor σ",
}


def died(arm: str, table: pd.DataFrame, values: pd.Series | None = None) -> str:
    """What is said of an arm's runs that diverged, or have no value."""
    found = {
        "Diverged": int((table["status"] == DIVERGED).sum()),
        "Without a value, and so left out": 0 if values is None else int(values.isna().sum()),
    }
    told = [f" {what}: {n} of {len(table)} runs with {arm}." for what, n in found.items() if n]
    return "".join(told)


# --- larger weights, smaller gradients


def _large_weights_small_gradients(runs: Evidence) -> Iterator[Finding]:
    norms = measures.probed(runs, "gradients", "gradient_norm", "weight_norm")
    start = norms[(norms["step"] == 0) & (norms["value"] > 0)]
    weights = _norm_by_step(runs, "weight_norm")
    growth = (weights.iloc[:, -1] / weights.iloc[:, 0]).map(np.log2)
    for part, chosen in measures.parts(runs, SCALE):
        for arm in runs.arms(measures.ended(chosen)):
            kind = str(arm[NORM].iloc[0])
            name, judged = joined(part, kind), kind == runs.arm
            slopes = _slopes(start[start["run"].isin(arm.index)], arm)
            yield _slope(name, kind, arm, slopes, judged=judged)
            yield _weight_growth(joined(name, "‖W‖"), arm, growth, judged=judged)


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
        raise MeasureError("needs probed runs of two initial scales")
    return pd.Series(slopes).groupby(level=0).mean()


def _slope(part: str, kind: str, arm: pd.DataFrame, slopes: pd.Series, *, judged: bool) -> Finding:
    effect = t_interval(slopes)
    verdict, p = within(effect, SLOPE, SLOPE_MARGIN)
    sentence = (
        f"With norm={kind} the gradient's norm goes as the weights' norm to the power "
        f"{shown(effect, 3)} at step 0 (mean over hidden layers; initial weights times "
        f"{', '.join(f'{scale:g}' for scale in sorted(arm[SCALE].unique()))})."
        f"{died(f'norm={kind}', arm, slopes)}"
    )
    return Finding(
        part,
        "slope of log‖∂L/∂W‖ on log‖W‖ at step 0; supported within 0.05 of −1",
        "exponent",
        effect,
        verdict,
        f"{sentence}{could_tell(effect, SLOPE)}",
        null=None,
        p=p,
        primary=judged,
        beside=not judged,
    )


def within(effect: Estimate, value: float, margin: float) -> tuple[str, float]:
    """Supported if the 95% interval lies within `value` ± margin, contradicted if wholly outside.

    With the p-value of the two one-sided tests, at 2.5% each, that this is made of.
    """
    shifted = t_interval([one - value for one in effect.values])
    p = min(1.0, 2 * p_within(shifted, margin))
    if effect.n < MIN_JUDGED:
        return INCONCLUSIVE, p
    if value - margin <= effect.low and effect.high <= value + margin:
        return SUPPORTED, p
    if effect.low > value + margin or effect.high < value - margin:
        return CONTRADICTED, min(1.0, 2 * (1 - p_within(shifted, margin)))
    return INCONCLUSIVE, p


def _weight_growth(part: str, arm: pd.DataFrame, growth: pd.Series, *, judged: bool) -> Finding:
    """Rule R on how much more the smallest initial weights grow than the largest."""
    of_scale = {scale: by_seed(rows, growth) for scale, rows in measures.split(arm, SCALE).items()}
    smallest, largest = min(of_scale), max(of_scale)
    effect = paired_difference(of_scale[smallest], of_scale[largest])
    grown = ", ".join(f"{2 ** g.mean():.3g} at {s:g}" for s, g in of_scale.items())
    sentence = (
        f"While training ‖W‖ grows to so many times its start, by the factor of the initial "
        f"weights: {grown}. Smallest / largest: log2 {shown(effect)}."
        f"{died(f'norm={arm[NORM].iloc[0]}', arm, growth.reindex(arm.index))}"
    )
    measure = "growth of ‖W‖, smallest / largest initial weights"
    return by_rule_r(part, measure, LOG2, effect, sentence, beside=not judged)


def _norm_by_step(runs: Runs, statistic: str) -> pd.DataFrame:
    """A row a run, a column a step: a norm of all hidden layers together.

    A run that ended early keeps its last one.
    """
    norms = measures.probed(runs, "gradients", statistic)
    squares = norms.assign(value=norms["value"] ** 2).groupby(["run", "step"])["value"].sum()
    return np.sqrt(squares).unstack("step").sort_index(axis="columns").ffill(axis="columns")


# --- the normalization inside the gradient step


def _normalize_inside_gradient(runs: Evidence) -> Iterator[Finding]:
    theirs, *outside = runs.all_chosen(TUNED, ACCURACY)
    biases = _norm_by_step(runs, "bias_norm")
    for number, ours in enumerate(outside):
        part = OUTSIDE.get(ours.arm, ours.arm)
        yield _loss(joined(part, "loss"), theirs, ours, primary=number == 0)
        yield _bias_growth(joined(part, "‖b‖"), theirs, ours, biases)
        yield _later_growth(joined(part, "‖b‖, last half"), theirs, ours, biases)


def _loss(part: str, theirs: Chosen, ours: Chosen, *, primary: bool) -> Finding:
    a, b = (by_seed(arm.table, final_loss(arm.table)) for arm in (ours, theirs))
    effect = paired_difference(a, b)
    sentence = (
        f"The test loss is {a.mean():.4g} with {ours.arm} and {b.mean():.4g} with {theirs.arm} "
        f"{how(theirs, ours)}: {shown(effect, 3)}.{deaths(theirs, ours)}"
    )
    measure = f"test loss, {ours.arm} − {theirs.arm}"
    return by_rule_r(part, measure, "nats", effect, sentence, primary=primary)


def final_loss(table: pd.DataFrame) -> pd.Series:
    """By run, on test data; a diverged network's is that of guessing."""
    guessing = -np.log(measures.chance_of(table))
    return table["test_log_loss"].astype(float).mask(table["status"] == DIVERGED, guessing)


def _bias_growth(part: str, theirs: Chosen, ours: Chosen, biases: pd.DataFrame) -> Finding:
    """Rule R on log2 of how much ‖b‖ grows from step `PATH_START` to the end."""
    start = measures.PATH_START
    if start not in biases:
        raise MeasureError(f"no probe was recorded at step {start}")
    first, last = (by_seed(ours.table, biases[step]) for step in (start, biases.columns[-1]))
    effect = t_interval(np.log2(last / first.where(first > 0)))
    still = by_seed(theirs.table, biases.iloc[:, -1]).mean()
    sentence = (
        f"‖b‖ goes from {first.mean():.3g} at step {start} to {last.mean():.3g} at the end with "
        f"{ours.arm} {how(theirs, ours)}: log2 {shown(effect)}. With {theirs.arm} it ends at "
        f"{still:.3g}.{died(ours.arm, ours.table, last / first)}"
    )
    measure = f"growth of ‖b‖ from step {start} to the end, {ours.arm}"
    return by_rule_r(part, measure, LOG2, effect, sentence)


def _later_growth(part: str, theirs: Chosen, ours: Chosen, biases: pd.DataFrame) -> Finding:
    """Rule R on how much more ‖b‖ grows in the last half of the steps than in the first."""
    steps = biases.columns.to_numpy(float)
    middle = biases.iloc[:, int(np.abs(steps - steps[-1] / 2).argmin())]
    early = by_seed(ours.table, middle - biases.iloc[:, 0])
    late = by_seed(ours.table, biases.iloc[:, -1] - middle)
    effect = paired_difference(late, early)
    sentence = (
        f"‖b‖ grows by {late.mean():.3g} in the last half of the steps and by {early.mean():.3g} "
        f"in the first with {ours.arm} {how(theirs, ours)}: {shown(effect)}."
        f"{died(ours.arm, ours.table, late - early)}"
    )
    measure = f"growth of ‖b‖, last half − first half of the steps, {ours.arm}"
    return by_rule_r(part, measure, "norm", effect, sentence)


# --- before or after the nonlinearity


def _before_nonlinearity(runs: Evidence) -> Iterator[Finding]:
    for condition in runs.conditions:
        after, before = runs.chosen(TUNED, ACCURACY, condition=condition)
        part = condition.removeprefix("model.")
        sigmoid = bool((before.table[ACTIVATION] == "sigmoid").all())
        yield accuracy(joined(part, "accuracy"), (after, before), primary=sigmoid)
        tried = [_all_rates(runs, arm) for arm in (after, before)]
        yield _largest_rates(joined(part, "largest rate"), runs, *tried)
        if all((table[LR] == LARGE_RATE).any() for table in tried):
            yield _diverged(joined(part, f"diverged at {LARGE_RATE:g}"), *tried)
        told = f"{after.arm} against {before.arm}, {after.told} against {before.told}"
        for statistic in PATHS:
            tables = (after.table, before.table)
            found = drift(runs, joined(part, "drift"), tables, statistic, told)
            lost = "".join(died(arm.arm, arm.table) for arm in (after, before))
            yield replace(found, sentence=f"{found.sentence}{lost}")


def _all_rates(runs: Evidence, arm: Chosen) -> pd.DataFrame:
    """An arm's tuning runs: at every learning rate, on the seeds that chose."""
    assert runs.trial is not None
    table, like = measures.ended(runs), arm.table.iloc[0]
    alike = (table[[ACTIVATION, POSITION]] == like[[ACTIVATION, POSITION]]).all(axis="columns")
    return table[alike & table[SEED].isin(runs.trial["settings"]["tune_seeds"])]


def _largest_rates(part: str, runs: Runs, after: pd.DataFrame, before: pd.DataFrame) -> Finding:
    theirs, ours = (largest_rate(runs, table) for table in (after, before))
    effect, told = ratio_of_rates(ours, theirs, before[LR])
    tops = [
        int((rates == table[LR].max()).sum()) for rates, table in ((ours, before), (theirs, after))
    ]
    sentence = (
        f"The largest learning rate that trains is {ours.median():.4g} with BN before the "
        f"nonlinearity and {theirs.median():.4g} after (medians of the tuning seeds): log2 "
        f"{told} The highest tried trains for {tops[0]} of {len(ours)} seeds before "
        f"and {tops[1]} of {len(theirs)} after."
    )
    return by_rule_r(
        part, "largest learning rate that trains, before / after", LOG2, effect, sentence
    )


def _diverged(part: str, after: pd.DataFrame, before: pd.DataFrame) -> Finding:
    theirs, ours = (
        by_seed(rows, (rows["status"] == DIVERGED).astype(float))
        for rows in (table[table[LR] == LARGE_RATE] for table in (after, before))
    )
    effect = paired_difference(theirs, ours).scaled(100)
    sentence = (
        f"At learning rate {LARGE_RATE:g}, {percent(ours.mean())} of the tuning runs diverge with "
        f"BN before the nonlinearity and {percent(theirs.mean())} after: {shown(effect)}."
    )
    measure = f"share of runs that diverge at learning rate {LARGE_RATE:g}, after − before"
    return by_rule_r(part, measure, POINTS, effect, sentence)


# --- moving averages


def _moving_average_lag(runs: Evidence) -> Iterator[Finding]:
    losses = measures.probed(runs, "population", "loss_population", "loss_batch")
    early = losses[losses["step"] == EARLY]
    if early.empty:
        raise MeasureError(f"no probe was recorded at step {EARLY}")
    by_run = early.set_index(["run", "statistic"])["value"].unstack("statistic")
    gap = by_run["loss_population"] - by_run["loss_batch"]
    table = measures.ended(runs)
    averaging = table[(table[NORM] == runs.arm) & table[MOMENTUM].notna()]
    if averaging.empty:
        raise MeasureError(f"no run with norm={runs.arm} and {MOMENTUM} has ended")
    for decay, rows in measures.split(averaging, MOMENTUM).items():
        values = by_seed(rows, gap)
        effect = t_interval(values)
        sentence = (
            f"With decay {decay:g} (half-life {_steps(_half_life(decay))}) the validation loss at "
            f"step {EARLY} with population statistics less that with batch statistics is "
            f"{shown(effect, 3)}.{died(f'decay {decay:g}', rows, values)}"
        )
        measure = f"validation loss at step {EARLY}, population − batch statistics"
        part, primary = f"decay {decay:g}", decay == SLOW
        yield by_rule_r(part, measure, "nats", effect, sentence, primary=primary)


def _steps(count: float) -> str:
    return "1 step" if count == 1 else f"{count:.3g} steps"


def _half_life(decay: float) -> float:
    return math.log(0.5) / math.log(decay)


# --- singular values

SINGULAR = 1 / float(np.finfo(float).eps)  # the largest condition number that is told from infinite


def _jacobian(runs: Evidence) -> Iterator[Finding]:
    values = measures.probed(runs, "jacobian", "median_abs_log", "condition")
    theirs, ours = runs.chosen(TUNED, ACCURACY)
    mine = values[values["run"].isin([*ours.table.index, *theirs.table.index])]
    first, last = mine["step"].min(), mine["step"].max()
    for step, when in ((last, ""), (first, "at the start")):
        table = _by_run(mine[mine["step"] == step])
        distance, condition = table["median_abs_log"], table["condition"]
        yield _near_1(when, theirs, ours, distance, primary=step == last)
        yield _farther(joined(when, "against none"), theirs, ours, distance, "median |log s|")
        yield _farther(joined(when, "condition"), theirs, ours, condition, "condition number")


def _by_run(values: pd.DataFrame) -> pd.DataFrame:
    """Means over the layers; the condition number of a singular matrix is `SINGULAR`."""
    wide = values.pivot(index=["run", "layer"], columns="statistic", values="value")
    singular = wide["median_abs_log"].notna() & ~(wide["condition"] < SINGULAR)
    wide["condition"] = wide["condition"].mask(singular, SINGULAR)
    return wide.groupby("run").mean()


def _near_1(
    part: str, theirs: Chosen, ours: Chosen, distance: pd.Series, *, primary: bool
) -> Finding:
    """Rule R on how far below log 2 the arm's median |log s| lies."""
    values = by_seed(ours.table, distance)
    effect = t_interval(NEAR_1 - values)
    sentence = (
        f"The singular values s of the layers' Jacobians have a median |log s| of "
        f"{values.mean():.3g} with {ours.arm}{f' {part}' * bool(part)} {how(theirs, ours)}; log 2, "
        f"a factor of two from 1, is {NEAR_1:.3g}, less that: {shown(effect, 3)}."
        f"{died(ours.arm, ours.table, values)}"
    )
    measure = f"log 2 − median |log s| of the layers' Jacobians, {ours.arm}"
    return by_rule_r(part, measure, "nats", effect, sentence, primary=primary)


def _farther(part: str, theirs: Chosen, ours: Chosen, values: pd.Series, what: str) -> Finding:
    """Rule R on log2 of how much larger a measure of the singular values is in the baseline."""
    a, b = by_seed(ours.table, values), by_seed(theirs.table, values)
    effect = paired_log2_ratio(b, a)
    sentence = (
        f"The {what} of the layers' Jacobians is {a.median():.3g} with {ours.arm} and "
        f"{b.median():.3g} with {theirs.arm} (medians) {how(theirs, ours)}; paired by seed "
        f"{times(effect.mean)} as large with {theirs.arm}: "
        f"log2 {shown(effect)}.{died(ours.arm, ours.table, a)}{died(theirs.arm, theirs.table, b)}"
    )
    measure = f"{what} of the layers' Jacobians, {theirs.arm} / {ours.arm}"
    return by_rule_r(part, measure, LOG2, effect, sentence)


PLACE = 40  # among the claims
CLAIMS = (
    Claim(
        "large-weights-small-gradients",
        "Under BN larger weights get smaller gradients.",
        "§3.3",
        "Slope of log‖∂L/∂W‖ on log‖W‖ at step 0, initial weights times 1, 10 and 100; supported "
        "if the 95% interval lies within .05 of −1, contradicted if it lies outside. Secondary: "
        "‖W‖ over time.",
        "weight_scale",
        _large_weights_small_gradients,
        PAPER,
    ),
    Claim(
        "normalize-inside-gradient",
        "Where the gradient step does not see the normalization, the bias grows and the loss "
        "stays.",
        "§2",
        "Test loss without gradient through μ, less that of BN, the rate tuned for each; rule R. "
        "Secondary: through neither μ nor σ; growth of ‖b‖ from step 1,000 on, and in the last "
        "half less in the first.",
        "outside_gradient",
        _normalize_inside_gradient,
        PAPER,
    ),
    Claim(
        "before-nonlinearity",
        "Before the nonlinearity is the stabler place to normalize (argued, not tested).",
        "§3.2",
        "Test accuracy on fresh seeds with sigmoids, before − after, the rate tuned for each; "
        "rule R. Secondary: ReLU; the largest rate that trains; share diverged at rate 3; drift "
        "of the last hidden layer's inputs.",
        "position",
        _before_nonlinearity,
        PAPER,
    ),
    Claim(
        "moving-average-lag",
        "Slow moving averages spoil inference early in training.",
        "R. Shu's guide to BN in TensorFlow",
        "Validation loss at step 500, with population less with batch statistics, decay 0.999; "
        "rule R. Secondary: other decays.",
        "momentum",
        _moving_average_lag,
        PAPER,
    ),
    Claim(
        "jacobian",
        "BN may keep the singular values of the layers' Jacobians near 1 (a conjecture).",
        "§3.3",
        "Log 2 less the median |log s| of the Jacobian from one layer's normalized inputs to the "
        "next's, with BN at the end, the rate tuned; rule R. Secondary: against none; condition "
        "number; at the start.",
        "jacobian",
        _jacobian,
        PAPER,
    ),
)
