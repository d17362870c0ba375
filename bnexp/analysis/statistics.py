"""Statistics of seeds: pure functions on numbers. The unit of replication is the seed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean with its Student-t interval; NaN where n is too small."""

    n: int
    mean: float
    sd: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


def t_interval(values: ArrayLike, confidence: float = CONFIDENCE) -> Estimate:
    """Mean, standard deviation (n - 1) and two-sided Student-t interval; NaNs are left out."""
    x = np.asarray(values, float)
    x = x[~np.isnan(x)]
    n = len(x)
    if n == 0:
        return Estimate(0, np.nan, np.nan, np.nan, np.nan)
    mean = float(x.mean())
    if n == 1:
        return Estimate(1, mean, np.nan, np.nan, np.nan)
    sd = float(x.std(ddof=1))
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * sd / np.sqrt(n)
    return Estimate(n, mean, sd, mean - half, mean + half)


def steps_to_target(history: pd.DataFrame, target: float) -> float:
    """First evaluated step at which one run's validation accuracy reaches the target.

    Infinity if it never does: censored at the run's budget, not missing.
    """
    reached = history.loc[history["val_accuracy"] >= target, "step"]
    return float(reached.min()) if len(reached) else np.inf


def curve_interval(history: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean and interval over runs at each step that all of them have evaluated.

    A run that ended early would otherwise leave the mean of the survivors behind.

    Returns:
        Columns step, mean, low, high, sorted by step.
    """
    runs = history["run"].nunique()
    counted = history.dropna(subset=[metric]).groupby("step")[metric]
    complete = counted.filter(lambda values: len(values) == runs).index
    groups = history.loc[complete].groupby("step")[metric]
    rows = [(step, *_mean_low_high(values)) for step, values in groups]
    return pd.DataFrame(rows, columns=["step", "mean", "low", "high"])


def _mean_low_high(values: pd.Series) -> tuple[float, float, float]:
    estimate = t_interval(values.to_numpy())
    return estimate.mean, estimate.low, estimate.high
