"""Figures from runs, one a file: each `draw` draws what the runs allow, with its caption."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import matplotlib
import pandas as pd

from bnexp.analysis import parts, style
from bnexp.analysis.drawing import Drawing
from bnexp.analysis.figures import layout
from bnexp.analysis.loading import Runs

METRICS = ("val_accuracy", "val_loss")

__all__ = ["METRICS", "Wanted", "claims_figures", "drawn_by", "sweep_figures"]


@dataclass(frozen=True)
class Wanted:
    """How figures are wanted.

    Attributes:
        metrics: columns of the history that are drawn as curves.
        x: what curves are drawn against: step, epoch or seconds.
    """

    metrics: Sequence[str] = METRICS
    x: str = "step"


def sweep_figures(runs: Runs, metrics: Sequence[str] = METRICS, x: str = "step") -> list[Drawing]:
    """Every figure that the runs of one sweep allow."""
    wanted = Wanted(metrics, x)
    return [one for module in parts.modules("figures") for one in drawn_by(module, runs, wanted)]


def drawn_by(module: ModuleType, runs: Runs, wanted: Wanted) -> list[Drawing]:
    """The figures of one file."""
    with matplotlib.rc_context(style.RC):
        return [_fitted(one) for one in parts.called(module, runs, wanted)]


def claims_figures(claims: pd.DataFrame) -> list[Drawing]:
    """The figures of all claims together."""
    from bnexp.analysis.figures.forest import forest

    with matplotlib.rc_context(style.RC):
        return list(map(_fitted, forest(claims)))


def _fitted(drawing: Drawing) -> Drawing:
    layout.fit(drawing.figure)
    return drawing
