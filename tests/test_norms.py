"""Every normalizer against its formula in NumPy, float64: outputs, and gradients by differences."""

import importlib
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from bnexp.networks.dense import TransposedDense
from bnexp.norms.group import group
from bnexp.norms.instance import instance
from bnexp.norms.layer import layer
from bnexp.norms.none import none
from bnexp.norms.rms import rms
from bnexp.norms.standardization import standardization
from bnexp.norms.weight import weight

CONF = Path(__file__).resolve().parent.parent / "conf" / "norm"
VECTORS, MAPS = (6, 8), (3, 5, 4, 8)
WAYS = ("eager", "function", "xla")


def normalized(x, axes, epsilon, centered=True):
    """x less its mean over axes, by its deviation; or by its root mean square."""
    mean = x.mean(axes, keepdims=True) if centered else 0.0
    variance = ((x - mean) ** 2).mean(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon)


def by_example(x):
    return normalized(x, tuple(range(1, x.ndim)), 1e-3)


def by_group(x, groups):
    cut = x.reshape(len(x), -1, groups, x.shape[-1] // groups)
    return normalized(cut, (1, 3), 1e-3).reshape(x.shape)


def by_root_mean_square(x):
    return normalized(x, tuple(range(1, x.ndim)), 1e-3, centered=False)


ACTIVATION_NORMS = {
    "layer": (layer, {}, by_example, (VECTORS, MAPS)),
    "group of 4": (group, {"groups": 4}, lambda x: by_group(x, 4), (VECTORS, MAPS)),
    "group of 1": (group, {"groups": 1}, by_example, (VECTORS, MAPS)),
    "instance": (instance, {}, lambda x: by_group(x, 8), (MAPS,)),
    "rms": (rms, {}, by_root_mean_square, (VECTORS, MAPS)),
}
CASES = [
    pytest.param(option, settings, formula, shape, id=f"{name} {len(shape)}-D")
    for name, (option, settings, formula, shapes) in ACTIVATION_NORMS.items()
    for shape in shapes
]


def slope(function: Callable, values: list[np.ndarray], index: int, direction: np.ndarray) -> float:
    """Derivative of a function of float64 arrays along a direction of one of them."""
    ends = []
    for sign in (1, -1):
        moved = list(values)
        moved[index] = values[index] + sign * 1e-5 * direction
        ends.append(function(*moved))
    return (ends[0] - ends[1]) / 2e-5


def outputs_and_gradients(
    build: Callable, variables: list, x: np.ndarray, dy: np.ndarray, way: str
):
    """A layer's outputs, and the gradients of sum(outputs * dy) by x and by variables."""

    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = tf.cast(build(x), tf.float32)
            loss = tf.reduce_sum(outputs * dy)
        return [outputs, *tape.gradient(loss, [x, *(one.value for one in variables)])]

    compiled = {"eager": run, "function": tf.function(run)}.get(way)
    compiled = compiled or tf.function(run, jit_compile=True)
    return [np.asarray(tf.cast(one, tf.float64)) for one in compiled(tf.constant(x))]


def check_gradients(function, values, gradients, dy, rng, tolerance):
    """Each gradient against the slope in random directions."""
    for index, (value, gradient) in enumerate(zip(values, gradients, strict=True)):
        for _ in range(3):
            direction = rng.normal(size=value.shape)
            expected = slope(lambda *v: (function(*v) * dy).sum(), values, index, direction)
            size = np.linalg.norm(gradient) * np.linalg.norm(direction)
            assert abs((gradient * direction).sum() - expected) < tolerance * max(size, 1)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("option", "settings", "formula", "shape"), CASES)
def test_norms_of_activations_are_their_formulas(option, settings, formula, shape, way):
    rng = np.random.default_rng(1)
    norm = option(**settings, name="norm", dtype="float32")
    norm.build(shape)
    gamma, beta = rng.normal(1, 0.5, 8), rng.normal(0, 1, 8)
    norm.gamma.assign(gamma)
    norm.beta.assign(beta)
    x, dy = rng.normal(1, 2, shape).astype("float32"), rng.normal(size=shape).astype("float32")
    values = [np.asarray(v, "float64") for v in (x, norm.gamma, norm.beta)]

    def reference(x, gamma, beta):
        return gamma * formula(x) + beta

    found = outputs_and_gradients(norm, [norm.gamma, norm.beta], x, dy, way)
    np.testing.assert_allclose(found[0], reference(*values), rtol=1e-5, atol=1e-5)
    check_gradients(reference, values, found[1:], dy, rng, 1e-5)


