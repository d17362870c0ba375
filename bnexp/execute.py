"""Carries out one run: its folder, its log, its result, whatever happens."""

import time
import traceback
from pathlib import Path
from typing import Any

from bnexp import backend, runs
from bnexp.config import Config, ConfigError
from bnexp.console import LogReporter, TerminalReporter
from bnexp.data import LOCAL, load


def execute(
    config: Config, threads: int | None = None, *, terminal: bool = False
) -> dict[str, Any]:
    """Runs what `config` says, unless it is done, and returns the content of result.json.

    An exception while training is recorded as `failed`, with its traceback in run.log, and
    does not leave this function; only what stands in the way of running at all does.

    Args:
        config: the run.
        threads: CPU threads unless `trainer.threads` is set; None: all cores.
        terminal: show lines and progress on stdout.

    Raises:
        ConfigError: settings or data that cannot be used, or a folder that cannot be written.
    """
    folder = runs.run_folder(config)
    done = finished_result(folder)
    if done is not None:
        return done
    started = time.perf_counter()
    if config.data.kind in LOCAL:
        check_data(config)  # told before the seconds that importing TensorFlow takes
    threads = backend.start(config.trainer.threads or threads)
    check_data(config)
    runs.make_folder(folder)
    runs.write_config(folder, config)
    reporter = TerminalReporter(folder, config.trainer.steps) if terminal else LogReporter(folder)
    with reporter:
        result = _trained(config, folder, reporter)
    result |= {
        "run_id": folder.name,
        "total_seconds": time.perf_counter() - started,
        "threads": threads,
        **runs.provenance(),
    }
    runs.write_result(folder, result)
    return result


def check_data(config: Config) -> None:
    """Loads the data, so that what cannot be used leaves no folder behind.

    Raises:
        ConfigError: data that cannot be had, or is too small for a batch.
    """
    images = len(load(config.data).train)
    if config.trainer.batch_size > images:
        raise ConfigError(
            f"trainer.batch_size={config.trainer.batch_size} is larger than the {images} "
            "training images"
        )


def finished_result(folder: Path) -> dict[str, Any] | None:
    """The result of a run that need not be run again: finished or diverged, and undamaged."""
    try:
        result = runs.read_result(folder)
    except runs.RunError:
        return None
    return result if result and result["status"] != runs.FAILED else None


def _trained(config: Config, folder: Path, reporter: LogReporter) -> dict[str, Any]:
    from bnexp.training import train_and_evaluate

    try:
        return train_and_evaluate(config, folder, reporter).as_result()
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001 (whatever it is belongs to this run alone)
        reporter.trace(traceback.format_exc())
        text = str(error).split("\n")[0]
        return {"status": runs.FAILED, "error": {"type": type(error).__name__, "message": text}}
