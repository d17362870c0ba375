"""What follows a normalization: a learned gain and shift of each unit or channel."""

from typing import Any

import keras
import tensorflow as tf

from bnexp.norms import arguments


@keras.saving.register_keras_serializable(package="bnexp")
class Affine(keras.layers.Layer):
    """gamma * x + beta, with a gamma and a beta for each place on the last axis.

    Computed in float32 (float64 for a policy of float64). gamma starts at 1, beta at 0. Base of
    layers that normalize: those override `normalized`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        arguments.check_backend(type(self).__name__)
        self._inner_dtype = keras.backend.result_type(self.variable_dtype, "float32")
        self.gamma_initializer = keras.initializers.get("ones")
        self.beta_initializer = keras.initializers.get("zeros")
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(
            shape=shape, name="gamma", initializer=self.gamma_initializer, autocast=False
        )
        self.beta = self.add_weight(
            shape=shape, name="beta", initializer=self.beta_initializer, autocast=False
        )

    def normalized(self, x: tf.Tensor) -> tf.Tensor:
        """What gamma and beta act on, for inputs in float32 or float64."""
        return x

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        gamma, beta = (
            tf.cast(tf.convert_to_tensor(weight), self._inner_dtype)
            for weight in (self.gamma, self.beta)
        )
        outputs = self.normalized(tf.cast(inputs, self._inner_dtype)) * gamma + beta
        return tf.cast(outputs, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape
