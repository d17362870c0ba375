"""Hydra's plugins for sweeps: a grid of runs, carried out by `bnexp.sweep`.

Hydra accepts plugins from the namespace package `hydra_plugins` only.
"""

from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict


class GridSweeper(BasicSweeper):
    """Hydra's basic sweeper, in one batch, without a composition of its own per job."""

    def __init__(self, params: dict[str, str] | None) -> None:
        super().__init__(max_batch_size=None, params=params)

    def sweep(self, arguments: list[str]) -> Any:
        assert self.hydra_context is not None
        assert self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides(self._parse_config() + arguments)
        [jobs] = self.split_arguments(overrides, None)
        returns = self.launcher.launch(jobs, initial_job_idx=0)
        if any(job.status == JobStatus.FAILED for job in returns):
            raise SystemExit(1)
        return returns


class PoolLauncher(Launcher):
    """Checks all runs of a sweep, then carries them out in a pool of processes.

    Each job returns the run's best validation accuracy, as a sweeper's objective.
    """

    def __init__(self, n_jobs: int) -> None:
        self._n_jobs = n_jobs

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self._context, self._config = hydra_context, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        from bnexp.config import build
        from bnexp.sweep import run_sweep

        configs = [build(self._compose(overrides)) for overrides in job_overrides]
        results = run_sweep(configs, swept(job_overrides), self._n_jobs)
        return [
            _job_return(overrides, result)
            for overrides, result in zip(job_overrides, results, strict=True)
        ]

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        composed = self._context.config_loader.load_sweep_config(self._config, list(overrides))
        with open_dict(composed):
            del composed["hydra"]
        return composed


def swept(job_overrides: Sequence[Sequence[str]]) -> list[str]:
    """What tells each job from the others, on one line."""
    common = set.intersection(*map(set, job_overrides))
    return [" ".join(item for item in job if item not in common) for job in job_overrides]


def _job_return(overrides: Sequence[str], result: dict[str, Any]) -> JobReturn:
    error = result.get("error")
    if error:
        failure = RuntimeError(f"{error['type']}: {error['message']}")
        return JobReturn(overrides=overrides, status=JobStatus.FAILED, _return_value=failure)
    return JobReturn(
        overrides=overrides,
        status=JobStatus.COMPLETED,
        _return_value=result["best_val_accuracy"],
    )
