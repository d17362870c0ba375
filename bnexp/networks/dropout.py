"""Dropout for XLA on CPUs."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="bnexp")
class PhiloxDropout(keras.layers.Dropout):
    """`keras.layers.Dropout` with masks from the Philox generator (Salmon et al. 2011).

    Same arguments and meaning, other masks. Within an XLA program on a CPU Keras's own takes 3 ms
    for 60 x 100 units, seven times as long as a step of the paper's network without, and this one
    0.1 ms.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = False) -> tf.Tensor:
        if not training or self.rate == 0:
            return inputs
        if self.rate == 1:
            return tf.zeros_like(inputs)
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        uniform = tf.random.stateless_uniform(self._mask_shape(inputs), seed, alg="philox")
        return tf.where(uniform >= self.rate, inputs / (1 - self.rate), tf.zeros_like(inputs))

    def _mask_shape(self, inputs: tf.Tensor) -> tf.Tensor | list[tf.Tensor | int]:
        """`noise_shape`, its sizes of None those of the inputs."""
        sizes = tf.shape(inputs)
        if self.noise_shape is None:
            return sizes
        if len(self.noise_shape) != len(inputs.shape):
            raise ValueError(
                f"noise_shape={self.noise_shape} must have as many sizes as the inputs, which are "
                f"{tuple(inputs.shape)}"
            )
        return [sizes[axis] if size is None else size for axis, size in enumerate(self.noise_shape)]
