"""A small residual network (He et al. 2016), written as one writes it in plain Keras.

It knows nothing of bnexp: wherever it has a `BatchNormalization`, `norm=` puts the arm's own layer.

    bnexp run --multirun model=keras model.builder=my_net:resnet norm=none,batch,group seed=0,1,2
"""

from collections.abc import Sequence

import keras
from keras import layers


def resnet(
    input_shape: tuple[int, ...],
    classes: int,
    widths: Sequence[int] = (8, 16),
    blocks: int = 1,
) -> keras.Model:
    """A convolution, then `blocks` residual blocks of each of `widths`, then one logit per class.

    Args:
        input_shape: (height, width, channels).
        classes: number of outputs.
        widths: feature maps of each stage; all stages but the first halve height and width.
        blocks: residual blocks in a stage.
    """
    inputs = keras.Input(input_shape)
    x = _convolution(inputs, widths[0])
    for stage, width in enumerate(widths):
        for block in range(blocks):
            x = _residual(x, width, stride=2 if stage and not block else 1)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(classes)(x))


def _convolution(x: keras.KerasTensor, width: int, stride: int = 1) -> keras.KerasTensor:
    return layers.ReLU()(_normalized(x, width, 3, stride))


def _residual(x: keras.KerasTensor, width: int, stride: int) -> keras.KerasTensor:
    y = _normalized(_convolution(x, width, stride), width, 3)
    if x.shape != y.shape:
        x = _normalized(x, width, 1, stride)
    return layers.ReLU()(layers.Add()([x, y]))


def _normalized(x: keras.KerasTensor, width: int, size: int, stride: int = 1) -> keras.KerasTensor:
    """A convolution without bias, as the layer after it has one of its own."""
    x = layers.Conv2D(width, size, strides=stride, padding="same", use_bias=False)(x)
    return layers.BatchNormalization()(x)
