"""The claims about causes, limits and substitutes, most from later work (docs/claims.md, W).

Their rules stand, and Holm's correction counts them; their runs and measures come later.
"""

from bnexp.analysis.claims.model import WHY, Claim, Finding
from bnexp.analysis.evidence import Evidence
from bnexp.analysis.measures import MeasureError

SANTURKAR = "Santurkar et al. 2018, arXiv:1805.11604"


def _later(_: Evidence) -> list[Finding]:
    raise MeasureError("the runs and measures of this claim come later")


def _claim(name: str, statement: str, source: str, rule: str) -> Claim:
    return Claim(name, statement, source, rule, name.replace("-", "_"), _later, WHY)


PLACE = 50  # among the claims
CLAIMS = (
    _claim(
        "survives-tuning",
        "BN keeps a lead when the baseline's initial weights are tuned too.",
        "the question that protocol 1 left open",
        "The tuned parts of higher-accuracy and faster-training: rule R; else E(0.1 points) and "
        "E(log2 1.25).",
    ),
    _claim(
        "noisy-bn",
        "BN followed by noise that changes with time is less stable, and no slower.",
        SANTURKAR,
        "Arms none, BN, BN + noise of shifting mean and scale. Drift of inputs: noisy above none, "
        "and steps to 95%, noisy against BN: within E(0.32) in log2.",
    ),
    _claim(
        "smoother-landscape",
        "With BN the loss is smoother.",
        SANTURKAR,
        "Every 500 steps, along −g (g the gradient) at 0.5 to 4 times the step: range of the "
        "loss, and ‖g − g′‖ / ‖g‖; log2 none / BN at matched training loss; rule R.",
    ),
    _claim(
        "shift-not-reduced",
        "BN does not reduce internal covariate shift, measured as how much the update of earlier "
        "layers changes a layer's gradient.",
        SANTURKAR,
        "‖G − G′‖ / ‖G‖ for each layer, log2 BN / none: supported where the lower limit is above "
        "−0.5.",
    ),
    _claim(
        "large-rate-is-the-cause",
        "The gain of BN comes from the larger learning rate.",
        "Bjorck et al. 2018, arXiv:1806.02375",
        "Share of BN's tuned gain that is left at the baseline's η*; rule R: below ½.",
    ),
    _claim(
        "effective-learning-rate",
        "Under BN, L2 acts through the effective learning rate.",
        "van Laarhoven 2017, arXiv:1706.05350",
        "With BN: L2 against weights brought to a fixed norm after each step, at the same "
        "η/‖W‖²: E(0.2 points); without BN not equal.",
    ),
    _claim(
        "hessian-outliers",
        "BN removes outliers of the Hessian's spectrum.",
        "Ghorbani et al. 2019, arXiv:1901.10159",
        "Lanczos: λ1/λ11 (eigenvalues), and the share of the gradient in the top 10 directions, "
        "at matched loss, log2 none / BN; rule R.",
    ),
)
