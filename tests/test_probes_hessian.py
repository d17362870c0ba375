"""The probe hessian: eigenvalues, gradient's share and density are those of the whole matrix."""

from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from conftest import DEEP, SMALL, SMALL_CNN, Lines

from bnexp.config import ConfigError
from bnexp.data.loading import load
from bnexp.folders import runs
from bnexp.norms.batch import BatchNorm
from bnexp.probes import hessian as hessian_module
from bnexp.probes import recorder
from bnexp.probes.curvature import hessian_product
from bnexp.probes.hessian import hessian
from bnexp.probes.lanczos import ritz
from bnexp.probes.recorder import Recorder
from bnexp.probes.surface import Surface
from bnexp.probes.views import Views
from bnexp.training.loop import train_and_evaluate
from bnexp.training.program import Program, program_for
from bnexp.training.seeds import generator

RNG = np.random.default_rng(0)
DENSE = RNG.normal(size=(12, 4))
IMAGES = RNG.normal(size=(8, 5, 5, 1))


def dense_network(*inside: keras.layers.Layer) -> keras.Model:
    """4 inputs, 3 hidden units, 3 classes, in float64; 24 weights and more."""
    layers = [
        keras.layers.Dense(3, dtype="float64"),
        *inside,
        keras.layers.Activation("tanh", dtype="float64"),
        keras.layers.Dense(3, dtype="float64"),
    ]
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((4,), dtype="float64"), *layers])


def convolutional_network(*inside: keras.layers.Layer, dtype: str = "float64") -> keras.Model:
    layers = [
        keras.layers.Conv2D(2, 3, dtype=dtype),
        *inside,
        keras.layers.Activation("relu", dtype=dtype),
        keras.layers.GlobalAveragePooling2D(dtype=dtype),
        keras.layers.Dense(3, dtype=dtype),
    ]
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((5, 5, 1), dtype=dtype), *layers])


def labels_of(images: np.ndarray) -> tf.Tensor:
    return tf.constant(np.arange(len(images)) % 3, tf.int32)


def weights_of(model: keras.Model) -> list[keras.Variable]:
    """In the order of the probe's vectors."""
    return Surface(model).variables


def gradient_of(model: keras.Model, images: np.ndarray) -> np.ndarray:
    with tf.GradientTape() as tape:
        logits = model(tf.constant(images), training=True)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels_of(images), logits)
        )
    gradients = tape.gradient(loss, [variable.value for variable in weights_of(model)])
    return np.concatenate([gradient.numpy().ravel() for gradient in gradients])


