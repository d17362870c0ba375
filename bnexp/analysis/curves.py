"""Mean curves: every condition and arm of a sweep over its steps, with intervals."""

import numpy as np
import pandas as pd

from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import chance_of, chance_text
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.statistics import t_quantile
from bnexp.folders.runs import DIVERGED, FAILED

X_AXES = ("step", "epoch", "seconds")


EARLY = "trainer.early_steps"
ACCURACY = "val_accuracy"  # the metric of which guessing has a known value


def mean_curves(runs: Runs, metric: str) -> pd.DataFrame:
    """Mean and 95% Student-t interval of a metric at each step that all runs have evaluated.

    A run that diverged never leaves the mean, as the mean of the survivors would go on as if
    nothing had happened: from there on its validation accuracy is chance, 1 / classes; any other
    metric has no value then, and the mean ends. Failed runs, and those not yet evaluated, do not
    count.

    Returns:
        Columns condition, arm, step, epoch, seconds (means), n, mean, low, high; low and high
        are NaN for n = 1. Sorted as the runs are, then by step.
    """
    keys = [CONDITION, ARM]
    begun = runs.runs.index.isin(runs.history["run"].unique()) | (runs.runs["status"] == DIVERGED)
    counted = runs.runs[begun & (runs.runs["status"] != FAILED)]
    table = runs.history.dropna(subset=[metric]).join(counted[keys], on="run", how="inner")
    table = table.reset_index(drop=True)  # of no rows at all, the join names it run
    if metric == ACCURACY:
        table = pd.concat([table, _after_divergence(table, counted)], ignore_index=True)
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


def _after_divergence(table: pd.DataFrame, counted: pd.DataFrame) -> pd.DataFrame:
    """Rows of chance for diverged runs, at the later steps that their condition was evaluated at.

    With epochs and seconds as the condition's runs had them then.
    """
    diverged = counted[counted["status"] == DIVERGED]
    clock = table[table[CONDITION].isin(diverged[CONDITION].unique())]
    clock = clock.groupby([CONDITION, "step"], as_index=False)[["epoch", "seconds"]].mean()
    last = table.groupby("run")["step"].max()
    facts = diverged[[CONDITION, ARM]].assign(
        last=last.reindex(diverged.index, fill_value=0),
        budget=diverged["trainer.steps"],
        **{ACCURACY: chance_of(diverged)},
    )
    rows = facts.reset_index(names="run").merge(clock, on=CONDITION)
    rows = rows[(rows["step"] > rows["last"]) & (rows["step"] <= rows["budget"])]
    return rows.drop(columns=["last", "budget"])


def after_divergence(runs: Runs, metric: str) -> str:
    """What a diverged run contributes to the mean from there on, for captions."""
    if metric != ACCURACY:
        return "the mean ends with its first seed"
    return f"from there on it counts in the mean as {chance_text(runs.runs)}"


def evaluated_early(runs: Runs, x: pd.Series) -> bool:
    """Whether all runs were evaluated more often early on, which a linear axis would not show."""
    column = runs.runs.get(EARLY, pd.Series(0, index=runs.runs.index))
    return bool((column.fillna(0) > 0).all() and x.min() > 0)
