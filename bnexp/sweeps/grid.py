"""A grid of runs for Hydra: which runs a sweep has, and a pool of processes to carry them out.

What is not Hydra's is in `composer.py`, `plan.py` and `pool.py`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from bnexp.config import ConfigError
from bnexp.config.checking import checked
from bnexp.config.compose import preset_parameters, single_presets
from bnexp.config.types import In
from bnexp.folders import commands, runs
from bnexp.sweeps.composer import Composer
from bnexp.sweeps.labels import differing, short_labels
from bnexp.sweeps.pace import Pace
from bnexp.training import interrupt

if TYPE_CHECKING:  # what a run needs and --help does not is imported where it is used
    from rich.console import Console

    from bnexp.sweeps.plan import Job
    from bnexp.sweeps.pool import Workers
    from bnexp.sweeps.view import Stage

Processes = Literal[-1] | Annotated[int, In("[1, 1024]")]


class GridSweeper(BasicSweeper):
    """Every combination of the swept values: plans them, launches what is to do, concludes.

    Differs from Hydra's basic sweeper in that a run is known by its folder: what is done is
    skipped, and how each ended is read there, whatever launcher carried it out.
    """

    def __init__(self, params: dict[str, str] | None) -> None:
        super().__init__(max_batch_size=None, params=params)

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        if not OmegaConf.is_dict(self.params) and not isinstance(self.params, dict):
            raise ConfigError(f"hydra.sweeper.params={self.params}: give keys and values")
        self._compose = Composer(hydra_context.config_loader, config)
        if isinstance(self.launcher, PoolLauncher):
            self.launcher.compose = self._compose  # what is composed once

    def sweep(self, arguments: list[str]) -> Any:
        from rich.console import Console

        from bnexp.sweeps.plan import make_plan

        console = Console(highlight=False, soft_wrap=True)
        jobs = self.jobs(arguments)
        self.plan = plan = make_plan(jobs)
        console.print(f"{plan.folders}: {plan}", markup=False)
        for note in plan.notes:
            console.print(note, markup=False)
        if jobs[0].config.dry_run:
            console.print(plan.listing(), markup=False)
            return None
        return self.carry_out(plan.todo, console)

    def carry_out(self, todo: "Sequence[Job]", console: "Console") -> Any:
        """Hands jobs to the launcher; returns what it returns.

        Raises:
            SystemExit: runs failed; a table of them is printed.
        """
        from bnexp.sweeps.plan import failures, print_failures

        if not todo:
            return None
        for folder in {job.config.sweep_dir for job in todo}:
            commands.record(folder)
        assert self.launcher is not None
        if isinstance(self.launcher, PoolLauncher):
            self.launcher.varying = {job.folder: job.varying for job in todo}
        errors: dict[tuple[str, ...], str] = {}
        try:
            returns = self.launcher.launch([job.overrides for job in todo], initial_job_idx=0)
        except ConfigError:
            raise
        except Exception as error:  # noqa: BLE001 (a cluster's; what ended is in the folders)
            interrupt.check()
            returns = []
            errors = {job.overrides: f"{type(error).__name__}: {error}" for job in todo}
        else:
            launched = {tuple(done.overrides or ()) for done in returns}
            todo = [job for job in todo if job.overrides in launched]
            errors = {
                tuple(done.overrides or ()): str(done._return_value)
                for done in returns
                if done.status == JobStatus.FAILED
            }
        failed = failures(todo, errors)
        if failed:
            print_failures(failed, console)
            raise SystemExit(1)
        return returns

    def jobs(self, arguments: list[str]) -> "list[Job]":
        """The runs that the arguments and the preset ask for, in order; of several, one by one."""
        presets = single_presets(arguments)
        if len(presets) == 1:
            return self._jobs(self._parse_config(), arguments)
        return [job for one in presets for job in self._jobs(preset_parameters(one), one)]

    def _jobs(self, parameters: list[str], arguments: list[str]) -> "list[Job]":
        from bnexp.sweeps.plan import Job

        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        of_preset = parser.parse_overrides(parameters)
        given = parser.parse_overrides(arguments)
        [combinations] = self.split_arguments(of_preset + given, None)
        if not combinations:
            raise ConfigError(f"{' '.join(arguments)}: a sweep over no value has no run")
        optional = {o.key_or_group for o in of_preset} - {o.key_or_group for o in given}
        combinations = self._compose.fitting(map(tuple, combinations), optional)
        return [
            Job(self._compose(combination), combination, varying)
            for combination, varying in zip(combinations, differing(combinations), strict=True)
        ]


class PoolLauncher(Launcher):
    """Carries out jobs in a pool of processes on this machine (see `bnexp.sweeps.pool`).

    Each job returns the run's best validation accuracy, as a sweeper's objective.
    """

    def __init__(self, n_jobs: int) -> None:
        self._n_jobs = n_jobs  # checked in `setup`: Hydra would wrap the error
        self._kept: Workers | None = None
        self.varying: dict[Path, Sequence[str]] = {}  # overrides that tell runs apart, by folder
        self.stage: Stage | None = None  # what the next launch is a part of
        self.pace = Pace()  # what the launches of one command learn

    @contextmanager
    def keeping(self) -> "Iterator[Workers]":
        """Within, the processes of one launch serve the next too."""
        from bnexp.sweeps.pool import Workers

        with Workers(self._n_jobs, idle=True) as self._kept:
            yield self._kept
        self._kept = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self._n_jobs = checked("hydra.launcher.n_jobs", self._n_jobs, Processes)
        self.compose = Composer(hydra_context.config_loader, config)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        from bnexp.sweeps.execute import result_if_done
        from bnexp.sweeps.pool import Workers
        from bnexp.sweeps.together import groups
        from bnexp.sweeps.view import SweepView

        configs = [self.compose(overrides) for overrides in job_overrides]
        if not all(map(result_if_done, configs)):  # also of a search, which has no plan
            commands.record(configs[0].sweep_dir)
        overrides = dict(zip(map(runs.run_folder, configs), job_overrides, strict=True))
        varying = [self.varying.get(folder, ()) for folder in overrides]
        labels = dict(zip(overrides, short_labels(varying), strict=True))
        returns = []
        workers = nullcontext(self._kept) if self._kept else Workers(self._n_jobs)
        shown = SweepView(configs, labels, self.pace, self.stage)
        with shown as view, workers as pool:
            for config, result in pool.run(configs, view.running, groups):
                view.ended(config, result)
                returns.append(_job_return(overrides[runs.run_folder(config)], result))
                if config.fail_fast and result["status"] == runs.FAILED:
                    break
        order = {tuple(job): place for place, job in enumerate(job_overrides)}
        return sorted(returns, key=lambda done: order[tuple(done.overrides)])


def _job_return(overrides: Sequence[str], result: dict[str, Any]) -> JobReturn:
    if result["status"] == runs.FAILED:
        failure = RuntimeError(runs.summary(result))
        return JobReturn(overrides=overrides, status=JobStatus.FAILED, _return_value=failure)
    return JobReturn(
        overrides=overrides,
        status=JobStatus.COMPLETED,
        _return_value=runs.objective(result),
    )
