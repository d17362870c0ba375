"""BatchNorm against the paper, a plain NumPy reference in float64, and Keras's own layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnexp.norms import batch as option
from bnexp.norms.affine import Affine
from bnexp.norms.batch import BatchNorm
from bnexp.norms.xla import inside_xla

GRADIENTS = ("full", "no_mean", "none")
SHAPES = [(16, 5), (8, 6, 7, 5)]
FAST = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def algorithm_1(x, gamma, beta, epsilon):
    """Alg. 1 over all axes but the last: outputs, mean, biased variance."""
    axes = tuple(range(x.ndim - 1))
    mean = x.sum(axes) / (x.size / x.shape[-1])
    variance = ((x - mean) ** 2).sum(axes) / (x.size / x.shape[-1])
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta, mean, variance


def paper_gradients(x, gamma, epsilon, dy, flows="full"):
    """The derivatives as section 3 prints them, term by term, less those not to flow."""
    axes = tuple(range(x.ndim - 1))
    m = x.size / x.shape[-1]
    _, mean, variance = algorithm_1(x, gamma, 0, epsilon)
    x_hat = (x - mean) / np.sqrt(variance + epsilon)
    d_x_hat = dy * gamma
    d_variance = (d_x_hat * (x - mean)).sum(axes) * -0.5 * (variance + epsilon) ** -1.5
    d_mean = (d_x_hat * -1 / np.sqrt(variance + epsilon)).sum(axes)
    d_mean += d_variance * (-2 * (x - mean)).sum(axes) / m
    d_x = d_x_hat / np.sqrt(variance + epsilon)
    if flows != "none":
        d_x += d_variance * 2 * (x - mean) / m
    if flows == "full":
        d_x += d_mean / m
    return d_x, (dy * x_hat).sum(axes), dy.sum(axes)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("epsilon", [1e-3, 1e-8])
@pytest.mark.parametrize("flows", GRADIENTS)
def test_forward_and_gradients_are_those_of_the_paper(shape, epsilon, flows):
    rng = np.random.default_rng(1)
    x, dy = rng.normal(3, 2, shape), rng.normal(size=shape)
    layer = BatchNorm(epsilon=epsilon, gradient=flows, dtype="float64")
    layer.build(shape)
    gamma, beta = rng.normal(1, 0.5, shape[-1]), rng.normal(0, 1, shape[-1])
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
        loss = tf.reduce_sum(outputs * dy)
    got = tape.gradient(loss, [inputs, layer.gamma.value, layer.beta.value])

    np.testing.assert_allclose(outputs, algorithm_1(x, gamma, beta, epsilon)[0], rtol=1e-10)
    for mine, theirs in zip(got, paper_gradients(x, gamma, epsilon, dy, flows), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_the_gradient_flows_through_changes_no_output(shape):
    x = np.random.default_rng(1).normal(3, 2, shape).astype("float32")
    results = []
    for flows in GRADIENTS:
        layer = BatchNorm(gradient=flows, fused=False)
        outputs = [layer(x, training=True), layer(x, training=False)]
        results.append([*outputs, layer.moving_mean.numpy(), layer.moving_variance.numpy()])
    for other in results[1:]:
        for mine, theirs in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("shape", [*SHAPES, (6, 4, 5)])
def test_same_as_keras_in_training_and_inference(shape):
    rng = np.random.default_rng(2)
    batches = rng.normal(3, 2, (5, *shape)).astype("float32")
    arguments = {"momentum": 0.7, "epsilon": 1e-3}
    mine, theirs = BatchNorm(**arguments), keras.layers.BatchNormalization(**arguments)
    m = batches[0].size / shape[-1]
    for layer in (mine, theirs):
        layer.build(shape)
        layer.gamma.assign(np.linspace(0.5, 2, shape[-1]))
        layer.beta.assign(np.linspace(-1, 1, shape[-1]))
    for batch in batches:
        np.testing.assert_allclose(
            mine(batch, training=True), theirs(batch, training=True), rtol=2e-5, atol=2e-5
        )
    np.testing.assert_allclose(mine.moving_mean, theirs.moving_mean, rtol=1e-5)
    # Keras averages the biased variance here: undo both starts of 1 and compare the rest
    rest = 0.7**5
    mine_unbiased = np.asarray(mine.moving_variance) - rest
    theirs_biased = np.asarray(theirs.moving_variance) - rest
    np.testing.assert_allclose(mine_unbiased, theirs_biased * m / (m - 1), rtol=1e-4)
    theirs.moving_variance.assign(mine.moving_variance)
    np.testing.assert_allclose(
        mine(batches[0], training=False), theirs(batches[0], training=False), rtol=2e-5, atol=2e-5
    )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_fused_kernels_give_the_same_numbers(training, dtype):
    rng = np.random.default_rng(3)
    x = tf.cast(rng.normal(1, 2, (8, 6, 7, 5)), "bfloat16" if "bfloat16" in dtype else "float32")
    results = []
    for fused in (True, False):
        layer = BatchNorm(fused=fused, momentum=0.5, dtype=dtype)
        layer.build(x.shape)
        layer.gamma.assign(np.linspace(0.5, 2, 5))
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=training)
            loss = tf.reduce_sum(tf.cast(outputs, "float32") ** 3)
        gradients = tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])
        results.append([outputs, *gradients, layer.moving_mean.value, layer.moving_variance.value])
    for fused, plain in zip(*results, strict=True):
        scale = np.abs(np.asarray(plain, "float64")).max()
        tolerance = (2e-2 if "bfloat16" in dtype else 2e-5) * scale
        np.testing.assert_allclose(
            np.asarray(fused, "float64"), np.asarray(plain, "float64"), atol=tolerance
        )


@FAST
@given(
    batch=st.integers(2, 40),
    features=st.integers(1, 6),
    mean=st.floats(-50, 50),
    scale=st.floats(0.1, 50),
    seed=st.integers(0, 2**16),
)
def test_outputs_have_mean_beta_and_deviation_gamma(batch, features, mean, scale, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(mean, scale, (batch, features))
    layer = BatchNorm(epsilon=1e-12, dtype="float64")
    layer.build(x.shape)
    gamma, beta = rng.uniform(0.5, 2, features), rng.normal(size=features)
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    outputs = np.asarray(layer(x, training=True))
    np.testing.assert_allclose(outputs.mean(0), beta, atol=1e-6)
    np.testing.assert_allclose(outputs.std(0), gamma, rtol=1e-5)


@FAST
@given(factor=st.floats(0.01, 100), shift=st.floats(-100, 100), seed=st.integers(0, 2**16))
def test_scale_and_shift_of_inputs_do_not_matter(factor, shift, seed):
    x = np.random.default_rng(seed).normal(size=(12, 4))
    layer = BatchNorm(epsilon=1e-14, dtype="float64")
    once = layer(x, training=True)
    again = layer(factor * x + shift, training=True)
    np.testing.assert_allclose(once, again, atol=1e-6)


@FAST
@given(momentum=st.floats(0, 1), count=st.integers(1, 6), seed=st.integers(0, 2**16))
def test_moving_averages_decay_by_momentum(momentum, count, seed):
    batches = np.random.default_rng(seed).normal(size=(count, 7, 3))
    layer = BatchNorm(momentum=momentum, dtype="float64")
    mean, variance = np.zeros(3), np.ones(3)
    for batch in batches:
        layer(batch, training=True)
        mean = momentum * mean + (1 - momentum) * batch.mean(0)
        variance = momentum * variance + (1 - momentum) * batch.var(0, ddof=1)
    np.testing.assert_allclose(layer.moving_mean, mean, atol=1e-12)
    np.testing.assert_allclose(layer.moving_variance, variance, atol=1e-12)


def test_statistics_of_a_feature_map_run_over_batch_and_locations():
    x = np.random.default_rng(4).normal(2, 3, (4, 5, 6, 2)).astype("float32")
    layer = BatchNorm(momentum=0.0)
    layer(x, training=True)
    flat = x.reshape(-1, 2)
    np.testing.assert_allclose(layer.moving_mean, flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, flat.var(0, ddof=1), rtol=1e-5)


@pytest.mark.parametrize(("axis", "shape"), [(1, (6, 3, 4)), (1, (2, 3, 4, 5)), (-2, (6, 3, 4))])
def test_any_axis_may_hold_the_features(axis, shape):
    x = np.random.default_rng(5).normal(size=shape).astype("float32")
    layer = BatchNorm(axis=axis)
    last = BatchNorm()
    moved = np.moveaxis(x, axis, -1)
    expected = np.moveaxis(np.asarray(last(moved, training=True)), -1, axis)
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, last.moving_variance, rtol=1e-5)


@pytest.mark.parametrize("axis", [-1, 1])
def test_masked_positions_do_not_count(axis):
    rng = np.random.default_rng(6)
    x = rng.normal(size=(5, 4, 3))
    mask = rng.random((5, 4)) < 0.6
    layer = BatchNorm(axis=axis, momentum=0.0, dtype="float64")
    outputs = np.asarray(layer(x, training=True, mask=tf.constant(mask)))
    weights = np.broadcast_to(mask[..., None], x.shape)
    features = np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])
    kept = np.moveaxis(weights, axis, -1).reshape(features.shape)
    mean = [column[on].mean() for column, on in zip(features.T, kept.T, strict=True)]
    variance = [column[on].var() for column, on in zip(features.T, kept.T, strict=True)]
    unbiased = [column[on].var(ddof=1) for column, on in zip(features.T, kept.T, strict=True)]
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-9)
    np.testing.assert_allclose(layer.moving_variance, unbiased, rtol=1e-9)
    normalized = (features - mean) / np.sqrt(np.array(variance) + 1e-3)
    np.testing.assert_allclose(
        np.moveaxis(outputs, axis, -1).reshape(features.shape), normalized, rtol=1e-9
    )


def test_masks_travel_through_a_keras_model():
    tokens = np.array([[1, 2, 0, 0], [3, 1, 2, 0]])
    embedding = keras.layers.Embedding(4, 3, mask_zero=True)
    layer = BatchNorm(momentum=0.0)
    model = keras.Sequential([embedding, layer])
    model(tokens, training=True)
    real = np.asarray(embedding(tokens)).reshape(-1, 3)[tokens.ravel() > 0]
    np.testing.assert_allclose(layer.moving_mean, real.mean(0), rtol=1e-5, atol=1e-7)


def test_a_single_example_is_normalized_to_beta_without_dividing_by_zero():
    layer = BatchNorm()
    outputs = layer(np.full((1, 3), 7.0, "float32"), training=True)
    np.testing.assert_array_equal(outputs, np.zeros((1, 3)))
    assert np.isfinite(layer.moving_variance).all()


def test_a_frozen_layer_normalizes_by_population_statistics():
    x = np.random.default_rng(7).normal(5, 3, (8, 4)).astype("float32")
    layer = BatchNorm()
    layer.trainable = False
    outputs = layer(x, training=True)
    np.testing.assert_allclose(outputs, x / np.sqrt(1 + 1e-3), rtol=1e-5)
    np.testing.assert_array_equal(layer.moving_mean, np.zeros(4))


def test_inference_does_not_depend_on_the_rest_of_the_batch():
    x = np.random.default_rng(8).normal(size=(8, 4)).astype("float32")
    layer = BatchNorm()
    layer(x, training=True)
    alone = np.asarray(layer(x[:1], training=False))
    np.testing.assert_allclose(alone[0], np.asarray(layer(x, training=False))[0], rtol=1e-6)
    in_training = np.asarray(layer(x[:2], training=True))[0]
    assert np.abs(in_training - np.asarray(layer(x, training=True))[0]).max() > 0.01


@pytest.mark.parametrize(("center", "scale"), [(False, True), (True, False), (False, False)])
@pytest.mark.parametrize("shape", SHAPES)
def test_shift_and_factor_can_be_left_out(center, scale, shape):
    layer = BatchNorm(center=center, scale=scale)
    x = np.random.default_rng(9).normal(2, 3, shape).astype("float32")
    outputs = np.asarray(layer(x, training=True))
    assert {w.name for w in layer.trainable_weights} == {
        name for name, there in (("gamma", scale), ("beta", center)) if there
    }
    np.testing.assert_allclose(outputs, algorithm_1(x, 1, 0, 1e-3)[0], atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "shape", "names"),
    [
        ({"momentum": 1.5}, (2, 3), "momentum"),
        ({"epsilon": -1}, (2, 3), "epsilon"),
        ({"axis": 2}, (2, 3), "axis=2"),
        ({}, (2, None), "unknown size"),
        ({"fused": True}, (2, 3), "fused=True"),
        ({"fused": True, "epsilon": 1e-8}, (2, 3, 4, 5), "epsilon"),
        ({"fused": True, "gradient": "none"}, (2, 3, 4, 5), "gradient=none"),
        ({"gradient": "mean"}, (2, 3), "gradient=mean"),
        ({"epsilon": float("nan")}, (2, 3), "epsilon=nan"),
        ({"epsilon": float("inf")}, (2, 3), "epsilon=inf"),
        ({"epsilon": 1e-50}, (2, 3), "epsilon=1e-50 is 0 in float32: at least 1.2e-38, or 0"),
        ({"epsilon": 1e-50, "dtype": "float16"}, (2, 3), "epsilon=1e-50 is 0 in float32"),
        ({"momentum": float("nan")}, (2, 3), "momentum=nan"),
        ({"axis": 1.7}, (2, 3), "axis=1.7 is not a whole number"),
        ({"axis": "1"}, (2, 3), "axis=1 is not a whole number"),
        ({"axis": True}, (2, 3), "axis=True is not a whole number"),
        ({"ghost_size": 0}, (2, 3), "ghost_size=0 is out of range: at least 1"),
        ({"ghost_size": 2.5}, (2, 3), "ghost_size=2.5 is not a whole number"),
        ({"ghost_size": 2, "axis": 0}, (2, 3), "axis=0 .* ghost_size=2"),
        ({"ghost_size": 2, "synchronized": True}, (2, 3), "ghost_size .* synchronized"),
        ({"fused": True, "renorm": True}, (2, 3, 4, 5), "renorm"),
        ({"renorm_momentum": 2}, (2, 3), "renorm_momentum=2"),
    ],
)
def test_arguments_that_cannot_be_are_refused_by_name(arguments, shape, names):
    with pytest.raises(ValueError, match=names):
        BatchNorm(**arguments).build(shape)


def test_a_mask_of_another_rank_is_refused():
    with pytest.raises(ValueError, match="mask"):
        BatchNorm()(np.zeros((2, 3, 4), "float32"), training=True, mask=tf.ones((2,), tf.bool))


def test_saved_in_a_model_and_loaded_again(tmp_path):
    layer = BatchNorm(
        axis=-1,
        momentum=0.8,
        epsilon=1e-2,
        gradient="no_mean",
        gamma_initializer=keras.initializers.Constant(2.0),
        beta_regularizer=keras.regularizers.L2(0.1),
        gamma_constraint=keras.constraints.NonNeg(),
    )
    model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(2)])
    x = np.random.default_rng(10).normal(size=(8, 4)).astype("float32")
    model(x, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model(x), loaded(x))
    assert loaded.layers[0].get_config() == layer.get_config()
    assert loaded.layers[0].gradient == "no_mean"
    assert len(loaded.losses) == 1


def test_trains_with_keras_fit():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(11)
    x = rng.normal(4, 3, (256, 6)).astype("float32")
    y = (x.sum(1) > 24).astype("float32")
    model = keras.Sequential([BatchNorm(momentum=0.9), keras.layers.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.SGD(0.5), "binary_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=32, epochs=15, verbose=0)
    assert model.evaluate(x, y, verbose=0)[1] > 0.95


@pytest.mark.parametrize("kind", [BatchNorm, Affine])
def test_another_backend_of_keras_is_refused_in_a_line(kind, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match="Keras here with jax: set KERAS_BACKEND=tensorflow"):
        kind()


def test_an_epsilon_that_only_float64_has_is_taken_there():
    assert BatchNorm(epsilon=1e-50, dtype="float64").epsilon == 1e-50
    assert BatchNorm(epsilon=0).epsilon == 0


# ---- inside XLA ----------------------------------------------------------------------------------


def in_a_function(layer):
    return tf.function(lambda x: layer(x, training=True), jit_compile=True)


def in_a_function_within(layer):
    inner = tf.function(lambda x: layer(x, training=True))
    return tf.function(
        lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: inner(x), lambda: x), jit_compile=True
    )


def in_a_loop(layer):
    def step(i, x, _):
        return i + 1, x, layer(x, training=True)

    def loop(x):
        return tf.while_loop(lambda i, *_: i < 2, step, (0, x, tf.zeros_like(x)))[2]

    return tf.function(loop, jit_compile=True)


def called_by_a_function_of_xla(layer):
    compiled = in_a_function(layer)
    return tf.function(lambda x: compiled(x))


@pytest.mark.parametrize("ratio", [100, 1000, 10_000])
@pytest.mark.parametrize(
    "program", [in_a_function, in_a_function_within, in_a_loop, called_by_a_function_of_xla]
)
def test_inside_xla_feature_maps_with_large_means_are_normalized(program, ratio):
    """XLA's own FusedBatchNorm is off by 0.8%, 38% and NaN here (tensorflow#118701)."""
    x = np.random.default_rng(20).normal(ratio, 1, (8, 6, 7, 5)).astype("float32")
    layer = BatchNorm(momentum=0.0)
    outputs = program(layer)(tf.constant(x))
    expected, mean, variance = algorithm_1(x.astype("float64"), 1, 0, 1e-3)
    np.testing.assert_allclose(outputs, expected, atol=1e-6 * ratio)
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-6)
    m = x.size // 5
    np.testing.assert_allclose(layer.moving_variance, variance * m / (m - 1), rtol=1e-4)


