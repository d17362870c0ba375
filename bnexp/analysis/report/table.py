"""The page's table of runs: a row each, with its settings, results and a link to its folder."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from bnexp.analysis.loading import SWEEP, UNFINISHED, Runs
from bnexp.analysis.naming import ARM, texts, value_key
from bnexp.analysis.report.data import rounded, swept
from bnexp.folders.pack import is_packed
from bnexp.folders.runs import STATUSES

TEXT, NUMBER, CHOICE = "text", "number", "choice"  # how a column is sorted and filtered
RESULTS = (  # column, title, decimals
    ("seed", "seed", 0),
    ("steps", "steps", 0),
    ("final_val_accuracy", "final validation accuracy", 4),
    ("best_val_accuracy", "best validation accuracy", 4),
    ("test_accuracy", "test accuracy", 4),
    ("test_log_loss", "test log loss", 4),
    ("total_seconds", "seconds", 1),
)


def relative_url(folder: str, start: Path) -> str:
    """A run's folder as seen from the page, to be opened in a browser; empty if it is packed."""
    if is_packed(folder):
        return ""
    try:
        path = os.path.relpath(folder, start)
    except ValueError:  # another drive
        return Path(folder).resolve().as_uri() + "/"
    return quote(os.fsencode(Path(path).as_posix())) + "/"


def runs_data(found: Runs, sweeps: Sequence[Runs], start: Path) -> dict[str, Any]:
    """All runs for the page's table: columns (title, kind, decimals), rows, and links.

    Args:
        found: all runs; sweep by sweep they are in `sweeps` too, with arms named within.
        start: the page's folder, from which the links go.
    """
    table = found.runs.copy()
    for runs in sweeps:
        table.loc[runs.runs.index, ARM] = runs.runs[ARM]
    keys = dict.fromkeys(key for runs in sweeps for key in swept(runs.runs))
    columns = [_text("run", [Path(run).name for run in table.index])]
    columns += [_text("sweep", _column(table, SWEEP)), _choice("status", _column(table, "status"))]
    columns += [_text("arm", _column(table, ARM))] + [_setting(table, key) for key in keys]
    columns += [_number(table, *result) for result in RESULTS]
    columns += [_text("error", [error_text(error) for error in _column(table, "error")])]
    rows = zip(*(column.pop("values") for column in columns), strict=True)
    urls = [relative_url(run, start) for run in table.index]
    return {"columns": columns, "rows": [list(row) for row in rows], "urls": urls}


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    return table[name] if name in table else pd.Series(None, index=table.index, dtype=object)


def _text(title: str, values: Iterable[Any]) -> dict[str, Any]:
    return {"title": title, "kind": TEXT, "values": list(values)}


def _choice(title: str, values: Iterable[Any]) -> dict[str, Any]:
    return {**_text(title, values), "kind": CHOICE, "choices": [*STATUSES, UNFINISHED]}


def _number(table: pd.DataFrame, name: str, title: str, decimals: int) -> dict[str, Any]:
    values = rounded(pd.to_numeric(_column(table, name)).to_numpy(float), 7)
    return {"title": title, "kind": NUMBER, "decimals": decimals, "values": values}


def _setting(table: pd.DataFrame, key: str) -> dict[str, Any]:
    """A config key's column: numbers where all are."""
    values = _column(table, key)
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        numbers = rounded(values.to_numpy(float), 17)
        return {"title": key, "kind": NUMBER, "decimals": None, "values": numbers}
    known = texts(values)
    return _text(key, [known[value_key(value)] for value in values])


def error_text(error: Any) -> str:
    """ "ValueError: what it said" from result.json's `error`; empty without one."""
    if isinstance(error, Mapping):
        return f"{error.get('type', 'error')}: {error.get('message', '')}"
    return "" if error is None or error != error else str(error)
