"""Primary parts that ask for several things at once ("and", docs/claims.md)."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bnexp.analysis.claims.model import Finding
from bnexp.analysis.statistics import CONTRADICTED, INCONCLUSIVE, SUPPORTED


def all_of(
    part: str, findings: Mapping[str, Finding], *, holds: str = SUPPORTED, primary: bool = False
) -> Finding:
    """Supported if all of several findings hold, contradicted if one is contradicted.

    p is the largest of theirs. The effect is that of the finding on which the verdict hangs: of
    the contradicted ones, else of all, the one with the largest p.

    Args:
        part: its name.
        findings: by what each is about, in a few words.
        holds: the verdict of one that is as claimed.
        primary: see `Finding`.
    """
    verdicts = {name: finding.verdict for name, finding in findings.items()}
    verdict = SUPPORTED if set(verdicts.values()) == {holds} else INCONCLUSIVE
    if CONTRADICTED in verdicts.values():
        verdict = CONTRADICTED
    against = [name for name in findings if verdicts[name] == CONTRADICTED]
    p_values = {name: float(np.nan_to_num(one.p, nan=1.0)) for name, one in findings.items()}
    hinge = max(against or findings, key=lambda name: p_values[name])
    p = max(p_values.values())
    told = "; ".join(
        f"{', '.join(name for name in verdicts if verdicts[name] == found)}: {found}"
        for found in dict.fromkeys(verdicts.values())
    )
    return replace(
        findings[hinge],
        part=part,
        measure=f"all of {', '.join(findings)}; shown: {findings[hinge].measure}",
        verdict=verdict,
        sentence=f"Asked for together: {told}. It hangs on {hinge}: {findings[hinge].sentence}",
        null=None,
        p=max(0.05, p) if verdict == INCONCLUSIVE else p,
        primary=primary,
    )