def test_outside_xla_feature_maps_go_through_the_fused_kernel():
    layer = BatchNorm()
    layer.build((None, 4, 4, 3))
    for jit in (True, False, True):
        function = tf.function(lambda x: layer(x, training=True), jit_compile=jit)
        graph = function.get_concrete_function(tf.zeros((2, 4, 4, 3))).graph
        kinds = {operation.type for operation in graph.get_operations()}
        assert ("FusedBatchNormV3" in kinds) is not jit


def test_xla_that_picks_its_operations_itself_is_noticed_too(monkeypatch):
    assert not inside_xla()
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit")
    assert inside_xla()
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=0")
    assert not inside_xla()
    tf.config.optimizer.set_jit(True)
    try:
        assert inside_xla()
    finally:
        tf.config.optimizer.set_jit(False)


# ---- precision and types -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4096, 3), (64, 8, 8, 3)])
@pytest.mark.parametrize("fused", [None, False])
@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16"])
def test_statistics_are_in_float32_under_every_policy_of_half_precision(policy, fused, shape):
    half = policy.removeprefix("mixed_")
    x = tf.cast(np.random.default_rng(22).normal(30, 2, shape), half)
    layer = BatchNorm(fused=fused, momentum=0.0, dtype=policy)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, training=True)
    exact = np.asarray(tf.cast(x, tf.float64))
    expected, mean, variance = algorithm_1(exact, 1, 0, 1e-3)
    m = x.shape.num_elements() // 3
    assert (outputs.dtype, tape.gradient(outputs, x).dtype) == (half, half)
    assert layer(x, training=False).dtype == half
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, variance * m / (m - 1), rtol=1e-4)
    rounding = 2**-8 if half == "bfloat16" else 2**-11
    np.testing.assert_allclose(tf.cast(outputs, tf.float64), expected, rounding, rounding)


