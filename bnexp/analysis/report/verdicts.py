"""The claims as the page shows them: a row each, that opens to its parts."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from bnexp.analysis.claims.model import LOG2, NOT_RUN, VERDICTS
from bnexp.analysis.statistics import CONTRADICTED, INCONCLUSIVE, SUPPORTED

SYMBOLS = {SUPPORTED: "✓", CONTRADICTED: "✗", INCONCLUSIVE: "~", NOT_RUN: "–"}


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
    sentences: Sequence[tuple[str, str]]  # part and what was seen of it
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
        sentences=_sentences(judged),
        parts=[_part(row) for _, row in judged.iterrows()],
        beside=[_part(row) for _, row in rows[beside].iterrows()],
    )


def _sentences(judged: pd.DataFrame) -> list[tuple[str, str]]:
    """What was seen of each part, with the part's name where there are several."""
    several = len(judged) > 1
    pairs = zip(judged["part"], judged["sentence"], strict=True)
    return [(str(part) if several else "", str(sentence)) for part, sentence in pairs if sentence]


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
    """A number with decimals, else with 3 significant digits; with a true minus."""
    text = f"{value:.3g}" if decimals is None else f"{value:.{max(0, decimals)}f}"
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
