"""The summary table: a row per condition and arm, as numbers and as text."""

import numpy as np
import pandas as pd

from bnexp.analysis.loading import UNFINISHED, Runs
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.statistics import Estimate, steps_to_target, t_interval
from bnexp.runs import STATUSES

TARGETS = (0.90, 0.95, 0.97)
METRICS = ("test_accuracy", "final_val_accuracy", "best_val_accuracy", "test_log_loss")


def summarize(runs: Runs) -> pd.DataFrame:
    """One row per condition and arm.

    Columns: condition, arm, n (runs), a count per status, `<metric>_{n,mean,sd,low,high}`
    (95% Student-t over seeds that have the figure), and for each target accuracy
    `steps_to_90_{median,reached}`; a median that lies among runs that never got there is
    infinite.
    """
    rows = []
    histories = dict(tuple(runs.history.groupby("run")))
    for (condition, arm), group in runs.runs.groupby([CONDITION, ARM], sort=False):
        row: dict[str, object] = {CONDITION: condition, ARM: arm, "n": len(group)}
        for status in (*STATUSES, UNFINISHED):
            row[status] = int((group["status"] == status).sum())
        for metric in METRICS:
            values = group[metric] if metric in group else pd.Series(dtype=float)
            estimate = t_interval(values.to_numpy(float))
            for name in ("n", "mean", "sd", "low", "high"):
                row[f"{metric}_{name}"] = getattr(estimate, name)
        for target in TARGETS:
            steps = [
                steps_to_target(histories[run], target) if run in histories else np.inf
                for run in group.index
            ]
            row[f"steps_to_{target:.0%}_median".replace("%", "")] = float(np.median(steps))
            row[f"steps_to_{target:.0%}_reached".replace("%", "")] = int(np.isfinite(steps).sum())
        row["budget"] = int(group["trainer.steps"].max())
        rows.append(row)
    return pd.DataFrame(rows)


def as_text(summary: pd.DataFrame) -> pd.DataFrame:
    """The table for people: mean ± half the interval's width, and "> budget" where censored."""
    shown = summary[[CONDITION, ARM, "n"]].copy()
    for metric, name in (
        ("test_accuracy", "test accuracy"),
        ("final_val_accuracy", "final validation accuracy"),
        ("test_log_loss", "test log loss"),
    ):
        shown[name] = [_plus_minus(row, metric) for _, row in summary.iterrows()]
    for target in TARGETS:
        key = f"steps_to_{100 * target:.0f}"
        shown[f"steps to {target:.0%}"] = [_steps(row, key) for _, row in summary.iterrows()]
    shown["ended"] = [_statuses(row) for _, row in summary.iterrows()]
    return shown if shown[CONDITION].any() else shown.drop(columns=CONDITION)


def _plus_minus(row: pd.Series, metric: str) -> str:
    names = ("n", "mean", "sd", "low", "high")
    estimate = Estimate(*(row[f"{metric}_{name}"] for name in names))
    if estimate.n == 0:
        return "–"
    if estimate.n == 1:
        return f"{estimate.mean:.4f}"
    return f"{estimate.mean:.4f} ± {estimate.half_width:.4f}"


def _steps(row: pd.Series, key: str) -> str:
    median, reached = row[f"{key}_median"], row[f"{key}_reached"]
    text = f"{median:.0f}" if np.isfinite(median) else f"> {row['budget']}"
    return f"{text} ({reached}/{row['n']})"


def _statuses(row: pd.Series) -> str:
    counts = [(status, row[status]) for status in (*STATUSES, UNFINISHED) if row[status]]
    return ", ".join(f"{count} {status}" for status, count in counts)
