"""A learned number that is added to all that passes."""

from typing import Any

import keras
import tensorflow as tf

from bnexp.networks.learned_scale import slowed


@keras.saving.register_keras_serializable(package="bnexp")
class LearnedShift(keras.layers.Layer):
    """x + shift with one learned scalar, at first 0 (Fixup's bias: Zhang et al. 2019).

    The same in training and at inference.

    Args:
        rate: share of the learning rate at which plain SGD trains it: its gradient times that.

    Call arguments:
        inputs: tensor of any shape.
    """

    def __init__(self, rate: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.shift = self.add_weight(name="shift", shape=(), initializer="zeros")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs + slowed(self.shift, self.rate)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate}
