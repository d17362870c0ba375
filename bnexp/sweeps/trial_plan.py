"""Before a trial starts: how many runs it has, how long they take, and what fits its budget."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

from bnexp.config import Config, ConfigError
from bnexp.config.schema import Trainer
from bnexp.folders import runs
from bnexp.sweeps.trial import Trial
from bnexp.sweeps.trial_settings import TrialSettings
from bnexp.sweeps.tuning import FULL, SHORT, Design, Trying, Value
from bnexp.terminal import counted, duration

if TYPE_CHECKING:
    from bnexp.sweeps.pool import Workers

ENOUGH_SEEDS = 6  # report seeds with which a verdict can come out
TIMED_STEPS = 40
QUICK = 0.005  # seconds a step, below which ten times as many steps are timed
RUN_SECONDS = 0.1  # of a run beside its steps and evaluations
FLOOR = 1e-6
Key: TypeAlias = tuple[str, str]  # a condition and an arm


@dataclass(frozen=True)
class Cost:
    """Seconds that an arm's runs take on one process.

    Attributes:
        start: until the first step: TensorFlow, data, compiling; once a process.
        step: of training.
        evaluation: of one evaluation.
        recording: of what is probed at one evaluation.
    """

    start: float
    step: float
    evaluation: float
    recording: float

    def of(self, config: Config) -> float:
        """Of one run, without the start."""
        return (
            RUN_SECONDS
            + config.trainer.steps * self.step
            + evaluation_count(config.trainer) * self.evaluation
            + recording_count(config) * self.recording
        )


def evaluation_count(trainer: Trainer) -> int:
    """Evaluations of a run, and its test."""
    early = min(trainer.early_steps, trainer.steps)
    late = trainer.steps - early
    return early // trainer.early_eval_every + math.ceil(late / trainer.eval_every) + 1


def recording_count(config: Config) -> int:
    """Times at which probes look."""
    if not config.probes.record:
        return 0
    every = config.probes.every
    return 1 + (config.trainer.steps // every if every else evaluation_count(config.trainer))


def measured(configs: Mapping[Key, Config], workers: "Workers") -> dict[Key, Cost]:
    """What each arm costs, from a few timed steps, which leave nothing behind.

    Raises:
        ConfigError: they cannot be run.
    """
    costs = _measured(configs, workers, TIMED_STEPS)
    if max(cost.step for cost in costs.values()) < QUICK:  # a few steps say little of these
        longer = _measured(configs, workers, 10 * TIMED_STEPS)
        costs = {arm: replace(longer[arm], start=cost.start) for arm, cost in costs.items()}
    return costs


def _measured(configs: Mapping[Key, Config], workers: "Workers", steps: int) -> dict[Key, Cost]:
    with TemporaryDirectory() as folder:
        timed = {
            arm: _timed(config, Path(folder) / str(i), steps)
            for i, (arm, config) in enumerate(configs.items())
        }
        names = {str(runs.run_folder(config)): arm for arm, config in timed.items()}
        costs = {}
        for config, result in workers.run(list(timed.values()), lambda _: None):
            arm = names[str(runs.run_folder(config))]
            if result["status"] == runs.FAILED:
                raise ConfigError(f"{' '.join(arm)}: {runs.summary(result)}")
            costs[arm] = _cost(config)
    return costs


def _timed(config: Config, folder: Path, steps: int) -> Config:
    steps = min(steps, config.trainer.steps)
    trainer = replace(
        config.trainer,
        steps=steps,
        eval_every=max(1, steps // 2),
        early_steps=0,
        checkpoint_every=None,
        checkpoint_seconds=None,
        save_model=False,
        predictions=False,
        tensorboard=False,
        profile=True,
    )
    return replace(config, trainer=trainer, output_dir=str(folder), rerun=False)


def _cost(config: Config) -> Cost:
    import json

    text = runs.read_text(runs.run_folder(config) / runs.PROFILE) or "{}"
    profile: dict[str, float] = json.loads(text)
    steps = max(1, profile.get("steps", 1))
    return Cost(
        start=sum(profile.get(part, 0.0) for part in ("import", "load", "compile")),
        step=max(FLOOR, profile.get("train", 0.0) / steps),
        evaluation=profile.get("evaluate", 0.0) / evaluation_count(config.trainer),
        recording=profile.get("probe", 0.0) / max(1, recording_count(config)),
    )


@dataclass(frozen=True)
class Plan:
    """What a trial will do: its design, within its budget.

    Attributes:
        design: of each condition's trial, alike but for grids that were left to default.
        notes: what was made smaller.
    """

    designs: Sequence[Design]
    notes: Sequence[str] = ()

    def as_record(self) -> dict[str, Any]:
        """As in trial.json."""
        return {
            "tune": [{key: list(v) for key, v in one.grid.items()} for one in self.designs],
            "tune_seeds": list(self.designs[0].tune_seeds),
            "report_seeds": list(self.designs[0].report_seeds),
            "limit": self.designs[0].limit,
            "notes": list(self.notes),
        }


def from_record(record: Mapping[str, Any], found: Sequence[Trial]) -> Plan:
    """The plan that an earlier start made."""
    designs = [
        replace(
            trial.design,
            grid={key: tuple(map(_hashable, values)) for key, values in grid.items()},
            tune_seeds=record["tune_seeds"],
            report_seeds=record["report_seeds"],
            limit=record["limit"],
        )
        for trial, grid in zip(found, record["tune"], strict=True)
    ]
    return Plan(designs, record["notes"])


def _hashable(value: Value) -> Value:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


@dataclass(frozen=True)
class Load:
    """What a design comes to: numbers of runs, and seconds on one process."""

    tuning: int
    report: int
    seconds: float

    @property
    def runs(self) -> int:
        """All of them."""
        return self.tuning + self.report


def load(found: Sequence[Trial], costs: Mapping[Key, Cost], settings: TrialSettings) -> Load:
    """The runs of trials as designed, without those by which grids grow."""
    tuning, report, seconds = 0, 0, 0.0
    for trial in found:
        for arm in trial.arms:
            counts = arm_runs(trial, arm, settings)
            cost = costs[trial.label, arm]
            full, short = (trial.config(specimen(trial, arm, stage)) for stage in (FULL, SHORT))
            tuning += counts.short + counts.finalists
            report += counts.report
            seconds += counts.short * cost.of(short)
            seconds += (counts.finalists + counts.report) * cost.of(full)
    return Load(tuning, report, seconds)


@dataclass(frozen=True)
class ArmRuns:
    """Runs of an arm: tuning ones, those of its best in full length, those that judge."""

    short: int
    finalists: int
    report: int


def arm_runs(trial: Trial, arm: str, settings: TrialSettings) -> ArmRuns:
    """At most so many: parts and criteria may choose the same."""
    design = trial.design
    cells = math.prod(len(values) for key, values in design.grid.items() if trial.has(arm, key))
    seeds = len(design.tune_seeds)
    short = sum(_survivors(cells, seeds)) if design.halving else cells * seeds
    choices = len(design.parts) * len(design.choose_by)
    finalists = choices * min(design.finalists, cells) * seeds if design.short else 0
    chosen = sum(len(design.arms) if settings.is_matched(part) else 1 for part in design.parts)
    report = chosen * len(design.choose_by) * len(design.report_seeds)
    more = len(settings.multiples) * len(design.parts) * len(design.choose_by)
    report += more * len(design.report_seeds)
    return ArmRuns(short, finalists, report)


def _survivors(cells: int, rungs: int) -> Iterator[int]:
    for _ in range(rungs):
        yield cells
        cells = math.ceil(cells / 2)


def specimen(trial: Trial, arm: str, stage: str) -> Trying:
    """A run of an arm as those of a stage are, with its first combination."""
    return replace(trial.tries(arm)[0], stage=stage)


def planned(
    found: Sequence[Trial],
    settings: TrialSettings,
    workers: "Workers | None",
    learn: Callable[[Config, float], None] = lambda *_: None,
) -> tuple[Plan, Load, int]:
    """The largest plan within the budget, what it comes to, and on how many processes.

    Args:
        found: the trial of each condition.
        settings: of the trial.
        workers: to time runs with; None: others.
        learn: is told of each arm's runs how many seconds they will take.

    Raises:
        ConfigError: not even one combination an arm fits.
    """
    from bnexp.sweeps.pool import Workers

    specimens = {
        (trial.label, arm): config for trial in found for arm, config in trial.specimens.items()
    }
    with Workers(-1) if workers is None else nullcontext(workers) as pool:
        costs = measured(specimens, pool)
        processes = pool.processes
    for arm, config in specimens.items():
        learn(config, costs[arm].of(config))
    start = sum(cost.start for cost in costs.values())
    tried = []
    for designs, note in _smaller([trial.design for trial in found]):
        trials = [replace(t, design=d) for t, d in zip(found, designs, strict=True)]
        coming = load(trials, costs, settings)
        wall = start + coming.seconds / processes
        tried.append((coming, wall))
        if _fits(coming.runs, wall, settings):
            limit = _limit(trials, coming, wall - start, settings, processes)
            kept = [replace(design, limit=limit) for design in designs]
            return Plan(kept, [note] if note else []), replace(coming, seconds=wall), processes
    coming, wall = tried[-1]
    raise ConfigError(
        f"trial.budget={settings.budget} is too small: one combination an arm and "
        f"{len(found[0].design.report_seeds[:ENOUGH_SEEDS])} report seeds take {coming.runs} runs, "
        f"about {duration(wall)}"
    )


def _fits(count: int, seconds: float, settings: TrialSettings) -> bool:
    if settings.budget_runs is not None:
        return count <= settings.budget_runs
    return settings.budget_seconds is None or seconds <= settings.budget_seconds


def _limit(
    found: Sequence[Trial], coming: Load, seconds: float, settings: TrialSettings, processes: int
) -> int | None:
    """How many combinations an arm may have when grids grow; None: no limit."""
    if settings.budget is None:
        return None
    cells = max(math.prod(map(len, trial.design.grid.values())) for trial in found)
    if settings.budget_runs is not None:
        spare = (settings.budget_runs - coming.runs) / coming.tuning
    else:
        assert settings.budget_seconds is not None
        spare = (settings.budget_seconds / max(seconds, FLOOR) - 1) * coming.runs / coming.tuning
    return math.floor(cells * (1 + max(0.0, spare)))


def _smaller(designs: Sequence[Design]) -> Iterator[tuple[list[Design], str]]:
    """The designs as they are, and then ever smaller ones, with what was left out."""
    yield list(designs), ""
    enough = [replace(one, report_seeds=one.report_seeds[:ENOUGH_SEEDS]) for one in designs]
    report = len(enough[0].report_seeds)
    yield enough, f"{report} report seeds, to fit the budget"
    thin = [replace(one, tune_seeds=one.tune_seeds[:1]) for one in enough]
    yield thin, f"1 tuning seed and {report} report seeds, to fit the budget"
    while any(len(values) > 1 for one in thin for values in one.grid.values()):
        thin = [_thinned(one) for one in thin]
        grid = ", ".join(f"{k}={list(v)}" for k, v in thin[0].grid.items())
        yield thin, f"{grid}, 1 tuning seed, {report} report seeds, to fit the budget"


def _thinned(design: Design) -> Design:
    """Less the outermost values of the last setting that has several."""
    grid = dict(design.grid)
    for key in reversed(list(grid)):
        fixed = [part[key] for part in design.parts.values() if key in part]
        values = grid[key]
        if len(values) > 1:
            inner = values[1:-1] or values[:1]
            grid[key] = [v for v in values if v in inner or v in fixed]
            if len(grid[key]) < len(values):
                break
    return replace(design, grid=grid)


def described(found: Sequence[Trial], coming: Load, processes: int) -> str:
    """The plan in a sentence."""
    design = found[0].design
    cells = math.prod(map(len, design.grid.values()))
    each = f"{len(found)} conditions × " if len(found) > 1 else ""
    keys = f" of {', '.join(design.grid)}" if design.grid else ""
    return (
        f"plan: {each}{len(design.arms)} arms × {counted(cells, 'combination')}{keys} × "
        f"{counted(len(design.tune_seeds), 'tuning seed')}, then "
        f"{counted(len(design.report_seeds), 'fresh seed')} an arm: {coming.runs} runs, about "
        f"{duration(coming.seconds)} on {processes} processes; more where the best lies at the "
        "edge of a grid"
    )
