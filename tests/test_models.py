"""The networks mlp and cnn, and the unit that they are made of."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_networks_arms import ARMS, batch, none, unit

from bnexp.config import ConfigError
from bnexp.initializers.gaussian import Gaussian
from bnexp.networks.cnn import cnn
from bnexp.networks.initial import initialize, weight_layers
from bnexp.networks.mlp import mlp
from bnexp.norms.batch import BatchNorm

NORM_LAYERS = {"batch": "BatchNorm", "layer": "GroupNormalization"}
MNIST = (28, 28, 1)
BUILDERS = {"mlp": mlp, "cnn": cnn}


def kinds(model):
    return [type(layer).__name__ for layer in model.layers[1:]]


def names(model):
    return [layer.name for layer in model.layers]


def test_default_cnn_is_the_original_repositorys():
    model = cnn(unit(), MNIST, 10)
    repeated = ["Conv2D", "BatchNorm", "Activation", "MaxPooling2D"]
    ending = ["Flatten", "Dense", "Activation", "Dropout", "Dense"]
    assert kinds(model) == [*repeated, *repeated, *ending]
    shapes = [tuple(layer.kernel.shape) for layer in weight_layers(model)]
    assert shapes == [(5, 5, 1, 32), (5, 5, 32, 64), (3136, 1024), (1024, 10)]


@pytest.mark.parametrize("norm", NORM_LAYERS)
def test_protocol_p_normalizes_before_each_nonlinearity_without_a_bias(norm):
    model = mlp(unit(ARMS[norm], "sigmoid"), MNIST, 10)
    repeated = ["TransposedDense", NORM_LAYERS[norm], "Activation"]
    assert kinds(model) == ["Flatten", *repeated * 3, "Dense"]
    assert [layer.bias is None for layer in weight_layers(model)] == [True, True, True, False]


def test_layers_are_named_for_their_place():
    model = mlp(unit(activation="sigmoid"), MNIST, 10, hidden=[5], dropout=0.1)
    first = ["dense_1", "dense_1_norm", "dense_1_sigmoid"]
    assert names(model) == ["images", "flatten", *first, "dropout", "logits"]


@pytest.mark.parametrize("network", BUILDERS)
def test_norm_none_leaves_out_the_norm_and_keeps_the_biases(network):
    model = BUILDERS[network](unit(none), MNIST, 10, hidden=[5])
    assert not [name for name in names(model) if name.endswith("_norm")]
    assert all(layer.bias is not None for layer in weight_layers(model))


@pytest.mark.parametrize(("network", "before_a_norm"), [("mlp", 3), ("cnn", 2)])
def test_bias_keeps_the_bias_before_a_norm(network, before_a_norm):
    build = BUILDERS[network]
    assert all(layer.bias is not None for layer in weight_layers(build(unit(bias=True), MNIST, 10)))
    without = weight_layers(build(unit(), MNIST, 10))
    assert sum(layer.bias is None for layer in without) == before_a_norm


@pytest.mark.parametrize("gradient", ["full", "no_mean", "none"])
def test_a_bias_before_a_norm_has_a_gradient_only_if_the_mean_is_outside_it(gradient):
    """Section 2: a step on such a bias changes no output, and so is made again and again."""

    def norm(name, dtype):
        return BatchNorm(gradient=gradient, name=name, dtype=dtype)

    model = mlp(unit(norm, "sigmoid", bias=True), MNIST, 10)
    initialize(model, Gaussian(), 0)
    images = np.random.default_rng(0).random((60, *MNIST), "float32")
    biases = [layer.bias.value for layer in weight_layers(model)[:-1]]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.log_softmax(model(images, training=True))[:, 0])
    norms = [float(tf.norm(bias)) for bias in tape.gradient(loss, biases)]
    if gradient == "full":
        assert max(norms) < 1e-6
    else:
        assert min(norms) > 1e-5


@pytest.mark.parametrize("norm", NORM_LAYERS)
def test_position_post_normalizes_after_the_nonlinearity_and_keeps_the_bias(norm):
    model = mlp(unit(ARMS[norm], position="post"), MNIST, 10)
    repeated = ["TransposedDense", "Activation", NORM_LAYERS[norm]]
    assert kinds(model) == ["Flatten", *repeated * 3, "Dense"]
    assert all(layer.bias is not None for layer in weight_layers(model))


@pytest.mark.parametrize("position", ["pre", "post"])
def test_a_norm_that_wraps_gets_each_linear_map_that_it_follows(position):
    model = cnn(unit(ARMS["wrap"], position=position), MNIST, 10, filters=[2, 3], hidden=[4])
    wrapped = [name for name in names(model) if name.endswith("_scaled")]
    assert wrapped == ["conv_1_scaled", "conv_2_scaled"]
    assert [layer.name for layer in weight_layers(model)] == [
        "conv_1",
        "conv_2",
        "dense_1",
        "logits",
    ]


def test_a_projection_is_normalized_without_a_bias_in_either_position():
    for position in ("pre", "post"):
        made = unit(position=position)
        inputs = keras.Input((4,))
        outputs = made.normalized(
            "dense_1", lambda **kwargs: keras.layers.Dense(3, **kwargs), inputs
        )
        layers = keras.Model(inputs, outputs).layers[1:]
        assert [layer.name for layer in layers] == ["dense_1", "dense_1_norm"]
        assert not layers[0].use_bias


@pytest.mark.parametrize("activation", ["sigmoid", "relu", "tanh", "gelu"])
def test_activation_is_the_one_asked_for(activation):
    model = mlp(unit(activation=activation), MNIST, 10)
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Activation)]
    assert {layer.activation.__name__ for layer in layers} == {activation}


def test_an_activation_that_keras_does_not_have_is_refused_in_a_line():
    with pytest.raises(ConfigError, match=r"^model.activation=rellu .* did you mean 'relu'\?$"):
        unit(activation="rellu")
    with pytest.raises(
        ConfigError, match=r"^model.activation=xyzzy is no activation of Keras, .*$"
    ):
        unit(activation="xyzzy")


@pytest.mark.parametrize(("jit", "kind"), [(True, "PhiloxDropout"), (False, "Dropout")])
def test_dropout_is_the_one_that_is_fast_where_the_network_runs(jit, kind):
    assert kind in kinds(mlp(unit(jit=jit), MNIST, 10, dropout=0.5))
    assert kind not in kinds(mlp(unit(jit=jit), MNIST, 10, dropout=0.0))


@pytest.mark.parametrize("network", BUILDERS)
def test_bfloat16_computes_in_bfloat16_and_keeps_variables_and_logits_in_float32(network):
    model = BUILDERS[network](unit(policy="mixed_bfloat16"), MNIST, 10)
    hidden = [layer for layer in model.layers if layer.name not in ("images", "logits")]
    assert {layer.compute_dtype for layer in hidden} == {"bfloat16"}
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    assert model.output.dtype == "float32"


# ---- shortcuts -----------------------------------------------------------------------------------


def weights_of(model):
    """W (inputs, units) and b by layer name."""
    return {
        layer.name: (layer.kernel.numpy().T, layer.bias.numpy())
        for layer in weight_layers(model)[:-1]
    }


def hidden_values(model, images):
    """What the output layer sees."""
    return keras.Model(model.inputs[0], model.layers[-1].input)(images).numpy()


def relu(x):
    return np.maximum(x, 0)


def shortcut_network(skip, norm=none, hidden=(6, 6, 5, 5), gate_bias=-1.0, **options):
    shape, hidden = (2, 2, 1), list(hidden)
    model = mlp(unit(norm, **options), shape, 3, hidden=hidden, skip=skip, gate_bias=gate_bias)
    initialize(model, Gaussian(0.5), 0, bias=0.1)
    images = np.random.default_rng(0).normal(size=(7, 2, 2, 1)).astype("float32")
    return model, images


def test_residual_adds_the_input_before_the_nonlinearity_where_widths_agree():
    model, images = shortcut_network("residual")
    x = images.reshape(7, 4)
    for name, (kernel, bias) in weights_of(model).items():
        shortcut = x if name in ("dense_2", "dense_4") else 0
        x = relu(x @ kernel + bias + shortcut)
    np.testing.assert_allclose(hidden_values(model, images), x, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gate_bias", [-1.0, -4.0])
def test_highway_weighs_output_against_input_with_a_gate_that_starts_nearly_closed(gate_bias):
    model, images = shortcut_network("highway", gate_bias=gate_bias)
    weights = weights_of(model)
    assert set(weights) == {*(f"dense_{k}" for k in (1, 2, 3, 4)), "dense_2_gate", "dense_4_gate"}
    x = images.reshape(7, 4)
    for name in ("dense_1", "dense_2", "dense_3", "dense_4"):
        kernel, bias = weights[name]
        outputs = relu(x @ kernel + bias)
        if gate := weights.get(f"{name}_gate"):
            share = 1 / (1 + np.exp(-(x @ gate[0] + gate[1] + gate_bias)))
            outputs = share * outputs + (1 - share) * x
        x = outputs
    np.testing.assert_allclose(hidden_values(model, images), x, rtol=1e-5, atol=1e-6)


def test_a_gate_asks_for_highway_connections():
    with pytest.raises(ConfigError, match=r"^model.gate_bias=-4 needs model.skip=highway \(it is"):
        mlp(unit(none), (2, 2, 1), 3, skip="residual", gate_bias=-4.0)


@pytest.mark.parametrize(
    ("position", "order"),
    [
        ("pre", ["dense_2", "dense_2_norm", "dense_2_add", "dense_2_relu"]),
        ("post", ["dense_2", "dense_2_add", "dense_2_relu", "dense_2_norm"]),
    ],
)
def test_residual_shortcuts_join_after_a_norm_before_the_nonlinearity(position, order):
    model, _ = shortcut_network("residual", batch, position=position)
    assert [name for name in names(model) if name.startswith("dense_2")] == order


@pytest.mark.parametrize("skip", ["residual", "highway"])
def test_networks_with_shortcuts_compile_with_xla_in_bfloat16_too(skip):
    model, images = shortcut_network(skip, batch, policy="mixed_bfloat16")
    outputs = tf.function(lambda x: model(x, training=True), jit_compile=True)(images)
    assert outputs.dtype == tf.float32
    assert np.isfinite(outputs.numpy()).all()


def test_lrn_stands_between_each_nonlinearity_and_its_pooling():
    model = cnn(unit(none), MNIST, 10, filters=[2, 3], hidden=[4], lrn=True)
    expected = [f"conv_{k}{end}" for k in (1, 2) for end in ("", "_relu", "_lrn", "_pool")]
    assert [name for name in names(model) if name.startswith("conv")] == expected
