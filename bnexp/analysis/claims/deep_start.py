"""How the claim on networks at their start is judged: rank and gradients by depth (W)."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from bnexp.analysis import measures
from bnexp.analysis.claims.combining import all_of
from bnexp.analysis.claims.mechanism import died
from bnexp.analysis.claims.model import LOG2, Finding, by_rule_r, joined, shown, times
from bnexp.analysis.evidence import Evidence
from bnexp.analysis.measures import MeasureError, by_seed
from bnexp.analysis.statistics import paired_log2_ratio, t_interval

JUDGED = 50  # hidden layers
GROWTH = 1.21  # of the gradient's norm a layer under BN with ReLU, wide layers (Yang et al. 2019)
Arms = tuple[pd.DataFrame, pd.DataFrame]  # runs of the baseline and of BN


def deep_start(runs: Evidence) -> Iterator[Finding]:
    """Soft rank of the last hidden layer, and growth of the gradient a layer (probe rank)."""
    seen = measures.probed(runs, "rank", "soft_rank", "gradient_norm")
    start = seen[seen["step"] == 0].assign(layer=lambda table: table["layer"].astype(int))
    table = measures.ended(runs)
    layers = measures.depth(table)
    if JUDGED not in set(layers):
        raise MeasureError(f"no run of {JUDGED} hidden layers has ended")
    for depth in sorted(set(layers), key=lambda count: (count != JUDGED, count)):
        yield from _at_depth(runs.arms(table[layers == depth]), depth, start)


def _at_depth(arms: Arms, depth: int, start: pd.DataFrame) -> Iterator[Finding]:
    none, batch = arms
    part = f"{depth} layers"
    wide = start.pivot(index=["run", "layer"], columns="statistic", values="value")
    ranks = wide["soft_rank"].xs(depth, level="layer")
    slopes = _slopes(wide["gradient_norm"])
    rank = _rank(joined(part, "soft rank"), arms, ranks)
    slope = _slope(joined(part, "gradient"), "norm=batch", batch, slopes)
    if depth == JUDGED:
        yield all_of("", {"soft rank": rank, "gradient": slope}, primary=True)
    yield rank
    yield slope
    yield _slope(joined(part, "gradient without BN"), "norm=none", none, slopes, beside=True)


def _rank(part: str, arms: Arms, ranks: pd.Series) -> Finding:
    theirs, ours = (by_seed(table, ranks.where(ranks > 0)) for table in arms)
    effect = paired_log2_ratio(ours, theirs)
    sentence = (
        f"At step 0 the soft rank of what enters the last nonlinearity is {ours.mean():.3g} with "
        f"BN and {theirs.mean():.3g} without (means), {times(effect.mean)} as large: log2 "
        f"{shown(effect)}.{died('norm=batch', arms[1], ours)}{died('norm=none', arms[0], theirs)}"
    )
    measure = "soft rank of the last hidden layer at step 0, BN / none"
    return by_rule_r(part, measure, LOG2, effect, sentence)


def _slopes(norms: pd.Series) -> pd.Series:
    """By run: the least-squares slope of the gradient's log norm on the layers toward the input.

    Args:
        norms: by run and layer; a run is left out where one is not positive.
    """
    whole = norms.groupby(level="run").transform("min") > 0
    logs = np.log(norms[whole]).rename("log").reset_index()
    return pd.Series(
        {
            run: -np.polyfit(rows["layer"], rows["log"], 1)[0]
            for run, rows in logs.groupby("run")
            if len(rows) > 1
        },
        dtype=float,
    )


def _slope(
    part: str, arm: str, table: pd.DataFrame, slopes: pd.Series, *, beside: bool = False
) -> Finding:
    values = by_seed(table, slopes)
    effect = t_interval(values)
    expected = f" (of wide layers with BN {GROWTH} is expected, log {math.log(GROWTH):.3g})"
    sentence = (
        f"At step 0 the norm of the loss's gradient grows by a factor of "
        f"{math.exp(effect.mean):.3g} for each layer toward the input with {arm}"
        f"{'' if beside else expected}: log {shown(effect, 3)}.{died(arm, table, values)}"
    )
    measure = f"slope of log ‖∂L/∂h‖ on the layers toward the input at step 0, {arm}"
    return by_rule_r(part, measure, "nats a layer", effect, sentence, beside=beside)
