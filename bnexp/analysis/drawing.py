"""A drawn figure with what must be said of it."""

from dataclasses import dataclass

from matplotlib.figure import Figure


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
