"""How the claim on small batches and inference is judged: what remedies win back (W)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from bnexp.analysis.claims.arms import arm_with, final_accuracy
from bnexp.analysis.claims.figure1 import deaths
from bnexp.analysis.claims.model import (
    POINTS,
    Finding,
    by_rule_r,
    joined,
    number,
    percent,
    shown,
)
from bnexp.analysis.claims.recipe import by_batch_size
from bnexp.analysis.evidence import Chosen, Evidence
from bnexp.analysis.measures import NORM, MeasureError
from bnexp.analysis.statistics import (
    INCONCLUSIVE,
    SUPPORTED,
    p_value,
    paired_difference,
    rule_r,
    t_interval,
)

POPULATION, RENORM, GHOSTS = "norm.population", "norm.renorm", "norm.ghost_size"

SMALL, LARGE = (2.0, 4.0), 60.0  # images in a batch
MOVING = {POPULATION: "moving", RENORM: False, GHOSTS: None}  # plain BN
REMEDIES = {
    "exact statistics": {POPULATION: "exact", RENORM: False, GHOSTS: None},
    "renorm": {POPULATION: "moving", RENORM: True, GHOSTS: None},
}


class Closing(NamedTuple):
    """What a remedy gains at a small batch, and BN's gap there; accuracies by seed.

    Attributes:
        size: images in a batch.
        gap: BN at the large batch less BN at this one.
        closed: the remedy less BN, both at this batch.
        arms: BN at the large batch, BN and the remedy at this one.
    """

    size: float
    gap: pd.Series
    closed: pd.Series
    arms: tuple[Chosen, Chosen, Chosen]


def batch_mismatch(runs: Evidence) -> Iterator[Finding]:
    """Exact statistics and renorm against BN with moving averages, at each small batch."""
    sizes = by_batch_size(runs)
    if missing := sorted({*SMALL, LARGE} - set(sizes)):
        raise MeasureError(f"needs batches of {', '.join(f'{size:g}' for size in missing)} too")
    closings = {name: [_closing(runs, sizes, size, name) for size in SMALL] for name in REMEDIES}
    for name, together in closings.items():
        yield _closes(name, name, together, primary=name == next(iter(REMEDIES)))
    for name, together in closings.items():
        for one in together:
            yield _closes(joined(name, _batches([one])), name, [one])
    plain = closings[next(iter(REMEDIES))]
    yield _gap("gap", plain)
    for one in plain:
        yield _gap(joined("gap", _batches([one])), [one])


def _closing(runs: Evidence, sizes: dict[float, list[Chosen]], size: float, remedy: str) -> Closing:
    plain = {NORM: runs.arm, **MOVING}
    most, least = (arm_with(sizes[of], plain) for of in (LARGE, size))
    other = arm_with(sizes[size], {NORM: runs.arm, **REMEDIES[remedy]})
    top, bottom, cured = map(final_accuracy, (most, least, other))
    return Closing(size, top - bottom, cured - bottom, (most, least, other))


def _mean(series: Sequence[pd.Series]) -> pd.Series:
    """By seed: of all of them."""
    return pd.concat(series, axis=1).mean(axis=1, skipna=False)


def _batches(closings: Sequence[Closing]) -> str:
    return f"batches of {' and '.join(f'{one.size:g}' for one in closings)}"


def _closes(part: str, name: str, closings: Sequence[Closing], *, primary: bool = False) -> Finding:
    """Rule R on what a remedy closes of BN's gap, less half of the gap.

    Inconclusive unless there is a gap to close, by rule R; p is the larger one of both.
    """
    gap = _mean([one.gap for one in closings])
    closed = _mean([one.closed for one in closings])
    effect = paired_difference(closed, gap / 2).scaled(100)
    told = "; ".join(
        f"batches of {one.size:g}: {number(100 * one.closed.mean())} of "
        f"{number(100 * one.gap.mean())} points{_share(one)} ({one.arms[2].told}; BN: "
        f"{one.arms[1].told})"
        for one in closings
    )
    sentence = (
        f"Of what BN loses in test accuracy against batches of {LARGE:g}, won back by {name} in "
        f"{told}. Less half of the gap: {shown(effect)}.{deaths(*_all_runs(closings))}"
    )
    measure = f"test accuracy won back by {name}, less half of BN's gap to batches of {LARGE:g}"
    finding = by_rule_r(part, measure, POINTS, effect, sentence, primary=primary)
    lost = t_interval(gap)
    if rule_r(lost) == SUPPORTED:
        return replace(finding, p=max(finding.p, p_value(lost)))
    without = " BN's gap itself is not above 0 by rule R, so there is nothing to close."
    return replace(
        finding,
        verdict=INCONCLUSIVE,
        p=max(0.05, finding.p),
        sentence=finding.sentence + without,
    )


def _share(one: Closing) -> str:
    """Of the gap, as a ratio of means over seeds, which single seeds cannot make infinite."""
    gap = one.gap.mean()
    return f", {number(100 * one.closed.mean() / gap, 0)}%" if gap > 0 else ""


def _all_runs(closings: Sequence[Closing]) -> tuple[Chosen, Chosen]:
    """Those of BN, and those of a remedy."""
    of_bn = pd.concat([closings[0].arms[0].table, *(one.arms[1].table for one in closings)])
    cured = pd.concat([one.arms[2].table for one in closings])
    return Chosen("BN", of_bn, ""), Chosen(closings[0].arms[2].arm, cured, "")


def _gap(part: str, closings: Sequence[Closing]) -> Finding:
    gap = _mean([one.gap for one in closings])
    effect = t_interval(gap).scaled(100)
    told = ", ".join(
        f"{percent(final_accuracy(one.arms[1]).mean())} at {one.size:g}" for one in closings
    )
    most = Chosen(f"batches of {LARGE:g}", closings[0].arms[0].table, "")
    least = Chosen(_batches(closings), pd.concat([one.arms[1].table for one in closings]), "")
    sentence = (
        f"Test accuracy of BN is {percent(final_accuracy(most).mean())} in {most.arm} and {told}: "
        f"{shown(effect)}.{deaths(most, least)}"
    )
    measure = f"test accuracy of BN, {most.arm} − {least.arm}"
    return by_rule_r(part, measure, POINTS, effect, sentence)
