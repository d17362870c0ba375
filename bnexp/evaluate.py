"""Tests a kept network again, from disk: the original repository's test mode.

Example:
    python -m bnexp.run trainer.save_model=true
    python -m bnexp.evaluate outputs/default/RUN_ID
"""

import argparse
from pathlib import Path

from bnexp.command_line import one_line_errors
from bnexp.folders import runs
from bnexp.training import backend

MODEL = "model.keras"


def main() -> None:
    """The command `python -m bnexp.evaluate`."""
    parser = argparse.ArgumentParser(
        prog="python -m bnexp.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a run folder")
    arguments = parser.parse_args()
    with one_line_errors():
        for folder in arguments.folders:
            prefix = f"{folder}: " if len(arguments.folders) > 1 else ""
            print(prefix + evaluate(folder), flush=True)


def evaluate(folder: Path) -> str:
    """The test line of a run whose network was kept.

    The numbers are the run's own, bit for bit, on the same kind of machine with the same
    number of threads, which is taken from result.json.

    Raises:
        RunError: no run folder, no kept network, or one that cannot be read.
    """
    config = runs.typed_config(folder)
    path = folder / MODEL
    if not path.is_file():
        raise runs.RunError(
            f"{folder}: no {MODEL}; train with trainer.save_model=true "
            "(and rerun=true if the run is finished)"
        )
    result = runs.read_result(folder) or {}
    backend.start(result.get("threads"))

    import keras

    from bnexp.data import load
    from bnexp.training.program import Evaluator, on_device

    try:
        model = keras.models.load_model(path)
    except (OSError, ValueError, TypeError) as error:
        raise runs.RunError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error
    return Evaluator(model, config.model.kind)(*on_device(load(config.data).test)).test_line()


if __name__ == "__main__":
    main()
