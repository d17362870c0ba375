"""Norms of gradients, weights and biases by hidden layer (section 3.3)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnexp.probes import Row

if TYPE_CHECKING:
    from bnexp.probes.scene import Scene


def gradients(scene: "Scene") -> Iterator[Row]:
    """By hidden layer the norms of dL/dW, W and b, for the loss on the training batch."""
    for number, norms in enumerate(scene.views.norms(*scene.train_batch), start=1):
        for name, value in norms.items():
            yield Row("gradients", str(number), name, value)
