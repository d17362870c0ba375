"""From run folders to a folder of figures, tables, verdicts and one report page."""

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
from pebble import ProcessPool

from bnexp.analysis import figures, measures, memo, parts, tables
from bnexp.analysis.cache import FOLDER, Cache
from bnexp.analysis.claims import exact
from bnexp.analysis.claims.deep import figure3
from bnexp.analysis.claims.judge import judge
from bnexp.analysis.claims.model import Finding
from bnexp.analysis.claims.table import claims_table
from bnexp.analysis.drawing import Saved
from bnexp.analysis.evidence import evidence, trial_of
from bnexp.analysis.loading import Runs, load_runs
from bnexp.analysis.measures import LR
from bnexp.analysis.report import Section, verdicts, write_report
from bnexp.analysis.report.data import MAX_GROUPS, as_json, curves_data
from bnexp.analysis.report.seeds import seeds_data
from bnexp.analysis.statistics import Estimate
from bnexp.analysis.trial_words import effects_text, sentences
from bnexp.analysis.trials import effects
from bnexp.config import nearest
from bnexp.config.errors import reason
from bnexp.config.places import use_folder
from bnexp.folders import pack
from bnexp.folders.runs import DIVERGED, FINISHED, RunError, make_folder
from bnexp.training import interrupt

PRINTED_ROWS = 30


@dataclass(frozen=True)
class Options:
    """How figures are wanted.

    Attributes:
        formats: png, svg, pdf; one of png and svg is needed for the page.
        metrics: columns of the history that are drawn as curves.
        x: what curves are drawn against: step, epoch or seconds.
        config_dirs: the user's folders, with figures and claims of their own.
    """

    formats: Sequence[str] = ("png", "svg")
    metrics: Sequence[str] = figures.METRICS
    x: str = "step"
    config_dirs: Sequence[str] = ()


def make_report(
    folders: Sequence[Path],
    out: Path,
    options: Options = Options(),
    where: Mapping[str, Any] | None = None,
    command: str = "",
) -> bool:
    """Writes everything into `out` and prints what was found.

    Sweeps are drawn, and the exact claims checked, in processes side by side; what has not
    changed since the last report in `out` is not made again.

    Args:
        folders: where runs are looked for.
        out: receives `index.html`, `figures/` and `tables/`.
        options: how figures are wanted.
        where: settings of the runs that are wanted; see `Runs.where`.
        command: what the page names as its origin.

    Returns:
        Whether a run is damaged, failed or unfinished.

    Raises:
        RunError: a folder does not exist, or there are no runs.
        ConfigError: `out` cannot be written.
    """
    read = Cache(out / FOLDER)
    found = _found(folders, where or {}, read)
    _check_metrics(found, options.metrics)
    for part in ("figures", "tables"):
        make_folder(out / part, "--out")
    read.write()
    sweeps = {sweep: found.of_sweep(sweep) for sweep in found.sweeps}
    made = _made(sweeps, out, options)
    sections = [_section(sweep, runs, made[sweep]) for sweep, runs in sweeps.items()]
    told = [f"{one.sweep}: {one.trouble}" for one in sections if one.trouble]
    found = replace(found, problems=[*found.problems, *told])
    claims = claims_table(judge(found) + exact.judgements(_findings(made[EXACT])))
    tables.write_table(out / "tables" / "claims", claims, tables.claims_text(claims))
    overview = [
        drawing.save(out / "figures", options.formats) for drawing in figures.claims_figures(claims)
    ]
    page = write_report(out, found, sections, claims, overview, command)
    for section in sections:
        _print_sweep(section)
    _print_verdicts(claims)
    print(page)
    return bool(found.problems) or not found.runs["status"].isin([FINISHED, DIVERGED]).all()


def _check_metrics(found: Runs, metrics: Sequence[str]) -> None:
    known = [str(name) for name in found.history.columns if "_" in str(name)]
    for metric in metrics:
        if metric not in known:
            hint = nearest(metric, known)
            raise RunError(f"--metric {metric}: no history has it{hint} ({', '.join(known)})")


