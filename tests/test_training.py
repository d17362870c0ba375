"""Training: what a step computes, what a seed fixes, and what a run leaves behind."""

import gc
import resource
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL, SMALL_CNN, Lines
from scipy.special import logsumexp

from bnexp.config.places import names
from bnexp.data.loading import load
from bnexp.folders import runs
from bnexp.schedules import rates
from bnexp.training.batches import BatchOrder, on_device, scaled
from bnexp.training.calls import Call
from bnexp.training.loop import next_evaluation, train_and_evaluate
from bnexp.training.program import Program, program_for

DECAYING = ("schedule=exponential", "schedule.rate=0.5", "schedule.every=4")
KERAS_OPTIMIZERS = {
    "sgd": lambda o: keras.optimizers.SGD(o["lr"]),
    "momentum": lambda o: keras.optimizers.SGD(o["lr"], momentum=o["momentum"]),
    "adagrad": lambda o: keras.optimizers.Adagrad(o["lr"], o["initial_accumulator"], epsilon=0.0),
    "adam": lambda o: keras.optimizers.Adam(o["lr"], o["momentum"], o["beta_2"], o["epsilon"]),
}


def train(config, folder):
    folder.mkdir(exist_ok=True)
    report = Lines()
    return train_and_evaluate(config, folder, report), report


def history(folder):
    """history.csv without the seconds."""
    lines = (folder / "history.csv").read_text().splitlines()
    return [line.rpartition(",")[0] for line in lines]


def steps_by_hand(config, dataset, steps, optimizer):
    """The same training as an eager Keras loop, a step at a time."""
    program = Program(config, dataset)
    program.reset(config)
    model, (images, labels) = program.model, on_device(dataset.train)
    order = BatchOrder(config.seed, len(dataset.train), config.trainer.batch_size)
    kernels = {id(v) for v in model.trainable_variables if v.name == "kernel"}
    decay = config.optimizer["weight_decay"]
    for step in range(steps):
        rows = order.rows(step, 1)[0]
        with tf.GradientTape() as tape:
            logits = model(scaled(tf.gather(images, rows)), training=True)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(tf.gather(labels, rows), logits)
            )
            for v in model.trainable_variables:
                if id(v) in kernels:
                    loss += decay / 2 * tf.reduce_sum(tf.square(v.value))
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        optimizer.learning_rate = rates(config.optimizer, config.schedule, step, 1, 12)[0]
        optimizer.apply(gradients, model.trainable_variables)
    return [v.numpy() for v in model.variables]


@pytest.mark.parametrize("kind", KERAS_OPTIMIZERS)
@pytest.mark.parametrize("extra", [(), ("optimizer.weight_decay=0.1", *DECAYING)])
def test_compiled_steps_are_those_of_a_plain_keras_loop(compose, kind, extra):
    check_compiled_steps(compose(*SMALL, f"optimizer={kind}", *extra))


@pytest.mark.parametrize("gradient", ["no_mean", "none"])
def test_compiled_steps_are_also_those_of_a_keras_loop_outside_the_gradient(compose, gradient):
    check_compiled_steps(compose(*SMALL, "norm.bias=true", f"norm.gradient={gradient}"))


@pytest.mark.parametrize("small", [SMALL, SMALL_CNN], ids=["mlp", "cnn"])
def test_compiled_steps_are_also_those_of_a_keras_loop_with_layer_normalization(compose, small):
    check_compiled_steps(compose(*small, "norm=layer", "optimizer=sgd", "model.dropout=0"))