def brute_force(model: keras.Model, images: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """The Hessian by central differences of gradients, column by column."""
    columns = []
    for variable in weights_of(model):
        start = variable.numpy()
        for place in np.ndindex(*start.shape):
            ends = []
            for sign in (1, -1):
                moved = start.copy()
                moved[place] += sign * step
                variable.assign(moved)
                ends.append(gradient_of(model, images))
            columns.append((ends[0] - ends[1]) / (2 * step))
        variable.assign(start)
    return np.stack(columns)


def found_in(model: keras.Model, images: np.ndarray) -> pd.Series:
    """The rows of the probe, for a network that is no run's."""
    batch = (tf.constant(images), labels_of(images))
    scene = SimpleNamespace(views=Views(model, len(images)), train_batch=batch)
    rows = list(hessian(scene))
    assert {(row.probe, row.layer) for row in rows} == {("hessian", "")}
    return pd.Series({row.statistic: row.value for row in rows})


def numbered(found: pd.Series, name: str) -> np.ndarray:
    count = sum(found.index.str.fullmatch(rf"{name}_\d+"))
    return np.array([found[f"{name}_{i}"] for i in range(1, count + 1)])


NETWORKS = {
    "dense": (dense_network, [], DENSE),
    "dense_bn": (dense_network, [BatchNorm], DENSE),
    "convolutional": (convolutional_network, [], IMAGES),
    "convolutional_bn": (convolutional_network, [BatchNorm], IMAGES),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_it_is_the_hessian_of_the_loss_in_training_mode(network):
    """With fewer weights than steps all eigenvalues are found, copies too."""
    build, norms, images = NETWORKS[network]
    model = build(*(norm(dtype="float64") for norm in norms))
    gradient, full = gradient_of(model, images), brute_force(model, images)
    np.testing.assert_allclose(full, full.T, atol=1e-8)
    values, vectors = np.linalg.eigh((full + full.T) / 2)
    found = found_in(model, images)

    np.testing.assert_allclose(numbered(found, "eigenvalue"), values[::-1][:11], atol=1e-7)
    assert found["eigenvalue_min"] == pytest.approx(values[0], abs=1e-7)
    shares = (vectors.T @ gradient)[::-1][:10] ** 2
    assert found["gradient_share"] == pytest.approx(shares.sum() / (gradient @ gradient), abs=1e-6)
    assert found["residual"] < 1e-6

    nodes, weights = numbered(found, "node"), numbered(found, "weight")
    np.testing.assert_allclose(nodes, values, atol=1e-7)
    start = generator(0, "hessian", 0).standard_normal(len(full))
    start /= np.linalg.norm(start)
    for power in range(5):
        moment = start @ np.linalg.matrix_power(full, power) @ start
        assert (weights * nodes**power).sum() == pytest.approx(moment, rel=1e-6)


def test_few_steps_find_the_ends_of_the_spectrum_and_say_how_well(monkeypatch):
    model = dense_network()
    values = np.linalg.eigvalsh(brute_force(model, DENSE))
    monkeypatch.setattr(hessian_module, "STEPS", 14)
    found = found_in(model, DENSE)
    assert len(numbered(found, "node")) == 14
    assert found["eigenvalue_1"] == pytest.approx(values[-1], rel=1e-4)
    assert found["eigenvalue_min"] >= values[0] - 1e-9
    assert found["residual"] > 1e-4


def products_by_differences(model: keras.Model, images: np.ndarray, vector: np.ndarray, step):
    """H v by central differences of gradients."""
    weights = weights_of(model)
    start = [weight.numpy() for weight in weights]
    parts = np.split(vector, np.cumsum([weight.size for weight in start])[:-1])
    ends = []
    for sign in (1, -1):
        for weight, at, part in zip(weights, start, parts, strict=True):
            weight.assign(at + sign * step * part.reshape(at.shape))
        ends.append(gradient_of(model, images))
    for weight, at in zip(weights, start, strict=True):
        weight.assign(at)
    return (ends[0] - ends[1]) / (2 * step)


def test_products_through_the_fused_kernels_are_those_of_differences(compose):
    config = compose(*DEEP["plain"], "norm=batch", "model.activation=tanh")
    dataset = load(config.data)
    program = Program(config, dataset)
    program.reset(config)
    model, images = program.model, dataset.train.images[:40] / np.float32(255)
    vector = np.random.default_rng(0).normal(size=model.count_params())
    vector = vector[: sum(np.prod(weight.shape) for weight in weights_of(model))]
    vector /= np.linalg.norm(vector)
    expected = products_by_differences(model, images, vector, step=1e-2)
    found = Views(model, 20).compiled(hessian_product)(images, labels_of(images), vector).numpy()
    assert np.linalg.norm(found - expected) < 1e-2 * np.linalg.norm(expected)


def test_products_through_the_fused_kernels_are_those_of_the_layers_own_operations():
    found = {}
    for fused in (True, False):
        model = convolutional_network(BatchNorm(fused=fused), dtype="float32")
        vector = np.linspace(-1, 1, sum(w.numpy().size for w in weights_of(model)))
        images = IMAGES.astype("float32")
        product = Views(model, 8).compiled(hessian_product)(images, labels_of(images), vector)
        found[fused] = product.numpy()
    np.testing.assert_allclose(found[True], found[False], atol=1e-5)
    assert np.abs(found[True]).max() > 0.1


@pytest.mark.parametrize("kind", ["Dropout", "GaussianNoise"])
def test_every_product_sees_the_same_masks_and_noise(kind):
    noise = getattr(keras.layers, kind)(0.5, seed=3, dtype="float64")
    model = dense_network(BatchNorm(dtype="float64"), noise)
    states = [variable.numpy() for variable in model.non_trainable_variables]
    views, batch = Views(model, 12), (tf.constant(DENSE), labels_of(DENSE))
    size = sum(int(np.prod(weight.shape)) for weight in weights_of(model))
    product = views.compiled(hessian_product)
    columns = np.stack([product(*batch, unit).numpy() for unit in np.eye(size)])
    np.testing.assert_allclose(columns, columns.T, atol=1e-12)
    assert found_in(model, DENSE)["residual"] < 1e-6
    for before, variable in zip(states, model.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(before, variable.numpy())

    gradient_of(model, DENSE)  # moves the generator on: other masks, another matrix
    assert np.abs(product(*batch, np.eye(size)[0]).numpy() - columns[0]).max() > 1e-3


def rotated(values: list[float]) -> np.ndarray:
    basis, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(len(values), len(values))))
    return (basis * values) @ basis.T


def drawn(size: int):
    return lambda number: np.random.default_rng(number).normal(size=size)


@pytest.mark.parametrize(
    "values",
    [
        [5.0, 5, 5, 1, 1, 0, 0, 0, -2, -2],
        [0.0] * 10,
        [1.0] * 10,
        [1e6, 1, 1e-3, 1e-6, 0, 0, 0, 0, 0, -1e6],
        list(range(10)),
    ],
    ids=["multiple", "zero", "identity", "spread", "simple"],
)
def test_all_eigenvalues_are_found_with_their_copies(values):
    matrix = rotated(values)
    found = ritz(lambda v: matrix @ v, drawn(10), steps=25)
    np.testing.assert_allclose(found.values, np.sort(values), atol=1e-6 * max(1, max(values)))
    np.testing.assert_allclose(found.basis @ found.basis.T, np.eye(10), atol=1e-10)
    largest, vectors = found.leading(3)
    assert list(largest) == sorted(largest, reverse=True)
    np.testing.assert_allclose(
        matrix @ vectors.T, vectors.T * largest, atol=1e-6 * max(1, max(values))
    )
    assert found.weights.sum() == pytest.approx(1)


def test_the_basis_stays_orthonormal_long_after_eigenvalues_are_found():
    values = [1e4, 1e3, 1e2, *np.linspace(-1, 1, 297)]
    matrix = rotated(values)
    found = ritz(lambda v: (matrix @ v).astype(np.float32).astype(np.float64), drawn(300), 80)
    np.testing.assert_allclose(found.basis @ found.basis.T, np.eye(80), atol=1e-12)
    np.testing.assert_allclose(found.leading(3)[0], values[:3], rtol=1e-5)
    assert (found.values > 50).sum() == 3  # no copies of what is there once


def recorded(config, program=None) -> pd.Series:
    dataset = load(config.data)
    if program is None:
        program = program_for(config, dataset)
        program.reset(config)
    rows = Recorder(config, program, dataset, {}).record(0)
    return pd.DataFrame(rows).set_index("statistic")["value"]


def test_arms_with_as_many_weights_start_from_the_same_vector(compose, monkeypatch):
    starts = []

    def kept(product, draw, steps):
        starts.append(draw(0))
        return ritz(product, draw, steps)

    monkeypatch.setattr(hessian_module, "ritz", kept)
    for arm in (["norm=batch"], ["norm=batch", "seed=7"], ["norm=layer"]):
        recorded(compose(*SMALL, "probes=hessian", *arm))
    for start in starts[1:]:
        np.testing.assert_array_equal(start, starts[0])


def test_runs_of_one_shape_share_what_is_compiled_and_a_run_repeats(compose):
    config = compose(*SMALL, "probes=hessian", "model.dropout=0.3")
    program = Program(config, load(config.data))
    found = []
    for seed in (0, 1, 0):
        config = compose(*SMALL, "probes=hessian", "model.dropout=0.3", f"seed={seed}")
        program.reset(config)
        found.append(recorded(config, program))
    assert found[0]["eigenvalue_1"] != found[1]["eigenvalue_1"]
    pd.testing.assert_series_equal(found[0], found[2], check_exact=True)
    product = recorder._views[program].compiled(hessian_product)
    assert product.experimental_get_tracing_count() == 1


def test_training_is_the_same_to_the_bit_with_it(compose, tmp_path):
    states, histories = [], []
    words = (*SMALL, "trainer.steps=20", "model.dropout=0.3", "norm=batch")
    for name, choice in (("without", []), ("with", ["probes.record=[hessian,rank]"])):
        config = compose(*words, *choice)
        (tmp_path / name).mkdir()
        train_and_evaluate(config, tmp_path / name, Lines())
        states.append(program_for(config, load(config.data)).state())
        histories.append(runs.read_history(tmp_path / name).drop(columns="seconds"))
    assert set(pd.read_csv(tmp_path / "with" / "probes.csv")["probe"]) == {"hessian", "rank"}
    for without, with_probes in zip(*states, strict=True):
        np.testing.assert_array_equal(without, with_probes)
    pd.testing.assert_frame_equal(*histories, check_exact=True)


def test_where_products_are_not_finite_every_cell_is_empty(compose):
    config = compose(*SMALL, "probes=hessian", "norm=none")
    dataset = load(config.data)
    program = program_for(config, dataset)
    program.reset(config)
    program.model.get_layer("dense_1").kernel.assign(np.full((16, 64), np.nan, "float32"))
    found = recorded(config, program)
    assert {"eigenvalue_11", "node_80", "gradient_share", "residual"} <= set(found.index)
    assert found.isna().all()


def test_an_operation_without_a_second_derivative_is_named(compose):
    with pytest.raises(ConfigError, match=r"hessian: TensorFlow has no second derivative of LRN"):
        recorded(compose(*SMALL_CNN, "model.lrn=true", "probes=hessian"))
