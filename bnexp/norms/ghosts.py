"""Ghost batches (Hoffer et al. 2017): parts of a batch with statistics of their own."""

from collections.abc import Sequence

import tensorflow as tf


def split(x: tf.Tensor, mask: tf.Tensor | None, size: int) -> tuple[tf.Tensor, tf.Tensor | None]:
    """A batch cut into ghost batches of `size` examples, the last of what is left.

    Args:
        x: (batch, ...).
        mask: boolean, in the shape of `x`, or None.
        size: examples in a ghost batch.

    Returns:
        `x` and the mask, (ghosts, size, ...); the mask is false where the last one is filled up,
        and None if there was none and nothing is filled up.
    """
    batch, rank = x.shape[0], x.shape.rank
    shape = tf.concat([[-1, size], tf.shape(x)[1:]], 0)
    if not batch or batch % size:
        mask = tf.ones_like(x, tf.bool) if mask is None else mask
        filled = [[0, -tf.shape(x)[0] % size], *([[0, 0]] * (rank - 1))]
        x, mask = tf.pad(x, filled), tf.pad(mask, filled)
    known = [None if batch is None else -(-batch // size), size, *x.shape[1:]]
    return _reshaped(x, shape, known), None if mask is None else _reshaped(mask, shape, known)


def join(x: tf.Tensor, whole: tf.Tensor) -> tf.Tensor:
    """Ghost batches (ghosts, size, ...) as the batch (batch, ...) that they were cut from."""
    flat = tf.reshape(x, tf.concat([[-1], tf.shape(whole)[1:]], 0))
    return _reshaped(flat[: tf.shape(whole)[0]], tf.shape(whole), whole.shape)


def _reshaped(x: tf.Tensor, shape: tf.Tensor, known: Sequence[int | None]) -> tf.Tensor:
    return tf.ensure_shape(tf.reshape(x, shape), known)


def average(value: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """The weighted average over ghost batches (ghosts, features); 0 where all weights are 0.

    Args:
        value: as of one batch, (features,), it stays as it is.
        weights: (), or broadcasting with `value`.
    """
    if value.shape.rank == 1:
        return value
    weights = tf.broadcast_to(weights, tf.shape(value))
    return tf.math.divide_no_nan(tf.reduce_sum(weights * value, 0), tf.reduce_sum(weights, 0))
