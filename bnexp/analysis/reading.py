"""Many runs read at once: their tables are parsed together, not file by file."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bnexp.analysis.consistency import check_pair, wrong_histories, wrong_probes
from bnexp.analysis.versions import in_todays_words
from bnexp.config import ConfigError
from bnexp.folders import runs as folders
from bnexp.folders import tables
from bnexp.folders.errors import RunError
from bnexp.folders.runs import RunFiles
from bnexp.folders.state import UNFINISHED
from bnexp.folders.tables import HISTORY, HISTORY_COLUMNS, PROBE_COLUMNS, PROBES

TEXT_COLUMNS = ("probe", "layer", "statistic")


@dataclass(frozen=True)
class Records:
    """What run folders hold; a run is named by its folder as text.

    Attributes:
        rows: for each run, config (keys with dots) and result as one flat dict.
        history, probes: the tables of all runs, with the column `run`.
        problems: a line for each folder that could not be read.
    """

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    history: pd.DataFrame = field(default_factory=lambda: _empty(HISTORY_COLUMNS))
    probes: pd.DataFrame = field(default_factory=lambda: _empty(PROBE_COLUMNS))
    problems: list[str] = field(default_factory=list)

    def in_order(self, names: Iterable[str]) -> "Records":
        """The same with the runs in this order, so that sums do not depend on what was cached."""
        rows = {run: self.rows[run] for run in names if run in self.rows}
        return Records(rows, _by(rows, self.history), _by(rows, self.probes), self.problems)


def _by(rows: Mapping[str, Any], table: pd.DataFrame) -> pd.DataFrame:
    place = table["run"].map({run: i for i, run in enumerate(rows)})
    return table.iloc[np.argsort(place.to_numpy(), kind="stable")].reset_index(drop=True)


def _empty(columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=_dtype(name)) for name in ["run", *columns]})


def _dtype(column: str) -> type:
    return str if column in ("run", *TEXT_COLUMNS) else int if column == "step" else float


def merged(parts: Iterable[Records]) -> Records:
    """Several records as one, in their order."""
    known = [part for part in parts if part.rows or part.problems]
    if len(known) <= 1:
        return known[0] if known else Records()
    rows = {run: row for part in known for run, row in part.rows.items()}
    return Records(
        rows,
        _joined([part.history for part in known], HISTORY_COLUMNS),
        _joined([part.probes for part in known], PROBE_COLUMNS),
        [problem for part in known for problem in part.problems],
    )


def _joined(tables: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else _empty(columns)


def read_folders(members: Iterable[Path]) -> Records:
    """The content of run folders; what cannot be read becomes a problem."""
    return read_runs({folder: _files_of(folder) for folder in members})


def _files_of(folder: Path) -> RunFiles:
    return lambda name: folders.read_text(folder / name)


def read_runs(members: Mapping[Path, RunFiles]) -> Records:
    """What the files of runs say, wherever they lie; what cannot be read becomes a problem."""
    rows: dict[str, dict[str, Any]] = {}
    histories: dict[str, str] = {}
    probes: dict[str, str] = {}
    problems: dict[str, str] = {}
    for folder, files in members.items():
        run = str(folder)
        try:
            rows[run], ended = _row(folder, files)
            if (text := files(HISTORY)) is not None or ended:
                histories[run] = _table_text(text, folder / HISTORY, ended)
            if (text := files(PROBES)) is not None:
                probes[run] = _table_text(text, folder / PROBES, ended)
        except RunError as error:
            problems[run] = str(error)
    history = _parsed(histories, HISTORY, problems)
    probed = _parsed(probes, PROBES, problems)
    readable = {run: row for run, row in rows.items() if run not in problems}
    problems |= wrong_histories(history, readable) | wrong_probes(probed)
    for run in problems:
        rows.pop(run, None)
    history = history[~history["run"].isin(list(problems))]
    probed = probed[~probed["run"].isin(list(problems))]
    return Records(rows, history, probed, list(problems.values()))


def _row(folder: Path, files: RunFiles) -> tuple[dict[str, Any], bool]:
    """Config and result of a run, and whether it must have a history."""
    place = folder / "config.yaml"
    try:
        config = in_todays_words(folders.parsed_config(files(place.name) or "", place))
    except (ConfigError, RecursionError) as error:
        raise RunError(f"{place}: {error}") from error
    text = files("result.json")
    result: dict[str, Any] = {"status": UNFINISHED}
    if text is not None:
        result = folders.parsed_result(text, folder / "result.json")
    check_pair(folder, config, result)
    ended = result["status"] in (folders.FINISHED, folders.DIVERGED)
    return config | result, ended


def _table_text(text: str | None, path: Path, ended: bool) -> str:
    """A table's text, checked to be whole; of a run that is going on, less what is being written.

    Raises:
        RunError: there is none, or it is damaged.
    """
    if text is not None and not ended:
        text = tables.without_cut_row(text)
    tables.header(text, path)
    assert text is not None
    return text


def _parsed(texts: Mapping[str, str], name: str, problems: dict[str, str]) -> pd.DataFrame:
    """The tables of all runs as one; those that are no numbers are added to `problems`."""
    alike: dict[str, list[str]] = {}
    for run, text in texts.items():
        alike.setdefault(text.partition("\n")[0], []).append(run)
    found = []
    for header, members in alike.items():
        try:
            found.append(_table(header, {run: texts[run] for run in members}))
        except ValueError:  # which one is it?
            for run in members:
                try:
                    found.append(_table(header, {run: texts[run]}))
                except ValueError as error:
                    problems[run] = f"{Path(run) / name}: cannot be read ({error})"
    return _joined(found, tables.COLUMNS[name])


def _table(header: str, texts: Mapping[str, str]) -> pd.DataFrame:
    names = header.split(",")
    body = "".join(text.partition("\n")[2] for text in texts.values())
    table = pd.read_csv(
        io.StringIO(f"{header}\n{body}"),
        dtype={name: float if name == "step" else _dtype(name) for name in names},
    )
    counts = [text.count("\n") - 1 for text in texts.values()]
    table.insert(0, "run", np.repeat(np.array(list(texts), object), counts))
    return table.astype({"step": int, "run": str})
