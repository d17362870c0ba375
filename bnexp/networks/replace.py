"""Another normalizer in place of each `BatchNormalization` of a network that is already built."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import keras

from bnexp.config import ConfigError
from bnexp.networks.bias import Bias
from bnexp.networks.chance import made_detached
from bnexp.networks.structure import (
    all_layers,
    is_graph,
    is_kernel,
    mark_norm,
    nodes_in_order,
    own_variables,
    producers,
)
from bnexp.networks.unit import Norm
from bnexp.norms.batch import BatchNorm

BATCH_NORMS = (keras.layers.BatchNormalization, BatchNorm)


def batch_norms(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that `replace_batch_norms` replaces, first to last, however deep."""
    return [layer for layer in all_layers(model) if isinstance(layer, BATCH_NORMS)]


def replace_batch_norms(
    model: keras.Model, norm: Norm, title: str, others: dict[int, keras.layers.Layer]
) -> keras.Model:
    """The network with `norm(name=..., dtype=...)` in place of each `BatchNormalization`.

    Where that gives None a `Bias` takes its place if it had beta and the layer before it has no
    bias. All other layers are those of the model, which cannot be used any more: they are called
    anew, and forget how they were called before.

    Args:
        model: a model that `is_graph`.
        norm: makes a layer or None; its layers may have a method `wrap`, through which the linear
            map before each of them is passed.
        title: of the network, for errors.
        others: what else is to be replaced, by id.

    Raises:
        ConfigError: a normalized axis that is not the last, or a norm with `wrap` that does not
            directly follow a linear map.
    """
    places = {id(place.layer): place for place in _places(model)}
    replacement = _Replacement(title, dict(others))
    for layer in batch_norms(model):
        replacement.plan(places.get(id(layer), _Place(layer)), norm)
    with_norms = replacement.rebuilt(model)
    if left := [one.name for one in batch_norms(with_norms) if id(one) in replacement.planned]:
        raise ConfigError(f"{title}: {', '.join(left)} cannot be reached to be replaced")
    return with_norms


@dataclass
class _Place:
    """A `BatchNormalization`, and what leads to it: [] where a layer of the user's calls it."""

    layer: keras.layers.Layer
    before: list[Any] = field(default_factory=list)

    @property
    def has_bias_before(self) -> bool:
        return bool(self.before) and all(getattr(one, "use_bias", False) for one in self.before)


def _places(model: keras.Model) -> Iterator[_Place]:
    """Those that stand in the graph of a model or of models in it, each once."""
    found: dict[int, _Place] = {}

    def visit(model: keras.Model) -> None:
        made_by = producers(model)
        for node in nodes_in_order(model):
            if isinstance(node.operation, BATCH_NORMS):
                place = found.setdefault(id(node.operation), _Place(node.operation))
                place.before += [made_by[id(x)].operation for x in node.input_tensors[:1]]
            elif is_graph(node.operation):
                visit(node.operation)

    visit(model)
    return iter(found.values())


