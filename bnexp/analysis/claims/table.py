"""All judgements as one table, corrected for their number."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bnexp.analysis.claims.model import NOT_RUN, Finding, Judgement
from bnexp.analysis.statistics import CONFIDENCE, INCONCLUSIVE, NO_ESTIMATE, holm, p_value


def claims_table(judgements: Sequence[Judgement]) -> pd.DataFrame:
    """A row per finding, and one for each claim that was not run.

    Columns: claim, part, statement, source, sweep, rule, measure, unit, effect, low, high, n,
    verdict (empty for what stands beside), null (what rule R tells the effect from), p
    (two-sided, of rule R), p_holm (corrected for all verdicts by rule R in this table),
    verdict_holm (what is left of the verdict then), beside, sentence.
    """
    rows = [row for judgement in judgements for row in _rows(judgement)]
    table = pd.DataFrame(rows)
    counted = np.where(table["beside"], np.nan, table["p"])
    table["p_holm"] = holm(counted.tolist())
    lost = table["p_holm"] >= 1 - CONFIDENCE
    table["verdict_holm"] = table["verdict"].mask(lost, INCONCLUSIVE)
    return table


def _rows(judgement: Judgement) -> list[dict[str, Any]]:
    claim = judgement.claim
    common = {
        "claim": claim.id,
        "statement": claim.statement,
        "source": claim.source,
        "sweep": claim.sweep,
        "rule": claim.measure,
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
        "verdict": "" if finding.beside else finding.verdict,
        "null": np.nan if finding.null is None else finding.null,
        "p": np.nan if finding.null is None else p_value(effect, finding.null),
        "beside": finding.beside,
        "sentence": finding.sentence,
    }
