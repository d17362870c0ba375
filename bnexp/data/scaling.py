"""Pixels of any type and range as the two that a run computes with: uint8, or float32 as it is.

What `data.scaling=auto` does with pixels, by the range of the training part:

| pixels | become |
|---|---|
| uint8 | divided by 255 |
| whole numbers 0..255 of any type, floats too | uint8, divided by 255: the same numbers |
| other floats 0..255 | divided by 255 |
| uint16 | divided by 65535 |
| bool, 0 and 1 of any type | 0 and 1 |
| floats from 0 to about 1 | as they are |
| floats with negative ones, up to 20 from 0 | as they are, taken for standardized |
| anything else | refused: nobody can tell what full scale is |

A maximum below a quarter of full scale counts as "anything else" but for uint8: it may be 16
gray levels, or 12 bits in 16.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bnexp.data.errors import DataError

Mode = Literal["auto", "none", "uint8", "max", "standardize"]
Rows = slice | np.ndarray  # which images
_CHUNK = 1 << 24  # bytes worked on at once, so that no second copy of a large array is made
_OVERSHOOT = 2.0  # floats that resizing has carried somewhat beyond 1
_STANDARDIZED = 20.0  # standard deviations
_REMEDY = (
    "data.scaling=max (divides by the largest), standardize (mean 0, deviation 1) or none "
    "(as they are) says what to do"
)


@dataclass(frozen=True)
class Range:
    """What is known of the pixels of one part."""

    low: float
    high: float
    whole: bool  # no fractions
    dtype: np.dtype

    @property
    def extent(self) -> float:
        """The largest distance from 0."""
        return max(abs(self.low), abs(self.high))

    def within(self, full: float) -> bool:
        """Whether all pixels lie in 0..full."""
        return self.low >= 0 and self.high <= full

    def __str__(self) -> str:
        return f"{self.low:.6g}..{self.high:.6g}"


@dataclass(frozen=True)
class Scaling:
    """(pixel - offset) / divisor as float32, or uint8, which training divides by 255 itself."""

    divisor: float | np.ndarray = 1.0
    offset: float | np.ndarray = 0.0
    as_uint8: bool = False
    binary: bool = False
    note: str = ""

    def taken(self, images: np.ndarray, rows: Rows) -> np.ndarray:
        """Those images (n, height, width, channels), scaled; a view where nothing changes."""
        if self.as_uint8 and images.dtype == np.uint8:
            return np.ascontiguousarray(images[rows])
        count = len(range(*rows.indices(len(images)))) if isinstance(rows, slice) else len(rows)
        scaled = np.empty((count, *images.shape[1:]), np.uint8 if self.as_uint8 else np.float32)
        done = 0
        for chunk in _chunks(images, rows):
            scaled[done : done + len(chunk)] = self._apply(chunk)
            done += len(chunk)
        return scaled

    def _apply(self, chunk: np.ndarray) -> np.ndarray:
        if self.as_uint8:
            return chunk.astype(np.uint8)
        scaled = (chunk.astype(np.float32) - np.float32(self.offset)) / np.float32(self.divisor)
        return (scaled > 0.5).astype(np.float32) if self.binary else scaled


def range_of(images: np.ndarray, name: str, source: str) -> Range:
    """The range of a part's pixels.

    Raises:
        DataError: pixels that are NaN or infinite (as float32).
    """
    low, high, whole = np.inf, -np.inf, True
    for chunk in _chunks(images, slice(None)):
        if chunk.dtype.kind == "f":
            with np.errstate(over="ignore"):
                chunk = chunk.astype(np.float32)
            if not np.isfinite(chunk).all():
                raise DataError(
                    f"{source}: {name} has pixels that are NaN or infinite; replace them or "
                    "remove those images"
                )
            whole = whole and bool((chunk == np.rint(chunk)).all())
        low, high = min(low, float(chunk.min())), max(high, float(chunk.max()))
    return Range(low, high, whole, images.dtype)


def scaling_for(mode: Mode, ranges: Mapping[str, Range], source: str) -> Scaling:
    """How the pixels of a dataset become those that a run computes with.

    `standardize` is for `standardized`, once it is known which images are trained on.

    Args:
        mode: `data.scaling`.
        ranges: by name of a part; that of x_train decides.
        source: what errors start with.

    Raises:
        DataError: pixels whose full scale cannot be known, or that differs between parts.
    """
    train = ranges["x_train"]
    if mode == "max" and train.extent > 0:
        return Scaling(train.extent, note=f"pixels divided by the largest, {train.extent:.6g}")
    if mode == "uint8":
        return _of_full_scale(255, ranges, source)
    if mode != "auto":
        return Scaling()
    _check_alike(ranges, source)
    if note := _why_as_they_are(train):
        return Scaling(note=note)
    two_bytes = train.dtype.kind == "u" and train.dtype.itemsize == 2
    full = 65535 if two_bytes and train.high > 255 else 255
    if train.dtype != np.uint8 and not (train.within(full) and train.high > full / 4):
        raise DataError(f"{source}: x_train has pixels of {train}, full scale unknown; {_REMEDY}")
    return _of_full_scale(full, ranges, source)


def binarized(scaling: Scaling, train: Range, source: str) -> Scaling:
    """1 above half of full scale, 0 elsewhere.

    Raises:
        DataError: pixels that are not scaled to 0..1.
    """
    scaled = isinstance(scaling.divisor, float) and train.within(_OVERSHOOT * scaling.divisor)
    if not scaled:
        raise DataError(
            f"{source}: data.binarize=true needs pixels scaled to 0..1, and has {train}; use "
            "data.scaling=auto or max"
        )
    return replace(scaling, as_uint8=False, binary=True)


def standardized(images: np.ndarray, rows: Rows) -> Scaling:
    """Mean 0 and standard deviation 1 in each channel over those images."""
    *_, height, width, channels = images.shape
    total, squares, count = np.zeros(channels), np.zeros(channels), 0
    for chunk in _chunks(images, rows):
        total += chunk.sum(axis=(0, 1), dtype=np.float64).sum(axis=0)
        count += len(chunk) * height * width
    mean = total / count
    for chunk in _chunks(images, rows):
        squares += np.square(chunk - mean).sum(axis=(0, 1)).sum(axis=0)
    deviation = np.sqrt(squares / count)
    deviation[deviation == 0] = 1
    note = "pixels standardized by the training images' mean and deviation in each channel"
    return Scaling(deviation, mean, note=note)


def _why_as_they_are(train: Range) -> str:
    """Empty: pixels that have to be scaled."""
    if train.whole and train.within(1):
        return f"{train.dtype} pixels are 0 and 1: taken as they are"
    if train.whole or train.dtype.kind != "f":
        return ""
    if train.within(_OVERSHOOT):
        return f"pixels of {train}: taken as they are"
    if train.low < 0 and train.extent <= _STANDARDIZED:
        return f"pixels of {train}: taken as they are, as standardized ones"
    return ""


def _of_full_scale(full: int, ranges: Mapping[str, Range], source: str) -> Scaling:
    """Divided by full scale, which no part may leave."""
    for name, part in ranges.items():
        if not part.within(full):
            raise DataError(
                f"{source}: {name} has pixels of {part}, beyond 0..{full}; clip them, or {_REMEDY}"
            )
    train = ranges["x_train"]
    note = f"{train.dtype} pixels of {train}: divided by {full}"
    if train.dtype == np.uint8:
        dark = f"largest pixel is {train.high:.0f} of 255; data.scaling=max if that is full scale"
        note = dark if train.high <= full / 4 else ""
    whole = all(part.whole for part in ranges.values())
    return Scaling(float(full), as_uint8=full == 255 and whole, note=note)


def _check_alike(ranges: Mapping[str, Range], source: str) -> None:
    """A part divided by 255 beside one that is not would be told apart by that alone."""
    train = ranges["x_train"]
    for name, part in ranges.items():
        small, large = sorted((part.extent, train.extent))
        if large > 50 * small:
            raise DataError(
                f"{source}: {name} has pixels of {part}, x_train of {train}; give all parts the "
                "same scale"
            )


def _chunks(images: np.ndarray, rows: Rows) -> Iterator[np.ndarray]:
    size = max(1, _CHUNK // max(1, images[:1].nbytes))
    if isinstance(rows, slice):
        images, count = images[rows], len(images[rows])
        yield from (images[start : start + size] for start in range(0, count, size))
    else:
        for start in range(0, len(rows), size):
            yield images[rows[start : start + size]]
