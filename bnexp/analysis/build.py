"""From run folders to a folder of figures, tables, verdicts and one report page."""

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from bnexp.analysis import figures, measures, memo, parts, pieces, printed, tables
from bnexp.analysis.answers import Answer
from bnexp.analysis.cache import FOLDER, Cache
from bnexp.analysis.claims import exact
from bnexp.analysis.claims.judge import judge
from bnexp.analysis.claims.model import Finding, Judgement
from bnexp.analysis.claims.table import claims_table
from bnexp.analysis.drawing import Saved
from bnexp.analysis.evidence import trial_of
from bnexp.analysis.loading import Runs, load_runs
from bnexp.analysis.pieces import Options, draw_sweep
from bnexp.analysis.progress import Progress
from bnexp.analysis.report import Section, write_report
from bnexp.analysis.statistics import Estimate
from bnexp.analysis.workers import Job, Workers
from bnexp.config import nearest
from bnexp.config.errors import reason
from bnexp.folders import pack
from bnexp.folders.runs import DIVERGED, FINISHED, RunError, make_folder

__all__ = ["Options", "check_exact", "draw_sweep", "file_stems", "make_report"]

FEW = 20_000  # evaluations of runs that are drawn sooner than a process starts
DEFAULTS = Options()


def make_report(
    folders: Sequence[Path],
    out: Path,
    options: Options = DEFAULTS,
    where: Mapping[str, Any] | None = None,
    command: str = "",
) -> bool:
    """Writes everything into `out` and prints what was found.

    The pieces of sweeps are made, and the exact claims checked, in processes side by side; what
    has not changed since the last report in `out` is not made again. What takes long is told on
    stderr.

    Args:
        folders: where runs are looked for.
        out: receives `index.html`, `figures/` and `tables/`.
        options: how the report is wanted.
        where: settings of the runs that are wanted; see `Runs.where`.
        command: what the page names as its origin.

    Returns:
        Whether a run is damaged, failed or unfinished.

    Raises:
        RunError: a folder does not exist, or there are no runs.
        ConfigError: `out` cannot be written.
    """
    with Progress() as progress:
        progress.stage("reading runs")
        read = Cache(out / FOLDER)
        found = _found(folders, where or {}, read)
        _check_metrics(found, options.metrics)
        for part in ("figures", "tables"):
            make_folder(out / part, "--out")
        read.write()
        sweeps = {sweep: found.of_sweep(sweep) for sweep in found.sweeps}
        made, judgements = _made(found, sweeps, out, options, progress)
        sections = [_section(sweep, runs, made[sweep]) for sweep, runs in sweeps.items()]
        told = [f"{one.sweep}: {one.trouble}" for one in sections if one.trouble]
        found = replace(found, problems=[*found.problems, *told])
        progress.stage("writing the page")
        claims, overview = _claims(judgements, made.get(EXACT), out, options)
        page = write_report(out, found, sections, claims, overview, command, options.title)
    for section in sections:
        printed.print_sweep(section)
    if options.claims:
        printed.print_verdicts(claims)
    print(page)
    return bool(found.problems) or not found.runs["status"].isin([FINISHED, DIVERGED]).all()


def _claims(
    judgements: Sequence[Judgement], checked: dict[str, Any] | None, out: Path, options: Options
) -> tuple[pd.DataFrame, list[Saved]]:
    """The table of claims, written, and the figures of all of them; empty where none are wanted."""
    if checked is None:
        return pd.DataFrame(), []
    claims = claims_table([*judgements, *exact.judgements(_findings(checked))])
    tables.write_table(out / "tables" / "claims", claims, tables.claims_text(claims))
    drawn = figures.claims_figures(claims)
    return claims, [drawing.save(out / "figures", options.formats) for drawing in drawn]


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


EXACT = ""  # their name beside those of sweeps, which are never empty
TROUBLE = "trouble"
# what numbers, names and tables of an unusual kind raise; other errors are the program's own
UNFORESEEN = (measures.MeasureError, RunError, ArithmeticError, LookupError, ValueError)


