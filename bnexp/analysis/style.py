"""How every figure looks: one colour and label per arm, safe for colour-blind readers."""

from collections.abc import Sequence
from typing import Any

from bnexp.analysis.statistics import CONTRADICTED, INCONCLUSIVE, SUPPORTED

# Okabe & Ito's palette; the two arms that every figure has come first and stay the same.
ARM_COLOURS = {"batch": "#0072B2", "none": "#D55E00"}
MORE_COLOURS = ("#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
ARM_LABELS = {
    "batch": "Batch Normalization",
    "layer": "Layer Normalization",
    "none": "no normalization",
}
DIVERGED_COLOUR = "#E00000"
HEAT = "cividis"
VERDICT_STYLES = {
    SUPPORTED: ("#009E73", "o"),
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


X_LABELS = {"step": "training step", "epoch": "epoch", "seconds": "training time (s)"}
LR_LABEL = "learning rate"

RC: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "savefig.dpi": 150,
    "svg.hashsalt": "bnexp",  # the same figure gives the same file
}


def colours(arms: Sequence[str]) -> dict[str, str]:
    """A colour for each arm; the same arm has the same colour in every figure."""
    others = [arm for arm in arms if arm not in ARM_COLOURS]
    spare = {arm: MORE_COLOURS[i % len(MORE_COLOURS)] for i, arm in enumerate(others)}
    return {arm: ARM_COLOURS.get(arm) or spare[arm] for arm in arms}


def label(arm: str) -> str:
    """What the legend calls an arm."""
    kind, _, details = arm.partition(" ")
    name = ARM_LABELS.get(kind, kind)
    return f"{name}, {details}" if details else name
