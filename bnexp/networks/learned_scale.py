"""A learned factor on a branch, which starts at 0."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="bnexp")
class LearnedScale(keras.layers.Layer):
    """scale * x with one learned scalar, at first 0 (SkipInit: De & Smith 2020).

    On the branch of a residual block it makes the block the identity before training. The same in
    training and at inference.

    Call arguments:
        inputs: tensor of any shape.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.scale = self.add_weight(name="scale", shape=(), initializer="zeros")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.convert_to_tensor(self.scale) * inputs
