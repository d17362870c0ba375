"""bnexp from Python and notebooks: the command line's words, results as objects, no signals taken.

import bnexp

run = bnexp.run("model=mlp", "norm=none", "trainer.steps=500")
runs = bnexp.sweep("experiment=quickstart")
bnexp.compare(runs)
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnexp.config import Config, ConfigError
from bnexp.config.compose import compose, composed_sweep
from bnexp.folders import runs as folders
from bnexp.folders.errors import RunError
from bnexp.sweeps.execute import BUSY, execute, lacks, result_if_done

if TYPE_CHECKING:
    import pandas as pd

    from bnexp.analysis.loading import Runs


@dataclass(frozen=True)
class Run:
    """A run that has ended.

    Attributes:
        config: what was run.
        folder: where its files are.
        result: the content of result.json.
    """

    config: Config
    folder: Path
    result: dict[str, Any]

    @property
    def history(self) -> "pd.DataFrame":
        """history.csv: a row per evaluation."""
        return folders.read_history(self.folder)

    @property
    def test_accuracy(self) -> float | None:
        """None of a run that diverged."""
        found = self.result["test_accuracy"]
        return None if found is None else float(found)

    def __repr__(self) -> str:
        return f"Run({self.folder}: {folders.summary(self.result)})"


def run(*overrides: str, config_dir: Path | str | None = None, progress: bool = True) -> Run:
    """Makes one run, or finds it made.

    Args:
        overrides: as on the command line: "norm=none", "optimizer.lr=0.1".
        config_dir: a folder of your own options and modules.
        progress: show lines and a progress bar.

    Raises:
        ConfigError: settings or data that cannot be used.
        RunError: the run failed, or another process is at it.
    """
    config = compose(*overrides, config_dir=config_dir)
    _refuse_dry(config)
    folder = folders.run_folder(config)
    done = result_if_done(config)
    if done and (lacking := lacks(config, done)):
        warnings.warn(f"{folder}: {'; '.join(lacking)}; rerun=true makes it again", stacklevel=2)
    result = execute(config, terminal=progress, signals=False)
    if result["status"] == BUSY:
        raise RunError(f"{folder}: another process runs it just now")
    if result["status"] == folders.FAILED:
        raise RunError(f"{folders.summary(result)} (traceback: {folder / 'run.log'})")
    return Run(config, folder, result)


@dataclass(frozen=True)
class Trial:
    """A trial that has ended; printed, it says what came out.

    Attributes:
        record: the content of trial.json: what was asked, tried and chosen.
        effects: every arm against the first: see `bnexp.analysis.trials.effects`.
        runs: all its runs.
    """

    record: Mapping[str, Any]
    effects: "pd.DataFrame"
    runs: "Runs"

    def __repr__(self) -> str:
        from bnexp.analysis.trial_words import sentences

        return "\n".join(sentences(self.record, self.effects))


def trial(*overrides: str, config_dir: Path | str | None = None) -> Trial:
    """Tunes every arm alike and judges what they chose on fresh seeds.

    Args:
        overrides: as of `bnexp trial`: "model=mlp", "trial.arms=norm=none,batch".
        config_dir: a folder of your own options and modules.

    Raises:
        ConfigError: settings or data that cannot be used.
        RunError: runs failed; the others are made.
    """
    from bnexp.analysis.loading import load_runs
    from bnexp.analysis.trials import effects
    from bnexp.folders import trials

    given = overrides if _names_sweeper(overrides) else (*overrides, "hydra/sweeper=trial")
    with composed_sweep(given, config_dir) as sweeper:
        try:
            folder = sweeper.sweep(sweeper.arguments)
        except SystemExit as failed:
            raise RunError("runs failed: see the table above") from failed
    record = trials.read(folder) if folder else None
    if record is None:
        raise ConfigError(f"{' '.join(overrides)}: was only planned (dry_run=true)")
    loaded = load_runs(folder)
    return Trial(record, effects(record, loaded), loaded)


def _names_sweeper(overrides: Sequence[str]) -> bool:
    return any(word.startswith("hydra/sweeper=") for word in overrides)


def _refuse_dry(config: Config) -> None:
    if config.dry_run:
        raise ConfigError(
            "dry_run=true makes no run that could be returned; "
            "bnexp.config.compose.compose_sweep() returns the configs of a sweep's runs"
        )


def sweep(*overrides: str, config_dir: Path | str | None = None) -> "Runs":
    """Makes a sweep's runs, in processes side by side, and loads them with all their tables.

    Args:
        overrides: as on the command line: "norm=none,batch", "seed=0,1,2", "experiment=fig1".
        config_dir: a folder of your own options and modules.

    Raises:
        ConfigError: settings or data that cannot be used.
        RunError: runs failed; the others are made.
    """
    from bnexp.analysis.loading import load_runs

    with composed_sweep(overrides, config_dir) as sweeper:
        if hasattr(sweeper, "trials"):
            raise ConfigError(f"{' '.join(overrides)} is a trial; give it to bnexp.trial()")
        _refuse_dry(sweeper.jobs(sweeper.arguments)[0].config)
        try:
            sweeper.sweep(sweeper.arguments)
        except SystemExit as failed:
            raise RunError("runs failed: see the table above") from failed
        wanted = {job.folder for jobs in sweeper.plan.jobs.values() for job in jobs}
        if not wanted:
            raise ConfigError(f"{' '.join(overrides)}: has no run")
    found = load_runs(*sorted({folder.parent for folder in wanted}))
    return found.select(found.runs.index.to_series().isin([str(folder) for folder in wanted]))
