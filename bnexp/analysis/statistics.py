"""Statistics of seeds: pure functions on numbers. The unit of replication is the seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

CONFIDENCE = 0.95
EQUIVALENCE = 0.90  # of the interval of two one-sided tests at 5% each
POWER = 0.8  # with which an effect is called detectable
MIN_SEEDS = 3  # fewer are not enough for a band worth drawing
MIN_JUDGED = 6  # fewer are never enough for a verdict: sign flips could not go below p = .05

SUPPORTED, CONTRADICTED, INCONCLUSIVE = "supported", "contradicted", "inconclusive"
EQUAL = "equal"


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval; NaN where n is too small.

    Attributes:
        n, mean, sd: of the values, one a seed; `sd` with n - 1.
        low, high: Student-t interval.
        values: what it was made of.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float
    values: Sequence[float] = ()

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2

    def scaled(self, factor: float) -> "Estimate":
        """The same in a unit that is 1 / factor as large (factor > 0)."""
        mean, sd, low, high = (factor * x for x in (self.mean, self.sd, self.low, self.high))
        return Estimate(self.n, mean, sd, low, high, [factor * x for x in self.values])


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
        return Estimate(1, mean, np.nan, np.nan, np.nan, x.tolist())
    sd = float(x.std(ddof=1)) if np.ptp(x) else 0.0
    return _student(Estimate(n, mean, sd, np.nan, np.nan, x.tolist()), confidence)


def _student(effect: Estimate, confidence: float = CONFIDENCE) -> Estimate:
    """The same with the interval of its mean and standard deviation."""
    half = float(t_quantile(effect.n - 1, confidence)) * effect.sd / np.sqrt(effect.n)
    return replace(effect, low=effect.mean - half, high=effect.mean + half)


def no_finer(effect: Estimate, step: float) -> Estimate:
    """The same, of values that are differences of two that are known to a step of a grid alone.

    It has at least the standard deviation of the two roundings, step / √6 (each is uniform, of
    variance step² / 12: Sheppard 1898). Without that, seeds that fall on one point of the grid
    would make an interval without width.
    """
    rounding = step / np.sqrt(6)
    as_wide = effect.n < 2 or effect.sd >= rounding * (1 - 1e-9)
    return effect if as_wide else _student(replace(effect, sd=rounding))


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


def rule_r(effect: Estimate, delta: float = 0.0) -> str:
    """The verdict on "the effect is above `delta`": rule R(δ).

    Supported if the 95% interval lies wholly above, contradicted if wholly below, else
    inconclusive; always inconclusive with fewer than `MIN_JUDGED` seeds.
    """
    if effect.n < MIN_JUDGED:
        return INCONCLUSIVE
    if effect.low > delta:
        return SUPPORTED
    return CONTRADICTED if effect.high < delta else INCONCLUSIVE


def rule_e(effect: Estimate, margin: float) -> str:
    """The verdict on "the effect is within ± `margin`": rule E(m), two one-sided tests.

    Equal if the 90% interval lies within, contradicted if wholly outside, else inconclusive.
    """
    low, high = _equivalence_interval(effect)
    if effect.n < MIN_JUDGED:
        return INCONCLUSIVE
    if -margin < low and high < margin:
        return EQUAL
    return CONTRADICTED if low > margin or high < -margin else INCONCLUSIVE


def no_worse(effect: Estimate, margin: float) -> str:
    """The verdict on "no more than `margin` below 0": the lower half of rule E(m)."""
    low, high = _equivalence_interval(effect)
    if effect.n < MIN_JUDGED:
        return INCONCLUSIVE
    if low > -margin:
        return SUPPORTED
    return CONTRADICTED if high < -margin else INCONCLUSIVE


def _equivalence_interval(effect: Estimate) -> tuple[float, float]:
    if effect.n < 2:
        return np.nan, np.nan
    half = float(t_quantile(effect.n - 1, EQUIVALENCE)) * effect.sd / np.sqrt(effect.n)
    return effect.mean - half, effect.mean + half


def p_value(effect: Estimate, null: float = 0.0) -> float:
    """Two-sided Student-t probability of a mean this far from `null`; NaN for n < 2."""
    if effect.sd == 0 and effect.mean == null:
        return 1.0
    above = p_above(effect, null)
    return 2 * min(above, 1 - above)


def p_above(effect: Estimate, null: float) -> float:
    """One-sided Student-t probability of a mean this far above `null`; NaN for n < 2.

    Seeds without any spread have no t: theirs is the probability of as many signs alike, 2⁻ⁿ.
    """
    if effect.n < 2:
        return np.nan
    if effect.sd == 0:
        return 0.5**effect.n if effect.mean > null else 1 - 0.5**effect.n
    return float(stats.t.sf((effect.mean - null) / (effect.sd / np.sqrt(effect.n)), effect.n - 1))


def p_within(effect: Estimate, margin: float) -> float:
    """Of two one-sided tests (Schuirmann 1987) that the mean is not within ± `margin`."""
    mirrored = Estimate(effect.n, -effect.mean, effect.sd, -effect.high, -effect.low)
    return max(p_above(effect, -margin), p_above(mirrored, -margin))


def sign_flip_p(values: ArrayLike, null: float = 0.0) -> float:
    """Exact two-sided p of a paired permutation test (Fisher 1935): all 2ⁿ signs of differences.

    The share of sign assignments whose mean lies at least as far from 0 as the one seen. It
    cannot go below 2 / 2ⁿ. The sums of two halves are sorted and paired, so that n = 40 is exact
    too.

    Args:
        values: one difference a seed.
        null: what is subtracted from each.

    Returns:
        NaN without values.
    """
    x = np.asarray(values, float) - null
    if not len(x):
        return np.nan
    first, second = (_signed_sums(half) for half in (x[: len(x) // 2], x[len(x) // 2 :]))
    goal = abs(x.sum()) * (1 - 1e-12) - 1e-12 * np.abs(x).sum()  # rounding makes no difference
    second.sort()
    above = len(second) - np.searchsorted(second, goal - first, side="left")
    below = np.searchsorted(second, -goal - first, side="right")
    if goal <= 0:
        return 1.0
    return float((above.sum() + below.sum()) / (len(first) * len(second)))


def _signed_sums(values: np.ndarray) -> np.ndarray:
    """The sums of the values under all assignments of signs."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def sign_test_p(values: ArrayLike, null: float = 0.0) -> float:
    """Exact two-sided binomial p that differences lie on both sides of `null` alike.

    Only the order counts, so differences may be infinite; NaN (both infinite) and ties are left
    out.
    """
    x = np.asarray(values, float)
    x = x[~np.isnan(x) & (x != null)]
    return float(stats.binomtest(int((x > null).sum()), len(x)).pvalue) if len(x) else 1.0


