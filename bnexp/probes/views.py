"""Compiled views into a network: its activations, gradients and losses as they are in training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bnexp.config import ConfigError
from bnexp.networks.structure import all_layers, is_kernel, own_variables, weight_layers
from bnexp.probes.surface import Surface
from bnexp.training.backend import compiled
from bnexp.training.batches import scaled


class Views:
    """Views into a network, compiled once for all runs that share its program.

    Args:
        model: a network (see `bnexp.training.network`).
        batch_size: images in a training batch.

    Attributes:
        model: the network.
        weight_layers: those with a kernel, first to last; the last is the output layer.
        hidden: all of them but the last.
    """

    def __init__(self, model: keras.Model, batch_size: int) -> None:
        self.model = model
        self._batch_size = batch_size
        self._variables = [variable.value for variable in model.variables]
        self.weight_layers = weight_layers(model)
        self.hidden = self.weight_layers[:-1]
        self._gradients = compiled(self._gradient_tensors)
        self._mean_loss = compiled(self._mean_loss_tensor)
        self._of_probes: dict[Callable[..., Any], Any] = {}

    @cached_property
    def _nonlinearities(self) -> list[keras.layers.Layer]:
        kinds = (keras.layers.Activation, keras.layers.ReLU)
        found = [layer for layer in all_layers(self.model) if isinstance(layer, kinds)]
        if not found:
            raise ConfigError(
                "probes: this network has no nonlinearity that is a layer of its own "
                "(keras.layers.Activation or ReLU), so what enters it cannot be recorded"
            )
        return found

    @property
    def activation(self) -> str:
        """The name of the first hidden nonlinearity."""
        return str(getattr(self._nonlinearities[0], "activation", keras.ops.relu).__name__)

    @cached_property
    def _inside(self) -> keras.Model:
        before = [layer.input for layer in self._nonlinearities]
        return keras.Model(self.model.inputs, [*before, *self.model.outputs])

    @cached_property
    def surface(self) -> Surface:
        """The loss as a function of all that the network trains."""
        return Surface(self.model)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Puts back every variable of the network to the bit: weights, averages, generators."""
        kept = [variable.numpy() for variable in self._variables]
        try:
            yield
        finally:
            for variable, value in zip(self._variables, kept, strict=True):
                variable.assign(value)

    def compiled(self, function: Callable[..., Any]) -> Any:
        """A function of these views and of tensors, compiled once, to call with the tensors.

        Without AutoGraph, as Keras calls its layers: errors come as they are.
        """
        if function not in self._of_probes:
            as_written = tf.autograph.experimental.do_not_convert(partial(function, self))
            self._of_probes[function] = compiled(as_written)
        return self._of_probes[function]

    def entering(self, images: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        """What enters each nonlinearity, and the logits; for functions that are `compiled`."""
        *before, logits = self._inside(scaled(images), training=True)
        return before, logits

    def activations(self, images: tf.Tensor) -> list[np.ndarray]:
        """What enters each nonlinearity: (images, units) or (images, height, width, channels)."""
        return [values.numpy() for values in self.compiled(_activation_tensors)(images)]

    def norms(self, images: tf.Tensor, labels: tf.Tensor) -> list[dict[str, float]]:
        """By hidden layer: Euclidean norms of the loss's gradient by W, of W, and of b if any."""
        return [
            {name: float(value) for name, value in layer.items()}
            for layer in self._gradients(images, labels)
        ]

    def mean_loss(self, images: tf.Tensor, labels: tf.Tensor, *, training: bool) -> float:
        """Mean cross-entropy (nats) over full batches of the training's size.

        Normalized by each batch's own statistics if `training`, else by the population's.
        """
        return float(self._mean_loss(images, labels, training))

    def _loss(self, images: tf.Tensor, labels: tf.Tensor, training: bool) -> tf.Tensor:
        logits = self.model(scaled(images), training=training)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

    def _gradient_tensors(self, images: tf.Tensor, labels: tf.Tensor) -> list[dict[str, tf.Tensor]]:
        of_layers = [list(filter(is_kernel, own_variables(layer))) for layer in self.hidden]
        kernels = [[kernel.value for kernel in of_layer] for of_layer in of_layers]
        with tf.GradientTape() as tape:
            loss = self._loss(images, labels, training=True)
        found = []
        gradients = tape.gradient(loss, kernels, unconnected_gradients="zero")
        for layer, weights, slopes in zip(self.hidden, kernels, gradients, strict=True):
            norms = {"gradient_norm": _norm(slopes), "weight_norm": _norm(weights)}
            if getattr(layer, "bias", None) is not None:
                norms["bias_norm"] = tf.norm(layer.bias.value)
            found.append(norms)
        return found

    def _mean_loss_tensor(self, images: tf.Tensor, labels: tf.Tensor, training: bool) -> tf.Tensor:
        size = min(self._batch_size, images.shape[0])
        batches = images.shape[0] // size

        def add_batch(batch: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            rows = slice(batch * size, (batch + 1) * size)
            return batch + 1, total + self._loss(images[rows], labels[rows], training)

        _, total = tf.while_loop(
            lambda batch, _: batch < batches, add_batch, (tf.constant(0), tf.constant(0.0))
        )
        return total / batches


def _activation_tensors(views: Views, images: tf.Tensor) -> list[tf.Tensor]:
    return [tf.cast(tensor, tf.float32) for tensor in views.entering(images)[0]]


def _norm(tensors: list[tf.Tensor]) -> tf.Tensor:
    """The Euclidean norm of all tensors together; a separable convolution has two kernels."""
    if len(tensors) == 1:
        return tf.norm(tensors[0])
    return tf.norm(tf.stack([tf.norm(tensor) for tensor in tensors]))
