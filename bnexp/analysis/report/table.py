"""The page's table of runs: a row each, with its settings, results and a link to its folder."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from bnexp.analysis.loading import SEED, SWEEP, UNFINISHED, Runs
from bnexp.analysis.naming import ARM, texts, value_key, varying
from bnexp.analysis.report.data import of_arm
from bnexp.analysis.report.encoding import rounded
from bnexp.analysis.report.results import RESULTS
from bnexp.folders.pack import is_packed
from bnexp.folders.runs import STATUSES

TEXT, NUMBER, CHOICE = "text", "number", "choice"  # how a column is sorted and filtered
NUMBERS = (  # column, title, decimals
    *((name, title, 4) for name, title in RESULTS.items()),
    ("steps", "steps", 0),
    ("total_seconds", "seconds", 1),
    (SEED, "seed", 0),
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
    """All runs for the page's table.

    Keys: columns (title, kind, decimals, and a value a run: `values`, or of few different ones
    their `names` and the `index` of each run's), urls (of the folders), settings (the same for
    every config key in which any two runs differ, and the seed), shared (key and value of all
    others), sweeps (for each by name the keys that tell its runs apart), in the order of the page.

    Args:
        found: all runs; sweep by sweep they are in `sweeps` too, with arms named within.
        start: the page's folder, from which the links go.
    """
    table = found.runs.copy()
    for runs in sweeps:
        table.loc[runs.runs.index, ARM] = runs.runs[ARM]
    told = {str(runs.runs[SWEEP].iloc[0]): varying(runs.runs) for runs in sweeps}
    keys = dict.fromkeys(key for some in told.values() for key in some if not of_arm(key))
    columns = [_text("run", [Path(run).name for run in table.index])]
    columns += [_named(SWEEP, table[SWEEP]), _choice("status", _column(table, "status"))]
    columns += [_named(ARM, _column(table, ARM))]
    columns += [_number(table, *result) for result in NUMBERS]
    columns += [_setting(table, key) for key in keys]
    columns += [_named("error", [error_text(error) for error in _column(table, "error")])]
    differing, shared = _told_apart(table)
    return {
        "columns": columns,
        "urls": [relative_url(run, start) for run in table.index],
        "settings": [_texts(table, key) for key in differing],
        "shared": [[key, texts(table[key].head(1)).popitem()[1]] for key in shared],
        "sweeps": told,
    }


def _told_apart(table: pd.DataFrame) -> tuple[list[str], list[str]]:
    """The config keys, with the seed, that any two runs differ in, and those that all share."""
    keys = [key for key in table.columns if "." in key]
    keys += [SEED] if SEED in table else []
    differing = [key for key in keys if table[key].nunique(dropna=False) > 1]
    return differing, [key for key in keys if key not in differing]


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    return table[name] if name in table else pd.Series(None, index=table.index, dtype=object)


def _text(title: str, values: Iterable[Any]) -> dict[str, Any]:
    return {"title": title, "kind": TEXT, "values": list(values)}


def _named(title: str, values: Iterable[Any]) -> dict[str, Any]:
    """A column of text in which the same few values come again and again."""
    index, names = pd.factorize(pd.Series(list(values), dtype=object))
    return {"title": title, "kind": TEXT, "names": list(names), "index": index.tolist()}


def _choice(title: str, values: Iterable[Any]) -> dict[str, Any]:
    return {**_named(title, values), "kind": CHOICE, "choices": [*STATUSES, UNFINISHED]}


def _number(table: pd.DataFrame, name: str, title: str, decimals: int) -> dict[str, Any]:
    values = rounded(pd.to_numeric(_column(table, name)).to_numpy(float), 7)
    return {"title": title, "kind": NUMBER, "decimals": decimals, "values": values}


def _setting(table: pd.DataFrame, key: str) -> dict[str, Any]:
    """A config key's column: numbers where all are."""
    values = _column(table, key)
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        numbers = rounded(values.to_numpy(float), 17)
        return {"title": key, "kind": NUMBER, "decimals": None, "values": numbers}
    return _texts(table, key)


def _texts(table: pd.DataFrame, key: str) -> dict[str, Any]:
    """A setting's values as text, each once."""
    values = _column(table, key)
    known = texts(values)
    return _named(key, [known[value_key(value)] for value in values])


def error_text(error: Any) -> str:
    """ "ValueError: what it said" from result.json's `error`; empty without one."""
    if isinstance(error, Mapping):
        return f"{error.get('type', 'error')}: {error.get('message', '')}"
    return "" if error is None or error != error else str(error)
