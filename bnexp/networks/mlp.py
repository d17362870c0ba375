"""Dense networks: the paper's, and deeper ones with shortcuts."""

from functools import partial
from typing import Literal

import keras

from bnexp.config import ConfigError
from bnexp.config.types import Positive, Share, Widths
from bnexp.networks.dense import TransposedDense
from bnexp.networks.fixup import asked_unit
from bnexp.networks.unit import Unit

# A gate that starts at sigmoid(-1) = .27 carries most of its input on, so that gradients reach the
# first layers of a deep network before it has learned anything (Srivastava et al. 2015, section
# 2.2, who start its bias between -1 and -3, and lower in deeper networks).
_GATE_BIAS = -1.0


def mlp(
    unit: Unit,
    input_shape: tuple[int, ...],
    classes: int,
    hidden: Widths = [100, 100, 100],  # noqa: B006 (read as a literal; never changed)
    dropout: Share = 0.0,
    skip: Literal["none", "residual", "highway"] = "none",
    skip_init: bool = False,
    fixup: bool = False,
    gate_bias: float = _GATE_BIAS,
    fixup_rate: Positive = 1.0,
) -> keras.Model:
    """Dense layers, each with norm before its nonlinearity; the defaults are section 4.1's.

    Args:
        unit: what the arms vary.
        input_shape: (height, width, channels).
        classes: number of outputs.
        hidden: units of each hidden layer, first to last.
        dropout: share of the last hidden layer's outputs set to 0 during training (1 - keep
            probability).
        skip: what leads around each hidden layer that is as wide as its input. none: nothing;
            residual: its input is added to what enters the nonlinearity (He et al. 2015);
            highway: a learned gate per unit weighs output against input (Srivastava et al. 2015).
        skip_init: with skip=residual, multiply what is added to the input by a learned scalar that
            starts at 0 (SkipInit: De & Smith 2020).
        fixup: with skip=residual and norm=none, start as Fixup has it (Zhang et al. 2019): output
            layer and layers with a shortcut at 0, learned scalars between.
        gate_bias: with skip=highway, what the gates' bias starts from: the lower, the more of its
            input a layer carries on. Deeper networks want it lower.
        fixup_rate: with fixup, the share of the learning rate at which plain SGD trains the learned
            scalars; the authors' code has 0.1.

    Raises:
        ConfigError: `skip_init` or `fixup` without skip=residual, or together, or `fixup` with a
            norm; `gate_bias` without skip=highway; `fixup_rate` without `fixup`.
    """
    for name, asked in (("skip_init", skip_init), ("fixup", fixup)):
        if asked and skip != "residual":
            raise ConfigError(f"model.{name}=true needs model.skip=residual (it is {skip})")
    if gate_bias != _GATE_BIAS and skip != "highway":
        raise ConfigError(f"model.gate_bias={gate_bias:g} needs model.skip=highway (it is {skip})")
    unit = asked_unit(unit, fixup, fixup_rate)
    inputs = keras.Input(input_shape, name="images")
    x = keras.layers.Flatten(dtype=unit.policy, name="flatten")(inputs)
    for index, units in enumerate(hidden, start=1):
        name, dense = f"dense_{index}", partial(TransposedDense, units)
        way = skip if x.shape[-1] == units else "none"
        if way == "highway":
            x = _highway(unit, name, dense, x, gate_bias)
        else:
            shortcut = x if way == "residual" else None
            x = unit(name, dense, x, shortcut=shortcut, skip_init=skip_init)
    if dropout:
        x = unit.dropout(dropout, "dropout")(x)
    return keras.Model(inputs, unit.logits(classes, x), name="mlp")


mlp.jit = True  # type: ignore[attr-defined]
mlp.steps_per_call = 500  # type: ignore[attr-defined]
mlp.eval_batch = 1000  # type: ignore[attr-defined]


def _highway(
    unit: Unit,
    name: str,
    dense: partial[keras.layers.Layer],
    x: keras.KerasTensor,
    gate_bias: float,
) -> keras.KerasTensor:
    """T * H(x) + (1 - T) * x, gate T = sigmoid(W x + b + gate_bias), b at first `init.bias`."""
    transformed = unit(name, dense, x)
    gate = dense(dtype=unit.policy, name=f"{name}_gate")(x)
    share = keras.ops.sigmoid(gate + gate_bias)
    return transformed * share + x * (1 - share)
