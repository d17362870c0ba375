"""Arrays of images in whatever layout, as (n, height, width, channels)."""

from math import isqrt
from typing import Any, Literal

import numpy as np

from bnexp.data.errors import DataError

Channels = Literal["auto", "last", "first"]
_MANY = 4  # a last or first axis up to this size is taken for channels


def with_layout(
    images: Any, name: str, channels: Channels, source: str
) -> tuple[np.ndarray, str | None]:
    """A view (n, height, width, channels) of the images, and a line on how they were read.

    Flat images (n, k) become square ones where k is a square number, otherwise rows
    (n, 1, k, 1); images (n, height, width) get one channel; channels that come first are moved
    to the end where it is unmistakable that they do.

    Args:
        images: of any type and layout.
        name: what errors call them.
        channels: which axis holds the channels; auto: found out.
        source: what errors start with.

    Raises:
        DataError: no image, another number of axes, or a layout that can be read in two ways.
    """
    images = _plain(images, name, source)
    if not all(images.shape):
        raise DataError(f"{source}: {name} has shape {images.shape}: nothing in it")
    if images.ndim == 2:
        return _unfolded(images, name, source)
    if images.ndim == 3:
        return images[..., np.newaxis], None
    if images.ndim != 4:
        raise DataError(
            f"{source}: {name} has shape {images.shape}; give (n, height, width, channels), "
            "(n, height, width) or (n, pixels)"
        )
    where = _channel_axis(images.shape, name, source) if channels == "auto" else channels
    if where == "last":
        return images, None
    moved = np.moveaxis(images, 1, -1)
    return moved, f"{name}: channels moved from the first axis to the last, {moved.shape[1:]}"


def _plain(images: Any, name: str, source: str) -> np.ndarray:
    """An array of numbers, also of a list or an object array of arrays of one shape."""
    try:
        images = np.asarray(images)
        if images.dtype == object and images.size:
            images = np.stack([np.asarray(one) for one in images])
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{source}: {name} holds images of different shapes; resize them to one"
        ) from error
    if images.dtype.kind not in "buif":
        raise DataError(f"{source}: {name} holds {images.dtype}, not numbers; give pixels")
    return images


def _unfolded(images: np.ndarray, name: str, source: str) -> tuple[np.ndarray, str]:
    count, pixels = images.shape
    side, side_of_three = isqrt(pixels), isqrt(pixels // 3)
    if side * side == pixels:
        shape = (side, side, 1)
    elif side_of_three >= 8 and 3 * side_of_three**2 == pixels:
        raise DataError(
            f"{source}: {name} has shape {images.shape}, as flat images of 3 channels have; "
            f"reshape it to (n, {side_of_three}, {side_of_three}, 3), or to (n, 3, ...) where the "
            "pixels of a channel lie together"
        )
    else:
        shape = (1, pixels, 1)
    return images.reshape(count, *shape), f"{name}: {pixels} numbers each, taken as {shape}"


def _channel_axis(shape: tuple[int, ...], name: str, source: str) -> str:
    """last or first, where there is no doubt.

    The channels are few, or differ in number from two equal sides.
    """
    _, first, middle, last = shape
    square_if_first, square_if_last = middle == last != first, first == middle != last
    if last <= _MANY:
        if not (first in (1, 3) and last != 1 and square_if_first):
            return "last"
    elif square_if_last:
        return "last"
    elif square_if_first or (first in (1, 3) and middle > _MANY):
        return "first"
    raise DataError(
        f"{source}: {name} has shape {shape}, of which the channels may be the first or the last "
        "after n; say data.channels=first or data.channels=last"
    )
