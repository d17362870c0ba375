"""The shift that a normalizer would have added, alone."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="bnexp")
class Bias(keras.layers.Layer):
    """Adds a learned vector b to the last axis: y = x + b.

    What stays of a `BatchNormalization` layer in the arm without norm: the linear map before it
    has no bias of its own, as beta takes its place (Ioffe & Szegedy 2015, section 3.2).
    The same in training and at inference.

    Args:
        bias_initializer: where b starts.

    Call arguments:
        inputs: (..., features).
        training, mask: taken, as a normalizer would, and of no effect.
    """

    def __init__(self, bias_initializer: Any = "zeros", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.bias = self.add_weight(
            name="bias", shape=(input_shape[-1],), initializer=self.bias_initializer
        )

    def call(
        self, inputs: keras.KerasTensor, training: bool | None = None, mask: Any = None
    ) -> keras.KerasTensor:
        return inputs + self.bias

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        initializer = keras.initializers.serialize(self.bias_initializer)
        return super().get_config() | {"bias_initializer": initializer}
