"""The end of a network: cut to its logits, in float32."""

import re
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from bnexp.config import ConfigError
from bnexp.networks.structure import graph_of, is_graph, producers

_SHAPES = (keras.layers.Reshape, keras.layers.Flatten, keras.layers.Identity)
_STANDALONE = (keras.layers.Activation, keras.layers.Softmax)
_PROBABILITIES = ("sigmoid", "hard_sigmoid", "sparsemax", "sparse_sigmoid")
_FLOAT32 = keras.DTypePolicy("float32")


def cut_to_logits(model: keras.Model, title: str) -> dict[int, keras.layers.Layer]:
    """Makes a network's last layers compute logits in float32.

    A dense layer or convolution at the end loses its softmax.

    Args:
        model: a model that `is_graph`; its last layers are changed.
        title: of the network, for errors.

    Returns:
        By id, operations that only took the softmax, and what is to stand in their place.

    Raises:
        ConfigError: the network ends in other probabilities.
    """
    replaced: dict[int, keras.layers.Layer] = {}
    for operation in _last_operations(model):
        name = _function(operation)
        if name in _PROBABILITIES:
            raise ConfigError(
                f"{title} ends in {name} (layer {operation.name}): logits are asked for, or a "
                "softmax, which is left out"
            )
        if name == "softmax" and _is_standalone(operation):
            replaced[id(operation)] = keras.layers.Identity(dtype=_FLOAT32, name=operation.name)
        elif name == "softmax":
            operation.activation = keras.activations.linear
        if _is_keras_layer(operation) and operation.compute_dtype != operation.variable_dtype:
            operation.dtype_policy = _FLOAT32
    return replaced


def check_logits(model: keras.Model, title: str) -> None:
    """Whether the outputs are logits, by their values where a layer of the user's makes them.

    Raises:
        ConfigError: they are probabilities.
    """
    last = list(_last_operations(model))[-1]
    if _is_keras_layer(last) and not isinstance(last, keras.layers.Lambda):
        return
    shape = [size or 1 for size in model.inputs[0].shape[1:]]
    images = np.random.default_rng(0).random((4, *shape), "float32")
    outputs = np.asarray(model(keras.ops.convert_to_tensor(images), training=False), "float64")
    if (outputs >= 0).all() and np.allclose(outputs.sum(-1), 1, atol=1e-3):
        raise ConfigError(f"{title} gives probabilities (layer {last.name}): leave out its softmax")


def as_float32(model: keras.Model) -> keras.Model:
    """The network with float32 outputs."""
    if model.outputs[0].dtype == "float32":
        return model
    logits = keras.layers.Identity(dtype=_FLOAT32, name="float32_logits")(model.outputs[0])
    return keras.Model(model.input, logits, name=model.name)


def _last_operations(model: keras.Model) -> Iterator[Any]:
    """From the end back to the first operation that computes more than a shape or a function."""
    made_by = producers(model)
    tensor = graph_of(model).outputs[0]
    while True:
        node = made_by[id(tensor)]
        if is_graph(node.operation):
            yield from _last_operations(node.operation)
            return
        yield node.operation
        if not (_passes(node.operation) and node.input_tensors):
            return
        tensor = node.input_tensors[0]


def _passes(operation: Any) -> bool:
    return isinstance(operation, _SHAPES) or _is_standalone(operation)


def _is_standalone(operation: Any) -> bool:
    """A function of its input alone: a layer for it, or a plain operation."""
    if isinstance(operation, keras.layers.Layer):
        return isinstance(operation, _STANDALONE)
    return _function(operation) in ("softmax", "log_softmax", *_PROBABILITIES, "cast", "reshape")


def _function(operation: Any) -> str:
    """The name of the function that an operation ends with, such as softmax; "" for none."""
    if isinstance(operation, keras.layers.Softmax):
        return "softmax"
    if isinstance(operation, keras.layers.Layer):
        return str(getattr(getattr(operation, "activation", None), "__name__", ""))
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", type(operation).__name__).lower()


def _is_keras_layer(operation: Any) -> bool:
    return isinstance(operation, keras.layers.Layer) and type(operation).__module__.startswith(
        "keras."
    )
