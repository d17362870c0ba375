"""What the page says of runs: settings, problems and provenance, ready to be laid out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bnexp.analysis.loading import SWEEP, UNFINISHED, Runs
from bnexp.analysis.naming import varying
from bnexp.analysis.report.data import setting_texts
from bnexp.analysis.report.table import error_text, relative_url
from bnexp.folders.runs import FAILED, STATUSES

MAX_VALUES = 16  # of a setting, named in full
NOT_RECORDED = "not recorded"
MAX_EXAMPLES = 5  # runs with the same problem that are linked


@dataclass(frozen=True)
class Setting:
    """A config key with its values; `more` are not shown."""

    key: str
    values: Sequence[str]
    more: int = 0


@dataclass(frozen=True)
class Settings:
    """What differs between the runs of a sweep, what follows from that, what all share."""

    varying: Sequence[Setting]
    following: Sequence[Setting]
    constant: Sequence[Setting]


def settings(table: pd.DataFrame) -> Settings:
    """Every config key of a sweep's runs, told apart by whether it was swept."""
    swept = varying(table)
    keys = [key for key in table.columns if "." in key]
    differing = [key for key in keys if table[key].nunique(dropna=False) > 1]
    seeds = [_setting(table, "seed")] if "seed" in table else []
    return Settings(
        [_setting(table, key) for key in swept] + seeds,
        [_setting(table, key) for key in differing if key not in swept],
        [_setting(table, key) for key in keys if key not in differing],
    )


def _setting(table: pd.DataFrame, key: str) -> Setting:
    values = setting_texts(table[key])
    return Setting(key, values[:MAX_VALUES], max(0, len(values) - MAX_VALUES))


@dataclass(frozen=True)
class Problem:
    """Runs that failed or are unfinished for the same reason, with links to some of them."""

    sweep: str
    status: str
    reason: str
    links: Sequence[tuple[str, str]]
    count: int


def problem_list(found: Runs, start: Path) -> list[Problem]:
    """Failed and unfinished runs, grouped by sweep and reason."""
    bad = found.runs[found.runs["status"].isin([FAILED, UNFINISHED])]
    groups: dict[tuple[str, str, str], list[str]] = {}
    steps = found.history[found.history["run"].isin(bad.index)]
    last = steps.groupby("run")["step"].max()
    for run, row in bad.iterrows():
        reason = _reason(row, int(last.get(run, 0)))
        groups.setdefault((str(row[SWEEP]), str(row["status"]), reason), []).append(str(run))
    return [
        Problem(*key, [_link(run, start) for run in runs[:MAX_EXAMPLES]], len(runs))
        for key, runs in groups.items()
    ]


def _link(run: str, start: Path) -> tuple[str, str]:
    return Path(run).name, relative_url(run, start)


def _reason(row: pd.Series, step: int) -> str:
    if row["status"] == FAILED:
        return error_text(row.get("error")) or "no error was recorded"
    return f"no result.json; last evaluated at step {step}" if step else "never evaluated"


def status_counts(table: pd.DataFrame) -> list[tuple[str, int]]:
    """How many runs ended how; only what there is."""
    counts = [
        (status, int((table["status"] == status).sum())) for status in (*STATUSES, UNFINISHED)
    ]
    return [(status, count) for status, count in counts if count]


def provenance(table: pd.DataFrame) -> list[tuple[str, list[tuple[str, int]]]]:
    """Versions, machines, commits and thread counts, each with how many runs have it."""
    rows = []
    for column, title in (
        ("versions", "versions"),
        ("machine", "machine"),
        ("git_commit", "git commit"),
        ("threads", "threads of a run"),
    ):
        values = table[column] if column in table else [None] * len(table)
        rows.append((title, Counter(map(described, values)).most_common()))
    return rows


def described(value: Any) -> str:
    """ "python 3.11.7, tensorflow 2.21.0" of a dict; the text of anything else."""
    if isinstance(value, Mapping):
        known = [f"{name} {item}" for name, item in sorted(value.items()) if item]
        return ", ".join(known) or NOT_RECORDED
    if value is None or value != value:
        return NOT_RECORDED
    return f"{value:g}" if isinstance(value, float) else str(value)


def versions_line(table: pd.DataFrame) -> str:
    """The versions most runs have, for the page's first line."""
    [(text, _), *others] = provenance(table)[0][1]
    return f"{text}; {len(others)} more below" if others else text