@pytest.mark.parametrize("policy", ["float16", "bfloat16"])
def test_averages_in_half_precision_policies_hold_and_move(policy):
    """bfloat16 has no number between 100 and 100.5, and float16 none from 65,520 on."""
    layer = BatchNorm(momentum=0.99, moving_variance_initializer="zeros", dtype=policy)
    x = tf.cast(np.array([[0.0], [500.0]]), policy)  # an unbiased variance of 125,000
    for _ in range(500):
        layer(x, training=True)
    rest = 0.99**500
    np.testing.assert_allclose(layer.moving_mean, [250 * (1 - rest)], rtol=1e-3)
    np.testing.assert_allclose(layer.moving_variance, [125_000 * (1 - rest)], rtol=1e-3)


@pytest.mark.parametrize("shape", [(16, 3), (4, 5, 6, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "bool"])
def test_whole_numbers_are_normalized_as_floats(dtype, shape):
    x = np.random.default_rng(23).integers(0, 256, shape).astype(dtype)
    whole, floats = BatchNorm(), BatchNorm()
    for training in (True, False):
        outputs = whole(tf.constant(x), training=training)
        assert outputs.dtype == tf.float32
        expected = floats(tf.constant(x.astype("float32")), training=training)
        np.testing.assert_array_equal(outputs, expected)
    assert BatchNorm(dtype="mixed_bfloat16")(tf.constant(x)).dtype == tf.bfloat16


def test_whole_numbers_are_not_rounded_to_half_precision_first():
    x = tf.constant([[1000], [1001], [1002], [1003]])  # bfloat16 knows 1000 and 1004 there
    layer = BatchNorm(momentum=0.0, dtype="mixed_bfloat16")
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_variance, [5 / 3], rtol=1e-5)


