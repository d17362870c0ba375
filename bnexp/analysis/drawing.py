"""A drawn figure with what must be said of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from bnexp.analysis import style


@dataclass(frozen=True)
class Drawing:
    """A figure, its name as a file, and its caption.

    Attributes:
        name: file stem, unique within a report: "quickstart_val_accuracy".
        title: a few words.
        caption: what is drawn, n, what varies, how the learning rate was chosen.
        figure: not shown by a window: to be saved.
    """

    name: str
    title: str
    caption: str
    figure: Figure

    def save(self, folder: Path, formats: Sequence[str], prefix: str = "") -> dict[str, Path]:
        """Writes the figure in every format; the same figure gives the same file."""
        paths = {kind: folder / f"{prefix}{self.name}.{kind}" for kind in formats}
        dated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
        with matplotlib.rc_context(style.RC):
            for kind, path in paths.items():
                self.figure.savefig(path, metadata=dated.get(kind))
        return paths
