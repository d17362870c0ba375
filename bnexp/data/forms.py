"""The forms in which a source may return its data, all made `Arrays`."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bnexp.data.arrays import Arrays
from bnexp.data.errors import DataError
from bnexp.data.naming import PARTS, named_arrays, place_of

_EXPECTED = (
    "return bnexp.data.Arrays, a mapping with x_train and y_train, "
    "((x_train, y_train), (x_test, y_test)) or batches (images, labels)"
)


def as_arrays(returned: Any, source: str) -> Arrays:
    """What a source function returned, as arrays.

    Args:
        returned: `Arrays`; a mapping with its names (or `train_images` and the like), or with
            parts `train`, `val`, `test`; a tuple (train, test), as Keras's `load_data` returns,
            or (images, labels); or an iterable of batches. A part is a pair of arrays (images,
            labels) or an iterable of batches; a batch is such a pair or a mapping with `image`
            and `label`, of many images or of one.
        source: what errors start with.

    Raises:
        DataError: none of these.
    """
    if isinstance(returned, Arrays):
        return returned
    if isinstance(returned, Mapping):
        return _of_mapping(returned, source)
    if isinstance(returned, tuple) and len(returned) == 2 and not _is_pair(returned):
        (x_train, y_train), (x_test, y_test) = (_part(part, source) for part in returned)
        return Arrays(x_train, y_train, x_test, y_test)
    return Arrays(*_part(returned, source))


def _of_mapping(returned: Mapping[str, Any], source: str) -> Arrays:
    given = {str(name): value for name, value in returned.items() if value is not None}
    if not given or not all(name in PARTS for name in given):
        return named_arrays(given, source)
    arrays: dict[str, Any] = {}
    for name, part in given.items():
        images, labels = _part(part, source)
        arrays |= {f"x_{PARTS[name]}": images, f"y_{PARTS[name]}": labels}
    return named_arrays(arrays, source)


def _is_pair(value: Any) -> bool:
    """Whether these are images and labels themselves: two things with a shape."""
    return (
        isinstance(value, (tuple, list))
        and len(value) == 2
        and all(hasattr(one, "shape") for one in value)
    )


def _part(value: Any, source: str) -> tuple[Any, Any]:
    if _is_pair(value):
        return value[0], value[1]
    if isinstance(value, (str, bytes, np.ndarray)) or not isinstance(value, Iterable):
        raise DataError(f"{source}: returned {type(value).__name__}; {_EXPECTED}")
    return _gathered(value, source)


def _gathered(batches: Iterable[Any], source: str) -> tuple[np.ndarray, np.ndarray]:
    """All batches as one array of images and one of labels."""
    if getattr(batches, "cardinality", lambda: 0)() == -1:  # tf.data's word for infinite
        raise DataError(f"{source}: its batches never end; leave out repeat()")
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    room = _memory() // 2  # the other half is for joining them
    for batch in batches:
        some, wanted = _batch(batch, source)
        images.append(some)
        labels.append(wanted)
        room -= some.nbytes
        if room < 0:
            raise DataError(f"{source}: more images than fit into memory; do its batches ever end?")
    if not images:
        raise DataError(f"{source}: returned no batch; {_EXPECTED}")
    shapes = sorted({one.shape[1:] for one in images})
    if len(shapes) > 1:
        raise DataError(
            f"{source}: images of different shapes, {shapes[0]} and {shapes[-1]}; "
            "give all the same height, width and channels"
        )
    return np.concatenate(images), np.concatenate(labels)


def _batch(batch: Any, source: str) -> tuple[np.ndarray, np.ndarray]:
    """A batch, also where it is a single image with its label."""
    if isinstance(batch, Mapping):
        places = {place_of(str(name), whole=True): value for name, value in batch.items()}
        batch = (places.get("x_train"), places.get("y_train"))
    if not isinstance(batch, (tuple, list)) or len(batch) != 2 or any(b is None for b in batch):
        raise DataError(f"{source}: a batch is no pair of images and labels; {_EXPECTED}")
    images, labels = (np.asarray(one) for one in batch)
    if labels.ndim == 0:
        images, labels = images[np.newaxis], labels[np.newaxis]
    return images, labels


def _memory() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
