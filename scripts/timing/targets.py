"""What is aimed at: how many times as fast as its rivals bnexp should be."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rivals.kinds import RIVALS, in_float32

GROSS = 0.5  # of a target: below that, --check fails


@dataclass(frozen=True)
class Target:
    """bnexp is at least `at_least` times as fast as the fastest of `rivals`.

    Attributes:
        section: step (seconds of a training step) or sweep (runs a minute).
        workload: what is timed.
        rivals: names of contenders.
        at_least: the ratio aimed at.
        named: the rivals in a word, if they are more than one.
    """

    section: str
    workload: str
    rivals: tuple[str, ...]
    at_least: float
    named: str = ""


KERAS = ("Keras fit",)
KERAS_BEST = ("Keras fit", "Keras fit, jit")
PYTORCH_EAGER = ("PyTorch", "PyTorch, channels last")
PYTORCH = (*PYTORCH_EAGER, "PyTorch, compiled")
JAX = ("JAX", "JAX, scan")
FLOAT32 = tuple(map(in_float32, ("Keras fit", *PYTORCH)))

TARGETS = (
    Target("step", "mlp", KERAS, 4),
    Target("step", "mlp", PYTORCH, 3, "PyTorch"),
    Target("step", "mlp", ("JAX, scan",), 1.3),
    Target("step", "cnn", (*KERAS_BEST, *PYTORCH), 1.3, "Keras and PyTorch"),
    Target("step", "cnn-bfloat16", FLOAT32, 2, "Keras and PyTorch in float32"),
    Target("step", "cnn-bfloat16", RIVALS, 1, "all rivals in bfloat16"),
    Target("step", "plain", KERAS, 1.5),
    Target("step", "plain", PYTORCH, 1.3, "PyTorch"),
    Target("step", "plain", JAX, 1, "JAX"),
    Target("step", "inception", KERAS, 1.5),
    Target("step", "inception", PYTORCH, 1.3, "PyTorch"),
    Target("step", "inception", JAX, 1, "JAX"),
    Target("sweep", "plain", KERAS, 3),
    Target("sweep", "plain", PYTORCH_EAGER, 2, "PyTorch"),
)


def held_against(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Every target that this report can be held against, with the rival that came nearest.

    Rivals that were not timed are passed over, and so is a target without any that was.
    """
    return list(_rows(report))


def _rows(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for target in TARGETS:
        timed = report.get(target.section, {}).get(target.workload, {}).get("contenders", {})
        ratios = {name: timed.get(name, {}).get("ratio") for name in target.rivals}
        found = {name: ratio for name, ratio in ratios.items() if ratio is not None}
        if found:
            nearest = min(found, key=lambda name: found[name])
            yield {
                "section": target.section,
                "workload": target.workload,
                "rivals": f"best of {target.named}" if target.named else target.rivals[0],
                "nearest": nearest,
                "target": target.at_least,
                "reached": found[nearest],
                "met": found[nearest] >= target.at_least,
            }


def gross_losses(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The targets missed by far."""
    return [row for row in rows if row["reached"] < GROSS * row["target"]]
