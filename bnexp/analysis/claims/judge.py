"""All claims that runs can judge, in order, and their judgement."""

from collections.abc import Iterator
from pathlib import PurePath

from bnexp.analysis import parts, presets
from bnexp.analysis.claims.model import OWN, Claim, Finding, Judgement
from bnexp.analysis.evidence import Evidence, evidence
from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import MeasureError
from bnexp.config import ConfigError
from bnexp.config.errors import reason


def all_claims() -> list[Claim]:
    """In the order of the tables: what the paper shows first, first; then the user's own."""
    found = []
    for module in parts.modules("claims"):
        if not all(isinstance(claim, Claim) for claim in module.CLAIMS):
            raise ConfigError(f"{module.__file__}: CLAIMS must be a list of Claim")
        found += list(module.CLAIMS)
    return found


def family() -> int:
    """How many primary parts Holm's correction is for: those of the paper and of later work.

    All of them, whether or not they were run; a claim that two presets bear on counts once.
    """
    return len({claim.id for claim in all_claims() if claim.section != OWN})


def judge(found: Runs) -> list[Judgement]:
    """Every claim that runs can judge, from the sweeps that bear its preset's name.

    Runs with the preset's settings, and all of them, judge the claim. Others of that name are
    judged too, but apart: see `Judgement.settings`.
    """
    return [judgement for claim in all_claims() for judgement in _judged(claim, found)]


def _findings(claim: Claim, runs: Evidence) -> list[Finding]:
    """What a claim's judge finds; that of a user's own may fail without an end to all others.

    Raises:
        MeasureError: the runs do not allow it, or the user's judge failed.
    """
    try:
        return list(claim.judge(runs))
    except MeasureError:
        raise
    except Exception as error:
        if claim.section != OWN:
            raise
        raise MeasureError(f"its judge failed: {type(error).__name__}: {reason(error)}") from error


def _judged(claim: Claim, found: Runs) -> Iterator[Judgement]:
    counted: list[tuple[str, Judgement]] = []
    apart: list[tuple[str, Judgement]] = []
    for sweep in found.sweeps:
        if claim.sweep not in (sweep, PurePath(sweep).name):
            continue
        runs = evidence(found.of_sweep(sweep))
        settings = presets.claimable(runs, claim.sweep)
        try:
            judgement = Judgement(claim, _findings(claim, runs), settings=settings)
            told = [presets.copy_told(runs), "" if settings else presets.smaller(claim.sweep)]
            judgement = judgement.telling(" ".join(filter(None, told)))
        except MeasureError as error:
            judgement = Judgement(claim, [], str(error), settings)
        (apart if settings else counted).append((sweep, judgement))
    if len(counted) > 1:
        names = ", ".join(sweep for sweep, _ in counted)
        yield Judgement(claim, [], f"several sweeps have its preset's settings: {names}")
    elif counted:
        yield counted[0][1]
    else:
        reason = f"no runs of experiment={claim.sweep}"
        if apart:
            reason += " with its settings; those that are here are judged apart"
        yield Judgement(claim, [], reason)
    yield from (judgement for _, judgement in apart if judgement.findings)
