"""The layers that networks are made of besides Keras's: a bias alone, local response norm."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_networks_arms import unit

from bnexp.networks.bias import Bias
from bnexp.networks.cnn import cnn
from bnexp.networks.local_response import LocalResponse
from bnexp.networks.mlp import mlp


def test_a_bias_adds_a_vector_to_the_last_axis_whatever_a_norm_would_be_called_with():
    layer = Bias(bias_initializer="ones")
    x = np.random.default_rng(0).normal(size=(4, 3, 5)).astype("float32")
    assert layer(x).shape == x.shape
    layer.bias.assign(np.arange(5))
    for options in ({}, {"training": True}, {"training": False, "mask": np.ones((4, 3), bool)}):
        np.testing.assert_array_equal(layer(x, **options), x + np.arange(5, dtype="float32"))


def test_a_bias_hands_masks_on():
    embedding, bias, lstm = (
        keras.layers.Embedding(9, 2, mask_zero=True),
        Bias(),
        keras.layers.LSTM(3),
    )
    model = keras.Sequential([embedding, bias, lstm])
    np.testing.assert_allclose(
        model(np.array([[1, 2, 0, 0]])), lstm(bias(embedding(np.array([[1, 2]])))), atol=1e-6
    )


def test_a_bias_computes_in_bfloat16():
    layer = Bias(dtype="mixed_bfloat16")
    assert layer(np.ones((2, 3))).dtype == tf.bfloat16
    assert layer.bias.dtype == "float32"


@pytest.mark.parametrize("depth", [1, 5])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_local_response_divides_by_the_squares_of_neighbouring_channels(depth, policy):
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 7)).astype("float32")
    layer = LocalResponse(depth, k=1.5, alpha=0.3, beta=0.6, dtype=policy)
    outputs = layer(x)
    assert outputs.dtype == layer.compute_dtype
    expected = np.empty_like(x)
    for channel in range(7):
        low, high = max(0, channel - depth // 2), channel + depth // 2 + 1
        total = np.square(x[..., low:high]).sum(-1)
        expected[..., channel] = x[..., channel] / (1.5 + 0.3 * total) ** 0.6
    tolerance = 1e-5 if policy == "float32" else 2e-2
    np.testing.assert_allclose(np.asarray(outputs, "float32"), expected, atol=tolerance)


def test_local_response_refuses_an_even_depth():
    with pytest.raises(ValueError, match=r"^depth=4 must be an odd number"):
        LocalResponse(4)


@pytest.mark.parametrize(
    "model",
    [
        lambda: cnn(unit(), (8, 8, 1), 3, filters=[2], hidden=[3], lrn=True),
        lambda: mlp(unit(jit=True), (8, 8, 1), 3, hidden=[4, 4], skip="highway", dropout=0.5),
        lambda: mlp(unit(), (8, 8, 1), 3, hidden=[4, 4], skip="residual"),
        lambda: keras.Sequential([keras.Input((8, 8, 1)), Bias(bias_initializer="ones")]),
    ],
    ids=["lrn", "highway", "residual", "bias"],
)
def test_networks_are_kept_and_loaded(model, tmp_path: Path):
    made = model()
    made.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).random((3, 8, 8, 1), "float32")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), made(x))
