"""Products with the Hessian of the loss that `Surface` has, by what it calls its variables.

For `Views.compiled`. All calls see the same masks of dropout and the same noise: what a call moves
stays within it. Vectors hold all variables, one after another, in float64.
"""

import keras
import numpy as np
import tensorflow as tf

from bnexp.probes.views import Views
from bnexp.training.batches import scaled


def hessian_product(
    views: Views, images: tf.Tensor, labels: tf.Tensor, vector: tf.Tensor
) -> tf.Tensor:
    """H v for a vector v (weights,), by differentiating the gradient's product with v.

    Raises:
        LookupError: TensorFlow knows no second derivative of an operation in the network.
    """
    weights = [variable.value for variable in views.surface.variables]
    sizes = [int(np.prod(weight.shape)) for weight in weights]
    parts = [
        tf.reshape(tf.cast(part, weight.dtype), weight.shape)
        for part, weight in zip(tf.split(vector, sizes), weights, strict=True)
    ]
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            loss = _loss(views, images, labels)
        gradients = inner.gradient(loss, weights, unconnected_gradients="zero")
    return _flat(outer.gradient(gradients, weights, parts, unconnected_gradients="zero"))


def _loss(views: Views, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    with keras.StatelessScope():
        logits = views.model(scaled(images), training=True)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def _flat(tensors: list[tf.Tensor]) -> tf.Tensor:
    return tf.concat([tf.reshape(tf.cast(one, tf.float64), [-1]) for one in tensors], axis=0)
