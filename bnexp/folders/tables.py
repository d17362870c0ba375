"""The tables of a run's folder: the one place where they are written, checked and taken apart.

Columns are known by name. A reader takes those that it needs, wherever they stand and whatever
further ones there are, so that runs of older and newer versions are read together.
"""

import contextlib
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bnexp.folders.errors import RunError

HISTORY, PROBES, PREDICTIONS = "history.csv", "probes.csv", "predictions.csv"
HISTORY_COLUMNS = ("step", "epoch", "train_loss", "val_loss", "val_accuracy", "seconds")
PROBE_COLUMNS = ("step", "probe", "layer", "statistic", "value")
PREDICTION_COLUMNS = ("label",)  # then p0, p1, ...: the probability of each class
COLUMNS = {
    HISTORY: HISTORY_COLUMNS,
    PROBES: PROBE_COLUMNS,
    PREDICTIONS: PREDICTION_COLUMNS,
}


def write_atomically(path: Path, text: str) -> None:
    """Writes aside and moves into place, so that a reader sees the old text or the new."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_text(text, encoding="utf-8", newline="\n")
        aside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise


class TableFile:
    """A table on disk that rows are appended to.

    Args:
        path: the file; what was there is replaced at the first `begin`.
        columns: its header.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path, self._columns = path, tuple(columns)

    def begin(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        """Replaces the file by the header and these rows."""
        lines = [",".join(self._columns), *map(self._line, rows)]
        write_atomically(self._path, "".join(f"{line}\n" for line in lines))

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Adds rows at the end."""
        with self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.write("".join(f"{self._line(row)}\n" for row in rows))

    def _line(self, row: Mapping[str, Any]) -> str:
        return ",".join(cell(row.get(column)) for column in self._columns)


def cell(value: float | int | str | None) -> str:
    """9 significant digits tell any two float32 apart; what is not a finite number is empty."""
    if isinstance(value, str):
        return value
    if value is None or not math.isfinite(value):
        return ""
    return str(value) if isinstance(value, int) else f"{value:.9g}"


def header(text: str | None, path: Path, *, known: bool = True) -> list[str]:
    """The columns of a table's text, which is checked to be whole.

    Args:
        text: the file's; None: there is no file.
        path: where it lies, for messages.
        known: the columns that its readers need must be there.

    Raises:
        RunError: there is none, it lacks columns, is cut off, or has rows of unequal length.
    """
    if text is None:
        raise RunError(f"{path}: cannot be read (there is no such file)")
    first = text.partition("\n")[0].rstrip("\r")
    columns = first.split(",")
    missing = [name for name in COLUMNS.get(path.name, ()) if name not in columns]
    if missing and known:
        raise RunError(f"{path}: lacks the columns {', '.join(missing)}")
    if len(set(columns)) < len(columns):
        raise RunError(f"{path}: damaged (two columns of one name)")
    if not text.endswith("\n") or text.count(",") != first.count(",") * text.count("\n"):
        raise RunError(f"{path}: damaged (cut off, or rows of unequal length)")
    return columns


def last_row(text: str) -> dict[str, str]:
    """The last whole row's cells by column; empty if there is none."""
    lines = text.splitlines()
    if len(lines) > 1 and not text.endswith("\n"):
        lines.pop()
    columns = lines[0].split(",") if lines else []
    cells = lines[-1].split(",") if len(lines) > 1 else []
    return dict(zip(columns, cells, strict=True)) if len(cells) == len(columns) else {}


def without_cut_row(text: str) -> str:
    """A table of a run that is going on, less the row that is just being written."""
    return text if text.endswith("\n") else text[: text.rfind("\n") + 1]