def _found(folders: Sequence[Path], where: Mapping[str, Any], read: Cache) -> Runs:
    """The wanted runs; what could not be read is told on stderr.

    Raises:
        RunError: there are none.
    """
    found = load_runs(*folders, cache=read)
    for problem in found.problems:
        print(f"skipped: {problem}", file=sys.stderr)
    listed = ", ".join(map(str, folders))
    if found.runs.empty:
        raise RunError(f"no runs in {listed}; start some with python -m bnexp.run")
    if not where:
        return found
    chosen = found.where(where)
    if chosen.runs.empty:
        wanted = " ".join(f"{key}={','.join(_told(value))}" for key, value in where.items())
        raise RunError(f"no run in {listed} has {wanted}")
    return replace(chosen, problems=found.problems)


def _told(values: Any) -> list[str]:
    """The words for values that are asked for, each once."""
    listed = values if isinstance(values, list) else [values]
    return [value for value in listed if isinstance(value, str)] or list(map(str, listed))


Job: TypeAlias = Callable[[], dict[str, Any]]
EXACT = ""  # their name beside those of sweeps, which are never empty
TROUBLE = "trouble"
# what numbers, names and tables of an unusual kind raise; other errors are the program's own
UNFORESEEN = (measures.MeasureError, RunError, ArithmeticError, LookupError, ValueError)


def _made(sweeps: Mapping[str, Runs], out: Path, options: Options) -> dict[str, Any]:
    """For each sweep what `draw_sweep` returns, and the findings of the exact claims."""
    memory = memo.Memo(out / ".cache" / "report.json")
    stems = file_stems(sweeps)
    keys = {
        sweep: memo.content(runs, options, stems[sweep], parts.own_code(), trial_of(runs))
        for sweep, runs in sweeps.items()
    }
    keys[EXACT] = memo.code()
    made = {name: memory.get(name, key) for name, key in keys.items()}
    stale = [name for name, value in made.items() if not _is_whole(value)]
    jobs: dict[str, Job] = {
        name: partial(draw_sweep, sweeps[name], stems[name], out, options) if name else check_exact
        for name in stale
    }
    try:
        for name, value in _results(jobs):
            made[name] = value
            if TROUBLE not in value:
                memory.put(name, keys[name], value)
    finally:  # what was made before Ctrl-C is not made again
        memory.write()
    return made


def _results(jobs: Mapping[str, Job]) -> Iterator[tuple[str, Any]]:
    """The jobs' results, in their order; several are made side by side.

    A single sweep is drawn here. The exact claims are always checked elsewhere, so that this
    process stays without TensorFlow.
    """
    if len(jobs) <= 1 and EXACT not in jobs:
        yield from ((name, _guarded(name, job)) for name, job in jobs.items())
        return
    workers = min(len(jobs), os.cpu_count() or 1)
    pool = ProcessPool(workers, context=get_context("spawn"))
    try:
        with interrupt.for_this_process_alone():
            pending = {name: pool.schedule(job) for name, job in jobs.items()}
        yield from ((name, _guarded(name, future.result)) for name, future in pending.items())
    finally:  # at once, also on Ctrl-C
        pool.stop()
        pool.join()


def _guarded(name: str, job: Job) -> dict[str, Any]:
    """What a job returns; where data of a sweep are beyond what was thought of, its trouble.

    The sweep's section then says so, and the others are as they would be without it.
    """
    try:
        return job()
    except UNFORESEEN as error:
        if name == EXACT:
            raise
        return {TROUBLE: f"could not be drawn ({type(error).__name__}: {reason(error)})"}


def _is_whole(value: Any) -> bool:
    """Whether it was kept, and the files that it names are there."""
    return value is not None and all(Path(file).is_file() for file in value.get("files", []))


def check_exact() -> dict[str, Any]:
    """The findings of the exact claims, as JSON can hold them."""
    found = exact.findings()
    return {"findings": {claim: [asdict(one) for one in some] for claim, some in found.items()}}


def _findings(value: dict[str, Any]) -> dict[str, list[Finding]]:
    return {
        claim: [Finding(**row | {"effect": Estimate(**row["effect"])}) for row in rows]
        for claim, rows in value["findings"].items()
    }


def file_stems(sweeps: Iterable[str]) -> dict[str, str]:
    """What the names of each sweep's files begin with; no two share one, on any file system."""
    stems: dict[str, str] = {}
    taken = {""}
    for sweep in sorted(sweeps, key=lambda sweep: ("/" in sweep, sweep)):
        stem = sweep.replace("/", "_").lstrip("._")
        stems[sweep] = stem if stem.lower() not in taken else _marked(stem, sweep)
        taken.add(stems[sweep].lower())
    return stems


