"""One self-contained HTML page: what came out, curves, figures, claims and every run."""

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bnexp.analysis import style
from bnexp.analysis.answers import Answer, Block
from bnexp.analysis.drawing import Saved
from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.presets import question
from bnexp.analysis.report import data, glance, sections, verdicts
from bnexp.analysis.report.packed import packed, picture
from bnexp.analysis.report.table import runs_data
from bnexp.folders.runs import write_atomically

HERE = Path(__file__).parent
SCRIPTS = (
    "vendor/uPlot.iife.min.js",
    "vendor/tabulator.min.js",
    "page.js",
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
    "folding.js",
    "start.js",
)
LICENCES = ("vendor/uPlot.LICENSE", "vendor/tabulator.LICENSE")
STYLES = (
    "vendor/uPlot.min.css",
    "vendor/tabulator_simple.min.css",
    "page.css",
    "curves.css",
    "print.css",
)
TITLE = "What Batch Normalization does to training"
SHOWN_ROWS = 12  # of a table, before the reader asks for all
TEXT_COLUMNS = (CONDITION, ARM, "ended", "network", "measure", "choice", "verdict")


@dataclass(frozen=True)
class Section:
    """What the page shows of one sweep.

    Attributes:
        sweep: its name, as of its folder.
        runs: its runs alone: `Runs.of_sweep(sweep)`.
        summary: the table for people: `tables.as_text(...)`.
        figures: saved as SVG or PNG (or both).
        commands: lines of the sweep's commands.log; may be empty.
        tables: further tables for people: figure3, trial, effects.
        curves: mean curves as JSON (`data.curves_data`); empty: none was ever evaluated.
        seeds: its single runs as JSON (`seeds.seeds_data`), read only when asked for.
        omitted: how many groups have no curve there, as they are too many.
        answer: what came out.
        trial: the same in lines, for the terminal; empty: it is no trial.
        files: all that was written of it, for links.
        trouble: what could not be made, and why; empty: nothing.
    """

    sweep: str
    runs: Runs
    summary: pd.DataFrame
    figures: Sequence[Saved]
    commands: Sequence[str]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    curves: str = ""
    seeds: str = ""
    omitted: int = 0
    answer: Answer = field(default_factory=lambda: Answer(""))
    trial: Sequence[str] = ()
    files: Sequence[str] = ()
    trouble: str = ""


def write_report(
    out: Path,
    found: Runs,
    sections: Sequence[Section],
    claims: pd.DataFrame,
    overview: Sequence[Saved],
    command: str,
    title: str = "",
) -> Path:
    """Writes `index.html` into the folder `out` and returns its path.

    Args:
        out: an existing folder; links to run folders are relative to it.
        found: all runs, with the problems met while reading them.
        sections: a sweep each, in the order of the page.
        claims: `claims_table(judgements)`; empty: none were judged.
        overview: figures across sweeps.
        command: what was typed to make this page.
        title: of the page; empty: what the runs ask.
    """
    scripts = [_asset(name) for name in SCRIPTS]
    views = verdicts.claim_views(claims)
    names = anchors(section.sweep for section in sections)
    shown = [_section(section, names[section.sweep], views, out) for section in sections]
    page = _template().render(
        title=title or (shown[0]["question"] if len(shown) == 1 else "") or TITLE,
        policy=_policy(scripts),
        styles=[_asset(name) for name in STYLES],
        scripts=scripts,
        licences=[(HERE / name).read_text(encoding="utf-8") for name in LICENCES],
        written=datetime.now().astimezone().isoformat(" ", "minutes"),
        command=command,
        **_facts(found, out),
        claims=views,
        places=_places(views, shown),
        claim_files=_links([out / "tables" / f"claims.{kind}" for kind in ("csv", "tex")], out)
        if views
        else [],
        verdict_totals=verdicts.totals(claims),
        overview=[_figure(figure, out) for figure in overview],
        sections=shown,
        max_groups=data.MAX_GROUPS,
        runs=packed(str(data.as_json(runs_data(found, [s.runs for s in sections], out))).encode()),
    )
    path = out / "index.html"
    readable = page.encode("utf-8", "replace").decode()  # names of files may be no Unicode
    write_atomically(path, readable)
    return path