def check_compiled_steps(config):
    """A dozen steps in one call, against a Keras loop."""
    dataset = load(config.data)
    program = program_for(config, dataset)
    program.reset(config)
    order = BatchOrder(config.seed, len(dataset.train), config.trainer.batch_size)
    for start in range(0, 12, 6):
        program.train(
            Call(program, on_device(dataset.train), order, config, start, 6, np.float32(0))
        )
    optimizer = KERAS_OPTIMIZERS[config.optimizer.kind](config.optimizer)
    expected = steps_by_hand(config, dataset, 12, optimizer)
    for mine, theirs in zip(program.model.variables, expected, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("small", [SMALL, SMALL_CNN], ids=["mlp", "cnn"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_the_same_run_twice_gives_the_same_bits(compose, tmp_path, small, precision, norm):
    config = compose(*small, "model.dropout=0.3", f"trainer.precision={precision}", f"norm={norm}")
    train(config, tmp_path / "a")
    train(compose(*small, "model.dropout=0.3", "seed=5"), tmp_path / "between")
    train(config, tmp_path / "b")
    assert history(tmp_path / "a") == history(tmp_path / "b")
    assert history(tmp_path / "a") != history(tmp_path / "between")


def test_how_steps_are_cut_into_calls_changes_no_bit(compose, tmp_path):
    config = compose(*SMALL_CNN, "model.dropout=0.3")
    train(config, tmp_path / "a")
    program = program_for(config, load(config.data))
    program.steps_per_call, kept = 5, program.steps_per_call
    try:
        train(config, tmp_path / "b")
    finally:
        program.steps_per_call = kept
    assert history(tmp_path / "a") == history(tmp_path / "b")


def test_batches_depend_on_the_seed_alone_and_cover_an_epoch():
    one, same, other = BatchOrder(0, 100, 30), BatchOrder(0, 100, 30), BatchOrder(1, 100, 30)
    rows = one.rows(0, 9)
    np.testing.assert_array_equal(rows[4:6], same.rows(4, 2))  # also from the middle
    assert not np.array_equal(rows, other.rows(0, 9))
    for epoch in range(3):
        seen = rows[3 * epoch : 3 * epoch + 3].ravel()
        assert len(set(seen)) == 90
    assert not np.array_equal(rows[:3], rows[3:6])


def test_without_reshuffling_every_epoch_is_as_the_first():
    reshuffled, fixed = BatchOrder(0, 100, 30), BatchOrder(0, 100, 30, reshuffle=False)
    rows = fixed.rows(0, 9)
    np.testing.assert_array_equal(rows[:3], reshuffled.rows(0, 3))
    np.testing.assert_array_equal(rows, np.tile(rows[:3], (3, 1)))


def test_a_run_without_reshuffling_departs_after_the_first_epoch(compose, tmp_path):
    """12 batches of 20 make an epoch here."""
    for reshuffle in (True, False):
        config = compose(*SMALL, f"trainer.reshuffle={reshuffle}", "trainer.eval_every=12")
        train(config, tmp_path / str(reshuffle))
    reshuffled, fixed = (history(tmp_path / name) for name in ("True", "False"))
    assert reshuffled[:2] == fixed[:2]  # the header and step 12
    assert reshuffled[2] != fixed[2]


def test_both_arms_of_a_seed_see_the_same_batches(compose, monkeypatch):
    seen = {}
    original = BatchOrder.rows
    for arm in ("none", "batch"):
        rows = seen.setdefault(arm, [])

        def spy(self, start, count, rows=rows):
            rows.append(original(self, start, count))
            return rows[-1]

        monkeypatch.setattr(BatchOrder, "rows", spy)
        config = compose(*SMALL, f"norm={arm}")
        folder = runs.run_folder(config)
        folder.mkdir(parents=True)
        train(config, folder)
    np.testing.assert_array_equal(np.concatenate(seen["none"]), np.concatenate(seen["batch"]))


def test_dropout_masks_depend_on_seed_and_step_alone(compose):
    masks = {}
    for arm in ("none", "batch"):
        config = compose(*SMALL, f"norm={arm}", "model.dropout=0.5")
        program = program_for(config, load(config.data))
        program.reset(config)
        dropout = program.model.get_layer("dropout")
        masks[arm] = [dropout(tf.ones((20, 16)), training=True).numpy() for _ in range(2)]
    np.testing.assert_array_equal(masks["none"], masks["batch"])
    assert not np.array_equal(*masks["none"])


@pytest.mark.parametrize("norm", [name for name in names("norm") if name != "instance"])
def test_a_network_learns(compose, tmp_path, norm):
    config = compose(*SMALL, f"norm={norm}", "optimizer.lr=1", "trainer.steps=300")
    outcome, report = train(config, tmp_path / "run")
    assert outcome.status == runs.FINISHED
    assert outcome.test.accuracy > 0.9
    assert report.lines[-1].startswith("test loss = ")
    assert report.steps[-1] == 300


def test_history_has_a_row_per_evaluation_and_the_mean_training_loss(compose, tmp_path):
    config = compose(*SMALL, "trainer.steps=50")
    outcome, report = train(config, tmp_path / "run")
    table = runs.read_history(tmp_path / "run")
    assert tuple(table.columns) == runs.HISTORY_COLUMNS
    assert list(table["step"]) == [20, 40, 50]
    assert list(table["epoch"]) == pytest.approx([20 / 12, 40 / 12, 50 / 12])
    result = outcome.as_result()
    assert result["final_val_accuracy"] == table["val_accuracy"].iloc[-1]
    assert result["best_val_accuracy"] == table["val_accuracy"].max()
    assert report.lines[0] == (
        f"step    20: validation loss = {table['val_loss'][0]:.4f}, "
        f"validation accuracy = {table['val_accuracy'][0]:.4f}"
    )
    train(compose(*SMALL, "trainer.eval_every=1"), tmp_path / "each")
    losses = runs.read_history(tmp_path / "each")["train_loss"]
    assert table["train_loss"][0] == pytest.approx(losses[:20].mean(), rel=1e-5)


def test_early_steps_are_evaluated_more_often(compose):
    trainer = compose(
        "trainer.steps=1000",
        "trainer.eval_every=400",
        "trainer.early_steps=150",
        "trainer.early_eval_every=40",
    ).trainer
    steps, step = [], 0
    while step < trainer.steps:
        step = next_evaluation(trainer, step)
        steps.append(step)
    assert steps == [40, 80, 120, 150, 400, 800, 1000]


@pytest.mark.parametrize("small", [SMALL, SMALL_CNN], ids=["mlp", "cnn"])
def test_divergence_stops_the_run_at_once_and_keeps_its_history(compose, tmp_path, small):
    config = compose(*small, "norm=none", "optimizer=sgd", "optimizer.lr=1e38", "init.bias=1")
    outcome, report = train(config, tmp_path / "run")
    assert outcome.status == runs.DIVERGED
    assert outcome.progress.steps < 6
    assert outcome.test is None
    assert "diverged" in report.lines[-1]
    assert "nan" not in (tmp_path / "run" / "history.csv").read_text().lower()


def test_evaluation_counts_every_image_once(compose):
    """90 test images do not fill a batch of the evaluator's."""
    config = compose(*SMALL)
    dataset = load(config.data)
    program = program_for(config, dataset)
    program.reset(config)
    logits = program.model(scaled(on_device(dataset.test)[0]), training=False).numpy()
    losses = logsumexp(logits, axis=1) - logits[np.arange(90), dataset.test.labels]
    metrics = program.evaluate(*on_device(dataset.test))
    assert metrics.loss == pytest.approx(losses.mean(), rel=1e-5)
    assert metrics.accuracy == (logits.argmax(1) == dataset.test.labels).mean()
    assert metrics.log_loss == pytest.approx(np.minimum(losses, -np.log(1e-15)).mean(), rel=1e-5)


def test_exact_statistics_are_used_for_the_last_validation_and_the_test(compose, tmp_path):
    slow = compose(*SMALL, "norm.momentum=0.999")
    exact = compose(
        *SMALL, "norm.momentum=0.999", "norm.population=exact", "norm.population_batches=20"
    )
    moving_outcome, _ = train(slow, tmp_path / "moving")
    exact_outcome, _ = train(exact, tmp_path / "exact")
    *moving, last_moving = history(tmp_path / "moving")
    *before, last_exact = history(tmp_path / "exact")
    assert before == moving
    step, epoch, train_loss, val_loss, val_accuracy = last_exact.split(",")
    assert last_moving.startswith(f"{step},{epoch},{train_loss},")
    # slow averages lag behind
    assert float(val_loss) < float(last_moving.split(",")[3])
    assert exact_outcome.test.loss < moving_outcome.test.loss
    assert exact_outcome.as_result()["final_val_accuracy"] == float(val_accuracy)


def test_a_second_run_of_the_same_shape_starts_at_once(compose, tmp_path):
    train(compose(*SMALL), tmp_path / "first")
    started = time.perf_counter()
    first_step = []

    class Report(Lines):
        def step(self, steps):
            first_step.append(time.perf_counter() - started)

    (tmp_path / "second").mkdir()
    config = compose(*SMALL, "seed=1", "optimizer.lr=0.3", "init=gaussian", "trainer.eval_every=1")
    started = time.perf_counter()
    train_and_evaluate(config, tmp_path / "second", Report())
    assert first_step[0] < 0.2


def test_memory_stays_flat_over_many_runs(compose, tmp_path):
    def run(count):
        for seed in range(count):
            config = compose(*SMALL, f"seed={seed}", f"norm={('none', 'batch')[seed % 2]}")
            train(config, tmp_path / "run")
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MB

    assert run(100 + 10) - run(10) < 50
