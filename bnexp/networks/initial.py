"""Initial values of any network, from streams that all arms of a seed share."""

import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

import keras
import numpy as np

from bnexp.networks.dense import TransposedDense
from bnexp.networks.structure import (
    all_layers,
    is_kernel,
    kernel_of,
    kernels,
    norm_layers,
    own_variables,
    start_factor,
    weight_layers,
)
from bnexp.training.seeds import stream_seed

__all__ = ["Draw", "initialize", "kernel_of", "kernels", "weight_layers"]


class Draw(Protocol):
    """A distribution of initial weights: what an option of the group `init` gives."""

    def draw(self, shape: tuple[int, ...], seed: int) -> Any:
        """Weights of shape (inputs, units), or (height, width, inputs, filters)."""


def initialize(
    model: keras.Model, draw: Draw | None, seed: int, *, bias: float = 0.0, scale: float = 1.0
) -> None:
    """Sets every variable to its value before step 0.

    The k-th kernel, counted first to last without what norms have, comes from the stream (seed,
    weights, k): it depends on `draw`, `seed` and k alone, so that all arms of a seed start from
    the same kernels. What draws while training (dropout) starts at the stream (seed, dropout, k).
    Other weights with a random initializer come from a stream named for them. All else,
    statistics, gamma and beta too, gets back the value that it was built with. A layer of which
    `scale_start` said a factor starts at that multiple of all this.

    Args:
        model: a network of any layers, however nested, that was not trained before its first
            initialization.
        draw: the distribution of the kernels; None: kernels and biases are as the network's own
            initializers have them.
        seed: the run's.
        bias: value of every bias, where `draw` is given.
        scale: factor on the kernels of all layers but the last, the output layer.
    """
    built = _values_when_built(model)
    layers = weight_layers(model)
    drawn = [pair for pair in _owned(layers) if is_kernel(pair[1])]
    for index, (layer, kernel) in enumerate(drawn):
        value = _drawn(layer, kernel, draw, stream_seed(seed, "weights", index))
        value = built[id(kernel)] if value is None else value
        kernel.assign(start_factor(layer) * (1.0 if layer is layers[-1] else scale) * value)
    others = [pair for pair in _owned(all_layers(model, norms=False)) if not is_kernel(pair[1])]
    for variable, value in _other_values(others, seed, "weights"):
        if variable.name == "bias" and draw is not None:
            value = keras.ops.full_like(variable, bias)
        variable.assign(built[id(variable)] if value is None else value)
    for layer, variable in others:
        if (factor := start_factor(layer)) != 1:
            variable.assign(factor * variable)
    for variable, value in _other_values(_owned(_within_norms(model)), seed, "weights of norms"):
        variable.assign(built[id(variable)] if value is None else value)
    _start_generators(model, seed)


def _owned(
    layers: list[keras.layers.Layer],
) -> list[tuple[keras.layers.Layer, keras.Variable]]:
    """The variables of layers, each with the layer that it is of."""
    return [(layer, variable) for layer in layers for variable in own_variables(layer)]


def _drawn(
    layer: keras.layers.Layer, kernel: keras.Variable, draw: Draw | None, seed: int
) -> Any | None:
    """Initial weights of a layer, the same however it keeps its kernel; None: none are drawn."""
    transposed = isinstance(layer, TransposedDense)
    shape = tuple(kernel.shape[::-1] if transposed else kernel.shape)
    if draw is not None:
        value = draw.draw(shape, seed)
    elif initializer := _random_initializer(layer, kernel):
        value = _with_seed(initializer, seed)(shape, dtype=kernel.dtype)
    else:
        return None
    return keras.ops.transpose(value) if transposed else value


def _other_values(
    owned: list[tuple[keras.layers.Layer, keras.Variable]], seed: int, purpose: str
) -> Iterator[tuple[keras.Variable, Any | None]]:
    """Variables, each with its value if its layer has a random initializer for it."""
    count = Counter[str]()
    for layer, variable in owned:
        value = None
        if initializer := _random_initializer(layer, variable):
            stream = stream_seed(seed, f"{purpose} {variable.name}", count[variable.name])
            value = _with_seed(initializer, stream)(variable.shape, dtype=variable.dtype)
            count[variable.name] += 1
        yield variable, value


def _within_norms(model: keras.Model) -> list[keras.layers.Layer]:
    """What `norm=` put into the network, with the layers in it, each once."""
    found = {id(one): one for norm in norm_layers(model) for one in all_layers(norm)}
    return list(found.values())


def _random_initializer(
    layer: keras.layers.Layer, variable: keras.Variable
) -> keras.Initializer | None:
    """The initializer that a layer keeps for a variable, if it has a seed."""
    names = [variable.name, variable.name.removesuffix("_kernel")]
    names += ["depthwise"] if variable.name == "kernel" else []  # of DepthwiseConv
    for name in names:
        found = getattr(layer, f"{name}_initializer", None)
        if isinstance(found, keras.Initializer) and "seed" in found.get_config():
            return found
    return None


def _with_seed(initializer: keras.Initializer, seed: int) -> keras.Initializer:
    return type(initializer).from_config(initializer.get_config() | {"seed": seed})


def _start_generators(model: keras.Model, seed: int) -> None:
    """Sets Keras's counter-based generators: a seed, and how often it was drawn from."""
    of_norms = {id(one) for one in _generators(_within_norms(model))}
    count = Counter[str]()
    for generator in _generators(all_layers(model)):
        purpose = "dropout of norms" if id(generator) in of_norms else "dropout"
        generator.state.assign([stream_seed(seed, purpose, count[purpose]), 0])
        count[purpose] += 1


def _generators(layers: list[keras.layers.Layer]) -> list[keras.random.SeedGenerator]:
    found = {id(one): one for layer in layers for one in layer._seed_generators}
    return list(found.values())


_built: "weakref.WeakKeyDictionary[keras.Model, dict[int, np.ndarray]]" = (
    weakref.WeakKeyDictionary()
)


def _values_when_built(model: keras.Model) -> dict[int, np.ndarray]:
    """The values, by the variable's id, that no initializer here can give again."""
    if model not in _built:
        _built[model] = {
            id(variable): np.asarray(variable)
            for layer, variable in _owned(all_layers(model))
            if not _random_initializer(layer, variable)
        }
    return _built[model]
