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
        rate: share of the learning rate at which plain SGD trains it: its gradient times that.

    Call arguments:
        inputs: tensor of any shape.
    """

    def __init__(self, start: float = 0.0, rate: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start, self.rate = start, rate

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        start = keras.initializers.Constant(self.start)
        self.scale = self.add_weight(name="scale", shape=(), initializer=start)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return slowed(self.scale, self.rate) * inputs

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"start": self.start, "rate": self.rate}


def slowed(variable: keras.Variable, rate: float) -> tf.Tensor:
    """Its value, with a gradient that is multiplied by `rate`."""
    value = tf.convert_to_tensor(variable)
    if rate == 1:
        return value
    fixed = tf.stop_gradient(value)
    return fixed + rate * (value - fixed)
