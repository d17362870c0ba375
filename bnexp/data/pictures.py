"""Image files of any kind as one array: of one size, all gray or all in colour."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from bnexp.data.errors import DataError

Color = Literal["auto", "gray", "rgb"]
SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm")
)
_GRAY = frozenset(("1", "L", "LA", "La"))
_DEEP = frozenset(("I;16", "I;16B", "I;16L", "I"))  # gray in 16 bits


@dataclass(frozen=True)
class Picture:
    """An encoded image.

    Attributes:
        name: what errors call it.
        content: a file or its bytes.
    """

    name: str
    content: Path | bytes


def decoded(
    pictures: Sequence[Picture], size: Sequence[int] | None, color: Color, source: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """All pictures as one array (n, height, width, channels), and lines on what was changed.

    Only headers are read before the array is laid out, so that memory holds the images once.

    Args:
        pictures: at least one.
        size: height and width (or one number for both) that the others are resized to; None: all
            must have one size.
        color: gray or rgb for all; auto: gray if all of them are, otherwise rgb.
        source: what errors start with.

    Returns:
        uint8, or uint16 where all are gray in 16 bits.

    Raises:
        DataError: one that cannot be read, or several sizes where none is asked for.
    """
    headers = [_header(picture, source) for picture in pictures]
    mode = _common_mode([header[1] for header in headers], color, pictures, source)
    height, width = _common_size([header[0] for header in headers], size, pictures, source)
    channels = 3 if mode == "RGB" else 1
    kind = np.uint16 if mode == "I;16" else np.uint8
    images = np.empty((len(pictures), height, width, channels), kind)
    for index, picture in enumerate(pictures):
        with _opened(picture, source) as image:
            pixels = _resized(image if mode == "I;16" else image.convert(mode), (width, height))
        if pixels.dtype.itemsize > 2 and not 0 <= pixels.min() <= pixels.max() <= 65535:
            raise DataError(f"{source}: {picture.name} has pixels beyond 0..65535; scale it")
        images[index] = pixels.reshape(height, width, channels)
    return images, _notes(headers, mode, (height, width))


def _header(picture: Picture, source: str) -> tuple[tuple[int, int], str]:
    """(height, width) and Pillow's mode."""
    with _opened(picture, source) as image:
        return (image.height, image.width), image.mode


@contextmanager
def _opened(picture: Picture, source: str) -> Iterator[Image.Image]:
    content = picture.content
    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as image:
            yield image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{source}: {picture.name} cannot be read as an image ({error}); replace or remove it"
        ) from error


def _common_mode(
    modes: Sequence[str], color: Color, pictures: Sequence[Picture], source: str
) -> str:
    deep = [mode in _DEEP for mode in modes]
    if all(deep) and color != "rgb":
        return "I;16"
    if any(deep) or "F" in modes:
        odd = next(p.name for p, mode in zip(pictures, modes, strict=True) if mode in _DEEP | {"F"})
        raise DataError(
            f"{source}: {odd} has pixels of 16 bits or more, others (or data.color=rgb) 8; convert "
            "all to one kind"
        )
    gray = all(mode in _GRAY for mode in modes) if color == "auto" else color == "gray"
    return "L" if gray else "RGB"


def _common_size(
    sizes: Sequence[tuple[int, int]],
    wanted: Sequence[int] | None,
    pictures: Sequence[Picture],
    source: str,
) -> tuple[int, int]:
    if wanted is not None:
        if len(wanted) not in (1, 2):
            raise DataError(f"{source}: data.size={list(wanted)}: give [height,width], as [32,32]")
        return wanted[0], wanted[-1]
    if len(set(sizes)) == 1:
        return sizes[0]
    small, large = (choose(range(len(sizes)), key=sizes.__getitem__) for choose in (min, max))
    shown = [f"{sizes[i][0]}x{sizes[i][1]} ({pictures[i].name})" for i in (small, large)]
    raise DataError(
        f"{source}: images of {len(set(sizes))} sizes, from {shown[0]} to {shown[1]}; "
        "data.size=[32,32] resizes all to 32x32"
    )


def _resized(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Pixels at (width, height), bilinear with a filter as wide as the shrinkage."""
    if image.size == size:
        return np.asarray(image)
    if image.mode in ("L", "RGB"):
        return np.asarray(image.resize(size, Image.Resampling.BILINEAR))
    exact = Image.fromarray(np.asarray(image).astype(np.float32))
    return np.rint(np.asarray(exact.resize(size, Image.Resampling.BILINEAR)))


def _notes(
    headers: Sequence[tuple[tuple[int, int], str]], mode: str, size: tuple[int, int]
) -> tuple[str, ...]:
    notes = []
    others = sum(found != size for found, _ in headers)
    if others:
        notes.append(f"{others} of {len(headers)} images resized to {size[0]}x{size[1]}")
    gray = sum(found in _GRAY for _, found in headers)
    if 0 < gray < len(headers):
        words = "in colour" if mode == "RGB" else "in gray"
        notes.append(f"{gray} gray images and {len(headers) - gray} in colour, all taken {words}")
    if any("A" in found for _, found in headers):
        notes.append("transparency left out")
    return tuple(notes)
