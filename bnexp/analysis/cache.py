"""What a report read of its sweeps' runs: a Parquet file each, that is never trusted blindly.

A row holds one run: its flat config and result as JSON, its tables as lists, and a signature
of its files. It is used only while the signature is unchanged and the code that reads is the
same. A run whose files changed within the last seconds is not kept, as a file system's clock
may be too coarse to show one more change.

The files lie in the report's folder: nothing is written where runs are read.
"""

import contextlib
import functools
import hashlib
import json
import os
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bnexp.analysis.reading import Records
from bnexp.config.places import search_folders

FILES = ("config.yaml", "result.json", "history.csv", "probes.csv")
FOLDER = Path(".cache") / "runs"  # within a report's folder
SETTLED_NS = 2_000_000_000
TABLES = ("history", "probes")


def signature(folder: Path) -> str:
    """Changes with every change of a run's files; empty while they are too fresh to tell."""
    stamps: list[tuple[int, ...] | None] = []
    newest = 0
    for name in FILES:
        try:
            found = (folder / name).stat()
        except OSError:
            stamps.append(None)
            continue
        newest = max(newest, found.st_mtime_ns, found.st_ctime_ns)
        stamps.append((found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino))
    return repr(stamps) if time.time_ns() - newest > SETTLED_NS else ""


@functools.cache
def _reader() -> str:
    """Stands for the code that reads: another version's cache is not used."""
    package = Path(__file__).resolve().parents[1]
    options = [path for folder in search_folders() for path in folder.glob("*/*.yaml")]
    sources = [path.read_bytes() for path in [*sorted(package.rglob("*.py")), *sorted(options)]]
    return hashlib.sha256(b"".join(sources)).hexdigest()


class Cache:
    """What was read of sweeps, in a folder that is written to by `write` alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changed: dict[Path, pa.Table] = {}

    def _file(self, sweep: Path) -> Path:
        name = os.fsencode(sweep.absolute())
        return self._folder / f"{hashlib.sha256(name).hexdigest()[:20]}.parquet"

    def get(self, sweep: Path, signatures: Mapping[Path, str]) -> Records:
        """The runs that are known and unchanged; none if there is no (readable) file."""
        try:
            file = pq.ParquetFile(self._file(sweep))
            if (file.schema_arrow.metadata or {}).get(b"reader") != _reader().encode():
                return Records()
            table = file.read()
        except (OSError, pa.ArrowException):
            return Records()
        wanted = {folder.name: stamp for folder, stamp in signatures.items() if stamp}
        pairs = zip(table["folder"].to_pylist(), table["signature"].to_pylist(), strict=True)
        table = table.filter(pa.array([wanted.get(folder) == stamp for folder, stamp in pairs]))
        names = [str(sweep / folder) for folder in table["folder"].to_pylist()]
        rows = dict(zip(names, map(json.loads, table["row"].to_pylist()), strict=True))
        history, probes = (_flat(table, prefix, names) for prefix in TABLES)
        return Records(rows, history, probes)

    def put(self, sweep: Path, records: Records, signatures: Mapping[Path, str]) -> None:
        """Takes in what was read, in place of what was kept."""
        kept = {
            str(folder): stamp
            for folder, stamp in signatures.items()
            if stamp and str(folder) in records.rows and _is_unicode(folder.name)
        }
        if not kept:
            return
        columns: dict[str, Any] = {
            "folder": [Path(run).name for run in kept],
            "signature": list(kept.values()),
            "row": [json.dumps(records.rows[run]) for run in kept],
        }
        for prefix in TABLES:
            columns |= _nested(getattr(records, prefix), prefix, list(kept))
        table = pa.table(columns).replace_schema_metadata({"reader": _reader()})
        self._changed[self._file(sweep)] = table

    def write(self) -> None:
        """Writes what was taken in; not being able to is no error."""
        for path, table in self._changed.items():
            aside = path.with_name(f"{path.name}.{os.getpid()}")
            with contextlib.suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(table, aside, compression="zstd")
                aside.replace(path)


def _is_unicode(name: str) -> bool:
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def _nested(table: pd.DataFrame, prefix: str, names: Collection[str]) -> dict[str, pa.Array]:
    """The columns of a table as lists, one a run, in the order of `names`."""
    position = {run: i for i, run in enumerate(names)}
    place = table["run"].map(position)
    table = table[place.notna()].assign(_place=place.dropna().astype(int))
    table = table.sort_values("_place", kind="stable")
    counts = np.bincount(table["_place"], minlength=len(names))
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    return {
        f"{prefix}.{column}": pa.ListArray.from_arrays(offsets, _in_one_piece(table[column]))
        for column in table.columns
        if column not in ("run", "_place")
    }


def _in_one_piece(column: pd.Series) -> pa.Array:
    """A column as Arrow has it; text that was put together from parts comes in chunks."""
    array = pa.array(column)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _flat(table: pa.Table, prefix: str, names: list[str]) -> pd.DataFrame:
    """The inverse of `_nested`."""
    columns: dict[str, Any] = {}
    for column in table.column_names:
        if column.startswith(f"{prefix}."):
            lists = table[column].combine_chunks()
            columns[column.removeprefix(f"{prefix}.")] = lists.flatten().to_pandas()
    counts = pc.list_value_length(table[f"{prefix}.step"]).to_numpy()
    run = pd.Series(np.repeat(np.array(names, object), counts), dtype=str)
    return pd.DataFrame({"run": run, **columns})
