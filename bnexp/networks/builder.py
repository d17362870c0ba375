"""Calls a builder of the user's or of Keras, and looks at what comes back."""

import inspect
import re
import weakref
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import keras

from bnexp.config import ConfigError
from bnexp.networks.structure import all_layers, is_graph

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_APPLICATIONS = {"weights": None, "classifier_activation": None}
_used: "weakref.WeakSet[keras.layers.Layer]" = weakref.WeakSet()


def build(
    builder: str, arguments: Mapping[str, Any], input_shape: tuple[int, ...], classes: int
) -> keras.Model:
    """The network that a builder makes: Functional or Sequential, from images to classes.

    Args:
        builder: `module:object`.
        arguments: for the builder, besides input_shape and classes.
        input_shape: (height, width, channels).
        classes: number of outputs.

    Raises:
        ConfigError: there is no such builder, or it cannot be called so, or it makes another
            thing than a new network with a known graph and these shapes.
    """
    function = _resolve(builder)
    given = _arguments(builder, function, arguments, input_shape, classes)
    try:
        model = function(**given)
    except ValueError as error:  # Keras's word for what it cannot build
        raise ConfigError(f"model.builder={builder}: {_reason(error)}") from error
    _check_kind(builder, model, input_shape)
    _check_shapes(builder, model, input_shape, classes)
    _check_new(builder, model)
    return model


def _reason(error: ValueError) -> str:
    """The line that says it: Keras puts the name of the layer before it, its inputs after it."""
    lines = [line for line in _ANSI.sub("", str(error)).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("Exception encountered when calling")]
    return (told or lines or [type(error).__name__])[0].strip()


def _resolve(builder: str) -> Callable[..., Any]:
    name, colon, path = builder.partition(":")
    if not (name and colon and path):
        dotted = ":".join(builder.rsplit(".", 1)) if "." in builder else "my_net:resnet"
        raise ConfigError(f"model.builder={builder} is not module:object, as in {dotted}")
    try:
        found: Any = import_module(name)
        for part in path.split("."):
            found = getattr(found, part)
    except ImportError as error:
        raise ConfigError(f"model.builder={builder} cannot be imported: {error}") from error
    except AttributeError as error:
        raise ConfigError(f"model.builder={builder} does not exist: {error}") from error
    if not callable(found):
        kind = type(found).__name__
        raise ConfigError(f"model.builder={builder} is no function or class but {kind}")
    return found


def _arguments(
    builder: str,
    function: Callable[..., Any],
    arguments: Mapping[str, Any],
    input_shape: tuple[int, ...],
    classes: int,
) -> dict[str, Any]:
    """What the builder is called with: of what the program gives only what it takes."""
    parameters = _parameters(builder, function)
    takes_all = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    offered: dict[str, Any] = {"input_shape": input_shape, "classes": classes}
    for key in offered.keys() & arguments.keys():
        raise ConfigError(f"model.arguments.{key} is given by the data: leave it out")
    if builder.startswith("keras.applications"):
        _refuse_pretrained(arguments)
        offered |= _APPLICATIONS
    given = {key: value for key, value in offered.items() if takes_all or key in parameters}
    given |= arguments
    try:
        inspect.signature(function).bind(**given)
    except TypeError as error:
        raise ConfigError(
            f"model.builder={builder}: {error}; it takes {', '.join(parameters) or 'nothing'}: "
            "set them with model.arguments"
        ) from error
    return given


def _parameters(builder: str, function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except ValueError as error:
        raise ConfigError(f"model.builder={builder} tells no arguments: {error}") from error


def _refuse_pretrained(arguments: Mapping[str, Any]) -> None:
    if (weights := arguments.get("weights")) is not None:
        raise ConfigError(
            f"model.arguments.weights={weights}: every run starts from weights drawn for its seed "
            "(init=own or another), not from trained ones: leave it out"
        )


def _check_kind(builder: str, model: Any, input_shape: tuple[int, ...]) -> None:
    if isinstance(model, keras.Sequential) and not model.built:
        model.build((None, *input_shape))
    if not is_graph(model):
        kind = type(model).__name__
        raise ConfigError(
            f"model.builder={builder} makes a {kind}, whose layers cannot be exchanged: return a "
            "functional keras.Model(inputs, outputs) or a keras.Sequential"
        )


def _check_shapes(
    builder: str, model: keras.Model, input_shape: tuple[int, ...], classes: int
) -> None:
    for kind, tensors, wanted in (
        ("inputs", model.inputs, input_shape),
        ("outputs", model.outputs, (classes,)),
    ):
        shapes = [tuple(tensor.shape[1:]) for tensor in tensors]
        if len(shapes) != 1 or not _fits(shapes[0], wanted):
            text = ", ".join(map(str, shapes))
            raise ConfigError(
                f"model.builder={builder} makes a network with {kind} of shape {text}; the data "
                f"ask for {wanted}"
            )


def _fits(shape: tuple[int | None, ...], wanted: tuple[int, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        one in (None, size) for one, size in zip(shape, wanted, strict=True)
    )


def _check_new(builder: str, model: keras.Model) -> None:
    """Two arms must not share layers."""
    layers = all_layers(model)
    if any(layer in _used for layer in layers):
        raise ConfigError(
            f"model.builder={builder} gave layers that it gave before: make new ones at each call"
        )
    _used.update(layers)
