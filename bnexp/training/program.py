"""The compiled programs of a network: many training steps, or a whole evaluation, in one call.

Everything in which runs of one network differ (seed, weights, learning rate, data) is a
variable or an argument, so that a process compiles a network once and trains it many times.
"""

import functools
import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from bnexp.config import Config, Optimizer, shape
from bnexp.data import Dataset, Split
from bnexp.networks.models import build_model, initialize, weight_layers
from bnexp.optimizers.updates import Updater
from bnexp.training.seeds import generator

# A probability of 0 would make the log loss infinite; the floor of scikit-learn's log_loss
# when the original repository used it.
LOG_LOSS_FLOOR = 1e-15


class Metrics(NamedTuple):
    """Means over a split, with population statistics and without dropout."""

    loss: float  # softmax cross-entropy, nats
    accuracy: float  # share of images whose largest logit is the label's
    log_loss: float  # as loss, with probabilities kept above LOG_LOSS_FLOOR

    def validation_line(self, step: int) -> str:
        """As the original repository printed it."""
        return (
            f"step {step:5d}: validation loss = {self.loss:.4f}, "
            f"validation accuracy = {self.accuracy:.4f}"
        )

    def test_line(self) -> str:
        """As the original repository printed it."""
        return (
            f"test loss = {self.loss:.4f}, test accuracy = {self.accuracy:.4f}, "
            f"multiclass log loss = {self.log_loss:.4f}"
        )


class Steps(NamedTuple):
    """What a call of the training program comes back with."""

    end: int  # steps made since the start of the run
    loss_sum: np.float32  # of the steps since it was last set to 0
    diverged: bool  # the last step's loss was not finite


@dataclass(frozen=True)
class _Device:
    """How a kind of network is compiled and fed."""

    jit: bool  # XLA: for dense networks; a convolution in an XLA loop on a CPU is very slow
    steps_per_call: int  # so that a call stays below about half a second on one core
    eval_batch: int


_DEVICE = {"mlp": _Device(True, 500, 1000), "cnn": _Device(False, 10, 250)}


@functools.lru_cache(maxsize=3)  # a dataset's three splits
def on_device(split: Split) -> tuple[tf.Tensor, tf.Tensor]:
    """Images and labels as tensors on the default device; runs in a row share them."""
    return tf.constant(split.images), tf.constant(split.labels, tf.int32)


def scaled(images: tf.Tensor) -> tf.Tensor:
    """Pixels as float32; whole numbers 0..255 become 0..1."""
    if images.dtype == tf.uint8:
        return tf.cast(images, tf.float32) / 255.0
    return images


class BatchOrder:
    """Which images make up which batch: each epoch its own permutation.

    The images left over when an epoch's last full batch is filled are skipped. Without
    `reshuffle` every epoch is as the first: the same batches in the same order.
    """

    def __init__(self, seed: int, images: int, batch_size: int, reshuffle: bool = True) -> None:
        self._seed, self._images, self._batch_size = seed, images, batch_size
        self._reshuffle = reshuffle
        self._epoch = -1
        self._batches = np.empty((0, batch_size), np.int32)
        self.batches_per_epoch = images // batch_size

    def rows(self, start: int, count: int) -> np.ndarray:
        """Image numbers of batches start, start + 1, ...: int32 (count, batch_size)."""
        return np.stack([self._row(step) for step in range(start, start + count)])

    def _row(self, step: int) -> np.ndarray:
        epoch, batch = divmod(step, self.batches_per_epoch)
        epoch = epoch if self._reshuffle else 0
        if epoch != self._epoch:
            order = generator(self._seed, "batches", epoch).permutation(self._images)
            kept = order[: self.batches_per_epoch * self._batch_size].astype(np.int32)
            self._batches = kept.reshape(self.batches_per_epoch, self._batch_size)
            self._epoch = epoch
        return self._batches[batch]


