"""Networks: their layers, and initial weights that do not depend on the arm."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bnexp.config import GRADIENTS, NORMS
from bnexp.networks.models import build_model, initialize, weight_layers
from bnexp.norms.batch import BatchNorm

NORM_LAYERS = {"batch": "BatchNorm", "layer": "GroupNormalization"}


def network(config):
    model = build_model(
        config.model, config.norm, (28, 28, 1), 10, precision=config.trainer.precision
    )
    initialize(model, config.init, config.seed)
    return model


def kinds(model):
    return [type(layer).__name__ for layer in model.layers[1:]]


def test_default_network_is_the_original_repositorys(compose):
    model = network(compose())
    unit = ["Conv2D", "BatchNorm", "Activation", "MaxPooling2D"]
    assert kinds(model) == [*unit, *unit, "Flatten", "Dense", "Activation", "Dropout", "Dense"]
    shapes = [tuple(layer.kernel.shape) for layer in weight_layers(model)]
    assert shapes == [(5, 5, 1, 32), (5, 5, 32, 64), (3136, 1024), (1024, 10)]


@pytest.mark.parametrize("norm", NORM_LAYERS)
def test_protocol_p_normalizes_before_each_nonlinearity_without_a_bias(compose, norm):
    model = network(compose("model=mlp", f"norm={norm}"))
    unit = ["TransposedDense", NORM_LAYERS[norm], "Activation"]
    assert kinds(model) == ["Flatten", *unit * 3, "Dense"]
    assert [layer.bias is None for layer in weight_layers(model)] == [True, True, True, False]


@pytest.mark.parametrize(("model", "before_a_norm"), [("mlp", 3), ("cnn", 2)])
def test_norm_bias_keeps_the_bias_before_a_norm(compose, model, before_a_norm):
    layers = weight_layers(network(compose(f"model={model}", "norm.bias=true", "init.bias=0.2")))
    for layer in layers:
        np.testing.assert_array_equal(layer.bias.numpy(), np.float32(0.2))
    without = weight_layers(network(compose(f"model={model}")))
    assert sum(layer.bias is None for layer in without) == before_a_norm


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_norms_let_the_gradient_through_what_is_asked_for(compose, gradient):
    model = network(compose(f"norm.gradient={gradient}"))
    norms = [layer for layer in model.layers if isinstance(layer, BatchNorm)]
    assert [layer.gradient for layer in norms] == [gradient] * 2


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_a_bias_before_a_norm_has_a_gradient_only_if_the_mean_is_outside_it(compose, gradient):
    """Section 2: a step on such a bias changes no output, and so is made again and again."""
    model = network(compose("model=mlp", "norm.bias=true", f"norm.gradient={gradient}"))
    images = np.random.default_rng(0).random((60, 28, 28, 1), "float32")
    biases = [layer.bias.value for layer in weight_layers(model)[:-1]]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.log_softmax(model(images, training=True))[:, 0])
    norms = [float(tf.norm(bias)) for bias in tape.gradient(loss, biases)]
    if gradient == "full":
        assert max(norms) < 1e-6
    else:
        assert min(norms) > 1e-5


@pytest.mark.parametrize("norm", NORM_LAYERS)
def test_position_post_normalizes_after_the_nonlinearity_and_keeps_the_bias(compose, norm):
    model = network(compose("model=mlp", "norm.position=post", f"norm={norm}"))
    unit = ["TransposedDense", "Activation", NORM_LAYERS[norm]]
    assert kinds(model) == ["Flatten", *unit * 3, "Dense"]
    assert all(layer.bias is not None for layer in weight_layers(model))


@pytest.mark.parametrize("model", ["cnn", "mlp"])
@pytest.mark.parametrize("init", ["original", "gaussian", "truncated", "glorot", "he"])
def test_arms_of_a_seed_start_from_the_same_weights(compose, model, init):
    arms = [network(compose(f"model={model}", f"init={init}", f"norm={norm}")) for norm in NORMS]
    other_seed = network(compose(f"model={model}", f"init={init}", "seed=1"))
    for none, *others, other in zip(*map(weight_layers, (*arms, other_seed)), strict=True):
        for layer in others:
            np.testing.assert_array_equal(none.kernel.numpy(), layer.kernel.numpy())
        assert not np.array_equal(none.kernel.numpy(), other.kernel.numpy())


def test_layers_and_dropout_draw_from_streams_of_their_own(compose):
    model = network(compose("model=mlp", "model.dropout=0.5", "init=gaussian"))
    second, third = (layer.kernel.numpy() for layer in weight_layers(model)[1:3])
    assert second.shape == third.shape
    assert not np.array_equal(second, third)


@pytest.mark.parametrize(
    ("init", "layer", "deviation", "bound"),
    [
        (("gaussian", 0.05), 0, 0.05, None),
        (("truncated", 0.2), 0, 0.2 * 0.8796, 0.4),  # sd of a normal cut at 2 sd
        (("glorot", 1), 0, np.sqrt(2 / 884), np.sqrt(6 / 884)),
        (("he", 1), 0, np.sqrt(2 / 784), None),
    ],
)
def test_initial_weights_have_the_distribution_they_are_named_after(
    compose, init, layer, deviation, bound
):
    kind, stddev = init
    model = network(compose("model=mlp", f"init={kind}", f"init.stddev={stddev}"))
    kernel = weight_layers(model)[layer].kernel.numpy()
    assert kernel.std() == pytest.approx(deviation, rel=0.02)
    assert abs(kernel.mean()) < 4 * deviation / np.sqrt(kernel.size)
    if bound:
        assert 0.95 * bound < np.abs(kernel).max() <= bound


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_init_scale_multiplies_all_kernels_but_the_last(compose, model):
    once, scaled = (
        weight_layers(network(compose(f"model={model}", "init.bias=0.1", f"init.scale={scale}")))
        for scale in (1, 4)  # a power of 2: exact
    )
    for layer, larger in zip(once, scaled, strict=True):
        factor = 1 if layer is once[-1] else 4
        np.testing.assert_array_equal(factor * layer.kernel.numpy(), larger.kernel.numpy())
        if layer.bias is not None:
            np.testing.assert_array_equal(layer.bias.numpy(), larger.bias.numpy())


def test_original_init_has_its_values_per_layer(compose):
    conv, _, dense, logits = weight_layers(network(compose("norm=none")))
    assert conv.kernel.numpy().std() == pytest.approx(0.1 * 0.8796, rel=0.06)
    assert dense.kernel.numpy().std() == pytest.approx(0.05 * 0.8796, rel=0.01)
    for layer in (conv, dense, logits):
        np.testing.assert_array_equal(layer.bias.numpy(), np.float32(0.1))


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_initialize_forgets_all_that_training_changed(compose, norm):
    config = compose("model.filters=[3]", "model.hidden=[5]", f"norm={norm}")
    model = network(config)
    before = [variable.numpy() for variable in model.variables]
    model(np.random.default_rng(0).random((4, 28, 28, 1), "float32"), training=True)
    for variable in model.trainable_variables:
        variable.assign_add(keras.ops.ones_like(variable))
    assert any(
        not np.array_equal(old, new.numpy())
        for old, new in zip(before, model.variables, strict=True)
    )
    initialize(model, config.init, config.seed)
    for old, new in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


@pytest.mark.parametrize("model", ["mlp", "cnn"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_layer_normalization_takes_each_example_by_itself(compose, model, precision):
    config = compose(f"model={model}", "norm=layer", f"trainer.precision={precision}")
    layer = next(one for one in network(config).layers if one.name.endswith("_norm"))
    units = layer.gamma.shape[0]
    gamma, beta = np.linspace(0.5, 2, units), np.linspace(-1, 1, units)
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    assert {variable.dtype for variable in layer.variables} == {"float32"}

    shape = (6, *layer.input.shape[1:])
    x = tf.cast(np.random.default_rng(0).normal(3, 2, shape), layer.compute_dtype)
    numbers = np.asarray(x, "float64")
    axes = tuple(range(1, len(shape)))
    mean, variance = numbers.mean(axes, keepdims=True), numbers.var(axes, keepdims=True)
    expected = gamma * (numbers - mean) / np.sqrt(variance + 1e-3) + beta
    for training in (True, False):
        outputs = layer(x, training=training)
        assert outputs.dtype == layer.compute_dtype
        tolerance = 1e-4 if precision == "float32" else 0.05
        np.testing.assert_allclose(np.asarray(outputs, "float64"), expected, atol=tolerance)


@pytest.mark.parametrize("activation", ["sigmoid", "relu", "tanh"])
def test_activation_is_the_one_asked_for(compose, activation):
    model = network(compose("model=mlp", f"model.activation={activation}"))
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Activation)]
    assert {layer.activation.__name__ for layer in layers} == {activation}


def test_bfloat16_computes_in_bfloat16_and_keeps_variables_and_logits_in_float32(compose):
    model = network(compose("trainer.precision=bfloat16"))
    norm = next(layer for layer in model.layers if isinstance(layer, BatchNorm))
    assert norm.compute_dtype == "bfloat16"
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    assert model.output.dtype == "float32"