def _made(
    found: Runs, sweeps: Mapping[str, Runs], out: Path, options: Options, progress: Progress
) -> tuple[dict[str, Any], list[Judgement]]:
    """For each sweep what `draw_sweep` returns, the findings of the exact claims; and judgements.

    Claims are judged here while the rest is made elsewhere.
    """
    memory = memo.Memo(out / ".cache" / "report.json")
    stems = file_stems(sweeps)
    drawn = replace(options, title="", claims=True)  # what else does not change a sweep
    keys = {
        sweep: memo.content(runs, drawn, stems[sweep], parts.own_code(), trial_of(runs))
        for sweep, runs in sweeps.items()
    }
    if options.claims:
        keys[EXACT] = memo.code()
    made = {name: memory.get(name, key) for name, key in keys.items()}
    stale = [name for name, value in made.items() if not _is_whole(value)]
    try:
        with _jobs(stale, sweeps, stems, out, options) as jobs:
            small = sum(len(sweeps[name].history) for name in stale if name) < FEW
            with Workers(jobs, apart=not (small and EXACT not in stale)) as workers:
                progress.stage("judging claims and drawing" if options.claims else "drawing")
                judgements = judge(found) if options.claims else []
                progress.stage("drawing", len(jobs))
                for name, value in _collected(jobs, workers, progress):
                    made[name] = value
                    if TROUBLE not in value:
                        memory.put(name, keys[name], value)
    finally:  # what was made before Ctrl-C is not made again
        memory.write()
    return made, judgements


@contextmanager
def _jobs(
    stale: Iterable[str],
    sweeps: Mapping[str, Runs],
    stems: Mapping[str, str],
    out: Path,
    options: Options,
) -> Iterator[dict[Any, Job]]:
    """What is to be made, by name and piece, those that take longest first."""
    jobs: dict[Any, Job] = {}
    with tempfile.TemporaryDirectory(prefix="bnexp-") as place:
        by_size = sorted(
            stale, key=lambda name: -len(sweeps[name].history) if name else -sys.maxsize
        )
        for number, name in enumerate(by_size):
            if name == EXACT:
                jobs[name, ""] = check_exact
                continue
            path = pieces.kept(sweeps[name], Path(place) / str(number))
            for piece in pieces.names(options):
                jobs[name, piece] = partial(
                    pieces.made_of_kept, path, piece, stems[name], out, options
                )
        yield jobs


def _collected(
    jobs: Mapping[Any, Job], workers: Workers, progress: Progress
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each sweep (and the exact claims) as soon as all of its pieces are there."""
    wanted: dict[str, list[str]] = {}
    for name, piece in jobs:
        wanted.setdefault(name, []).append(piece)
    done: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in wanted}
    for (name, piece), result in workers.results():
        done[name][piece] = _guarded(name, piece, result)
        progress.advance()
        if len(done[name]) == len(wanted[name]):
            found = done.pop(name)
            whole = (
                found[""] if name == EXACT else pieces.joined(found[one] for one in wanted[name])
            )
            yield name, whole


def _guarded(name: str, piece: str, job: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a job returns; where data of a sweep are beyond what was thought of, its trouble.

    The sweep's section then says so, and all else is as it would be without it.
    """
    try:
        return job()
    except UNFORESEEN as error:
        if name == EXACT:
            raise
        what = piece.rpartition(".")[2]
        return {TROUBLE: [f"{what} could not be made ({type(error).__name__}: {reason(error)})"]}


def _is_whole(value: Any) -> bool:
    """Whether it was kept, and the files that it names are there."""
    files = [*value.get("files", []), *value.get("data", [])] if value is not None else []
    return value is not None and all(Path(file).is_file() for file in files)


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


def _section(sweep: str, runs: Runs, made: Mapping[str, Any]) -> Section:
    text = {name: pd.DataFrame(table) for name, table in made["tables"].items()}
    return Section(
        sweep,
        runs,
        text.pop("summary", pd.DataFrame()),
        [Saved(**figure) for figure in made["figures"]],
        _commands(runs),
        tables=text,
        curves=made.get("curves", ""),
        seeds=made.get("seeds", ""),
        omitted=made.get("omitted", 0),
        answer=Answer.from_json(made["answer"]) if "answer" in made else Answer(""),
        trial=made.get("trial", ()),
        files=[*made["files"], *made.get("data", [])],
        trouble="; ".join(made.get(TROUBLE, [])),
    )


def _commands(runs: Runs) -> list[str]:
    """What was typed to make the runs of a sweep, as far as it was noted."""
    folders = sorted({Path(run).parent for run in runs.runs.index})
    return [line for folder in folders for line in pack.command_lines(folder)]
