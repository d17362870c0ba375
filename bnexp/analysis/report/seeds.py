"""What the page's scripts read of single runs: every evaluation of every run of a sweep."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bnexp.analysis.judged import with_comparisons
from bnexp.analysis.loading import SEED, UNFINISHED, Runs
from bnexp.analysis.report.data import Grids, kept, metric_names
from bnexp.analysis.report.encoding import COARSE, Piece, differences
from bnexp.analysis.report.groups import places
from bnexp.analysis.report.results import result_values
from bnexp.folders.runs import STATUSES

NEVER = -1  # in place of a grid's number: the run was never evaluated


def seeds_data(runs: Runs) -> dict[str, Any] | None:
    """The single runs of a sweep, in the groups of `data.curves_data`; None without a history.

    Numbers are as `encoding.differences` writes them.

    Keys: runs (names), group, seed and status (index into `statuses`) of each; step and epoch (of
    `grids`, or NEVER) and seconds at its evaluations; metrics (name, values of each run, a value
    an evaluation); results (by name, a value a run, as it counts: chance where it diverged).
    """
    if runs.history.empty:
        return None
    runs, groups, _ = kept(with_comparisons(runs))
    table = runs.runs.assign(_group=places(groups, runs.runs))
    table = table.sort_values(["_group", SEED], kind="stable")
    history = runs.history.assign(_run=table.index.get_indexer(runs.history["run"]))
    history = history.sort_values(["_run", "step"], kind="stable")
    row = history["_run"].to_numpy()
    starts = np.flatnonzero(np.diff(row, prepend=-1)).tolist()
    evaluated = row[starts]
    grids = Grids()
    statuses = [*STATUSES, UNFINISHED]
    return {
        "runs": [Path(str(run)).name for run in table.index],
        "group": table["_group"].tolist(),
        "seed": table[SEED].tolist(),
        "statuses": statuses,
        "status": [statuses.index(status) for status in table["status"]],
        **{axis: _on_grids(history[axis], starts, evaluated, table, grids) for axis in GRIDDED},
        "seconds": _each(differences(history["seconds"], starts, COARSE), evaluated, table),
        "metrics": [
            {"name": name, "values": _each(differences(history[name], starts), evaluated, table)}
            for name in metric_names(runs)
        ],
        "results": result_values(table),
        "grids": grids.lists(),
    }


GRIDDED = ("step", "epoch")  # which many runs share


def _on_grids(
    column: pd.Series, starts: list[int], evaluated: np.ndarray, table: pd.DataFrame, grids: Grids
) -> list[int]:
    numbers = np.full(len(table), NEVER)
    numbers[evaluated] = [grids.add(piece) for piece in differences(column, starts)]
    return numbers.tolist()


def _each(pieces: list[Piece], evaluated: np.ndarray, table: pd.DataFrame) -> list[Piece | None]:
    """A piece for each run of the table; null for one that was never evaluated."""
    found: list[Piece | None] = [None] * len(table)
    for run, piece in zip(evaluated.tolist(), pieces, strict=True):
        found[run] = piece
    return found
