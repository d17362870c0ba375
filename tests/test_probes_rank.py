"""The probe rank: soft rank and gradient norm of what enters each nonlinearity."""

from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from conftest import SMALL, SMALL_CNN

from bnexp.config import ConfigError
from bnexp.data.loading import load
from bnexp.networks.initial import kernel_of
from bnexp.norms.batch import BatchNorm
from bnexp.probes.rank import rank
from bnexp.probes.recorder import Recorder
from bnexp.probes.views import Views
from bnexp.training.program import program_for


def recorded(config, program=None) -> pd.Series:
    """At a network's start, or as it stands: value by layer and statistic."""
    dataset = load(config.data)
    if program is None:
        program = program_for(config, dataset)
        program.reset(config)
    rows = Recorder(config, program, dataset, {}).record(0)
    return pd.DataFrame(rows).set_index(["layer", "statistic"])["value"]


def soft_rank(rows: np.ndarray) -> float:
    """By singular values, whose squares are n times C's eigenvalues."""
    eigenvalues = np.linalg.svd(rows.astype(np.float64), compute_uv=False) ** 2
    return eigenvalues.sum() ** 2 / (eigenvalues**2).sum()


def numeric_norm(loss, values: np.ndarray, step: float = 1e-6) -> float:
    """The norm of a loss's gradient by all values, by central differences."""
    slopes = []
    for place in np.ndindex(*values.shape):
        ends = []
        for sign in (1, -1):
            moved = values.copy()
            moved[place] += sign * step
            ends.append(float(loss(tf.constant(moved))))
        slopes.append((ends[0] - ends[1]) / (2 * step))
    return float(np.linalg.norm(slopes))


@pytest.mark.parametrize("kind", ["dense", "convolutional", "without weights"])
def test_it_is_that_of_singular_values_and_of_numeric_gradients(kind):
    """In training mode, before each nonlinearity, of a network of two parts in float64."""
    rng, f64 = np.random.default_rng(0), {"dtype": "float64"}
    keras.utils.set_random_seed(0)
    if kind == "convolutional":
        images = rng.normal(size=(4, 4, 4, 1))
        linear, next_linear = (keras.layers.Conv2D(2, 2, **f64) for _ in range(2))
    else:
        images = rng.normal(size=(6, 4))
        linear, next_linear = (keras.layers.Dense(units, **f64) for units in (3, 4))
    if kind == "without weights":
        linear = keras.layers.Rescaling(2.0, **f64)
    upper = [
        keras.layers.Activation("tanh", **f64),
        next_linear,
        BatchNorm(**f64),
        keras.layers.Activation("sigmoid", **f64),
        keras.layers.Flatten(**f64),
        keras.layers.Dense(3, **f64),
    ]
    model = keras.Sequential([keras.Input(images.shape[1:], **f64), linear, *upper])
    labels = tf.constant(np.arange(len(images)) % 3, tf.int32)

    def after(values: tf.Tensor, layers: list) -> tf.Tensor:
        for layer in layers:
            values = layer(values, training=True) if layer is upper[2] else layer(values)
        return values

    def loss_from(layers: list):
        return lambda values: tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels, after(values, layers))
        )

    first = linear(tf.constant(images)).numpy()
    second = after(tf.constant(first), upper[:3]).numpy()
    views = Views(model, len(images))
    scene = SimpleNamespace(views=views, train_batch=(tf.constant(images), labels))
    found = {(row.probe, row.layer, row.statistic): row.value for row in rank(scene)}
    for number, values, layers in (("1", first, upper), ("2", second, upper[3:])):
        rows = values.reshape(-1, values.shape[-1])
        assert found["rank", number, "soft_rank"] == pytest.approx(soft_rank(rows), rel=1e-5)
        norm = numeric_norm(loss_from(layers), values)
        assert found["rank", number, "gradient_norm"] == pytest.approx(norm, rel=1e-5)
    assert len(found) == 4