@pytest.mark.parametrize(("option", "settings", "formula", "shape"), CASES)
def test_norms_of_activations_round_bfloat16_only_at_the_end(option, settings, formula, shape):
    x = np.random.default_rng(2).normal(300, 2, shape).astype("float32")  # 300 ± 2: 8 bits are few
    norm = option(**settings, name="norm", dtype="mixed_bfloat16")
    rounded = tf.cast(x, tf.bfloat16)
    outputs = norm(rounded)
    assert outputs.dtype == tf.bfloat16
    assert {weight.dtype for weight in norm.weights} == {"float32"}
    expected = formula(np.asarray(tf.cast(rounded, tf.float64)))
    np.testing.assert_allclose(np.asarray(tf.cast(outputs, tf.float64)), expected, 2**-8, 1e-4)


@pytest.mark.parametrize("way", ["eager", "xla"])
@pytest.mark.parametrize(("option", "settings", "formula", "shape"), CASES)
def test_norms_of_activations_hold_where_the_mean_is_large(option, settings, formula, shape, way):
    """Mean / deviation 1,000: E[x²] - E[x]² would keep no digit of a variance in float32."""
    rng = np.random.default_rng(3)
    x = rng.normal(1000, 1, shape).astype("float32")
    norm = option(**settings, name="norm", dtype="float32")
    found = outputs_and_gradients(norm, [], x, np.zeros(shape, "float32"), way)
    np.testing.assert_allclose(found[0], formula(x.astype("float64")), atol=5e-3)


# ---- norms of weights ----------------------------------------------------------------------------


def unit_length(kernel, axes):
    return kernel / np.sqrt((kernel**2).sum(axes, keepdims=True))


def standardized(kernel, axes):
    return normalized(kernel, axes, 1e-10)


def standardized_by_inputs(kernel, axes):
    return standardized(kernel, axes) / np.sqrt(np.prod([kernel.shape[axis] for axis in axes]))


WEIGHT_NORMS = [
    pytest.param(weight, {}, unit_length, id="weight"),
    pytest.param(standardization, {}, standardized, id="standardization"),
    pytest.param(standardization, {"scaled": True}, standardized_by_inputs, id="scaled"),
]


def dense(x, kernel):
    return x @ kernel


def transposed_dense(x, kernel):
    return x @ kernel.T


def conv(x, kernel):
    """Cross-correlation of (batch, *space, inputs) with (*window, inputs, filters), unpadded."""
    space = tuple(range(1, x.ndim - 1))
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:-2], space)
    windows = np.moveaxis(windows, x.ndim - 1, -1)  # (batch, *space, *window, inputs)
    return np.tensordot(windows, kernel, kernel.ndim - 1)


def depthwise(x, kernel):
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], (1, 2))
    return np.einsum("bhwcij,ijcm->bhwcm", windows, kernel).reshape(*windows.shape[:3], -1)


LINEAR = {  # with the axes of the kernel that run over the inputs of one output
    "Dense": (lambda **k: keras.layers.Dense(4, **k), (6, 8), dense, (0,)),
    "TransposedDense": (lambda **k: TransposedDense(4, **k), (6, 8), transposed_dense, (1,)),
    "Conv1D": (lambda **k: keras.layers.Conv1D(4, 3, **k), (3, 6, 8), conv, (0, 1)),
    "Conv2D": (lambda **k: keras.layers.Conv2D(4, (3, 2), **k), MAPS, conv, (0, 1, 2)),
    "Conv3D": (lambda **k: keras.layers.Conv3D(4, 2, **k), (2, 4, 3, 3, 2), conv, (0, 1, 2, 3)),
    "DepthwiseConv2D": (
        lambda **k: keras.layers.DepthwiseConv2D((3, 2), depth_multiplier=2, **k),
        MAPS,
        depthwise,
        (0, 1),
    ),
}


COMPILED = ("Dense", "TransposedDense", "Conv2D")  # XLA takes long, and all kernel maps are alike
KINDS_AND_WAYS = [
    (kind, way) for kind in LINEAR for way in WAYS if way != "xla" or kind in COMPILED
]


