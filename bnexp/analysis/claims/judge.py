"""All claims that runs can judge, in order, and their judgement."""

from bnexp.analysis.claims import figure1, mechanism, recipe, robustness
from bnexp.analysis.claims.model import Claim, Judgement
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import MeasureError

# In the order of the tables: what the paper shows first, first.
CLAIMS = (
    *figure1.CLAIMS,
    *robustness.CLAIMS,
    *recipe.CLAIMS,
    *mechanism.CLAIMS,
)


def judge(found: Runs) -> list[Judgement]:
    """Every claim that runs can judge, from the runs of its sweep, known by its name."""
    return [_judged(claim, found) for claim in CLAIMS]


def _judged(claim: Claim, found: Runs) -> Judgement:
    if claim.sweep not in found.sweeps:
        return Judgement(claim, [], f"no runs of experiment={claim.sweep}")
    try:
        return Judgement(claim, list(claim.judge(found.of_sweep(claim.sweep))))
    except MeasureError as error:
        return Judgement(claim, [], str(error))
