"""The network of a run: what its `model` option builds, with what its arm varies."""

from functools import partial

import keras

from bnexp.config import Config, ConfigError
from bnexp.config.errors import reason
from bnexp.config.signature import read
from bnexp.networks.chance import reproducible
from bnexp.networks.initial import initialize
from bnexp.networks.unit import Unit

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def build_model(config: Config, input_shape: tuple[int, ...], classes: int) -> keras.Model:
    """A network from images (batch, height, width, channels) to logits (batch, classes).

    Args:
        config: the run.
        input_shape: (height, width, channels).
        classes: number of outputs.

    Raises:
        ConfigError: the option builds no network, or one with other outputs.
    """
    option = config.model
    policy = POLICIES[config.trainer.precision]
    norm = partial(_norm, config)
    given: dict[str, object] = {"input_shape": input_shape, "classes": classes}
    signature = read(option.target)
    names = signature.settings.keys() | signature.provided
    if "unit" in names:
        given["unit"] = Unit(
            norm,
            option["activation"],
            policy,
            position=config.norm.common.get("position", "pre"),
            bias=config.norm.common.get("bias", False),
            jit=getattr(option.load(), "jit", False),
        )
    given |= {key: value for key, value in (("norm", norm), ("policy", policy)) if key in names}
    try:
        with reproducible():
            model = option(**given)
    except ConfigError:
        raise
    except ValueError as error:  # a layer that does not fit its inputs
        told = f"model={option.kind} norm={config.norm.kind}: {reason(error)}"
        raise ConfigError(told) from error
    if not isinstance(model, keras.Model):
        raise ConfigError(f"model={option.kind}: {option.target} returns no keras.Model")
    if tuple(model.output_shape) != (None, classes):
        raise ConfigError(
            f"model={option.kind}: its outputs are {model.output_shape}, not (None, {classes}): "
            "one logit per class"
        )
    return model


def _norm(config: Config, *, name: str, dtype: str) -> keras.layers.Layer | None:
    return config.norm(name=name, dtype=dtype)


def start(model: keras.Model, config: Config) -> None:
    """Sets every variable to its value before step 0."""
    common = config.init.common
    initialize(
        model,
        config.init(),
        config.seed,
        bias=common.get("bias", 0.0),
        scale=common.get("scale", 1.0),
    )
