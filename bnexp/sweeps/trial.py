"""A trial: the runs behind arms, nuisance settings and seeds, and what it writes down.

What is wanted next, and what is chosen, is decided in `tuning.py` from the runs that are there; so
a trial that was stopped goes on when the same command is given again.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any

from bnexp.analysis.versions import trial_in_todays_words
from bnexp.config import Config, ConfigError, run_id, scientific
from bnexp.config.written import assignment
from bnexp.folders import trials
from bnexp.sweeps.composer import Combination, Composer
from bnexp.sweeps.labels import differing
from bnexp.sweeps.trial_settings import TrialSettings
from bnexp.sweeps.tuning import (
    FULL,
    JUDGED,
    SHORT,
    Cell,
    Choice,
    Design,
    Grid,
    Score,
    Trying,
    Tuning,
    is_scale,
)

if TYPE_CHECKING:  # pandas is imported where it is used
    from bnexp.analysis.loading import Runs
    from bnexp.sweeps.plan import Job

LR, SCALE = "optimizer.lr", "init.scale"
RATE_FACTORS, SCALES = (0.1, 0.3, 1.0, 3.0, 10.0), (0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Trial:
    """The trial under one condition: what is the same in all its runs, and what is tried.

    Attributes:
        base: the overrides of all runs.
        label: those in which the conditions differ.
        arms: the overrides of each arm, by its name.
        short: the overrides of tuning runs alone.
        kept: what judged runs keep beside, as overrides.
        design: what is tuned, and how.
        compose: typed configs of overrides.
    """

    base: Combination
    label: str
    arms: Mapping[str, Combination]
    short: Combination
    kept: Combination
    design: Design
    compose: Composer

    def words(self, one: Trying) -> Combination:
        """What the command line would say of a run."""
        cell = map(assignment, self.design.grid, one.cell)
        of_stage = {SHORT: self.short, JUDGED: self.kept}.get(one.stage, ())
        return (*self.base, *self.arms[one.arm], *cell, *of_stage, f"seed={one.seed}")

    def overrides(self, one: Trying) -> Combination:
        """The same without the settings that its arm does not have."""
        return self._overrides(one)

    @cached_property
    def _overrides(self) -> Any:
        return lru_cache(maxsize=None)(lambda one: self.compose.fitted(self.words(one)))

    def config(self, one: Trying) -> Config:
        """A run's typed config."""
        return self.compose(self.overrides(one))

    def run_id(self, one: Trying) -> str:
        """The name of a run's folder."""
        return self._run_id(one)

    @cached_property
    def _run_id(self) -> Any:
        return lru_cache(maxsize=None)(lambda one: run_id(self.config(one)))

    def score(self, known: Mapping[tuple[str, str], float]) -> Score:
        """Scores by run id and criterion as those of tuning runs."""
        return lambda one, criterion: known.get((self.run_id(one), criterion))

    def tries(self, arm: str) -> list[Trying]:
        """An arm with every combination of the grid, on one seed."""
        seed = self.design.report_seeds[0]
        return [Trying(arm, cell, seed, FULL) for cell in product(*self.design.grid.values())]

    @cached_property
    def keys(self) -> dict[str, set[str]]:
        """The settings that an arm's overrides name, by arm."""
        return {
            arm: {word.partition("=")[0] for one in self.tries(arm) for word in self.overrides(one)}
            for arm in self.arms
        }

    def has(self, arm: str, key: str) -> bool:
        """Whether an arm has a nuisance setting."""
        return key in self.keys[arm]

    def allowed(self, arm: str, key: str, value: Any) -> bool:
        """Whether a nuisance setting may have a value."""
        if not self.has(arm, key):
            return True
        cell = tuple(
            value if name == key else values[0] for name, values in self.design.grid.items()
        )
        try:
            self.config(Trying(arm, cell, self.design.report_seeds[0], FULL))
        except ConfigError:
            return False
        return True

    @cached_property
    def specimens(self) -> dict[str, Config]:
        """The config of each arm's first combination."""
        return {arm: self.config(self.tries(arm)[0]) for arm in self.arms}

    def check(self, optional: set[str], multiples: Sequence[tuple[str, float]] = ()) -> None:
        """Makes sure that the arms are different, and that some arm has each setting.

        Args:
            optional: keys that need not be had.
            multiples: settings and the factors on them (trial.factors).

        Raises:
            ConfigError: they are not, or a value is out of range.
        """
        everything = [one for arm in self.arms for one in self.tries(arm)]
        if self.short:
            everything += [replace(one, stage=SHORT) for one in everything]
        self.compose.fitting([self.words(one) for one in everything], optional)
        for one in everything:
            self.config(one)
        for key, factor in multiples:
            largest = max(self.design.grid[key]) * factor
            if refusing := [arm for arm in self.arms if not self.allowed(arm, key, largest)]:
                told = f"{key}={largest:g} is out of range for {refusing[0]}"
                raise ConfigError(f"trial.factors: {told}")
        seen: dict[str, str] = {}
        for arm in self.arms:
            other = seen.setdefault(self.run_id(self.tries(arm)[0]), arm)
            if other != arm:
                raise ConfigError(f"trial.arms: {other} and {arm} are the same settings")

    def settings_of(self, cell: Cell, arm: str) -> dict[str, Any]:
        """The nuisance settings of a combination that an arm has."""
        pairs = zip(self.design.grid, cell, strict=True)
        return {key: value for key, value in pairs if self.has(arm, key)}


