"""Layer Normalization (Ba et al. 2016), by Keras's layer."""

from typing import Annotated

import keras

from bnexp.config.types import In


def layer(
    epsilon: Annotated[float, In("[1.2e-38, inf)")] = 1e-3, *, name: str, dtype: str
) -> keras.layers.Layer:
    """Layer Normalization (Ba et al. 2016): each example by its own mean and variance.

    They run over all units of a dense layer, or all locations and channels of a feature map; the
    same in training and at inference. As one group of group normalization: unlike Keras's
    `LayerNormalization` this has one gamma and beta per channel of a feature map, as Batch
    Normalization has.

    Args:
        epsilon: added to the variance before the square root.
        name: of the layer.
        dtype: a Keras precision policy.
    """
    return keras.layers.GroupNormalization(groups=1, epsilon=epsilon, dtype=dtype, name=name)


layer.label = "Layer Normalization"  # type: ignore[attr-defined]
