"""What a network consists of, and hints on how to run it."""

import keras
import numpy as np
import pytest
from test_networks_arms import ARMS, NETWORKS, batch, deep, none, unit

from bnexp.networks.cnn import cnn
from bnexp.networks.hints import Hints, activation_bytes, hints
from bnexp.networks.initial import initialize
from bnexp.networks.mlp import mlp
from bnexp.networks.structure import all_layers, kernel_of, norm_layers, weight_layers

MNIST = (28, 28, 1)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("norm", ["batch", "wrap"])
def test_every_variable_belongs_to_one_of_all_layers(network, norm):
    build, settings = NETWORKS[network]
    model = build(unit(ARMS[norm]), (8, 8, 2), 3, **settings)
    found = [
        variable
        for layer in all_layers(model)
        for variable in (
            *layer._trainable_variables,
            *layer._non_trainable_variables,
            *(generator.state for generator in layer._seed_generators),
        )
    ]
    assert len({id(one) for one in found}) == len(found)
    assert {id(one) for one in found} == {id(one) for one in model.variables}


def test_weight_layers_come_in_the_order_of_the_data_with_and_without_norm():
    """Keras's own order changes with the norm, as it sorts by depth."""
    expected = [f"conv_{k}{part}" for k in (1, 2) for part in "abs"] + ["logits"]
    for norm in ARMS.values():
        model = deep(unit(norm), (8, 8, 2), 3)
        assert [layer.name for layer in weight_layers(model)] == expected
        assert all_layers(model)[-1].name == "logits"


def test_norm_layers_are_what_norm_put_there():
    names = [layer.name for layer in norm_layers(mlp(unit(), MNIST, 10))]
    assert names == ["dense_1_norm", "dense_2_norm", "dense_3_norm"]
    assert norm_layers(mlp(unit(none), MNIST, 10)) == []


def test_layers_of_nested_models_and_layers_count_once():
    shared = keras.layers.Dense(3, name="shared")
    inner = keras.Sequential([keras.Input((3,)), shared, keras.layers.Dense(3, name="within")])
    inputs = keras.Input((3,))
    outputs = keras.layers.TimeDistributed(keras.layers.Dense(2, name="each"))(
        keras.layers.Reshape((1, 3))(inner(shared(inputs)))
    )
    model = keras.Model(inputs, outputs)
    assert [layer.name for layer in weight_layers(model)] == ["shared", "within", "each"]


def test_kernel_of_a_dense_layer_is_inputs_by_units():
    model = mlp(unit(none), MNIST, 10, hidden=[30])
    assert [kernel_of(layer).shape for layer in weight_layers(model)] == [(784, 30), (30, 10)]


def test_kernel_of_a_separable_convolution_is_that_of_the_convolution_it_equals():
    separable = keras.layers.SeparableConv2D(5, 3, depth_multiplier=2, use_bias=False)
    conv = keras.layers.Conv2D(5, 3, use_bias=False)
    images = np.random.default_rng(0).random((2, 6, 6, 4), "float32")
    expected = separable(images)
    conv.build(images.shape)
    conv.kernel.assign(kernel_of(separable))
    np.testing.assert_allclose(conv(images), expected, atol=1e-5)


# ---- hints ---------------------------------------------------------------------------------------


def test_builders_say_how_their_networks_run_fast():
    assert hints(mlp, mlp(unit(), MNIST, 10)) == Hints(True, 500, 1000)
    assert hints(cnn, cnn(unit(), MNIST, 10)) == Hints(False, 10, 250)


def test_a_builder_may_say_a_part():
    def build():
        raise NotImplementedError

    build.eval_batch = 7
    assert hints(build, mlp(unit(), MNIST, 10)) == Hints(True, 500, 7)


def test_without_hints_dense_networks_are_compiled_by_xla_in_calls_of_many_steps():
    assert hints(object(), mlp(unit(), MNIST, 10)) == Hints(True, 500, 1000)
    large = hints(object(), mlp(unit(), MNIST, 10, hidden=[2000, 2000]))
    assert large.jit
    assert 10 <= large.steps_per_call < 50


class OwnConvolution(keras.layers.Layer):
    def build(self, input_shape):
        self.filters = self.add_weight(shape=(3, 3, input_shape[-1], 2), name="filters")

    def call(self, inputs):
        return keras.ops.conv(inputs, self.filters)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.TimeDistributed(keras.layers.Conv1D(2, 3)),
        lambda: keras.layers.TimeDistributed(keras.layers.SeparableConv1D(2, 3)),
        lambda: keras.Sequential([keras.layers.DepthwiseConv2D(3)]),
        lambda: keras.layers.MaxPooling2D(),
        lambda: keras.layers.TimeDistributed(keras.layers.GRU(3)),
        OwnConvolution,
    ],
)
def test_without_hints_convolutions_and_recurrent_layers_are_not_compiled_by_xla(layer):
    inputs = keras.Input((8, 8, 2))
    model = keras.Model(inputs, keras.layers.Flatten()(layer()(inputs)))
    found = hints(object(), model)
    assert (found.jit, found.steps_per_call) == (False, 10)


def test_activation_bytes_are_those_of_all_outputs_of_one_image():
    model = mlp(unit(), MNIST, 10)
    assert activation_bytes(model) == 4 * (784 + 784 + 3 * 3 * 100 + 10)
    inputs = keras.Input(MNIST)
    assert activation_bytes(keras.Model(inputs, model(inputs))) == activation_bytes(model) + 4 * 784


def test_half_precision_takes_half_the_memory():
    whole, half = (
        activation_bytes(cnn(unit(policy=policy), MNIST, 10))
        for policy in ("float32", "mixed_bfloat16")
    )
    assert half == pytest.approx(whole / 2, rel=0.01)


@pytest.mark.parametrize("size", [32, 224])
def test_an_evaluation_of_large_images_takes_fewer_at_once(size):
    model = cnn(unit(), (size, size, 3), 10, hidden=[8])
    batch = hints(object(), model).eval_batch
    largest = 4 * 32 * size * size
    assert batch == min(1000, 2**28 // (4 * largest))


def test_the_last_layer_alone_keeps_its_scale_whatever_the_order_of_branches():
    model = deep(unit(batch), (8, 8, 2), 3)
    initialize(model, None, 0)
    before = {layer.name: kernel_of(layer) for layer in weight_layers(model)}
    initialize(model, None, 0, scale=2.0)
    for layer in weight_layers(model):
        factor = 1 if layer.name == "logits" else 2
        np.testing.assert_array_equal(kernel_of(layer), factor * before[layer.name])
