"""What a network consists of, in an order that the arms of a comparison share.

Keras sorts `model.layers` by depth, and a norm in one of two parallel branches changes that
order. Here a layer comes after all that leads to it, branches in the order of the arguments: norms
stand within a branch and move nothing else.
"""

import weakref
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from bnexp.networks.dense import TransposedDense

_norms: "weakref.WeakSet[keras.layers.Layer]" = weakref.WeakSet()
_starts: "weakref.WeakKeyDictionary[keras.layers.Layer, float]" = weakref.WeakKeyDictionary()


def mark_norm(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Remembers that a layer is what `norm=` put there, and gives it back."""
    _norms.add(layer)
    return layer


def scale_start(layer: keras.layers.Layer, factor: float) -> keras.layers.Layer:
    """Has `initialize` multiply a layer's first weights and biases by a factor; gives it back."""
    _starts[layer] = factor
    return layer


def start_factor(layer: keras.layers.Layer) -> float:
    """What `scale_start` said of a layer, or 1."""
    return _starts.get(layer, 1.0)


def norm_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """What `norm=` put into the network, of whichever kind, first to last."""
    return [layer for layer in all_layers(model) if layer in _norms]


def all_layers(model: keras.layers.Layer, *, norms: bool = True) -> list[keras.layers.Layer]:
    """Every layer once, first to last, however deep it is nested; the layers that it holds follow.

    Args:
        model: a network, or a layer of one.
        norms: whether to count what `norm=` put there.
    """
    found: dict[int, keras.layers.Layer] = {}

    def visit(layer: keras.layers.Layer) -> None:
        if id(layer) in found or (layer in _norms and not norms):
            return
        found[id(layer)] = layer
        for inner in _held(layer):
            visit(inner)

    visit(model)
    return list(found.values())


def _held(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layers directly inside a layer."""
    held = list(layer._layers)
    if is_graph(layer):
        operations = (node.operation for node in nodes_in_order(layer))
        held = [one for one in operations if isinstance(one, keras.layers.Layer)] + held
    return held


def is_graph(layer: Any) -> bool:
    """Whether this is a model whose calls are a known graph: Functional or built Sequential."""
    if isinstance(layer, keras.Sequential):
        return layer._functional is not None and _called_as_keras_does(layer)
    is_functional = isinstance(layer, keras.Model) and isinstance(layer, keras.Function)
    return is_functional and _called_as_keras_does(layer)


def _called_as_keras_does(model: keras.Model) -> bool:
    owner = next(cls for cls in type(model).__mro__ if "call" in vars(cls))
    return owner.__module__.startswith("keras.")


def graph_of(model: keras.Model) -> Any:
    """The `keras.Function` of a model that `is_graph`."""
    return model._functional if isinstance(model, keras.Sequential) else model


def producers(model: keras.Model) -> dict[int, Any]:
    """For each tensor of a graph (by its id) the node, a call of an operation, that made it."""
    nodes = (node for nodes in graph_of(model)._nodes_by_depth.values() for node in nodes)
    return {id(tensor): node for node in nodes for tensor in node.output_tensors}


def nodes_in_order(model: keras.Model) -> Iterator[Any]:
    """The calls of a graph: each after those that it depends on, in the order of its arguments."""
    made_by = producers(model)
    seen: set[int] = set()
    stack = [(made_by[id(tensor)], False) for tensor in reversed(graph_of(model).outputs)]
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            before = [made_by[id(tensor)] for tensor in node.input_tensors]
            stack += [(one, False) for one in reversed(before)]


def is_kernel(variable: keras.Variable) -> bool:
    """Whether a variable is a layer's matrix or filters: what the paper writes as W."""
    named = variable.name == "kernel" or variable.name.endswith("_kernel")
    return named and len(variable.shape) > 1


def own_variables(layer: keras.layers.Layer) -> list[keras.Variable]:
    """A layer's variables without those of layers in it, nor the states of its generators."""
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def weight_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers with a kernel, first to last: what the paper writes as W (and b)."""
    layers = all_layers(model, norms=False)
    return [layer for layer in layers if any(map(is_kernel, own_variables(layer)))]


def kernels(model: keras.Model) -> list[keras.Variable]:
    """All kernels, first to last; a separable convolution has two."""
    layers = all_layers(model, norms=False)
    return [one for layer in layers for one in own_variables(layer) if is_kernel(one)]


def hidden_kernels(model: keras.Model) -> list[keras.Variable]:
    """All kernels but those of the last layer that has any, the output layer."""
    outputs = {id(one) for layer in weight_layers(model)[-1:] for one in own_variables(layer)}
    return [kernel for kernel in kernels(model) if id(kernel) not in outputs]


def kernel_of(layer: keras.layers.Layer) -> np.ndarray:
    """W of a layer, however it keeps it: (inputs, units), or (height, width, inputs, filters).

    A separable convolution's is the one of the convolution that it equals.
    """
    if isinstance(layer, TransposedDense):
        return np.asarray(layer.kernel).T
    if hasattr(layer, "pointwise_kernel"):
        depthwise = np.asarray(layer.depthwise_kernel)  # (..., inputs, multiplier)
        pointwise = np.asarray(layer.pointwise_kernel)  # (1.., inputs * multiplier, filters)
        pointwise = pointwise.reshape(*depthwise.shape[-2:], -1)
        return np.einsum("...im,imf->...if", depthwise, pointwise)
    return np.asarray(layer.kernel)