class _Replacement:
    """Rebuilds a graph, and graphs in it, with some of its operations replaced."""

    def __init__(self, title: str, new: dict[int, Any]) -> None:
        self._title = title
        self._new = new  # by id of the operation in whose place it stands
        self.planned: set[int] = set()

    def plan(self, place: _Place, norm: Norm) -> None:
        """Makes what is to stand in the place of a `BatchNormalization`."""
        layer = place.layer
        self._check_axis(layer)
        made = made_detached(lambda: norm(name=layer.name, dtype=layer.dtype_policy.name))
        if made is None:
            shifts = layer.center and not place.has_bias_before
            kind = Bias if shifts else keras.layers.Identity
            made = kind(name=layer.name, dtype=layer.dtype_policy)
        else:
            mark_norm(made)
        made.trainable = layer.trainable
        self.planned.add(id(layer))
        self._new[id(layer)] = made
        if hasattr(made, "wrap"):
            self._wrap(place, made)

    def _check_axis(self, layer: keras.layers.Layer) -> None:
        rank = layer.input_spec.ndim if layer.input_spec else None
        axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
        if any(axis not in (-1, rank - 1 if rank else -1) for axis in axes):
            raise ConfigError(
                f"{self._title}: layer {layer.name} normalizes axis {layer.axis}: only the last "
                "axis can be taken over by other normalizers: build it with channels last"
            )

    def _wrap(self, place: _Place, made: keras.layers.Layer) -> None:
        if not place.before:
            raise ConfigError(
                f"{self._title}: this norm works on the linear map before it, which is not known "
                f"for {place.layer.name}, as a layer of your own calls it: build that block from "
                "functional calls, or choose a norm of activations"
            )
        for linear in place.before:
            if not _is_linear(linear):
                raise ConfigError(
                    f"{self._title}: this norm works on the linear map before it, but "
                    f"{place.layer.name} follows {linear.name} ({type(linear).__name__}): choose a "
                    "norm of activations"
                )
            if id(linear) not in self._new:
                self._new[id(linear)] = self._wrapped(linear, made)

    def _wrapped(self, linear: keras.layers.Layer, made: keras.layers.Layer) -> keras.layers.Layer:
        copy = type(linear).from_config(linear.get_config())  # not yet built
        try:
            return made_detached(lambda: made.wrap(copy))
        except ValueError as error:
            raise ConfigError(f"{self._title}: {error}") from error

    def rebuilt(self, model: keras.Model) -> keras.Model:
        """The same graph on new inputs."""
        model.compiled = False  # a loss or an optimizer that it has must not be copied
        if isinstance(model, keras.Sequential):
            return keras.models.clone_model(model, clone_function=self._operation)
        return keras.models.clone_model(
            model, clone_function=self._operation, call_function=_called
        )

    def _operation(self, old: Any) -> Any:
        """What stands in the new graph for an operation of the old one: each time the same."""
        if id(old) not in self._new:
            self._new[id(old)] = self.rebuilt(old) if is_graph(old) else old
            if isinstance(old, keras.layers.Layer) and not is_graph(old):
                self._replace_within(old)
            # the graph that is left behind, with the layers that are replaced, can be forgotten
            old._inbound_nodes.clear()
            old._outbound_nodes.clear()
        return self._new[id(old)]

    def _replace_within(self, layer: keras.layers.Layer) -> None:
        """Replaces `BatchNormalization` layers that a layer of the user's calls itself."""
        if isinstance(layer, (keras.Function, keras.Sequential)) and batch_norms(layer):
            raise ConfigError(
                f"{self._title}: the layers of {layer.name} cannot be exchanged, as its class "
                f"{type(layer).__name__} changes how a functional model is called: leave its call "
                "as Keras has it"
            )
        for inner in list(layer._layers):
            if not batch_norms(inner):
                continue
            new = self._operation(inner)
            if new is inner:
                continue
            if inner.built and not new.built:
                new.build_from_config(inner.get_build_config())
            layer._tracker.replace_tracked_value("layers", inner, new)
            for name, value in list(vars(layer).items()):
                if not name.startswith("_self_") and _holds(value, inner):
                    setattr(layer, name, _exchanged(value, inner, new))


def _called(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Calls with those of the arguments of `BatchNormalization` that a layer takes."""
    if isinstance(operation, keras.layers.Layer):
        taken = inspect.signature(operation.call).parameters
        any_word = any(one.kind is one.VAR_KEYWORD for one in taken.values())
        for key in {"training", "mask"} & kwargs.keys():
            if not any_word and key not in taken:
                del kwargs[key]
    return operation(*args, **kwargs)


def _is_linear(operation: Any) -> bool:
    is_layer = isinstance(operation, keras.layers.Layer)
    return is_layer and any(map(is_kernel, own_variables(operation)))


def _holds(value: Any, item: Any) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return any(_holds(one, item) for one in value)
    return value is item


def _exchanged(value: Any, old: Any, new: Any) -> Any:
    """The value with `new` for `old`, also within lists, tuples and dicts."""
    if isinstance(value, dict):
        return {key: _exchanged(one, old, new) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_exchanged(one, old, new) for one in value])
    return new if value is old else value
