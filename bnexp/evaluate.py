"""Tests a kept network again, from disk: the original repository's test mode.

Example:
    python -m bnexp.run trainer.save_model=true
    python -m bnexp.evaluate outputs/default/RUN_ID
"""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bnexp.command_line import Parser, one_line_errors, path, use_folders
from bnexp.config import Config, run_id
from bnexp.folders import runs
from bnexp.folders.errors import RunError
from bnexp.training import backend

if TYPE_CHECKING:
    from bnexp.training.evaluation import Evaluator

MODEL = "model.keras"
IDENTIFIED = re.compile(r"[0-9a-f]{10}")  # a run's folder, where it was not renamed


def main(given: Sequence[str] | None = None) -> None:
    """The command `python -m bnexp.evaluate`, also `bnexp evaluate`."""
    parser = Parser("bnexp evaluate", __doc__)
    parser.add_argument("folders", nargs="+", type=path, metavar="FOLDER", help="a run folder")
    parser.add_config_dir()
    with one_line_errors():
        arguments = parser.parse_args(given)
        use_folders(arguments.config_dir)
        for folder in arguments.folders:
            prefix = f"{folder}: " if len(arguments.folders) > 1 else ""
            print(prefix + evaluate(folder), flush=True)


def evaluate(folder: Path) -> str:
    """The test line of a run whose network was kept.

    The numbers are the run's own, bit for bit, on the same kind of machine with the same
    number of threads, which is taken from result.json.

    Raises:
        RunError: no run folder, no kept network, one that cannot be read, or data or code that
            are not what they were.
    """
    config = runs.typed_config(folder)
    path = folder / MODEL
    if not path.is_file():
        raise RunError(
            f"{folder}: no {MODEL}; train with trainer.save_model=true "
            "(and rerun=true if the run is finished)"
        )
    if IDENTIFIED.fullmatch(folder.resolve().name) and run_id(config) != folder.resolve().name:
        raise RunError(
            f"{folder}: its data file, or the code of its options, is not what it was when the run "
            "was made"
        )
    result = runs.read_result(folder) or {}
    backend.start(result.get("threads"))
    evaluator = _evaluator(config, path)

    from bnexp.data.loading import load
    from bnexp.training.batches import on_device

    try:
        return evaluator(*on_device(load(config.data).test)).test_line()
    except (ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: does not fit the run's data ({reason})") from error


def _evaluator(config: Config, path: Path) -> "Evaluator":
    """The kept network, as the run itself evaluated it."""
    import keras

    from bnexp.networks.hints import hints
    from bnexp.training.evaluation import Evaluator
    from bnexp.training.program import metrics_of

    for option in config.options.values():
        option.load()  # layers of the user's register themselves with Keras
    try:
        model = keras.models.load_model(path)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"{path}: cannot be read ({reason})") from error
    speed = hints(config.model.load(), model)
    return Evaluator(model, jit=speed.jit, batch=speed.eval_batch, metrics=metrics_of(config))


if __name__ == "__main__":
    main()
