"""What inference with population statistics loses to the batch's own (Alg. 2)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnexp.probes import Row

if TYPE_CHECKING:
    from bnexp.probes.scene import Scene


def population(scene: "Scene") -> Iterator[Row]:
    """The validation loss with population statistics, and with each batch's own.

    Both over full batches of the training's size. The second is in training mode, dropout
    included.
    """
    for name, training in (("loss_population", False), ("loss_batch", True)):
        value = scene.views.mean_loss(*scene.validation, training=training)
        yield Row("population", "", name, value)
