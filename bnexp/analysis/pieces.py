"""What a report has of one sweep, in pieces that can be made side by side."""

import contextlib
import pickle
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from bnexp.analysis import figures, measures, parts, tables
from bnexp.analysis.answers import answer
from bnexp.analysis.claims.deep import figure3
from bnexp.analysis.curves import mean_curves
from bnexp.analysis.evidence import evidence
from bnexp.analysis.judged import ended_trial
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import LR
from bnexp.analysis.report.data import MAX_GROUPS, as_json, curves_data
from bnexp.analysis.report.seeds import seeds_data
from bnexp.analysis.trial_words import effects_text, sentences
from bnexp.config.places import use_folder
from bnexp.folders.runs import write_atomically

TABLES, CURVES, DATA = "tables", "curves", "data"


@dataclass(frozen=True)
class Options:
    """How a report is wanted.

    Attributes:
        formats: png, svg, pdf; one of png and svg is needed for the page.
        metrics: columns of the history that are drawn as curves.
        x: what curves are drawn against: step, epoch or seconds.
        config_dirs: the user's folders, with figures and claims of their own.
        title: of the page; empty: the question that the runs answer.
        claims: whether claims are judged.
    """

    formats: Sequence[str] = ("png", "svg")
    metrics: Sequence[str] = figures.METRICS
    x: str = "step"
    config_dirs: Sequence[str] = ()
    title: str = ""
    claims: bool = True


def names(options: Options) -> list[str]:
    """The pieces of every sweep: tables, curves and data, and each kind of figure."""
    return [TABLES, CURVES, DATA, *_figure_modules(tuple(options.config_dirs))]


@cache
def _figure_modules(config_dirs: tuple[str, ...]) -> dict[str, ModuleType]:
    for folder in config_dirs:
        use_folder(Path(folder))  # in a process of the pool
    return {module.__name__: module for module in parts.modules("figures")}


def kept(runs: Runs, path: Path) -> Path:
    """Writes a sweep's runs to where `made_of_kept` reads them."""
    path.write_bytes(pickle.dumps(runs, pickle.HIGHEST_PROTOCOL))
    return path


def made_of_kept(path: Path, *arguments: Any) -> dict[str, Any]:
    """`made` of runs that `kept` wrote, in another process."""
    return made(_read(path), *arguments)


@lru_cache(maxsize=1)
def _read(path: Path) -> Runs:
    runs = pickle.loads(path.read_bytes())
    assert isinstance(runs, Runs)
    return runs


def draw_sweep(runs: Runs, stem: str, out: Path, options: Options) -> dict[str, Any]:
    """All pieces of one sweep."""
    return joined(made(runs, piece, stem, out, options) for piece in names(options))


def joined(found: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The pieces of a sweep as one, in their order."""
    whole: dict[str, Any] = {"tables": {}, "figures": [], "files": []}
    for piece in found:
        for key, value in piece.items():
            if isinstance(value, dict) and key in whole:
                whole[key] = whole[key] | value
            else:
                whole[key] = whole[key] + value if key in whole else value
    return whole


def made(runs: Runs, piece: str, stem: str, out: Path, options: Options) -> dict[str, Any]:
    """Writes one piece's files; returns what the page needs of it, for JSON.

    Args:
        runs: of one sweep alone.
        piece: one of `names`.
        stem: what the names of the sweep's files begin with.
        out: the report's folder.
        options: how the report is wanted.
    """
    if piece == TABLES:
        return _tables(runs, out / "tables" / stem)
    if piece == CURVES:
        curves = curves_data(runs)
        omitted = max(0, curves["total"] - MAX_GROUPS) if curves else 0
        seeds = as_json(seeds_data(runs)) if curves else ""
        return {"curves": as_json(curves) if curves else "", "seeds": seeds, "omitted": omitted}
    if piece == DATA:
        return {"data": _data(runs, out / "tables" / stem)}
    return _figures(_figure_modules(tuple(options.config_dirs))[piece], runs, stem, out, options)


def _figures(
    module: ModuleType, runs: Runs, stem: str, out: Path, options: Options
) -> dict[str, Any]:
    drawn = figures.drawn_by(module, runs, figures.Wanted(options.metrics, options.x))
    saved = [one.save(out / "figures", options.formats, f"{stem}_") for one in drawn]
    files = [path for one in saved for path in one.files]
    return {"figures": [asdict(one) for one in saved], "files": files}


def _tables(runs: Runs, path: Path) -> dict[str, Any]:
    """The tables in every form, and what came out in words; their text by name."""
    summary, steps = tables.summarize(runs), _figure3(runs)
    found = {"summary": (summary, tables.as_text(summary))}
    if len(steps):
        found["figure3"] = (steps, tables.figure3_text(steps))
    came_out, told = answer(runs), []
    effects = came_out.numbers
    if record := ended_trial(runs):
        found["trial"] = (effects, effects_text(effects))
        told = sentences(record, effects)
    elif len(effects):
        text = pd.concat([block.table for block in came_out.blocks if not block.settings])
        found["effects"] = (effects, text)
    written = [
        file
        for name, (numbers, text) in found.items()
        for file in tables.write_table(path.with_name(f"{path.name}_{name}"), numbers, text)
    ]
    return {
        "tables": {name: text.astype(str).to_dict("list") for name, (_, text) in found.items()},
        "files": list(map(str, written)),
        "answer": came_out.as_json(),
        "trial": told,
    }


def _figure3(runs: Runs) -> pd.DataFrame:
    """The table of the paper's Fig. 3 for each network; empty where there is no baseline."""
    if runs.runs[LR].nunique() < 2:
        return pd.DataFrame()
    whole = evidence(runs)
    networks = [("", whole)] if whole.trial else measures.parts(runs, LR)
    found = []
    for part, chosen in networks:
        with contextlib.suppress(measures.MeasureError):
            found.append(figure3(chosen).assign(network=part))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


UNTOLD = ("versions", "machine")  # columns of runs that a table for a spreadsheet does not need


def _data(runs: Runs, path: Path) -> list[str]:
    """The numbers behind the figures as CSV: every run, and the mean curves of every metric."""
    columns = [name for name in runs.runs.columns if name not in UNTOLD]
    curves = [
        mean_curves(runs, metric).assign(metric=metric)
        for metric in map(str, runs.history.columns)
        if "_" in metric and runs.history[metric].notna().any()
    ]
    names = [Path(str(run)).name for run in runs.runs.index]  # not where they lie on this machine
    found = {"runs": runs.runs[columns].set_axis(names).rename_axis("run").reset_index()}
    if curves:
        found["curves"] = pd.concat(curves, ignore_index=True)
    written = []
    for name, table in found.items():
        file = path.with_name(f"{path.name}_{name}.csv")
        write_atomically(file, table.to_csv(index=False, lineterminator="\n"))
        written.append(str(file))
    return written
