"""The arms of a trial by their settings, where there are others than a baseline and BN."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bnexp.analysis.claims.figure1 import deaths, how
from bnexp.analysis.claims.model import POINTS, Finding, by_rule_e, by_rule_r, percent, shown
from bnexp.analysis.evidence import Chosen, Evidence
from bnexp.analysis.measures import TEST, MeasureError, by_seed, ended
from bnexp.analysis.statistics import paired_difference
from bnexp.analysis.trials import ACCURACY, settings_words

TUNED = "tuned"


def conditions(runs: Evidence) -> list[str]:
    """Of a trial, in order.

    Raises:
        MeasureError: there is no trial, or it has not ended.
    """
    if runs.trial is None:
        raise MeasureError("these runs are no trial (they have no trial.json)")
    if not runs.trial["trials"]:
        raise MeasureError("the trial has not ended")
    return [one["condition"] for one in runs.trial["trials"]]


def all_chosen(runs: Evidence, *, part: str = TUNED, condition: str = "") -> list[Chosen]:
    """The report runs of every arm of a trial, each with its own choice.

    Raises:
        MeasureError: the trial has no such part, or runs are missing.
    """
    record = runs.part(part, ACCURACY, condition)
    table = ended(runs)
    places = {Path(str(run)).name: run for run in table.index}
    found = []
    for arm, choice in record["arms"].items():
        ids = list(choice["report"].values())
        missing = [run for run in ids if run not in places]
        if missing:
            raise MeasureError(f"{len(missing)} report runs of {arm} have not ended")
        rows = table.loc[[places[run] for run in ids]]
        found.append(Chosen(arm, rows, settings_words(choice)))
    return found


def arm_with(arms: Sequence[Chosen], settings: Mapping[str, Any]) -> Chosen:
    """The arm whose runs have these settings.

    Raises:
        MeasureError: it is not exactly one.
    """
    having = [
        arm
        for arm in arms
        if all(
            key in arm.table and (arm.table[key] == value).all() for key, value in settings.items()
        )
    ]
    if len(having) != 1:
        told = ", ".join(f"{key}={value}" for key, value in settings.items())
        raise MeasureError(f"needs one arm with {told}, and there are {len(having)}")
    return having[0]


def final_accuracy(arm: Chosen) -> pd.Series:
    """By seed."""
    return by_seed(arm.table, TEST)


def gain(
    part: str,
    theirs: Chosen,
    ours: Chosen,
    *,
    null: float = 0.0,
    margin: float | None = None,
    primary: bool = False,
) -> Finding:
    """Rule R on the test accuracy of `ours` less that of `theirs`, in points.

    Args:
        part: its name.
        theirs, ours: arms with the same seeds.
        null: what R tells it from.
        margin: given: the rule is "no worse" by more than it.
        primary: see `Finding`.
    """
    a, b = final_accuracy(ours), final_accuracy(theirs)
    effect = paired_difference(a, b).scaled(100)
    sentence = (
        f"Test accuracy is {percent(a.mean())} with {ours.arm} and {percent(b.mean())} with "
        f"{theirs.arm} {how(theirs, ours)}: {shown(effect)}.{deaths(theirs, ours)}"
    )
    measure = f"test accuracy, {ours.arm} − {theirs.arm}"
    if margin is None:
        return by_rule_r(part, measure, POINTS, effect, sentence, null=null, primary=primary)
    return by_rule_e(
        part, measure, POINTS, effect, sentence, margin, one_sided=True, primary=primary
    )


def difference_of_gains(
    part: str, measure: str, theirs: tuple[Chosen, Chosen], ours: tuple[Chosen, Chosen]
) -> Finding:
    """Rule R on what the second of `ours` gains over its first, less the same of `theirs`."""
    mine, base = (
        final_accuracy(after) - final_accuracy(before) for before, after in (ours, theirs)
    )
    effect = paired_difference(mine, base).scaled(100)
    arms = (*ours, *theirs)
    told = "; ".join(f"{arm.arm}: {arm.told}" for arm in arms)
    sentence = (
        f"The gain in test accuracy is {100 * mine.mean():.2f} points with BN and "
        f"{100 * base.mean():.2f} without ({told}): {shown(effect)}."
        f"{deaths(ours[0], ours[1])}{deaths(theirs[0], theirs[1])}"
    )
    return by_rule_r(part, measure, POINTS, effect, sentence)
