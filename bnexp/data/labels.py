"""Labels of any kind as class numbers from 0 on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnexp.data.errors import DataError

MAX_CLASSES = 10_000  # more are far more likely a mistake than classes


@dataclass(frozen=True)
class Labels:
    """Class numbers by part, and what they stand for.

    Attributes:
        parts: int32 (n,) by name: y_train, and y_test and y_val where there are such.
        names: of the classes, in the order of their numbers.
        notes: lines on what was done.
    """

    parts: dict[str, np.ndarray]
    names: tuple[str, ...]
    notes: tuple[str, ...]


def numbered(
    parts: Mapping[str, tuple[Any, int]], class_names: Sequence[str] | None, source: str
) -> Labels:
    """Numbers 0, 1, ... for the labels that the training part has, in their order.

    Args:
        parts: labels by name, with the number of images they belong to; y_train is one. Numbers,
            text, (n, 1) or one-hot.
        class_names: by number; None: the labels themselves.
        source: what errors start with.

    Raises:
        DataError: labels that are none, a single class, or one that training lacks.
    """
    notes: list[str] = []
    plain = {name: _plain(y, name, n, source, notes) for name, (y, n) in parts.items()}
    if len({labels.dtype.kind for labels in plain.values()}) > 1:
        raise DataError(f"{source}: labels are text in one part and numbers in another; unify them")
    values = np.unique(plain["y_train"])
    _check_classes(values, len(plain["y_train"]), source)
    for name, labels in plain.items():
        lacking = np.setdiff1d(labels, values)
        if len(lacking):
            raise DataError(
                f"{source}: {name} has {_listed(lacking)}, which y_train lacks; remove those "
                "images, or put some into the training part"
            )
    if not np.array_equal(values, np.arange(len(values)).astype(values.dtype)):
        notes.append(f"labels {_listed(values)} numbered 0..{len(values) - 1}")
    numbers = {name: np.searchsorted(values, y).astype(np.int32) for name, y in plain.items()}
    return Labels(numbers, _names(values, class_names, source), tuple(notes))


def _plain(labels: Any, name: str, count: int, source: str, notes: list[str]) -> np.ndarray:
    """One label per image: int64 or text, (n,)."""
    labels = np.asarray(labels)
    while labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if labels.shape[:1] != (count,) or labels.ndim > 2:
        raise DataError(
            f"{source}: {name} has shape {labels.shape} for {count} images; give one label per "
            "image, both counted along the first axis"
        )
    if labels.ndim == 2:
        labels = _from_one_hot(labels, name, source)
        notes.append(f"{name}: one-hot rows taken as labels")
    if labels.dtype.kind in "SOUT":
        return _from_text(labels, name, source)
    whole = labels.dtype.kind in "buif" and np.array_equal(labels, np.rint(labels.astype(float)))
    if not whole:
        raise DataError(
            f"{source}: {name} holds {labels.dtype} that are no class labels; give whole numbers "
            "or text"
        )
    return labels.astype(np.int64)


def _from_one_hot(labels: np.ndarray, name: str, source: str) -> np.ndarray:
    try:
        ones = labels.astype(float) == 1
        one_hot = (ones.sum(axis=1) == 1).all() and (labels.astype(float)[~ones] == 0).all()
    except (ValueError, TypeError):
        one_hot = False
    if not one_hot:
        raise DataError(
            f"{source}: {name} has shape {labels.shape} and rows that are not one-hot; give one "
            "class per image (several, or shares of classes, cannot be used)"
        )
    return ones.argmax(axis=1)


def _from_text(labels: np.ndarray, name: str, source: str) -> np.ndarray:
    """Text, or the numbers that all of it stands for."""
    for index, label in enumerate(labels):
        if not _is_label(label):
            raise DataError(
                f"{source}: {name} has no label for image {index}; give one or remove the image"
            )
    text = np.array([one.decode() if isinstance(one, bytes) else str(one) for one in labels])
    try:
        numbers = text.astype(np.float64)
    except ValueError:
        return text
    if not np.isfinite(numbers).all() or (numbers != np.rint(numbers)).any():
        return text
    return numbers.astype(np.int64)


def _is_label(label: Any) -> bool:
    if isinstance(label, (str, bytes)):
        return bool(label)
    return isinstance(label, (int, float, np.number, np.bool_)) and bool(label == label)  # no NaN


def _check_classes(values: np.ndarray, images: int, source: str) -> None:
    if len(values) == 1:
        raise DataError(f"{source}: y_train has a single class, {values[0]}; give two or more")
    if len(values) > min(MAX_CLASSES, images // 2):
        raise DataError(
            f"{source}: y_train has {len(values)} different labels for {images} images; give class "
            f"labels, with two images or more of each (at most {MAX_CLASSES} classes)"
        )
    if values.dtype.kind == "i" and values[0] < 0 and list(values) != [-1, 1]:
        raise DataError(
            f"{source}: y_train has the label {values[0]}; remove images without a label, and "
            "number the classes from 0"
        )


def _names(values: np.ndarray, class_names: Sequence[str] | None, source: str) -> tuple[str, ...]:
    if class_names is None or values.dtype.kind != "i":
        return tuple(str(value) for value in values)
    if values[0] >= 0 and values[-1] < len(class_names):
        return tuple(str(class_names[value]) for value in values)
    if len(class_names) == len(values):
        return tuple(map(str, class_names))
    raise DataError(
        f"{source}: {len(class_names)} class names for {len(values)} classes; give one for each"
    )


def _listed(values: np.ndarray) -> str:
    """ "1..10", or the values themselves, cut where they are many."""
    if values.dtype.kind == "i" and len(values) > 2 and values[-1] - values[0] == len(values) - 1:
        return f"{values[0]}..{values[-1]}"
    shown = ", ".join(str(value) for value in values[:5])
    return f"{shown}, ... ({len(values)} in all)" if len(values) > 5 else shown
