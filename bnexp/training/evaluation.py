"""Tests a network on a split: one call, one compiled program."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from bnexp.training.backend import compiled
from bnexp.training.batches import scaled

# A probability of 0 would make the log loss infinite; the floor of scikit-learn's log_loss
# when the original repository used it.
LOG_LOSS_FLOOR = 1e-15

Metric = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Metrics:
    """Means over a split, with population statistics and without dropout.

    Attributes:
        loss: softmax cross-entropy, nats.
        accuracy: share of images whose largest logit is the label's.
        log_loss: as loss, with probabilities kept above LOG_LOSS_FLOOR.
        further: the means of further metrics, by name.
    """

    loss: float
    accuracy: float
    log_loss: float
    further: Mapping[str, float] = field(default_factory=dict)

    def validation_line(self, step: int) -> str:
        """As the original repository printed it."""
        return (
            f"step {step:5d}: validation loss = {self.loss:.4f}, "
            f"validation accuracy = {self.accuracy:.4f}{self._further()}"
        )

    def test_line(self) -> str:
        """As the original repository printed it."""
        return (
            f"test loss = {self.loss:.4f}, test accuracy = {self.accuracy:.4f}, "
            f"multiclass log loss = {self.log_loss:.4f}{self._further()}"
        )

    def _further(self) -> str:
        return "".join(f", {name} = {value:.4f}" for name, value in self.further.items())


class Evaluator:
    """Tests a network on a split.

    Args:
        model: from images to logits.
        jit: compile with XLA.
        batch: images at a time.
        metrics: further metrics, by name (see `bnexp.metrics`).
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        jit: bool,
        batch: int,
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        self._model, self._batch, self._metrics = model, batch, dict(metrics or {})
        self._run = compiled(self._sums, jit=jit)
        self._predict = compiled(self._probabilities_of, jit=jit)

    def __call__(self, images: tf.Tensor, labels: tf.Tensor) -> Metrics:
        """Metrics over all images (n, height, width, channels) and labels (n,)."""
        sums = self._run(images, labels).numpy().astype(np.float64)
        loss, accuracy, log_loss, *further = (float(total) / len(labels) for total in sums)
        return Metrics(loss, accuracy, log_loss, dict(zip(self._metrics, further, strict=True)))

    def probabilities(self, images: tf.Tensor) -> np.ndarray:
        """The probability of each class (n, classes), for images (n, height, width, channels)."""
        rows = np.arange(len(images))
        batches = np.split(rows, range(self._batch, len(rows), self._batch))
        filled = [np.resize(batch, self._batch) for batch in batches]  # one shape, compiled once
        found = [self._predict(images, tf.constant(batch)).numpy() for batch in filled]
        return np.concatenate(found)[: len(rows)]

    def _probabilities_of(self, images: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(self._model(scaled(tf.gather(images, rows)), training=False))

    @property
    def compilations(self) -> int:
        """How often this has been compiled: once for every shape of images, and for predictions."""
        runs = (self._run, self._predict)
        return sum(run.experimental_get_tracing_count() for run in runs)

    def _sums(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        total = images.shape[0]

        def add_batch(start: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            rows = start + tf.range(self._batch)
            counts = tf.cast(rows < total, tf.float32)  # the last batch is filled up
            rows = tf.minimum(rows, total - 1)
            logits = self._model(scaled(tf.gather(images, rows)), training=False)
            wanted = tf.gather(labels, rows)
            columns = tf.stack(self._columns(wanted, logits))
            # not loss * counts: a filled-up row's infinite loss times 0 would be NaN
            kept = tf.where(counts > 0, columns, 0.0)
            return start + self._batch, sums + tf.reduce_sum(kept, axis=1)

        start = (tf.constant(0), tf.zeros(3 + len(self._metrics)))
        _, sums = tf.while_loop(lambda start, _: start < total, add_batch, start)
        return sums

    def _columns(self, wanted: tf.Tensor, logits: tf.Tensor) -> list[tf.Tensor]:
        """By metric a value for each image."""
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, logits)
        hits = tf.cast(tf.argmax(logits, 1, tf.int32) == wanted, tf.float32)
        log_loss = tf.minimum(loss, -np.log(LOG_LOSS_FLOOR))
        further = [tf.cast(one(wanted, logits), tf.float32) for one in self._metrics.values()]
        return [loss, hits, log_loss, *further]
