"""Exact population statistics (Alg. 2, lines 7-12): what they are, and what they leave alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bnexp.norms.batch import BatchNorm
from bnexp.norms.population import set_population_statistics


def batches_of(*sizes, features=4, seed=1):
    rng = np.random.default_rng(seed)
    return [rng.normal(3, 2, (size, features)).astype("float32") for size in sizes]


def model_of(*layers, features=4):
    return keras.Sequential([keras.Input((features,)), *layers])


def test_they_average_over_batches_also_behind_another_layer():
    """Line 10, for a layer whose inputs the one before it shapes."""
    batches = np.stack(batches_of(*[10] * 6))
    first, second = BatchNorm(momentum=0.9), BatchNorm(momentum=0.9)
    dense = keras.layers.Dense(3)
    model = model_of(first, dense, second)
    before = [weight.numpy() for weight in model.trainable_weights]
    set_population_statistics(model, [tf.constant(batch) for batch in batches])

    np.testing.assert_allclose(first.moving_mean, batches.mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(first.moving_variance, batches.var(1, ddof=1).mean(0), rtol=1e-5)
    normalized = [(one - one.mean(0)) / np.sqrt(one.var(0) + 1e-3) for one in batches]
    inner = np.stack([np.asarray(dense(one)) for one in normalized])
    np.testing.assert_allclose(second.moving_variance, inner.var(1, ddof=1).mean(0), rtol=1e-3)
    assert first.momentum == 0.9
    for old, new in zip(before, model.trainable_weights, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


def test_feature_maps_count_all_their_locations():
    batches = np.random.default_rng(2).normal(3, 2, (4, 6, 5, 5, 3)).astype("float32")
    layer = BatchNorm()
    model = keras.Sequential([keras.Input((5, 5, 3)), layer])
    set_population_statistics(model, batches)
    flat = batches.reshape(4, -1, 3)
    np.testing.assert_allclose(layer.moving_mean, flat.mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, flat.var(1, ddof=1).mean(0), rtol=1e-5)


def test_batches_of_several_sizes_count_by_their_size():
    batches = batches_of(12, 5, 2, 12)
    layer = BatchNorm()
    set_population_statistics(model_of(layer), batches)
    sizes = [len(one) for one in batches]
    means, variances = ([f(one) for one in batches] for f in (mean_of, unbiased_variance_of))
    np.testing.assert_allclose(layer.moving_mean, np.average(means, 0, sizes), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, np.average(variances, 0, sizes), rtol=1e-5)


def mean_of(batch):
    return batch.mean(0)


def unbiased_variance_of(batch):
    return batch.var(0, ddof=1)


def test_a_batch_of_one_example_tells_nothing_of_the_variance():
    batches = batches_of(6, 1)
    layer = BatchNorm()
    set_population_statistics(model_of(layer), batches)
    np.testing.assert_allclose(layer.moving_mean, np.concatenate(batches).mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, batches[0].var(0, ddof=1), rtol=1e-5)


def test_empty_batches_are_skipped():
    full, empty = batches_of(6, 0)
    layer = BatchNorm()
    set_population_statistics(model_of(layer), [empty, full, empty])
    np.testing.assert_allclose(layer.moving_mean, full.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, full.var(0, ddof=1), rtol=1e-5)


@pytest.mark.parametrize("old", [np.nan, np.inf, 1e30])
def test_averages_from_before_do_not_matter(old):
    (batch,) = batches_of(6)
    layer = BatchNorm()
    model = model_of(layer)
    layer.moving_mean.assign([old] * 4)
    layer.moving_variance.assign([old] * 4)
    set_population_statistics(model, [batch])
    np.testing.assert_allclose(layer.moving_mean, batch.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, batch.var(0, ddof=1), rtol=1e-5)


def test_batches_that_end_in_an_error_leave_everything_as_it_was():
    def failing():
        yield from batches_of(6, 6)
        raise OSError("the disk is gone")

    layer = BatchNorm(momentum=0.7)
    theirs, dropout = keras.layers.BatchNormalization(), keras.layers.Dropout(0.5, seed=1)
    model = model_of(layer, theirs, dropout)
    model(batches_of(6)[0], training=True)
    before = [variable.numpy() for variable in model.variables]
    with pytest.raises(OSError, match="the disk is gone"):
        set_population_statistics(model, failing())
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    # and training goes on as ever
    model(batches_of(6)[0], training=True)
    assert not np.array_equal(layer.moving_mean, before[2])


def test_nothing_but_the_averages_of_batch_norm_moves():
    theirs, dropout = keras.layers.BatchNormalization(), keras.layers.Dropout(0.5, seed=1)
    layer = BatchNorm()
    model = model_of(theirs, dropout, layer)
    model(batches_of(6)[0], training=True)
    own = {id(layer.moving_mean), id(layer.moving_variance)}
    others = [variable for variable in model.variables if id(variable) not in own]
    before = [variable.numpy() for variable in others]
    set_population_statistics(model, batches_of(6, 6))
    assert len(others) == 7
    for variable, value in zip(others, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_dropout_draws_as_it_would_have_in_training():
    """The masks are those that training would come to next, at each call the same."""
    layer = BatchNorm()
    model = model_of(keras.layers.Dropout(0.5, seed=1), layer)
    found = []
    for _ in range(2):
        set_population_statistics(model, batches_of(6, 6))
        found.append(layer.moving_variance.numpy())
    np.testing.assert_array_equal(*found)


def test_a_layer_that_is_called_twice_averages_over_both_calls():
    layer = BatchNorm()
    left, right = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([left, right], [layer(left), layer(right)])
    a, b = batches_of(6, 8)
    set_population_statistics(model, [[a, b[:6]]])
    np.testing.assert_allclose(layer.moving_mean, np.concatenate([a, b[:6]]).mean(0), rtol=1e-5)
    variances = [one.var(0, ddof=1) for one in (a, b[:6])]
    np.testing.assert_allclose(layer.moving_variance, np.mean(variances, 0), rtol=1e-5)


def test_layers_in_a_loop_are_found():
    class Twice(keras.Model):
        def __init__(self):
            super().__init__()
            self.norm = BatchNorm()

        def call(self, x, training=False):
            body = lambda i, y: (i + 1, self.norm(y, training=training) * 3)  # noqa: E731
            return tf.while_loop(lambda i, _: i < 2, body, (0, x))[1]

    model = Twice()
    (batch,) = batches_of(6)
    model.norm.build((None, 4))
    model(batch)
    set_population_statistics(model, [batch])
    second = 3 * (batch - batch.mean(0)) / np.sqrt(batch.var(0) + 1e-3)
    np.testing.assert_allclose(model.norm.moving_mean, batch.mean(0) / 2, rtol=1e-4)
    expected = (batch.var(0, ddof=1) + second.var(0, ddof=1)) / 2
    np.testing.assert_allclose(model.norm.moving_variance, expected, rtol=1e-4)


def test_a_frozen_layer_keeps_its_averages_and_is_named():
    frozen, layer = BatchNorm(name="first"), BatchNorm(name="second")
    model = model_of(frozen, layer)
    frozen.trainable = False
    (batch,) = batches_of(6)
    with pytest.warns(UserWarning, match=r"first: averages are kept as they were, frozen"):
        set_population_statistics(model, [batch])
    np.testing.assert_array_equal(frozen.moving_mean, np.zeros(4))
    np.testing.assert_allclose(layer.moving_mean, batch.mean(0) / np.sqrt(1 + 1e-3), rtol=1e-5)
    frozen.trainable = True  # the program compiled for the frozen network is not taken again
    set_population_statistics(model, [batch])
    np.testing.assert_allclose(frozen.moving_mean, batch.mean(0), rtol=1e-5)


def test_a_layer_that_no_position_reaches_keeps_its_averages_and_is_named():
    class Half(keras.Model):
        def __init__(self):
            super().__init__()
            self.used, self.unused = BatchNorm(name="used"), BatchNorm(name="unused")

        def call(self, x, training=False):
            return self.used(x, training=training)

    model = Half()
    model.unused.build((None, 4))
    model(batches_of(6)[0])
    with pytest.warns(UserWarning, match="unused: averages are kept as they were, no position"):
        set_population_statistics(model, batches_of(6))
    np.testing.assert_array_equal(model.unused.moving_variance, np.ones(4))


def test_ghost_batches_count_as_batches():
    layer = BatchNorm(ghost_size=5)
    (batch,) = batches_of(15)
    set_population_statistics(model_of(layer), [batch])
    parts = batch.reshape(3, 5, 4)
    np.testing.assert_allclose(layer.moving_mean, batch.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, parts.var(1, ddof=1).mean(0), rtol=1e-5)


def test_batch_renormalization_is_set_too_and_its_own_averages_stay():
    layer = BatchNorm(renorm=True)
    model = model_of(layer)
    (batch,) = batches_of(6)
    set_population_statistics(model, [batch])
    variance = batch.var(0, ddof=1)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_stddev, np.sqrt(variance + 1e-3), rtol=1e-5)
    np.testing.assert_array_equal(layer.renorm_mean, np.zeros(4))


def test_the_same_network_and_shape_are_compiled_once():
    traced = []

    class Probe(keras.layers.Layer):
        def call(self, x):
            traced.append(x.shape)
            return x

    model = model_of(Probe(), BatchNorm())
    traced.clear()
    for seed in range(3):
        set_population_statistics(model, batches_of(6, 6, seed=seed))
    assert len(traced) == 1


def test_the_compiled_pass_does_not_keep_a_network_alive():
    import gc
    import weakref

    model = model_of(BatchNorm())
    set_population_statistics(model, batches_of(6))
    gone = weakref.ref(model)
    del model
    keras.backend.clear_session()
    gc.collect()
    assert gone() is None


def test_a_network_is_saved_as_before(tmp_path):
    layer = BatchNorm()
    model = model_of(layer)
    set_population_statistics(model, batches_of(6))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.layers[0].moving_variance, layer.moving_variance)


def unbuilt():
    return keras.Sequential([BatchNorm()])


def frozen():
    model = model_of(BatchNorm())
    model.trainable = False
    return model


@pytest.mark.parametrize(
    ("model", "batches", "message"),
    [
        (lambda: model_of(BatchNorm()), [], "need at least one batch that is not empty"),
        (lambda: model_of(BatchNorm()), batches_of(0), "need at least one batch that is not empty"),
        (lambda: model_of(keras.layers.Dense(3)), batches_of(6), "has no BatchNorm layer .* none"),
        (frozen, batches_of(6), "are frozen"),
        (unbuilt, batches_of(6), "is not built: call it on a batch first"),
    ],
)
def test_where_there_is_nothing_to_average_an_error_says_why(model, batches, message):
    with pytest.raises(ValueError, match=message):
        set_population_statistics(model(), batches)
