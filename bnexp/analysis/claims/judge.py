"""All claims in order, and their judgement."""

from collections.abc import Mapping, Sequence

from bnexp.analysis.claims import figure1, mechanism, recipe, robustness
from bnexp.analysis.claims.model import Claim, Finding, Judgement
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import MeasureError
from bnexp.exact import EXACT

# In the order of the tables: what the paper shows first, first.
CLAIMS = (
    *figure1.CLAIMS,
    *robustness.CLAIMS,
    *recipe.CLAIMS,
    *mechanism.CLAIMS,
)


def judge(found: Runs, exact: Mapping[str, Sequence[Finding]] | None = None) -> list[Judgement]:
    """Every claim, judged from the runs of its sweep.

    Args:
        found: runs of any sweeps; a claim's sweep is known by its name.
        exact: what the checks of the exact claims found; None: they were not run.
    """
    of_sweeps = [_judged(claim, found) for claim in CLAIMS]
    checked = [
        Judgement(claim, exact[claim.id]) if exact else Judgement(claim, [], "not checked here")
        for claim in EXACT
    ]
    return of_sweeps + checked


def _judged(claim: Claim, found: Runs) -> Judgement:
    if claim.sweep not in found.sweeps:
        return Judgement(claim, [], f"no runs of experiment={claim.sweep}")
    try:
        return Judgement(claim, list(claim.judge(found.of_sweep(claim.sweep))))
    except MeasureError as error:
        return Judgement(claim, [], str(error))
