"""Run folders as tidy DataFrames, and which of their settings vary."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bnexp import runs as folders

UNFINISHED = "unfinished"
ARM, CONDITION, SWEEP = "arm", "condition", "sweep"


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
        return Runs(_with_names(chosen), history, [])


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
    return Runs(_with_names(table.set_index("run")), history, problems)


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


def _with_names(table: pd.DataFrame) -> pd.DataFrame:
    """Adds `arm` (what differs in normalization) and `condition` (what else differs).

    Rows are sorted by condition, arm and seed.
    """
    keys = varying(table)
    norm = [key for key in keys if key.startswith("norm.")]
    others = [key for key in keys if not key.startswith("norm.")]
    no_norm_first = {"norm.kind": table["norm.kind"] != "none"}
    order = table[[*others, *norm, "seed"]].assign(**no_norm_first)
    table = table.loc[order.sort_values(list(order.columns), key=_sortable).index]
    arms = table.apply(_arm, axis=1, keys=norm)
    conditions = table.apply(_named, axis=1, keys=others)
    return table.assign(**{ARM: arms, CONDITION: conditions})


def _sortable(values: pd.Series) -> pd.Series:
    """Numbers by size, anything else (mixed with nulls) as text."""
    return values if pd.api.types.is_numeric_dtype(values) else values.astype(str)


def varying(table: pd.DataFrame) -> list[str]:
    """Config keys, less the seed, that differ between runs; not those that follow from a kind.

    `init=gaussian,glorot` changes several keys at once: only `init.kind` is named, as long as
    each kind has one value of the others.
    """
    keys = [key for key in table.columns if "." in key]
    differing = [key for key in keys if table[key].nunique(dropna=False) > 1]
    return [key for key in differing if not _follows_from_kind(table, key, differing)]


def _follows_from_kind(table: pd.DataFrame, key: str, differing: Sequence[str]) -> bool:
    kind = key.partition(".")[0] + ".kind"
    if key == kind or kind not in differing:
        return False
    return bool((table.groupby(kind)[key].nunique(dropna=False) == 1).all())


def _arm(row: pd.Series, keys: Sequence[str]) -> str:
    details = [key for key in keys if key != "norm.kind"] if row["norm.kind"] != "none" else []
    return " ".join([row["norm.kind"], *([_named(row, details)] if details else [])])


def _named(row: pd.Series, keys: Sequence[str]) -> str:
    """ "lr=0.1, activation=relu"; the whole key where its last part alone is ambiguous."""
    short = [key.removesuffix(".kind").rpartition(".")[2] for key in keys]
    names = [s if short.count(s) == 1 else key for s, key in zip(short, keys, strict=True)]
    return ", ".join(f"{name}={_text(row[key])}" for name, key in zip(names, keys, strict=True))


def _text(value: Any) -> str:
    if value is None or value != value:  # NaN: pandas' word for null
        return "null"
    return f"{value:g}" if isinstance(value, float) else str(value)
