"""Networks from config: ordinary Keras models, with initial weights drawn by named streams."""

from collections.abc import Callable

import keras
import numpy as np

from bnexp.config import Init, Model, Norm
from bnexp.networks.dense import TransposedDense
from bnexp.networks.dropout import PhiloxDropout
from bnexp.norms.batch import BatchNorm
from bnexp.training.seeds import stream_seed

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def build_model(
    config: Model,
    norm: Norm,
    input_shape: tuple[int, ...],
    classes: int,
    precision: str = "float32",
) -> keras.Model:
    """A network from images (batch, height, width, channels) to logits (batch, classes).

    Logits are float32 whatever the precision. Weights are zero until `initialize`.

    Args:
        config: the `model` group.
        norm: the `norm` group: what stands before (or after) each nonlinearity.
        input_shape: (height, width, channels).
        classes: number of outputs.
        precision: float32 or bfloat16 (Keras's mixed policy).
    """
    inputs = keras.Input(input_shape, name="images")
    stack = _Stack(config, norm, POLICIES[precision])
    features = BUILDERS[config.kind](config, stack, inputs)
    if config.dropout:
        dropout = DROPOUTS[config.kind]
        features = dropout(config.dropout, seed=0, dtype=stack.policy, name="dropout")(features)
    logits = keras.layers.Dense(
        classes, kernel_initializer="zeros", dtype="float32", name="logits"
    )(features)
    return keras.Model(inputs, logits, name=config.kind)


class _Stack:
    """The unit that all networks repeat: a linear map, a norm and a nonlinearity."""

    def __init__(self, config: Model, norm: Norm, policy: str) -> None:
        self._activation = config.activation
        self._norm = norm
        self.policy = policy

    def normalized(
        self, name: str, linear: Callable[..., keras.layers.Layer], x: keras.KerasTensor
    ) -> keras.KerasTensor:
        """linear -> norm -> nonlinearity, or with norm.position=post the last two exchanged.

        Before a norm the linear map has no bias: beta takes its place (section 3.2). With
        norm.bias=true it keeps it.
        """
        pre = self._norm.kind != "none" and self._norm.position == "pre"
        x = linear(use_bias=self._norm.bias or not pre, dtype=self.policy, name=name)(x)
        if pre:
            x = self._normalizer(name)(x)
        x = self.activate(name, x)
        if self._norm.kind != "none" and not pre:
            x = self._normalizer(name)(x)
        return x

    def activate(self, name: str, x: keras.KerasTensor) -> keras.KerasTensor:
        layer = keras.layers.Activation(
            self._activation, dtype=self.policy, name=f"{name}_{self._activation}"
        )
        return layer(x)

    def _normalizer(self, name: str) -> keras.layers.Layer:
        return NORMALIZERS[self._norm.kind](self._norm, self.policy, f"{name}_norm")


def _mlp(config: Model, stack: _Stack, x: keras.KerasTensor) -> keras.KerasTensor:
    x = keras.layers.Flatten(dtype=stack.policy, name="flatten")(x)
    for index, units in enumerate(config.hidden, start=1):
        x = stack.normalized(f"dense_{index}", _dense(units, TransposedDense), x)
    return x


def _cnn(config: Model, stack: _Stack, x: keras.KerasTensor) -> keras.KerasTensor:
    for index, filters in enumerate(config.filters, start=1):
        x = stack.normalized(f"conv_{index}", _conv(filters, config.kernel_size), x)
        x = keras.layers.MaxPooling2D(
            padding="same", dtype=stack.policy, name=f"conv_{index}_pool"
        )(x)
    x = keras.layers.Flatten(dtype=stack.policy, name="flatten")(x)
    for index, units in enumerate(config.hidden, start=1):
        x = _dense(units)(dtype=stack.policy, name=f"dense_{index}")(x)
        x = stack.activate(f"dense_{index}", x)
    return x


def _dense(
    units: int, kind: type[keras.layers.Dense] = keras.layers.Dense
) -> Callable[..., keras.layers.Layer]:
    def layer(**kwargs: object) -> keras.layers.Layer:
        return kind(units, kernel_initializer="zeros", **kwargs)

    return layer


