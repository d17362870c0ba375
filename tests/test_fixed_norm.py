"""optimizer=fixed_norm: SGD with L2 wherever the loss has no scale, and only there."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import DEEP, SMALL, StopAt
from test_together import SHORT, check_as_singly
from test_training import history, train

from bnexp.config import ConfigError
from bnexp.data.loading import load
from bnexp.networks.structure import hidden_kernels, kernels
from bnexp.norms.batch import BatchNorm
from bnexp.optimizers.fixed_norm import FixedNorm
from bnexp.training import interrupt
from bnexp.training.batches import BatchOrder, on_device
from bnexp.training.calls import Call
from bnexp.training.loop import train_and_evaluate
from bnexp.training.program import Program

L2, RATE, STEPS = 0.05, 0.3, 40
FIXED = ("optimizer=fixed_norm", "optimizer.l2=0.05", "optimizer.lr=0.3")


def network(normalized):
    """Two hidden layers and an output layer, in float64."""
    layers = [keras.Input((5,))]
    for _ in range(2):
        layers.append(keras.layers.Dense(6, use_bias=not normalized))
        layers += [BatchNorm(epsilon=0.0)] if normalized else []
        layers.append(keras.layers.Activation("tanh"))
    return keras.Sequential([*layers, keras.layers.Dense(3)])


def trained(normalized, step, seed=0):
    """Losses of some steps, and the network; `step` applies a list of gradients."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        keras.utils.set_random_seed(seed)
        model = network(normalized)
    finally:
        keras.config.set_dtype_policy(before)
    rng, losses = np.random.default_rng(1), []
    apply = step(model)
    for _ in range(STEPS):
        x, labels = rng.normal(size=(20, 5)), rng.integers(0, 3, 20)
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        apply(tape.gradient(loss, [one.value for one in model.trainable_variables]))
        losses.append(float(loss))
    return losses, model


def sgd(model):
    def apply(gradients):
        drawn = {id(kernel) for kernel in kernels(model)}
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
            decay = L2 * variable if id(variable) in drawn else 0.0
            variable.assign(variable - RATE * (gradient + decay))

    return apply


def fixed_norm(found):
    def start(model):
        found.updater = FixedNorm(L2).updater(model)
        found.updater.reset()
        rate = tf.constant(RATE, tf.float64)
        return lambda gradients: found.updater.apply(gradients, rate, tf.constant(0))

    return start


def both(normalized):
    found = SimpleNamespace()
    return trained(normalized, sgd), trained(normalized, fixed_norm(found)), found.updater


def test_under_batch_normalization_it_is_sgd_with_l2():
    (losses, decayed), (found, model), updater = both(normalized=True)
    np.testing.assert_allclose(found, losses, rtol=1e-9)
    assert losses[-1] < 0.9 * losses[0]
    hidden = hidden_kernels(decayed)
    norms = [np.linalg.norm(kernel) for kernel in hidden]
    np.testing.assert_allclose([float(r) for r in updater.state[2:]], norms, rtol=1e-9)
    kept = [float(c) for c in updater.state[:2]]
    assert np.abs(np.log(np.array(norms) / kept)).min() > 0.1  # the norm did change under L2
    for kernel, other, c in zip(hidden_kernels(model), hidden, kept, strict=True):
        assert np.linalg.norm(kernel) == pytest.approx(c, rel=1e-12)
        direction = np.asarray(other) / np.linalg.norm(other)
        np.testing.assert_allclose(np.asarray(kernel) / c, direction, atol=1e-9)
    for one, other in zip(model.trainable_variables, decayed.trainable_variables, strict=True):
        if one.name != "kernel" or one is model.layers[-1].kernel:
            np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-9)


def test_without_a_norm_it_is_another_method():
    (losses, _), (found, _), _ = both(normalized=False)
    assert losses[0] == found[0]
    assert np.abs(np.log(np.array(found) / losses)).max() > 0.01


@pytest.mark.parametrize("network", ["mlp", "residual"])
def test_hidden_are_all_layers_but_the_output_layer(compose, network):
    config = compose(*{"mlp": SMALL, "residual": DEEP["residual"]}[network])
    model = Program(config, load(config.data)).model
    names = [kernel.path for kernel in kernels(model)]
    assert [kernel.path for kernel in hidden_kernels(model)] == names[:-1]
    assert names[-1] == "logits/kernel"


# --- in a run


