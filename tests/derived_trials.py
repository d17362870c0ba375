"""What second derivations of trials share: a part with its rule, several at once, their rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from derived import by_rule_r, detectable, holm, interval, p_value, sign_flip_p
from scipy import stats


@dataclass(frozen=True)
class Part:
    """A value for each seed, judged by R(bound), or by E(margin) where there is one."""

    values: pd.Series
    bound: float = 0
    margin: float | None = None

    @property
    def verdict(self) -> str:
        if len(self.values) < 6:
            return "inconclusive"
        if self.margin is None:
            return by_rule_r(self.values, self.bound)
        low, high = interval(self.values, confidence=0.9)
        if -self.margin < low and high < self.margin:
            return "equal"
        outside = low > self.margin or high < -self.margin
        return "contradicted" if outside else "inconclusive"

    @property
    def holds(self) -> bool:
        return self.verdict == ("supported" if self.margin is None else "equal")

    @property
    def p(self) -> float:
        """Two-sided against the bound, or the larger of the two one-sided ones of E.

        Where E is contradicted the test is that of lying beyond the margin.
        """
        if self.margin is None:
            return p_value(self.values, self.bound)
        within = max(
            stats.ttest_1samp(self.values, -self.margin, alternative="greater").pvalue,
            stats.ttest_1samp(self.values, self.margin, alternative="less").pvalue,
        )
        return 1 - within if self.verdict == "contradicted" else within


def chosen_rate(tuning: pd.DataFrame) -> float:
    """The best mean accuracy on validation among the rates that every tuning seed ran."""
    scores = tuning.groupby("lr")["validation"].agg(["mean", "count"])
    return scores.loc[scores["count"] == tuning.index.nunique(), "mean"].idxmax()


def together(parts: Mapping[str, Part]) -> tuple[str, str]:
    """The verdict of all parts at once, and the name of the one on which it hangs."""
    against = [name for name, part in parts.items() if part.verdict == "contradicted"]
    hangs = max(against or parts, key=lambda name: parts[name].p)
    if against:
        return "contradicted", hangs
    holds = all(part.holds for part in parts.values())
    return "supported" if holds else "inconclusive", hangs


def check_row(row: pd.Series, part: Part) -> None:
    """The numbers, the verdict and the sentence's sign-flip test of one part."""
    values = part.values
    assert row["n"] == len(values) and row["verdict"] == part.verdict
    if values.empty:
        assert row[["effect", "low", "high", "p", "detectable"]].isna().all()
        return
    told = tuple(row[["effect", "low", "high"]])
    assert told == pytest.approx((values.mean(), *interval(values)), rel=1e-6, abs=1e-9)
    assert row["p"] == pytest.approx(part.p, rel=1e-6)
    assert row["detectable"] == pytest.approx(detectable(values), rel=1e-5, abs=1e-9)
    assert f"sign-flip p = {sign_flip_p(values - part.bound):.2g}" in row["sentence"]


def check_whole(row: pd.Series, parts: Mapping[str, Part]) -> None:
    """A row that asks for all parts at once."""
    verdict, hangs = together(parts)
    shown = parts[hangs].values
    told = tuple(row[["effect", "low", "high"]])
    assert told == pytest.approx((shown.mean(), *interval(shown)), rel=1e-6, abs=1e-9)
    assert row["p"] == pytest.approx(max(part.p for part in parts.values()), rel=1e-6)
    assert (row["n"], row["verdict"]) == (len(shown), verdict)
    assert f"It hangs on {hangs}: " in row["sentence"]


def check_beside(row: pd.Series, values: pd.Series) -> None:
    """A row without a verdict."""
    told = tuple(row[["effect", "low", "high"]])
    assert told == pytest.approx((values.mean(), *interval(values)), rel=1e-6, abs=1e-9)
    assert row["detectable"] == pytest.approx(detectable(values), rel=1e-5, abs=1e-9)
    assert row["beside"] and not row["primary"] and not row["verdict"] and np.isnan(row["p"])
    assert row["n"] == len(values)


def check_holm(claims: pd.DataFrame, sweep: str) -> dict[str, str]:
    """Primary verdicts of a sweep, by claim, after Holm's correction."""
    corrected = holm(claims)
    mine = claims[(claims["sweep"] == sweep) & claims["primary"].astype(bool)]
    assert list(mine["p_holm"]) == pytest.approx(list(corrected[mine.index]))
    stands = mine["verdict"].where(mine["p_holm"] < 0.05, "inconclusive")
    assert list(mine["verdict_holm"]) == list(stands)
    return dict(zip(mine["claim"], stands, strict=True))
