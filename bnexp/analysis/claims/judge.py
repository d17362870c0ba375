"""All claims that runs can judge, in order, and their judgement."""

from pathlib import PurePath

from bnexp.analysis import parts
from bnexp.analysis.claims.model import Claim, Judgement
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import MeasureError
from bnexp.config import ConfigError


def all_claims() -> list[Claim]:
    """In the order of the tables: what the paper shows first, first; then the user's own."""
    found = []
    for module in parts.modules("claims"):
        if not all(isinstance(claim, Claim) for claim in module.CLAIMS):
            raise ConfigError(f"{module.__file__}: CLAIMS must be a list of Claim")
        found += list(module.CLAIMS)
    return found


def judge(found: Runs) -> list[Judgement]:
    """Every claim that runs can judge, from the runs of its sweep, known by its name.

    A sweep in a folder further below counts where there is just one of that name.
    """
    return [_judged(claim, found) for claim in all_claims()]


def _judged(claim: Claim, found: Runs) -> Judgement:
    exactly = [sweep for sweep in found.sweeps if sweep == claim.sweep]
    candidates = exactly or [s for s in found.sweeps if PurePath(s).name == claim.sweep]
    if not candidates:
        return Judgement(claim, [], f"no runs of experiment={claim.sweep}")
    if len(candidates) > 1:
        return Judgement(claim, [], f"several sweeps of that name: {', '.join(candidates)}")
    try:
        return Judgement(claim, list(claim.judge(found.of_sweep(candidates[0]))))
    except MeasureError as error:
        return Judgement(claim, [], str(error))
