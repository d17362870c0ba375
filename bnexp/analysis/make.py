"""From run folders to a folder of figures, tables, verdicts and one report page."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bnexp import commands
from bnexp.analysis import figures, measures, tables
from bnexp.analysis.checks import exact_checks
from bnexp.analysis.claims.judge import judge
from bnexp.analysis.claims.model import NOT_RUN, VERDICTS
from bnexp.analysis.claims.recipe import figure3
from bnexp.analysis.claims.table import claims_table
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.loading import Runs, load_runs
from bnexp.analysis.measures import LR
from bnexp.analysis.report import Section, write_report
from bnexp.runs import DIVERGED, FINISHED, RunError, make_folder

EMBEDDABLE = 400_000  # bytes of SVG; a larger figure is embedded as PNG
PRINTED_ROWS = 30


def make_report(
    folders: Sequence[Path],
    out: Path,
    *,
    formats: Sequence[str] = ("png", "svg"),
    metrics: Sequence[str] = figures.METRICS,
    x: str = "step",
    where: Mapping[str, Any] | None = None,
    command: str = "",
) -> bool:
    """Writes everything into `out` and prints what was found.

    Args:
        folders: where runs are looked for.
        out: receives `index.html`, `figures/` and `tables/`.
        formats: of the figures: png, svg, pdf.
        metrics: columns of the history that are drawn as curves.
        x: what curves are drawn against: step, epoch or seconds.
        where: settings of the runs that are wanted; see `Runs.where`.
        command: what the page names as its origin.

    Returns:
        Whether a run is damaged, failed or unfinished.

    Raises:
        RunError: a folder does not exist, or there are no runs.
        ConfigError: `out` cannot be written.
    """
    found = _found(folders, where or {})
    for part in ("figures", "tables"):
        make_folder(out / part)
    with exact_checks(out / ".cache" / "exact.json") as checks:
        sections = [_section(found, sweep, out, formats, metrics, x) for sweep in found.sweeps]
        claims = claims_table(judge(found, checks()))
    written = _write_claims(claims, out)
    overview = [
        (drawing, _saved(drawing, out, formats)) for drawing in figures.claims_figures(claims)
    ]
    page = write_report(out, found, sections, claims, overview, command)
    _print_verdicts(claims)
    drawn = sum(len(section.figures) for section in sections) + len(overview)
    print(f"{drawn} figures and {len(sections) + len(written)} tables in {out}\n{page}")
    return bool(found.problems) or not found.runs["status"].isin([FINISHED, DIVERGED]).all()


def _found(folders: Sequence[Path], where: Mapping[str, Any]) -> Runs:
    """The wanted runs; what could not be read is told on stderr.

    Raises:
        RunError: there are none.
    """
    found = load_runs(*folders)
    for problem in found.problems:
        print(f"skipped: {problem}", file=sys.stderr)
    listed = ", ".join(map(str, folders))
    if found.runs.empty:
        raise RunError(f"no runs in {listed}; start some with python -m bnexp.run")
    if where:
        found = found.where(where)
        if found.runs.empty:
            wanted = " ".join(f"{key}={value}" for key, value in where.items())
            raise RunError(f"no run in {listed} has {wanted}")
    return found


def _section(
    found: Runs, sweep: str, out: Path, formats: Sequence[str], metrics: Sequence[str], x: str
) -> Section:
    """One sweep's figures and tables."""
    runs = found.of_sweep(sweep)
    summary = tables.summarize(runs)
    text = tables.as_text(summary)
    tables.write_table(out / "tables" / f"{sweep}_summary", summary, text)
    _write_figure3(runs, sweep, out)
    drawn = [
        (drawing, _saved(drawing, out, formats, f"{sweep}_"))
        for drawing in figures.sweep_figures(runs, metrics, x)
    ]
    _print_sweep(runs, sweep, text)
    return Section(sweep, runs, text, drawn, _commands(runs))


def _write_figure3(runs: Runs, sweep: str, out: Path) -> None:
    """The table of the paper's Fig. 3 for each network, where there is a baseline."""
    if LR not in runs.runs or runs.runs[LR].nunique() < 2:
        return
    parts = []
    for part, chosen in measures.parts(runs, LR):
        try:
            parts.append(figure3(chosen).assign(network=part))
        except measures.MeasureError:
            continue
    if parts:
        table = pd.concat(parts, ignore_index=True)
        tables.write_table(out / "tables" / f"{sweep}_figure3", table, tables.figure3_text(table))


def _saved(drawing: Drawing, out: Path, formats: Sequence[str], prefix: str = "") -> Path:
    """Saves the figure and returns the file to embed in the page."""
    wanted = dict.fromkeys([*formats, *(() if {"png", "svg"} & set(formats) else ("svg",))])
    paths = drawing.save(out / "figures", list(wanted), prefix)
    svg, png = paths.get("svg"), paths.get("png")
    if svg is None or (png is not None and svg.stat().st_size > EMBEDDABLE):
        assert png is not None
        return png
    return svg


def _commands(runs: Runs) -> list[str]:
    """What was typed to make the runs of a sweep, as far as it was noted."""
    lines: list[str] = []
    for folder in sorted({Path(run).parent for run in runs.runs.index}):
        log = folder / commands.FILE
        if log.is_file():
            lines += log.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines


def _write_claims(claims: pd.DataFrame, out: Path) -> list[Path]:
    return tables.write_table(out / "tables" / "claims", claims, tables.claims_text(claims))[:1]


def _print_sweep(runs: Runs, sweep: str, text: pd.DataFrame) -> None:
    counts = runs.runs["status"].value_counts()
    told = ", ".join(f"{count} {status}" for status, count in counts.items())
    print(f"{sweep}: {len(runs.runs)} runs ({told})\n")
    print(text.head(PRINTED_ROWS).to_markdown(index=False))
    if len(text) > PRINTED_ROWS:
        print(f"... and {len(text) - PRINTED_ROWS} rows more in tables/{sweep}_summary.md")
    print()


def _print_verdicts(claims: pd.DataFrame) -> None:
    judged = claims[~claims["beside"] & (claims["verdict"] != NOT_RUN)]
    for _, row in judged.iterrows():
        name = f"{row['claim']}: {row['part']}".removesuffix(": ")
        print(f"{row['verdict']:12}  {name}")
    counts = claims.loc[~claims["beside"], "verdict"].value_counts()
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts)
    print(f"claims: {told}\n")
