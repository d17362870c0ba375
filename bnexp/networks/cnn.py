"""The convolutional network of the original repository."""

from functools import partial

import keras

from bnexp.config.types import Count, Share, Widths
from bnexp.networks.local_response import LocalResponse
from bnexp.networks.unit import Unit


def cnn(
    unit: Unit,
    input_shape: tuple[int, ...],
    classes: int,
    filters: Widths = [32, 64],  # noqa: B006 (read as a literal; never changed)
    kernel_size: Count = 5,
    hidden: Widths = [1024],  # noqa: B006
    dropout: Share = 0.5,
    lrn: bool = False,
) -> keras.Model:
    """[Convolution, norm, nonlinearity, 2x2 max-pooling] for each of `filters`, then dense layers.

    The dense layers have no norm, and dropout follows them; the defaults are the original
    repository's.

    Args:
        unit: what the arms vary.
        input_shape: (height, width, channels).
        classes: number of outputs.
        filters: feature maps of each convolution.
        kernel_size: width and height of the convolutions in pixels.
        hidden: units of each hidden dense layer, first to last.
        dropout: share of the last hidden layer's outputs set to 0 during training (1 - keep
            probability).
        lrn: local response normalization between each nonlinearity and its pooling, as in
            Krizhevsky et al. (2012, sections 3.3 and 3.5) with their constants; section 4.2.1
            finds that it is not needed with Batch Normalization.
    """
    inputs = x = keras.Input(input_shape, name="images")
    for index, maps in enumerate(filters, start=1):
        name = f"conv_{index}"
        x = unit(name, partial(keras.layers.Conv2D, maps, kernel_size, padding="same"), x)
        if lrn:
            x = LocalResponse(dtype=unit.policy, name=f"{name}_lrn")(x)
        pool = keras.layers.MaxPooling2D(padding="same", dtype=unit.policy, name=f"{name}_pool")
        x = pool(x)
    x = keras.layers.Flatten(dtype=unit.policy, name="flatten")(x)
    for index, units in enumerate(hidden, start=1):
        name = f"dense_{index}"
        x = keras.layers.Dense(units, dtype=unit.policy, name=name)(x)
        x = unit.activation(name)(x)
    if dropout:
        x = unit.dropout(dropout, "dropout")(x)
    return keras.Model(inputs, unit.logits(classes, x), name="cnn")


cnn.jit = False  # type: ignore[attr-defined]
cnn.steps_per_call = 10  # type: ignore[attr-defined]
cnn.eval_batch = 250  # type: ignore[attr-defined]