@pytest.mark.parametrize(("kind", "way"), KINDS_AND_WAYS)
@pytest.mark.parametrize(("option", "settings", "formula"), WEIGHT_NORMS)
def test_norms_of_weights_are_their_formulas(option, settings, formula, kind, way):
    make, shape, product, axes = LINEAR[kind]
    rng = np.random.default_rng(4)
    norm = option(**settings, name="norm", dtype="float32")
    linear = norm.wrap(make(use_bias=False))
    x = rng.normal(1, 2, shape).astype("float32")
    channels = norm(linear(x)).shape[-1]
    linear.kernel.assign(rng.normal(0.3, 0.5, linear.kernel.shape))
    norm.gamma.assign(rng.normal(1, 0.5, channels))
    norm.beta.assign(rng.normal(0, 1, channels))
    values = [np.asarray(v, "float64") for v in (x, linear.kernel, norm.gamma, norm.beta)]

    def reference(x, kernel, gamma, beta):
        return gamma * product(x, formula(kernel, axes)) + beta

    dy = rng.normal(size=reference(*values).shape).astype("float32")
    variables = [linear.kernel, norm.gamma, norm.beta]
    found = outputs_and_gradients(lambda x: norm(linear(x)), variables, x, dy, way)
    scale = np.abs(reference(*values)).max()
    np.testing.assert_allclose(found[0], reference(*values), atol=3e-6 * scale)
    check_gradients(reference, values, found[1:], dy, rng, 2e-5)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_transposed_convolutions_have_their_kernels_normalized_by_filter(rank):
    """A single input location: outputs are the kernel itself, (*window, filters, inputs)."""
    kind = getattr(keras.layers, f"Conv{rank}DTranspose")
    linear = weight(name="norm", dtype="float32").wrap(kind(4, 3, use_bias=False))
    inputs = np.eye(5, dtype="float32").reshape(5, *([1] * rank), 5)
    linear(inputs)
    kernel = np.random.default_rng(5).normal(size=linear.kernel.shape)
    linear.kernel.assign(kernel)
    expected = np.moveaxis(unit_length(kernel, (*range(rank), rank + 1)), -1, 0)
    np.testing.assert_allclose(linear(inputs), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["Dense", "Conv2D"])
@pytest.mark.parametrize(("option", "settings", "formula"), WEIGHT_NORMS)
def test_norms_of_weights_normalize_before_they_round_to_bfloat16(option, settings, formula, kind):
    make, shape, product, axes = LINEAR[kind]
    rng = np.random.default_rng(6)
    norm = option(**settings, name="norm", dtype="mixed_bfloat16")
    linear = norm.wrap(make(use_bias=False, dtype="mixed_bfloat16"))
    x = tf.cast(rng.normal(size=shape), tf.bfloat16)
    linear(x)
    kernel = rng.normal(100, 1, linear.kernel.shape)  # 8 bits are few for 100 ± 1
    linear.kernel.assign(kernel)
    outputs = norm(linear(x))
    assert (linear.kernel.dtype, outputs.dtype) == ("float32", tf.bfloat16)
    expected = product(np.asarray(tf.cast(x, tf.float64)), formula(kernel, axes))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(
        np.asarray(tf.cast(outputs, tf.float64)), expected, atol=0.02 * scale
    )


@pytest.mark.parametrize("kind", LINEAR)
@pytest.mark.parametrize("bias", [True, False])
def test_a_wrapped_layer_has_the_weights_and_settings_of_the_plain_one(kind, bias):
    make, shape, *_ = LINEAR[kind]
    plain = make(use_bias=bias, name="linear", activation="relu", dtype="mixed_bfloat16")
    wrapped = weight(name="norm", dtype="mixed_bfloat16").wrap(plain)
    for one in (plain, wrapped):
        one(np.zeros(shape, "float32"))
    assert isinstance(wrapped, type(plain))
    weights = [[(w.name, w.shape, w.dtype) for w in one.weights] for one in (plain, wrapped)]
    assert weights[0] == weights[1]
    settings = wrapped.get_config()
    del settings["kernel_map"]
    assert settings == plain.get_config()


def test_wrapped_layers_start_from_the_kernels_of_plain_ones():
    start = keras.initializers.GlorotUniform(7)
    plain = keras.layers.Dense(4, kernel_initializer=start)
    wrapped = weight(name="norm", dtype="float32").wrap(plain)
    for one in (plain, wrapped):
        one.build((None, 8))
    np.testing.assert_array_equal(plain.kernel, wrapped.kernel)


