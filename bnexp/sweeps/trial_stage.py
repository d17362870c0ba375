"""Where a trial is in the whole: which stage, what it is about, what lies behind and ahead."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from bnexp.config import Config
from bnexp.sweeps.trial import Trial, tried
from bnexp.sweeps.trial_plan import arm_runs, specimen
from bnexp.sweeps.trial_settings import TrialSettings
from bnexp.sweeps.tuning import FULL, SHORT, Tuning
from bnexp.sweeps.view import Stage

WHOLE = "trial"
Scores = Mapping[tuple[str, str], float]


def title(found: Sequence[Trial], tunings: Sequence[Tuning]) -> str:
    """The stage in words: "stage 1 of 2, tuning optimizer.lr"."""
    stages = 3 if found[0].design.short else 2
    wanted = {one.stage for tuning in tunings for one in tuning.wanted}
    if not wanted:
        return f"stage {stages} of {stages}, report of what each arm chose, on fresh seeds"
    if SHORT not in wanted:
        return f"stage 2 of {stages}, tuning the best of each arm in full length"
    keys = ", ".join(dict.fromkeys(key for one in found for key in one.design.grid))
    told = f"stage 1 of {stages}, tuning {keys or '(nothing)'}"
    return f"{told} beyond the grid's edge" if _grew(found, tunings) else told


def _grew(found: Sequence[Trial], tunings: Sequence[Tuning]) -> bool:
    sizes = [
        (len(values), len(trial.design.grid[key]))
        for trial, tuning in zip(found, tunings, strict=True)
        for key, values in tuning.grid.items()
    ]
    return any(now > planned for now, planned in sizes)


def stage(
    found: Sequence[Trial], tunings: Sequence[Tuning], known: Scores, settings: TrialSettings
) -> Stage:
    """The runs that are wanted now within the whole trial.

    Grids that will yet grow are not foreseen.

    Args:
        found: the trial of each condition.
        tunings: what each wants next.
        known: the scores of runs that have ended.
        settings: of the trial.
    """
    behind, ahead = 0, []
    for trial, tuning in zip(found, tunings, strict=True):
        done = tried(trial, tuning.grid, known)
        behind += sum(trial.config(one).work for one in done)
        if tuning.wanted:
            so_far = Counter((one.arm, one.stage) for one in [*done, *tuning.wanted])
            ahead += [pair for pair in _ahead(trial, settings, so_far) if pair[1]]
    return Stage(WHOLE, behind, ahead)


def _ahead(
    trial: Trial, settings: TrialSettings, so_far: Counter[tuple[str, str]]
) -> Iterator[tuple[Config, int]]:
    """For each arm the runs that are planned beyond those so far."""
    for arm in trial.arms:
        planned = arm_runs(trial, arm, settings)
        short = max(0, planned.short - so_far[arm, SHORT])
        full = max(0, planned.finalists - so_far[arm, FULL]) + planned.report
        yield trial.config(specimen(trial, arm, SHORT)), short
        yield trial.config(specimen(trial, arm, FULL)), full
