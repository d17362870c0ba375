"""Initial weights: their distributions, their streams, and what goes back to its start."""

import hashlib
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_networks_arms import ARMS, assert_equal, batch, none, unit, values

from bnexp.initializers.gaussian import Gaussian
from bnexp.initializers.glorot import Glorot
from bnexp.initializers.he import He
from bnexp.initializers.own import own
from bnexp.initializers.truncated import Truncated
from bnexp.networks.chance import reproducible
from bnexp.networks.cnn import cnn
from bnexp.networks.initial import initialize
from bnexp.networks.mlp import mlp
from bnexp.networks.structure import all_layers, kernel_of, kernels, own_variables, weight_layers
from bnexp.training.seeds import stream_seed

MNIST = (28, 28, 1)
CNN = {"filters": [4, 6], "hidden": [16]}


def network(build=mlp, draw=None, seed=0, norm=none, settings=None, **options):
    model = build(unit(norm), MNIST, 10, **(settings or {}))
    initialize(model, draw, seed, **options)
    return model


# ---- the numbers of version 0.1 ------------------------------------------------------------------


def test_uniform_weights_are_those_of_version_0_1_bit_for_bit():
    model = network(mlp, Glorot(), 2, settings={"hidden": [30, 20]}, bias=0.1)
    assert digest(model) == "aa02e6c307b4"
    settings = {"filters": [4, 6], "hidden": [16], "kernel_size": 3}
    assert digest(network(cnn, Glorot(), 3, settings=settings, scale=2.0)) == "6fcf9f6790ee"


def digest(model):
    content = b"".join(
        np.ascontiguousarray(kernel_of(one)).tobytes() for one in weight_layers(model)
    )
    return hashlib.sha256(content).hexdigest()[:12]


# first weight of each kernel; up to rounding, as the normal distribution uses log and cos
@pytest.mark.parametrize(
    ("build", "draw", "seed", "settings", "options", "first"),
    [
        (mlp, Gaussian(), 0, {}, {}, [-0.02091496, 0.02781987, -0.03238345, -0.03986182]),
        (
            mlp,
            He(),
            1,
            {"hidden": [30, 20]},
            {"scale": 4.0},
            [-0.06569614, -1.5696856, -0.06603755],
        ),
        (
            cnn,
            Truncated(0.05, 0.1),
            0,
            CNN,
            {},
            [-0.04182991, 0.05563973, -0.03238345, -0.03986182],
        ),
    ],
    ids=["gaussian", "he", "truncated"],
)
def test_normal_weights_are_those_of_version_0_1(build, draw, seed, settings, options, first):
    for norm in (none, batch):
        model = network(build, draw, seed, norm, settings, **options)
        found = [kernel_of(one).flat[0] for one in weight_layers(model)]
        np.testing.assert_allclose(found, first, rtol=2e-7)


def test_masks_of_dropout_are_those_of_version_0_1():
    model = network(mlp, Glorot(), settings={"dropout": 0.3})
    assert model.get_layer("dropout").seed_generator.state.numpy().tolist() == [936753465, 0]


# ---- distributions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "deviation", "bound"),
    [
        (Gaussian(0.05), 0.05, None),
        (Truncated(0.2), 0.2 * 0.8796, 0.4),  # sd of a normal cut at 2 sd
        (Glorot(), np.sqrt(2 / 884), np.sqrt(6 / 884)),
        (He(), np.sqrt(2 / 784), None),
    ],
    ids=["gaussian", "truncated", "glorot", "he"],
)
def test_initial_weights_have_the_distribution_they_are_named_after(draw, deviation, bound):
    kernel = kernel_of(weight_layers(network(mlp, draw))[0])
    assert kernel.std() == pytest.approx(deviation, rel=0.02)
    assert abs(kernel.mean()) < 4 * deviation / np.sqrt(kernel.size)
    if bound:
        assert 0.95 * bound < np.abs(kernel).max() <= bound