# ---- positions that do not count -----------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("shape", [(6, 4, 3), (6, 2, 2, 3)])
def test_what_masked_positions_hold_does_not_matter(bad, shape):
    rng = np.random.default_rng(24)
    x = rng.normal(size=shape).astype("float32")
    mask = rng.random(shape[:-1]) < 0.6
    results = []
    for value in (bad, 0.0):
        filled = tf.constant(np.where(mask[..., None], x, np.float32(value)))
        layer = BatchNorm(momentum=0.5)
        layer.build(shape)
        with tf.GradientTape() as tape:
            tape.watch(filled)
            outputs = layer(filled, training=True, mask=tf.constant(mask))
            loss = tf.reduce_sum(tf.where(mask[..., None], outputs, 0) ** 3)
        gradients = tape.gradient(loss, [filled, layer.gamma.value, layer.beta.value])
        inference = layer(filled, training=False, mask=tf.constant(mask))
        averages = [layer.moving_mean.numpy(), layer.moving_variance.numpy()]
        results.append([outputs.numpy()[mask], inference.numpy()[mask], *gradients, *averages])
        if not np.isfinite(value):
            assert np.isfinite(outputs).all()
            assert np.isfinite(inference).all()
    for poisoned, clean in zip(*results, strict=True):
        np.testing.assert_array_equal(poisoned, clean)


