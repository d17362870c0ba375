"""Run folders as tidy DataFrames, and which of their settings vary."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bnexp import runs as folders
from bnexp.analysis.naming import ARM, CONDITION, with_names

UNFINISHED = "unfinished"
SWEEP = "sweep"


@dataclass(frozen=True)
class Runs:
    """Many runs.

    Attributes:
        runs: one row per run, indexed by `run` (its folder as text). Columns: `sweep` (name
            of the folder above), every config key with dots (`optimizer.lr`), `seed`, the
            fields of result.json, and `arm` and `condition`, by which runs are compared.
        history: one row per evaluation, with the column `run`.
        problems: a line for each folder that could not be read.
    """

    runs: pd.DataFrame
    history: pd.DataFrame
    problems: list[str]

    def of_sweep(self, sweep: str) -> "Runs":
        """The runs of one sweep, with arms and conditions named by what varies within it."""
        chosen = self.runs[self.runs[SWEEP] == sweep].drop(columns=[ARM, CONDITION])
        history = self.history[self.history["run"].isin(chosen.index)]
        return Runs(with_names(chosen), history, [])


def load_runs(roots: Iterable[Path | str]) -> Runs:
    """Every run at or below the given folders; damaged ones are named in `problems`.

    Raises:
        RunError: a folder does not exist.
    """
    paths = [Path(root) for root in roots]
    for path in paths:
        if not path.is_dir():
            raise folders.RunError(f"{path}: no such folder")
    rows, histories, problems = [], [], []
    for folder in folders.find_run_folders(paths):
        try:
            row, history = _read(folder)
        except folders.RunError as error:
            problems.append(str(error))
            continue
        rows.append(row)
        histories.append(history)
    table = pd.DataFrame(rows)
    if not rows:
        return Runs(table, pd.DataFrame(), problems)
    history = pd.concat(histories, ignore_index=True)
    return Runs(with_names(table.set_index("run")), history, problems)


def _read(folder: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    config = flatten(folders.read_config(folder))
    result = folders.read_result(folder) or {"status": UNFINISHED}
    ended = result["status"] in (folders.FINISHED, folders.DIVERGED)
    if ended or (folder / "history.csv").exists():
        history = folders.read_history(folder)
    else:
        history = pd.DataFrame(columns=list(folders.HISTORY_COLUMNS), dtype=float)
    row = {"run": str(folder), SWEEP: folder.parent.name, **config, **result}
    return row, history.assign(run=str(folder))


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"optimizer": {"lr": 1}} as {"optimizer.lr": 1}; lists become text."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = "-".join(map(str, value)) if isinstance(value, list) else value
    return flat
