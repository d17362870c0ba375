"""Rules that ask for several things at once, or for a second one where the first cannot tell."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from bnexp.analysis.claims.model import LOG2, Finding, could_tell, spacing
from bnexp.analysis.statistics import (
    CONTRADICTED,
    EQUAL,
    INCONCLUSIVE,
    SUPPORTED,
    Estimate,
    p_above,
    p_within,
    rule_e,
    rule_r,
)
from bnexp.analysis.steps import Speed


def all_of(
    part: str,
    findings: Mapping[str, Finding],
    *,
    holds: Collection[str] = (SUPPORTED,),
    primary: bool = False,
) -> Finding:
    """The "and" of rules (docs/claims.md): all must hold, and one is enough to contradict.

    Equal where all are, all else is inconclusive. p is the largest one. The effect is that of the
    finding on which the verdict hangs: of the contradicted ones, else of all, the one with the
    largest p.

    Args:
        part: its name.
        findings: what is asked for, each judged by its own rule, by what it is about.
        holds: verdicts that are what is claimed.
        primary: see `Finding`.
    """
    verdicts = {name: one.verdict for name, one in findings.items()}
    against = [name for name, verdict in verdicts.items() if verdict == CONTRADICTED]
    if against:
        verdict = CONTRADICTED
    elif set(verdicts.values()) <= set(holds):
        verdict = SUPPORTED
    else:
        verdict = EQUAL if set(verdicts.values()) == {EQUAL} else INCONCLUSIVE
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
        beside=False,
    )


def or_equal(finding: Finding, margin: float, speed: Speed | None = None) -> Finding:
    """The same, by rule E where rule R is inconclusive and E says equal.

    Args:
        finding: by rule R.
        margin: of E.
        speed: where the effect is one of steps: it must be equal by `within` too.
    """
    if finding.verdict != INCONCLUSIVE:
        return finding
    verdict = rule_e(finding.effect, margin) if speed is None else within(speed, margin)
    if verdict != EQUAL:
        return finding
    told = f"{finding.sentence} It is equal within a margin of {margin:.2g} {finding.unit}."
    p = p_within(finding.effect, margin)
    return replace(finding, verdict=EQUAL, null=None, p=p, sentence=told)


def within(compared: Speed, margin: float) -> str:
    """Rule E(margin) on log2 of steps, by all conventions for runs that never get there.

    With each crossing at the evaluation before it E must say the same. Where a run is never
    there nothing is equal, and "contradicted" must hold as in `Speed.verdict`.
    """
    verdict = rule_e(compared.effect, margin)
    if rule_e(compared.earlier, margin) != verdict:
        return INCONCLUSIVE
    if verdict == INCONCLUSIVE or np.isfinite(compared.late).all():
        return verdict
    if verdict == EQUAL:
        return INCONCLUSIVE
    side = compared if compared.effect.mean > 0 else _mirrored(compared)
    return CONTRADICTED if side.verdict(margin) == SUPPORTED else INCONCLUSIVE


def by_speed_within(
    part: str, measure: str, compared: Speed, sentence: str, margin: float
) -> Finding:
    """A finding on steps to a target, whose verdict is that of `within`."""
    verdict = within(compared, margin)
    p = p_within(compared.effect, margin)
    if verdict == CONTRADICTED:
        p = 1 - p
    elif verdict == INCONCLUSIVE:
        p = float(np.maximum(0.05, p))
    told = f"{sentence} Margin {margin:g} {LOG2}.{could_tell(compared.effect)}{spacing(compared)}"
    return Finding(part, measure, LOG2, compared.effect, verdict, told, None, p)


def by_apart(
    part: str, measure: str, unit: str, effect: Estimate, sentence: str, margin: float
) -> Finding:
    """A finding that claims "not equal": R(margin) on either side, against E(margin)."""
    verdict, mirrored = INCONCLUSIVE, _negative(effect)
    p = min(1.0, 2 * min(p_above(effect, margin), p_above(mirrored, margin)))
    if SUPPORTED in (rule_r(effect, margin), rule_r(mirrored, margin)):
        verdict = SUPPORTED
    elif rule_e(effect, margin) == EQUAL:
        verdict, p = CONTRADICTED, p_within(effect, margin)
    told = f"{sentence} Margin {margin:g} {unit}.{could_tell(effect)}"
    return Finding(part, measure, unit, effect, verdict, told, None, p)


def _negative(effect: Estimate) -> Estimate:
    values = [-value for value in effect.values]
    return Estimate(effect.n, -effect.mean, effect.sd, -effect.high, -effect.low, values)


def _mirrored(compared: Speed) -> Speed:
    return Speed(_negative(compared.effect), _negative(compared.earlier), -compared.late)
