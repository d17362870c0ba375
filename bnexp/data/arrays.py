"""Checked arrays and their split; no TensorFlow, so that bad input is told at once."""

import hashlib
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from bnexp.config import ConfigError, Data

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
MAX_CLASSES = 10_000  # a label above is far more likely a mistake than a class
MNIST = Path(__file__).with_name("mnist.npz")


class DataError(ConfigError):
    """Data that cannot be had or used; the message names the file and the remedy."""


@dataclass(frozen=True, eq=False)  # hashed by identity
class Split:
    """Images (n, height, width, channels), uint8 or float32, and labels (n,), int32."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)  # hashed by identity
class Dataset:
    """Three splits of one kind of image; labels lie within 0..classes-1."""

    train: Split
    validation: Split
    test: Split
    classes: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(height, width, channels)."""
        return self.train.images.shape[1:]

    @property
    def signature(self) -> tuple[object, ...]:
        """What a program that is compiled for this dataset depends on."""
        return (*self.input_shape, self.classes, str(self.train.images.dtype))


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The four arrays of a file, unchecked but for their presence.

    Raises:
        DataError: no file, not an npz file, an array missing or of Python objects.
    """
    if not path.is_file():
        raise DataError(f"data.path={path}: no such file")
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise DataError(f"data.path={path}: a single array, not an npz file of four")
            missing = [name for name in ARRAYS if name not in file]
            if missing:
                raise DataError(f"data.path={path}: lacks {', '.join(missing)}; has {file.files}")
            return {name: file[name] for name in ARRAYS}
    except DataError:
        raise
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        if "Object arrays" in str(error):
            raise DataError(
                f"data.path={path}: holds Python objects; save plain arrays (same shape each)"
            ) from error
        raise DataError(f"data.path={path}: not a readable npz file ({error})") from error


def check_images(images: np.ndarray, name: str, source: str) -> np.ndarray:
    """Images as (n, height, width, channels), uint8 or float32.

    Raises:
        DataError: another rank or type, no image, or pixels that are not finite.
    """
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or not all(images.shape):
        raise DataError(
            f"{source}: {name} has shape {images.shape}, not (n, height, width[, channels])"
        )
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise DataError(f"{source}: {name} is {images.dtype}; give uint8 (0..255) or float")
    images = images.astype(np.float32)
    if not np.isfinite(images).all():
        raise DataError(f"{source}: {name} has pixels that are NaN or infinite")
    return images


def check_labels(labels: np.ndarray, name: str, images: np.ndarray, source: str) -> np.ndarray:
    """Labels as int32 (n,).

    Raises:
        DataError: another shape than one label per image, or labels that are no whole
            numbers from 0 on.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != images.shape[:1]:
        raise DataError(f"{source}: {name} has shape {labels.shape} for {len(images)} images")
    numbers = np.issubdtype(labels.dtype, np.number)
    if not numbers or not np.array_equal(labels, np.rint(labels)):
        raise DataError(f"{source}: {name} must hold whole numbers from 0 on")
    if labels.min() < 0 or labels.max() >= MAX_CLASSES:
        raise DataError(
            f"{source}: {name} must lie within 0..{MAX_CLASSES - 1}; "
            f"has {labels.min()}..{labels.max()}"
        )
    return labels.astype(np.int32)


def split_dataset(arrays: dict[str, np.ndarray], config: Data, source: str) -> Dataset:
    """Checks the four arrays and splits them as the `data` group says.

    Raises:
        DataError: arrays that cannot be used, or sizes that they do not have.
    """
    images = check_images(arrays["x_train"], "x_train", source)
    labels = check_labels(arrays["y_train"], "y_train", images, source)
    test_images = check_images(arrays["x_test"], "x_test", source)
    test_labels = check_labels(arrays["y_test"], "y_test", test_images, source)
    if images.shape[1:] != test_images.shape[1:] or images.dtype != test_images.dtype:
        raise DataError(
            f"{source}: x_train is {images.dtype} {images.shape[1:]} per image, "
            f"x_test {test_images.dtype} {test_images.shape[1:]}"
        )
    if config.binarize:
        images, test_images = _binary(images), _binary(test_images)

    available = len(images) - config.val_size
    if available < 1:
        raise DataError(f"data.val_size={config.val_size} leaves none of {len(images)} to train on")
    train_size = available if config.train_size is None else config.train_size
    if train_size > available:
        raise DataError(
            f"data.train_size={train_size} is larger than the {available} training images there "
            f"are beside {config.val_size} for validation"
        )
    if config.split_seed is not None:
        order = np.random.default_rng(config.split_seed).permutation(len(images))
        images, labels = images[order], labels[order]
    return Dataset(
        train=Split(images[:train_size], labels[:train_size]),
        validation=Split(images[available:], labels[available:]),
        test=Split(test_images, test_labels),
        classes=int(max(labels.max(), test_labels.max())) + 1,
    )


def _binary(images: np.ndarray) -> np.ndarray:
    half = 127 if images.dtype == np.uint8 else 0.5
    return (images > half).astype(np.float32)


def fingerprint(path: str | Path) -> str:
    """SHA-256 of a data file: what it holds, not where it lies, belongs to a run's identity.

    Raises:
        DataError: no such file.
    """
    path = Path(path)
    try:
        stat = path.stat()
        return _sha256(path, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise DataError(f"data.path={path}: {error.strerror or error}") from error


@lru_cache(maxsize=8)
def _sha256(path: Path, _mtime: int, _size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