def test_a_batch_with_no_position_left_moves_no_average():
    layer = BatchNorm(momentum=0.5)
    x = np.full((4, 3, 2), 5.0, "float32")
    outputs = layer(x, training=True, mask=tf.zeros((4, 3), tf.bool))
    np.testing.assert_array_equal(layer.moving_mean, [0, 0])
    np.testing.assert_array_equal(layer.moving_variance, [1, 1])
    np.testing.assert_allclose(outputs, x / np.sqrt(1e-3), rtol=1e-5)  # as Keras has it


@pytest.mark.parametrize("arguments", [{}, {"fused": False}, {"ghost_size": 2}, {"renorm": True}])
@pytest.mark.parametrize("shape", [(0, 3), (0, 4, 4, 3)])
@pytest.mark.parametrize("known", [True, False])
def test_an_empty_batch_changes_nothing_and_has_no_gradient(arguments, shape, known):
    if arguments == {"fused": False} and len(shape) == 2:
        arguments = {}
    layer = BatchNorm(momentum=0.5, **arguments)
    layer.build(shape)
    before = [weight.numpy() for weight in layer.weights]

    def run(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x, training=True))
        return tape.gradient(loss, [layer.gamma.value, layer.beta.value])

    signature = None if known else [tf.TensorSpec([None, *shape[1:]])]
    for gradient in tf.function(run, input_signature=signature)(tf.zeros(shape)):
        np.testing.assert_array_equal(gradient, np.zeros(3))
    for weight, value in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


