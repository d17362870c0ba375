"""Probes: what they measure is what is there, and training does not notice them."""

import gc
import weakref

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from conftest import SMALL, SMALL_CNN, Lines, StopAt

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


def train(config, folder, report=None):
    folder.mkdir(exist_ok=True)
    return train_and_evaluate(config, folder, report or Lines())


def table(folder) -> pd.DataFrame:
    return pd.read_csv(folder / "probes.csv", dtype={"layer": str})


def recorded(config, program=None, memory=None) -> pd.Series:
    """One look at a network at its start: value by probe, layer and statistic."""
    dataset = load(config.data)
    if program is None:
        program = program_for(config, dataset)
        program.reset(config)
    rows = Recorder(config, program, dataset, {} if memory is None else memory).record(0)
    return pd.DataFrame(rows).set_index(["probe", "layer", "statistic"])["value"]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("small", "kinds"),
    [(SMALL, "all"), (SMALL_CNN, "[activations,gradients,population]")],
    ids=["mlp", "cnn"],
)
def test_training_is_the_same_to_the_bit_with_probes(compose, tmp_path, small, kinds, precision):
    common = (*small, f"trainer.precision={precision}", "model.dropout=0.3", "optimizer.lr=0.1")
    choice = ALL if kinds == "all" else f"probes.record={kinds}"
    states, tests = [], []
    for name, options in (("without", ()), ("with", (choice,))):
        config = compose(*common, *options)
        outcome = train(config, tmp_path / name)
        states.append(program_for(config, load(config.data)).state())
        tests.append(outcome.test)
    assert (tmp_path / "with" / "probes.csv").exists()
    assert not (tmp_path / "without" / "probes.csv").exists()
    assert tests[0] == tests[1]
    for without, with_probes in zip(*states, strict=True):
        np.testing.assert_array_equal(without, with_probes)
    histories = [runs.read_history(tmp_path / name) for name in ("without", "with")]
    pd.testing.assert_frame_equal(*(history.drop(columns="seconds") for history in histories))


def test_recording_is_at_step_0_at_evaluations_and_at_the_end(compose, tmp_path):
    options = (*SMALL, "trainer.steps=50", "trainer.eval_every=10", ALL)
    train(compose(*options), tmp_path / "each")
    assert sorted(table(tmp_path / "each")["step"].unique()) == [0, 10, 20, 30, 40, 50]
    train(compose(*options, "probes.every=20"), tmp_path / "some")
    some = table(tmp_path / "some")
    assert sorted(some["step"].unique()) == [0, 20, 40, 50]
    assert tuple(some.columns) == runs.PROBE_COLUMNS
    assert set(some["probe"]) == set(compose(*options).probes.record) <= set(part_names("probes"))


def test_an_interrupted_run_records_the_same(compose, tmp_path):
    # cnn: its calls are of 10 steps, so that there is something between evaluations
    options = (*SMALL_CNN, "trainer.steps=40", "trainer.eval_every=20")
    config = compose(*options, "probes.record=[activations,gradients,population]")
    train(config, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(config, tmp_path / "cut", StopAt(3))
    train(config, tmp_path / "cut")
    whole, cut = (tmp_path / name / "probes.csv" for name in ("whole", "cut"))
    assert "median_move" in whole.read_text()
    assert cut.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_probe_sees_what_training_left_whatever_was_recorded_before_it(compose, precision):
    words = (*SMALL, "model.dropout=0.3", f"trainer.precision={precision}")
    alone = {
        name: recorded(compose(*words, f"probes.record=[{name}]"))
        for name in ("activations", "gradients", "population", "jacobian")
    }
    for order in ("activations,gradients,population,jacobian", "population,gradients,activations"):
        together = recorded(compose(*words, f"probes.record=[{order}]"))
        for name in order.split(","):
            pd.testing.assert_series_equal(together[name], alone[name][name])


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
    config = compose(*SMALL, ALL, "norm=none", "optimizer.lr=1e38", "init.bias=1")
    assert train(config, tmp_path / "run").status == runs.DIVERGED
    found = table(tmp_path / "run")
    assert set(found["step"]) == {0}
    assert "nan" not in (tmp_path / "run" / "probes.csv").read_text().lower()


def test_what_is_not_finite_is_an_empty_cell(compose):
    config = compose(*SMALL, ALL, "norm=none")
    dataset = load(config.data)
    program = program_for(config, dataset)
    program.reset(config)
    program.model.get_layer("dense_1").kernel.assign(np.full((16, 64), np.inf, "float32"))
    found = recorded(config, program)
    assert np.isnan(found["jacobian"]["2"]["condition"])
    assert not np.isfinite(found["gradients"]["1"]["weight_norm"])


def test_views_go_with_their_program(compose):
    config = compose(*SMALL, ALL)
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
