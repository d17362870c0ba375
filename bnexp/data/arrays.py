"""What a source of data returns, and the checked splits that are made of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(eq=False)
class Arrays:
    """Images and labels as a source has them, unchecked; missing parts are split off later.

    Anything that NumPy can turn into an array will do.

    Attributes:
        x_train: images, counted along the first axis.
        y_train: a label for each of them.
        x_test: images of the test part, with `y_test`.
        y_test: their labels.
        x_val: images of the validation part, with `y_val`.
        y_val: their labels.
        class_names: names of the classes in the order of their labels.
        notes: lines for the log about what the source did to the data.
    """

    x_train: Any
    y_train: Any
    x_test: Any = None
    y_test: Any = None
    x_val: Any = None
    y_val: Any = None
    class_names: Sequence[str] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)  # hashed by identity
class Split:
    """Images (n, height, width, channels), uint8 or float32, and labels (n,), int32."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)  # hashed by identity
class Dataset:
    """Three splits of one kind of image; labels lie within 0..classes-1.

    uint8 images are still to be divided by 255; float32 images are ready for the network.

    Attributes:
        train: what is trained on.
        validation: what runs are compared by while they are tuned.
        test: what is reported.
        classes: how many there are.
        notes: lines for the log: all that was done to the data.
        class_names: what each label stands for.
    """

    train: Split
    validation: Split
    test: Split
    classes: int
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(height, width, channels)."""
        return self.train.images.shape[1:]

    @property
    def signature(self) -> tuple[object, ...]:
        """What a program that is compiled for this dataset depends on."""
        return (*self.input_shape, self.classes, str(self.train.images.dtype))


def memory_of(dataset: Dataset) -> int:
    """Bytes of the images and labels of all three splits."""
    splits = (dataset.train, dataset.validation, dataset.test)
    return sum(split.images.nbytes + split.labels.nbytes for split in splits)
