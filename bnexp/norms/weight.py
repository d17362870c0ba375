"""Weight Normalization (Salimans & Kingma 2016)."""

from collections.abc import Sequence
from typing import Annotated, Any

import keras
import tensorflow as tf

from bnexp.config.types import In
from bnexp.norms.kernels import KernelMap, KernelNorm


@keras.saving.register_keras_serializable(package="bnexp")
class UnitNorm(KernelMap):
    """v / |v| for the weights v of each output.

    Args:
        epsilon: added to |v|², for weights that are all 0.
    """

    def __init__(self, epsilon: float = 1e-12) -> None:
        self.epsilon = epsilon

    def __call__(self, kernel: tf.Tensor, axes: Sequence[int]) -> tf.Tensor:
        square = tf.reduce_sum(tf.square(kernel), axes, keepdims=True)
        return kernel * tf.math.rsqrt(square + self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {"epsilon": self.epsilon}


def weight(
    epsilon: Annotated[float, In("[1.2e-38, inf)")] = 1e-12, *, name: str, dtype: str
) -> KernelNorm:
    """Weight Normalization (Salimans & Kingma 2016, eq. 2): w = gamma * v / |v| for each output.

    Length and direction of an output's weights are learned apart; nothing depends on the batch.
    gamma starts at 1 and not, as in section 3 of that paper, at what a first batch asks for.

    Args:
        epsilon: added to |v|², for weights that are all 0.
        name: of the layer that holds gamma and beta.
        dtype: a Keras precision policy.
    """
    return KernelNorm(UnitNorm(epsilon), dtype=dtype, name=name)


weight.label = "Weight Normalization"  # type: ignore[attr-defined]
