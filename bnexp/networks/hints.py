"""How a network is compiled and fed: what its builder says, or what its layers suggest."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from bnexp.networks.structure import all_layers, is_graph, nodes_in_order, own_variables

# Memory of the layers' outputs that an evaluation may hold at once.
_EVALUATION_BYTES = 256 * 2**20
_LARGEST_EVALUATION = 1000
# A call of the training program is to take about half a second: in that time the paper's dense
# network of 100,000 weights makes 500 steps, the original repository's convolutional one 10.
_STEPS, _WEIGHTS, _STEPS_OF_CONVOLUTIONS = 500, 150_000, 10


@dataclass(frozen=True)
class Hints:
    """How to run a network fast; no number depends on it but in the order of rounding.

    Attributes:
        jit: compile with XLA: for dense networks alone. In an XLA loop on a CPU a convolution is
            some twenty times as slow as without.
        steps_per_call: training steps in a call of the compiled program.
        eval_batch: images that are evaluated at once.
    """

    jit: bool
    steps_per_call: int
    eval_batch: int


def hints(build: Any, model: keras.Model) -> Hints:
    """The builder's attributes of these names, and for those that it lacks what suits the model."""
    jit = bool(getattr(build, "jit", _suits_xla(model)))
    return Hints(
        jit=jit,
        steps_per_call=int(getattr(build, "steps_per_call", _steps_per_call(model, jit))),
        eval_batch=int(getattr(build, "eval_batch", _eval_batch(model))),
    )


def activation_bytes(model: keras.Model) -> int:
    """Memory that all layers' outputs take for one image: what a training step keeps of each.

    An estimate: sizes that are not known count as 1, and a layer of the user's as if every layer in
    it had an output as large as its own.
    """
    return sum(_output_bytes(call) for call in _calls(model))


def _calls(model: keras.Model) -> Iterator[Any]:
    """The calls of a network's graph, and of graphs in it."""
    for node in nodes_in_order(model):
        if is_graph(node.operation):
            yield from _calls(node.operation)
        else:
            yield node


def _output_bytes(call: Any) -> int:
    operation = call.operation
    layers = all_layers(operation) if isinstance(operation, keras.layers.Layer) else []
    inner = max(1, sum(not layer._layers for layer in layers))
    return inner * sum(map(_bytes, call.output_tensors))


def _bytes(tensor: keras.KerasTensor) -> int:
    size: int = tf.as_dtype(tensor.dtype).size
    return size * math.prod(length or 1 for length in tensor.shape[1:])


def _suits_xla(model: keras.Model) -> bool:
    layers = all_layers(model)
    return not any(
        not layer.supports_jit
        or isinstance(layer, _slow_in_xla())
        or any(len(variable.shape) > 3 for variable in own_variables(layer))  # own convolutions
        for layer in layers
    )


def _slow_in_xla() -> tuple[type[keras.layers.Layer], ...]:
    """Keras's convolutions, poolings and recurrent layers."""
    names = [name for name in dir(keras.layers) if "Conv" in name or "Pool" in name]
    return (keras.layers.RNN, *(getattr(keras.layers, name) for name in names))


def _steps_per_call(model: keras.Model, jit: bool) -> int:
    if not jit:
        return _STEPS_OF_CONVOLUTIONS
    weights = max(1, model.count_params())
    return min(_STEPS, max(_STEPS_OF_CONVOLUTIONS, _STEPS * _WEIGHTS // weights))


def _eval_batch(model: keras.Model) -> int:
    """By what is held at once: inputs and outputs of a call, and as much in other branches."""
    held = max(_output_bytes(call) + sum(map(_bytes, call.input_tensors)) for call in _calls(model))
    return min(_LARGEST_EVALUATION, max(1, _EVALUATION_BYTES // (2 * held)))
