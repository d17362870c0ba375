"""The claims that BN makes training less delicate: saturation, learning rate, initial weights."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from bnexp.analysis import measures
from bnexp.analysis.claims.arms import final_accuracy, gain
from bnexp.analysis.claims.model import (
    LOG2,
    PAPER,
    POINTS,
    Claim,
    Finding,
    by_rule_r,
    joined,
    percent,
    shown,
)
from bnexp.analysis.evidence import TUNED, Chosen, Evidence
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import LR, VALIDATION, Tuned, chance_of, split, tuned
from bnexp.analysis.statistics import (
    CONTRADICTED,
    INCONCLUSIVE,
    MIN_JUDGED,
    SUPPORTED,
    Estimate,
    no_finer,
    paired_difference,
    paired_log2_ratio,
)
from bnexp.analysis.trials import ACCURACY, LEARNS
from bnexp.folders.runs import DIVERGED, FINISHED

KIND, STDDEV = "init.kind", "init.stddev"
INIT = (KIND, STDDEV)
ACTIVATION = "model.activation"
STEPS = "trainer.steps"

PUBLISHED = 0.05  # standard deviation of the paper's "small random Gaussian values", as read here
SATURATION_STDDEVS = (PUBLISHED, 0.005, 0.5, 1.0, 5.0)  # the first is the primary part's
EARLY = 5000  # steps, of a secondary part
GOOD_CELL = 0.90
TRAINED = 0.90
APART = 20.0  # points by which BN must lead where the baseline is stuck


def dead(table: pd.DataFrame, accuracies: pd.Series) -> pd.Series:
    """By run: whether it stayed near chance; at ten classes, at 15% or below."""
    return accuracies <= LEARNS * chance_of(table) + 1e-9


def dead_runs(*arms: tuple[str, pd.DataFrame]) -> str:
    """What is said of runs that diverged."""
    counts = [(name, int((rows["status"] == DIVERGED).sum()), len(rows)) for name, rows in arms]
    if not any(count for _, count, _ in counts):
        return ""
    told = ", ".join(f"{count} of {total} runs {name}" for name, count, total in counts)
    return f" Diverged, counted as chance: {told}."


def edges(arms: dict[str, Tuned]) -> str:
    """Where a best rate lies at an end of the rates tried."""
    told = [f"{name} the {arm.edge} tried" for name, arm in arms.items() if arm.edge]
    return f"; {', '.join(told)}" if told else ""


def gaussian(table: pd.DataFrame) -> pd.DataFrame:
    """The runs whose initial weights are Gaussian, which have a standard deviation to vary.

    Raises:
        MeasureError: there are none.
    """
    chosen = table[table[KIND] == "gaussian"]
    if chosen.empty:
        raise measures.MeasureError("no run with init=gaussian has ended")
    return chosen


def _less_saturation(runs: Evidence) -> Iterator[Finding]:
    saturation = measures.probed(runs, "activations", "saturation")
    by_run = saturation.groupby(["run", "step"])["value"].mean().unstack("step")
    share, growth = by_run.mean(axis=1), by_run.apply(_growth, axis=1)
    sigmoid = runs.where({ACTIVATION: "sigmoid"})
    none, batch = (split(arm, STDDEV) for arm in runs.arms(gaussian(measures.ended(sigmoid))))
    shared = [stddev for stddev in SATURATION_STDDEVS if stddev in none and stddev in batch]
    if not shared:
        raise measures.MeasureError("no σ at which runs of both arms have ended")
    for stddev in shared:
        arms = {"without BN": tuned(none[stddev]), "with BN": tuned(batch[stddev])}
        part = f"σ = {stddev:g}"
        yield _saturation(part, arms, share, "", primary=stddev == PUBLISHED)
        if stddev == PUBLISHED:
            yield _saturation(joined(part, "growth"), arms, growth, "growth of the ")


def _growth(shares: pd.Series) -> float:
    known = shares.dropna()
    return float(known.iloc[-1] - known.iloc[0])


def _saturation(
    part: str, arms: dict[str, Tuned], values: pd.Series, what: str, *, primary: bool = False
) -> Finding:
    theirs, ours = (arm.by_seed(values) for arm in arms.values())
    effect = paired_difference(theirs, ours).scaled(100)
    rates = ", ".join(f"{arm.rate:g} {name}" for name, arm in arms.items())
    moment = "from the first to the last probe" if what else "mean over training and layers"
    sentence = (
        f"The {what}share of sigmoid inputs beyond ±4 ({moment}) is {percent(ours.mean())} with "
        f"BN and {percent(theirs.mean())} without (learning rates {rates}{edges(arms)}): "
        f"{shown(effect)}.{dead_runs(*((name, arm.table) for name, arm in arms.items()))}"
    )
    measure = f"{what}share of inputs beyond ±4, none − BN"
    return by_rule_r(part, measure, POINTS, effect, sentence, primary=primary)


def largest_rate(runs: Runs, table: pd.DataFrame, step: int | None = None) -> pd.Series:
    """By seed: the largest learning rate whose training loss is below half of that of guessing.

    At the end of runs that finished, or at a step. Where none is, half of the smallest tried.
    """
    history = runs.history.sort_values("step", kind="stable")
    at = history if step is None else history[history["step"] == step]
    loss = at.groupby("run")["train_loss"].last().reindex(table.index)
    trains = np.isfinite(loss) & (loss < -np.log(chance_of(table)) / 2)
    if step is None:
        trains &= table["status"] == FINISHED
    rates = table[LR].where(trains).groupby(table["seed"]).max()
    return rates.fillna(table[LR].min() / 2).astype(float)


def ratio_of_rates(ours: pd.Series, theirs: pd.Series, tried: pd.Series) -> tuple[Estimate, str]:
    """log2 of two largest rates by seed, known to a step of the rates tried; what is told of it."""
    step = float(np.diff(np.log2(np.unique(tried))).max(initial=0))
    exact = paired_log2_ratio(ours, theirs)
    effect = no_finer(exact, step)
    told = " All seeds have the same ratio: the interval is that of rounding to the rates tried."
    return effect, shown(effect) + "." + (told if effect != exact else "")


def _higher_learning_rate(runs: Evidence) -> Iterator[Finding]:
    for part, chosen in measures.parts(runs, LR):
        none, batch = runs.arms(measures.ended(chosen))
        first = none.iloc[0]
        primary = first.get(ACTIVATION) == "sigmoid" and first.get(STDDEV) == PUBLISHED
        yield _rates(chosen, part, none, batch, None, primary=bool(primary))
        if none[STEPS].min() > EARLY and (chosen.history["step"] == EARLY).any():
            yield _rates(chosen, joined(part, f"step {EARLY}"), none, batch, EARLY)


def _rates(
    runs: Runs,
    part: str,
    none: pd.DataFrame,
    batch: pd.DataFrame,
    step: int | None,
    *,
    primary: bool = False,
) -> Finding:
    theirs, ours = largest_rate(runs, none, step), largest_rate(runs, batch, step)
    effect, told = ratio_of_rates(ours, theirs, none[LR])
    sentence = (
        f"The largest learning rate that trains is {ours.median():.4g} with BN and "
        f"{theirs.median():.4g} without (medians): log2 {told}"
    )
    for name, found, arm in (("with", ours, batch), ("without", theirs, none)):
        if at_top := int((found == arm[LR].max()).sum()):
            sentence += (
                f" For {at_top} of {len(found)} seeds the highest tried still trains {name} BN."
            )
        if below := int((found < arm[LR].min()).sum()):
            sentence += (
                f" For {below} of {len(found)} seeds no rate trains {name} BN: half the lowest "
                "tried is counted."
            )
    counts = [f"{int((arm['status'] == DIVERGED).sum())} of {len(arm)}" for arm in (batch, none)]
    sentence += f" Diverged, all rates: {counts[0]} runs with BN, {counts[1]} without."
    measure = "largest learning rate that trains, BN / none, against a factor of 2"
    return by_rule_r(part, measure, LOG2, effect, sentence, null=1.0, primary=primary)


def _init_robust(runs: Evidence) -> Iterator[Finding]:
    for part, chosen in measures.parts(runs, LR, *INIT):
        none, batch = runs.arms(measures.ended(chosen))
        primary = none.iloc[0].get(ACTIVATION) == "sigmoid"
        yield _range(joined(part, "range"), gaussian(none), gaussian(batch), primary=bool(primary))
        theirs, ours = (_good_cells(table) for table in (none, batch))
        effect = paired_difference(ours, theirs)
        sentence = (
            f"{ours.mean():.3g} of the cells of initialization and learning rate pass "
            f"{GOOD_CELL:.0%} with BN, {theirs.mean():.3g} without (means over seeds): "
            f"{shown(effect, 1)}.{dead_runs(('with BN', batch), ('without', none))}"
        )
        measure = f"cells above {GOOD_CELL:.0%} validation accuracy, BN − none"
        yield by_rule_r(joined(part, "cells"), measure, "cells", effect, sentence)


def _range(part: str, none: pd.DataFrame, batch: pd.DataFrame, *, primary: bool) -> Finding:
    (theirs, base), (ours, mine) = (_range_over_stddev(table) for table in (none, batch))
    effect = paired_difference(theirs, ours).scaled(100)
    told = "".join(
        f" Best rate {name} BN at an edge of those tried: {where}."
        for name, best in (("with", mine), ("without", base))
        if (where := ", ".join(f"σ = {s:g} ({arm.edge})" for s, arm in best.items() if arm.edge))
    )
    arms = (
        (name, pd.concat([arm.table for arm in best.values()]))
        for name, best in (("with BN", mine), ("without", base))
    )
    sentence = (
        f"Best-rate validation accuracy varies by {100 * ours.mean():.2f} points over σ with "
        f"BN, by {100 * theirs.mean():.2f} without: {shown(effect)}.{told}{dead_runs(*arms)}"
    )
    measure = "range over σ of best-rate validation accuracy, none − BN"
    return by_rule_r(part, measure, POINTS, effect, sentence, primary=primary)


def _range_over_stddev(table: pd.DataFrame) -> tuple[pd.Series, dict[float, Tuned]]:
    best = {stddev: tuned(group) for stddev, group in split(table, STDDEV).items()}
    if len(best) < 2:
        raise measures.MeasureError("fewer than two σ have ended runs")
    accuracies = pd.DataFrame({s: arm.by_seed(VALIDATION) for s, arm in best.items()}).dropna()
    return accuracies.max(axis=1) - accuracies.min(axis=1), best


def _good_cells(table: pd.DataFrame) -> pd.Series:
    return (table[VALIDATION] > GOOD_CELL).groupby(table["seed"]).sum().astype(float)


def _saturating_nonlinearities(runs: Evidence) -> Iterator[Finding]:
    """BN leads by `APART` points, and the baseline is stuck in every combination."""
    theirs, ours = runs.chosen(TUNED, ACCURACY)
    finding = gain("", theirs, ours, null=APART, primary=True)
    cells = runs.part(TUNED, ACCURACY)["arms"][theirs.arm]["tried"]
    chance = chance_of(theirs.table).iloc[0]
    scores = [cell["score"] for cell in cells] + [float(final_accuracy(theirs).mean())]
    learning = sum(score is not None and score > LEARNS * chance + 1e-9 for score in scores[:-1])
    stuck = not learning and scores[-1] <= LEARNS * chance + 1e-9
    verdict = finding.verdict
    if not stuck:
        verdict = CONTRADICTED if finding.effect.n >= MIN_JUDGED else INCONCLUSIVE
    told = (
        f" {theirs.arm} passes {LEARNS * chance:.0%} in {learning} of {len(cells)} combinations "
        "(mean over the tuning seeds)."
    )
    measure = f"{finding.measure}, against {APART:g} points; and the baseline stuck everywhere"
    yield replace(finding, verdict=verdict, measure=measure, sentence=finding.sentence + told)


def _deepest(runs: Evidence) -> Iterator[Finding]:
    """The rule of this part is no rule R: see `_depth_verdict`."""
    rows = []
    for condition in runs.conditions:
        theirs, ours = runs.chosen(TUNED, ACCURACY, condition=condition)
        rows.append((int(measures.depth(ours.table).iloc[0]), theirs, ours))
    rows.sort(key=lambda row: row[0])
    rescued = [row for row in rows if _is_stuck(row[1]) and _trains(row[2])]
    layers, theirs, ours = (rescued or rows[::-1])[0]
    effect = paired_difference(final_accuracy(ours), final_accuracy(theirs)).scaled(100)
    told = "; ".join(
        f"{count} layers {percent(final_accuracy(a).mean())} ({a.told}) and "
        f"{percent(final_accuracy(b).mean())} ({b.told})"
        for count, a, b in rows
    )
    first = f" The smallest depth that only BN trains is {layers}." if rescued else ""
    diverged = dead_runs(
        ("with BN", pd.concat([b.table for _, _, b in rows])),
        ("without", pd.concat([a.table for _, a, _ in rows])),
    )
    finding = by_rule_r(
        "depth",
        f"test accuracy at {layers} layers, BN − none, both tuned",
        POINTS,
        effect,
        f"Test accuracy without and with BN: {told}; at {layers} layers {shown(effect)}.{first}"
        f"{diverged}",
    )
    verdict = _depth_verdict(rows, effect)
    yield replace(finding, verdict=verdict, null=None, p=math.nan)


def _is_stuck(arm: Chosen) -> bool:
    accuracies = arm.table[measures.TEST].astype(float)
    return bool(dead(arm.table, accuracies).all())


def _trains(arm: Chosen) -> bool:
    return float(final_accuracy(arm).mean()) >= TRAINED


def _depth_verdict(rows: list[tuple[int, Chosen, Chosen]], effect: Estimate) -> str:
    """Supported if at some depth every run of the tuned baseline is stuck and BN trains.

    Contradicted if BN fails wherever the other arm is stuck, or if that arm trains at every
    depth.
    """
    if effect.n < MIN_JUDGED:
        return INCONCLUSIVE
    stuck = [ours for _, theirs, ours in rows if _is_stuck(theirs)]
    if any(map(_trains, stuck)):
        return SUPPORTED
    if stuck or all(_trains(theirs) for _, theirs, _ in rows):
        return CONTRADICTED
    return INCONCLUSIVE


_SATURATING = (
    "saturating-nonlinearities",
    "Deep networks of saturating nonlinearities, stuck without BN, train with it.",
    "§4.2.2",
)

PLACE = 20  # among the claims
CLAIMS = (
    Claim(
        "less-saturation",
        "BN keeps the inputs of saturating nonlinearities out of the saturated regime.",
        "§1, §3.3",
        "Share of sigmoid inputs with absolute value above 4, mean over training and layers, "
        "none − BN at σ = 0.05 and each arm's best learning rate; rule R. Secondary: other σ; "
        "growth from start to end.",
        "init",
        _less_saturation,
        PAPER,
    ),
    Claim(
        "higher-learning-rate",
        "BN allows much higher learning rates.",
        "§3.3",
        "Largest learning rate at which the training loss ends finite and below half of that of "
        "guessing, sigmoid, log2 BN / none; rule R(1). Secondary: ReLU; σ = 0.3; at step 5,000.",
        "learning_rate",
        _higher_learning_rate,
        PAPER,
    ),
    Claim(
        "init-robust",
        "With BN less care is needed about the initial weights.",
        "abstract, §1",
        "Range over σ of best-rate validation accuracy, sigmoid, none − BN; rule R. Secondary: "
        "ReLU; the number of cells of initialization and learning rate above 90%, BN − none.",
        "init",
        _init_robust,
        PAPER,
    ),
    Claim(
        *_SATURATING,
        "Test accuracy of a deep convolutional network of sigmoids, both arms tuned, BN − none, "
        "rule R(20 points), and the baseline stays at 15% or below in every combination.",
        "deep_sigmoid",
        _saturating_nonlinearities,
        PAPER,
    ),
    Claim(
        *_SATURATING,
        "Secondary: supported if at some depth of a dense network of sigmoids the tuned baseline "
        "stays at 15% or below and BN reaches 90% test accuracy.",
        "depth",
        _deepest,
        PAPER,
    ),
)
