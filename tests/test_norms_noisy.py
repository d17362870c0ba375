"""Batch Normalization with noise: what is disturbed, when, by how much, and what a seed fixes."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import DEEP, SMALL, StopAt
from test_together import SHORT, check_as_singly
from test_training import history, train

from bnexp.data.loading import load
from bnexp.norms.batch import BatchNorm
from bnexp.norms.noisy import NoisyBatchNorm, noisy
from bnexp.norms.population import set_population_statistics
from bnexp.training import interrupt
from bnexp.training.loop import train_and_evaluate
from bnexp.training.program import Program

NOISY = ("norm=noisy", "norm.momentum=0.9")
VECTORS, MAPS = (4000, 3), (40, 10, 10, 3)


def inputs(shape, seed=0):
    return np.random.default_rng(seed).normal(5, 3, shape).astype("float32")


def noise_of(layer, shape, jit=False):
    """a and b: with gamma = 0 outputs are a * beta + b."""
    call = tf.function(lambda x: layer(x, training=True), jit_compile=jit)
    layer.build(shape)
    layer.gamma.assign([0.0] * shape[-1])
    found = []
    for beta in (0.0, 1.0):
        layer.beta.assign([beta] * shape[-1])
        layer.seed_generator.state.assign([7, 0])
        found.append(call(inputs(shape)).numpy())
    return found[1] - found[0], found[0]


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("shape", [VECTORS, MAPS])
def test_each_value_gets_its_own_noise_around_that_of_its_feature(shape, jit):
    layer = NoisyBatchNorm(seed=0)
    factor, offset = (noise.reshape(-1, 3) for noise in noise_of(layer, shape, jit))
    means, deviations = np.mean(offset, 0), np.mean(factor, 0)
    assert np.all(np.abs(means) < 0.51)
    assert np.all((deviations > 0.99) & (deviations < 1.26))
    assert np.ptp(means) > 0.01  # each feature has its own
    assert np.ptp(deviations) > 0.01
    np.testing.assert_allclose(np.std(factor, 0), 0.1, rtol=0.06)
    around = offset - means
    np.testing.assert_allclose(np.std(around, 0), 0.1 / np.sqrt(3), rtol=0.06)
    assert np.max(np.abs(around)) < 0.11
    fourth = np.mean(((factor - deviations) / 0.1) ** 4, 0)
    np.testing.assert_allclose(fourth, 3, atol=0.6)  # of a normal distribution
    assert abs(np.corrcoef(*(factor[:, :2] - deviations[:2]).T)[0, 1]) < 0.06


def test_means_and_scales_fill_their_ranges_over_the_steps():
    layer = NoisyBatchNorm(noise_jitter=0.0, seed=0)
    x = inputs((50, 1))
    plain = BatchNorm()(x, training=True).numpy()[:, 0]
    lines = [np.polyfit(plain, layer(x, training=True).numpy()[:, 0], 1) for _ in range(300)]
    scales, shifts = np.transpose(lines)
    for values, low, high in ((scales, 1, 1.25), (shifts, -0.5, 0.5)):
        assert low - 1e-3 < values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() < high + 1e-3
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.1 * (high - low))
    assert abs(np.corrcoef(scales, shifts)[0, 1]) < 0.2


def test_the_gradient_takes_the_noise_as_constants():
    shape = (6, 2)
    layer, plain = NoisyBatchNorm(seed=0), BatchNorm()
    factor, offset = noise_of(layer, shape)
    layer.gamma.assign([1.0] * 2)
    layer.beta.assign([0.0] * 2)
    layer.seed_generator.state.assign([7, 0])
    x, dy = tf.constant(inputs(shape)), inputs(shape, 1)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        outputs = layer(x, training=True)
        expected = factor * plain(x, training=True) + offset
        losses = [tf.reduce_sum(dy * one) for one in (outputs, expected)]
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    gradients = [tape.gradient(loss, x).numpy() for loss in losses]
    np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-5)
    by_beta = tape.gradient(losses[0], layer.beta.value)
    np.testing.assert_allclose(by_beta, (factor * dy).sum(0), rtol=1e-4)


@pytest.mark.parametrize("shape", [(8, 5), (4, 3, 3, 5)])
def test_inference_frozen_layers_and_no_noise_are_batch_normalization(shape):
    layer, plain = NoisyBatchNorm(momentum=0.5, seed=0), BatchNorm(momentum=0.5)
    still = NoisyBatchNorm(0.0, 1.0, 0.0, seed=0)
    x = inputs(shape)
    in_training = plain(x, training=True)
    assert np.abs(layer(x, training=True) - in_training).max() > 0.01
    np.testing.assert_array_equal(still(x, training=True), in_training)
    for mine, theirs in zip(layer.weights[:4], plain.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)  # averages are of what came in
    np.testing.assert_array_equal(layer(x), plain(x))
    layer.trainable = plain.trainable = False
    np.testing.assert_array_equal(layer(x, training=True), plain(x, training=True))


def test_half_precision_stays_and_float64_gets_noise():
    for policy in ("mixed_bfloat16", "float64"):
        layer = NoisyBatchNorm(seed=0, dtype=policy)
        x = tf.cast(inputs((8, 5)), layer.compute_dtype)
        outputs = layer(x, training=True)
        assert outputs.dtype == layer.compute_dtype
        assert not np.allclose(tf.cast(outputs, "float32"), tf.cast(layer(x), "float32"))


def test_exact_statistics_leave_the_generator_as_it_was():
    layer = NoisyBatchNorm(seed=0)
    model = keras.Sequential([keras.Input((5,)), layer])
    before = layer.seed_generator.state.numpy()
    set_population_statistics(model, [inputs((8, 5))])
    np.testing.assert_array_equal(layer.seed_generator.state, before)
    np.testing.assert_allclose(layer.moving_mean, inputs((8, 5)).mean(0), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"noise_shift": -0.1}, "noise_shift=-0.1 is out of range: a finite number of at least 0"),
        ({"noise_scale": 0.9}, "noise_scale=0.9 is out of range: a finite number of at least 1"),
        ({"noise_jitter": float("nan")}, "noise_jitter=nan is out of range"),
    ],
)
def test_noise_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        NoisyBatchNorm(**arguments)


def test_it_is_kept_and_loaded_where_only_the_package_is_imported(tmp_path):
    layer = NoisyBatchNorm(0.4, 1.5, 0.2, seed=3, momentum=0.7)
    model = keras.Sequential([keras.Input((5,)), layer])
    model(inputs((8, 5)), training=True)
    model.save(tmp_path / "model.keras")
    (again,) = keras.models.load_model(tmp_path / "model.keras").layers
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(again(inputs((8, 5))), layer(inputs((8, 5))))
    code = f"import bnexp, keras; keras.models.load_model({str(tmp_path / 'model.keras')!r})"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# --- as an arm


def test_the_option_gives_its_settings_to_the_layer():
    layer = noisy(0.9, 1e-2, 0.3, 1.1, 0.05, name="norm", dtype="float32")
    config = layer.get_config()
    found = [config[f"noise_{key}"] for key in ("shift", "scale", "jitter")]
    assert found == [0.3, 1.1, 0.05]
    assert (layer.momentum, layer.epsilon, layer.name) == (0.9, 1e-2, "norm")


@pytest.mark.parametrize("network", ["mlp", "residual"])
def test_noise_is_of_the_seed_and_weights_are_those_of_other_arms(compose, network):
    small = {"mlp": (*SMALL, "model.dropout=0.3"), "residual": DEEP["residual"]}[network]
    programs = []
    for words in (("norm=batch",), NOISY, (*NOISY, "seed=1")):
        config = compose(*small, *words)
        program = Program(config, load(config.data))
        program.reset(config)
        programs.append(program)
    models = [program.model for program in programs]
    batch, noise, other = ({v.path: v.numpy() for v in one.variables} for one in models)
    shared = [name for name in batch if "seed_generator" not in name]
    assert len(shared) >= 6
    for name in shared:
        np.testing.assert_array_equal(noise[name], batch[name])
    batch, noise, other = (
        {one.name: tuple(g.state.numpy()) for one in model.layers for g in one._seed_generators}
        for model in models
    )
    assert batch.items() <= noise.items()  # dropout's
    of_norms = {name: noise[name] for name in noise.keys() - batch.keys()}
    assert len(set(of_norms.values())) == len(of_norms) >= 2  # each layer has its own
    assert set(of_norms.values()).isdisjoint(other.values())


@pytest.mark.parametrize("small", [SMALL, DEEP["residual"]], ids=["mlp", "residual"])
def test_the_same_run_has_the_same_bits_also_when_interrupted(compose, tmp_path, small):
    config = compose(*small, *NOISY)
    train(config, tmp_path / "whole")
    train(compose(*small, *NOISY, "seed=5"), tmp_path / "between")
    (tmp_path / "parts").mkdir()
    with pytest.raises(interrupt.Interrupted):
        train_and_evaluate(config, tmp_path / "parts", StopAt(1))
    _, report = train(config, tmp_path / "parts")
    assert any("goes on from step" in line for line in report.lines)
    assert history(tmp_path / "parts") == history(tmp_path / "whole")
    assert history(tmp_path / "between") != history(tmp_path / "whole")


def test_together_each_run_has_its_own_noise(compose):
    check_as_singly(compose, *SMALL, *SHORT, *NOISY)