def make_trial(base: Combination, label: str, settings: TrialSettings, compose: Composer) -> Trial:
    """A trial as the settings want it.

    Raises:
        ConfigError: settings that do not go together.
    """
    arms = {" ".join(words): words for words in settings.arm_words}
    if len(arms) < len(settings.arm_words):
        raise ConfigError(f"trial.arms={settings.arms}: two are the same settings")
    grid = settings.grid
    if grid is None:
        [specimen] = compose.fitting([(*base, *next(iter(arms.values())))], set())
        base = tuple(word for word in base if word.partition("=")[0] != LR)
        config = compose(specimen)
        rate = config.optimizer.common["lr"]
        grid = {LR: tuple(float(f"{rate * factor:.3g}") for factor in RATE_FACTORS)}
        if "scale" in config.init.common:  # not where a network draws its weights itself
            grid[SCALE] = SCALES
    tune_seeds, report_seeds = settings.seeds
    design = Design(
        arms=list(arms),
        grid=grid,
        parts=settings.sub_grids,
        choose_by=settings.criteria,
        tune_seeds=tune_seeds,
        report_seeds=report_seeds,
        short=bool(settings.short),
        finalists=settings.finalists,
        halving=settings.halving,
    )
    _check_keys(base, arms, design, settings)
    return Trial(base, label, arms, settings.short, settings.kept, design, compose)


def _check_keys(
    base: Combination, arms: Mapping[str, Combination], design: Design, settings: TrialSettings
) -> None:
    """Each setting is said once: of all runs, of the arms, of the grid, or of the seeds."""
    of_arms = {word.partition("=")[0] for words in arms.values() for word in words}
    for word in base:
        key = word.partition("=")[0]
        if key == "seed":
            raise ConfigError(f"{word}: a trial has trial.tune_seeds and trial.report_seeds")
        for name, keys in (("arms", of_arms), ("tune", design.grid)):
            if key in keys:
                raise ConfigError(f"{word} is said twice: trial.{name} sets {key} too")
    if "seed" in of_arms | set(design.grid):
        raise ConfigError("seed is neither an arm nor tuned: see trial.tune_seeds, report_seeds")
    if both := sorted(of_arms & set(design.grid)):
        raise ConfigError(f"trial.tune: {', '.join(both)} is what the arms differ in")
    matched = [] if isinstance(settings.matched, bool) else settings.matched
    if unknown := set(matched) - set(design.parts):
        raise ConfigError(f"trial.matched: {', '.join(sorted(unknown))} is none of trial.parts")
    for key, _ in settings.multiples:
        if not is_scale(design.grid.get(key, ())):
            raise ConfigError(f"trial.factors: {key} is not tuned over several numbers")
    for part, fixed in design.parts.items():
        for key, value in fixed.items():
            if key not in design.grid or value not in design.grid[key]:
                raise ConfigError(
                    f"trial.parts: {part} fixes {assignment(key, value)}, which trial.tune "
                    "does not try"
                )


