"""What the page says: claims, settings, problems and provenance, ready to be laid out."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bnexp.analysis.claims.model import LOG2, NOT_RUN, VERDICTS
from bnexp.analysis.loading import SWEEP, UNFINISHED, Runs
from bnexp.analysis.naming import varying
from bnexp.analysis.report.data import error_text, relative_url, setting_texts
from bnexp.analysis.statistics import CONTRADICTED, INCONCLUSIVE, SUPPORTED
from bnexp.runs import FAILED, STATUSES

SYMBOLS = {SUPPORTED: "✓", CONTRADICTED: "✗", INCONCLUSIVE: "~", NOT_RUN: "–"}
MAX_VALUES = 16  # of a setting, named in full
MAX_EXAMPLES = 5  # runs with the same problem that are linked


@dataclass(frozen=True)
class Badge:
    """A verdict and how many parts of a claim have it; 0: all, not worth saying."""

    verdict: str
    count: int = 0

    @property
    def symbol(self) -> str:
        return SYMBOLS.get(self.verdict, "")

    @property
    def text(self) -> str:
        return f"{self.count} {self.verdict}" if self.count else self.verdict


@dataclass(frozen=True)
class Part:
    """A row of a claim's table: one finding; `holm` is None where the rule is not R."""

    name: str
    measure: str
    effect: str
    unit: str
    n: int
    verdict: Badge
    holm: Badge | None
    p_holm: str
    sentence: str


@dataclass(frozen=True)
class ClaimView:
    """A claim as the page shows it; `holm` only where the correction changes a verdict."""

    id: str
    statement: str
    source: str
    sweep: str
    rule: str
    badges: Sequence[Badge]
    holm: Sequence[Badge]
    sentences: Sequence[str]
    parts: Sequence[Part]
    beside: Sequence[Part]

    @property
    def was_run(self) -> bool:
        return any(badge.verdict != NOT_RUN for badge in self.badges)


def claim_views(claims: pd.DataFrame) -> list[ClaimView]:
    """Claims judged from sweeps first, then those checked exactly, then those not run."""
    if claims.empty:
        return []
    views = [_claim(group) for _, group in claims.groupby("claim", sort=False)]
    return sorted(views, key=lambda view: (not view.was_run, view.sweep == ""))


def _claim(rows: pd.DataFrame) -> ClaimView:
    first = rows.iloc[0]
    beside = rows["beside"].astype(bool)
    judged = rows[~beside]
    badges = _badges(judged["verdict"] if len(judged) else [NOT_RUN])
    corrected = _badges(judged["verdict_holm"] if len(judged) else [NOT_RUN])
    return ClaimView(
        id=str(first["claim"]),
        statement=str(first["statement"]),
        source=str(first["source"]),
        sweep=str(first["sweep"]),
        rule=str(first["rule"]),
        badges=badges,
        holm=corrected if corrected != badges else [],
        sentences=[str(sentence) for sentence in judged["sentence"] if sentence],
        parts=[_part(row) for _, row in judged.iterrows()],
        beside=[_part(row) for _, row in rows[beside].iterrows()],
    )


def _badges(verdicts: Iterable[str]) -> list[Badge]:
    """One badge if all parts agree, else one for each verdict with its count."""
    counts = Counter(verdicts)
    if len(counts) == 1:
        return [Badge(verdict) for verdict in counts]
    return [Badge(verdict, counts[verdict]) for verdict in VERDICTS if counts[verdict]]


def _part(row: pd.Series) -> Part:
    corrected = not pd.isna(row["p_holm"])
    return Part(
        name=str(row["part"]),
        measure=str(row["measure"]),
        effect=interval(row["effect"], row["low"], row["high"]),
        unit=_unit(row),
        n=int(row["n"]),
        verdict=Badge(str(row["verdict"])),
        holm=Badge(str(row["verdict_holm"])) if corrected else None,
        p_holm=_p(row["p_holm"]) if corrected else "",
        sentence=str(row["sentence"]),
    )


def plain(value: float, decimals: int | None = None) -> str:
    """A number with decimals, else with 4 significant digits; with a true minus."""
    text = f"{value:.4g}" if decimals is None else f"{value:.{max(0, decimals)}f}"
    return text.replace("-", "−").replace("e−", "e-")


def interval(mean: float, low: float, high: float) -> str:
    """ "1.20 [0.91, 1.49]": two digits of what the interval leaves open; a dash for NaN."""
    if pd.isna(mean):
        return "–"
    if pd.isna(low) or pd.isna(high):
        return plain(mean)
    half = (high - low) / 2
    decimals = 1 - math.floor(math.log10(half)) if 1e-6 < half < 1e6 else None
    texts = [plain(value, decimals) for value in (mean, low, high)]
    return "{} [{}, {}]".format(*texts)


def _unit(row: pd.Series) -> str:
    """The unit; a log ratio also as the factor it stands for."""
    effect = row["effect"]
    if row["unit"] != LOG2 or pd.isna(effect) or abs(effect) > 60:
        return str(row["unit"])
    return f"{LOG2} (×{2**effect:.3g})"


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


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
    counts = [(status, int((table["status"] == status).sum())) for status in _ALL]
    return [(status, count) for status, count in counts if count]


_ALL = (*STATUSES, UNFINISHED)
NOT_RECORDED = "not recorded"


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
        known = [f"{name} {item}" for name, item in value.items() if item not in (None, "")]
        return ", ".join(known) or NOT_RECORDED
    if value is None or value != value:
        return NOT_RECORDED
    return f"{value:g}" if isinstance(value, float) else str(value)


def versions_line(table: pd.DataFrame) -> str:
    """The versions most runs have, for the page's first line."""
    [(text, _), *others] = provenance(table)[0][1]
    return f"{text}; {len(others)} more below" if others else text
