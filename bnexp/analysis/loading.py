"""Run folders and packs of runs as tidy DataFrames."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from bnexp.analysis.cache import Cache, signature
from bnexp.analysis.naming import ARM, CONDITION, hidden, with_names
from bnexp.analysis.reading import Records, merged, read_folders, read_runs
from bnexp.analysis.versions import filled
from bnexp.config import nearest
from bnexp.folders import pack
from bnexp.folders.runs import DIVERGED, FINISHED, PACK, RunError, find_run_folders
from bnexp.folders.state import UNFINISHED

__all__ = ["SWEEP", "UNFINISHED", "Runs", "load_runs"]

SWEEP, SEED, RUN_ID = "sweep", "seed", "run_id"


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
        problems: a line for each folder or pack that could not be read, and for each run that is
            not counted.
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

        A value may be a list of values, of which one must be the run's; a group's name stands for
        its kind. A value that is a list itself, such as widths, is a tuple.

        Raises:
            RunError: no run has such a key.
        """
        mask = pd.Series(True, index=self.runs.index)
        for key, value in settings.items():
            column = f"{key}.kind" if f"{key}.kind" in self.runs else key
            if column not in self.runs:
                hint = nearest(key, map(str, self.runs.columns))
                raise RunError(f"no run has the key '{key}'{hint}")
            wanted = value if isinstance(value, list) else [value]
            there = self.runs[column].drop_duplicates()
            chosen = [one for one in there if any(is_value(one, word) for word in wanted)]
            mask &= self.runs[column].isin(chosen)
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


def load_runs(*roots: Path | str, cache: Cache | None = None) -> Runs:
    """Every run folder at or below the given folders, and the runs of a pack in one of them.

    A pack further below is left alone: the reference runs in outputs/ are not the user's own.
    Runs that are damaged, or there twice, are left out and named in `problems`.

    Nothing is written. With a `cache`, runs whose files are untouched are taken from there, and
    what was read anew is put into it.

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
    of_folders = [_of_folder(*sweep, cache=cache) for sweep in sweeps.items()]
    packs = [path / PACK for path in dict.fromkeys(paths) if (path / PACK).is_file()]
    of_packs = [_of_pack(path) for path in packs]
    read = merged([*of_folders, *of_packs])
    names = sweep_names(dict.fromkeys(Path(run).parent for run in read.rows), paths)
    told = filled(read.rows.values())
    rows = [{"run": run, SWEEP: names[Path(run).parent], **row} for run, row in read.rows.items()]
    table = pd.DataFrame(rows)
    if table.empty:
        return Runs(table, read.history, read.probes, read.problems)
    table = with_names(table.set_index("run"))
    twice = repeated(table)
    found = Runs(table, read.history, read.probes)
    once = found.select(~table.index.to_series().isin(list(twice))) if twice else found
    return replace(once, problems=[*read.problems, *told, *twice.values()])


def repeated(table: pd.DataFrame) -> dict[str, str]:
    """By run, why it is left out: a sweep has another run of the same settings and seed.

    Such a run, a copied folder mostly, is no further seed. The one that counts has ended, and the
    name that its result gives; of several, the first.
    """
    keys = [key for key in table.columns if "." in key and key not in hidden(table)]
    doubled = table[table.duplicated([SWEEP, SEED, *keys], keep=False)]
    ids = doubled.get(RUN_ID, pd.Series(index=doubled.index))  # none, if no run has a result
    own = [Path(str(run)).name == name for run, name in ids.items()]
    order = doubled.assign(_open=~doubled["status"].isin([FINISHED, DIVERGED]), _own=own)
    order = order.sort_values(["_open", "_own"], ascending=[True, False], kind="stable")
    first: dict[Any, str] = {}
    groups = order.groupby([SWEEP, SEED, *keys], dropna=False, sort=False).ngroup()
    found = {}
    for run, group in groups.items():
        counted = first.setdefault(group, str(run))
        if counted != run:
            found[str(run)] = f"{run}: left out: the same settings and seed as {counted}"
    return found


def is_value(value: Any, wanted: Any) -> bool:
    """Whether a setting has a value that is asked for."""
    if value is None or value != value:
        return wanted is None
    if isinstance(wanted, tuple):
        return bool(value == "-".join(map(str, wanted)))
    kinds = (str, bool)
    alike = all(isinstance(value, kind) == isinstance(wanted, kind) for kind in kinds)
    return alike and bool(value == wanted)


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


def _of_folder(sweep: Path, members: Iterable[Path], *, cache: Cache | None) -> Records:
    if cache is None:
        return read_folders(members)
    signatures = {folder: signature(folder) for folder in members}
    known = cache.get(sweep, signatures)
    missing = [folder for folder in signatures if str(folder) not in known.rows]
    if not missing:
        return known
    everything = merged([known, read_folders(missing)]).in_order(map(str, signatures))
    cache.put(sweep, everything, signatures)
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
