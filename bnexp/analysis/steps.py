"""Steps and seconds to a target, which some runs never reach: three conventions, one verdict."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import by_seed
from bnexp.analysis.statistics import (
    CONFIDENCE,
    INCONCLUSIVE,
    SUPPORTED,
    Estimate,
    paired_log2_ratio,
    rule_r,
    sign_test_p,
)

STEP, SECONDS = "step", "seconds"
SPACING = 0.05  # of the median crossing, that evaluations may be apart


@dataclass(frozen=True)
class Crossings:
    """When runs reach a target, by run.

    Attributes:
        first: at the first evaluation that is there; infinite: never.
        before: at the evaluation before that one, at least 1 step; infinite: never.
        budget: what the whole run takes.
    """

    first: pd.Series
    before: pd.Series
    budget: pd.Series

    @property
    def censored(self) -> pd.Series:
        """`first`, with the budget for what never gets there."""
        return self.first.mask(np.isinf(self.first), self.budget)

    @property
    def earlier(self) -> pd.Series:
        """`before`, with the budget for what never gets there."""
        return self.before.mask(np.isinf(self.before), self.budget)

    def of(self, table: pd.DataFrame) -> "Crossings":
        """Of an arm's runs, by seed."""
        columns = (self.first, self.before, self.budget)
        return Crossings(*(by_seed(table, column) for column in columns))

    @property
    def apart(self) -> float:
        """How far apart evaluations lie where the target is reached, as a share (of medians)."""
        there = np.isfinite(self.first)
        apart = (self.first - self.before)[there].median() / self.first[there].median()
        return float(apart) if there.any() else 0.0

    @property
    def never(self) -> int:
        """How many never get there."""
        return int(np.isinf(self.first).sum())


def crossings(runs: Runs, target: float | pd.Series, column: str = STEP) -> Crossings:
    """When each run's validation accuracy first is at `target`, in steps or training seconds.

    Args:
        runs: all of which have the column in their history.
        target: for all runs, or by run.
        column: `step` or `seconds`.
    """
    history = runs.history.sort_values(["run", "step"], kind="stable")
    goal = history["run"].map(target) if isinstance(target, pd.Series) else target
    earlier = history.groupby("run")[column].shift(fill_value=0)
    there = history.assign(before=earlier)[history["val_accuracy"] >= goal]
    first = there.groupby("run").first()
    index = runs.runs.index
    at = first[column].astype(float).reindex(index, fill_value=np.inf)
    floor = 1.0 if column == STEP else runs.runs["steps_per_second"].astype(float) ** -1
    before = first["before"].astype(float).reindex(index, fill_value=np.inf)
    steps = runs.runs["trainer.steps"].astype(float)
    budget = steps if column == STEP else steps / runs.runs["steps_per_second"].astype(float)
    return Crossings(at, before.clip(lower=floor), budget)


@dataclass(frozen=True)
class Speed:
    """How many times as long one arm takes as another, as log2 by seed.

    Attributes:
        effect: with the budget for what never gets there.
        earlier: the same with every crossing at the evaluation before it.
        late: log2 by seed with infinity for what never gets there; NaN: both never.
        apart: how far apart evaluations lie, the larger `Crossings.apart` of the two.
    """

    effect: Estimate
    earlier: Estimate
    late: np.ndarray
    apart: float = 0.0

    @property
    def coarse(self) -> bool:
        """Whether evaluations lie further apart than protocol 2 wants them."""
        return self.apart > SPACING

    def verdict(self, delta: float = 0.0) -> str:
        """Rule R(δ), which must come out the same by all three conventions."""
        verdict = rule_r(self.effect, delta)
        if verdict == INCONCLUSIVE or rule_r(self.earlier, delta) != verdict:
            return INCONCLUSIVE
        if np.isfinite(self.late).all():
            return verdict
        known = self.late[~np.isnan(self.late)]
        above = (known > delta).mean() > 0.5 if len(known) else False
        agrees = sign_test_p(known, delta) < 1 - CONFIDENCE and above == (verdict == SUPPORTED)
        return verdict if agrees else INCONCLUSIVE


def speed(theirs: Crossings, ours: Crossings) -> Speed:
    """Of two arms by seed: above 0 where `theirs` takes longer."""
    with np.errstate(invalid="ignore"):
        late = (np.log2(theirs.first) - np.log2(ours.first)).to_numpy(float)
    shared = theirs.first.index.intersection(ours.first.index)
    late = late[theirs.first.index.union(ours.first.index).isin(shared)]
    return Speed(
        paired_log2_ratio(theirs.censored, ours.censored),
        paired_log2_ratio(theirs.earlier, ours.earlier),
        late,
        max(theirs.apart, ours.apart),
    )
