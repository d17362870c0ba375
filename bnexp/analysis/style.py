"""How every figure looks: one look and label per arm, safe for colour-blind readers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from matplotlib.colors import to_hex, to_rgb

from bnexp.analysis.statistics import CONTRADICTED, EQUAL, INCONCLUSIVE, SUPPORTED
from bnexp.config import ConfigError
from bnexp.config.options import TARGET
from bnexp.config.places import definitions
from bnexp.config.signature import read

# Okabe & Ito's palette; the two arms that every figure has come first and stay the same.
ARM_COLOURS = {"batch": "#0072B2", "none": "#D55E00"}
MORE_COLOURS = ("#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
DIVERGED_COLOUR = "#E00000"
HEAT = "cividis"
VERDICT_STYLES = {
    SUPPORTED: ("#009E73", "o"),
    EQUAL: ("#56B4E9", "^"),
    CONTRADICTED: ("#CC79A7", "s"),
    INCONCLUSIVE: ("#777777", "D"),
}

METRIC_LABELS = {
    "val_accuracy": "validation accuracy",
    "val_loss": "validation loss (nats)",
    "train_loss": "training loss (nats)",
}


def metric_label(metric: str) -> str:
    """What an axis calls a column of the history: "val_top_5" is "validation top 5"."""
    words = metric.replace("val_", "validation ").replace("train_", "training ")
    return METRIC_LABELS.get(metric, words.replace("_", " "))


# The least and the largest value that a metric can have, by the end of its name.
BOUNDS = {
    "accuracy": (0.0, 1.0),
    "top_5": (0.0, 1.0),
    "loss": (0.0, math.inf),
    "brier": (0.0, math.inf),
}


def bounds(metric: str) -> tuple[float, float]:
    """Between what a metric lies; intervals are drawn no further."""
    known = [limits for name, limits in BOUNDS.items() if metric.endswith(name)]
    return known[0] if known else (-math.inf, math.inf)


X_LABELS = {"step": "training step", "epoch": "epoch", "seconds": "training time (s)"}
LR_LABEL = "learning rate"

RC: dict[Any, Any] = {
    "text.parse_math": False,  # a $ in a path is a $
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.formatter.useoffset": False,  # 0.9918, not 0.0018 beside "+0.99"
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "savefig.dpi": 150,
    "svg.hashsalt": "bnexp",  # the same figure gives the same file
}


@dataclass(frozen=True)
class Look:
    """How an arm is drawn; no two arms of a figure share a colour, nor a line and marker.

    Attributes:
        colour: of the palette; from its end on in other shades.
        line: solid; from the palette's end on with dashes and more and more dots.
        marker: as matplotlib names it.
    """

    colour: str
    line: Any = "-"
    marker: Any = "o"


def looks(arms: Sequence[str]) -> dict[str, Look]:
    """A look for each arm; the same arms look the same in every figure."""
    others = [arm for arm in arms if arm not in ARM_COLOURS]
    return {
        arm: Look(ARM_COLOURS[arm]) if arm in ARM_COLOURS else _look(others.index(arm))
        for arm in arms
    }


def _look(number: int) -> Look:
    turn, place = divmod(number, len(MORE_COLOURS))
    if turn == 0:
        return Look(MORE_COLOURS[place])
    marker = MARKERS[turn] if turn < len(MARKERS) else (turn, 1, 0)  # a star of so many points
    return Look(_shade(MORE_COLOURS[place], turn), (0, (6, 2, *(1, 2) * (turn - 1))), marker)


def _shade(colour: str, turn: int) -> str:
    """Towards white, then towards black, and each time less far."""
    end = 1.0 if turn % 2 else 0.3  # black itself is in the palette
    share = 0.5 ** ((turn + 1) // 2)
    red, green, blue = (c + (end - c) * share for c in to_rgb(colour))
    return str(to_hex((red, green, blue)))


def colours(arms: Sequence[str]) -> dict[str, str]:
    """The colour of each arm's look."""
    return {arm: look.colour for arm, look in looks(arms).items()}


def label(arm: str) -> str:
    """What the legend calls an arm."""
    kind, _, details = arm.partition(" ")
    name = _name(kind)
    return f"{name}, {details}" if details else name


@cache
def _name(kind: str) -> str:
    """A normalizer as its code calls itself (its attribute `label`), else its option's name."""
    target = dict(definitions("norm")).get(kind, {}).get(TARGET)
    try:
        return str(read(target).attributes.get("label", kind)) if target else kind
    except ConfigError:
        return kind
