"""Group Normalization (Wu & He 2018), by Keras's layer."""

from typing import Annotated

import keras

from bnexp.config.types import Count, In


@keras.saving.register_keras_serializable(package="bnexp")
class GroupNorm(keras.layers.GroupNormalization):
    """`keras.layers.GroupNormalization`, which says what numbers of groups there may be.

    Raises:
        ValueError: the number of groups does not divide the number of channels.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = input_shape[self.axis]
        if channels is not None and channels % self.groups:
            divisors = ", ".join(str(n) for n in range(1, channels + 1) if not channels % n)
            raise ValueError(
                f"groups={self.groups} does not divide the {channels} channels that {self.name} "
                f"normalizes: choose one of {divisors}"
            )
        super().build(input_shape)


def group(
    groups: Count = 32,
    epsilon: Annotated[float, In("[1.2e-38, inf)")] = 1e-3,
    *,
    name: str,
    dtype: str,
) -> keras.layers.Layer:
    """Group Normalization (Wu & He 2018): each group of an example's channels by itself.

    Mean and variance run over the group's channels and all locations of a feature map, or over the
    group's units of a dense layer; the same in training and at inference. One gamma and beta per
    channel or unit.

    Args:
        groups: number of groups, which must divide the number of channels (or units) of every
            layer that is normalized. 1 is layer normalization, and one per channel instance
            normalization.
        epsilon: added to the variance before the square root.
        name: of the layer.
        dtype: a Keras precision policy.
    """
    return GroupNorm(groups=groups, epsilon=epsilon, dtype=dtype, name=name)


group.label = "Group Normalization"  # type: ignore[attr-defined]
