"""Data within the page that is unpacked when it is needed: gzip, as text of base 64."""

import base64
import gzip
import io
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from bnexp.analysis.drawing import Saved

SVG, WEBP = "image/svg+xml", "image/webp"
VECTOR = 60_000  # bytes of a packed SVG that are worth being sharp at every size
DOTS, CSS_DOTS, POINTS = 150, 96, 72  # an inch: of PNG files, of a page, of an SVG's size
LONG_NUMBER = re.compile(r"(?<![\w.#])(-?[1-9]\d*\.\d\d)\d+")


@dataclass(frozen=True)
class Picture:
    """A figure as the page holds it; `data` is packed, sizes are in the page's pixels."""

    kind: str
    data: str
    width: int
    height: int


def packed(content: bytes) -> str:
    """As the page's script unpacks it; the same content gives the same text."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()


def picture(figure: Saved) -> Picture:
    """The SVG where it is small enough, else a picture of pixels without loss."""
    files = {Path(file).suffix: Path(file) for file in figure.files}
    if ".svg" in files:
        text = files[".svg"].read_text(encoding="utf-8")
        data = packed(LONG_NUMBER.sub(r"\1", text).encode())
        if len(data) <= VECTOR or ".png" not in files:
            return Picture(SVG, data, *_svg_size(text))
    with Image.open(files[".png"]) as image:
        stored = io.BytesIO()
        image.save(stored, "webp", lossless=True, quality=100, method=4)
        width, height = (round(side * CSS_DOTS / DOTS) for side in image.size)
    return Picture(WEBP, packed(stored.getvalue()), width, height)


def _svg_size(text: str) -> tuple[int, int]:
    """Of an SVG as matplotlib writes it, in points."""
    head = text[: text.index(">", text.index("<svg"))]
    sides = (re.search(rf'\b{side}="([\d.]+)pt"', head) for side in ("width", "height"))
    width, height = (
        round(float(found[1]) * CSS_DOTS / POINTS) if found else CSS_DOTS for found in sides
    )
    return width, height
