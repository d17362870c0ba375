"""The settings that all datasets share, and how what a source returns becomes a run's splits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bnexp.config.types import Count, Index
from bnexp.data.arrays import Arrays, Dataset, Split
from bnexp.data.errors import DataError
from bnexp.data.forms import as_arrays
from bnexp.data.images import with_layout
from bnexp.data.labels import Labels, numbered
from bnexp.data.scaling import Rows, Scaling, binarized, range_of, scaling_for, standardized
from bnexp.data.splitting import Sizes, rows_of, untrained_classes


@dataclass(frozen=True)
class Preparation:
    """What is done to the images of any dataset, and how they are split.

    Args:
        train_size: training images used: the first so many of the training part; null: all.
        val_size: validation images: the last so many of the training part, or the first so many
            of the data's own validation part; null: the data's own, or a tenth of the training
            part.
        test_size: test images where the data has no test part: the last so many, before
            validation is split off; null: a fifth.
        split_seed: the training part is shuffled by this seed before anything is split off; null:
            kept in its order.
        scaling: auto: uint8, and other numbers of 0..255, divided by 255, uint16 by 65535; those of
            0..1 and standardized ones as they are; refused where full scale cannot be known;
            none: as they are; uint8: divided by 255; max: divided by the largest of the training
            part; standardize: mean 0 and deviation 1 in each channel of the training images.
        channels: where the axis of the channels stands in images of three axes: last, first, or
            auto: found out where there is no doubt.
        binarize: replace pixels by 1 above half of full scale and by 0 elsewhere (section 4.1 has
            binary inputs).
        flip: while training, mirror each image left to right or not, at random.
        crop: while training, pad each image by so many pixels of 0 on every side and cut out its
            size at random; 0: do not.
    """

    train_size: Count | None = None
    val_size: Count | None = None
    test_size: Count | None = None
    split_seed: Index | None = 0
    scaling: Literal["auto", "none", "uint8", "max", "standardize"] = "auto"
    channels: Literal["auto", "last", "first"] = "auto"
    binarize: bool = False
    flip: bool = False
    crop: Index = 0


def prepare(returned: Any, preparation: Preparation, source: str) -> Dataset:
    """The dataset of a run from what a source function returned.

    Args:
        returned: `Arrays`, or another of the forms that `as_arrays` takes.
        preparation: what is done to it.
        source: what errors start with, as "data=npz data.path=x.npz".

    Raises:
        DataError: data that cannot be used as they are; the message says the remedy.
    """
    arrays = as_arrays(returned, source)
    images, layout_notes = _images(arrays, preparation, source)
    _check_augmentation(preparation, images["x_train"].shape, source)
    labels = _labels(arrays, images, source)
    shuffled = preparation.split_seed is not None
    rows, split_notes = _rows(preparation, images, source)
    lacking = untrained_classes(labels, rows, shuffled=shuffled, source=source)
    scaling = _scaling(preparation, images, rows["train"][1], source)
    notes = [*arrays.notes, *layout_notes, *labels.notes, *split_notes, lacking, scaling.note]

    def split(name: str) -> Split:
        part, chosen = rows[name]
        return Split(scaling.taken(images[f"x_{part}"], chosen), labels.parts[f"y_{part}"][chosen])

    return Dataset(
        train=split("train"),
        validation=split("val"),
        test=split("test"),
        classes=len(labels.names),
        notes=tuple(filter(None, notes)),
        class_names=labels.names,
    )


def _images(
    arrays: Arrays, preparation: Preparation, source: str
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The parts that there are, (n, height, width, channels), unscaled."""
    images, notes = {}, []
    for name in ("x_train", "x_val", "x_test"):
        given = getattr(arrays, name)
        if given is not None:
            _check_counted_first(given, getattr(arrays, name.replace("x", "y")), name, source)
            images[name], note = with_layout(given, name, preparation.channels, source)
            notes.append(note)
    first = images["x_train"].shape[1:]
    for name, part in images.items():
        if part.shape[1:] != first:
            raise DataError(
                f"{source}: x_train has images of {first}, {name} of {part.shape[1:]}; give all "
                "the same height, width and channels"
            )
    return images, [note for note in notes if note]


def _check_counted_first(images: Any, labels: Any, name: str, source: str) -> None:
    shape, count = np.shape(images) if hasattr(images, "shape") else (), np.shape(labels)[:1]
    if len(shape) > 1 and shape[:1] != count and shape[-1:] == count:
        raise DataError(
            f"{source}: {name} has shape {shape} for {count[0]} labels; count the images along the "
            "first axis: numpy.moveaxis(images, -1, 0)"
        )


def _labels(arrays: Arrays, images: Mapping[str, np.ndarray], source: str) -> Labels:
    parts = {}
    for name, part in images.items():
        label = name.replace("x", "y")
        given = getattr(arrays, label)
        if given is None:
            raise DataError(f"{source}: has {name} but no {label}; give both or neither")
        parts[label] = (given, len(part))
    return numbered(parts, arrays.class_names, source)


def _rows(
    preparation: Preparation, images: Mapping[str, np.ndarray], source: str
) -> tuple[dict[str, tuple[str, Rows]], tuple[str, ...]]:
    there = {name.removeprefix("x_"): len(part) for name, part in images.items()}
    wanted = Sizes(preparation.train_size, preparation.val_size, preparation.test_size)
    return rows_of(there, wanted, preparation.split_seed, source)


def _check_augmentation(preparation: Preparation, shape: tuple[int, ...], source: str) -> None:
    height, width = shape[1:3]
    if preparation.crop and preparation.crop >= min(height, width):
        raise DataError(
            f"{source}: data.crop={preparation.crop} shifts images of {height}x{width} out of "
            "sight; give less than their height and width"
        )
    if preparation.flip and height == 1:
        raise DataError(
            f"{source}: data.flip=true needs images, and these are rows of {width} numbers; leave "
            "it out"
        )


def _scaling(
    preparation: Preparation, images: Mapping[str, np.ndarray], train: Rows, source: str
) -> Scaling:
    ranges = {name: range_of(part, name, source) for name, part in images.items()}
    if preparation.scaling == "standardize":
        scaling = standardized(images["x_train"], train)
    else:
        scaling = scaling_for(preparation.scaling, ranges, source)
    return binarized(scaling, ranges["x_train"], source) if preparation.binarize else scaling
