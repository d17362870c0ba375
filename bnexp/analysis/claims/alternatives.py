"""The claims about limits of BN and about what does as well (docs/claims.md, W)."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from bnexp.analysis import measures
from bnexp.analysis.claims.arms import arm_with, gain
from bnexp.analysis.claims.batch_mismatch import batch_mismatch
from bnexp.analysis.claims.combining import all_of
from bnexp.analysis.claims.deep_start import deep_start
from bnexp.analysis.claims.mechanism import ACTIVATION
from bnexp.analysis.claims.model import WHY, Claim, Finding, joined
from bnexp.analysis.evidence import TUNED, Chosen, Evidence
from bnexp.analysis.measures import NORM
from bnexp.analysis.statistics import EQUAL
from bnexp.analysis.trials import ACCURACY

SKIP, SKIP_INIT, FIXUP = "model.skip", "model.skip_init", "model.fixup"

# --- other methods

SAME = 0.2  # percentage points
PLAIN = {SKIP_INIT: False, FIXUP: False}
SUBSTITUTES: dict[str, dict[str, Any]] = {
    "Group Norm": {NORM: "group"},
    "Layer Norm": {NORM: "layer"},
    "RMS Norm": {NORM: "rms"},
    "weight standardization": {NORM: "standardization"},
    "SkipInit": {NORM: "none", SKIP_INIT: True},
    "Fixup": {NORM: "none", FIXUP: True},
}


def _not_unique(runs: Evidence, *, network: str = "") -> Iterator[Finding]:
    """Network: named where it is not the one that the primary part is of."""
    arms = runs.all_chosen(TUNED, ACCURACY)
    batch = arm_with(arms, {NORM: "batch"})
    findings = {
        name: gain(
            joined(network, name),
            batch,
            arm_with(arms, settings),
            margin=SAME,
            one_sided=False,
        )
        for name, settings in SUBSTITUTES.items()
    }
    yield all_of(joined(network, "all"), findings, holds=(EQUAL,), primary=not network)
    yield from findings.values()
    none = arm_with(arms, {NORM: "none", **PLAIN})
    yield replace(gain(joined(network, "none"), batch, none), beside=True)


# --- shortcuts

SKIPS = ("residual", "highway")  # the first is the primary part's


def _skips_suffice(runs: Evidence) -> Iterator[Finding]:
    conditions = [
        runs.all_chosen(TUNED, ACCURACY, condition=condition) for condition in runs.conditions
    ]
    for skip in SKIPS:
        findings = {}
        for arms in conditions:
            plain = arm_with(arms, {NORM: "none", SKIP: "none"})
            name = _network(plain)
            with_skip = arm_with(arms, {NORM: "none", SKIP: skip})
            findings[name] = gain(joined(skip, name), plain, with_skip)
        yield all_of(skip, findings, primary=skip == SKIPS[0])
        yield from findings.values()


def _network(arm: Chosen) -> str:
    first = arm.table.iloc[:1]
    return f"{measures.depth(first).iloc[0]} layers of {first[ACTIVATION].iloc[0]}"


_NOT_UNIQUE = (
    "not-unique",
    "Other methods do as well: Fixup, SkipInit, Group, Layer and RMS Norm, weight standardization.",
    "arXiv:1901.09321; arXiv:2002.10444",
)

PLACE = 60  # among the claims
CLAIMS = (
    Claim(
        "deep-start",
        "At the start BN keeps the rank of activations and makes gradients explode.",
        "Daneshmand et al. 2020, arXiv:2003.01652; Yang et al. 2019, arXiv:1902.08129",
        "ReLU, step 0, 50 layers: log2 of the last hidden layer's soft rank, BN / none, and slope "
        "of log ‖∂L/∂h‖ on the layers toward the input with BN; rule R on each, and both must "
        "hold. Secondary: each alone; 3, 5, 10, 20 and 30 layers. Beside: the slope without BN.",
        "deep_start",
        deep_start,
        WHY,
    ),
    Claim(
        "batch-mismatch",
        "In small batches the loss of accuracy is a mismatch of training and inference.",
        "Batch Renormalization, arXiv:1702.03275; EvalNorm, arXiv:1904.06031",
        "Batches of 2 and 4: what exact statistics win back in test accuracy, less half of BN's "
        "gap to batches of 60, mean of both; rule R, where the gap itself is above 0. Secondary: "
        "renorm; each batch alone; the gap.",
        "batch_size",
        batch_mismatch,
        WHY,
    ),
    Claim(
        *_NOT_UNIQUE,
        "Test accuracy of each less that of BN, on P with 8 layers of ReLU, rates tuned: "
        "E(0.2 points), and all must be equal. Secondary: each alone. Beside: none.",
        "substitutes",
        _not_unique,
        WHY,
    ),
    Claim(
        *_NOT_UNIQUE,
        "Secondary: the same on a residual convolutional network.",
        "substitutes_residual",
        partial(_not_unique, network="residual network"),
        WHY,
    ),
    Claim(
        "skips-suffice",
        "Shortcuts are another cure for depth.",
        "He et al. 2015, arXiv:1512.03385; Srivastava et al. 2015, arXiv:1505.00387",
        "MLPs of 20 and 50 layers, sigmoid and ReLU, without BN, rate and initial weights tuned: "
        "test accuracy, residual − plain, rule R, which must hold in all four. Secondary: each "
        "alone; highway connections − plain, alike.",
        "skips",
        _skips_suffice,
        WHY,
    ),
)
