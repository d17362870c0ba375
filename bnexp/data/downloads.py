"""Datasets that Keras downloads: once, by one process at a time."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from bnexp.data.arrays import Arrays
from bnexp.data.errors import DataError


def downloaded(
    name: str, fetch: Callable[[], Any], expected: str, class_names: Sequence[str]
) -> Arrays:
    """Keras's four arrays; the other processes wait and read what one has downloaded.

    Args:
        name: of the dataset, for errors and the lock.
        fetch: downloads what is not there, and returns what Keras's `load_data` does.
        expected: which files have to lie below Keras's folder `datasets`.
        class_names: in the order of the labels.

    Raises:
        DataError: it cannot be had; the message says where to put which files.
    """
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"  # Keras's own rule
    folder = Path(home) / "datasets"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{name}.lock"):
            (x_train, y_train), (x_test, y_test) = fetch()
    except Exception as error:  # Keras raises a bare Exception for a failed download
        reason = str(error).split("\n")[0]
        raise DataError(
            f"data={name} cannot be had ({reason}); without a network, put {expected} "
            f"into {folder} yourself"
        ) from error
    return Arrays(x_train, y_train, x_test, y_test, class_names=class_names)
