"""The claims of §4.2.2 and §4.2.3 on deep convolutional networks: fewer steps, ensembles."""

import io
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from bnexp.analysis import measures
from bnexp.analysis.claims.figure1 import deaths, never
from bnexp.analysis.claims.model import (
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
from bnexp.analysis.claims.robustness import dead
from bnexp.analysis.evidence import TUNED, Chosen, Evidence, evidence
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import LR, VALIDATION, by_seed, chance_of, split, tuned
from bnexp.analysis.statistics import paired_difference, t_interval
from bnexp.analysis.steps import Crossings, crossings, speed
from bnexp.analysis.trial_words import settings_words
from bnexp.analysis.trials import ACCURACY
from bnexp.folders.pack import run_table
from bnexp.folders.runs import DIVERGED
from bnexp.folders.tables import PREDICTIONS

FASTER, FASTEST = 5, 30  # times the baseline's learning rate
ENSEMBLE = 6  # networks


def maximum(runs: Runs, table: pd.DataFrame) -> pd.Series:
    """By run: the highest validation accuracy that it passes through; if it diverged, chance."""
    best = runs.history.groupby("run")["val_accuracy"].max().reindex(table.index)
    return best.mask(table["status"] == DIVERGED, chance_of(table))


def figure3(runs: Runs) -> pd.DataFrame:
    """The table of Fig. 3: arm, learning rate, steps to the baseline's maximum, maximum.

    Of a trial the runs that judge: both arms at the baseline's best learning rate and at multiples
    of it. Of other runs all of the two arms; the baseline is then the arm without normalization at
    its best rate. Steps are the median over seeds (infinite: most never get there), maximum the
    mean.

    Raises:
        MeasureError: no baseline or no run of the other arm has ended.
    """
    found = evidence(runs)
    best, groups = _by_rate(found) if found.trial is None else _by_factor(found)
    highest = maximum(runs, runs.runs)
    goal = by_seed(groups[0][2], highest)
    first = measures.reached(runs, runs.runs["seed"].map(goal))
    rows = []
    for arm, rate, group in groups[1:]:
        steps = first[group.index]
        rows.append(
            {
                "arm": arm,
                "learning rate": rate,
                "times the baseline": rate / best,
                "n": len(group),
                "budget": float(group["trainer.steps"].max()),
                "diverged": int((group["status"] == DIVERGED).sum()),
                "steps to the baseline's maximum": float(steps.median()),
                "reached": int(np.isfinite(steps).sum()),
                "maximum": float(highest[group.index].mean()),
            }
        )
    return pd.DataFrame(rows)


Groups = list[tuple[str, float, pd.DataFrame]]  # arm, learning rate, runs; first the baseline


def _by_rate(found: Evidence) -> tuple[float, Groups]:
    """The baseline's best rate; its runs, then those of both arms at every rate."""
    none, batch = found.arms(measures.ended(found))
    base = tuned(none)
    groups = [
        (arm, float(rate), group)
        for arm, table in ((found.baseline, none), (found.arm, batch))
        for rate, group in split(table, LR).items()
    ]
    return base.rate, [(found.baseline, base.rate, base.table), *groups]


def _by_factor(found: Evidence) -> tuple[float, Groups]:
    """The same of a trial: both arms at what the baseline chose and at multiples of its rate."""
    base, other = found.chosen(TUNED, ACCURACY)
    part = found.part(TUNED, ACCURACY)
    best = float(part["arms"][base.arm]["chosen"][LR])
    factors = [one["factor"] for one in part.get("factors", []) if one["setting"] == LR]
    if not factors:
        raise measures.MeasureError("the trial has no multiples of the rate (trial.factors)")
    tables = [
        (arm.removeprefix("norm="), best * factor, at_factor(found, base, arm, factor).table)
        for arm in (base.arm, other.arm)
        for factor in factors
    ]
    return best, [(base.arm, best, base.table), *tables]


def at_factor(runs: Evidence, base: Chosen, arm: str, factor: float) -> Chosen:
    """The runs of an arm at a multiple of the baseline's rate, all else as the baseline chose.

    Args:
        runs: with their trial.
        base: the baseline's own choice.
        arm: its name in the trial.
        factor: on the learning rate.

    Raises:
        MeasureError: there are not those of all the baseline's seeds.
    """
    title = f"{arm} at {factor:g}η*" if factor != 1 else f"{arm} at η*"
    for one in runs.part(TUNED, ACCURACY).get("factors", []):
        if (one["setting"], one["factor"]) == (LR, factor):
            return Chosen(title, runs.reported(one["report"][arm], title), settings_words(one))
    raise measures.MeasureError(
        f"the trial has no runs of {arm} at {factor:g} times what {base.arm} chose (trial.factors)"
    )


def _fewer_steps(runs: Evidence, *, primary: bool) -> Iterator[Finding]:
    base, other = runs.chosen(TUNED, ACCURACY)
    ours = {factor: at_factor(runs, base, other.arm, factor) for factor in (FASTER, 1, FASTEST)}
    best = by_seed(base.table, maximum(runs, base.table))
    when = crossings(runs, runs.runs["seed"].map(best))
    reached = {factor: when.of(arm.table) for factor, arm in ours.items()}
    to_best = partial(_to_maximum, base=base, goal=best, theirs=when.of(base.table))
    told = _of_baseline(runs, base)
    five = to_best(f"{FASTER}η*", arm=ours[FASTER], ours=reached[FASTER], null=1.0, told=told)
    yield _primary(five) if primary else five
    yield to_best("η*", arm=ours[1], ours=reached[1], null=1.0)
    better = min((FASTER, FASTEST), key=lambda f: np.log2(reached[f].censored).mean())
    part = f"the better of {FASTER}η* and {FASTEST}η*"
    chosen = " Which is better was seen on the same runs."
    yield to_best(part, arm=ours[better], ours=reached[better], null=2.0, told=chosen)
    yield _higher_maximum(runs, base, ours[FASTEST], best)


def _primary(finding: Finding) -> Finding:
    return Finding(**{**vars(finding), "primary": True})


def _to_maximum(
    part: str,
    *,
    base: Chosen,
    goal: pd.Series,
    theirs: Crossings,
    arm: Chosen,
    ours: Crossings,
    null: float,
    told: str = "",
) -> Finding:
    compared = speed(theirs, ours)
    sentence = (
        f"To the baseline's own maximum ({percent(goal.mean())} validation accuracy; {base.told}) "
        f"{arm.arm} ({arm.told}) takes {ours.first.median():.4g} steps, the baseline "
        f"{theirs.first.median():.4g} (medians); paired by seed {times(compared.effect.mean)} as "
        f"many: log2 {shown(compared.effect)}."
        f"{never(ours, theirs, arm.arm, base.arm)}{deaths(base, arm)}{told}"
    )
    measure = f"steps to the baseline's maximum, none / BN, against a factor of {2**null:g}"
    return by_speed(part, measure, compared, sentence, null=null)


def _of_baseline(runs: Evidence, base: Chosen) -> str:
    """How many baselines are dead or diverged at `FASTER` times their best rate."""
    faster = at_factor(runs, base, base.arm, FASTER).table
    lost = int((dead(faster, faster[VALIDATION]) | (faster["status"] == DIVERGED)).sum())
    return f" The baseline at {FASTER}η* is dead or diverged in {lost} of {len(faster)} runs."


def _higher_maximum(runs: Evidence, base: Chosen, arm: Chosen, theirs: pd.Series) -> Finding:
    ours = by_seed(arm.table, maximum(runs, arm.table))
    effect = paired_difference(ours, theirs).scaled(100)
    sentence = (
        f"The highest validation accuracy of {arm.arm} ({arm.told}) is {percent(ours.mean())}, "
        f"that of the baseline ({base.told}) {percent(theirs.mean())}: {shown(effect)}."
        f"{deaths(base, arm)}"
    )
    measure = "maximum of validation accuracy, BN − none"
    return by_rule_r(f"maximum at {FASTEST}η*", measure, POINTS, effect, sentence)


def _of_inception(runs: Evidence) -> Iterator[Finding]:
    for finding in _fewer_steps(runs, primary=False):
        yield Finding(**{**vars(finding), "part": joined("inception", finding.part)})


def _ensemble(runs: Evidence) -> Iterator[Finding]:
    """One value a network: the ensemble's accuracy less its own."""
    arm = runs.chosen(TUNED, ACCURACY)[1]
    table = arm.table.sort_values("seed").head(ENSEMBLE)
    probabilities, labels = kept_probabilities(list(table.index))
    guesses = probabilities.argmax(axis=2)
    single = pd.Series((guesses == labels).mean(axis=1), index=table["seed"])
    single = single.mask((table["status"] == DIVERGED).to_numpy(), chance_of(table).to_numpy())
    together = float((probabilities.mean(axis=0).argmax(axis=1) == labels).mean())
    effect = paired_difference(0 * single + together, single).scaled(100)
    sentence = (
        f"The mean of {len(table)} networks' probabilities has {percent(together)} test accuracy, "
        f"one network {percent(single.mean())} ({arm.arm}: {arm.told}): {shown(effect)}."
        f"{deaths(arm, arm) if (table['status'] == DIVERGED).any() else ''}"
    )
    measure = f"test accuracy, ensemble of {len(table)} − single network"
    yield by_rule_r("", measure, POINTS, effect, sentence, primary=True)
    apart = _disagreement(guesses)
    share = t_interval(100 * apart)
    told = f"Two of the networks differ on {share.mean:.2f}% of the test images: {shown(share)}."
    yield by_rule_r("disagreement", "share of images", POINTS, share, told, beside=True)


def _disagreement(guesses: np.ndarray) -> np.ndarray:
    """By network: on what share of images another one guesses another class, on average."""
    others = len(guesses) - 1
    return np.array([(guesses != one).mean(axis=1).sum() / others for one in guesses])


def kept_probabilities(runs: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Networks × images × classes, and the images' labels, of runs that kept their predictions.

    Raises:
        MeasureError: some did not.
    """
    kept = [run_table(Path(run), PREDICTIONS) for run in runs]
    there = [pd.read_csv(io.StringIO(text)) for text in kept if text is not None]
    if len(there) < max(2, len(runs)):
        raise measures.MeasureError(
            f"{len(runs) - len(there)} of {len(runs)} report runs have not kept their predictions "
            "(trial.keep='trainer.predictions=true')"
        )
    labels = there[0]["label"].to_numpy()
    return np.stack([one.drop(columns="label").to_numpy(float) for one in there]), labels


_FEWER = (
    "fewer-steps",
    "At the same learning rate BN needs less than half the steps, at 5 times the rate far fewer, "
    "and at 30 times it has a higher maximum.",
    "§4.2.2, Fig. 2, 3",
)

PLACE = 25  # among the claims
CLAIMS = (
    Claim(
        *_FEWER,
        "Steps to the maximum of the baseline at its best learning rate η*: log2 of those of the "
        "baseline over those of BN at 5η*; rule R(1). Secondary: BN at η*, R(1); BN at the better "
        "of 5η* and 30η*, R(2); maximum at 30η*, BN − none, R.",
        "deep",
        partial(_fewer_steps, primary=True),
        PAPER,
    ),
    Claim(
        *_FEWER,
        "Secondary: the same on a small Inception.",
        "inception",
        _of_inception,
        PAPER,
    ),
    Claim(
        "ensemble",
        "Ensembles of BN networks are better.",
        "§4.2.3, Fig. 4",
        "Test accuracy of the mean of 6 networks' probabilities less that of the single networks, "
        "network by network; rule R. Beside: how much the networks disagree.",
        "deep",
        _ensemble,
        PAPER,
    ),
)