def asked(found: Sequence[Trial], settings: TrialSettings) -> dict[str, Any]:
    """All that the outcome of trials depends on, as JSON has it."""
    design = found[0].design
    told: dict[str, Any] = {
        "arms": list(found[0].arms),
        "tune": design.grid,
        "parts": design.parts,
        "choose_by": settings.criteria,
        "target": settings.target,
        "tune_seeds": design.tune_seeds,
        "report_seeds": design.report_seeds,
        "tuning": settings.short,
        "finalists": settings.finalists if settings.short else None,
        "halving": settings.halving,
        "matched": settings.matched,
        "budget": settings.budget,
        "conditions": [
            {
                "label": trial.label,
                "arms": {arm: scientific(config) for arm, config in trial.specimens.items()},
            }
            for trial in found
        ],
    }
    if settings.multiples:  # a setting that came later: trials without it are as they were
        told["factors"] = settings.multiples
    plain = json.loads(json.dumps(told))
    assert isinstance(plain, dict)
    return plain


def refuse_another(config: Config, told: Mapping[str, Any]) -> None:
    """A folder has one trial; a setting that it lacks, because it was added later, has its default.

    Raises:
        ConfigError: it has another; the message says in what they differ.
        RunError: trial.json is damaged.
    """
    there = trials.read(config.sweep_dir)
    if there is None:
        return
    then, now = map(trial_in_todays_words, (there["settings"], told))
    keys = trials.differing(then, now)
    if not keys:
        return
    raise ConfigError(
        f"{config.sweep_dir} holds a trial with other settings ({', '.join(keys[:5])}); nothing "
        "was changed: give this one its own name=…"
    )


def jobs_of(trial: Trial, tries: Sequence[Trying]) -> "list[Job]":
    """Runs as jobs of a sweep; a command that repeats one is that of a single run."""
    from bnexp.sweeps.plan import Job

    words = [trial.overrides(one) for one in tries]
    return [
        Job(trial.config(one), overrides, varying)
        for one, overrides, varying in zip(tries, words, differing(words), strict=True)
    ]


def tried(trial: Trial, grid: Grid, known: Mapping[tuple[str, str], float]) -> list[Trying]:
    """The tuning runs that have ended."""
    done = {run for run, _ in known}
    return [
        one
        for arm in trial.arms
        for cell in product(*grid.values())
        for seed in trial.design.tune_seeds
        for stage in ((SHORT, FULL) if trial.short else (SHORT,))
        for one in [Trying(arm, cell, seed, stage)]
        if trial.run_id(one) in done
    ]


