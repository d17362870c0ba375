"""Mean curves: every condition and arm of a sweep over its steps, with intervals."""

import numpy as np
import pandas as pd

from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.statistics import t_quantile
from bnexp.folders.runs import DIVERGED, FAILED

X_AXES = ("step", "epoch", "seconds")


def mean_curves(runs: Runs, metric: str) -> pd.DataFrame:
    """Mean and 95% Student-t interval of a metric at each step that all runs have evaluated.

    A run that diverged ends its group's curve: the mean of the survivors would go on as if
    nothing had happened. Failed runs, and those not yet evaluated, do not count.

    Returns:
        Columns condition, arm, step, epoch, seconds (means), n, mean, low, high; low and high
        are NaN for n = 1. Sorted as the runs are, then by step.
    """
    keys = [CONDITION, ARM]
    begun = runs.runs.index.isin(runs.history["run"].unique()) | (runs.runs["status"] == DIVERGED)
    counted = runs.runs[begun & (runs.runs["status"] != FAILED)]
    table = runs.history.dropna(subset=[metric]).join(counted[keys], on="run", how="inner")
    groups = table.groupby([*keys, "step"], sort=False, observed=True)
    curves = groups.agg(
        epoch=("epoch", "mean"),
        seconds=("seconds", "mean"),
        n=(metric, "count"),
        mean=(metric, "mean"),
        sd=(metric, "std"),
    ).reset_index()
    members = counted.groupby(keys, sort=False, observed=True).size().rename("members")
    curves = curves.join(members, on=keys)
    curves = curves[curves["n"] == curves["members"]]
    half = t_quantile(curves["n"] - 1) * curves["sd"] / np.sqrt(curves["n"])
    curves = curves.assign(low=curves["mean"] - half, high=curves["mean"] + half)
    rank = {key: i for i, key in enumerate(members.index)}
    order = [rank[key] for key in zip(curves[CONDITION], curves[ARM], strict=True)]
    curves = curves.assign(_order=order).sort_values(["_order", "step"], kind="stable")
    return curves[[*keys, "step", "epoch", "seconds", "n", "mean", "low", "high"]].reset_index(
        drop=True
    )