class Evaluator:
    """Tests a network on a split: one call, one compiled program."""

    def __init__(self, model: tf.Module, kind: str) -> None:
        self._model = model
        self._batch = _DEVICE[kind].eval_batch
        self._run = tf.function(self._sums, jit_compile=_DEVICE[kind].jit)

    def __call__(self, images: tf.Tensor, labels: tf.Tensor) -> Metrics:
        """Metrics over all images (n, height, width, channels) and labels (n,)."""
        sums = self._run(images, labels).numpy().astype(np.float64)
        return Metrics(*(float(total) / len(labels) for total in sums))

    @property
    def compilations(self) -> int:
        """How often this has been compiled: once for every shape of images."""
        return self._run.experimental_get_tracing_count()

    def _sums(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        total = images.shape[0]

        def add_batch(start: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            rows = start + tf.range(self._batch)
            counts = tf.cast(rows < total, tf.float32)  # the last batch is filled up
            rows = tf.minimum(rows, total - 1)
            logits = self._model(scaled(tf.gather(images, rows)), training=False)
            wanted = tf.gather(labels, rows)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, logits)
            hits = tf.cast(tf.argmax(logits, 1, tf.int32) == wanted, tf.float32)
            log_loss = tf.minimum(loss, -np.log(LOG_LOSS_FLOOR))
            columns = tf.stack([loss, hits, log_loss])
            # not loss * counts: a filled-up row's infinite loss times 0 would be NaN
            kept = tf.where(counts > 0, columns, 0.0)
            return start + self._batch, sums + tf.reduce_sum(kept, axis=1)

        _, sums = tf.while_loop(
            lambda start, _: start < total, add_batch, (tf.constant(0), tf.zeros(3))
        )
        return sums


class Program:
    """A network with its optimizer's state, and the compiled functions on them.

    Args:
        config: read for what shapes the computation; see `program_for`.
        input_shape: (height, width, channels).
        classes: number of outputs.
    """

    def __init__(self, config: Config, input_shape: tuple[int, ...], classes: int) -> None:
        device = _DEVICE[config.model.kind]
        self.steps_per_call = device.steps_per_call
        self.model = build_model(
            config.model, config.norm, input_shape, classes, config.trainer.precision
        )
        self._trained = [variable.value for variable in self.model.trainable_variables]
        self._kernels = {id(layer.kernel.value) for layer in weight_layers(self.model)}
        self._updater = Updater(config.optimizer, self._trained)
        self._decays_weights = config.optimizer.weight_decay > 0
        self._steps = tf.function(self._many_steps, jit_compile=device.jit)
        self.evaluate = Evaluator(self.model, config.model.kind)

    def reset(self, config: Config) -> None:
        """Sets weights, statistics and optimizer to the start of this run."""
        initialize(self.model, config.init, config.seed)
        self._updater.reset()

    @property
    def compilations(self) -> int:
        """How often the functions on the network have been compiled."""
        return self._steps.experimental_get_tracing_count() + self.evaluate.compilations

    @property
    def _variables(self) -> list[tf.Variable]:
        return [variable.value for variable in self.model.variables] + self._updater.slots

    def state(self) -> list[np.ndarray]:
        """Everything that training changes, in a fixed order."""
        return [variable.numpy() for variable in self._variables]

    def restore(self, state: list[np.ndarray]) -> None:
        """Sets what `state` gave.

        Raises:
            ValueError: the state is of another network or optimizer.
        """
        for variable, value in zip(self._variables, state, strict=True):
            variable.assign(value)

    def train(
        self,
        train: tuple[tf.Tensor, tf.Tensor],
        order: BatchOrder,
        optimizer: Optimizer,
        start: int,
        count: int,
        loss_sum: np.float32,
    ) -> Steps:
        """Makes up to `count` steps after the first `start`; fewer if the loss is not finite.

        Compiles at the first call; `count=0` does nothing else.

        Args:
            train: images and labels on the device.
            order: the run's batches.
            optimizer: learning rate, its decay, and weight decay.
            start: steps made so far.
            count: at most `steps_per_call`.
            loss_sum: added to, in the order of the steps, however they are cut into calls.
        """
        rows = np.zeros((self.steps_per_call, order._batch_size), np.int32)
        if count:
            rows[:count] = order.rows(start, count)
        hyper = [optimizer.lr, optimizer.lr_decay, optimizer.weight_decay]
        done, total, last = self._steps(
            *train,
            tf.constant(rows),
            tf.constant(start, tf.int32),
            tf.constant(count, tf.int32),
            tf.constant(hyper, tf.float32),
            tf.constant(optimizer.lr_decay_every, tf.float32),
            tf.constant(loss_sum, tf.float32),
        )
        return Steps(start + int(done), total.numpy(), not np.isfinite(last.numpy()))

    def _many_steps(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        rows: tf.Tensor,
        start: tf.Tensor,
        count: tf.Tensor,
        hyper: tf.Tensor,
        decay_every: tf.Tensor,
        loss_sum: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        lr, lr_decay, weight_decay = tf.unstack(hyper)

        def one_step(
            done: tf.Tensor, loss_sum: tf.Tensor, _: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            batch = rows[done]
            step = start + done
            with tf.GradientTape() as tape:
                logits = self.model(scaled(tf.gather(images, batch)), training=True)
                wanted = tf.gather(labels, batch)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, logits)
                loss = tf.reduce_mean(losses)
            gradients = tape.gradient(loss, self._trained)
            if self._decays_weights:
                gradients = self._with_weight_decay(gradients, weight_decay)
            elapsed = tf.cast(step, tf.float32) / decay_every
            self._updater.apply(gradients, lr * tf.pow(lr_decay, elapsed), step)
            return done + 1, loss_sum + loss, loss

        return tf.while_loop(
            lambda done, _, last: (done < count) & tf.math.is_finite(last),
            one_step,
            (tf.constant(0), loss_sum, tf.constant(0.0)),
        )

    def _with_weight_decay(
        self, gradients: list[tf.Tensor], weight_decay: tf.Tensor
    ) -> list[tf.Tensor]:
        """Adds the gradient of weight_decay / 2 * |W|^2, kernels only."""
        return [
            gradient + weight_decay * variable if id(variable) in self._kernels else gradient
            for gradient, variable in zip(gradients, self._trained, strict=True)
        ]


# Compiled programs stay in memory; a sweep over networks keeps the latest few.
_KEPT_PROGRAMS = 4
_programs: OrderedDict[str, Program] = OrderedDict()


def program_for(config: Config, dataset: Dataset) -> Program:
    """The program for a run, from this process's cache if a run of its shape came before."""
    key = json.dumps([shape(config), *dataset.signature])
    if key not in _programs:
        while len(_programs) >= _KEPT_PROGRAMS:
            _programs.popitem(last=False)
        _programs[key] = Program(config, dataset.input_shape, dataset.classes)
    _programs.move_to_end(key)
    return _programs[key]
