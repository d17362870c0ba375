"""Networks that were not written for this program: `model=keras`."""

from collections import Counter
from typing import Any

import keras
import numpy as np

from bnexp.config import ConfigError
from bnexp.networks.builder import build
from bnexp.networks.chance import reproducible
from bnexp.networks.ending import as_float32, check_logits, cut_to_logits
from bnexp.networks.replace import batch_norms, replace_batch_norms
from bnexp.networks.structure import all_layers, graph_of, is_graph, nodes_in_order
from bnexp.networks.unit import Norm


def foreign(
    norm: Norm,
    policy: str,
    input_shape: tuple[int, ...],
    classes: int,
    builder: str,
    arguments: dict[str, Any] | None = None,
) -> keras.Model:
    """Any Keras network that holds BatchNormalization layers; the arms replace each of them.

    Under norm=none a bias alone takes their place, where the layer had beta and the one before it
    has no bias. A network that ends in a softmax is cut to its logits. Images come as 0..1: a
    `Rescaling` at the start that divides by 100 or more is for pixels of 0..255, and is undone by
    the factor 255.

    Args:
        norm: makes the norm of a given name and dtype policy, or None.
        policy: Keras's name of the precision policy.
        input_shape: (height, width, channels).
        classes: number of outputs.
        builder: `module:object`, as in my_net:resnet or keras.applications:MobileNetV2. It is
            called with input_shape and classes, if it takes them, and returns a functional
            keras.Model or a keras.Sequential.
        arguments: further arguments of the builder, as in {depth: 20}; null: none.

    Raises:
        ConfigError: the builder cannot be called, or its network not be used; the message says why.
    """
    title = f"model.builder={builder}"
    before = keras.config.dtype_policy()
    with reproducible():
        keras.config.set_dtype_policy(policy)
        try:
            model = build(builder, arguments or {}, input_shape, classes)
            _check_batch_norms(model, title)
            _take_unit_range(model)
            softmax = cut_to_logits(model, title)
            model = as_float32(replace_batch_norms(model, norm, title, softmax))
        finally:
            keras.config.set_dtype_policy(before)
    check_logits(model, title)
    return model


def _check_batch_norms(model: keras.Model, title: str) -> None:
    if not batch_norms(model):
        kinds = Counter(type(layer).__name__ for layer in all_layers(model)[1:])
        found = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        raise ConfigError(
            f"{title} has no BatchNormalization for norm= to replace (it has {found}): put one "
            "wherever a norm may stand"
        )


def _take_unit_range(model: keras.Model) -> None:
    """Lets a network for pixels of 0..255 see the same numbers from images of 0..1."""
    inputs = {id(tensor) for tensor in graph_of(model).inputs}
    for node in nodes_in_order(model):
        if not any(id(tensor) in inputs for tensor in node.input_tensors):
            continue
        layer = node.operation
        if is_graph(layer):
            _take_unit_range(layer)
        elif isinstance(layer, keras.layers.Rescaling):
            scale = np.asarray(layer.scale)  # one number, or one a channel
            if (scale > 0).all() and scale.max() <= 1 / 100:
                layer.scale = (255 * scale).tolist()
