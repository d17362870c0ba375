"""Where each dataset comes from, and a small cache so that a process reads it once."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
from filelock import FileLock

from bnexp.config import Data
from bnexp.data.arrays import MNIST, DataError, Dataset, fingerprint, read_npz, split_dataset

Arrays = dict[str, np.ndarray]

# Keras reads these files without a checksum, so they are fetched with one first.
FASHION_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
FASHION_MD5 = {
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
}


def load(config: Data) -> Dataset:
    """The dataset of a config, split and checked; the same object for the same config.

    Raises:
        DataError: data that cannot be had or used.
    """
    content = fingerprint(config.path) if config.kind == "npz" and config.path else ""
    return _load(json.dumps(asdict(config)), content)


@lru_cache(maxsize=2)
def _load(settings: str, content: str) -> Dataset:
    config = Data(**json.loads(settings))
    source = f"data.path={config.path}" if config.kind == "npz" else f"data={config.kind}"
    return split_dataset(_arrays(config.kind, config.path, content), config, source)


@lru_cache(maxsize=1)  # splits of one dataset share it
def _arrays(kind: str, path: str | None, _content: str) -> Arrays:
    return SOURCES[kind](path)


def _mnist(_: str | None) -> Arrays:
    return read_npz(MNIST)


def _npz(path: str | None) -> Arrays:
    assert path is not None  # checked by the schema
    return read_npz(Path(path))


def _fashion_mnist(_: str | None) -> Arrays:
    import keras

    def fetch() -> tuple:
        for name, md5 in FASHION_MD5.items():
            keras.utils.get_file(
                name, FASHION_URL + name, file_hash=md5, cache_subdir="datasets/fashion-mnist"
            )
        return keras.datasets.fashion_mnist.load_data()

    return _downloaded("fashion_mnist", fetch, f"{', '.join(FASHION_MD5)} in fashion-mnist/")


def _cifar10(_: str | None) -> Arrays:
    import keras

    fetch = keras.datasets.cifar10.load_data  # checks a SHA-256 itself
    archive = "cifar-10-python.tar.gz, named cifar-10-batches-py-target_archive"
    return _downloaded("cifar10", fetch, archive)


def _downloaded(name: str, fetch: Callable[[], tuple], expected: str) -> Arrays:
    """Keras's four arrays; one process at a time downloads, the others wait and read."""
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
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


LOCAL = ("mnist", "npz")  # read without Keras
SOURCES: dict[str, Callable[[str | None], Arrays]] = {
    "mnist": _mnist,
    "fashion_mnist": _fashion_mnist,
    "cifar10": _cifar10,
    "npz": _npz,
}
