"""Arms against a baseline, condition by condition, paired by seed."""

import pandas as pd

from bnexp.analysis.loading import SEED, Runs
from bnexp.analysis.measures import ENDED, MeasureError, by_seed, worth
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.statistics import NO_ESTIMATE, p_value, paired_difference, rule_r
from bnexp.config import nearest
from bnexp.folders.runs import DIVERGED

COLUMNS = (CONDITION, ARM, "n", "diverged", "value", "baseline_value", "difference", "sd", "low",
           "high", "p", "verdict")  # fmt: skip


def compare(runs: Runs, metric: str = "test_accuracy", baseline: str = "none") -> pd.DataFrame:
    """How much each arm's metric lies above the baseline's, with a 95% paired-t interval.

    Accuracies of diverged runs count as chance, 1 / classes. Of a metric that diverged runs lack,
    such as a loss, there is no estimate where one diverged: the others are survivors.

    Args:
        runs: of one sweep, or of several with arms of the same names.
        metric: a numeric column of `Runs.runs`.
        baseline: the arm that the others are compared with.

    Returns:
        A row per condition and arm: condition, arm, n (seeds that both have), diverged (runs of
        both), value and baseline_value (means over these seeds), difference, sd, low, high, p
        (two-sided) and verdict (rule R on "higher than the baseline"). No row if no run has ended.

    Raises:
        MeasureError: there is no such arm or metric, or a seed has more than one run of the same
            arm and condition.
    """
    if runs.runs.empty or not runs.runs["status"].isin(ENDED).any():
        return pd.DataFrame(columns=list(COLUMNS))
    _check(runs, metric, baseline)
    table = worth(runs.runs[runs.runs["status"].isin(ENDED)])
    table = table[[CONDITION, ARM, SEED, "status", metric]]  # each part is a copy of all it has
    rows = []
    for condition, members in table.groupby(CONDITION, sort=False):
        theirs = members[members[ARM] == baseline]
        for arm in members[ARM].unique():
            if arm != baseline:
                compared = _compared(members[members[ARM] == arm], theirs, metric)
                rows.append({CONDITION: condition, ARM: arm, **compared})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _compared(ours: pd.DataFrame, theirs: pd.DataFrame, metric: str) -> dict[str, object]:
    values, others = by_seed(ours, metric), by_seed(theirs, metric)
    both = values.index.intersection(others.index)
    missing = values[both].isna().any() or others[both].isna().any()
    effect = NO_ESTIMATE if missing else paired_difference(values, others)
    return {
        "n": effect.n,
        "diverged": sum(int((arm["status"] == DIVERGED).sum()) for arm in (ours, theirs)),
        "value": float(values[both].mean()),
        "baseline_value": float(others[both].mean()),
        "difference": effect.mean,
        "sd": effect.sd,
        "low": effect.low,
        "high": effect.high,
        "p": p_value(effect),
        "verdict": rule_r(effect),
    }


def _check(runs: Runs, metric: str, baseline: str) -> None:
    arms = list(map(str, runs.runs[ARM].unique()))
    if baseline not in arms:
        told = f"is no arm of these runs ({', '.join(arms)}){nearest(baseline, arms)}"
        raise MeasureError(f"baseline={baseline!r} {told}")
    numeric = [str(name) for name in runs.runs.select_dtypes("number").columns]
    if metric not in numeric:
        hint = nearest(metric, numeric)
        raise MeasureError(f"metric={metric!r} is no number of these runs{hint}")
