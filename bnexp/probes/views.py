"""Compiled views into a network: its activations, gradients and losses as they are in training."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from bnexp.networks.models import weight_layers
from bnexp.training.program import scaled


class Inside:
    """Views into a network, compiled once for all runs that share its program.

    Args:
        model: a network of `bnexp.networks.models`.
        batch_size: images in a training batch.
    """

    def __init__(self, model: keras.Model, batch_size: int) -> None:
        self.model = model
        self._batch_size = batch_size
        self._moved = [variable.value for variable in model.non_trainable_variables]
        self.hidden = weight_layers(model)[:-1]
        nonlinearities = [
            layer for layer in model.layers if isinstance(layer, keras.layers.Activation)
        ]
        self.activation = nonlinearities[0].activation.__name__
        self._before = keras.Model(model.inputs, [layer.input for layer in nonlinearities])
        self._activations = tf.function(self._activation_tensors)
        self._gradients = tf.function(self._gradient_tensors)
        self._mean_loss = tf.function(self._mean_loss_tensor)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Puts back what calls in training mode move: averages, and generators of dropout."""
        kept = [variable.numpy() for variable in self._moved]
        try:
            yield
        finally:
            for variable, value in zip(self._moved, kept, strict=True):
                variable.assign(value)

    def activations(self, images: tf.Tensor) -> list[np.ndarray]:
        """What enters each nonlinearity: (images, units) or (images, height, width, channels)."""
        return [values.numpy() for values in self._activations(images)]

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

    def _activation_tensors(self, images: tf.Tensor) -> list[tf.Tensor]:
        outputs = self._before(scaled(images), training=True)
        tensors = outputs if isinstance(outputs, list) else [outputs]
        return [tf.cast(tensor, tf.float32) for tensor in tensors]

    def _loss(self, images: tf.Tensor, labels: tf.Tensor, training: bool) -> tf.Tensor:
        logits = self.model(scaled(images), training=training)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

    def _gradient_tensors(self, images: tf.Tensor, labels: tf.Tensor) -> list[dict[str, tf.Tensor]]:
        kernels = [layer.kernel.value for layer in self.hidden]
        with tf.GradientTape() as tape:
            loss = self._loss(images, labels, training=True)
        found = []
        gradients = tape.gradient(loss, kernels)
        for layer, kernel, gradient in zip(self.hidden, kernels, gradients, strict=True):
            norms = {"gradient_norm": tf.norm(gradient), "weight_norm": tf.norm(kernel)}
            if layer.bias is not None:
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