def anchors(sweeps: Iterable[str]) -> dict[str, str]:
    """For each sweep a name that may stand in an address; no two share one."""
    found: dict[str, str] = {}
    for sweep in sweeps:
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", sweep).strip("-") or "sweep"
        taken = set(found.values())
        numbered = (f"{name}-{number}" for number in range(2, len(taken) + 3))
        found[sweep] = next(one for one in [name, *numbered] if one not in taken)
    return found


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["packed"] = lambda text: packed(str(text).encode())
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
        f"default-src 'none'; script-src {own}; style-src 'unsafe-inline'; img-src data: blob:; "
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


def _section(
    section: Section, anchor: str, views: Sequence[verdicts.ClaimView], out: Path
) -> dict[str, Any]:
    table = section.runs.runs
    asked = question(section.sweep)
    return {
        "sweep": section.sweep,
        "anchor": anchor,
        "question": asked,
        "answer": section.answer,
        "blocks": [_block(block) for block in section.answer.blocks],
        "glance": glance.glance(section.runs) if len(table) else [],
        "repeat": glance.commands(section.commands),
        "total": len(table),
        "statuses": sections.status_counts(table),
        "settings": sections.settings(table),
        "commands": section.commands,
        "curves": packed(section.curves.encode()) if section.curves else "",
        "seeds": packed(section.seeds.encode()) if section.seeds else "",
        "omitted": section.omitted,
        "trouble": section.trouble,
        "figures": [_figure(figure, out) for figure in section.figures],
        "summary": _table(section.summary),
        "figure3": _table(section.tables.get("figure3", pd.DataFrame())),
        "downloads": _downloads(section.files, out),
        "claims": [view for view in views if view.was_run and view.is_of(section.sweep)],
        "colours": _colours(list(table[ARM].drop_duplicates())),
    }


def _places(
    views: Sequence[verdicts.ClaimView], shown: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Where the sweep of each claim is, by the claim's anchor; not of those that are not here."""
    return {
        view.anchor: one["anchor"] for view in views for one in shown if view.is_of(one["sweep"])
    }


def _block(block: Block) -> dict[str, Any]:
    return {**vars(block), "table": _table(block.table)}


def _table(text: pd.DataFrame) -> dict[str, Any]:
    """A table for people: its columns, whether they hold text, and its rows."""
    columns = [(name, name in TEXT_COLUMNS) for name in text.columns]
    rows = text.to_dict("records")
    return {"columns": columns, "rows": rows[:SHOWN_ROWS], "more": rows[SHOWN_ROWS:]}


def _links(files: Iterable[Path], out: Path) -> list[tuple[str, str]]:
    """Each file's kind with its address as seen from the page."""
    return [(file.suffix[1:].upper(), _address(file, out)) for file in files]


def _address(file: Path, out: Path) -> str:
    return quote(os.fsencode(Path(os.path.relpath(file, out)).as_posix()))


# what the end of a file's name means, in the order in which they are offered
DOWNLOADS = {
    "_summary": "summary",
    "_trial": "effects",
    "_effects": "effects",
    "_figure3": "Fig. 3",
    "_curves": "mean curves",
    "_runs": "every run",
}


def _downloads(files: Sequence[str], out: Path) -> dict[str, list[tuple[str, str]]]:
    """The tables that were written, each with the formats that a reader may want."""
    found: dict[str, list[tuple[str, str]]] = {}
    for end, name in DOWNLOADS.items():
        paths = [Path(file) for file in files]
        paths = [path for path in paths if path.stem.endswith(end)]
        if links := _links([path for path in paths if path.suffix in (".csv", ".tex")], out):
            found[name] = [("LaTeX" if kind == "TEX" else kind, url) for kind, url in links]
    return found


def _colours(arms: Sequence[str]) -> dict[str, tuple[str, str]]:
    """For each arm its colour on a light and on a dark page."""
    return {arm: (colour, data.on_dark(colour)) for arm, colour in style.colours(arms).items()}


def _figure(figure: Saved, out: Path) -> dict[str, Any]:
    """A figure with its picture, packed."""
    return {
        "name": figure.name,
        "title": figure.title,
        "caption": figure.caption,
        "alt": getattr(figure, "alt", "") or f"{figure.title}. {figure.caption}",
        "picture": picture(figure),
        "links": _links(map(Path, figure.files), out),
    }
