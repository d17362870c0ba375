"""A deep convolutional network without shortcuts, which is hard to train without a norm."""

from functools import partial

import keras

from bnexp.config.types import Count, Widths
from bnexp.networks.pointwise import PointwiseConv2D
from bnexp.networks.unit import Unit


def plain(
    unit: Unit,
    input_shape: tuple[int, ...],
    classes: int,
    filters: Widths = [16, 32, 64],  # noqa: B006 (read as a literal; never changed)
    depth: Count = 5,
) -> keras.Model:
    """3x3 convolutions in stages, each with norm before its nonlinearity: a plain network.

    The first convolution halves width and height, and so does the first of each stage from the
    second on; then the average over all locations, and the outputs. By default 16 convolutions.
    He et al. (2015, section 3.3) call such a network plain, as nothing leads around its layers.

    Args:
        unit: what the arms vary.
        input_shape: (height, width, channels).
        classes: number of outputs.
        filters: feature maps of each stage.
        depth: convolutions of each stage.
    """
    inputs = keras.Input(input_shape, name="images")
    x = convolution(unit, "conv_1", filters[0], inputs, strides=2)
    for stage, maps in enumerate(filters, start=1):
        for place in range(1, depth + 1):
            strides = 2 if stage > 1 and place == 1 else 1
            x = convolution(unit, f"stage_{stage}_conv_{place}", maps, x, strides=strides)
    return keras.Model(inputs, averaged_logits(unit, classes, x), name="plain")


def convolution(
    unit: Unit,
    name: str,
    maps: int,
    x: keras.KerasTensor,
    *,
    size: int = 3,
    strides: int = 1,
) -> keras.KerasTensor:
    """A convolution of `size` x `size` with its norm and nonlinearity."""
    kind = PointwiseConv2D if size == strides == 1 else keras.layers.Conv2D
    layer = partial(kind, maps, size, strides=strides, padding="same")
    return unit(name, layer, x)


def averaged_logits(unit: Unit, classes: int, x: keras.KerasTensor) -> keras.KerasTensor:
    """The average of each feature map over all locations, then the output layer."""
    pool = keras.layers.GlobalAveragePooling2D(dtype=unit.policy, name="average")
    return unit.logits(classes, pool(x))


plain.jit = False  # type: ignore[attr-defined]
plain.steps_per_call = 20  # type: ignore[attr-defined]
plain.eval_batch = 250  # type: ignore[attr-defined]
