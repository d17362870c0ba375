"""Local response normalization, which section 4.2.1 finds unnecessary with Batch Normalization."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="bnexp")
class LocalResponse(keras.layers.Layer):
    """Divides each activation by those of neighbouring channels (Krizhevsky et al. 2012, §3.3).

    y_i = x_i / (k + alpha * sum_j x_j²)^beta over the `depth` channels j around i at the same
    location. The same in training and at inference; nothing is learned. The defaults are the
    constants of that section (alpha multiplies the sum, not the mean).

    Args:
        depth: channels in the sum, an odd number.
        k, alpha, beta: constants of the formula.

    Call arguments:
        inputs: (batch, height, width, channels).

    Raises:
        ValueError: an even depth.
    """

    def __init__(
        self,
        depth: int = 5,
        k: float = 2.0,
        alpha: float = 1e-4,
        beta: float = 0.75,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if depth < 1 or depth % 2 == 0:
            raise ValueError(f"depth={depth} must be an odd number: as many channels on each side")
        self.depth, self.k, self.alpha, self.beta = depth, k, alpha, beta
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        x = tf.cast(inputs, tf.float32)
        normalized = tf.nn.local_response_normalization(
            x, depth_radius=self.depth // 2, bias=self.k, alpha=self.alpha, beta=self.beta
        )
        return tf.cast(normalized, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = {key: getattr(self, key) for key in ("depth", "k", "alpha", "beta")}
        return super().get_config() | own
