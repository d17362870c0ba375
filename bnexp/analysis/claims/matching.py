"""Measures of two networks at the same training loss, which they reach at different steps."""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from bnexp.analysis import measures
from bnexp.analysis.claims.figure1 import how
from bnexp.analysis.claims.mechanism import died
from bnexp.analysis.claims.model import LOG2, Finding, by_rule_r, shown, times
from bnexp.analysis.evidence import Chosen
from bnexp.analysis.loading import SEED, Runs
from bnexp.analysis.statistics import t_interval

LEVELS = 20  # losses at which networks are compared


class Matched(NamedTuple):
    """Two networks at the same losses: the mean difference of log2 of a measure, and the losses.

    All NaN where they share no range of losses.
    """

    difference: float
    highest: float
    lowest: float


def at_matched_loss(first: pd.DataFrame, second: pd.DataFrame) -> Matched:
    """Log2 of a measure, first − second, at the same training loss (docs/claims.md).

    Records without a positive number for both, and those whose loss is not below all before, are
    left out. Along the others log2 of the measure is linear in log loss between records; the
    difference is the mean at `LEVELS` losses, equally spaced in log loss over what both pass.

    Args:
        first, second: columns `loss` and `value`, in order of steps.
    """
    curves = [_falling(one) for one in (first, second)]
    if any(loss.size == 0 for loss, _ in curves):
        return Matched(np.nan, np.nan, np.nan)
    lowest, highest = max(loss[0] for loss, _ in curves), min(loss[-1] for loss, _ in curves)
    if not lowest < highest:
        return Matched(np.nan, np.nan, np.nan)
    levels = np.linspace(lowest, highest, LEVELS)
    ours, theirs = (np.interp(levels, loss, value) for loss, value in curves)
    return Matched(float((ours - theirs).mean()), float(np.exp(highest)), float(np.exp(lowest)))


def _falling(curve: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Log loss, ascending, and log2 of the measure."""
    known = curve[np.isfinite(curve).all(axis=1) & (curve > 0).all(axis=1)]
    before = known["loss"].cummin().shift(fill_value=np.inf)
    path = known[known["loss"] < before].iloc[::-1]
    return np.log(path["loss"].to_numpy(float)), np.log2(path["value"].to_numpy(float))


def records(runs: Runs, probe: str, *statistics: str) -> pd.DataFrame:
    """A row for each run and step but step 0, a column for each statistic of a whole network.

    Raises:
        MeasureError: the runs were made without the probe.
    """
    found = measures.probed(runs, probe, *statistics)
    later = found[found["step"] > 0].set_index(["run", "step", "statistic"])["value"]
    return later.unstack("statistic").sort_index().reindex(columns=list(statistics))


def matched(
    part: str,
    what: str,
    arms: tuple[Chosen, Chosen],
    loss: pd.Series,
    values: pd.Series,
    told: str = "",
) -> Finding:
    """Rule R on log2 of how much larger a measure is in the first arm at matched training loss.

    Args:
        part: its name.
        what: the measure in words.
        arms: the baseline, then the other.
        loss, values: of each run and step.
        told: what is said of them besides.
    """
    theirs, ours = arms
    table = pd.DataFrame({"loss": loss, "value": values})
    first, second = (_by_seed(arm, table) for arm in arms)
    pairs = {seed: at_matched_loss(first[seed], second[seed]) for seed in first if seed in second}
    effect = t_interval([pair.difference for pair in pairs.values()])
    sentence = "The arms pass no training loss in common."
    if effect.n:
        highest, lowest = np.nanmedian([pair[1:] for pair in pairs.values()], axis=0)
        sentence = (
            f"At the same training loss ({highest:.3g} to {lowest:.3g}, medians over seeds) {what} "
            f"is {times(effect.mean)} as large with {theirs.arm} as with {ours.arm} "
            f"{how(theirs, ours)}: log2 {shown(effect)}."
        )
    sentence += _left_out(pairs, pd.concat([*first.values(), *second.values()]))
    sentence += f"{died(ours.arm, ours.table)}{died(theirs.arm, theirs.table)}{told}"
    measure = f"{what} at matched training loss, {theirs.arm} / {ours.arm}"
    return by_rule_r(part, measure, LOG2, effect, sentence)


def _by_seed(arm: Chosen, table: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """By seed: the rows of its run, in order of steps; none where it was not probed."""
    of_runs = {run: rows.droplevel("run") for run, rows in table.groupby(level="run")}
    pairs = zip(arm.table[SEED], arm.table.index, strict=True)
    return {int(seed): of_runs.get(run, table.iloc[:0].droplevel("run")) for seed, run in pairs}


def _left_out(pairs: dict[int, Matched], rows: pd.DataFrame) -> str:
    """What is said of seeds and records without a value."""
    apart = sum(math.isnan(pair.difference) for pair in pairs.values())
    empty = int((~(rows["value"] > 0) | ~np.isfinite(rows["value"])).sum())
    told = f" Left out, as they pass no loss in common: {apart} of {len(pairs)} seeds."
    none = f" Without a value: {empty} of {len(rows)} records."
    return told * (0 < apart < len(pairs)) + none * bool(empty)