def stepped(config, count=1):
    """A program after so many steps, and what its variables were before."""
    dataset = load(config.data)
    program = Program(config, dataset)
    program.reset(config)
    before = {v.path: v.numpy() for v in program.model.trainable_variables}
    order = BatchOrder(config.seed, len(dataset.train), config.trainer.batch_size)
    images = on_device(dataset.train)
    program.train(Call(program, images, order, config, 0, count, np.float32(0)))
    return program, before


@pytest.mark.parametrize("small", [SMALL, DEEP["residual"]], ids=["mlp", "residual"])
def test_a_step_of_all_else_is_that_of_sgd_with_weight_decay(compose, small):
    program, before = stepped(compose(*small, *FIXED, "norm=batch"))
    decay = ("optimizer=sgd", "optimizer.weight_decay=0.05", "optimizer.lr=0.3")
    other, _ = stepped(compose(*small, *decay, "norm=batch"))
    hidden = {kernel.path for kernel in hidden_kernels(program.model)}
    pairs = zip(program.model.trainable_variables, other.model.trainable_variables, strict=True)
    for mine, theirs in pairs:
        value, expected = mine.numpy(), theirs.numpy()
        if mine.path in hidden:
            norm = np.linalg.norm(before[mine.path])
            assert np.linalg.norm(value) == pytest.approx(norm, rel=1e-6)
            expected = expected * norm / np.linalg.norm(expected)
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
        assert not np.array_equal(value, before[mine.path]) or mine.path not in hidden


def test_a_run_under_batch_normalization_has_the_losses_of_sgd_with_weight_decay(compose, tmp_path):
    common = (*SMALL, "norm.epsilon=1e-10", "schedule=cosine", "probes=effective_rate")
    decay = ("optimizer=sgd", "optimizer.weight_decay=0.05", "optimizer.lr=0.3")
    runs = [(*common, *FIXED), (*common, *decay)]
    found = [train(compose(*words), tmp_path / str(k))[0].progress for k, words in enumerate(runs)]
    losses = [[row["train_loss"] for row in one.history] for one in found]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    rates = [[row["value"] for row in one.probes] for one in found]
    np.testing.assert_allclose(*rates, rtol=1e-4)
    first = [row["value"] for row in found[0].probes if row["layer"] == "1"]
    assert first[1] != pytest.approx(first[0], rel=0.01)


def test_each_run_keeps_the_norms_of_its_own_weights(compose, tmp_path):
    """Also one that goes on, or comes after another in the same program; bit for bit."""
    config = compose(*SMALL, *FIXED)
    train(config, tmp_path / "whole")
    train(compose(*SMALL, *FIXED, "seed=5", "init.scale=3"), tmp_path / "between")
    (tmp_path / "parts").mkdir()
    with pytest.raises(interrupt.Interrupted):
        train_and_evaluate(config, tmp_path / "parts", StopAt(1))
    train(compose(*SMALL, *FIXED, "seed=6"), tmp_path / "other")
    _, report = train(config, tmp_path / "parts")
    assert any("goes on from step" in line for line in report.lines)
    assert history(tmp_path / "parts") == history(tmp_path / "whole")
    assert history(tmp_path / "between") != history(tmp_path / "whole")


def test_runs_of_several_factors_do_not_share_a_program(compose, tmp_path):
    first, second = (compose(*SMALL, *FIXED, f"optimizer.l2={l2}") for l2 in (0, 0.05))
    for k, config in enumerate((first, second, first)):
        train(config, tmp_path / str(k))
    assert history(tmp_path / "0") == history(tmp_path / "2") != history(tmp_path / "1")


def test_together_each_run_keeps_its_own_norms(compose):
    check_as_singly(compose, *SMALL, *SHORT, "optimizer=fixed_norm", "optimizer.l2=0.05")


def test_weights_that_start_at_0_are_refused(compose):
    config = compose(*SMALL, *FIXED)
    program = Program(config, load(config.data))
    program.reset(config)
    hidden_kernels(program.model)[0].assign(np.zeros((16, 64)))
    with pytest.raises(ConfigError, match=r"dense_1/kernel starts at 0 and has no norm to keep"):
        program._updater.reset()


def test_weight_decay_is_no_setting_of_it(compose):
    config = compose(*SMALL, *FIXED)
    assert "weight_decay" not in config.optimizer.common
    assert config.optimizer["lr"] == 0.3
    with pytest.raises(ConfigError, match=r"no setting 'weight_decay'"):
        compose(*SMALL, "optimizer=fixed_norm", "optimizer.weight_decay=0.1")
