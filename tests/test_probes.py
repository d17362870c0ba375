"""Probes: what they measure is what is there, and training does not notice them.

What holds for probes as such is tested of every one in the folder.
"""

import gc
import weakref
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from conftest import DEEP, SMALL, SMALL_CNN, Lines, StopAt

from bnexp.config import ConfigError
from bnexp.config.schema import part_names
from bnexp.data.loading import load
from bnexp.folders import runs
from bnexp.networks.initial import kernel_of
from bnexp.probes import jacobian as jacobian_probe
from bnexp.probes.recorder import Recorder
from bnexp.probes.views import Views
from bnexp.training.interrupt import Interrupted
from bnexp.training.loop import train_and_evaluate
from bnexp.training.program import Program, program_for

ALL = "probes=all"
EVERY = f"probes.record=[{','.join(part_names('probes'))}]"
NETWORKS = {
    "mlp": (*SMALL, "optimizer=momentum", "model.dropout=0.3"),
    "cnn": (*SMALL_CNN, "model.dropout=0.3"),
    "plain": DEEP["plain"],
}


def train(config, folder, report=None):
    folder.mkdir(exist_ok=True)
    return train_and_evaluate(config, folder, report or Lines())


def table(folder) -> pd.DataFrame:
    return pd.read_csv(folder / "probes.csv", dtype={"layer": str})


def every_defined(compose, *words) -> str:
    """The choice of all probes that a network can have."""
    found = []
    for name in part_names("probes"):
        with suppress(ConfigError):
            compose(*words, f"probes.record=[{name}]")
            found.append(name)
    return f"probes.record=[{','.join(found)}]"


def final(config, folder, report=None) -> tuple:
    """Trains; the history less its seconds, the network's and the optimizer's state, the test."""
    test = train(config, folder, report).test
    history = runs.read_history(folder).drop(columns="seconds")
    return history, program_for(config, load(config.data)).state(), test


def assert_equal_to_the_bit(one, other):
    pd.testing.assert_frame_equal(one[0], other[0], check_exact=True)
    for left, right in zip(one[1], other[1], strict=True):
        assert left.tobytes() == right.tobytes()
    assert one[2] == other[2]


def recorded(config, program=None, memory=None) -> pd.Series:
    """One look at a network at its start: value by probe, layer and statistic."""
    dataset = load(config.data)
    if program is None:
        program = program_for(config, dataset)
        program.reset(config)
    rows = Recorder(config, program, dataset, {} if memory is None else memory).record(0)
    return pd.DataFrame(rows).set_index(["probe", "layer", "statistic"])["value"]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("network", NETWORKS)
def test_training_is_the_same_to_the_bit_with_probes(compose, tmp_path, network, precision):
    words = (*NETWORKS[network], f"trainer.precision={precision}", "optimizer.lr=0.1")
    without = final(compose(*words), tmp_path / "without")
    with_probes = final(compose(*words, every_defined(compose, *words)), tmp_path / "with")
    assert (tmp_path / "with" / "probes.csv").exists()
    assert not (tmp_path / "without" / "probes.csv").exists()
    assert_equal_to_the_bit(without, with_probes)


def test_every_probe_is_defined_for_the_dense_network(compose):
    assert every_defined(compose, *SMALL) == EVERY


def test_recording_is_at_step_0_at_evaluations_and_at_the_end(compose, tmp_path):
    options = (*SMALL, "trainer.steps=50", "trainer.eval_every=10", ALL)
    train(compose(*options), tmp_path / "each")
    assert sorted(table(tmp_path / "each")["step"].unique()) == [0, 10, 20, 30, 40, 50]
    train(compose(*options, "probes.every=20"), tmp_path / "some")
    some = table(tmp_path / "some")
    assert sorted(some["step"].unique()) == [0, 20, 40, 50]
    assert tuple(some.columns) == runs.PROBE_COLUMNS
    assert set(some["probe"]) == set(compose(*options).probes.record) <= set(part_names("probes"))


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_an_interrupted_run_records_and_trains_the_same(compose, tmp_path, network):
    words = (*NETWORKS[network], "trainer.steps=40", "trainer.eval_every=20")
    without = final(compose(*words), tmp_path / "without")
    config = compose(*words, every_defined(compose, *words))
    whole = final(config, tmp_path / "whole")
    with pytest.raises(Interrupted):
        # cnn: its calls are of 10 steps, so that there is something between evaluations
        train(config, tmp_path / "cut", StopAt(3 if network == "cnn" else 1))
    cut = final(config, tmp_path / "cut")
    assert_equal_to_the_bit(without, whole)
    assert_equal_to_the_bit(whole, cut)
    written = [(tmp_path / name / "probes.csv").read_bytes() for name in ("whole", "cut")]
    assert b"median_move" in written[0]
    assert written[0] == written[1]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_probe_sees_what_training_left_whatever_was_recorded_before_it(compose, precision):
    words = (*SMALL, "model.dropout=0.3", f"trainer.precision={precision}")
    names = part_names("probes")
    alone = {name: recorded(compose(*words, f"probes.record=[{name}]")) for name in names}
    for order in (names, names[::-1]):
        together = recorded(compose(*words, f"probes.record=[{','.join(order)}]"))
        for name in names:
            pd.testing.assert_series_equal(together[name], alone[name][name], check_exact=True)


