"""What the arms of a comparison vary in a network."""

import difflib
from collections.abc import Callable
from typing import Literal, TypeAlias

import keras

from bnexp.config import ConfigError
from bnexp.networks.chance import made_detached
from bnexp.networks.dropout import PhiloxDropout
from bnexp.networks.learned_scale import LearnedScale
from bnexp.networks.structure import mark_norm

# norm(name=..., dtype=...) gives a layer, or None for no normalization
Norm: TypeAlias = Callable[..., keras.layers.Layer | None]
# linear(use_bias=..., dtype=..., name=...) gives a dense layer or a convolution
Linear: TypeAlias = Callable[..., keras.layers.Layer]


class Unit:
    """The unit that networks repeat: a linear map, a norm and a nonlinearity.

    A network's builder gets one, and leaves to it what `norm=` and `model.activation=` say:

        conv = functools.partial(keras.layers.Conv2D, 16, 3, padding="same")
        x = unit("conv_1", conv, x)                  # conv_1, conv_1_norm, conv_1_relu
        y = unit("conv_2", conv, x)
        x = unit("conv_3", conv, y, shortcut=x)      # the shortcut joins before the nonlinearity
        logits = unit.logits(classes, keras.layers.GlobalAveragePooling2D()(x))

    Args:
        norm: makes the norm of a given name and dtype policy, or None. What it makes may have a
            method `wrap(linear)`, through which each linear map before such a norm is passed.
        activation: Keras's name of the nonlinearity.
        policy: Keras's name of the precision policy, for every layer of the network.
        position: where the norm stands. pre: before the nonlinearity; post: after it.
        bias: whether linear maps keep their bias before a norm.
        jit: whether the network is compiled by XLA, which decides what dropout is fast.

    Attributes:
        policy: as given.
        use_bias: whether a linear map before a nonlinearity has a bias: not directly before a
            norm, where beta takes its place (section 3.2), unless `bias` says so.

    Raises:
        ConfigError: Keras knows no such activation.
    """

    def __init__(
        self,
        norm: Norm,
        activation: str,
        policy: str,
        position: Literal["pre", "post"] = "pre",
        bias: bool = False,
        jit: bool = False,
    ) -> None:
        _check_activation(activation)
        self.policy = policy
        self._make_norm, self._activation = norm, activation
        self._pre = position == "pre"
        self._bias = bias or self.norm("unit") is None
        self.use_bias = self._bias or not self._pre
        self._dropout = PhiloxDropout if jit else keras.layers.Dropout

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
        """linear -> norm -> nonlinearity, or with position=post the last two exchanged.

        Args:
            name: of the linear map; the others are called <name>_norm and <name>_<activation>.
            linear: makes the linear map, given use_bias, dtype and name.
            x: its input.
            shortcut: added to what enters the nonlinearity (He et al. 2015, Fig. 2).
            skip_init: multiply what is added to the shortcut by a `LearnedScale` from 0.
            in_branch: whether a later layer, with the shortcut, ends the branch that this one is
                in; read by `bnexp.networks.fixup.FixupUnit`.
        """
        norm = self.norm(name)
        x = self._mapped(name, linear, norm, self.use_bias)(x)
        if norm is not None and self._pre:
            x = norm(x)
        if shortcut is not None:
            if skip_init:
                x = LearnedScale(dtype=self.policy, name=f"{name}_scale")(x)
            x = keras.layers.Add(dtype=self.policy, name=f"{name}_add")([x, shortcut])
        x = self.activation(name)(x)
        if norm is not None and not self._pre:
            x = norm(x)
        return x

    def normalized(self, name: str, linear: Linear, x: keras.KerasTensor) -> keras.KerasTensor:
        """linear -> norm without a nonlinearity, as on a shortcut that changes the width."""
        norm = self.norm(name)
        x = self._mapped(name, linear, norm, self._bias)(x)
        return x if norm is None else norm(x)

    def logits(self, classes: int, x: keras.KerasTensor) -> keras.KerasTensor:
        """The output layer: (batch, features) to float32 logits (batch, classes)."""
        return keras.layers.Dense(classes, dtype="float32", name="logits")(x)

    def norm(self, name: str) -> keras.layers.Layer | None:
        """A norm called <name>_norm, or None."""
        layer = made_detached(lambda: self._make_norm(name=f"{name}_norm", dtype=self.policy))
        return None if layer is None else mark_norm(layer)

    def activation(self, name: str) -> keras.layers.Layer:
        """A nonlinearity called <name>_<activation>."""
        return keras.layers.Activation(
            self._activation, dtype=self.policy, name=f"{name}_{self._activation}"
        )

    def dropout(self, rate: float, name: str) -> keras.layers.Layer:
        """Sets a share `rate` of its inputs to 0 in training and scales up the others."""
        return self._dropout(rate, seed=0, dtype=self.policy, name=name)

    def _mapped(
        self, name: str, linear: Linear, norm: keras.layers.Layer | None, use_bias: bool
    ) -> keras.layers.Layer:
        layer = linear(use_bias=use_bias, dtype=self.policy, name=name)
        if norm is not None and hasattr(norm, "wrap"):
            return made_detached(lambda: norm.wrap(layer))
        return layer


def _check_activation(name: str) -> None:
    try:
        keras.activations.get(name)
    except ValueError as error:
        close = difflib.get_close_matches(name, dir(keras.activations), n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ", as relu, sigmoid or tanh are"
        raise ConfigError(f"model.activation={name} is no activation of Keras{hint}") from error
