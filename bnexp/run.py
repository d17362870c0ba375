"""Trains networks as `conf/` and the command line say: one run, or with --multirun a sweep."""

import os
import signal
import warnings
from functools import partial
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from bnexp.command_line import bad_input, one_line_errors
from bnexp.config import Config, ConfigError, build, register_schema
from bnexp.folders import commands
from bnexp.folders.runs import FAILED, RunError, objective, run_folder, summary
from bnexp.sweeps.execute import BUSY, execute
from bnexp.training import interrupt

CONF = str(Path(__file__).resolve().parent.parent / "conf")


def compose(*overrides: str) -> Config:
    """The typed config behind overrides, as the command line would have it.

    Raises:
        ConfigError: see `bnexp.config.build`.
    """
    register_schema()
    with hydra.initialize_config_dir(CONF, version_base="1.3"):
        return build(hydra.compose("config", overrides=list(overrides)))


def task(composed: DictConfig) -> float:
    """One run, alone or as a job of a launcher; returns the objective of a search.

    A launcher's worker must get an ordinary exception: it takes SystemExit for its own end.
    """
    hydra_config = HydraConfig.get()
    if hydra_config.mode == RunMode.MULTIRUN:
        os.chdir(hydra_config.runtime.cwd)  # a cluster's worker may stand elsewhere
        return _run(build(composed), terminal=False)
    try:
        return _run(build(composed), terminal=True)
    except ConfigError as error:  # before Hydra adds lines of its own
        bad_input(str(error))
    except OSError as error:  # a folder that cannot be written to, a disk that is full
        bad_input(str(error))
    except RunError as error:
        raise SystemExit(f"bnexp: {error}") from None


def _run(config: Config, *, terminal: bool) -> float:
    record = partial(commands.record, config.sweep_dir) if terminal else None
    result = execute(config, terminal=terminal, begin=record)
    if result["status"] == BUSY:
        raise RunError(f"{run_folder(config)}: another process has this run in hand")
    if result["status"] == FAILED:
        log = run_folder(config) / "run.log"
        raise RunError(f"{summary(result)} (traceback: {log})")
    return objective(result)


def main() -> None:
    """The command `python -m bnexp.run`."""
    register_schema()
    # conf/hydra/launcher/ray.yaml and submitit_slurm.yaml bear the names of the plugins' schemas
    warnings.filterwarnings("ignore", message="(?s).*validated against ConfigStore schema")
    with one_line_errors():
        interrupt.stop_on(signal.SIGINT, signal.SIGTERM)
        hydra.main(config_path=CONF, config_name="config", version_base="1.3")(task)()


if __name__ == "__main__":
    main()
