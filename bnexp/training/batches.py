"""Which images make up which batch, and images as the network takes them."""

import functools

import numpy as np
import tensorflow as tf

from bnexp.data import Split
from bnexp.training.seeds import generator


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
        self._seed, self._images, self._reshuffle = seed, images, reshuffle
        self.batch_size = batch_size
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
            kept = order[: self.batches_per_epoch * self.batch_size].astype(np.int32)
            self._batches = kept.reshape(self.batches_per_epoch, self.batch_size)
            self._epoch = epoch
        return self._batches[batch]
