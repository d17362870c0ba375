"""BatchNorm against the paper, a plain NumPy reference in float64, and Keras's own layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnexp.config import GRADIENTS
from bnexp.norms.batch import BatchNorm, set_population_statistics

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


def test_exact_population_statistics_average_over_batches():
    """Alg. 2, line 10, for a layer behind another one, whose inputs the first one shapes."""
    rng = np.random.default_rng(12)
    batches = rng.normal(3, 2, (6, 10, 4)).astype("float32")
    first, second = BatchNorm(momentum=0.9), BatchNorm(momentum=0.9)
    dense = keras.layers.Dense(3)
    model = keras.Sequential([keras.Input((4,)), first, dense, second])
    before = [w.numpy() for w in model.trainable_weights]
    set_population_statistics(model, [tf.constant(batch) for batch in batches])

    np.testing.assert_allclose(first.moving_mean, batches.mean((0, 1)), rtol=1e-4)
    unbiased = batches.var(1, ddof=1).mean(0)
    np.testing.assert_allclose(first.moving_variance, unbiased, rtol=1e-4)
    inner = [np.asarray(dense(algorithm_1(b, 1, 0, 1e-3)[0])) for b in batches]
    np.testing.assert_allclose(
        second.moving_variance, np.mean([i.var(0, ddof=1) for i in inner], 0), rtol=1e-3
    )
    assert first.momentum == 0.9
    for old, new in zip(before, model.trainable_weights, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


def test_exact_population_statistics_need_a_batch():
    model = keras.Sequential([keras.Input((4,)), BatchNorm()])
    with pytest.raises(ValueError, match="at least one batch"):
        set_population_statistics(model, [])
