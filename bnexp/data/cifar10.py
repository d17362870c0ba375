"""CIFAR-10, downloaded once by Keras."""

from typing import Any

from bnexp.data.arrays import Arrays
from bnexp.data.downloads import downloaded

CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
ARCHIVE = "cifar-10-python.tar.gz, named cifar-10-batches-py-target_archive"


def cifar10() -> Arrays:
    """Photographs, 32x32 in colour, 50,000 to train and 10,000 to test (Krizhevsky 2009).

    Raises:
        DataError: no network, and the archive is not where Keras puts it.
    """
    return downloaded("cifar10", _fetch, ARCHIVE, CLASSES)


def _fetch() -> Any:
    import keras

    return keras.datasets.cifar10.load_data()  # checks a SHA-256 itself
