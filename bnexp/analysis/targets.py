"""Target accuracies that fit the runs at hand: what steps to a target are counted to."""

import math

import numpy as np

from bnexp.analysis.judged import comparisons, ended_trial, judged
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import chance_of
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.trials import LEARNS

MOST, BEST = 0.5, 0.75  # quantiles over arms: half of them reach the one, a quarter the other
FINEST = 0.001  # of an error rate that a target may leave


def targets(runs: Runs) -> tuple[float, ...]:
    """Validation accuracies, ascending, that tell the arms of these runs apart; at most three.

    The highest is what the best quarter of the arms reaches, the next what half of them reach, the
    lowest lies half of the way from guessing to that (by the logarithm of the error). Of an
    arm in a condition the median over seeds counts; those that never learn do not. All are rounded
    down, finer where errors are rarer: 0.85, 0.965, 0.9925. None where nothing learns. Of a trial
    those of what it judges, its own in place of the middle one.
    """
    own: set[float] = set()
    if record := ended_trial(runs):
        runs = judged(runs, comparisons(record))
        found = {part["target"] for one in record["trials"] for part in one["parts"]}
        own = found - {None} if len(found) == 1 else set()
    if runs.history.empty:
        return ()
    chance = float(chance_of(runs.runs).max())
    best = runs.history.groupby("run")["val_accuracy"].max().reindex(runs.runs.index)
    arms = best.groupby([runs.runs[CONDITION], runs.runs[ARM]]).median().dropna()
    learning = arms[arms > LEARNS * chance]
    if learning.empty:
        return ()
    most, few = (float(learning.quantile(share, "lower")) for share in (MOST, BEST))
    easy = 1 - math.sqrt((1 - chance) * max(1 - most, FINEST))
    rounded = {_rounded(easy), _rounded(few)} | (own or {_rounded(most)})
    return tuple(sorted(value for value in rounded if value > chance))


def _rounded(accuracy: float) -> float:
    """Down to half a unit of the error's first digit."""
    error = max(1 - accuracy, FINEST)
    step = 10.0 ** math.floor(math.log10(error) + 1e-9) / 2
    return float(np.round(math.floor((1 - error) / step + 1e-6) * step, 6))


def percent(target: float) -> str:
    """ "96.5%"."""
    return f"{100 * target:g}%"
