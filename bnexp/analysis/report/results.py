"""What runs ended with, for the page: by group as `measures` estimates it, and run by run."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bnexp.analysis import measures
from bnexp.analysis.loading import Runs
from bnexp.analysis.report.encoding import rounded
from bnexp.analysis.report.groups import places
from bnexp.analysis.statistics import t_quantile
from bnexp.folders.runs import DIVERGED

RESULTS = {  # of a run, with what the page calls them
    "final_val_accuracy": "final validation accuracy",
    "best_val_accuracy": "best validation accuracy",
    "test_accuracy": "test accuracy",
    "test_log_loss": "test log loss",
}
INTERVAL_DIGITS = 3  # significant ones


def result_names(table: pd.DataFrame) -> list[str]:
    """The results that a run of the table has."""
    return [name for name in RESULTS if name in table and table[name].notna().any()]


def results(runs: Runs, groups: pd.DataFrame) -> list[dict[str, Any]]:
    """What each group's runs ended with: [group, n, mean, half the interval, diverged]."""
    ended = measures.worth(runs.runs[runs.runs["status"].isin(measures.ENDED)])
    return [
        {
            "name": name,
            "label": RESULTS[name],
            "log": name not in measures.ACCURACIES,
            "groups": _means(ended, places(groups, ended), name),
        }
        for name in result_names(ended)
    ]


def _means(ended: pd.DataFrame, group: np.ndarray, name: str) -> list[list[Any]]:
    """As `measures.estimate` has it for each group: none where a run has no value."""
    values = pd.DataFrame(
        {
            "group": group,
            "value": ended[name].to_numpy(float),
            "diverged": (ended["status"] == DIVERGED).to_numpy(),
        }
    )
    found = values.groupby("group")
    told = found["value"].agg(["size", "count", "mean", "std"]).join(found["diverged"].sum())
    whole = told["count"] == told["size"]
    half = t_quantile(told["size"] - 1) * told["std"] / np.sqrt(told["size"])
    return [
        [int(place), int(n), mean, width, int(diverged)]
        for place, n, mean, width, diverged in zip(
            told.index,
            told["size"],
            rounded(told["mean"].where(whole)),
            rounded(pd.Series(half, told.index).where(whole), INTERVAL_DIGITS),
            told["diverged"],
            strict=True,
        )
    ]


def result_values(table: pd.DataFrame) -> Mapping[str, list[float | int | None]]:
    """What each run ended with; chance where it diverged, nothing where it has not ended."""
    ended = table["status"].isin(measures.ENDED)
    worth = measures.worth(table)
    return {
        name: rounded(worth[name].astype(float).where(ended)) for name in result_names(worth[ended])
    }
