"""Root Mean Square Layer Normalization (Zhang & Sennrich 2019), by Keras's operation."""

from typing import Annotated, Any

import keras
import tensorflow as tf

from bnexp.config.types import In
from bnexp.norms import arguments
from bnexp.norms.affine import Affine


@keras.saving.register_keras_serializable(package="bnexp")
class RMSNorm(Affine):
    """gamma * x / sqrt(mean(x²) + epsilon) + beta, the mean over all axes but the first.

    As `GroupNormalization(groups=1)` without the mean. Keras's own `RMSNormalization` has no beta,
    which that paper has, and without which a layer that loses its bias loses its shift.

    Args:
        epsilon: added to the mean square before the square root.

    Raises:
        ValueError: an epsilon that is out of range.
    """

    def __init__(self, epsilon: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = arguments.epsilon(epsilon, self._inner_dtype)

    def normalized(self, x: tf.Tensor) -> tf.Tensor:
        axes = list(range(1, x.shape.rank))
        return keras.ops.rms_normalization(x, axis=axes, epsilon=self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon}


def rms(
    epsilon: Annotated[float, In("[1.2e-38, inf)")] = 1e-3, *, name: str, dtype: str
) -> keras.layers.Layer:
    """RMS Normalization (Zhang & Sennrich 2019): each example by its own root mean square.

    It runs over all units of a dense layer, or all locations and channels of a feature map: layer
    normalization without the subtraction of the mean. The same in training and at inference. One
    gamma and beta per unit or channel.

    Args:
        epsilon: added to the mean square before the square root.
        name: of the layer.
        dtype: a Keras precision policy.
    """
    return RMSNorm(epsilon=epsilon, dtype=dtype, name=name)


rms.label = "RMS Normalization"  # type: ignore[attr-defined]
