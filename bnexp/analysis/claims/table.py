"""All judgements as one table, corrected for their number."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bnexp.analysis.claims.model import MATHEMATICS, NOT_RUN, OWN, PROTOCOL, Finding, Judgement
from bnexp.analysis.statistics import (
    CONFIDENCE,
    CONTRADICTED,
    INCONCLUSIVE,
    NO_ESTIMATE,
    SUPPORTED,
    detectable,
    holm,
)


def claims_table(judgements: Sequence[Judgement]) -> pd.DataFrame:
    """A row per finding, and one for each claim that was not run.

    Columns: claim, part, statement, source, section, sweep, rule, protocol, settings (in what the
    runs differ from the preset's; not empty: your settings, never counted), measure, unit, effect,
    low, high, n, detectable, verdict (empty for what stands beside), null (what rule R tells the
    effect from), p (of the rule), primary, p_holm (of primary parts of the paper's and later
    work's claims, corrected for all of these, run or not), verdict_holm (what is left of the
    verdict then), beside, sentence.
    """
    table = pd.DataFrame([row for judgement in judgements for row in _rows(judgement)])
    counted = table["primary"] & (table["settings"] == "") & (table["section"] != OWN)
    family = table.loc[(table["section"] != OWN) & (table["sweep"] != ""), "claim"].nunique()
    table["p_holm"] = holm(np.where(counted, table["p"], np.nan).tolist(), family)
    lost = table["p_holm"] >= 1 - CONFIDENCE
    table["verdict_holm"] = table["verdict"].mask(lost, INCONCLUSIVE)
    return table


def headline(table: pd.DataFrame) -> pd.Series:
    """How many primary parts have which verdict, after Holm's correction.

    Of the claims that runs judge, each once, also where two presets bear on it; claims that are
    mathematics, the user's own, secondary parts and runs with other settings than the preset's are
    not counted.
    """
    counted = table[(table["settings"] == "") & (table["sweep"] != "") & (table["section"] != OWN)]
    primary = counted[counted["primary"]]
    others = counted[~counted["claim"].isin(primary["claim"]) & (counted["verdict"] == NOT_RUN)]
    found = pd.concat([primary, others.drop_duplicates("claim")])
    return found["verdict_holm"].value_counts()


WORST_FIRST = (CONTRADICTED, INCONCLUSIVE, NOT_RUN, SUPPORTED)


def exactly(table: pd.DataFrame) -> pd.Series:
    """How many claims that are mathematics have which verdict, the worst of their parts."""
    checked = table[(table["section"] == MATHEMATICS) & (table["verdict"] != "")]
    return checked.groupby("claim")["verdict"].agg(_worst).value_counts()


def _worst(verdicts: pd.Series) -> str:
    return min(verdicts, key=WORST_FIRST.index)


def _rows(judgement: Judgement) -> list[dict[str, Any]]:
    claim = judgement.claim
    common = {
        "claim": claim.id,
        "statement": claim.statement,
        "source": claim.source,
        "section": claim.section,
        "sweep": claim.sweep,
        "rule": claim.measure,
        "protocol": PROTOCOL if claim.section != OWN else "",
        "settings": ", ".join(judgement.settings),
    }
    nothing = Finding("", "", "", NO_ESTIMATE, NOT_RUN, judgement.reason, null=None)
    return [common | _finding(finding) for finding in judgement.findings or [nothing]]


def _finding(finding: Finding) -> dict[str, Any]:
    effect = finding.effect
    return {
        "part": finding.part,
        "measure": finding.measure,
        "unit": finding.unit,
        "effect": effect.mean,
        "low": effect.low,
        "high": effect.high,
        "n": effect.n,
        "detectable": detectable(effect),
        "verdict": "" if finding.beside else finding.verdict,
        "null": np.nan if finding.null is None else finding.null,
        "p": np.nan if finding.beside else finding.p,
        "primary": finding.primary,
        "beside": finding.beside,
        "sentence": finding.sentence,
    }
