"""The learning rate as a nuisance: which runs are those at each arm's best rate."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bnexp.analysis import measures
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import LR, VALIDATION
from bnexp.analysis.naming import ARM, CONDITION, varying


def rate_varies(runs: Runs) -> bool:
    """Whether there is a learning rate to choose."""
    return LR in varying(runs.runs)


def best_rates(runs: Runs, free: Sequence[str] = (LR,)) -> pd.DataFrame:
    """Each arm's best learning rate in each condition, by mean final validation accuracy.

    Returns:
        Columns condition (without the learning rate), arm, rate, n (seeds), edge and beyond (see
        `measures.Tuned`).

    Raises:
        MeasureError: no run has ended.
    """
    table = measures.ended(without_rate(runs, free))[[CONDITION, ARM, LR, VALIDATION]]
    rows = []
    for (condition, arm), group in table.groupby([CONDITION, ARM], sort=False):
        if group[VALIDATION].notna().any():
            best = measures.tuned(group)
            told = {"rate": best.rate, "n": len(best.table), "edge": best.edge}
            rows.append({CONDITION: condition, ARM: arm, **told, "beyond": best.beyond})
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
    if not runs.runs["status"].isin(measures.ENDED).any():
        return runs, "no run has ended yet"
    return at_best_rates(runs), how_chosen(best_rates(runs))


def how_chosen(best: pd.DataFrame) -> str:
    """What a caption says of the chosen rates."""
    text = "each arm at its own best learning rate, by mean final validation accuracy"
    if best[CONDITION].nunique() == 1:
        rates = ", ".join(f"{row[ARM]}: {row['rate']:g}" for _, row in best.iterrows())
        text += f" ({rates})"
    return text


def doubts(best: pd.DataFrame) -> str:
    """What speaks against chosen rates: those at the edge, and better ones of fewer seeds.

    Told once a sweep, beside the figure of its learning rates.
    """
    edges = {name: f"the {edge}" for name, edge in _by_name(best, "edge").items() if edge}
    beyond = {
        name: ", ".join(f"{rate:g}" for rate in rates)
        for name, rates in _by_name(best, "beyond").items()
        if rates
    }
    text = f" At the edge of the rates tried: {_few(edges)}." if edges else ""
    if beyond:
        text += f" Higher, but of fewer seeds and so not chosen: {_few(beyond)}."
    return text


def _by_name(best: pd.DataFrame, column: str) -> dict[str, Any]:
    """A column by arm and condition, as a caption names them."""
    names = best[ARM] + best[CONDITION].map(lambda condition: f", {condition}" if condition else "")
    return dict(zip(names, best[column], strict=True))


def _few(told: Mapping[str, str], most: int = 4) -> str:
    listed = [f"{name}: {text}" for name, text in told.items()]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return "; ".join(listed[:most]) + more
