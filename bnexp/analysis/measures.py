"""What is measured on runs before statistics: one number per run or seed, and the best rate.

The learning rate is a nuisance: `tuned` picks it for each arm on validation data.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bnexp.analysis import naming
from bnexp.analysis.loading import SEED, Runs
from bnexp.analysis.naming import named, telling, varying
from bnexp.analysis.statistics import NO_ESTIMATE, Estimate, t_interval
from bnexp.folders.runs import DIVERGED, FINISHED

LR, NORM = "optimizer.lr", naming.NORM
NONE, BATCH = "none", "batch"
VALIDATION, TEST = "final_val_accuracy", "test_accuracy"
ACCURACIES = (VALIDATION, "best_val_accuracy", TEST)
CHANCE = 0.1  # of results that do not tell how many classes there are: those of version 0.1
ENDED = (FINISHED, DIVERGED)


class MeasureError(Exception):
    """These runs do not hold what a measure needs; the message says what is missing."""


def ended(runs: Runs) -> pd.DataFrame:
    """The runs that finished or diverged; a diverged network's accuracies are chance's.

    Raises:
        MeasureError: there are none.
    """
    table = runs.runs[runs.runs["status"].isin(ENDED)]
    if table.empty:
        raise MeasureError("no run has ended")
    return worth(table)


def worth(table: pd.DataFrame) -> pd.DataFrame:
    """The runs with chance for the accuracies of those that diverged."""
    diverged, chance = table["status"] == DIVERGED, chance_of(table)
    known = [key for key in ACCURACIES if key in table]
    return table.assign(**{key: table[key].astype(float).mask(diverged, chance) for key in known})


def chance_of(table: pd.DataFrame) -> pd.Series:
    """By run: the accuracy of guessing, 1 / classes; of results that do not tell, `CHANCE`."""
    if "classes" not in table:
        return pd.Series(CHANCE, index=table.index)
    return (1 / table["classes"].astype(float)).fillna(CHANCE)


def chance_text(table: pd.DataFrame) -> str:
    """What a caption says of it: "chance, 10%"."""
    shares = chance_of(table)
    low, high = (f"{100 * share:.3g}%" for share in (shares.min(), shares.max()))
    return f"chance, {low}" if low == high else f"chance, 1 / classes, {low} to {high}"


def estimate(table: pd.DataFrame, metric: str) -> Estimate:
    """Mean and interval of a metric over all of these runs, which have ended; none is left out.

    No estimate where one of them has no value, as a diverged run has no loss: a mean of the
    others would be one of survivors. `table` is as `worth` gives it.
    """
    if metric not in table:
        return NO_ESTIMATE
    values = table[metric].to_numpy(float)
    return NO_ESTIMATE if np.isnan(values).any() else t_interval(values)


def arms(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs without normalization, and those with BN.

    Raises:
        MeasureError: one of the two has no run.
    """
    none, batch = (table[table[NORM] == kind] for kind in (NONE, BATCH))
    if none.empty or batch.empty:
        missing = NONE if none.empty else BATCH
        raise MeasureError(f"no run with norm={missing} has ended")
    return none, batch


def parts(runs: Runs, *free: str) -> list[tuple[str, Runs]]:
    """The runs by all settings that vary, but for normalization, seed and `free`, named.

    A part is judged by itself: one activation, one network.
    """
    keys = [k for k in varying(runs.runs) if k not in free and not k.startswith("norm.")]
    if not keys:
        return [("", runs)]
    groups = runs.runs.groupby(keys, sort=False, dropna=False).ngroup()
    first = runs.runs[~groups.duplicated()]
    names = named(first, telling(first, keys))
    return [(names[run], runs.select(groups == groups[run])) for run in first.index]


def by_seed(table: pd.DataFrame, values: pd.Series | str) -> pd.Series:
    """One value per seed, ascending; `values` is a column or a series by run.

    Raises:
        MeasureError: a seed has more than one run.
    """
    column = table[values] if isinstance(values, str) else values.reindex(table.index)
    series = pd.Series(column.to_numpy(float), index=table[SEED].to_numpy())
    if series.index.has_duplicates:
        raise MeasureError("more than one run of the same arm, learning rate and seed")
    return series.sort_index()


