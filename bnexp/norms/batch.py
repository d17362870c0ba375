"""Batch Normalization after Ioffe & Szegedy (2015), on TensorFlow primitives.

Alg. 1 is `BatchNorm` in training; the inference network of Alg. 2 is `BatchNorm` otherwise,
normalizing with population statistics: moving averages kept while training, or the exact
averages over training batches that `set_population_statistics` computes afterwards. `batch` is
the option.
"""

import math
from typing import Annotated, Any, Literal

import keras
import numpy as np
import tensorflow as tf

from bnexp.config.types import Count, In, NonNegative, Share
from bnexp.norms import ghosts
from bnexp.norms.batch_state import BatchNormState
from bnexp.norms.moments import (
    Moments,
    masked_moments,
    moments,
    move,
    of_positions,
    or_zero,
    positions,
)
from bnexp.norms.population import set_population_statistics
from bnexp.norms.renorm import Correction, correction
from bnexp.norms.xla import inside_xla

__all__ = ["BatchNorm", "batch", "set_population_statistics"]

# The fused kernels refuse a smaller epsilon on GPUs (cuDNN's CUDNN_BN_MIN_EPSILON).
_FUSED_MIN_EPSILON = 1.001e-5


@keras.saving.register_keras_serializable(package="bnexp")
class BatchNorm(BatchNormState):
    """Normalizes each feature to mean beta and standard deviation gamma (Alg. 1).

    In training by the mean and variance of the batch,

        y = gamma * (x - mean) / sqrt(variance + epsilon) + beta

    and at inference by their moving averages, which every batch in training moves:

        moving_mean = momentum * moving_mean + (1 - momentum) * mean
        moving_variance = momentum * moving_variance + (1 - momentum) * m / (m - 1) * variance

    With `trainable=False` it is always as at inference, as Keras's layer is.

    A drop-in for `keras.layers.BatchNormalization`, with its arguments, weights and
    conventions, and one difference: the moving variance averages the *unbiased* estimate
    m / (m - 1) * var of each batch, as Alg. 2 (line 10) asks, and not the biased one.
    `from_config` takes the config of Keras's layer, and Keras's takes that of this one unless
    `fused`, `gradient` or `ghost_size` is set.

    For inputs (batch, features) a feature is a unit; for (batch, height, width, channels) it
    is a channel, and its statistics run over the batch and all locations (section 3.2).
    Statistics are computed and averaged in float32 (float64 for a policy of float64), also where
    inputs and weights are in half precision; whole numbers count as float32.

    Example:
        norm = BatchNorm(momentum=0.9)
        norm(x, training=True)  # by the batch's statistics; moves the averages
        norm(x)                 # by the averages

    Args:
        axis: the axis of the features.
        momentum: decay of the moving averages.
        epsilon: added to the variance before the square root.
        center, scale: whether to learn the shift beta and the factor gamma.
        beta_initializer, gamma_initializer, moving_mean_initializer,
            moving_variance_initializer, beta_regularizer, gamma_regularizer,
            beta_constraint, gamma_constraint: as in Keras.
        renorm: Batch Renormalization (Ioffe 2017): training normalizes by averages as well, as
            far as `renorm_clipping` lets it. All averages are then that paper's, of the biased
            deviation, as in Keras.
        renorm_clipping: bounds of the correction x * r + d, by name: rmin <= r <= rmax,
            -dmax <= d <= dmax; one that is missing or None does not bound.
        renorm_momentum: decay of the averages that r and d are taken from.
        synchronized: statistics over the batches of all replicas of a `tf.distribute` strategy.
        fused: use TensorFlow's fused kernels: True, False, or None for where they apply and
            are faster (4-D inputs with channels last). Both give the same numbers. Inside XLA
            they are never used: its own version of them takes the variance as E[x²] - E[x]²,
            which is wrong where the mean is large. One case goes unnoticed: a `tf.function` that
            was traced outside XLA and is then called inside; there, say False.
        gradient: what the gradient flows through in training. full: all, as section 3 derives
            it; no_mean: not the batch mean that is subtracted; none: neither mean nor
            variance, which are then constants. Section 2 warns of the latter two. Outputs are
            the same in all. The fused kernels know `full` only.
        ghost_size: examples in a ghost batch (Hoffer et al. 2017): the batch is cut into such
            parts, the last of what is left; each is normalized by its own statistics, and the
            moving averages take their average. None: the batch stays whole.

    Attributes:
        exact_batches: over how many batches whoever trains is to take exact population
            statistics afterwards, or None; the layer does not read it.

    Call arguments:
        inputs: tensor of any rank from 2 with a known size of `axis`.
        training: True: use the batch's statistics and update the moving ones; otherwise use
            the moving ones.
        mask: boolean tensor (inputs' shape less the last axis); masked-out positions are
            normalized but do not count in the statistics; NaN and infinities at them count as 0.
            With no position left, as with an empty batch, mean and variance are taken as 0, as in
            Keras, but the averages stay.

    Raises:
        ValueError: an argument that is out of range or unknown, an axis that the inputs do not
            have or whose size is unknown, or `fused=True` where the fused kernels do not apply.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        super().build(input_shape)
        applies = self._fused_applies(len(input_shape))
        if self.fused and not applies:
            raise ValueError(
                "fused=True needs 4-D inputs, the last axis, no float64, gradient=full, neither "
                "renorm nor synchronized nor ghost_size, and an epsilon of at least "
                f"{_FUSED_MIN_EPSILON}; got shape {input_shape}, axis={self.axis}, "
                f"dtype={self.compute_dtype}, gradient={self.gradient}, epsilon={self.epsilon}"
            )
        self._use_fused = applies if self.fused is None else self.fused

    def _fused_applies(self, rank: int) -> bool:
        return (
            rank == 4
            and self.axis in (-1, 3)
            and self.compute_dtype != "float64"
            and self.gradient == "full"
            and self.epsilon >= _FUSED_MIN_EPSILON
            and not (self.renorm or self.synchronized or self.ghost_size)
        )

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None
    ) -> tf.Tensor:
        x = inputs if inputs.dtype.is_floating else tf.cast(inputs, self._statistics_dtype)
        if mask is not None:
            mask = of_positions(mask, x)
            x = tf.where(mask | tf.math.is_finite(x), x, 0)
        if not (training and self.trainable):
            outputs = self._by_averages(x)
        elif self._use_fused and mask is None and not inside_xla():
            outputs = self._by_batch_fused(x)
        elif self.ghost_size:
            outputs = self._by_ghost_batches(x, mask, self.ghost_size)
        else:
            outputs = self._by_batch(x, mask)
        return tf.cast(outputs, self.compute_dtype)

    def _by_averages(self, x: tf.Tensor) -> tf.Tensor:
        mean = tf.convert_to_tensor(self.moving_mean)
        variance = tf.convert_to_tensor(self.moving_variance)
        if self._use_fused and not inside_xla():
            return self._fused_kernel(x, mean, variance)[0]
        return self._normalize(x, mean, variance)

    def _by_batch_fused(self, x: tf.Tensor) -> tf.Tensor:
        outputs, mean, unbiased = self._fused_kernel(x)
        count = positions(x, self._reduction_axes, self._statistics_dtype)
        self._note(or_zero(mean, count), or_zero(unbiased, count), count)
        return outputs

    def _by_ghost_batches(self, x: tf.Tensor, mask: tf.Tensor | None, size: int) -> tf.Tensor:
        cut, mask = ghosts.split(x, mask, size)
        return ghosts.join(self._by_batch(cut, mask), x)

    def _by_batch(self, x: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        """By the statistics of each ghost batch, if there are any."""
        found = self._moments(tf.cast(x, self._statistics_dtype), mask)
        deviation = tf.sqrt(found.variance + self.epsilon) if self.renorm else None
        renormed = None if deviation is None else self._correction(found.mean, deviation)
        outputs = self._normalize(x, *self._as_differentiated(found), renormed)
        self._note(found.mean, found.unbiased, found.count, deviation)
        return outputs

    def _moments(self, x: tf.Tensor, mask: tf.Tensor | None) -> Moments:
        if mask is None and self.synchronized:
            mask = tf.ones_like(x, tf.bool)
        if mask is None:
            return moments(x, self._reduction_axes, self._spread)
        return masked_moments(x, self._reduction_axes, self._spread, mask, self.synchronized)

    def _as_differentiated(self, found: Moments) -> tuple[tf.Tensor, tf.Tensor]:
        """The batch's statistics, as constants where the gradient is not to flow through them."""
        mean, variance, _ = found
        if self.gradient != "full":  # the variance, computed before, keeps its own gradient
            mean = tf.stop_gradient(mean)
        if self.gradient == "none":
            variance = tf.stop_gradient(variance)
        return mean, variance

    def _correction(self, mean: tf.Tensor, deviation: tf.Tensor) -> Correction:
        smallest = math.sqrt(self.epsilon)  # for an average that starts at 0
        return correction(
            mean,
            deviation,
            tf.convert_to_tensor(self.renorm_mean),
            tf.maximum(tf.convert_to_tensor(self.renorm_stddev), smallest),
            self.renorm_clipping or {},
        )

    def _normalize(
        self,
        x: tf.Tensor,
        mean: tf.Tensor,
        variance: tf.Tensor,
        renormed: Correction | None = None,
    ) -> tf.Tensor:
        """gamma * (x - mean) / sqrt(variance + epsilon) + beta, as one affine map.

        The mean goes first, which is exact where it is large. It is added as a negative, which
        gives the same bits: TensorFlow Lite's converter folds sums and products with constants
        into the layer before, but no difference, and TensorFlow would turn x + (-mean) into one.
        """
        factor = tf.math.rsqrt(variance + self.epsilon)
        gamma, beta = self._learned(self.gamma), self._learned(self.beta)
        if renormed is not None:
            factor *= renormed.r
            offset = renormed.d if gamma is None else renormed.d * gamma
            beta = offset if beta is None else offset + beta
        if gamma is not None:
            factor *= gamma
        x = tf.cast(x, self._statistics_dtype)
        outputs = (x + self._spread(-1.0 * mean)) * self._spread(factor)
        return outputs if beta is None else outputs + self._spread(beta)

    def _learned(self, variable: keras.Variable | None) -> tf.Tensor | None:
        if variable is None:
            return None
        return tf.cast(tf.convert_to_tensor(variable), self._statistics_dtype)

    def _spread(self, vector: tf.Tensor) -> tf.Tensor:
        """A vector by feature, or by ghost batch and feature, to broadcast against the inputs."""
        if vector.shape.rank == 2:
            return tf.reshape(vector, [-1, *self._broadcast_shape])
        if self.axis in (-1, len(self._broadcast_shape) - 1):
            return vector  # converters fold this, but not always a reshaped copy
        return tf.reshape(vector, self._broadcast_shape)

    def _fused_kernel(
        self, x: tf.Tensor, mean: Any = (), variance: Any = ()
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Outputs, mean and variance from one kernel; without statistics, by the batch's own.

        The kernel normalizes by the batch variance of Alg. 1 and returns it with Bessel's
        correction, as Alg. 2 wants it.
        """
        ones = tf.ones([x.shape[-1]], self._statistics_dtype)
        gamma, beta = self._learned(self.gamma), self._learned(self.beta)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=ones if gamma is None else gamma,
            offset=tf.zeros_like(ones) if beta is None else beta,
            mean=mean,
            variance=variance,
            epsilon=self.epsilon,
            is_training=isinstance(mean, tuple),
        )
        return outputs, mean, variance

    def _note(
        self,
        mean: tf.Tensor,
        unbiased: tf.Tensor,
        count: tf.Tensor,
        deviation: tf.Tensor | None = None,
    ) -> None:
        """Moves the averages by a batch's statistics, or adds those to the accumulator."""
        if self.accumulator is not None:
            self.accumulator.add(mean, unbiased, count)
            return
        move(self.moving_mean, mean, count, self.momentum)
        if deviation is None:
            # a ghost batch of one position tells nothing of the variance
            several = tf.where(count > 1, count, 0) if self.ghost_size else count
            move(self.moving_variance, unbiased, several, self.momentum)
            return
        move(self.renorm_mean, mean, count, self.renorm_momentum)
        move(self.renorm_stddev, deviation, count, self.renorm_momentum)
        move(self.moving_stddev, deviation, count, self.momentum)
        variance = tf.square(tf.convert_to_tensor(self.moving_stddev)) - self.epsilon
        move(self.moving_variance, tf.nn.relu(variance), count, 0.0)

    def assign_population(self, mean: np.ndarray, variance: np.ndarray) -> None:
        """Sets what inference normalizes with, (features,) each."""
        self.moving_mean.assign(mean)
        self.moving_variance.assign(variance)
        if self.renorm:
            self.moving_stddev.assign(np.sqrt(variance + self.epsilon))


def batch(
    momentum: Share = 0.99,
    epsilon: Annotated[float, In("[1.2e-38, inf)")] = 1e-3,
    gradient: Literal["full", "no_mean", "none"] = "full",
    population: Literal["moving", "exact"] = "moving",
    population_batches: Count = 200,
    renorm: bool = False,
    renorm_momentum: Share = 0.99,
    renorm_rmax: Annotated[float, In("[1, inf)")] | None = None,
    renorm_dmax: NonNegative | None = None,
    ghost_size: Count | None = None,
    *,
    name: str,
    dtype: str,
) -> BatchNorm:
    """Batch Normalization (Ioffe & Szegedy 2015, Alg. 1 and 2).

    Args:
        momentum: decay of the moving averages of mean and variance, per step: 0 keeps the last
            batch only. The paper gives none.
        epsilon: added to the variance before the square root (Alg. 1); the paper gives no value.
        gradient: what the gradient flows through in training. full: all that the batch's
            statistics depend on (section 3); no_mean: not through the mean that is subtracted;
            none: neither through the mean nor the variance. Section 2 warns of the latter two.
        population: what inference normalizes with at the end of training. moving: the moving
            averages; exact: averages over training batches after training (Alg. 2, lines 7-12), by
            which the last validation and the test are made. Validations before the last step use
            moving averages in either case.
        population_batches: batches to average over with population=exact; the paper says only
            "multiple".
        renorm: Batch Renormalization (Ioffe 2017): training normalizes as inference does, as far
            as the bounds below let it; its averages are of the biased deviation.
        renorm_momentum: decay of the averages that renorm normalizes by; that paper has 0.99.
        renorm_rmax: bound of r, the batch's deviation by the average one, from 1/rmax to rmax;
            null: none. In that paper it rises from 1, which is Batch Normalization, to 3.
        renorm_dmax: bound of |d|, the batch's mean less the average one, in average deviations;
            null: none. In that paper it rises from 0 to 5.
        ghost_size: examples in each part of a batch that is normalized by itself (ghost batches,
            Hoffer et al. 2017); null: all.
        name: of the layer.
        dtype: a Keras precision policy.
    """
    bounds = {"rmin": renorm_rmax and 1 / renorm_rmax, "rmax": renorm_rmax, "dmax": renorm_dmax}
    layer = BatchNorm(
        momentum=momentum,
        epsilon=epsilon,
        gradient=gradient,
        renorm=renorm,
        renorm_momentum=renorm_momentum,
        renorm_clipping=bounds if renorm else None,
        ghost_size=ghost_size,
        name=name,
        dtype=dtype,
    )
    layer.exact_batches = population_batches if population == "exact" else None
    return layer


# these settings concern what is done after training: the compiled program is the same
batch.outside_program = ("population", "population_batches")  # type: ignore[attr-defined]
batch.label = "Batch Normalization"  # type: ignore[attr-defined]
