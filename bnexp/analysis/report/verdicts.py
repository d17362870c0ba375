"""The claims as the page shows them: a row each, that opens to its parts; and as printed."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import pandas as pd

from bnexp.analysis.claims.model import LOG2, NOT_RUN, OWN, VERDICTS
from bnexp.analysis.claims.table import exactly, headline
from bnexp.analysis.statistics import CONTRADICTED, EQUAL, INCONCLUSIVE, SUPPORTED

SYMBOLS = {SUPPORTED: "✓", EQUAL: "=", CONTRADICTED: "✗", INCONCLUSIVE: "~", NOT_RUN: "–"}


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
    """A row of a claim's table: one finding; `holm` is None where nothing is corrected."""

    name: str
    measure: str
    effect: str
    unit: str
    detectable: str
    n: int
    primary: bool
    verdict: Badge
    holm: Badge | None
    p_holm: str
    sentence: str


@dataclass(frozen=True)
class ClaimView:
    """A claim as the page shows it.

    Attributes:
        section: of docs/claims.md; empty: the user's own.
        settings: in what the runs differ from the preset's; empty: in nothing.
        protocol: by which it was judged.
        primary: whether its primary part is judged from this sweep.
        badges: the verdicts of its primary part, or of all parts where none is.
        holm: the same after the correction; empty: it changes nothing.
        secondary: the verdicts of the other parts.
        sentences: part and what was seen of it, the primary one first.
        parts: all that were judged.
        beside: what has no verdict.
    """

    id: str
    statement: str
    source: str
    sweep: str
    rule: str
    section: str
    settings: str
    protocol: str
    primary: bool
    badges: Sequence[Badge]
    holm: Sequence[Badge]
    secondary: Sequence[Badge]
    sentences: Sequence[tuple[str, str]]
    parts: Sequence[Part]
    beside: Sequence[Part]

    @property
    def anchor(self) -> str:
        """By which it is found in the page."""
        words = " ".join(filter(None, [self.id, self.sweep, self.settings]))
        return f"claim-{re.sub(r'[^A-Za-z0-9_-]+', '-', words)}"

    def is_of(self, sweep: str) -> bool:
        """Whether it is judged from this sweep."""
        return bool(self.sweep) and self.sweep in (sweep, PurePath(sweep).name)

    @property
    def was_run(self) -> bool:
        return any(badge.verdict != NOT_RUN for badge in self.badges)

    @property
    def group(self) -> str:
        """Under which heading of the page it stands, one of `GROUPS`."""
        if not self.was_run:
            return ABSENT
        if self.settings:
            return APART
        if not self.sweep:
            return CHECKED
        return JUDGED if self.section != OWN else YOURS


JUDGED, CHECKED, YOURS, APART, ABSENT = GROUPS = ("judged", "checked", "yours", "apart", "absent")


def claim_views(claims: pd.DataFrame) -> list[ClaimView]:
    """In the order of `GROUPS`: those judged from sweeps with the presets' settings first."""
    if claims.empty:
        return []
    keys = ["claim", "sweep", "settings"]
    views = [_claim(group) for _, group in claims.groupby(keys, sort=False)]
    return sorted(views, key=lambda view: GROUPS.index(view.group))


def counted(counts: pd.Series) -> str:
    """ "3 supported, 1 equal": verdicts with how many have them."""
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts)


def totals(claims: pd.DataFrame) -> dict[str, str]:
    """How many have which verdict, where there are any: `judged` and `checked`; `protocol`."""
    if claims.empty:
        return {JUDGED: "", CHECKED: "", "protocol": ""}
    return {
        JUDGED: counted(headline(claims)),
        CHECKED: counted(exactly(claims)),
        "protocol": str(claims["protocol"].max()),
    }


HEADINGS = {JUDGED: "", CHECKED: "", YOURS: "your own claims:", APART: "your settings ({}):"}


def printed(claims: pd.DataFrame) -> Iterator[str]:
    """The verdicts as lines: primary parts of the claims, then what is the user's own."""
    total, last = totals(claims), ""
    for view in claim_views(claims):
        if view.group not in HEADINGS:
            continue
        heading = HEADINGS[view.group].format(view.settings)
        if heading != last:
            yield heading
        last = heading
        for part in [part for part in view.parts if part.primary] or view.parts:
            name = f"{view.id}: {part.name}".removesuffix(": ")
            yield f"{(part.holm or part.verdict).verdict:12}  {name}"
    if total[JUDGED]:
        yield f"claims, by {total['protocol']}, after Holm's correction: {total[JUDGED]}"
    if total[CHECKED]:
        yield f"claims that are mathematics: {total[CHECKED]}"


def _claim(rows: pd.DataFrame) -> ClaimView:
    first = rows.iloc[0]
    beside = rows["beside"].astype(bool)
    primary = rows["primary"].astype(bool) & ~beside
    judged = pd.concat([rows[primary], rows[~beside & ~primary]])
    first_parts = rows[primary] if primary.any() else judged
    badges = _badges(first_parts["verdict"] if len(judged) else [NOT_RUN])
    corrected = _badges(first_parts["verdict_holm"] if len(judged) else [NOT_RUN])
    return ClaimView(
        id=str(first["claim"]),
        statement=str(first["statement"]),
        source=str(first["source"]),
        sweep=str(first["sweep"]),
        rule=str(first["rule"]),
        section=str(first["section"]),
        settings=str(first["settings"]),
        protocol=str(first["protocol"]),
        primary=bool(primary.any()),
        badges=badges,
        holm=corrected if corrected != badges else [],
        secondary=_badges(judged["verdict"].iloc[len(first_parts) :], always=True),
        sentences=_sentences(judged),
        parts=[_part(row) for _, row in judged.iterrows()],
        beside=[_part(row) for _, row in rows[beside].iterrows()],
    )


def _sentences(judged: pd.DataFrame) -> list[tuple[str, str]]:
    """What was seen of each part, with the part's name where there are several."""
    several = len(judged) > 1
    pairs = zip(judged["part"], judged["sentence"], strict=True)
    return [(str(part) if several else "", str(sentence)) for part, sentence in pairs if sentence]


def _badges(verdicts: Iterable[str], *, always: bool = False) -> list[Badge]:
    """One badge if all parts agree, else (or `always`) one for each verdict with its count."""
    counts = Counter(verdicts)
    if len(counts) == 1 and not always:
        return [Badge(verdict) for verdict in counts]
    return [Badge(verdict, counts[verdict]) for verdict in VERDICTS if counts[verdict]]


def _part(row: pd.Series) -> Part:
    corrected = not pd.isna(row["p_holm"])
    return Part(
        name=str(row["part"]),
        measure=str(row["measure"]),
        effect=interval(row["effect"], row["low"], row["high"]),
        unit=_unit(row),
        detectable="–" if pd.isna(row["detectable"]) else plain(row["detectable"]),
        n=int(row["n"]),
        primary=bool(row["primary"]),
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
