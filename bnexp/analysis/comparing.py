"""Arms against a baseline, condition by condition, paired by seed."""

import pandas as pd

from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import by_seed
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.statistics import p_value, paired_difference, rule_r


def compare(runs: Runs, metric: str = "test_accuracy", baseline: str = "none") -> pd.DataFrame:
    """How much each arm's metric lies above the baseline's, with a 95% paired-t interval.

    Args:
        runs: of one sweep, or of several with arms of the same names.
        metric: a numeric column of `Runs.runs`; seeds without it (diverged) are left out.
        baseline: the arm that the others are compared with.

    Returns:
        A row per condition and arm: condition, arm, n (seeds that both have), difference, sd,
        low, high, p (two-sided) and verdict (rule R on "higher than the baseline").

    Raises:
        MeasureError: a seed has more than one run of the same arm and condition.
    """
    rows = []
    for condition, table in runs.runs.groupby(CONDITION, sort=False):
        theirs = by_seed(table[table[ARM] == baseline], metric)
        for arm in table[ARM].unique():
            if arm == baseline:
                continue
            effect = paired_difference(by_seed(table[table[ARM] == arm], metric), theirs)
            rows.append(
                {
                    CONDITION: condition,
                    ARM: arm,
                    "n": effect.n,
                    "difference": effect.mean,
                    "sd": effect.sd,
                    "low": effect.low,
                    "high": effect.high,
                    "p": p_value(effect),
                    "verdict": rule_r(effect),
                }
            )
    return pd.DataFrame(rows)
