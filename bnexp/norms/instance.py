"""Instance Normalization (Ulyanov et al. 2016), by Keras's layer for groups."""

from typing import Annotated

import keras

from bnexp.config.types import In


@keras.saving.register_keras_serializable(package="bnexp")
class InstanceNorm(keras.layers.GroupNormalization):
    """`keras.layers.GroupNormalization` with one channel a group, for inputs with locations.

    Raises:
        ValueError: the inputs have a single location: each value, its own mean, would become 0.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if all(size == 1 for size in input_shape[1:-1]):
            raise ValueError(
                f"instance normalization of {self.name}, inputs {input_shape}: each value would be "
                "normalized by itself alone, to 0; for layers without locations use layer or group"
            )
        super().build(input_shape)


def instance(
    epsilon: Annotated[float, In("[1.2e-38, inf)")] = 1e-3, *, name: str, dtype: str
) -> keras.layers.Layer:
    """Instance Normalization (Ulyanov et al. 2016): each channel of each example by itself.

    Mean and variance run over all locations of a feature map; the same in training and at
    inference. One gamma and beta per channel. Dense layers have no locations: not for them.

    Args:
        epsilon: added to the variance before the square root.
        name: of the layer.
        dtype: a Keras precision policy.
    """
    return InstanceNorm(groups=-1, epsilon=epsilon, dtype=dtype, name=name)


instance.label = "Instance Normalization"  # type: ignore[attr-defined]
