"""The learning rate as a nuisance: which runs are those at each arm's best rate."""

from collections.abc import Sequence

import pandas as pd

from bnexp.analysis import measures
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import LR, VALIDATION
from bnexp.analysis.naming import ARM, CONDITION, varying
from bnexp.folders.runs import DIVERGED, FINISHED


def rate_varies(runs: Runs) -> bool:
    """Whether there is a learning rate to choose."""
    return LR in varying(runs.runs)


def best_rates(runs: Runs, free: Sequence[str] = (LR,)) -> pd.DataFrame:
    """Each arm's best learning rate in each condition, by mean final validation accuracy.

    Returns:
        Columns condition (without the learning rate), arm, rate, edge (see `measures.Tuned`).

    Raises:
        MeasureError: no run has ended.
    """
    table = measures.ended(without_rate(runs, free))
    rows = []
    for (condition, arm), group in table.groupby([CONDITION, ARM], sort=False):
        if group[VALIDATION].notna().any():
            best = measures.tuned(group)
            rows.append({CONDITION: condition, ARM: arm, "rate": best.rate, "edge": best.edge})
    return pd.DataFrame(rows)


def without_rate(runs: Runs, free: Sequence[str] = (LR,)) -> Runs:
    """The same runs, in conditions that do not tell learning rates apart."""
    everything = pd.Series(True, index=runs.runs.index)
    return runs.select(everything, free)


def at_best_rates(runs: Runs) -> Runs:
    """The runs of each arm at its best learning rate, condition by condition."""
    best = best_rates(runs).set_index([CONDITION, ARM])["rate"]
    table = without_rate(runs).runs
    chosen = best.reindex(pd.MultiIndex.from_frame(table[[CONDITION, ARM]])).to_numpy()
    mask = pd.Series(table[LR].to_numpy(float) == chosen, index=table.index)
    return runs.select(mask.reindex(runs.runs.index), (LR,))


def tuned_runs(runs: Runs) -> tuple[Runs, str]:
    """The runs at each arm's best learning rate, and how a caption says so.

    All runs where there is no rate to choose, or no run that has ended to choose by.
    """
    if not rate_varies(runs):
        return runs, "one learning rate"
    if not runs.runs["status"].isin([FINISHED, DIVERGED]).any():
        return runs, "no run has ended yet"
    return at_best_rates(runs), how_chosen(best_rates(runs))


def how_chosen(best: pd.DataFrame) -> str:
    """What a caption says of the chosen rates, and of those at the edge of the grid."""
    text = "each arm at its own best learning rate, by mean final validation accuracy"
    if best[CONDITION].nunique() == 1:
        rates = ", ".join(f"{row[ARM]}: {row['rate']:g}" for _, row in best.iterrows())
        text += f" ({rates})"
    edges = best[best["edge"] != ""]
    if len(edges):
        where = "; ".join(
            f"{row[ARM]}{', ' if row[CONDITION] else ''}{row[CONDITION]}: the {row['edge']}"
            for _, row in edges.head(4).iterrows()
        )
        more = f" and {len(edges) - 4} more" if len(edges) > 4 else ""
        text += f". At the edge of the rates tried: {where}{more}"
    return text