@dataclass(frozen=True)
class Report:
    """What was chosen, and the runs that judge it."""

    trial: Trial
    tuning: Tuning
    settings: TrialSettings

    def tries(self, arm: str, cell: Cell, stage: str = FULL) -> list[Trying]:
        """An arm's report runs with a combination."""
        return [Trying(arm, cell, seed, stage) for seed in self.trial.design.report_seeds]

    @property
    def wanted(self) -> list[Trying]:
        """All report runs, each once; those of a seed follow one another.

        So arms meet the same load of the machine, seed by seed, which their seconds depend on.
        """
        found = [one for choice in self.tuning.choices for one in self._of(choice)]
        found.sort(key=lambda one: one.stage == JUDGED)  # of two equal runs the one that keeps more
        once = {self.trial.run_id(one): one for one in found}.values()
        return sorted(once, key=lambda one: one.seed)

    def _of(self, choice: Choice) -> Iterator[Trying]:
        yield from self.tries(choice.arm, choice.cell, JUDGED)
        cells = [choice.cell] if self.settings.is_matched(choice.part) else []
        if choice.arm == self.trial.design.arms[0]:
            cells += [self._multiple(choice.cell, *one) for one in self.settings.multiples]
        for arm, cell in product(self.trial.arms, cells):
            yield from self.tries(arm, cell)

    def _multiple(self, cell: Cell, key: str, factor: float) -> Cell:
        """A combination with one of its settings so many times as large."""
        return tuple(
            float(f"{value * factor:.6g}") if name == key and factor != 1 else value
            for name, value in zip(self.trial.design.grid, cell, strict=True)
        )

    def _runs(self, arm: str, cell: Cell) -> dict[str, str]:
        return {str(one.seed): self.trial.run_id(one) for one in self.tries(arm, cell)}

    def as_record(self, runs: "Runs") -> dict[str, Any]:
        """Its part of trial.json."""
        return {
            "condition": self.trial.label,
            "grid": {key: list(values) for key, values in self.tuning.grid.items()},
            "lacking": {
                arm: [key for key in self.tuning.grid if not self.trial.has(arm, key)]
                for arm in self.trial.arms
            },
            "parts": [
                self._part(part, criterion, runs)
                for part in self.trial.design.parts
                for criterion in self.trial.design.choose_by
            ],
        }

    def _part(self, part: str, criterion: str, runs: "Runs") -> dict[str, Any]:
        chosen = [
            choice
            for choice in self.tuning.choices
            if (choice.part, choice.criterion) == (part, criterion)
        ]
        return {
            "part": part,
            "choose_by": criterion,
            "target": self._target(chosen, runs),
            "arms": {choice.arm: self._choice(choice) for choice in chosen},
            "factors": [self._factor(chosen[0].cell, *one) for one in self.settings.multiples],
        }

    def _factor(self, cell: Cell, key: str, factor: float) -> dict[str, Any]:
        """All arms with what the baseline chose, less one setting."""
        cell = self._multiple(cell, key, factor)
        return {
            "setting": key,
            "factor": factor,
            "chosen": dict(zip(self.tuning.grid, cell, strict=True)),
            "report": {arm: self._runs(arm, cell) for arm in self.trial.arms},
        }

    def _choice(self, choice: Choice) -> dict[str, Any]:
        trial = self.trial
        record = {
            "chosen": trial.settings_of(choice.cell, choice.arm),
            "score": _number(choice.score),
            "edges": dict(choice.edges),
            "tried": [
                {
                    **trial.settings_of(cell, choice.arm),
                    "score": _number(score),
                    "runs": count,
                }
                for cell, (score, count) in choice.tried.items()
            ],
            "report": self._runs(choice.arm, choice.cell),
        }
        if self.settings.is_matched(choice.part):
            record["matched"] = {arm: self._runs(arm, choice.cell) for arm in trial.arms}
        return record

    def _target(self, chosen: Sequence[Choice], runs: "Runs") -> float | None:
        """As set; else the highest full percent that each arm that learns reached while tuning."""
        from bnexp.analysis.trials import common_target

        if self.settings.target is not None:
            return self.settings.target
        ids = [
            [
                self.trial.run_id(Trying(choice.arm, choice.cell, seed, choice.stage))
                for seed in self.trial.design.tune_seeds
            ]
            for choice in chosen
        ]
        return common_target(runs, ids)


def _number(value: float) -> float | None:
    """JSON has no infinities."""
    return value if math.isfinite(value) else None
