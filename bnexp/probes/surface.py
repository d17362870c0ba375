"""The loss as a function of all that a network trains, as it is in training."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from bnexp.networks.structure import all_layers, own_variables
from bnexp.training.backend import compiled
from bnexp.training.batches import scaled


class Surface:
    """Loss and gradient at any weights; compiled once, and nothing in the network moves.

    The loss is the mean cross-entropy (nats) in training mode, without weight decay and a
    network's own regularizers. Every evaluation sees the network's other variables as they are:
    the same dropout masks and noise, the same averages. With trainer.precision=bfloat16 rounding
    alone makes gradients at neighbouring weights differ by about 0.2% (the paper's network).

    Args:
        model: a network (see `bnexp.training.network`).

    Attributes:
        variables: what the network trains, layer by layer: a layer's after those of all layers
            that lead to it, branches in the order of the arguments. Norms leave that of all others.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        owned = {id(one): one for layer in all_layers(model) for one in own_variables(layer)}
        self.variables = [one for one in owned.values() if one.trainable]
        self._evaluate = compiled(self._loss_and_gradient)

    @property
    def here(self) -> list[tf.Tensor]:
        """The weights as they stand: values of `variables`."""
        return [variable.value.read_value() for variable in self.variables]

    def loss_and_gradient(
        self, weights: Sequence[tf.Tensor], images: tf.Tensor, labels: tf.Tensor
    ) -> tuple[float, list[tf.Tensor]]:
        """The loss of a batch at these weights, and its gradient in their order and shapes."""
        loss, gradient = self._evaluate(list(weights), images, labels)
        return float(loss), gradient

    def _loss_and_gradient(
        self, weights: list[tf.Tensor], images: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            tape.watch(weights)
            with keras.StatelessScope(zip(self.variables, weights, strict=True)):
                logits = self._model(scaled(images), training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
        return loss, tape.gradient(loss, weights, unconnected_gradients="zero")


def descended(
    weights: Sequence[tf.Tensor], gradient: Sequence[tf.Tensor], rate: float
) -> list[tf.Tensor]:
    """Weights after a step of plain gradient descent, W - rate * gradient."""
    return [one - rate * slope for one, slope in zip(weights, gradient, strict=True)]


def flat(tensors: Sequence[tf.Tensor]) -> np.ndarray:
    """All numbers of all tensors as one float64 vector."""
    return np.concatenate([tensor.numpy().astype(np.float64).ravel() for tensor in tensors])


def length(vector: np.ndarray) -> np.float64:
    """Its Euclidean norm; NumPy's own would take all cores, and fight over them."""
    return np.float64(np.sqrt(np.square(vector).sum()))