def depth(table: pd.DataFrame) -> pd.Series:
    """By run: the number of hidden layers."""
    return table["model.hidden"].astype(str).str.count("-") + 1


def split(table: pd.DataFrame, key: str) -> dict[float, pd.DataFrame]:
    """The rows by the value of one numeric key, ascending."""
    return {float(value): table[table[key] == value] for value in sorted(table[key].unique())}


@dataclass(frozen=True)
class Tuned:
    """An arm at its best learning rate; `edge` is "lowest" or "highest" where it is so.

    `beyond` are rates with a higher mean, but of fewer seeds.
    """

    rate: float
    edge: str
    table: pd.DataFrame
    beyond: Sequence[float] = ()

    def by_seed(self, values: pd.Series | str) -> pd.Series:
        """One value per seed."""
        return by_seed(self.table, values)


def tuned(table: pd.DataFrame, values: pd.Series | str = VALIDATION) -> Tuned:
    """The learning rate with the highest mean over seeds, by default of validation accuracy.

    Of equal ones the lowest; only rates with as many seeds as any are chosen from, as the best of
    many single seeds is mostly luck.

    Raises:
        MeasureError: no run has a value.
    """
    column = table[values] if isinstance(values, str) else values.reindex(table.index)
    groups = column.astype(float).groupby(table[LR])
    means, counts = groups.mean().dropna(), groups.count()
    if means.empty:
        raise MeasureError("no run was evaluated")
    whole = means[counts[means.index] == counts.max()]
    rate = float(whole.index[int(whole.argmax())])
    edge = ""
    if len(means) > 1 and rate in (means.index.min(), means.index.max()):
        edge = "lowest" if rate == means.index.min() else "highest"
    beyond = means.index[means > whole.max()]
    return Tuned(rate, edge, table[table[LR] == rate], tuple(map(float, beyond)))


def reached(runs: Runs, target: float | pd.Series, column: str = "step") -> pd.Series:
    """By run: the first step (or epoch, seconds) at which validation accuracy is at `target`.

    Infinite for a run that never gets there. `target` may differ from run to run.
    """
    goal = runs.history["run"].map(target) if isinstance(target, pd.Series) else target
    there = runs.history[runs.history["val_accuracy"] >= goal]
    first = there.groupby("run")[column].min().astype(float)
    return first.reindex(runs.runs.index, fill_value=np.inf)


def budget(runs: Runs, column: str = "step") -> pd.Series:
    """By run: all its steps; in seconds, the time that they would take at its pace."""
    steps = runs.runs["trainer.steps"].astype(float)
    return steps if column == "step" else steps / runs.runs["steps_per_second"].astype(float)


def censored(runs: Runs, target: float | pd.Series, column: str = "step") -> pd.Series:
    """`reached`, with the budget for a run that never gets there."""
    first = reached(runs, target, column)
    return first.mask(np.isinf(first), budget(runs, column))


def probed(runs: Runs, probe: str, *statistics: str) -> pd.DataFrame:
    """The probes' rows of these statistics.

    Raises:
        MeasureError: the runs have none.
    """
    table = runs.probes
    if len(table):
        table = table[(table["probe"] == probe) & table["statistic"].isin(statistics)]
    if table.empty:
        raise MeasureError(f"the runs were made without probes={probe} ({', '.join(statistics)})")
    return table


def last_layer(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of each run's last hidden layer (layers are numbered from 1)."""
    number = pd.to_numeric(table["layer"], errors="coerce")
    return table[number == number.groupby(table["run"]).transform("max")]


PATH_START = 1000  # steps


def path_length(runs: Runs, statistic: str) -> pd.Series:
    """By run: how far a percentile of the last layer's inputs wandered, in units of spread.

    The sum over probes from PATH_START on of `<statistic>_move` (mean over units of the
    absolute change since the probe before), over the mean of `spread` (p85 - p15).
    """
    table = last_layer(probed(runs, "activations", f"{statistic}_move", "spread"))
    late = table[table["step"] > PATH_START]
    moves = late[late["statistic"] == f"{statistic}_move"].groupby("run")["value"].sum()
    spread = late[late["statistic"] == "spread"].groupby("run")["value"].mean()
    return moves / spread