def _marked(stem: str, sweep: str) -> str:
    return f"{stem or 'sweep'}-{hashlib.sha256(os.fsencode(sweep)).hexdigest()[:6]}"


def draw_sweep(runs: Runs, stem: str, out: Path, options: Options) -> dict[str, Any]:
    """Writes one sweep's figures and tables; returns what the page needs, for JSON.

    Args:
        runs: of the sweep alone.
        stem: what the names of its files begin with.
        out: the report's folder.
        options: how figures are wanted.
    """
    for folder in options.config_dirs:
        use_folder(Path(folder))  # in a process of the pool
    summary, steps = tables.summarize(runs), _figure3(runs)
    text = {"summary": tables.as_text(summary)}
    written = tables.write_table(out / "tables" / f"{stem}_summary", summary, text["summary"])
    if len(steps):
        text["figure3"] = tables.figure3_text(steps)
        written += tables.write_table(out / "tables" / f"{stem}_figure3", steps, text["figure3"])
    lines, shown = _trial(runs)
    if lines:
        text["effects"] = effects_text(shown)
        written += tables.write_table(out / "tables" / f"{stem}_trial", shown, text["effects"])
    drawn = figures.sweep_figures(runs, options.metrics, options.x)
    saved = [drawing.save(out / "figures", options.formats, f"{stem}_") for drawing in drawn]
    curves = curves_data(runs)
    return {
        "tables": {name: table.astype(str).to_dict("list") for name, table in text.items()},
        "figures": [asdict(figure) for figure in saved],
        "files": [str(path) for path in written] + [path for one in saved for path in one.files],
        "curves": as_json(curves) if curves else "",
        "seeds": as_json(seeds_data(runs)) if curves else "",
        "omitted": max(0, curves["total"] - MAX_GROUPS) if curves else 0,
        "trial": lines,
    }


def _trial(runs: Runs) -> tuple[list[str], pd.DataFrame]:
    """What came out of a sweep's trial, in lines and as a table; nothing where it is no trial."""
    record = trial_of(runs)
    if record is None or not record["trials"]:
        return [], pd.DataFrame()
    table = effects(record, runs)
    return sentences(record, table), table


def _section(sweep: str, runs: Runs, made: Mapping[str, Any]) -> Section:
    if TROUBLE in made:
        return Section(sweep, runs, pd.DataFrame(), [], _commands(runs), trouble=made[TROUBLE])
    text = {name: pd.DataFrame(table) for name, table in made["tables"].items()}
    return Section(
        sweep,
        runs,
        text["summary"],
        [Saved(**figure) for figure in made["figures"]],
        _commands(runs),
        figure3=text.get("figure3", pd.DataFrame()),
        curves=made["curves"],
        seeds=made["seeds"],
        omitted=made["omitted"],
        trial=made["trial"],
        effects=text.get("effects", pd.DataFrame()),
    )


def _figure3(runs: Runs) -> pd.DataFrame:
    """The table of the paper's Fig. 3 for each network; empty where there is no baseline."""
    if runs.runs[LR].nunique() < 2:
        return pd.DataFrame()
    whole = evidence(runs)
    networks = [("", whole)] if whole.trial else measures.parts(runs, LR)
    parts = []
    for part, chosen in networks:
        with contextlib.suppress(measures.MeasureError):
            parts.append(figure3(chosen).assign(network=part))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _commands(runs: Runs) -> list[str]:
    """What was typed to make the runs of a sweep, as far as it was noted."""
    folders = sorted({Path(run).parent for run in runs.runs.index})
    return [line for folder in folders for line in pack.command_lines(folder)]


def _print_sweep(section: Section) -> None:
    text, statuses = section.summary, section.runs.runs["status"]
    told = ", ".join(f"{count} {status}" for status, count in statuses.value_counts().items())
    print(f"{section.sweep}: {len(statuses)} runs ({told})\n")
    if section.trouble:
        print(f"{section.trouble}\n")
        print(f"{section.sweep}: {section.trouble}", file=sys.stderr)
        return
    if section.trial:
        print("\n".join(section.trial), end="\n\n")
    print(text.head(PRINTED_ROWS).to_markdown(index=False))
    if len(text) > PRINTED_ROWS:
        more = len(text) - PRINTED_ROWS
        print(f"... and {more} rows more in tables/")
    print()


def _print_verdicts(claims: pd.DataFrame) -> None:
    print("\n".join(verdicts.printed(claims)), end="\n\n")
