"""How the claims on the loss around a network are judged: smoothness, shift, curvature (W)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from bnexp.analysis import measures
from bnexp.analysis.claims.combining import all_of
from bnexp.analysis.claims.figure1 import how
from bnexp.analysis.claims.matching import matched, records
from bnexp.analysis.claims.mechanism import ACTIVATION, died
from bnexp.analysis.claims.model import LOG2, Finding, by_rule_r, joined, shown
from bnexp.analysis.evidence import TUNED, Chosen, Evidence
from bnexp.analysis.loading import SEED
from bnexp.analysis.statistics import paired_difference
from bnexp.analysis.trials import ACCURACY

LESS_SHIFT = -0.5  # log2 BN / none: what would count as less
EIGENVALUES = ("eigenvalue_1", "eigenvalue_11", "gradient_share", "residual")


class Compared(NamedTuple):
    """A pair of arms: baseline and BN, with their own rates or both with that of one."""

    part: str
    arms: tuple[Chosen, Chosen]
    own: bool
    primary: bool


def compared(runs: Evidence) -> Iterator[Compared]:
    """Each activation, sigmoid's own rates being primary; at the same rates where it was run."""
    for condition in runs.conditions:
        part = condition.removeprefix("model.")
        arms = runs.chosen(TUNED, ACCURACY, condition=condition)
        yield Compared(part, arms, True, bool((arms[1].table[ACTIVATION] == "sigmoid").all()))
        for at, record in runs.part(TUNED, ACCURACY, condition)["arms"].items():
            if "matched" in record:
                pair = runs.chosen(TUNED, ACCURACY, condition=condition, at=at)
                yield Compared(joined(part, f"both at the rate of {at}"), pair, False, False)


# --- smoother landscape


def smoother_landscape(runs: Evidence) -> Iterator[Finding]:
    """The loss and its gradient along −g, at 0.5 to 4 times the step (probe landscape)."""
    seen = records(
        runs, "landscape", "loss", "loss_low", "loss_high", "gradient_change", "smoothness"
    )
    measured = {
        "range": ("the range of the loss along −g", seen["loss_high"] - seen["loss_low"]),
        "gradient change": ("the change of the gradient along −g", seen["gradient_change"]),
        "smoothness": ("the change of the gradient over the step's length", seen["smoothness"]),
    }
    for part, arms, own, primary in compared(runs):
        findings = {
            name: matched(joined(part, name), what, arms, seen["loss"], values)
            for name, (what, values) in measured.items()
        }
        if own:
            asked = {name: findings[name] for name in ("range", "gradient change")}
            yield all_of(part, asked, primary=primary)
        yield from findings.values()


# --- covariate shift


def shift_not_reduced(runs: Evidence) -> Iterator[Finding]:
    """How the step of the layers before it changes a layer's gradient (probe gradient_shift)."""
    seen = measures.probed(runs, "gradient_shift", "change", "cosine")
    table = seen[seen["step"] > 0].set_index(["run", "layer", "step", "statistic"])["value"]
    wide = table.unstack("statistic").reindex(columns=["change", "cosine"])
    changes = np.log2(wide["change"].where(wide["change"] > 0)).unstack("run")
    cosines = wide["cosine"].unstack("run")
    for part, arms, own, primary in compared(runs):
        yield replace(_change(part, arms, changes), primary=primary)
        if not own:
            continue
        for layer, rows in changes.groupby(level="layer"):
            yield _change(joined(part, f"layer {layer}"), arms, rows)
        yield _cosine(joined(part, "cosine"), arms, cosines)


def _means(arms: tuple[Chosen, Chosen], values: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """By seed: the mean over the layers and steps at which both arms have a value."""
    seeds, tables = {}, values.reindex(columns=[run for arm in arms for run in arm.table.index])
    theirs, ours = (dict(zip(arm.table[SEED], arm.table.index, strict=True)) for arm in arms)
    for seed in theirs.keys() & ours.keys():
        seeds[seed] = tables[[theirs[seed], ours[seed]]].dropna().mean().to_numpy()
    found = pd.DataFrame(seeds, index=[0, 1]).T.sort_index()
    return found[0], found[1]


def _change(part: str, arms: tuple[Chosen, Chosen], changes: pd.DataFrame) -> Finding:
    theirs, ours = arms
    b, a = _means(arms, changes)
    effect = paired_difference(a, b)
    sentence = (
        f"The step of the layers before it changes a layer's gradient by {2 ** a.mean():.3g} of "
        f"its norm with {ours.arm} and {2 ** b.mean():.3g} with {theirs.arm} (geometric means) "
        f"{how(theirs, ours)}: log2 {shown(effect)}.{_deaths(arms, a - b)}"
    )
    measure = (
        f"change of a layer's gradient by the step of the layers before it, {ours.arm} / "
        f"{theirs.arm}, against a factor of {2**LESS_SHIFT:.2g}"
    )
    return by_rule_r(part, measure, LOG2, effect, sentence, null=LESS_SHIFT)


def _cosine(part: str, arms: tuple[Chosen, Chosen], cosines: pd.DataFrame) -> Finding:
    theirs, ours = arms
    b, a = _means(arms, cosines)
    effect = paired_difference(b, a)
    sentence = (
        f"The cosine of a layer's gradient before and after the step of the layers before it is "
        f"{a.mean():.3g} with {ours.arm} and {b.mean():.3g} with {theirs.arm} {how(theirs, ours)}: "
        f"{shown(effect, 3)}.{_deaths(arms, a - b)}"
    )
    measure = f"cosine of a layer's gradients, {theirs.arm} − {ours.arm}"
    return by_rule_r(part, measure, "cosine", effect, sentence)


def _deaths(arms: tuple[Chosen, Chosen], values: pd.Series) -> str:
    lost = int(values.isna().sum())
    told = f" Without a value, and so left out: {lost} of {len(values)} seeds." * bool(lost)
    return "".join(died(arm.arm, arm.table) for arm in arms) + told


# --- outliers of the Hessian


def hessian_outliers(runs: Evidence) -> Iterator[Finding]:
    """The Hessian's leading eigenvalues, and the gradient's share in them (probe hessian)."""
    seen = records(runs, "hessian", "loss", *EIGENVALUES)
    positive = seen["eigenvalue_11"].where(seen["eigenvalue_11"] > 0)
    measured = {
        "λ1/λ11": ("λ1/λ11 of the Hessian", seen["eigenvalue_1"] / positive),
        "gradient share": ("the gradient's share in the top 10", seen["gradient_share"]),
        "λ1": ("λ1 of the Hessian", seen["eigenvalue_1"]),
    }
    for part, arms, own, primary in compared(runs):
        if not own:
            continue
        used = seen[seen.index.isin([run for arm in arms for run in arm.table.index], level="run")]
        told = f" Largest residual of the eigenvalues: {used['residual'].max():.2g}."
        findings = {
            name: matched(joined(part, name), what, arms, seen["loss"], values, told)
            for name, (what, values) in measured.items()
        }
        asked = {name: findings[name] for name in ("λ1/λ11", "gradient share")}
        yield all_of(part, asked, primary=primary)
        yield from findings.values()
