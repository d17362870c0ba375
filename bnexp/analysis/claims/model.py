"""What a claim is, and what is found when it is judged."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bnexp.analysis.statistics import (
    CONTRADICTED,
    INCONCLUSIVE,
    SUPPORTED,
    Estimate,
    rule_r,
)

NOT_RUN = "not run"
VERDICTS = (SUPPORTED, CONTRADICTED, INCONCLUSIVE, NOT_RUN)

POINTS = "percentage points"
LOG2 = "log2 ratio"


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
        null: the effect that rule R tells apart from `effect`; None: the rule is another.
        beside: context that is shown but does not count as a verdict.
    """

    part: str
    measure: str
    unit: str
    effect: Estimate
    verdict: str
    sentence: str
    null: float | None = 0.0
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
        judge: from the data to findings: of the sweep's `Runs`, or of nothing where `sweep`
            is empty. No findings: the runs do not allow it.
    """

    id: str
    statement: str
    source: str
    measure: str
    sweep: str
    judge: Callable[..., Iterable[Finding]]


@dataclass(frozen=True)
class Judgement:
    """A claim with what was found; `reason` says why nothing was."""

    claim: Claim
    findings: Sequence[Finding]
    reason: str = ""


def by_rule_r(
    part: str,
    measure: str,
    unit: str,
    effect: Estimate,
    sentence: str,
    *,
    null: float = 0.0,
    beside: bool = False,
) -> Finding:
    """A finding whose verdict is that of rule R on `effect` against `null`."""
    verdict = rule_r(effect, null)
    return Finding(part, measure, unit, effect, verdict, sentence, null, beside)


def joined(*words: str) -> str:
    """The name of a part within a part; empty ones are left out."""
    return ", ".join(word for word in words if word)


def percent(share: float) -> str:
    """An accuracy as a reader writes it."""
    return f"{100 * share:.2f}%"


def times(log2_ratio: float) -> str:
    """A log2 ratio as a factor."""
    return f"{2**log2_ratio:.3g} times"


def shown(effect: Estimate, digits: int = 2) -> str:
    """An effect with its interval and n: "+0.21 [0.05, 0.37], n = 5"."""
    text = f"{effect.mean:+.{digits}f}"
    if effect.n > 1:
        text += f" [{effect.low:.{digits}f}, {effect.high:.{digits}f}]"
    return f"{text.replace('-', '−')}, n = {effect.n}"
