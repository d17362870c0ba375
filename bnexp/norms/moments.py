"""Mean and variance of a batch by feature: of all positions, of masked ones, over replicas."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from bnexp.norms import ghosts


class Moments(NamedTuple):
    """Alg. 1's statistics of a batch, or of each of its ghost batches.

    Attributes:
        mean: (features,), or (ghosts, features) of ghost batches.
        variance: as `mean`; the biased one, which normalizes.
        count: positions that they are of, as a float: (), or broadcasting with `mean`.
    """

    mean: tf.Tensor
    variance: tf.Tensor
    count: tf.Tensor

    @property
    def unbiased(self) -> tf.Tensor:
        """m / (m - 1) * variance (Alg. 2, line 10); of a single position 0."""
        return self.variance * (self.count / tf.maximum(self.count - 1, 1))


def positions(x: tf.Tensor, axes: Sequence[int], dtype: str | tf.DType) -> tf.Tensor:
    """How many positions a reduction over `axes` runs over, as a float of this dtype."""
    shape = tf.TensorShape([x.shape[axis] for axis in axes])
    if shape.is_fully_defined():
        return tf.constant(float(shape.num_elements()), dtype)
    return tf.cast(tf.reduce_prod(tf.gather(tf.shape(x), axes)), dtype)


def surely_any(count: tf.Tensor) -> bool:
    """Whether it is known beforehand that there are positions."""
    known = tf.get_static_value(count)
    return known is not None and bool((known > 0).all())


def moments(x: tf.Tensor, axes: Sequence[int], spread: Callable[[tf.Tensor], tf.Tensor]) -> Moments:
    """Moments over all positions, in two passes: exact also where the mean is large.

    Args:
        x: float32 or float64.
        axes: those to reduce.
        spread: shapes a result to broadcast against `x`.
    """
    count = positions(x, axes, x.dtype)
    mean = tf.reduce_mean(x, axes)
    variance = tf.reduce_mean(tf.square(x - spread(mean)), axes)
    return Moments(or_zero(mean, count), or_zero(variance, count), count)


def or_zero(value: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """The value, and 0 in place of the NaN that an average over no position is."""
    return value if surely_any(count) else tf.where(count > 0, value, 0)


def masked_moments(
    x: tf.Tensor,
    axes: Sequence[int],
    spread: Callable[[tf.Tensor], tf.Tensor],
    mask: tf.Tensor,
    synchronized: bool = False,
) -> Moments:
    """Moments over the positions where the mask is true; mean and variance are 0 if there is none.

    Args:
        x: float32 or float64; what it holds elsewhere, also NaN, does not count.
        axes: those to reduce.
        spread: shapes a result to broadcast against `x`.
        mask: boolean, in the shape of `x`.
        synchronized: over the batches of all replicas of a `tf.distribute` strategy.
    """
    total = _over_replicas if synchronized else _here
    sums = [tf.reduce_sum(value, axes) for value in (tf.where(mask, x, 0), tf.cast(mask, x.dtype))]
    sum_x, count = total(sums)
    safe = tf.maximum(count, 1)
    mean = sum_x / safe
    squares = tf.square(tf.where(mask, x - spread(mean), 0))
    (sum_squares,) = total([tf.reduce_sum(squares, axes)])
    return Moments(mean, sum_squares / safe, count)


def _here(sums: list[tf.Tensor]) -> list[tf.Tensor]:
    return sums


def _over_replicas(sums: list[tf.Tensor]) -> list[tf.Tensor]:
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return sums
    return context.all_reduce(tf.distribute.ReduceOp.SUM, sums)


def of_positions(mask: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """A mask as Keras passes it on, as a boolean in the shape of `x`.

    Raises:
        ValueError: it has not the shape of `x` less the last axis.
    """
    if mask.shape.rank != x.shape.rank - 1:
        raise ValueError(
            "mask must have the inputs' shape less the last axis; got "
            f"mask {mask.shape}, inputs {x.shape}"
        )
    return tf.broadcast_to(tf.expand_dims(tf.cast(mask, tf.bool), -1), tf.shape(x))


def move(average: keras.Variable, value: tf.Tensor, count: tf.Tensor, momentum: float) -> None:
    """Moves a moving average one step towards a batch's value, unless the batch has no position.

    Args:
        average: (features,).
        value: (features,); or (ghosts, features), of which it takes the average.
        count: positions that the value is of: (), or broadcasting with it.
        momentum: share of the old average in the new one.
    """
    old = tf.convert_to_tensor(average)
    new = momentum * old + (1 - momentum) * tf.stop_gradient(ghosts.average(value, count))
    if not surely_any(count):
        counted = tf.reduce_any(count > 0, 0) if count.shape.rank == 2 else count > 0
        new = tf.where(counted, new, old)
    average.assign(new)
