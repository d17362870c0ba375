"""Whether what the files of a run say can be, and fits together: config, result and tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bnexp.folders.errors import RunError
from bnexp.folders.runs import DIVERGED, FAILED, FINISHED
from bnexp.folders.tables import HISTORY, PROBES

MEASURED = ("test_accuracy", "final_val_accuracy")  # of every run that finished
ADDED = {"run", "sweep", "arm", "condition"}  # columns that loading adds


def check_pair(folder: Path, config: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """The result is one of this config.

    Raises:
        RunError: it is not.
    """
    path = folder / "result.json"
    taken = [key for key in result if key in config or key in ADDED or "." in key]
    if taken:
        raise RunError(f"{path}: has the field '{taken[0]}', which is no result's")
    for key in MEASURED:
        if result["status"] == FINISHED and result[key] is None:
            raise RunError(f"{path}: finished, but {key}=null")
    steps, budget = result.get("steps"), config["trainer.steps"]
    if result["status"] == FINISHED and steps != budget:
        raise RunError(f"{path}: finished after {steps} steps, but trainer.steps={budget}")
    if result["status"] in (DIVERGED, FAILED) and (steps or 0) > budget:
        raise RunError(f"{path}: ended after {steps} steps, but trainer.steps={budget}")


def wrong_histories(history: pd.DataFrame, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """By run, what is wrong with its history: values that cannot be, or rows that are missing."""
    bad = _not_finite(history)
    for column in history.columns:
        name = str(column)
        if name in ("step", "epoch", "seconds"):
            bad |= history[column] < 0
        elif name.endswith("_accuracy"):
            bad |= (history[column] < 0) | (history[column] > 1)
    bad |= (history["run"] == history["run"].shift()) & (history["step"].diff() <= 0)
    wrong = {
        str(run): f"{Path(run) / HISTORY}: damaged (at step {step}, a value that cannot be)"
        for run, step in history.loc[bad, ["run", "step"]].itertuples(index=False)
    }
    last = history.groupby("run", sort=False)["step"].last()
    return wrong | _cut({str(run): int(step) for run, step in last.items()}, rows)


def _cut(last: Mapping[str, int], rows: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The runs whose history does not end where their result says."""
    wrong = {}
    for run, row in rows.items():
        step, steps = last.get(run, 0), row.get("steps") or 0
        beyond = row["status"] in (DIVERGED, FAILED) and steps and step > steps
        if beyond or (row["status"] == FINISHED and step != steps):
            wrong[run] = f"{Path(run) / HISTORY}: damaged (ends at step {step} of {steps})"
    return wrong


def wrong_probes(probes: pd.DataFrame) -> dict[str, str]:
    """By run, what is wrong with what was probed."""
    bad = _not_finite(probes) | (probes["step"] < 0)
    return {
        str(run): f"{Path(run) / PROBES}: damaged (at step {step}, a value that cannot be)"
        for run, step in probes.loc[bad, ["run", "step"]].itertuples(index=False)
    }


def _not_finite(table: pd.DataFrame) -> pd.Series:
    """The rows with an infinity; a cell that is empty is NaN."""
    return pd.Series(np.isinf(table.select_dtypes(float).to_numpy()).any(axis=1), table.index)
