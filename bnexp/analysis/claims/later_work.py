"""The claims about causes, limits and substitutes, most from later work (docs/claims.md, W).

Their rules stand, and Holm's correction counts them; their runs and measures come later.
"""

from bnexp.analysis.claims.model import WHY, Claim, Finding
from bnexp.analysis.evidence import Evidence
from bnexp.analysis.measures import MeasureError


def _later(_: Evidence) -> list[Finding]:
    raise MeasureError("the runs and measures of this claim come later")


def _claim(name: str, statement: str, source: str, rule: str) -> Claim:
    return Claim(name, statement, source, rule, name.replace("-", "_"), _later, WHY)


PLACE = 50  # among the claims
CLAIMS = (
    _claim(
        "deep-start",
        "At the start BN keeps the rank of activations and makes gradients explode.",
        "Daneshmand et al. 2020, arXiv:2003.01652; Yang et al. 2019, arXiv:1902.08129",
        "Depth 3 to 50, ReLU, step 0: soft rank of activations, BN / none, rule R; slope of "
        "log ‖∂L/∂h‖ a layer above 0, rule R.",
    ),
    _claim(
        "batch-mismatch",
        "In small batches the loss of accuracy is a mismatch of training and inference.",
        "Batch Renormalization, arXiv:1702.03275; EvalNorm, arXiv:1904.06031",
        "Batches of 2 and 4: share of the gap to batch 60 that exact statistics or renorm close; "
        "rule R: above ½.",
    ),
    _claim(
        "not-unique",
        "Other methods do as well: Fixup, SkipInit, Group, Layer and RMS Norm, weight "
        "standardization.",
        "arXiv:1901.09321; arXiv:2002.10444",
        "Trial with all of them as arms, on P with 8 layers and on residual: each against BN, "
        "E(0.2 points).",
    ),
    _claim(
        "skips-suffice",
        "Shortcuts are another cure for depth.",
        "He et al. 2015, arXiv:1512.03385; Srivastava et al. 2015, arXiv:1505.00387",
        "MLPs of 20 and 50 layers, sigmoid and ReLU, without BN, tuned: test accuracy, with "
        "residual or highway connections − plain; rule R.",
    ),
)
