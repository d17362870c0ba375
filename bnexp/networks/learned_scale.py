"""A learned factor on a branch."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="bnexp")
class LearnedScale(keras.layers.Layer):
    """scale * x with one learned scalar.

    On the branch of a residual block, one that starts at 0 makes the block the identity before
    training (SkipInit: De & Smith 2020). The same in training and at inference.

    Args:
        start: where the scalar starts.

    Call arguments:
        inputs: tensor of any shape.
    """

    def __init__(self, start: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        start = keras.initializers.Constant(self.start)
        self.scale = self.add_weight(name="scale", shape=(), initializer=start)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.convert_to_tensor(self.scale) * inputs

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"start": self.start}