def test_the_size_of_normalized_weights_does_not_matter():
    norm = weight(name="norm", dtype="float32")
    linear = norm.wrap(keras.layers.Dense(4))
    x = np.random.default_rng(8).normal(size=(6, 8)).astype("float32")
    once = np.asarray(linear(x))
    linear.kernel.assign(linear.kernel * 100)
    np.testing.assert_allclose(linear(x), once, rtol=1e-5)


def test_weights_that_are_all_zero_give_no_nan():
    for option in (weight, standardization):
        linear = option(name="norm", dtype="float32").wrap(
            keras.layers.Dense(4, kernel_initializer="zeros")
        )
        np.testing.assert_array_equal(linear(np.ones((2, 8), "float32")), np.zeros((2, 4)))


class Dense(keras.layers.Dense):
    """A user's own, whose call nobody knows."""


@pytest.mark.parametrize(
    "linear", [keras.layers.SeparableConv2D(4, 3, name="other"), Dense(4, name="other")]
)
def test_a_layer_whose_weights_cannot_be_normalized_is_refused_in_a_line(linear):
    with pytest.raises(ValueError, match=r"dense_norm cannot normalize.*other.*Conv2D") as error:
        weight(name="dense_norm", dtype="float32").wrap(linear)
    assert "\n" not in str(error.value)


# ---- what they have in common --------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_option_makes_a_layer_with_the_name_and_policy_it_is_given(path):
    settings = yaml.safe_load(path.read_text())
    module, _, target = settings.pop("_target_").rpartition(".")
    made = getattr(importlib.import_module(module), target)(
        **settings, name="conv_1_norm", dtype="mixed_bfloat16"
    )
    if path.stem == "none":
        assert made is None
        return
    assert isinstance(made, keras.layers.Layer)
    assert (made.name, made.dtype_policy.name) == ("conv_1_norm", "mixed_bfloat16")
    made.build((None, 4, 4, 8))
    start = {weight.name: np.asarray(weight) for weight in made.trainable_weights}
    assert start.keys() == {"gamma", "beta"}
    np.testing.assert_array_equal(start["gamma"], np.ones(8))
    np.testing.assert_array_equal(start["beta"], np.zeros(8))


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_network_with_any_norm_trains_and_is_saved_and_loaded(path, tmp_path):
    settings = yaml.safe_load(path.read_text())
    module, _, target = settings.pop("_target_").rpartition(".")
    option = getattr(importlib.import_module(module), target)
    norm = option(**settings, name="norm", dtype="float32")
    conv = keras.layers.Conv2D(8, 3, name="conv")
    conv = norm.wrap(conv) if hasattr(norm, "wrap") else conv
    norms = [norm] if norm else []
    flat = [keras.layers.Flatten(), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((5, 5, 3)), conv, *norms, *flat])
    rng = np.random.default_rng(9)
    x = rng.normal(size=(64, 5, 5, 3)).astype("float32")
    y = x.mean((1, 2, 3))
    keras.utils.set_random_seed(0)
    model.compile(keras.optimizers.SGD(0.01), "mse")
    losses = model.fit(x, y, batch_size=16, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    assert [one.get_config() for one in loaded.layers] == [one.get_config() for one in model.layers]


def test_none_is_no_layer():
    assert none(name="norm", dtype="float32") is None


def test_groups_that_do_not_divide_the_channels_are_refused_with_those_that_do():
    norm = group(groups=32, name="dense_1_norm", dtype="float32")
    with pytest.raises(ValueError, match=r"groups=32 .* 100 channels .*dense_1_norm.* 4, 5, 10"):
        norm.build((None, 100))


@pytest.mark.parametrize("shape", [(None, 100), (None, 1, 1, 8)])
def test_instances_without_locations_are_refused(shape):
    norm = instance(name="dense_1_norm", dtype="float32")
    with pytest.raises(ValueError, match=r"dense_1_norm.*use layer or group"):
        norm.build(shape)


def test_an_epsilon_that_float32_does_not_have_is_refused():
    with pytest.raises(ValueError, match=r"epsilon=1e-50 is 0 in float32: at least 1.2e-38"):
        rms(epsilon=1e-50, name="norm", dtype="float32")
