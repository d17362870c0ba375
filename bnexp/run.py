"""Trains networks as `conf/` and the command line say: one run, or with --multirun a sweep."""

import signal
from pathlib import Path

import hydra
from omegaconf import DictConfig

from bnexp import interrupt
from bnexp.command_line import bad_input, one_line_errors
from bnexp.config import Config, ConfigError, build, register_schema
from bnexp.execute import execute
from bnexp.runs import FAILED, run_folder, summary

CONF = str(Path(__file__).resolve().parent.parent / "conf")


def compose(*overrides: str) -> Config:
    """The typed config behind overrides, as the command line would have it.

    Raises:
        ConfigError: see `bnexp.config.build`.
    """
    register_schema()
    with hydra.initialize_config_dir(CONF, version_base="1.3"):
        return build(hydra.compose("config", overrides=list(overrides)))


def task(composed: DictConfig) -> float | None:
    """One run; the best validation accuracy is the objective of a search."""
    try:
        config = build(composed)
        result = execute(config, terminal=True)
    except ConfigError as error:  # before Hydra adds lines of its own
        bad_input(str(error))
    if result["status"] == FAILED:
        log = run_folder(config) / "run.log"
        raise SystemExit(f"bnexp: {summary(result)} (traceback: {log})")
    return result["best_val_accuracy"]


def main() -> None:
    """The command `python -m bnexp.run`."""
    register_schema()
    with one_line_errors():
        interrupt.stop_on(signal.SIGINT, signal.SIGTERM)
        hydra.main(config_path=CONF, config_name="config", version_base="1.3")(task)()


if __name__ == "__main__":
    main()
