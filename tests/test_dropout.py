"""Dropout with fast masks is dropout."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

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


def test_it_is_kept_and_loaded(tmp_path: Path):
    model = keras.Sequential([keras.Input((30,)), PhiloxDropout(0.5, seed=0)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.layers[0], PhiloxDropout)
    assert loaded.layers[0].rate == 0.5