def test_whatever_a_probe_does_to_the_network_is_put_back_to_the_bit(compose):
    config = compose(*SMALL, "model.dropout=0.3")
    program = program_for(config, load(config.data))
    program.reset(config)
    odd = np.array([[np.nan, -0.0, np.inf, 1e-42]] * 16, "float32")
    program.model.get_layer("dense_1").kernel.assign(np.repeat(odd, 16, axis=1))
    before = program.state()
    views = Views(program.model, config.trainer.batch_size)
    with pytest.raises(ZeroDivisionError), views.undisturbed():
        for variable in program.model.variables:
            variable.assign(variable + 1)
        raise ZeroDivisionError
    for one, other in zip(before, program.state(), strict=True):
        assert one.tobytes() == other.tobytes()


def test_activations_are_what_enters_the_nonlinearities(compose):
    config = compose(*SMALL, "probes=activations", "norm=none", "init=gaussian", "init.stddev=3")
    dataset = load(config.data)
    program = program_for(config, dataset)
    program.reset(config)
    found = recorded(config, program)["activations"]
    layer = program.model.get_layer("dense_1")
    images = dataset.test.images[:1000].reshape(-1, 64) / np.float32(255)
    values = images @ kernel_of(layer)
    low, median, high = np.percentile(values, (15, 50, 85), axis=0)
    first = found["1"]
    assert first["mean"] == pytest.approx(values.mean(), rel=1e-3)
    assert first["variance"] == pytest.approx(values.var(axis=0).mean(), rel=1e-3)
    assert 0.2 < first["saturation"] < 1
    assert first["saturation"] == pytest.approx((np.abs(values) > 4).mean(), abs=2e-3)
    assert first["spread"] == pytest.approx((high - low).mean(), rel=1e-3)
    assert first["unit_p50"] == pytest.approx(median[0], rel=1e-3)
    assert "median_move" not in first


def test_moves_are_changes_since_the_probe_before(compose):
    config = compose(*SMALL, "probes=activations", "norm=none")
    dataset = load(config.data)
    program = program_for(config, dataset)
    program.reset(config)
    memory: dict = {}
    recorded(config, program, memory)
    still = recorded(config, program, memory)["activations"]["2"]
    assert still["median_move"] == still["spread_move"] == 0
    program.model.get_layer("dense_2").bias.assign(np.linspace(0, 1.5, 16, dtype="float32"))
    moved = recorded(config, program, memory)["activations"]["2"]
    assert moved["median_move"] == pytest.approx(0.75, rel=1e-5)
    assert moved["spread_move"] == pytest.approx(0, abs=1e-6)


def test_with_batch_norm_activations_have_the_mean_and_variance_of_beta_and_gamma(compose):
    """They are normalized by the batch's own statistics, also before the averages have moved."""
    config = compose(*SMALL, "probes=activations", "norm=batch", "init.scale=100")
    found = recorded(config)["activations"]
    for layer in ("1", "2"):
        assert found[layer]["mean"] == pytest.approx(0, abs=1e-5)
        assert found[layer]["variance"] == pytest.approx(1, rel=1e-2)


def test_under_batch_norm_scaled_weights_have_gradients_as_much_smaller(compose):
    """Section 3.3, at epsilon near 0."""
    options = (*SMALL, "probes=gradients", "norm=batch", "norm.epsilon=1e-12", "init=gaussian")
    found = {
        scale: recorded(compose(*options, "init.stddev=0.5", f"init.scale={scale}"))["gradients"]
        for scale in (1, 10)
    }
    for layer in ("1", "2"):
        weights, gradients = (
            [found[scale][layer][name] for scale in (1, 10)]
            for name in ("weight_norm", "gradient_norm")
        )
        assert weights[1] == pytest.approx(10 * weights[0], rel=1e-5)
        assert gradients[1] == pytest.approx(gradients[0] / 10, rel=1e-3)
    assert ("1", "bias_norm") not in found[1].index


