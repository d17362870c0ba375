"""Residual networks without a norm, by how they start (Fixup: Zhang, Dauphin & Ma 2019)."""

import keras

from bnexp.config import ConfigError
from bnexp.networks.learned_scale import LearnedScale
from bnexp.networks.learned_shift import LearnedShift
from bnexp.networks.structure import scale_start
from bnexp.networks.unit import Linear, Unit


def asked_unit(unit: Unit, fixup: bool, rate: float, branches: int = 1, depth: int = 1) -> Unit:
    """The unit, or with `fixup` that of Fixup (`FixupUnit` has the arguments).

    Raises:
        ConfigError: a rate without `fixup`, or `fixup` with a norm.
    """
    if fixup:
        return FixupUnit(unit, branches, depth, rate)
    if rate != 1:
        raise ConfigError(f"model.fixup_rate={rate:g} needs model.fixup=true")
    return unit


class FixupUnit(Unit):
    """The unit of a residual network that follows the three rules of Fixup.

    1. The output layer and the last layer of each branch start at 0, so that at the start every
       block is its shortcut and all logits are 0.
    2. The other layers of branches start at L^(-1 / (2m - 2)) of what they are drawn as, for L
       branches of m layers; with m = 1 there are none.
    3. Each branch ends with a learned factor, at first 1; and before each linear map and each
       nonlinearity a learned number is added, at first 0.

    Linear maps keep the biases that they have without a norm, which rule 3 does not ask for. The
    authors' code trains the learned scalars at a tenth of the learning rate, rate=0.1. One number
    for all units and places has a large gradient: convolutions die at rates that their weights bear
    if it is trained at the same.

    Args:
        unit: what the arms vary.
        branches: of the network (L), which rule 2 asks for.
        depth: layers with weights in a branch (m).
        rate: share of the learning rate at which plain SGD trains the learned scalars.

    Raises:
        ConfigError: there is a norm, which Fixup stands in for.
    """

    def __init__(self, unit: Unit, branches: int = 1, depth: int = 1, rate: float = 1.0) -> None:
        vars(self).update(vars(unit))
        if self.norm("unit") is not None:
            raise ConfigError("model.fixup=true trains without a norm: choose norm=none")
        self._inner = branches ** (-1 / (2 * depth - 2)) if depth > 1 else 1.0
        self._rate = rate

    def __call__(
        self,
        name: str,
        linear: Linear,
        x: keras.KerasTensor,
        *,
        shortcut: keras.KerasTensor | None = None,
        skip_init: bool = False,
        in_branch: bool = False,
    ) -> keras.KerasTensor:
        """As of `Unit`, without norm.

        Raises:
            ConfigError: `skip_init`, too.
        """
        if skip_init:
            raise ConfigError(
                "model.skip_init=true with model.fixup=true: choose one, as a branch whose factor "
                "and last layer both start at 0 never learns"
            )
        x = self._shifted(name, x)
        layer = linear(use_bias=self.use_bias, dtype=self.policy, name=name)
        if shortcut is not None:
            x = scale_start(layer, 0.0)(x)
            scale = LearnedScale(1.0, self._rate, dtype=self.policy, name=f"{name}_scale")
            x = scale(x)
        else:
            x = scale_start(layer, self._inner if in_branch else 1.0)(x)
        x = self._shifted(f"{name}_{self._activation}", x)
        if shortcut is not None:
            x = keras.layers.Add(dtype=self.policy, name=f"{name}_add")([x, shortcut])
        return self.activation(name)(x)

    def logits(self, classes: int, x: keras.KerasTensor) -> keras.KerasTensor:
        """The output layer, which starts at 0."""
        layer = keras.layers.Dense(classes, dtype="float32", name="logits")
        return scale_start(layer, 0.0)(self._shifted("logits", x))

    def _shifted(self, name: str, x: keras.KerasTensor) -> keras.KerasTensor:
        return LearnedShift(self._rate, dtype=self.policy, name=f"{name}_shift")(x)
