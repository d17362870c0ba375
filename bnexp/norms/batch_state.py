"""Arguments, weights and config of `BatchNorm`, as Keras's layer has them."""

from collections.abc import Mapping
from typing import Any

import keras

from bnexp.norms import arguments
from bnexp.norms.population import Accumulator
from bnexp.norms.renorm import checked_clipping, square_root_of

GRADIENTS = ("full", "no_mean", "none")
# Arguments that Keras's layer does not have, with their defaults.
_OWN = {"fused": None, "gradient": "full", "ghost_size": None}


class BatchNormState(keras.layers.Layer):
    """What a `BatchNorm` is made with and keeps; how it computes stands in `bnexp.norms.batch`.

    Weights have Keras's names and order: gamma, beta, moving_mean, moving_variance, and of Batch
    Renormalization moving_stddev, renorm_mean, renorm_stddev. Averages are in float32 or float64.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: Mapping[str, float | None] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        *,
        fused: bool | None = None,
        gradient: str = "full",
        ghost_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        arguments.check_backend(type(self).__name__)
        if gradient not in GRADIENTS:
            raise ValueError(f"gradient={gradient} is not one of {', '.join(GRADIENTS)}")
        if ghost_size is not None and synchronized:
            raise ValueError("ghost_size cuts a batch apart, synchronized joins several: not both")
        self._statistics_dtype = keras.backend.result_type(self.variable_dtype, "float32")
        self.axis = arguments.whole("axis", axis)
        self.momentum = arguments.share("momentum", momentum)
        self.epsilon = arguments.epsilon(epsilon, self._statistics_dtype)
        self.center = center
        self.scale = scale
        self.beta_initializer = keras.initializers.get(beta_initializer)
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        self.moving_mean_initializer = keras.initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = keras.initializers.get(moving_variance_initializer)
        self.beta_regularizer = keras.regularizers.get(beta_regularizer)
        self.gamma_regularizer = keras.regularizers.get(gamma_regularizer)
        self.beta_constraint = keras.constraints.get(beta_constraint)
        self.gamma_constraint = keras.constraints.get(gamma_constraint)
        self.renorm = renorm
        self.renorm_clipping = checked_clipping(renorm_clipping)
        self.renorm_momentum = arguments.share("renorm_momentum", renorm_momentum)
        self.synchronized = synchronized
        self.fused = fused
        self.gradient = gradient
        self.ghost_size = None if ghost_size is None else arguments.count("ghost_size", ghost_size)
        self.supports_masking = True
        self.exact_batches: int | None = None
        self.accumulator: Accumulator | None = None

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        rank = len(input_shape)
        if not -rank <= self.axis < rank:
            raise ValueError(f"axis={self.axis} is out of bounds for inputs of shape {input_shape}")
        feature_axis = self.axis % rank
        features = input_shape[feature_axis]
        if features is None:
            raise ValueError(f"axis={self.axis} of inputs of shape {input_shape} has unknown size")
        if self.ghost_size and feature_axis == 0:
            raise ValueError(f"axis={self.axis} is the one that ghost_size={self.ghost_size} cuts")
        self._add_weights(features)
        # Per-feature vectors take this shape to broadcast against the inputs.
        self._broadcast_shape = [features if axis == feature_axis else 1 for axis in range(rank)]
        ghost_axes = 1 if self.ghost_size else 0  # they stand before all others
        self._reduction_axes = [axis + ghost_axes for axis in range(rank) if axis != feature_axis]
        self.input_spec = keras.layers.InputSpec(ndim=rank, axes={feature_axis: features})

    def _add_weights(self, features: int) -> None:
        def learned(name: str) -> keras.Variable:
            return self.add_weight(
                shape=(features,),
                name=name,
                autocast=False,
                initializer=getattr(self, f"{name}_initializer"),
                regularizer=getattr(self, f"{name}_regularizer"),
                constraint=getattr(self, f"{name}_constraint"),
            )

        def average(name: str, initializer: Any) -> keras.Variable:
            return self.add_weight(
                shape=(features,),
                name=name,
                autocast=False,
                initializer=initializer,
                dtype=self._statistics_dtype,
                trainable=False,
            )

        self.gamma = learned("gamma") if self.scale else None
        self.beta = learned("beta") if self.center else None
        self.moving_mean = average("moving_mean", self.moving_mean_initializer)
        self.moving_variance = average("moving_variance", self.moving_variance_initializer)
        if self.renorm:
            deviations = square_root_of(self.moving_variance_initializer)
            self.moving_stddev = average("moving_stddev", deviations)
            self.renorm_mean = average("renorm_mean", self.moving_mean_initializer)
            self.renorm_stddev = average("renorm_stddev", deviations)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def load_own_variables(self, store: Any) -> None:
        """Reads the layer's weights from a file.

        Raises:
            ValueError: the file does not have them; the message says how to take over those of
                Keras's layer.
        """
        if not store.keys():
            raise ValueError(
                f"the file has no weights of a BatchNorm for '{self.name}'; if it was saved with "
                "keras.layers.BatchNormalization, load it into the network with that layer, and "
                "then: this_network.set_weights(that_network.get_weights())"
            )
        super().load_own_variables(store)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for key in ("axis", "momentum", "epsilon", "center", "scale", "renorm", "renorm_clipping"):
            config[key] = getattr(self, key)
        for key in ("renorm_momentum", "synchronized"):
            config[key] = getattr(self, key)
        for key in ("beta", "gamma", "moving_mean", "moving_variance"):
            name = f"{key}_initializer"
            config[name] = keras.initializers.serialize(getattr(self, name))
        for key in ("beta", "gamma"):
            config[f"{key}_regularizer"] = keras.regularizers.serialize(
                getattr(self, f"{key}_regularizer")
            )
            config[f"{key}_constraint"] = keras.constraints.serialize(
                getattr(self, f"{key}_constraint")
            )
        own = {key: getattr(self, key) for key in _OWN}
        return config | {key: value for key, value in own.items() if value != _OWN[key]}
