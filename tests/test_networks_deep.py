"""The deep convolutional networks: their layers, and every normalizer in them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import DEEP
from test_networks_arms import none, unit

from bnexp.initializers.he import He
from bnexp.networks.inception import inception
from bnexp.networks.initial import initialize, weight_layers
from bnexp.networks.learned_scale import LearnedScale
from bnexp.networks.plain import plain
from bnexp.networks.pointwise import PointwiseConv2D
from bnexp.networks.residual import residual
from bnexp.networks.structure import norm_layers

CIFAR = (32, 32, 3)
BUILDERS = {"plain": plain, "residual": residual, "inception": inception}


def convolutions(model):
    return [layer for layer in weight_layers(model) if isinstance(layer, keras.layers.Conv2D)]


@pytest.mark.parametrize(("network", "count"), [("plain", 16), ("residual", 16), ("inception", 33)])
def test_every_convolution_has_a_norm_and_no_bias(network, count):
    model = BUILDERS[network](unit(), CIFAR, 10)
    assert len(convolutions(model)) == len(norm_layers(model)) == count
    assert all(layer.bias is None for layer in convolutions(model))
    without = BUILDERS[network](unit(none), CIFAR, 10)
    assert norm_layers(without) == []
    assert all(layer.bias is not None for layer in convolutions(without))


def test_plain_halves_its_maps_where_a_stage_begins():
    shapes = [tuple(layer.output.shape[1:]) for layer in convolutions(plain(unit(), CIFAR, 10))]
    assert shapes == [(16, 16, 16)] * 6 + [(8, 8, 32)] * 5 + [(4, 4, 64)] * 5


def test_inception_joins_four_branches_and_halves_every_second_time():
    model = inception(unit(), CIFAR, 10)
    joined = [tuple(layer.output.shape[1:]) for layer in model.layers if "_join" in layer.name]
    maps = [4 * 16, 2 * 16 + 64, 4 * 32, 2 * 32 + 128, 4 * 32]
    assert [shape[-1] for shape in joined] == maps
    assert [shape[0] for shape in joined] == [16, 8, 8, 4, 4]


def test_residual_is_plain_with_sums():
    first, second = (BUILDERS[name](unit(), CIFAR, 10) for name in ("plain", "residual"))
    kernels = [[layer.kernel.shape for layer in convolutions(one)] for one in (first, second)]
    assert kernels[0] == kernels[1]
    assert sum(isinstance(layer, keras.layers.Add) for layer in second.layers) == 6


def test_with_skip_init_a_block_is_at_first_the_identity_and_learns_to_be_more():
    model = residual(unit(none), CIFAR, 10, filters=[4], blocks=1, skip_init=True)
    initialize(model, He(), 0)
    before, after = (
        keras.Model(model.input, model.get_layer(name).output)
        for name in ("stage_1_conv_1_relu", "stage_1_block_1_conv_2_relu")
    )
    images = np.random.default_rng(0).random((2, *CIFAR), "float32")
    np.testing.assert_array_equal(before(images), after(images))
    [scale] = [layer for layer in model.layers if isinstance(layer, LearnedScale)]
    scale.scale.assign(0.5)
    assert np.abs(before(images) - after(images)).max() > 0.01
    saved = keras.layers.deserialize(keras.layers.serialize(scale))
    assert isinstance(saved, LearnedScale)


NORMS = (
    "none",
    "batch",
    "noisy",
    "layer",
    "group",
    "instance",
    "rms",
    "weight",
    "standardization",
)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("network", BUILDERS)
def test_every_norm_stands_in_every_network(compose, network, norm):
    from bnexp.training.network import build_model, start

    groups = ["norm.groups=2"] if norm == "group" else []
    config = compose(*DEEP[network], f"norm={norm}", *groups, "model.activation=sigmoid")
    model = build_model(config, CIFAR, 10)
    start(model, config)
    logits = model(np.random.default_rng(0).random((4, *CIFAR), "float32"), training=True)
    assert logits.shape == (4, 10)
    assert np.isfinite(np.asarray(logits)).all()


# --- a 1x1 convolution as a product


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("policy", ["float32", "float64"])
def test_a_pointwise_convolution_is_keras_convolution_of_1x1(use_bias, policy):
    options = {"use_bias": use_bias, "activation": "tanh", "dtype": policy}
    product, plain_one = PointwiseConv2D(5, **options), keras.layers.Conv2D(5, 1, **options)
    images = tf.constant(np.random.default_rng(0).normal(size=(2, 4, 3, 6)), policy)
    found = []
    for layer in (product, plain_one):
        layer.build(images.shape)
        layer.set_weights(product.get_weights())
        with tf.GradientTape() as tape:
            tape.watch(images)
            loss = tf.reduce_sum(tf.square(layer(images)))
        sources = [images, *(variable.value for variable in layer.trainable_variables)]
        found.append([layer(images), *tape.gradient(loss, sources)])
    tolerance = 1e-12 if policy == "float64" else 1e-5
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def test_a_pointwise_convolution_is_saved_and_takes_images_of_any_size():
    images = keras.Input((None, None, 3))
    model = keras.Model(images, PointwiseConv2D(2)(images))
    again = keras.Model.from_config(model.get_config())
    assert again(np.zeros((1, 5, 7, 3), "float32")).shape == (1, 5, 7, 2)
    for wrong in ({"kernel_size": 3}, {"strides": 2}, {"data_format": "channels_first"}):
        with pytest.raises(ValueError, match="PointwiseConv2D is of 1x1"):
            PointwiseConv2D(2, **wrong)
