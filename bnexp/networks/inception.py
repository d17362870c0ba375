"""A small Inception after the appendix of Ioffe & Szegedy (2015)."""

from functools import partial

import keras

from bnexp.config.types import Widths
from bnexp.networks.plain import averaged_logits, convolution
from bnexp.networks.unit import Unit


def inception(
    unit: Unit,
    input_shape: tuple[int, ...],
    classes: int,
    maps: Widths = [16, 16, 32, 32, 32],  # noqa: B006 (read as a literal; never changed)
    stem: Widths = [16, 32],  # noqa: B006
) -> keras.Model:
    """Two 3x3 convolutions, then Inception modules, each convolution with its norm.

    A module joins four branches: 1x1; 3x3; two 3x3 in a row in place of a 5x5 (the paper's change
    to Inception); and pooling. Its 3x3 convolutions are preceded by 1x1 ones. As in the paper
    (appendix, Fig. 5), every second module halves width and height: it has no 1x1 branch, and
    maximum pooling that passes its input on; the others pool averages, and a 1x1 convolution
    follows. The first convolution halves them too.

    Args:
        unit: what the arms vary.
        input_shape: (height, width, channels).
        classes: number of outputs.
        maps: feature maps of each branch, module by module.
        stem: feature maps of the convolutions before the modules.
    """
    inputs = x = keras.Input(input_shape, name="images")
    for index, width in enumerate(stem, start=1):
        x = convolution(unit, f"conv_{index}", width, x, strides=2 if index == 1 else 1)
    for index, width in enumerate(maps, start=1):
        module = _halving if index % 2 == 0 else _module
        x = module(unit, f"inception_{index}", width, x)
    return keras.Model(inputs, averaged_logits(unit, classes, x), name="inception")


inception.jit = False  # type: ignore[attr-defined]
inception.steps_per_call = 10  # type: ignore[attr-defined]
inception.eval_batch = 250  # type: ignore[attr-defined]


def _module(unit: Unit, name: str, maps: int, x: keras.KerasTensor) -> keras.KerasTensor:
    pool = keras.layers.AveragePooling2D(3, 1, "same", dtype=unit.policy, name=f"{name}_pool")
    branches = [
        convolution(unit, f"{name}_1x1", maps, x, size=1),
        *_of_3x3(unit, name, maps, x, strides=1),
        convolution(unit, f"{name}_pool_1x1", maps, pool(x), size=1),
    ]
    return _joined(unit, name, branches)


def _halving(unit: Unit, name: str, maps: int, x: keras.KerasTensor) -> keras.KerasTensor:
    pool = keras.layers.MaxPooling2D(3, 2, "same", dtype=unit.policy, name=f"{name}_pool")
    return _joined(unit, name, [*_of_3x3(unit, name, maps, x, strides=2), pool(x)])


def _of_3x3(
    unit: Unit, name: str, maps: int, x: keras.KerasTensor, *, strides: int
) -> list[keras.KerasTensor]:
    """The branches 1x1, 3x3 and 1x1, 3x3, 3x3."""
    conv = partial(convolution, unit)
    single = conv(f"{name}_3x3_reduce", maps, x, size=1)
    double = conv(f"{name}_double_3x3_reduce", maps, x, size=1)
    double = conv(f"{name}_double_3x3_1", maps, double)
    return [
        conv(f"{name}_3x3", maps, single, strides=strides),
        conv(f"{name}_double_3x3_2", maps, double, strides=strides),
    ]


def _joined(unit: Unit, name: str, branches: list[keras.KerasTensor]) -> keras.KerasTensor:
    return keras.layers.Concatenate(dtype=unit.policy, name=f"{name}_join")(branches)
