"""Carries out one run: its folder, its lock, its log, its result, whatever happens."""

import signal
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnexp.config import Config, ConfigError
from bnexp.config.errors import reason
from bnexp.config.places import importable, use_folder
from bnexp.config.source import needs_tensorflow
from bnexp.data.loading import load
from bnexp.folders import lock, runs
from bnexp.folders.tables import PREDICTIONS
from bnexp.sweeps.console import LogReporter, TerminalReporter
from bnexp.training import backend, checkpoint
from bnexp.training.calls import Run, alone
from bnexp.training.interrupt import listening
from bnexp.training.stopwatch import Stopwatch

if TYPE_CHECKING:  # which imports TensorFlow
    from bnexp.training.program import Program

# Not in result.json: another process runs it just now.
BUSY = "busy"
HEARD = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


def execute(
    config: Config,
    threads: int | None = None,
    *,
    terminal: bool = False,
    signals: bool = True,
    begin: Callable[[], None] | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Runs what `config` says, unless it is done, and returns the content of result.json.

    What was interrupted goes on from its checkpoint. An exception while training is recorded
    as `failed`, with its traceback in run.log, and does not leave this function. If another
    process runs it just now, the status is `BUSY`.

    Args:
        config: the run.
        threads: CPU threads unless `trainer.threads` is set; None: as `backend.start` decides.
        terminal: show lines and progress on stdout.
        signals: hear Ctrl-C, SIGTERM and SIGHUP between steps; False: leave them to the caller.
        begin: called once it is sure that there is something to run.
        notes: lines for its log, unless it goes to the terminal.

    Raises:
        ConfigError: settings or data that cannot be used, or a folder that cannot be written.
        Interrupted: Ctrl-C or SIGTERM; the checkpoint is up to date.
    """
    watch = Stopwatch()
    prepare_imports(config)
    done = result_if_done(config)
    if done is not None:
        return done
    threads = prepared(config, threads, watch)
    folder = runs.run_folder(config)
    steps = config.trainer.steps
    reporter = TerminalReporter(folder, steps) if terminal else LogReporter(folder, notes)
    with listening(*(HEARD if signals else ())):
        return alone(claimed(config, threads, watch, reporter, begin=begin))


def prepared(config: Config, threads: int | None, watch: Stopwatch) -> int:
    """Checks the data, starts TensorFlow and makes the folder; the number of threads in force.

    Raises:
        ConfigError: settings or data that cannot be used, or a folder that cannot be written.
    """
    with watch("load"):
        check_early(config)
    with watch("import"):
        threads = backend.start(config.trainer.threads or threads)
    with watch("load"):
        check_data(config)
    runs.make_folder(runs.run_folder(config))
    return threads


def claimed(
    config: Config,
    threads: int,
    watch: Stopwatch,
    reporter: LogReporter,
    *,
    begin: Callable[[], None] | None = None,
    program: "Program | None" = None,
) -> Run[dict[str, Any]]:
    """A run that holds the lock of its folder, unless it is done or another process runs it.

    Args:
        config, begin: see `execute`.
        threads: in force.
        watch: charges the seconds to the parts of the run.
        reporter: of the run's log.
        program: see `bnexp.training.loop.training`.
    """
    folder = runs.run_folder(config)
    try:
        with lock.held(folder):
            done = result_if_done(config)
            if done is not None:
                return done
            if begin:
                begin()
            return (yield from _execute(config, threads, watch, reporter, program))
    except lock.Timeout:
        return {"status": BUSY}


def prepare_imports(config: Config) -> None:
    """Lets the user's modules be imported: from the working directory and `--config-dir`."""
    importable(Path.cwd())
    for folder in config.config_dirs:
        use_folder(Path(folder))


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


def check_early(config: Config) -> None:
    """Checks the data if that goes without the seconds that importing TensorFlow takes.

    Raises:
        ConfigError: see `check_data`.
    """
    if not needs_tensorflow(config.data.target):
        check_data(config)


def result_if_done(config: Config) -> dict[str, Any] | None:
    """The result of a run that need not be run again; None also if it is damaged."""
    if config.rerun:
        return None
    try:
        return runs.ended_result(runs.run_folder(config))
    except runs.RunError:
        return None


# What a setting that is no part of a run's identity leaves in the folder of a run.
PRODUCTS = {
    "save_model": "model.keras",
    "predictions": PREDICTIONS,
    "profile": runs.PROFILE,
    "tensorboard": "tensorboard",
}
OF_NETWORK = ("save_model", "predictions")  # a diverged run has no network to keep


def lacks(config: Config, done: dict[str, Any]) -> list[str]:
    """What is asked for and a finished run does not have, as it was made without asking for it."""
    asked = config.trainer
    diverged = done["status"] == runs.DIVERGED
    found = [
        f"no {product}, as trainer.{key}=true was not given then"
        for key, product in PRODUCTS.items()
        if getattr(asked, key) and not (diverged and key in OF_NETWORK)
        if not (runs.run_folder(config) / product).exists()
    ]
    if asked.threads and done["threads"] != asked.threads:
        found.append(f"made with trainer.threads={done['threads']}")
    return found


def _execute(
    config: Config,
    threads: int,
    watch: Stopwatch,
    reporter: LogReporter,
    program: "Program | None",
) -> Run[dict[str, Any]]:
    folder = runs.run_folder(config)
    _clear(folder, config.rerun)
    with watch("write"):
        runs.write_config(folder, config)
    with reporter:
        result = yield from _trained(config, folder, reporter, watch, program)
    profile = watch.profile()
    result |= {
        "run_id": folder.name,
        "total_seconds": profile["total"],
        "threads": threads,
        **runs.provenance(),
        "machine": backend.machine(),
        "classes": load(config.data).classes,
    }
    if config.trainer.profile and result["status"] != runs.FAILED:
        runs.write_profile(folder, profile)
    runs.write_result(folder, result)
    if result["status"] != runs.FAILED:
        checkpoint.remove(folder)
    return result


def _clear(folder: Path, rerun: bool) -> None:
    """Removes what an earlier start left and this one does not go on from."""
    if rerun:
        checkpoint.remove(folder)
    outdated = ["result.json", runs.PROFILE]
    if not (folder / runs.CHECKPOINT).exists():
        outdated.append("run.log")
    for name in outdated:
        (folder / name).unlink(missing_ok=True)


def _trained(
    config: Config,
    folder: Path,
    reporter: LogReporter,
    watch: Stopwatch,
    program: "Program | None",
) -> Run[dict[str, Any]]:
    with watch("import"):
        from bnexp.training.loop import training

    try:
        with backend.retracing_logged(reporter.line):
            outcome = yield from training(config, folder, reporter, watch, program)
        return outcome.as_result()
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001 (whatever it is belongs to this run alone)
        reporter.trace(traceback.format_exc())
        return failure(error)


def failure(error: BaseException) -> dict[str, Any]:
    """The result of a run that an exception ended."""
    told = {"type": type(error).__name__, "message": reason(error)}
    return {"status": runs.FAILED, "error": told}
