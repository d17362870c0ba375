"""A learned number that is added to all that passes."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="bnexp")
class LearnedShift(keras.layers.Layer):
    """x + shift with one learned scalar, at first 0 (Fixup's bias: Zhang et al. 2019).

    The same in training and at inference.

    Call arguments:
        inputs: tensor of any shape.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.shift = self.add_weight(name="shift", shape=(), initializer="zeros")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs + tf.convert_to_tensor(self.shift)
