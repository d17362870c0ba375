"""Which runs a figure shows that has each arm once: with its own choice."""

from bnexp.analysis import best_rates
from bnexp.analysis.judged import HOW, across_values, ended_trial, judged, own_choices
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import LR


def own(runs: Runs) -> tuple[Runs, str]:
    """The runs of each arm with its own choice, and how a caption says so.

    Of a trial what it judges; of other runs those at each arm's best learning rate.
    """
    if record := ended_trial(runs):
        return judged(runs, own_choices(record)), HOW
    return best_rates.tuned_runs(runs)


def across(runs: Runs, key: str, *following: str) -> tuple[Runs, str]:
    """As `own`, in conditions that do not tell the values of a setting apart.

    Nor those of the settings that follow from it, where they do.
    """
    if record := ended_trial(runs):
        return judged(runs, own_choices(across_values(record, key))), HOW
    shown, how = best_rates.tuned_runs(runs)
    if key not in shown.runs:
        return shown, how
    known = [one for one in following if one in shown.runs]
    counts = shown.runs.groupby(key)[known].nunique(dropna=False)
    alike = [one for one in known if (counts[one] == 1).all()]
    return best_rates.without_rate(shown, (LR, key, *alike)), how
