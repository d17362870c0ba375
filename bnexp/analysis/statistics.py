"""Statistics of seeds: pure functions on numbers. The unit of replication is the seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special, stats

CONFIDENCE = 0.95
MIN_SEEDS = 3  # fewer are never enough for a verdict, nor for a band worth drawing

SUPPORTED, CONTRADICTED, INCONCLUSIVE = "supported", "contradicted", "inconclusive"


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval; NaN where n is too small."""

    n: int
    mean: float
    sd: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2

    def scaled(self, factor: float) -> "Estimate":
        """The same in a unit that is 1 / factor as large (factor > 0)."""
        figures = (self.mean, self.sd, self.low, self.high)
        return Estimate(self.n, *(factor * figure for figure in figures))


NO_ESTIMATE = Estimate(0, np.nan, np.nan, np.nan, np.nan)


def t_quantile(freedom: ArrayLike, confidence: float = CONFIDENCE) -> np.ndarray:
    """Of Student's t with so many degrees of freedom, for a two-sided interval; NaN for 0."""
    with np.errstate(invalid="ignore"):
        return special.stdtrit(freedom, (1 + confidence) / 2)


def t_interval(values: ArrayLike, confidence: float = CONFIDENCE) -> Estimate:
    """Mean, standard deviation (n - 1) and two-sided Student-t interval; NaNs are left out."""
    x = np.asarray(values, float)
    x = x[~np.isnan(x)]
    n = len(x)
    if n == 0:
        return NO_ESTIMATE
    mean = float(x.mean())
    if n == 1:
        return Estimate(1, mean, np.nan, np.nan, np.nan)
    sd = float(x.std(ddof=1))
    half = float(t_quantile(n - 1, confidence)) * sd / np.sqrt(n)
    return Estimate(n, mean, sd, mean - half, mean + half)


def paired_difference(a: pd.Series, b: pd.Series) -> Estimate:
    """Mean of a - b over the seeds (the index) that both have, with its paired-t interval."""
    return t_interval((a - b).to_numpy(float))


def paired_log2_ratio(a: pd.Series, b: pd.Series) -> Estimate:
    """Mean of log2(a / b) over the seeds that both have, with its paired-t interval.

    Raises:
        ValueError: a value that is not positive has no logarithm.
    """
    if (a <= 0).any() or (b <= 0).any():
        raise ValueError("a log ratio needs positive values")
    return paired_difference(np.log2(a), np.log2(b))


def bootstrap_interval(
    values: ArrayLike,
    statistic: Callable[..., np.ndarray] = np.median,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = 2000,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic, for where Student's t does not fit.

    Values may be infinite (censored), as long as the statistic only orders them. Every
    resampling is seeded, so the same values give the same interval. NaN for n < 2.
    """
    x = np.asarray(values, float)
    if len(x) < 2:
        return np.nan, np.nan
    chosen = np.random.default_rng(0).integers(0, len(x), (resamples, len(x)))
    drawn = np.sort(statistic(x[chosen], axis=1))
    tail = (1 - confidence) / 2
    low, high = (int(np.floor(q * (resamples - 1))) for q in (tail, 1 - tail))
    return float(drawn[low]), float(drawn[high])


def rule_r(effect: Estimate, null: float = 0.0) -> str:
    """The verdict on "the effect is above `null`" (rule R).

    Supported if the interval lies wholly above, contradicted if wholly below, else
    inconclusive; always inconclusive with fewer than three seeds.
    """
    if effect.n < MIN_SEEDS:
        return INCONCLUSIVE
    if effect.low > null:
        return SUPPORTED
    return CONTRADICTED if effect.high < null else INCONCLUSIVE


def p_value(effect: Estimate, null: float = 0.0) -> float:
    """Two-sided Student-t probability of a mean this far from `null`; NaN for n < 2."""
    if effect.n < 2:
        return np.nan
    if effect.sd == 0:
        return 1.0 if effect.mean == null else 0.0
    t = (effect.mean - null) / (effect.sd / np.sqrt(effect.n))
    return float(2 * stats.t.sf(abs(t), effect.n - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Probabilities corrected for judging so many claims at once (Holm 1979); NaNs stay.

    Sorted ascending, the k-th of m is multiplied by m - k + 1, and none is below the one
    before it nor above 1.
    """
    p = np.asarray(p_values, float)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    corrected = np.full(len(p), np.nan)
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * factors))
    return corrected.tolist()
