"""How the loss and its gradient vary along the gradient (Santurkar et al. 2018, section 3)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from bnexp.probes import Row

if TYPE_CHECKING:
    from bnexp.probes.scene import Scene

STEPS = np.arange(1, 9) / 2  # 0.5, 1, ... 4


def landscape(scene: "Scene") -> Iterator[Row]:
    """Loss and gradient at w - a * lr * g, for a of 0.5, 1, ... 4.

    g is the gradient by all that is trained, on the training batch. The step is that of plain
    gradient descent at the schedule's learning rate, whatever the optimizer makes of g.
    `loss`: at w (nats); `loss_low`, `loss_high`: the smallest and largest of the eight others;
    `gradient_change`: the largest |g - g'| / |g|; `smoothness`: the largest
    |g - g'| / (a * lr * |g|), which that paper calls effective beta-smoothness.
    """
    from bnexp.probes.surface import descended, flat, length

    surface, batch = scene.views.surface, scene.train_batch
    here = surface.here
    loss, gradient = surface.loss_and_gradient(here, *batch)
    start = flat(gradient)
    losses, changes = [], []
    for rate in STEPS * scene.lr:
        there = descended(here, gradient, float(rate))
        other_loss, other = surface.loss_and_gradient(there, *batch)
        losses.append(other_loss)
        changes.append(length(start - flat(other)) / length(start))
    found = {
        "loss": loss,
        "loss_low": np.min(losses),
        "loss_high": np.max(losses),
        "gradient_change": np.max(changes),
        "smoothness": np.max(changes / (STEPS * scene.lr)),
    }
    for name, value in found.items():
        yield Row("landscape", "", name, float(value))