def test_gradients_are_those_of_the_loss(compose):
    config = compose(*SMALL, "probes=gradients", "norm=none", "init.bias=0.5")
    dataset = load(config.data)
    program = program_for(config, dataset)
    program.reset(config)
    found = recorded(config, program)["gradients"]
    layer = program.model.get_layer("dense_2")
    with tf.GradientTape() as tape:
        logits = program.model(dataset.train.images / np.float32(255))
        loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)(
            dataset.train.labels, logits
        )
    gradient = tape.gradient(loss, layer.kernel.value)
    assert found["2"]["gradient_norm"] == pytest.approx(np.linalg.norm(gradient), rel=1e-4)
    assert found["2"]["bias_norm"] == pytest.approx(0.5 * np.sqrt(16))


def test_population_tells_both_losses_apart(compose):
    options = (*SMALL, "probes=population", "data.val_size=60")
    plain = recorded(compose(*options, "norm=none"))["population"]
    assert plain[""]["loss_population"] == pytest.approx(plain[""]["loss_batch"], rel=1e-6)

    config = compose(*options, "norm=batch", "init.scale=20", "model.activation=relu")
    dataset = load(config.data)
    program = program_for(config, dataset)
    program.reset(config)
    found = recorded(config, program)["population"][""]
    images = dataset.validation.images[:60] / np.float32(255)
    losses = {}
    for name, training in (("loss_population", False), ("loss_batch", True)):
        # in threes: three batches of 20
        logits = [program.model(images[i : i + 20], training=training) for i in (0, 20, 40)]
        crossed = tf.nn.sparse_softmax_cross_entropy_with_logits(
            dataset.validation.labels[:60], tf.concat(logits, 0)
        )
        losses[name] = float(tf.reduce_mean(crossed))
    assert found["loss_population"] == pytest.approx(losses["loss_population"], rel=1e-4)
    assert found["loss_batch"] == pytest.approx(losses["loss_batch"], rel=1e-4)
    assert abs(found["loss_batch"] - found["loss_population"]) > 0.01


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_jacobians_are_those_of_automatic_differentiation(compose, norm, activation, monkeypatch):
    monkeypatch.setattr(jacobian_probe, "IMAGES", 1)
    config = compose(*SMALL, "probes=jacobian", f"norm={norm}", f"model.activation={activation}")
    dataset = load(config.data)
    program = Program(config, dataset)
    program.reset(config)
    found = recorded(config, program)["jacobian"]["2"]

    inside = Views(program.model, config.trainer.batch_size)
    before = tf.constant(inside.activations(tf.constant(dataset.test.images))[0])
    dense = program.model.get_layer("dense_2")
    activate = program.model.get_layer(f"dense_1_{activation}")
    linear = dense(activate(before))
    factor = 1.0
    if norm == "batch":
        factor = 1 / np.sqrt(linear.numpy().var(axis=0) + config.norm["epsilon"])
    one = before[:1]
    with tf.GradientTape() as tape:
        tape.watch(one)
        after = dense(activate(one)) * factor
    jacobian = tape.jacobian(after, one)[0, :, 0, :].numpy()
    active = np.abs(jacobian).sum(axis=0) > 0
    values = np.linalg.svd(jacobian[:, active], compute_uv=False)
    assert found["median_abs_log"] == pytest.approx(np.median(np.abs(np.log(values))), rel=1e-3)
    assert found["condition"] == pytest.approx(values[0] / values[-1], rel=1e-2)


def test_a_diverged_run_keeps_its_probes_without_a_nan(compose, tmp_path):
    config = compose(*SMALL, EVERY, "norm=none", "optimizer.lr=1e38", "init.bias=1")
    assert train(config, tmp_path / "run").status == runs.DIVERGED
    found = table(tmp_path / "run")
    assert set(found["step"]) == {0}
    assert "nan" not in (tmp_path / "run" / "probes.csv").read_text().lower()


def test_what_is_not_finite_is_an_empty_cell(compose):
    config = compose(*SMALL, EVERY, "norm=none")
    dataset = load(config.data)
    program = program_for(config, dataset)
    program.reset(config)
    program.model.get_layer("dense_1").kernel.assign(np.full((16, 64), np.inf, "float32"))
    found = recorded(config, program)
    assert np.isnan(found["jacobian"]["2"]["condition"])
    assert not np.isfinite(found["gradients"]["1"]["weight_norm"])


def test_views_go_with_their_program(compose):
    config = compose(*SMALL, EVERY)
    dataset = load(config.data)
    program = Program(config, dataset)
    program.reset(config)
    recorded(config, program)
    gone = weakref.ref(program)
    del program
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["probes.record=[activation]"], "did you mean 'activations'"),
        (["probes.record=[gradients,gradients]"], "once each"),
        (["probes.images=0"], "probes.images=0"),
        ([ALL, "model=cnn"], "jacobian needs model=mlp"),
        ([ALL, "norm.position=post"], "norm.position=pre"),
    ],
)
def test_what_cannot_be_recorded_is_refused(compose, overrides, message):
    with pytest.raises(ConfigError, match=message):
        compose(*SMALL, *overrides)
