"""Made-up trials whose arms chose different rates, and were run at each other's too."""

from collections.abc import Mapping, Sequence
from typing import Any

from made_trial import Config, trial_of


def choices_of(
    made: Sequence[Mapping[str, Any]],
    arms: Mapping[str, Config],
    rates: Mapping[str, float],
    *,
    conditions: Mapping[str, Config] | None = None,
    matched: bool = False,
    **of_part: Any,
) -> dict[str, Any]:
    """The trial of made-up runs in which each arm chose its own learning rate.

    Args:
        made: runs; those on `made_trial.REPORT_SEEDS` at an arm's rate are the ones that judge.
        arms: the settings of each, the baseline first.
        rates: that each arm chose.
        conditions: the settings of each.
        matched: whether all arms were run at the rates of all.
        of_part: what else the parts say, as `part` and `choose_by`.
    """
    at = {rate: trial_of(made, arms, conditions=conditions, rate=rate) for rate in rates.values()}
    whole = at[next(iter(rates.values()))]
    for place, one in enumerate(whole["trials"]):
        of_rates = {rate: trial["trials"][place]["parts"][0]["arms"] for rate, trial in at.items()}
        chosen = {arm: dict(of_rates[rate][arm]) for arm, rate in rates.items()}
        for arm, record in chosen.items() if matched else ():
            record["matched"] = {other: of_rates[rates[arm]][other]["report"] for other in arms}
        one["parts"] = [{**one["parts"][0], "arms": chosen, **of_part}]
    return whole