@pytest.mark.parametrize(
    "words",
    [
        (*SMALL, "norm=batch"),
        (*SMALL, "norm=batch", "norm.position=post"),
        (*SMALL, "norm=none", "model.skip=residual"),
        (*SMALL_CNN, "norm=batch"),
    ],
    ids=["batch", "post", "residual", "cnn"],
)
def test_its_rows_are_what_enters_the_nonlinearities_for_the_training_images(compose, words):
    config = compose(*words, "probes=rank", "probes.images=100")
    dataset = load(config.data)
    program = program_for(config, dataset)
    program.reset(config)
    found = recorded(config, program)
    inside = Views(program.model, 20).activations(tf.constant(dataset.train.images[:100]))
    assert set(found.index.get_level_values("layer")) == {str(i + 1) for i in range(len(inside))}
    for number, values in enumerate(inside, start=1):
        expected = soft_rank(values.reshape(-1, values.shape[-1]))
        assert 1 < expected < values.shape[-1]
        assert found[str(number), "soft_rank"] == pytest.approx(expected, rel=1e-4)
    if "norm.position=post" in words:  # the linear map's outputs, not normalized ones
        kernel = kernel_of(program.model.get_layer("dense_1"))
        images = dataset.train.images[:100].reshape(100, -1) / np.float32(255)
        assert found["1", "soft_rank"] == pytest.approx(soft_rank(images @ kernel), rel=1e-4)


def test_neither_scale_nor_depth_lets_numbers_run_out(compose):
    """Squares of these would be 0 in single precision, or infinite."""
    words = (*SMALL, "probes=rank", "norm=none", "model.activation=relu", "init=gaussian")
    found = {
        stddev: recorded(compose(*words, f"init.stddev={stddev}")) for stddev in (1e-12, 1e-2, 1e10)
    }
    for layer in ("1", "2"):
        ranks = [one[layer, "soft_rank"] for one in found.values()]
        np.testing.assert_allclose(ranks, ranks[0], rtol=1e-4)
    small, usual = (found[stddev]["1", "gradient_norm"] for stddev in (1e-12, 1e-2))
    # at these scales all logits are equal, and the gradient passes through two kernels
    assert small / usual == pytest.approx(1e-20, rel=0.05, abs=0)


def test_one_direction_has_rank_1_and_no_direction_none(compose):
    config = compose(*SMALL, "probes=rank", "norm=none", "model.activation=relu")
    program = program_for(config, load(config.data))
    program.reset(config)
    first, second = (program.model.get_layer(f"dense_{i}").kernel for i in (1, 2))
    first.assign(np.outer(np.linspace(1, 2, 16), np.linspace(1, 2, 64)))
    second.assign(np.zeros(second.shape))
    found = recorded(config, program)
    assert found["1", "soft_rank"] == pytest.approx(1, abs=1e-5)
    assert found["1", "gradient_norm"] == 0
    assert np.isnan(found["2", "soft_rank"])


def test_deep_relu_networks_at_their_start_are_as_the_theory_says(compose):
    """Gradients grow by sqrt(pi / (pi - 1)) = 1.21 a layer toward the input under BN (Yang et al.
    2019) and not without, and only BN keeps the rank up (Daneshmand et al. 2020)."""
    depth = 16
    words = (*SMALL, f"model.hidden={[100] * depth}", "model.activation=relu", "init=he")
    slopes, ranks = {}, {}
    for norm in ("none", "batch"):
        found = recorded(compose(*words, f"norm={norm}", "probes=rank")).unstack()
        found = found.sort_index(key=lambda layers: layers.astype(int))
        logs = np.log(found["gradient_norm"].to_numpy())
        slopes[norm] = -np.polyfit(range(depth), logs, 1)[0]
        ranks[norm] = found["soft_rank"].iloc[-1]
    assert slopes["batch"] == pytest.approx(np.log(np.sqrt(np.pi / (np.pi - 1))), abs=0.03)
    assert slopes["none"] == pytest.approx(0, abs=0.03)
    assert ranks["none"] < 1.5 < 5 < ranks["batch"]


def test_a_network_without_nonlinearities_of_their_own_is_refused():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="relu")])
    views, images = Views(model, 4), tf.zeros((4, 3))
    scene = SimpleNamespace(views=views, train_batch=(images, tf.constant([0, 1, 2, 0])))
    for look in (lambda: list(rank(scene)), lambda: views.activations(images)):
        with pytest.raises(ConfigError, match="no nonlinearity that is a layer of its own"):
            look()
