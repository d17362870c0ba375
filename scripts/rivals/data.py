"""Images for the contenders: MNIST, and made ones of the size of CIFAR's.

Speed alone is measured, so that it does not matter what an image shows.
"""

import tempfile
from pathlib import Path

import numpy as np

from rivals.layers import CLASSES

MNIST = Path(__file__).resolve().parents[2] / "bnexp" / "data" / "mnist.npz"
IMAGES = Path(tempfile.gettempdir()) / "bnexp-benchmark" / "images.npz"
SIZES = {"train": 10_000, "val": 1_000, "test": 1_000}
MNIST_TRAIN = 55_000
WRONG = 0.2  # share of labels that are drawn anew: the loss, and with it gradients, stay above 0

Parts = dict[str, tuple[np.ndarray, np.ndarray]]


def parts(input_shape: tuple[int, ...]) -> Parts:
    """Images in float32 from 0 to 1 (n, height, width, channels) and labels, int32.

    The parts are train, validation and test.
    """
    found = _mnist() if input_shape == (28, 28, 1) else _made()
    return {
        name: ((images / np.float32(255)).astype(np.float32), labels.astype(np.int32))
        for name, (images, labels) in found.items()
    }


def _mnist() -> Parts:
    with np.load(MNIST) as arrays:
        x_train, y_train = arrays["x_train"][..., None], arrays["y_train"]
        test = arrays["x_test"][..., None], arrays["y_test"]
    return {
        "train": (x_train[:MNIST_TRAIN], y_train[:MNIST_TRAIN]),
        "validation": (x_train[MNIST_TRAIN:], y_train[MNIST_TRAIN:]),
        "test": test,
    }


def _made() -> Parts:
    with np.load(made_images()) as arrays:
        names = {"train": "train", "validation": "val", "test": "test"}
        return {name: (arrays[f"x_{key}"], arrays[f"y_{key}"]) for name, key in names.items()}


def made_images() -> Path:
    """An npz file of uint8 images 32x32x3, always the same; written if it is not there.

    An image is noise with the coloured squares of its class; some labels are wrong.
    """
    if not IMAGES.exists():
        random = np.random.default_rng(0)
        coarse = random.uniform(-40, 40, (CLASSES, 4, 4, 3))
        patterns = coarse.repeat(8, axis=1).repeat(8, axis=2)
        arrays = {}
        for name, count in SIZES.items():
            shown = random.integers(0, CLASSES, count)
            pixels = 128 + patterns[shown] + random.normal(0, 60, (count, 32, 32, 3))
            arrays[f"x_{name}"] = pixels.clip(0, 255).astype(np.uint8)
            drawn = random.integers(0, CLASSES, count)
            arrays[f"y_{name}"] = np.where(random.random(count) < WRONG, drawn, shown)
        _save(arrays)
    return IMAGES


def _save(arrays: dict[str, np.ndarray]) -> None:
    """Writes aside, then renames: contenders may come at the same time."""
    IMAGES.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=IMAGES.parent, suffix=".npz", delete=False) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    Path(file.name).replace(IMAGES)
