"""Run folders and packs of runs as tidy DataFrames."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bnexp.analysis import cache
from bnexp.analysis.naming import ARM, CONDITION, with_names
from bnexp.analysis.reading import UNFINISHED, Records, merged, read_folders, read_runs
from bnexp.config import nearest
from bnexp.folders import pack
from bnexp.folders.runs import PACK, RunError, find_run_folders

__all__ = ["SWEEP", "UNFINISHED", "Runs", "load_runs"]

SWEEP = "sweep"


@dataclass(frozen=True)
class Runs:
    """Many runs.

    Attributes:
        runs: one row per run, indexed by `run` (its folder as text; of a packed run, its place
            in the pack: `runs.parquet/<sweep>/<run_id>`). Columns: `sweep` (see `sweep_names`),
            every config key with dots (`optimizer.lr`), `seed`, the fields of result.json, and
            `arm` and `condition`, by which runs are compared.
        history: one row per evaluation, with the column `run`.
        probes: one row per probed value (`step,probe,layer,statistic,value`) with `run`.
        problems: a line for each folder or pack that could not be read.
    """

    runs: pd.DataFrame
    history: pd.DataFrame
    probes: pd.DataFrame
    problems: Sequence[str] = ()

    @property
    def sweeps(self) -> list[str]:
        """The sweeps' names, sorted."""
        return [] if self.runs.empty else sorted(self.runs[SWEEP].unique())

    def of_sweep(self, sweep: str) -> "Runs":
        """The runs of one sweep, with arms and conditions named by what varies within it."""
        return self.select(self.runs[SWEEP] == sweep)

    def where(self, settings: Mapping[str, Any]) -> "Runs":
        """The runs with these settings: `{"norm": "batch", "optimizer.lr": [0.1, 1]}`.

        A value may be a list of values; a group's name stands for its kind.

        Raises:
            RunError: no run has such a key.
        """
        mask = pd.Series(True, index=self.runs.index)
        for key, value in settings.items():
            column = f"{key}.kind" if f"{key}.kind" in self.runs else key
            if column not in self.runs:
                hint = nearest(key, map(str, self.runs.columns))
                raise RunError(f"no run has the key '{key}'{hint}")
            mask &= self.runs[column].isin(value if isinstance(value, list) else [value])
        return self.select(mask)

    def select(self, mask: pd.Series, free: Sequence[str] = ()) -> "Runs":
        """The runs where the mask (by `run`) is true, with names that tell these apart.

        Settings in `free` do not count in the names.
        """
        chosen = self.runs[mask]
        if len(chosen):
            chosen = with_names(chosen.drop(columns=[ARM, CONDITION]), free)
        history = self.history[self.history["run"].isin(chosen.index)]
        probes = self.probes[self.probes["run"].isin(chosen.index)]
        return Runs(chosen, history, probes)


def load_runs(*roots: Path | str, cached: bool = True) -> Runs:
    """Every run folder at or below the given folders, and the runs of a pack in one of them.

    A pack further below is left alone: the reference runs in outputs/ are not the user's own.
    Damaged runs are named in `problems`.

    What was read is kept in each sweep's folder (`.cache/runs.parquet`) and used again while
    a run's files are untouched; `cached=False` neither reads nor writes there.

    Raises:
        RunError: a folder does not exist.
    """
    paths = [Path(root) for root in roots]
    for path in paths:
        if not path.is_dir():
            raise RunError(f"{path}: no such folder")
    sweeps: dict[Path, list[Path]] = {}
    for folder in find_run_folders(paths):
        sweeps.setdefault(folder.parent, []).append(folder)
    of_folders = [_of_folder(*sweep, cached=cached) for sweep in sweeps.items()]
    packs = [path / PACK for path in dict.fromkeys(paths) if (path / PACK).is_file()]
    of_packs = [_of_pack(path) for path in packs]
    read = merged([*of_folders, *of_packs])
    names = sweep_names(dict.fromkeys(Path(run).parent for run in read.rows), paths)
    rows = [{"run": run, SWEEP: names[Path(run).parent], **row} for run, row in read.rows.items()]
    table = pd.DataFrame(rows)
    if len(table):
        table = with_names(table.set_index("run"))
    return Runs(table, read.history, read.probes, read.problems)


def sweep_names(sweeps: Iterable[Path], roots: Sequence[Path]) -> dict[Path, str]:
    """A name for each sweep's folder: its path below a root, or its own name at the root.

    A packed sweep has the name of a folder beside the pack. Two sweeps never share a name, as
    copies of a run in both would count as further seeds: where they would, both are named by
    their whole paths.
    """
    names = {}
    for sweep in sweeps:
        place = Path(*(part for part in sweep.parts if part != PACK))
        below = [place.relative_to(root) for root in roots if root in place.parents]
        names[sweep] = below[0].as_posix() if below else place.resolve().name
    counts = Counter(names.values())
    return {sweep: name if counts[name] == 1 else sweep.as_posix() for sweep, name in names.items()}


def _of_folder(sweep: Path, members: Iterable[Path], *, cached: bool) -> Records:
    if not cached:
        return read_folders(members)
    signatures = {folder: cache.signature(folder) for folder in members}
    known = cache.read(sweep, signatures)
    missing = [folder for folder in signatures if str(folder) not in known.rows]
    if not missing:
        return known
    everything = merged([known, read_folders(missing)]).in_order(map(str, signatures))
    cache.write(sweep, everything, signatures)
    return everything


def _of_pack(path: Path) -> Records:
    try:
        packed = pack.read(path).runs
    except RunError as error:
        return Records(problems=[str(error)])
    return read_runs(
        {
            path / sweep / run: files.get
            for sweep, runs in packed.items()
            for run, files in runs.items()
        }
    )
