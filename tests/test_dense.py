"""The transposed dense layer is a dense layer."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from bnexp.networks.dense import TransposedDense


def pair(inputs: int, units: int, **options) -> tuple[keras.layers.Dense, TransposedDense]:
    """Both kinds with the same weights."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(inputs, units)).astype("float32")
    plain, transposed = (kind(units, **options) for kind in (keras.layers.Dense, TransposedDense))
    for layer, weights in ((plain, kernel), (transposed, kernel.T)):
        layer.build((None, inputs))
        bias = [np.linspace(-1, 1, units)] if layer.use_bias else []
        layer.set_weights([weights, *bias])
    return plain, transposed


def outputs_and_gradients(layer: keras.layers.Layer, batch: int, jit: bool) -> list[np.ndarray]:
    inputs = layer.input_spec.axes[-1]
    x = tf.constant(np.random.default_rng(1).normal(size=(batch, inputs)), tf.float32)

    @tf.function(jit_compile=jit)
    def both() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(tf.square(y))
        wanted = [x, *(variable.value for variable in layer.trainable_variables)]
        return [y, *tape.gradient(loss, wanted)]

    return [value.numpy().astype("float32") for value in both()]


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 2e-2)])
def test_outputs_and_gradients_are_those_of_dense(dtype, tolerance, use_bias, jit):
    layers = pair(30, 10, use_bias=use_bias, dtype=dtype)
    plain, transposed = (outputs_and_gradients(layer, 20, jit) for layer in layers)
    transposed[2] = transposed[2].T
    for ours, theirs in zip(transposed, plain, strict=True):
        assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


def test_it_is_kept_and_loaded(tmp_path: Path):
    model = keras.Sequential([keras.Input((30,)), TransposedDense(10, activation="relu")])
    model.save(tmp_path / "model.keras")
    x = np.ones((3, 30), "float32")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    assert isinstance(loaded.layers[0], TransposedDense)
