"""Arms of a seed start from the same weights, whatever the norm; used by other tests too."""

import random

import keras
import numpy as np
import pytest

from bnexp.initializers.glorot import Glorot
from bnexp.networks.cnn import cnn
from bnexp.networks.initial import initialize
from bnexp.networks.mlp import mlp
from bnexp.networks.structure import kernels, norm_layers
from bnexp.networks.unit import Unit
from bnexp.norms.batch import BatchNorm


class Scaled(keras.layers.Wrapper):
    """A linear layer with a gain, which is drawn at random."""

    def build(self, input_shape):
        self.layer.build(input_shape)
        self.gain = self.add_weight(shape=(), initializer="random_normal", name="gain")
        self.built = True

    def call(self, inputs):
        return self.layer(inputs) * self.gain


class WrapNorm(keras.layers.Layer):
    """A norm that works on the layer before it, and uses chance and names of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.noise = keras.layers.Dense(1, kernel_initializer="random_normal")
        self.draw = random.random()
        self.dropout = keras.layers.Dropout(0.5)

    def wrap(self, linear):
        return Scaled(linear, name=f"{linear.name}_scaled")

    def build(self, input_shape):
        self.noise.build(input_shape)
        self.kernel = self.add_weight(shape=(2, 2), initializer="random_normal", name="kernel")

    def call(self, inputs):
        return self.dropout(inputs)


def none(name, dtype):
    return None


def batch(name, dtype):
    return BatchNorm(momentum=0.5, name=name, dtype=dtype)


def layer(name, dtype):
    return keras.layers.GroupNormalization(1, name=name, dtype=dtype)


def wrap(name, dtype):
    return WrapNorm(name=name, dtype=dtype)


ARMS = {"none": none, "batch": batch, "layer": layer, "wrap": wrap}


def unit(norm=batch, activation="relu", policy="float32", **options):
    return Unit(norm, activation, policy, **options)


def deep(unit, input_shape, classes):
    """A residual network with projections, as a user would write it; branches differ in depth."""
    inputs = x = keras.Input(input_shape)

    def conv(filters, size):
        def make(**kwargs):
            return keras.layers.Conv2D(filters, size, padding="same", **kwargs)

        return make

    for index, filters in enumerate((3, 4), start=1):
        y = unit(f"conv_{index}a", conv(filters, 3), x)
        shortcut = unit.normalized(f"conv_{index}s", conv(filters, 1), x)
        x = unit(f"conv_{index}b", conv(filters, 3), y, shortcut=shortcut)
        x = keras.layers.SpatialDropout2D(0.1)(x)
    x = keras.layers.PReLU(alpha_initializer="random_normal")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, unit.logits(classes, x))


NETWORKS = {
    "mlp": (mlp, {"hidden": [9, 9, 8], "dropout": 0.5}),
    "residual": (mlp, {"hidden": [9, 9, 9], "skip": "residual"}),
    "highway": (mlp, {"hidden": [9, 9, 9], "skip": "highway"}),
    "cnn": (cnn, {"filters": [3, 4], "hidden": [5], "lrn": True}),
    "deep": (deep, {}),
}


def values(variables):
    return [variable.numpy() for variable in variables]


def assert_equal(arrays, others):
    for array, other in zip(arrays, others, strict=True):
        np.testing.assert_array_equal(array, other)


@pytest.mark.parametrize(
    ("network", "draw", "position"),
    [(network, Glorot(), "pre") for network in NETWORKS]
    + [("mlp", Glorot(), "post"), ("deep", Glorot(), "post"), ("deep", None, "pre")],
)
def test_arms_of_a_seed_start_from_the_same_kernels(network, draw, position):
    build, settings = NETWORKS[network]
    arms = []
    for norm in ARMS.values():
        model = build(unit(norm, position=position), (8, 8, 2), 3, **settings)
        initialize(model, draw, 0)
        arms.append(values(kernels(model)))
    for other in arms[1:]:
        assert_equal(arms[0], other)
    initialize(model, draw, 1)
    assert all(np.any(a != b) for a, b in zip(arms[0], values(kernels(model)), strict=True))


@pytest.mark.parametrize("network", ["mlp", "deep"])
def test_arms_of_a_seed_share_dropout_and_other_random_weights(network):
    build, settings = NETWORKS[network]
    found = []
    for norm in ARMS.values():
        model = build(unit(norm), (8, 8, 2), 3, **settings)
        initialize(model, Glorot(), 0)
        within = [one for norm in norm_layers(model) for one in norm._flatten_layers()]
        kinds = (keras.layers.Dropout, keras.layers.SpatialDropout2D)
        layers = [one for one in model.layers if one not in within]
        states = [one.seed_generator.state for one in layers if isinstance(one, kinds)]
        alphas = [one.alpha for one in layers if isinstance(one, keras.layers.PReLU)]
        found.append(values(states + alphas))
        assert all(np.any(array != 0) for array in found[-1])
    assert len(found[0]) == {"mlp": 1, "deep": 3}[network]
    for other in found[1:]:
        assert_equal(found[0], other)