def _conv(filters: int, size: int) -> Callable[..., keras.layers.Layer]:
    def layer(**kwargs: object) -> keras.layers.Layer:
        return keras.layers.Conv2D(
            filters, size, padding="same", kernel_initializer="zeros", **kwargs
        )

    return layer


def _batch_norm(norm: Norm, policy: str, name: str) -> keras.layers.Layer:
    return BatchNorm(
        momentum=norm.momentum,
        epsilon=norm.epsilon,
        gradient=norm.gradient,
        dtype=policy,
        name=name,
    )


def _layer_norm(norm: Norm, policy: str, name: str) -> keras.layers.Layer:
    """Layer Normalization (Ba et al. 2016): all of an example's units, or locations and channels.

    One group of Keras's group normalization; unlike its `LayerNormalization` this has one
    gamma and beta per channel of a feature map, as `BatchNorm` has.
    """
    return keras.layers.GroupNormalization(groups=1, epsilon=norm.epsilon, dtype=policy, name=name)


BUILDERS: dict[str, Callable[[Model, _Stack, keras.KerasTensor], keras.KerasTensor]] = {
    "mlp": _mlp,
    "cnn": _cnn,
}
# for dense networks, which XLA compiles, the one that is fast there
DROPOUTS: dict[str, type[keras.layers.Dropout]] = {
    "mlp": PhiloxDropout,
    "cnn": keras.layers.Dropout,
}
NORMALIZERS: dict[str, Callable[[Norm, str, str], keras.layers.Layer]] = {
    "batch": _batch_norm,
    "layer": _layer_norm,
}
INITIALIZERS: dict[str, Callable[[float, int], keras.initializers.Initializer]] = {
    "gaussian": lambda stddev, seed: keras.initializers.RandomNormal(0.0, stddev, seed),
    "truncated": lambda stddev, seed: keras.initializers.TruncatedNormal(0.0, stddev, seed),
    "glorot": lambda _, seed: keras.initializers.GlorotUniform(seed),
    "he": lambda _, seed: keras.initializers.HeNormal(seed),
}


def weight_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers with a kernel, first to last: what the paper writes as W (and b)."""
    kinds = (keras.layers.Dense, keras.layers.Conv2D)
    return [layer for layer in model.layers if isinstance(layer, kinds)]


def kernel_of(layer: keras.layers.Layer) -> np.ndarray:
    """W of a dense layer as (inputs, units), however the layer keeps it."""
    kernel = np.asarray(layer.kernel)
    return kernel.T if isinstance(layer, TransposedDense) else kernel


def initialize(model: keras.Model, init: Init, seed: int) -> None:
    """Sets every variable to its value before step 0.

    The kernel of the k-th layer and the masks of the k-th dropout depend on `init`, `seed`
    and k alone, so that networks with and without norm start from the same kernels.
    `init.scale` multiplies the kernels of all layers but the last, the output layer.
    """
    layers = weight_layers(model)
    for index, layer in enumerate(layers):
        stddev = init.stddev
        if isinstance(layer, keras.layers.Conv2D) and init.conv_stddev is not None:
            stddev = init.conv_stddev
        draw = INITIALIZERS[init.kind](stddev, stream_seed(seed, "weights", index))
        scale = init.scale if layer is not layers[-1] else 1.0
        layer.kernel.assign(scale * _drawn(draw, layer))
        if layer.bias is not None:
            layer.bias.assign(keras.ops.full_like(layer.bias, init.bias))
    for layer in model.layers:
        if layer not in layers:
            _reset(layer)
    dropouts = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    for index, layer in enumerate(dropouts):
        # Keras's counter-based generator: the seed, then how often it was drawn from
        layer.seed_generator.state.assign([stream_seed(seed, "dropout", index), 0])


def _drawn(draw: keras.initializers.Initializer, layer: keras.layers.Layer) -> keras.KerasTensor:
    """Initial weights of a layer, the same however it keeps its kernel."""
    if isinstance(layer, TransposedDense):
        return keras.ops.transpose(draw(layer.kernel.shape[::-1]))
    return draw(layer.kernel.shape)


def _reset(layer: keras.layers.Layer) -> None:
    """Sets the weights of a norm (other layers without a kernel have none) to their start."""
    for variable in layer.weights:
        variable.assign(getattr(layer, f"{variable.name}_initializer")(variable.shape))
