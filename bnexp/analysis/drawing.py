"""A drawn figure with what must be said of it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

from bnexp.analysis import style

EMBEDDABLE = 400_000  # bytes of SVG; a larger figure goes into a page as PNG


@dataclass(frozen=True)
class Saved:
    """A figure that was saved.

    Attributes:
        name: file stem, unique within a report: "quickstart_val_accuracy".
        title: a few words.
        caption: what is drawn, n, what varies, how the learning rate was chosen.
        files: the file of each format, in the order asked for.
        alt: what it shows, with the main numbers, for who cannot see it.
    """

    name: str
    title: str
    caption: str
    files: Sequence[str]
    alt: str = ""

    @property
    def embedded(self) -> Path:
        """The file for a page: the SVG, or the PNG where that is the smaller by far."""
        paths = {Path(file).suffix: Path(file) for file in self.files}
        svg, png = paths.get(".svg"), paths.get(".png")
        if svg is not None and (png is None or svg.stat().st_size <= EMBEDDABLE):
            return svg
        assert png is not None
        return png


@dataclass(frozen=True)
class Drawing:
    """A figure that was drawn; the attributes are those of `Saved`."""

    name: str
    title: str
    caption: str
    figure: Figure
    alt: str = ""

    def _repr_png_(self) -> bytes:
        """What a notebook shows of it."""
        picture = io.BytesIO()
        with matplotlib.rc_context(style.RC):
            self.figure.savefig(picture, format="png", dpi=100)
        return picture.getvalue()

    def save(self, folder: Path, formats: Sequence[str], prefix: str = "") -> Saved:
        """Writes the figure in every format, and in SVG if a page could show none of them.

        The same figure gives the same files.
        """
        if not {"png", "svg"} & set(formats):
            formats = [*formats, "svg"]
        dated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
        name = prefix + self.name
        paths = [folder / f"{name}.{kind}" for kind in formats]
        with matplotlib.rc_context(style.RC):
            for kind, path in zip(formats, paths, strict=True):
                self.figure.savefig(path, metadata=dated.get(kind))
                if kind == "png":
                    _lighten(path)
        files = [str(path) for path in paths]
        return Saved(name, self.title, self.caption, files, self.alt or self.title)


def _lighten(path: Path) -> None:
    """Rewrites a PNG with a palette: a third of the bytes, and hardly to be told apart."""
    with Image.open(path) as picture:
        # maximal coverage keeps colours of few pixels, such as the red of crosses
        palette = picture.convert("RGB").quantize(
            256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
        )
    palette.save(path, optimize=True)
