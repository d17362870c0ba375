"""Which images are trained on, which validate, which test."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bnexp.data.errors import DataError
from bnexp.data.labels import Labels
from bnexp.data.scaling import Rows

Selection = dict[str, tuple[str, Rows]]  # for train, val and test: of which part, which images
_SHARES = {"test": 5, "val": 10}  # one in so many is split off unless told
_WORDS = {"test": "test", "val": "validation"}


@dataclass(frozen=True)
class Sizes:
    """How many images are wanted in each split; None: as many as there are, or a share."""

    train: int | None
    val: int | None
    test: int | None


def rows_of(
    there: Mapping[str, int], wanted: Sizes, seed: int | None, source: str
) -> tuple[Selection, tuple[str, ...]]:
    """For each split, of which part it takes which images; and lines on what was split off.

    Args:
        there: images in the parts that the data has: train, and val and test if so.
        wanted: data.train_size, val_size and test_size.
        seed: of the permutation that the training part is shuffled by; None: kept in order.
        source: what errors start with.

    Raises:
        DataError: sizes that the data does not have.
    """
    rows: Selection = {}
    notes = []
    left = there["train"]
    for part, share in _SHARES.items():
        size = getattr(wanted, part)
        if part in there:
            rows[part] = (part, slice(_own(part, size, there[part], source)))
            continue
        if size is None or part == "test":
            size = size or max(1, left // share)
            words = f"{size} of {left} training images split off as such"
            notes.append(f"no {_WORDS[part]} part: {words}")
        if size >= left:
            raise DataError(
                f"{source}: data.{part}_size={size} leaves none of {left} images to train on; "
                "lower it"
            )
        rows[part] = ("train", slice(left - size, left))
        left -= size
    rows["train"] = ("train", slice(_train_size(wanted.train, left, source)))
    if seed is not None:
        notes.append(f"training part shuffled (data.split_seed={seed})")
    return _shuffled(rows, seed, there["train"]), tuple(notes)


def untrained_classes(labels: Labels, rows: Selection, *, shuffled: bool, source: str) -> str:
    """A line that names the classes of which no image is left to train on; empty: none.

    Raises:
        DataError: the images were not shuffled: those of a file that is sorted by class.
    """
    numbers = labels.parts["y_train"]
    held_out = np.zeros(len(numbers), bool)
    for name, (part, chosen) in rows.items():
        if part == "train" and name != "train":
            held_out[chosen] = True
    lacking = np.setdiff1d(np.arange(len(labels.names)), numbers[~held_out])
    shown = ", ".join(labels.names[number] for number in lacking[:5])
    if len(lacking) and not shuffled:
        raise DataError(
            f"{source}: no training image of {shown} is left beside validation and test, as the "
            "images are kept in their order; data.split_seed=0 shuffles them first"
        )
    return f"no training image of {shown}: the few there are were split off" if shown else ""


def _own(part: str, wanted: int | None, images: int, source: str) -> int:
    """How many of a part that the data has itself are used."""
    if wanted is not None and (part == "test" or wanted > images):
        raise DataError(
            f"{source}: data.{part}_size={wanted}, but the data has a {_WORDS[part]} part of its "
            f"own with {images} images; leave {part}_size out"
        )
    return wanted or images


def _train_size(wanted: int | None, available: int, source: str) -> int:
    if wanted is not None and wanted > available:
        raise DataError(
            f"{source}: data.train_size={wanted} is larger than the {available} training images "
            "there are beside those for validation and test; lower it"
        )
    return wanted or available


def _shuffled(rows: Selection, seed: int | None, images: int) -> Selection:
    """Rows of the training part by a permutation that the seed alone determines."""
    if seed is None:
        return rows
    order = np.random.default_rng(seed).permutation(images)
    return {
        name: (part, order[chosen] if part == "train" else chosen)
        for name, (part, chosen) in rows.items()
    }
