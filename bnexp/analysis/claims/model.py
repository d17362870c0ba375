"""What a claim is, and what is found when it is judged."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bnexp.analysis.statistics import (
    CONTRADICTED,
    EQUAL,
    INCONCLUSIVE,
    SUPPORTED,
    Estimate,
    detectable,
    no_worse,
    p_above,
    p_value,
    p_within,
    rule_e,
    rule_r,
    sign_flip_p,
)
from bnexp.analysis.steps import SPACING, Speed

# What the rules say stands in docs/claims.md; this commit fixed them before the runs they judge.
PROTOCOL = "protocol 2 (48e7707)"

NOT_RUN = "not run"
VERDICTS = (SUPPORTED, EQUAL, CONTRADICTED, INCONCLUSIVE, NOT_RUN)

POINTS = "percentage points"
LOG2 = "log2 ratio"

PAPER, WHY, MATHEMATICS, OWN = "A", "W", "B", ""  # sections of docs/claims.md; the user's own


@dataclass(frozen=True)
class Finding:
    """One part of a claim, measured and judged.

    Attributes:
        part: which part: "sigmoid", "95%"; empty where the claim has one part alone.
        measure: what `effect` is, in words: "test accuracy, BN − none".
        unit: of `effect`: `POINTS`, `LOG2` or another.
        effect: the mean over seeds with its 95% interval; of an exact check, the largest
            error found (`mean`) in `n` cases, without an interval.
        verdict: one of `VERDICTS`.
        sentence: what was seen, in one plain sentence with its numbers.
        null: what rule R tells `effect` from; None: the rule is another.
        p: of the rule's test; NaN: it has none.
        primary: the part that the claim stands for; counted, and corrected for the others.
        beside: context that is shown but has no verdict.
    """

    part: str
    measure: str
    unit: str
    effect: Estimate
    verdict: str
    sentence: str
    null: float | None = 0.0
    p: float = np.nan
    primary: bool = False
    beside: bool = False


@dataclass(frozen=True)
class Claim:
    """A claim and how it is judged.

    Attributes:
        id: short name, as in the tables.
        statement: the claim in one sentence.
        source: paper section, or later work.
        measure: what is measured, and the rule.
        sweep: the preset (folder under outputs/) whose runs judge it; empty: mathematics,
            checked on the spot.
        judge: from the data to findings: of the sweep's `Evidence` (which is `Runs` and more), or
            of nothing where `sweep` is empty. No findings: the runs do not allow it.
        section: of docs/claims.md: the paper's (A), mathematics (B), later work's (W); empty: the
            user's own.
    """

    id: str
    statement: str
    source: str
    measure: str
    sweep: str
    judge: Callable[..., Iterable[Finding]]
    section: str = OWN


@dataclass(frozen=True)
class Judgement:
    """A claim with what was found.

    Attributes:
        claim: what was judged.
        findings: empty: nothing could be judged.
        reason: why not.
        settings: in what the runs differ from the claim's preset; where in anything, they are
            judged apart and never count for the claim.
    """

    claim: Claim
    findings: Sequence[Finding]
    reason: str = ""
    settings: Sequence[str] = ()

    def telling(self, told: str) -> "Judgement":
        """The same with more said in every finding."""
        if not told:
            return self
        findings = [replace(one, sentence=f"{one.sentence} {told}") for one in self.findings]
        return replace(self, findings=findings)


def by_rule_r(
    part: str,
    measure: str,
    unit: str,
    effect: Estimate,
    sentence: str,
    *,
    null: float = 0.0,
    primary: bool = False,
    beside: bool = False,
) -> Finding:
    """A finding whose verdict is that of rule R on `effect` against `null`."""
    verdict, told = rule_r(effect, null), f"{sentence}{could_tell(effect, null)}"
    p = p_value(effect, null)
    return Finding(part, measure, unit, effect, verdict, told, null, p, primary, beside)


def by_speed(
    part: str,
    measure: str,
    compared: Speed,
    sentence: str,
    *,
    null: float = 0.0,
    primary: bool = False,
    beside: bool = False,
) -> Finding:
    """A finding on steps to a target, whose verdict must hold by all three conventions."""
    effect, verdict = compared.effect, compared.verdict(null)
    told = f"{sentence}{could_tell(effect, null)}{spacing(compared)}"
    if rule_r(effect, null) not in (verdict, INCONCLUSIVE):
        told += (
            " It does not hold with every crossing at the evaluation before it, or with what is "
            "never there counted as infinitely late."
        )
    p = p_value(effect, null) if verdict != INCONCLUSIVE else max(0.05, p_value(effect, null))
    return Finding(part, measure, LOG2, effect, verdict, told, null, p, primary, beside)


def by_rule_e(
    part: str,
    measure: str,
    unit: str,
    effect: Estimate,
    sentence: str,
    margin: float,
    *,
    one_sided: bool = False,
    primary: bool = False,
    beside: bool = False,
) -> Finding:
    """A finding whose verdict is that of rule E(margin), or "no worse" where it is one-sided."""
    verdict = no_worse(effect, margin) if one_sided else rule_e(effect, margin)
    p = p_above(effect, -margin) if one_sided else p_within(effect, margin)
    if verdict == CONTRADICTED:
        p = 1 - p
    told = f"{sentence} Margin {margin:g} {unit}.{could_tell(effect)}"
    return Finding(part, measure, unit, effect, verdict, told, None, p, primary, beside)


def could_tell(effect: Estimate, null: float = 0.0) -> str:
    """The smallest effect that these seeds could have told, and the permutation p.

    Values that are all alike, as those of a grid can be, have no spread to tell it from.
    """
    if effect.n < 2:
        return ""
    apart = f"{null:g}".replace("-", "−") if null else "0"
    p = ""
    if len(effect.values):
        against = f" against {apart}" if null else ""
        p = f"; sign-flip p = {sign_flip_p(effect.values, null):.2g}{against}"
    if effect.sd == 0:
        return f" All seeds have the same value, so the interval has no width{p}."
    return f" Could have told {detectable(effect):.2g} from {apart}{p}."


def spacing(compared: Speed) -> str:
    """Said where steps were told too coarsely: only what is above 5% of them."""
    if not compared.coarse:
        return ""
    return f" Evaluations lie {compared.apart:.0%} of the median apart, not {SPACING:.0%} or less."


def joined(*words: str) -> str:
    """The name of a part within a part; empty ones are left out."""
    return ", ".join(word for word in words if word)


def percent(share: float) -> str:
    """An accuracy as a reader writes it."""
    return f"{100 * share:.2f}%"


def times(log2_ratio: float) -> str:
    """A log2 ratio as a factor."""
    return f"{2**log2_ratio:.3g} times"


def number(value: float, digits: int = 2) -> str:
    """With a minus sign where it is negative."""
    return f"{value:.{digits}f}".replace("-", "−")


def shown(effect: Estimate, digits: int = 2) -> str:
    """An effect with its interval and n: "+0.21 [0.05, 0.37], n = 5"."""
    text = f"{effect.mean:+.{digits}f}"
    if effect.n > 1:
        text += f" [{effect.low:.{digits}f}, {effect.high:.{digits}f}]"
    return f"{text.replace('-', '−')}, n = {effect.n}"
