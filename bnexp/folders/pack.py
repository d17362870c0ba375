"""Many runs as one small file, to be committed or sent: `runs.parquet`.

A pack holds the files of runs to the letter, so it says all that the folders say, and `unpack`
gives every byte back. A row is a run: `sweep`, `run`, each small file as text, and of each table
one text a column (`history.csv:val_loss`, a line a cell), as columns compress far better than
rows; nine digits as text take no more room, once compressed, than as numbers. Logs and
checkpoints are left out. Analysis reads packs like folders: see `bnexp.analysis.loading`.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bnexp.folders import commands, tables, trials
from bnexp.folders.runs import PACK, PROFILE, RunError, write_atomically

TEXTS = ("config.yaml", "result.json", PROFILE)
TABLES = tuple(tables.COLUMNS)
OF_SWEEPS = {"commands": commands.FILE, "trials": trials.FILE}  # metadata's key, and file
VERSION = "1"  # raised when packs change so that older programs cannot read them
FIXED = ("sweep", "run", *TEXTS, *TABLES)  # a table's own column is its header
WHOLE = 1 << 30  # bytes of a page, rows of a group: repetition is found across the file


@dataclass(frozen=True)
class Content:
    """What a pack holds.

    Attributes:
        runs: for each sweep and run, its files' text by name.
        sweeps: for each sweep the text of the files that are not of a single run, by name.
    """

    runs: dict[str, dict[str, dict[str, str]]]
    sweeps: dict[str, dict[str, str]]


def pack(folders: Iterable[Path], target: Path, root: Path) -> None:
    """Writes run folders into one file; the same folders give the same bytes.

    Args:
        folders: the runs' folders.
        target: the file; its name must be `runs.parquet`, by which it is found.
        root: a sweep is named by its path below this folder.

    Raises:
        RunError: a run's file cannot be read or is damaged, or the target has another name.
    """
    if target.name != PACK:
        raise RunError(f"{target}: a pack must be named {PACK}")
    chosen = sorted(set(folders))
    rows = [
        {"sweep": folder.parent.relative_to(root).as_posix(), "run": folder.name} | _row(folder)
        for folder in chosen
    ]
    names = [*FIXED, *sorted({name for row in rows for name in row} - set(FIXED))]
    table = pa.table(
        {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
    )
    noted = {key: _noted(root, _sweeps(rows), name) for key, name in OF_SWEEPS.items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.new")
    with pq.ParquetWriter(
        aside,
        table.schema,
        compression="zstd",
        compression_level=19,
        use_dictionary=False,
        column_encoding=dict.fromkeys(names, "DELTA_LENGTH_BYTE_ARRAY"),
        data_page_size=WHOLE,
        write_statistics=False,
        write_page_checksum=True,
    ) as writer:
        writer.write_table(table, row_group_size=WHOLE)
        writer.add_key_value_metadata({"bnexp_pack": VERSION, **noted})  # once, at the end
    aside.replace(target)


def _noted(root: Path, sweeps: Iterable[str], name: str) -> str:
    """The texts of one file of all sweeps, as JSON."""
    texts = {sweep: read_exactly(root / sweep / name) for sweep in sweeps}
    return json.dumps({sweep: text for sweep, text in texts.items() if text is not None})


def _sweeps(rows: Iterable[Mapping[str, str]]) -> list[str]:
    return list(dict.fromkeys(row["sweep"] for row in rows))


def read_exactly(path: Path) -> str | None:
    """A file's text with its line ends as they are; None if there is no file.

    Raises:
        RunError: it cannot be read.
    """
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error})") from error


def _row(folder: Path) -> dict[str, str]:
    """The files of a run as cells of the pack."""
    texts = {name: read_exactly(folder / name) for name in (*TEXTS, *TABLES)}
    row = {name: text for name, text in texts.items() if text is not None}
    if "config.yaml" not in row:
        raise RunError(f"{folder}: no run's folder (lacks config.yaml)")
    for name in TABLES:
        if name in row:
            row |= _split(row[name], folder / name)
    return row


def _split(text: str, path: Path) -> dict[str, str]:
    """A table as its header and a text for each column, in which every cell ends its line.

    Raises:
        RunError: it is cut off, has rows of unequal length, or two columns of one name.
    """
    if "\r" in text:
        raise RunError(f"{path}: has line ends of Windows; a pack keeps files to the letter")
    tables.header(text, path, known=False)
    header, *rows = [line.split(",") for line in text.split("\n")[:-1]]
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    cells = {
        f"{path.name}:{name}": "".join(f"{cell}\n" for cell in column)
        for name, column in zip(header, columns, strict=True)
    }
    return {path.name: ",".join(header), **cells}


def _joined(row: Mapping[str, str], name: str) -> str:
    """The inverse of `_split`."""
    header = row[name]
    columns = [row[f"{name}:{column}"].split("\n")[:-1] for column in header.split(",")]
    return "".join(f"{line}\n" for line in [header, *map(",".join, zip(*columns, strict=True))])


def read(path: Path) -> Content:
    """Everything in a pack, sweeps and runs in order.

    Raises:
        RunError: it is damaged, another version's, or no pack at all.
    """
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        noted = _sweep_texts(file, path)
        table = file.read()
        runs: dict[str, dict[str, dict[str, str]]] = {}
        for cells in table.to_pylist():
            row = {name: text for name, text in cells.items() if text is not None}
            files = {name: row[name] for name in TEXTS if name in row}
            files |= {name: _joined(row, name) for name in TABLES if name in row}
            runs.setdefault(row["sweep"], {})[row["run"]] = files
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        raise RunError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
    return Content(runs, noted)


def _sweep_texts(file: pq.ParquetFile, path: Path) -> dict[str, dict[str, str]]:
    """The files of whole sweeps; they stand at the file's end, and are read without the runs.

    Raises:
        RunError: no pack of this version.
    """
    metadata = file.metadata.metadata or {}
    if metadata.get(b"bnexp_pack") != VERSION.encode():
        raise RunError(f"{path}: no pack of runs, or one of another version")
    found: dict[str, dict[str, str]] = {}
    for key, name in OF_SWEEPS.items():
        for sweep, text in json.loads(metadata.get(key.encode(), b"{}")).items():
            found.setdefault(sweep, {})[name] = text
    return found


def unpack(path: Path, target: Path, sweeps: Collection[str] = ()) -> list[Path]:
    """Writes a pack's runs as folders `target/<sweep>/<run>/`, and returns these.

    Args:
        path: the pack.
        target: receives the sweeps' folders.
        sweeps: those wanted; none named: all.

    Raises:
        RunError: the pack cannot be read, or a folder is there already with other content.
    """
    content = read(path)
    files = {
        target / sweep / run / name: text
        for sweep, runs in content.runs.items()
        if sweep in (sweeps or content.runs)
        for run, texts in runs.items()
        for name, text in texts.items()
    }
    logs = {
        target / sweep / name: text
        for sweep, texts in content.sweeps.items()
        if sweep in (sweeps or content.runs)
        for name, text in texts.items()
    }
    for file, text in files.items():
        if read_exactly(file) not in (None, text):
            raise RunError(f"{file}: is there already, with other content")
    for file, text in (files | logs).items():
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            write_atomically(file, text)
    return list(dict.fromkeys(file.parent for file in files))


def is_packed(run: Path | str) -> bool:
    """Whether a run, as the analysis names it, lies in a pack: `.../runs.parquet/fig1/0a1b...`."""
    return PACK in Path(run).parts


def command_lines(sweep: Path) -> list[str]:
    """What was typed to make the runs of a sweep, in a folder or in a pack, as far as noted.

    Raises:
        RunError: the pack cannot be read.
    """
    if not is_packed(sweep):
        log = sweep / commands.FILE
        return (
            log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
        )
    return (sweep_text(sweep, commands.FILE) or "").splitlines()


def _pack_of(place: Path) -> Path:
    return next(part for part in (place, *place.parents) if part.name == PACK)


def run_table(run: Path, name: str) -> str | None:
    """The text of a table of one run, in a folder or in a pack; None: it has none.

    Raises:
        RunError: it cannot be read.
    """
    if not is_packed(run):
        return read_exactly(run / name)
    path = _pack_of(run)
    sweep = run.parent.relative_to(path).as_posix()
    try:
        known = pq.ParquetFile(path).schema_arrow.names
        columns = [one for one in known if one == name or one.startswith(f"{name}:")]
        chosen = [("sweep", "=", sweep), ("run", "=", run.name)]
        [row] = pq.read_table(path, columns=columns, filters=chosen).to_pylist() or [{}]
    except (OSError, pa.ArrowException, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error})") from error
    return None if row.get(name) is None else _joined(row, name)


def members(path: Path) -> list[Path]:
    """The places of the runs in a pack.

    Raises:
        RunError: it cannot be read.
    """
    rows = _rows(path, ["sweep", "run"])
    return [path / row["sweep"] / row["run"] for row in rows]


def texts(run: Path) -> dict[str, str]:
    """The small files of one packed run, by name; its tables are not among them.

    Raises:
        RunError: the pack cannot be read, or has no such run.
    """
    path = _pack_of(run)
    sweep = run.parent.relative_to(path).as_posix()
    chosen = [("sweep", "=", sweep), ("run", "=", run.name)]
    found = _rows(path, list(TEXTS), chosen)
    if len(found) != 1:
        raise RunError(f"{run}: the pack has no such run")
    return {name: text for name, text in found[0].items() if text is not None}


def _rows(
    path: Path, columns: list[str], chosen: list[tuple[str, str, str]] | None = None
) -> list[dict[str, Any]]:
    try:
        return list(pq.read_table(path, columns=columns, filters=chosen).to_pylist())
    except (OSError, pa.ArrowException, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error


def sweep_text(sweep: Path, name: str) -> str | None:
    """A file of a packed sweep that is not of a single run; None: it has none.

    Raises:
        RunError: the pack cannot be read.
    """
    path = _pack_of(sweep)
    texts = _sweep_texts(pq.ParquetFile(path), path)
    return texts.get(sweep.relative_to(path).as_posix(), {}).get(name)
