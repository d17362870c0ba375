"""`hydra/sweeper=trial`: tunes every arm alike and judges their choices on fresh seeds."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from bnexp.config import Config
from bnexp.folders import trials
from bnexp.sweeps.grid import GridSweeper, PoolLauncher
from bnexp.sweeps.trial_settings import read_settings

if TYPE_CHECKING:  # what a trial needs and --help does not is imported where it is used
    from rich.console import Console

    from bnexp.analysis.loading import Runs
    from bnexp.sweeps.plan import Job, Plan
    from bnexp.sweeps.pool import Workers
    from bnexp.sweeps.trial import Report, Trial
    from bnexp.sweeps.tuning import Trying, Tuning


class TrialSweeper(GridSweeper):
    """Plans a trial, tunes, reports, writes trial.json, and says what came out.

    Args:
        params: swept values of a preset: a trial is made for each combination.
        trial: the settings `trial.*`.
    """

    def __init__(self, params: dict[str, str] | None, trial: DictConfig) -> None:
        super().__init__(params)
        given = OmegaConf.to_container(trial, resolve=True)
        assert isinstance(given, dict)
        self.settings = read_settings({str(key): value for key, value in given.items()})

    def sweep(self, arguments: list[str]) -> Any:
        from rich.console import Console

        from bnexp.sweeps.trial import asked, refuse_another

        console = Console(highlight=False, soft_wrap=True)
        found = self.trials(arguments)
        config = _config(found)
        told = asked(found, self.settings)
        refuse_another(config, told)
        ours = self.launcher if isinstance(self.launcher, PoolLauncher) else None
        with ours.keeping() if ours else nullcontext() as workers:
            plan, found = self._planned(found, workers, console)
            if config.dry_run:
                console.print(self._listing(found), markup=False)
                return None
            record: dict[str, Any] = {"settings": told, "plan": plan, "trials": []}
            if trials.read(config.sweep_dir) is None:
                config.sweep_dir.mkdir(parents=True, exist_ok=True)
                trials.write(config.sweep_dir, record)
            reports = self._tuned(found, console)
            self._report(reports, console)
        loaded = _loaded(config)
        record["trials"] = [one.as_record(loaded) for one in reports]
        trials.write(config.sweep_dir, record)
        self._tell(config, loaded, console)
        return config.sweep_dir

    def jobs(self, arguments: list[str]) -> "list[Job]":
        """The runs that a trial begins with, whatever is done."""
        from bnexp.sweeps.trial import jobs_of
        from bnexp.sweeps.tuning import tune

        return [
            job
            for trial in self.trials(arguments)
            for job in jobs_of(
                trial, tune(trial.design, trial.score({}), trial.has, trial.allowed).wanted
            )
        ]

    def _listing(self, found: "Sequence[Trial]") -> str:
        """A line for each run that is done, or to be done next."""
        from bnexp.sweeps.plan import make_plan
        from bnexp.sweeps.trial import Report, jobs_of, tried

        known = self._scores(found)
        jobs = []
        for trial, tuning in zip(found, self._tunings(found, known), strict=True):
            tries = [*tried(trial, tuning.grid, known), *tuning.wanted]
            if tuning.choices:
                tries += Report(trial, tuning, self.settings).wanted
            jobs += jobs_of(trial, tries)
        return make_plan(jobs).listing()

    def trials(self, arguments: Sequence[str]) -> "list[Trial]":
        """A trial for each combination of what is swept beside arms and nuisance settings.

        Raises:
            ConfigError: settings that do not go together.
        """
        from bnexp.sweeps.trial import make_trial

        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        of_preset = parser.parse_overrides(self._parse_config())
        given = [
            one
            for one in parser.parse_overrides(list(arguments))
            if not one.key_or_group.startswith("trial.")
        ]
        [bases] = self.split_arguments(of_preset + given, None)
        common = set.intersection(*map(set, bases))
        optional = {one.key_or_group for one in of_preset}
        optional -= {one.key_or_group for one in given}
        found: list[Trial] = []
        for base in map(tuple, bases):
            label = " ".join(word for word in base if word not in common)
            found.append(make_trial(base, label, self.settings, self._compose))
            found[-1].check(optional, self.settings.multiples)
        return found

    def _planned(
        self, found: "Sequence[Trial]", workers: "Workers | None", console: "Console"
    ) -> "tuple[dict[str, Any], list[Trial]]":
        """The plan, that of an earlier start if there is one, and the trials as it has them."""
        from dataclasses import replace

        from bnexp.sweeps import trial_plan
        from bnexp.sweeps.trial import SCALE

        there = trials.read(_config(found).sweep_dir)
        if there:
            plan = trial_plan.from_record(there["plan"], found)
            console.print("goes on with the trial that is there", markup=False)
        else:
            console.print("plan: timing a few steps of each arm", markup=False)
            learn = [self.launcher.pace.plan] if isinstance(self.launcher, PoolLauncher) else []
            plan, coming, processes = trial_plan.planned(found, self.settings, workers, *learn)
        found = [replace(t, design=d) for t, d in zip(found, plan.designs, strict=True)]
        for trial in found:
            for arm in trial.arms:
                lacking = [key for key in trial.design.grid if not trial.has(arm, key)]
                if lacking:
                    told = f"{arm} has no {', '.join(lacking)}, and is tuned without"
                    console.print(told, markup=False)
        if not there:
            if self.settings.tune is None and SCALE not in found[0].design.grid:
                console.print(f"{SCALE} is not tuned: the networks draw their own weights")
            for note in plan.notes:
                console.print(f"smaller: {note}", markup=False)
            console.print(trial_plan.described(found, coming, processes), markup=False)
        return plan.as_record(), found

    def _tuned(self, found: "Sequence[Trial]", console: "Console") -> "list[Report]":
        """Runs what is wanted, until every arm of every trial has chosen."""
        from bnexp.sweeps.trial import Report

        while True:
            known = self._scores(found)
            tunings = self._tunings(found, known)
            wanted = [(t, tuning.wanted) for t, tuning in zip(found, tunings, strict=True)]
            if not any(tries for _, tries in wanted):
                pairs = zip(found, tunings, strict=True)
                return [Report(trial, tuning, self.settings) for trial, tuning in pairs]
            plan = self._begun(found, tunings, known, wanted, console)
            self.carry_out(plan.todo, console)

    def _report(self, reports: "Sequence[Report]", console: "Console") -> None:
        """Runs what judges the choices, in the order in which it is to be run."""
        found, tunings = [one.trial for one in reports], [one.tuning for one in reports]
        wanted = [(one.trial, one.wanted) for one in reports]
        plan = self._begun(found, tunings, self._scores(found), wanted, console)
        todo = {job.folder: job for job in plan.todo}
        self.carry_out([todo[folder] for folder in plan.given if folder in todo], console)

    def _scores(self, found: "Sequence[Trial]") -> dict[tuple[str, str], float]:
        from bnexp.analysis.trials import scores_of

        return scores_of(_loaded(_config(found)), self.settings.target)

    def _tunings(
        self, found: "Sequence[Trial]", known: dict[tuple[str, str], float]
    ) -> "list[Tuning]":
        from bnexp.sweeps.tuning import tune

        return [tune(one.design, one.score(known), one.has, one.allowed) for one in found]

    def _begun(
        self,
        found: "Sequence[Trial]",
        tunings: "Sequence[Tuning]",
        known: dict[tuple[str, str], float],
        wanted: "Sequence[tuple[Trial, Sequence[Trying]]]",
        console: "Console",
    ) -> "Plan":
        """The plan of a stage; what stage it is, is told and shown."""
        from bnexp.sweeps import trial_stage
        from bnexp.sweeps.plan import make_plan
        from bnexp.sweeps.trial import jobs_of

        plan = make_plan([job for trial, tries in wanted for job in jobs_of(trial, tries)])
        console.print(f"{trial_stage.title(found, tunings)}: {plan}", markup=False)
        for note in plan.notes:
            console.print(note, markup=False)
        if isinstance(self.launcher, PoolLauncher):
            stage = trial_stage.stage(found, tunings, known, self.settings)
            self.launcher.stage = stage.after(plan.work_done)
        return plan

    def _tell(self, config: Config, loaded: "Runs", console: "Console") -> None:
        from bnexp.analysis.trial_words import sentences
        from bnexp.analysis.trials import effects

        record = trials.read(config.sweep_dir)
        assert record is not None
        for line in sentences(record, effects(record, loaded)):
            console.print(line, markup=False)
        console.print(
            f"{config.sweep_dir / trials.FILE}; bnexp plot {config.sweep_dir} draws it",
            markup=False,
        )


def _config(found: "Sequence[Trial]") -> Config:
    return next(iter(found[0].specimens.values()))


def _loaded(config: Config) -> "Runs":
    from bnexp.analysis.loading import Runs, load_runs

    if not config.sweep_dir.is_dir():
        import pandas as pd

        return Runs(pd.DataFrame(), pd.DataFrame(), pd.DataFrame())
    return load_runs(config.sweep_dir)
