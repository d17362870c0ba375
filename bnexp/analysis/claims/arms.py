"""The arms of a trial by their settings, where there are others than a baseline and BN."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bnexp.analysis.claims.figure1 import deaths, how
from bnexp.analysis.claims.model import POINTS, Finding, by_rule_e, by_rule_r, percent, shown
from bnexp.analysis.evidence import Chosen
from bnexp.analysis.measures import TEST, MeasureError, by_seed
from bnexp.analysis.statistics import Estimate, paired_difference


def arm_with(arms: Sequence[Chosen], settings: Mapping[str, Any]) -> Chosen:
    """The arm whose runs have these settings.

    Args:
        arms: of a trial.
        settings: values by key; None: the setting is null, or there is none.

    Raises:
        MeasureError: it is not exactly one.
    """
    having = [
        arm for arm in arms if all(_has(arm.table, key, value) for key, value in settings.items())
    ]
    if len(having) != 1:
        told = ", ".join(f"{key}={value}" for key, value in settings.items())
        raise MeasureError(f"needs one arm with {told}, and there are {len(having)}")
    return having[0]


def _has(table: pd.DataFrame, key: str, value: Any) -> bool:
    if key not in table:
        return value is None
    return bool((table[key].isna() if value is None else table[key] == value).all())


def final_accuracy(arm: Chosen) -> pd.Series:
    """By seed."""
    return by_seed(arm.table, TEST)


def accuracy_apart(theirs: Chosen, ours: Chosen) -> tuple[str, Estimate, str]:
    """Test accuracy of `ours` less that of `theirs`: measure, effect in points, and a sentence."""
    a, b = final_accuracy(ours), final_accuracy(theirs)
    effect = paired_difference(a, b).scaled(100)
    sentence = (
        f"Test accuracy is {percent(a.mean())} with {ours.arm} and {percent(b.mean())} with "
        f"{theirs.arm} {how(theirs, ours)}: {shown(effect)}.{deaths(theirs, ours)}"
    )
    return f"test accuracy, {ours.arm} − {theirs.arm}", effect, sentence


def gain(
    part: str,
    theirs: Chosen,
    ours: Chosen,
    *,
    null: float = 0.0,
    margin: float | None = None,
    one_sided: bool = True,
    primary: bool = False,
) -> Finding:
    """Rule R on the test accuracy of `ours` less that of `theirs`, in points.

    Args:
        part: its name.
        theirs, ours: arms with the same seeds.
        null: what R tells it from.
        margin: given: the rule is "no worse" by more than it.
        one_sided: with a margin; False: rule E, equal within it.
        primary: see `Finding`.
    """
    measure, effect, sentence = accuracy_apart(theirs, ours)
    if margin is None:
        return by_rule_r(part, measure, POINTS, effect, sentence, null=null, primary=primary)
    return by_rule_e(
        part, measure, POINTS, effect, sentence, margin, one_sided=one_sided, primary=primary
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
