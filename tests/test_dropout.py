"""Dropout with fast masks is dropout."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from bnexp.networks.dense import TransposedDense
from bnexp.networks.dropout import PhiloxDropout


def masks(layer: keras.layers.Layer, calls: int = 2, *, jit: bool | None = None) -> np.ndarray:
    call = lambda x: layer(x, training=True)  # noqa: E731
    if jit is not None:
        call = tf.function(call, jit_compile=jit)
    layer.seed_generator.state.assign([7, 0])
    return np.stack([call(tf.ones((200, 50))).numpy() for _ in range(calls)])


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_a_share_is_set_to_0_and_the_rest_scaled_up(rate):
    kept = masks(PhiloxDropout(rate, seed=0))
    assert set(np.unique(kept)) == {0, np.float32(1 / (1 - rate))}
    assert (kept == 0).mean() == pytest.approx(rate, abs=0.01)


def test_each_call_draws_another_mask_and_the_generators_state_decides():
    layer = PhiloxDropout(0.5, seed=0)
    first, second = masks(layer)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(masks(layer), [first, second])
    layer.seed_generator.state.assign([8, 0])
    other = layer(tf.ones((200, 50)), training=True).numpy()
    assert 0.4 < (other == first).mean() < 0.6


@pytest.mark.parametrize("jit", [True, False])
def test_masks_are_the_same_each_time_however_compiled(jit):
    layer = PhiloxDropout(0.3, seed=0)
    np.testing.assert_array_equal(masks(layer, jit=jit), masks(layer, jit=jit))
    assert (masks(layer, jit=jit) == 0).mean() == pytest.approx(0.3, abs=0.01)


def test_inference_and_rate_0_leave_the_inputs():
    x = tf.ones((4, 3))
    np.testing.assert_array_equal(PhiloxDropout(0.5, seed=0)(x), x)
    np.testing.assert_array_equal(PhiloxDropout(0.0, seed=0)(x, training=True), x)


def test_bfloat16_stays_bfloat16():
    layer = PhiloxDropout(0.5, seed=0, dtype="mixed_bfloat16")
    assert layer(tf.ones((4, 3)), training=True).dtype == tf.bfloat16


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("noise_shape", [(None, 1, 4), (6, 1, None)])
def test_noise_shape_says_along_which_axes_the_mask_is_the_same(noise_shape, jit):
    layer = PhiloxDropout(0.5, noise_shape=noise_shape, seed=0)
    call = tf.function(lambda x: layer(x, training=True), jit_compile=jit)
    kept = call(tf.ones((6, 50, 4))).numpy()
    np.testing.assert_array_equal(kept, np.broadcast_to(kept[:, :1], kept.shape))
    assert 0.2 < (kept[:, 0] == 0).mean() < 0.8


def test_noise_shape_of_another_rank_is_refused_in_a_line():
    layer = PhiloxDropout(0.5, noise_shape=(None, 1))
    with pytest.raises(ValueError, match="must have as many sizes as the inputs"):
        layer(tf.ones((4, 3, 2)), training=True)


def test_rate_1_drops_all_and_its_gradient_is_0():
    x = tf.Variable(tf.ones((4, 3)))
    with tf.GradientTape() as tape:
        outputs = PhiloxDropout(1.0, seed=0)(x, training=True)
    np.testing.assert_array_equal(outputs, 0)
    gradient = tape.gradient(outputs, x)
    assert gradient is None or not np.any(gradient)


def test_it_is_kept_and_loaded(tmp_path: Path):
    dropout = PhiloxDropout(0.5, noise_shape=(None, 1), seed=0)
    model = keras.Sequential([keras.Input((30,)), dropout])
    model.save(tmp_path / "model.keras")
    (again,) = keras.models.load_model(tmp_path / "model.keras").layers
    assert isinstance(again, PhiloxDropout)
    assert (again.rate, again.noise_shape) == (0.5, (None, 1))


def test_a_kept_network_loads_where_only_the_package_is_imported(tmp_path: Path):
    model = keras.Sequential([keras.Input((30,)), TransposedDense(4), PhiloxDropout(0.5)])
    model.save(tmp_path / "model.keras")
    code = f"import bnexp, keras; keras.models.load_model({str(tmp_path / 'model.keras')!r})"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