@pytest.mark.parametrize("kind", [Gaussian, Truncated])
def test_convolutions_of_any_rank_may_have_a_deviation_of_their_own(kind):
    draw = kind(0.05, conv_stddev=0.5)
    assert draw.draw((200, 100), 0).numpy().std() < 0.06
    for shape in ((5, 40, 50), (5, 5, 20, 20), (3, 3, 3, 20, 20)):
        assert draw.draw(shape, 0).numpy().std() > 0.4
        assert kind(0.05).draw(shape, 0).numpy().std() < 0.06


def test_layers_draw_from_streams_of_their_own():
    second, third = (kernel_of(layer) for layer in weight_layers(network(mlp, Gaussian()))[1:3])
    assert second.shape == third.shape
    assert not np.array_equal(second, third)


@pytest.mark.parametrize("draw", [Gaussian(), None], ids=["gaussian", "own"])
@pytest.mark.parametrize("build", [mlp, cnn])
def test_scale_multiplies_all_kernels_but_the_last(build, draw):
    settings = {"hidden": [5]} if build is mlp else CNN
    once, scaled = (
        network(build, draw, settings=settings, scale=scale, bias=0.1)
        for scale in (1.0, 4.0)  # a power of 2: exact
    )
    for layer, larger in zip(weight_layers(once), weight_layers(scaled), strict=True):
        factor = 1 if layer.name == "logits" else 4
        np.testing.assert_array_equal(factor * kernel_of(layer), kernel_of(larger))
        np.testing.assert_array_equal(layer.bias.numpy(), larger.bias.numpy())


def test_bias_is_the_value_of_every_bias_that_is_drawn_for():
    for layer in weight_layers(network(cnn, Gaussian(), settings=CNN, bias=0.1)):
        np.testing.assert_array_equal(layer.bias.numpy(), np.float32(0.1))


# ---- a network's own initializers ----------------------------------------------------------------


def varied(unit, input_shape, classes):
    """Layers of many kinds, with initial values of many kinds."""
    inputs = keras.Input(input_shape)
    x = keras.layers.SeparableConv2D(3, 3, depthwise_initializer="he_normal")(inputs)
    x = keras.layers.DepthwiseConv2D(3, depthwise_initializer="lecun_normal")(x)
    x = unit.norm("first")(x) if unit.norm("first") else x
    x = keras.layers.PReLU(alpha_initializer="random_uniform", shared_axes=[1, 2])(x)
    x = keras.layers.MaxPooling2D(6)(x)
    x = keras.layers.Reshape((-1, 3))(x)
    x = keras.layers.Conv1D(4, 2, bias_initializer="ones")(x)
    x = keras.layers.LayerNormalization(gamma_initializer=keras.initializers.Constant(0.5))(x)
    x = keras.layers.MultiHeadAttention(2, 3, dropout=0.1)(x, x)
    x = keras.layers.LSTM(4)(x)
    x = Untold()(x)
    return keras.Model(inputs, unit.logits(classes, x))


class Untold(keras.layers.Layer):
    """Its initializers are no attributes, as in most layers that users write."""

    def build(self, input_shape):
        shape = (input_shape[-1], 3)
        self.kernel = self.add_weight(shape=shape, initializer="he_normal", name="kernel")
        self.shift = self.add_weight(shape=(3,), initializer="random_normal", name="shift")

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.kernel) + self.shift


def test_own_is_no_distribution_but_each_layers():
    assert own() is None
    model = network(varied)
    found = {variable.path: variable.numpy() for variable in model.variables}
    separable = next(value for path, value in found.items() if path.endswith("depthwise_kernel"))
    assert separable.std() == pytest.approx(np.sqrt(2 / 9), rel=0.6)
    depthwise = next(one for one in all_layers(model) if "DepthwiseConv" in type(one).__name__)
    assert np.abs(depthwise.kernel.numpy()).max() < 2.3 * np.sqrt(1 / 27)
    conv = next(one for one in all_layers(model) if isinstance(one, keras.layers.Conv1D))
    np.testing.assert_array_equal(conv.bias.numpy(), 1)
    cell = next(one for one in all_layers(model) if isinstance(one, keras.layers.LSTMCell))
    np.testing.assert_array_equal(cell.bias.numpy()[4:8], 1)  # of the forget gate
    recurrent = cell.recurrent_kernel.numpy()  # orthogonal
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(4), atol=1e-5)


