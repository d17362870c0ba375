"""One self-contained HTML page: verdicts, figures, interactive curves and every run."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bnexp.analysis import style
from bnexp.analysis.drawing import Saved
from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.report import data, sections, verdicts
from bnexp.analysis.report.table import runs_data
from bnexp.folders.runs import write_atomically

HERE = Path(__file__).parent
SCRIPTS = (
    "vendor/uPlot.iife.min.js",
    "vendor/tabulator.min.js",
    "address.js",
    "series.js",
    "view.js",
    "lines.js",
    "axes.js",
    "drawing.js",
    "pointing.js",
    "saving.js",
    "controls.js",
    "curves.js",
    "picked.js",
    "picked_curves.js",
    "runs.js",
    "page.js",
)
LICENCES = ("vendor/uPlot.LICENSE", "vendor/tabulator.LICENSE")
STYLES = ("vendor/uPlot.min.css", "vendor/tabulator_simple.min.css", "page.css", "curves.css")
MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
MAX_SUMMARY_ROWS = 200
TEXT_COLUMNS = (CONDITION, ARM, "ended", "network")


@dataclass(frozen=True)
class Section:
    """What the page shows of one sweep.

    Attributes:
        sweep: its name, as of its folder.
        runs: its runs alone: `Runs.of_sweep(sweep)`.
        summary: the table for people: `tables.as_text(...)`.
        figures: saved as SVG or PNG (or both).
        commands: lines of the sweep's commands.log; may be empty.
        figure3: steps to the baseline's maximum, for people; may be empty.
        curves: mean curves as JSON (`data.curves_data`); empty: none was ever evaluated.
        seeds: its single runs as JSON (`seeds.seeds_data`), read only when asked for.
        omitted: how many groups have no curve there, as they are too many.
        trial: what came out of the sweep's trial, in lines; empty: it is no trial.
        effects: the trial's effects, for people.
        trouble: why there is nothing of all this; empty: there is.
    """

    sweep: str
    runs: Runs
    summary: pd.DataFrame
    figures: Sequence[Saved]
    commands: Sequence[str]
    figure3: pd.DataFrame = field(default_factory=pd.DataFrame)
    curves: str = ""
    seeds: str = ""
    omitted: int = 0
    trial: Sequence[str] = ()
    effects: pd.DataFrame = field(default_factory=pd.DataFrame)
    trouble: str = ""


def write_report(
    out: Path,
    found: Runs,
    sections: Sequence[Section],
    claims: pd.DataFrame,
    overview: Sequence[Saved],
    command: str,
) -> Path:
    """Writes `index.html` into the folder `out` and returns its path.

    Args:
        out: an existing folder; links to run folders are relative to it.
        found: all runs, with the problems met while reading them.
        sections: a sweep each, in the order of the page.
        claims: `claims_table(judgements)`.
        overview: figures across sweeps.
        command: what was typed to make this page.
    """
    scripts = [_asset(name) for name in SCRIPTS]
    page = _template().render(
        policy=_policy(scripts),
        styles=[_asset(name) for name in STYLES],
        scripts=scripts,
        licences=[(HERE / name).read_text(encoding="utf-8") for name in LICENCES],
        written=datetime.now().astimezone().isoformat(" ", "minutes"),
        command=command,
        **_facts(found, out),
        claims=verdicts.claim_views(claims),
        verdict_totals=verdicts.totals(claims),
        overview=[_figure(figure) for figure in overview],
        sections=[_section(section) for section in sections],
        max_groups=data.MAX_GROUPS,
        text_columns=TEXT_COLUMNS,
        runs=data.as_json(runs_data(found, [section.runs for section in sections], out)),
    )
    path = out / "index.html"
    readable = page.encode("utf-8", "replace").decode()  # names of files may be no Unicode
    write_atomically(path, readable)
    return path


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("page.html.j2")


def _asset(name: str) -> Markup:
    """A script or style to stand in the page, without the link to its source map."""
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return Markup("\n".join(line for line in lines if "# sourceMappingURL=" not in line))


def _policy(scripts: Sequence[str]) -> str:
    """Content-Security-Policy: no network at all, and no script but the page's own."""
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    own = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {own}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _facts(found: Runs, out: Path) -> dict[str, Any]:
    """What the page says of all runs together."""
    table = found.runs
    return {
        "total": len(table),
        "sweeps": len(found.sweeps),
        "statuses": sections.status_counts(table) if len(table) else [],
        "versions": sections.versions_line(table) if len(table) else "",
        "provenance": sections.provenance(table) if len(table) else [],
        "damaged": list(found.problems),
        "problems": sections.problem_list(found, out) if len(table) else [],
    }


def _section(section: Section) -> dict[str, Any]:
    table = section.runs.runs
    return {
        "sweep": section.sweep,
        "total": len(table),
        "statuses": sections.status_counts(table),
        "settings": sections.settings(table),
        "commands": section.commands,
        "curves": Markup(section.curves),
        "seeds": Markup(section.seeds),
        "omitted": section.omitted,
        "trial": "\n".join(section.trial),
        "effects": _table(section.effects),
        "trouble": section.trouble,
        "figures": [_figure(figure) for figure in section.figures],
        "summary": _table(section.summary),
        "figure3": _table(section.figure3),
        "colours": _colours(list(table[ARM].drop_duplicates())),
    }


def _table(text: pd.DataFrame) -> dict[str, Any]:
    """A table for people, as far as the page shows it."""
    rows = text.head(MAX_SUMMARY_ROWS).to_dict("records")
    return {"columns": list(text.columns), "rows": rows, "all_rows": len(text)}


def _colours(arms: Sequence[str]) -> dict[str, tuple[str, str]]:
    """For each arm its colour on a light and on a dark page."""
    return {arm: (colour, data.on_dark(colour)) for arm, colour in style.colours(arms).items()}


def _figure(figure: Saved) -> dict[str, str]:
    """A figure with its picture as a data URI."""
    path = figure.embedded
    encoded = base64.b64encode(path.read_bytes()).decode()
    source = f"data:{MEDIA_TYPES[path.suffix]};base64,{encoded}"
    return {"source": source, "title": figure.title, "caption": figure.caption}