def detectable(effect: Estimate, power: float = POWER, alpha: float = 1 - CONFIDENCE) -> float:
    """The smallest effect that a two-sided paired t-test finds with this power.

    At the spread that was seen (noncentral t). NaN for n < 2.
    """
    if effect.n < 2 or not np.isfinite(effect.sd):
        return np.nan
    if effect.sd == 0:
        return 0.0
    freedom = effect.n - 1
    critical = stats.t.isf(alpha / 2, freedom)

    def lacking(shift: float) -> float:
        below = np.nan_to_num(stats.nct.cdf(-critical, freedom, shift))  # NaN: too small to tell
        return float(stats.nct.sf(critical, freedom, shift) + below) - power

    high = 2 * (critical + stats.norm.isf(1 - power))
    return float(optimize.brentq(lacking, 0, high) * effect.sd / np.sqrt(effect.n))


def holm(p_values: Sequence[float], family: int | None = None) -> list[float]:
    """Probabilities corrected for judging so many claims at once (Holm 1979); NaNs stay.

    Sorted ascending, the k-th of m is multiplied by m - k + 1, and none is below the one
    before it nor above 1.

    Args:
        p_values: of what was judged; NaN: was not.
        family: m, where more belong to the family than were judged; None: those judged.
    """
    p = np.asarray(p_values, float)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = (len(order) if family is None else family) - np.arange(len(order))
    corrected = np.full(len(p), np.nan)
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * factors))
    return corrected.tolist()