@pytest.mark.parametrize("draw", [Gaussian(), None], ids=["gaussian", "own"])
def test_every_variable_of_any_layer_has_its_value_from_the_seed_or_from_the_build(draw):
    model = network(varied, draw, 0, batch)
    start = values(model.variables)
    for variable in model.variables:
        variable.assign(keras.ops.ones_like(variable) * 7)
    initialize(model, draw, 1)
    other = values(model.variables)
    drawn = [np.any(a != b) for a, b in zip(start, other, strict=True)]
    initialize(model, draw, 0)
    assert_equal(start, values(model.variables))
    fixed = {v.path for v, one in zip(model.variables, drawn, strict=True) if not one}
    untold = model.layers[-2].name
    unknown = {f"{untold}/shift"} | (set() if draw else {f"{untold}/kernel"})
    random_paths = {v.path for v in model.variables if "seed_generator" in v.path}
    random_paths |= {kernel.path for kernel in kernels(model)}
    random_paths |= {v.path for v in model.variables if v.path.endswith("alpha")}
    assert random_paths - fixed == random_paths - unknown
    assert unknown <= fixed


def test_draw_gives_every_kernel_of_any_layer():
    model = network(varied, Gaussian(0.01), bias=0.25)
    shapes = [tuple(kernel.shape) for kernel in kernels(model)]
    assert shapes[:3] == [(3, 3, 1, 1), (1, 1, 1, 3), (3, 3, 3, 1)]
    for index, kernel in enumerate(kernels(model)):
        expected = Gaussian(0.01).draw(tuple(kernel.shape), stream_seed(0, "weights", index))
        np.testing.assert_array_equal(kernel.numpy(), expected.numpy())
    for one in all_layers(model):
        for variable in own_variables(one):
            if variable.name == "bias":
                np.testing.assert_array_equal(variable.numpy(), np.float32(0.25))


@pytest.mark.parametrize("norm", ["batch", "layer", "wrap"])
def test_initialize_forgets_all_that_training_changed(norm):
    model = network(cnn, Gaussian(), norm=ARMS[norm], settings=CNN)
    before = values(model.variables)
    model(np.random.default_rng(0).random((4, *MNIST), "float32"), training=True)
    for variable in model.trainable_variables:
        variable.assign_add(keras.ops.ones_like(variable))
    assert any(np.any(old != new) for old, new in zip(before, values(model.variables), strict=True))
    initialize(model, Gaussian(), 0)
    assert_equal(before, values(model.variables))


# ---- builds that come out alike ------------------------------------------------------------------


def test_builds_are_alike_whatever_was_built_and_drawn_before():
    found = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        tf.random.set_seed(seed)
        keras.layers.Dense(seed).build((None, seed))
        with reproducible():
            model = varied(unit(batch), MNIST, 10)
            found.append((values(model.variables), [one.path for one in model.variables]))
    assert_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


def test_builds_do_not_shift_what_is_drawn_after_them():
    found = []
    for seed in (0, 0, 1):
        random.seed(seed)
        np.random.seed(seed)
        tf.random.set_seed(seed)
        if found:
            with reproducible():
                varied(unit(batch), MNIST, 10)
        found.append((random.random(), np.random.rand(), float(tf.random.uniform([]))))
    assert found[0] == found[1]
    assert not set(found[0]) & set(found[2])


def test_what_norms_draw_when_built_does_not_shift_the_layers_after_them():
    found = []
    for norm in ARMS.values():
        with reproducible():
            model = varied(unit(norm), MNIST, 10)
        layer = next(one for one in model.layers if isinstance(one, Untold))
        found.append((layer.name, values(layer.variables)))
    for name, arrays in found[1:]:
        assert name == found[0][0]
        assert_equal(arrays, found[0][1])
