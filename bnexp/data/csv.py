"""Tables of numbers as text: a row for each image, with a column for its label."""

from collections import Counter
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as tables

from bnexp.config.types import Place, Widths
from bnexp.data.arrays import Arrays
from bnexp.data.errors import DataError
from bnexp.data.files import files_of
from bnexp.data.naming import part_of

_SUFFIXES = (".csv", ".tsv", ".txt", ".gz", ".bz2")


def csv(
    path: Place,
    label: str = "label",
    shape: Widths | None = None,
    ignore: list[str] | None = None,
) -> Arrays:
    """Images or other numbers from CSV files: one row each, a column of labels, the others pixels.

    Columns are separated by commas, semicolons or tabs; files may be compressed (.csv.gz).

    Args:
        path: a file; or a folder or pattern with files named train, test and val (train.csv,
            mnist_test.csv). ~ is the home folder.
        label: name of the column with the labels, numbers or text; first or last in files
            without a line of names.
        shape: height and width, or height, width and channels, of an image; null: square where
            the number of pixels is a square, otherwise a row.
        ignore: names of columns that are neither label nor pixels.

    Raises:
        DataError: no such file or column, pixels that are no numbers, or a shape that does not
            fit.
    """
    source = f"data.path={path}"
    files = files_of(path)
    single = files == [Path(path).expanduser()]
    parts = {"train": files[0]} if single else _parts(files, source)
    arrays: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    names: list[str] | None = None
    for part, file in parts.items():
        table = _Table(file, label, ignore or [], source if single else f"{source} ({file.name})")
        if names not in (None, table.pixels):
            raise DataError(f"{source}: {file.name} has other columns than {parts['train'].name}")
        names = table.pixels
        images, arrays[f"y_{part}"] = table.read()
        arrays[f"x_{part}"] = _shaped(images, shape, source)
        notes = table.notes
    return Arrays(**arrays, notes=notes)


def _parts(files: list[Path], source: str) -> dict[str, Path]:
    """Files by the part that their names tell, train first."""
    parts: dict[str, Path] = {}
    for file in files:
        part = part_of(file.name)
        if part is None or file.suffix.lower() not in _SUFFIXES:
            continue
        if part in parts:
            raise DataError(
                f"{source}: {parts[part].name} and {file.name} are both {part}; name those of one "
                "dataset by a pattern, as 'data.path=tables/mnist_*.csv'"
            )
        parts[part] = file
    if "train" not in parts:
        raise DataError(
            f"{source}: no file here has train in its name; has "
            f"{', '.join(file.name for file in files[:5])}; give one of them as data.path"
        )
    return {"train": parts.pop("train"), **parts}


class _Table:
    """A file whose columns are known."""

    def __init__(self, file: Path, label: str, ignored: list[str], source: str) -> None:
        self._file, self._source = file, source
        first = self._first_line()
        self._separator = max(",;\t", key=first.count)
        fields = [field.strip().strip('"') for field in first.split(self._separator)]
        self._has_names = not all(map(_is_number, fields))
        places = [f"column {i}" for i in range(1, len(fields) + 1)]
        self._columns = fields if self._has_names else places
        self._label = self._label_column(label)
        self._check(ignored)
        left_out = {self._label, "", *ignored}
        self.pixels = [name for name in self._columns if name not in left_out]
        if not self.pixels:
            raise DataError(f"{source}: no column but {', '.join(fields)}; give pixels as columns")
        self.notes = ("a column without a name left out",) if "" in self._columns else ()

    def read(self) -> tuple[np.ndarray, list[str]]:
        """(n, pixels), uint8 where all are whole numbers 0..255, and n labels."""
        table = self._table()
        if not table.num_rows:
            raise DataError(f"{self._source}: has no rows; give a row for each image")
        columns = [table.column(name) for name in self.pixels]
        bytes_all = all(one.type == pa.uint8() and not one.null_count for one in columns)
        images = np.empty((len(columns), table.num_rows), np.uint8 if bytes_all else np.float64)
        for place, column in enumerate(columns):
            images[place] = column.to_numpy()
        labels = [label.strip() for label in table.column(self._label).to_pylist()]
        return np.ascontiguousarray(images.T), labels

    def _first_line(self) -> str:
        try:
            with pa.input_stream(str(self._file), compression="detect") as stream:
                start = b""
                while b"\n" not in start and (more := stream.read(1 << 16)):
                    start += more
            return start.decode("utf-8-sig").splitlines()[0]
        except IndexError as error:
            raise DataError(f"{self._source}: an empty file; give a row for each image") from error
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> DataError:
        reason = str(error).split("\n")[0]
        return DataError(
            f"{self._source}: cannot be read as CSV ({reason[:200]}); give a line for each image, "
            "all with the same columns"
        )

    def _label_column(self, label: str) -> str:
        if not self._has_names and label in ("first", "last"):
            return self._columns[0 if label == "first" else -1]
        if not self._has_names:
            raise DataError(
                f"{self._source}: no line with the names of columns; data.label=first or "
                "data.label=last says where the labels are"
            )
        if label in self._columns:
            return label
        names = [name or "''" for name in self._columns]
        shown = ", ".join(names if len(names) < 8 else [*names[:5], "...", names[-1]])
        raise DataError(
            f"{self._source}: no column '{label}' (has {shown}); data.label=NAME names the column "
            "of the labels; a file without labels must be left out"
        )

    def _check(self, ignored: list[str]) -> None:
        missing = [name for name in ignored if name not in self._columns]
        if missing:
            raise DataError(
                f"{self._source}: data.ignore names {', '.join(missing)}, which is no column; "
                "leave it out"
            )
        twice = [name for name, count in Counter(self._columns).items() if name and count > 1]
        if twice:
            raise DataError(
                f"{self._source}: more than one column is called {', '.join(twice)}; rename them"
            )

    def _table(self) -> pa.Table:
        """What is used of it: pixels as bytes if they can be, otherwise as the numbers they are."""
        try:
            try:
                return self._read(dict.fromkeys(self.pixels, pa.uint8()))
            except pa.ArrowInvalid:
                table = self._read({})
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error
        for name in self.pixels:
            kind = table.column(name).type
            if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
                raise DataError(
                    f"{self._source}: column '{name}' holds {kind}, not pixels; "
                    f"data.ignore=[{name}] leaves it out"
                )
        return table

    def _read(self, types: dict[str, Any]) -> pa.Table:
        names = [name or f"unnamed {i}" for i, name in enumerate(self._columns)]
        text = {self._label: pa.string()}  # a class may be called NA
        return tables.read_csv(
            str(self._file),
            tables.ReadOptions(column_names=names, skip_rows=int(self._has_names)),
            tables.ParseOptions(delimiter=self._separator),
            tables.ConvertOptions(
                column_types=types | text, include_columns=[*self.pixels, self._label]
            ),
        )


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _shaped(images: np.ndarray, shape: list[int] | None, source: str) -> np.ndarray:
    if shape is None:
        return images
    if prod(shape) != images.shape[1] or len(shape) not in (2, 3):
        raise DataError(
            f"{source}: data.shape={shape} does not fit {images.shape[1]} pixels; give "
            "[height,width] or [height,width,channels] of that product"
        )
    return images.reshape(-1, *shape)
