"""Weight Standardization (Qiao et al. 2019)."""

from collections.abc import Sequence
from typing import Annotated, Any

import keras
import tensorflow as tf

from bnexp.config.types import In
from bnexp.norms.kernels import KernelMap, KernelNorm


@keras.saving.register_keras_serializable(package="bnexp")
class Standardized(KernelMap):
    """(w - mean) / sqrt(variance + epsilon) for the weights w of each output.

    Args:
        epsilon: added to the variance before the square root.
        scaled: also divides by the square root of the number of weights w.
    """

    def __init__(self, epsilon: float = 1e-10, scaled: bool = False) -> None:
        self.epsilon = epsilon
        self.scaled = scaled

    def __call__(self, kernel: tf.Tensor, axes: Sequence[int]) -> tf.Tensor:
        centered = kernel - tf.reduce_mean(kernel, axes, keepdims=True)
        variance = tf.reduce_mean(tf.square(centered), axes, keepdims=True)
        standardized = centered * tf.math.rsqrt(variance + self.epsilon)
        fan_in = tf.TensorShape([kernel.shape[axis] for axis in axes]).num_elements()
        return standardized * fan_in**-0.5 if self.scaled else standardized

    def get_config(self) -> dict[str, Any]:
        return {"epsilon": self.epsilon, "scaled": self.scaled}


def standardization(
    epsilon: Annotated[float, In("[1.2e-38, inf)")] = 1e-10,
    scaled: bool = False,
    *,
    name: str,
    dtype: str,
) -> KernelNorm:
    """Weight Standardization (Qiao et al. 2019): each output's weights at mean 0 and variance 1.

    A learned gain gamma and shift beta follow; nothing depends on the batch. That paper puts a norm
    of activations behind it; here it stands alone.

    Args:
        epsilon: added to the variance of an output's weights before the square root.
        scaled: also divides by the square root of the number of inputs of an output (Brock et al.
            2021): without a norm of activations behind it, outputs are otherwise larger than
            inputs by that factor.
        name: of the layer that holds gamma and beta.
        dtype: a Keras precision policy.
    """
    return KernelNorm(Standardized(epsilon, scaled), dtype=dtype, name=name)


standardization.label = "Weight Standardization"  # type: ignore[attr-defined]
