"""The plain network with identity shortcuts: the other cure for depth."""

from functools import partial

import keras

from bnexp.config.types import Count, Positive, Widths
from bnexp.networks.fixup import asked_unit
from bnexp.networks.plain import averaged_logits, convolution
from bnexp.networks.unit import Unit


def residual(
    unit: Unit,
    input_shape: tuple[int, ...],
    classes: int,
    filters: Widths = [16, 32, 64],  # noqa: B006 (read as a literal; never changed)
    blocks: Count = 2,
    skip_init: bool = False,
    fixup: bool = False,
    fixup_rate: Positive = 1.0,
) -> keras.Model:
    """`plain` with a shortcut around every two convolutions of a stage (He et al. 2015).

    A stage is one convolution, as in `plain`, and then `blocks` of two, whose input is added to
    what enters their last nonlinearity. By default the 16 convolutions of `plain`.

    Args:
        unit: what the arms vary.
        input_shape: (height, width, channels).
        classes: number of outputs.
        filters: feature maps of each stage.
        blocks: of two convolutions, in each stage.
        skip_init: multiply what a block adds to its shortcut by a learned scalar that starts at 0,
            so that at the start every block is the identity (SkipInit: De & Smith 2020), with
            which residual networks train without a norm.
        fixup: start as Fixup has it (Zhang et al. 2019), for networks without a norm: output layer
            and last convolution of each block at 0, the other one of a block scaled down, learned
            scalars between; also then every block is at the start the identity. Needs norm=none.
        fixup_rate: with fixup, the share of the learning rate at which plain SGD trains the learned
            scalars; the authors' code has 0.1.

    Raises:
        ConfigError: `fixup` with a norm or `skip_init`; `fixup_rate` without `fixup`.
    """
    unit = asked_unit(unit, fixup, fixup_rate, branches=len(filters) * blocks, depth=2)
    inputs = keras.Input(input_shape, name="images")
    x = convolution(unit, "conv_1", filters[0], inputs, strides=2)
    for stage, maps in enumerate(filters, start=1):
        x = convolution(unit, f"stage_{stage}_conv_1", maps, x, strides=2 if stage > 1 else 1)
        for block in range(1, blocks + 1):
            x = _block(unit, f"stage_{stage}_block_{block}", maps, x, skip_init)
    return keras.Model(inputs, averaged_logits(unit, classes, x), name="residual")


def _block(
    unit: Unit, name: str, maps: int, x: keras.KerasTensor, skip_init: bool
) -> keras.KerasTensor:
    layer = partial(keras.layers.Conv2D, maps, 3, padding="same")
    inner = unit(f"{name}_conv_1", layer, x, in_branch=True)
    return unit(f"{name}_conv_2", layer, inner, shortcut=x, skip_init=skip_init)


residual.jit = False  # type: ignore[attr-defined]
residual.steps_per_call = 20  # type: ignore[attr-defined]
residual.eval_batch = 250  # type: ignore[attr-defined]