# ---- ghost batches -------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["eager", "unknown batch", "xla"])
@pytest.mark.parametrize(("size", "batch"), [(4, 8), (3, 8), (8, 8), (50, 8), (4, 9), (1, 8)])
@pytest.mark.parametrize("shape", [(5,), (3, 4, 5)])
def test_ghost_batches_are_normalized_as_batches_of_their_own(shape, size, batch, way):
    rng = np.random.default_rng(25)
    x, dy = rng.normal(3, 2, (2, batch, *shape)).astype("float32")
    ghosts, alone = BatchNorm(ghost_size=size), BatchNorm(momentum=0.0, fused=False)

    def run(layer, x, dy):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=True)
            loss = tf.reduce_sum(outputs * dy)
        return outputs, tape.gradient(loss, x)

    signature = [tf.TensorSpec([None, *shape])] * 2
    compiled = {
        "eager": lambda x, dy: run(ghosts, x, dy),
        "unknown batch": tf.function(lambda x, dy: run(ghosts, x, dy), input_signature=signature),
        "xla": tf.function(lambda x, dy: run(ghosts, x, dy), jit_compile=True),
    }
    ghosts.build((None, *shape))
    found = compiled[way](tf.constant(x), tf.constant(dy))
    means, variances, counts = [], [], []
    for start in range(0, batch, size):
        part = slice(start, start + size)
        expected = run(alone, tf.constant(x[part]), tf.constant(dy[part]))
        for mine, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(mine[part], theirs, rtol=1e-4, atol=1e-4)
        means.append(alone.moving_mean.numpy())
        variances.append(alone.moving_variance.numpy())
        counts.append(x[part].size // shape[-1])
    mean = np.average(means, 0, weights=counts)
    np.testing.assert_allclose(ghosts.moving_mean, 0.01 * mean, rtol=1e-4)
    # a part of one position tells nothing of the variance; if all do, it stays
    several = [count if count > 1 else 0 for count in counts]
    variance = np.average(variances, 0, weights=several) if any(several) else 1
    np.testing.assert_allclose(ghosts.moving_variance, 0.99 + 0.01 * variance, rtol=1e-5)


def test_ghost_batches_heed_masks_and_any_axis_of_features():
    rng = np.random.default_rng(26)
    x = rng.normal(size=(6, 5, 3)).astype("float32")
    mask = rng.random((6, 5)) < 0.7
    arguments = {"axis": 1, "momentum": 0.0, "dtype": "float64"}
    ghosts, alone = BatchNorm(ghost_size=4, **arguments), BatchNorm(**arguments)
    outputs = np.asarray(ghosts(x, training=True, mask=tf.constant(mask)))
    for part in (slice(0, 4), slice(4, 6)):
        expected = alone(x[part], training=True, mask=tf.constant(mask[part]))
        np.testing.assert_allclose(outputs[part], expected, rtol=1e-9)


def test_at_inference_there_are_no_ghost_batches():
    x = np.random.default_rng(27).normal(size=(8, 3)).astype("float32")
    np.testing.assert_array_equal(BatchNorm(ghost_size=2)(x), BatchNorm()(x))


# ---- the option ----------------------------------------------------------------------------------


def test_the_option_makes_the_layer_that_its_settings_describe():
    layer = option.batch(
        momentum=0.5,
        epsilon=1e-4,
        gradient="no_mean",
        renorm=True,
        renorm_momentum=0.9,
        renorm_rmax=4.0,
        renorm_dmax=5.0,
        ghost_size=16,
        name="conv_1_norm",
        dtype="mixed_bfloat16",
    )
    assert (layer.momentum, layer.epsilon, layer.gradient) == (0.5, 1e-4, "no_mean")
    assert (layer.renorm, layer.renorm_momentum, layer.ghost_size) == (True, 0.9, 16)
    assert layer.renorm_clipping == {"rmin": 0.25, "rmax": 4.0, "dmax": 5.0}
    assert (layer.name, layer.dtype_policy.name) == ("conv_1_norm", "mixed_bfloat16")


def test_the_options_defaults_are_those_of_keras():
    mine = option.batch(name="norm", dtype="float32").get_config()
    theirs = keras.layers.BatchNormalization(name="norm").get_config()
    assert mine == theirs


def test_the_option_tells_whoever_trains_of_exact_statistics():
    made = [
        option.batch(
            population=kind, population_batches=30, name="norm", dtype="float32"
        ).exact_batches
        for kind in ("moving", "exact")
    ]
    assert made == [None, 30]
