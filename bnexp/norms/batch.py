"""Batch Normalization after Ioffe & Szegedy (2015), on TensorFlow primitives.

Alg. 1 is `BatchNorm` in training; the inference network of Alg. 2 is `BatchNorm` otherwise,
normalizing with population statistics: moving averages kept while training, or the exact
averages over training batches that `set_population_statistics` computes afterwards.
"""

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

from bnexp.config import GRADIENTS

# The fused kernels refuse a smaller epsilon on GPUs (cuDNN's CUDNN_BN_MIN_EPSILON).
_FUSED_MIN_EPSILON = 1.001e-5


@keras.saving.register_keras_serializable(package="bnexp")
class BatchNorm(keras.layers.Layer):
    """Normalizes each feature to mean beta and standard deviation gamma (Alg. 1).

    A drop-in for `keras.layers.BatchNormalization`, with its arguments, weights and
    conventions, and one difference: the moving variance averages the *unbiased* estimate
    m / (m - 1) * var of each batch, as Alg. 2 (line 10) asks, and not the biased one.

    For inputs (batch, features) a feature is a unit; for (batch, height, width, channels) it
    is a channel, and its statistics run over the batch and all locations (section 3.2).
    Statistics are computed in float32 or float64, also for bfloat16 inputs.

    Args:
        axis: the axis of the features.
        momentum: decay of the moving averages: new = momentum * old + (1 - momentum) * batch.
        epsilon: added to the variance before the square root.
        center, scale: whether to learn the shift beta and the factor gamma.
        beta_initializer, gamma_initializer, moving_mean_initializer,
            moving_variance_initializer, beta_regularizer, gamma_regularizer,
            beta_constraint, gamma_constraint: as in Keras.
        fused: use TensorFlow's fused kernels: True, False, or None for where they apply and
            are faster (4-D inputs with channels last). Both give the same numbers.
        gradient: what the gradient flows through in training. full: all, as section 3 derives
            it; no_mean: not the batch mean that is subtracted; none: neither mean nor
            variance, which are then constants. Section 2 warns of the latter two. Outputs are
            the same in all. The fused kernels know `full` only.

    Call arguments:
        inputs: float tensor of any rank from 2 with a known size of `axis`.
        training: True: use the batch's statistics and update the moving ones; otherwise use
            the moving ones. With `trainable=False` always the latter, as in Keras.
        mask: boolean tensor (inputs' shape less the last axis); masked-out positions are
            normalized but do not count in the statistics. With no position left, the batch
            counts as mean 0 and variance 0, as in Keras.

    Raises:
        ValueError: an argument that is out of range or unknown, an axis that the inputs do not
            have or whose size is unknown, or `fused=True` where the fused kernels do not apply.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        fused: bool | None = None,
        gradient: str = "full",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum={momentum} is out of range: from 0 to 1")
        if epsilon < 0:
            raise ValueError(f"epsilon={epsilon} is out of range: at least 0")
        if gradient not in GRADIENTS:
            raise ValueError(f"gradient={gradient} is not one of {', '.join(GRADIENTS)}")
        self.axis = int(axis)
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        self.beta_initializer = keras.initializers.get(beta_initializer)
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        self.moving_mean_initializer = keras.initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = keras.initializers.get(moving_variance_initializer)
        self.beta_regularizer = keras.regularizers.get(beta_regularizer)
        self.gamma_regularizer = keras.regularizers.get(gamma_regularizer)
        self.beta_constraint = keras.constraints.get(beta_constraint)
        self.gamma_constraint = keras.constraints.get(gamma_constraint)
        self.fused = fused
        self.gradient = gradient
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        rank = len(input_shape)
        if not -rank <= self.axis < rank:
            raise ValueError(f"axis={self.axis} is out of bounds for inputs of shape {input_shape}")
        features = input_shape[self.axis]
        if features is None:
            raise ValueError(f"axis={self.axis} of inputs of shape {input_shape} has unknown size")
        if self.fused and not self._fused_applies(rank):
            raise ValueError(
                "fused=True needs 4-D inputs, the last axis, no float64, gradient=full, and an "
                f"epsilon of at least {_FUSED_MIN_EPSILON}; got shape {input_shape}, "
                f"axis={self.axis}, dtype={self.compute_dtype}, gradient={self.gradient}, "
                f"epsilon={self.epsilon}"
            )

        def weight(name: str, **kwargs: Any) -> keras.Variable:
            return self.add_weight(shape=(features,), name=name, autocast=False, **kwargs)

        self.gamma = self.beta = None
        if self.scale:
            self.gamma = weight(
                "gamma",
                initializer=self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )
        if self.center:
            self.beta = weight(
                "beta",
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
            )
        self.moving_mean = weight(
            "moving_mean", initializer=self.moving_mean_initializer, trainable=False
        )
        self.moving_variance = weight(
            "moving_variance", initializer=self.moving_variance_initializer, trainable=False
        )
        feature_axis = self.axis % rank
        self._reduction_axes = [axis for axis in range(rank) if axis != feature_axis]
        # Per-feature vectors take this shape to broadcast against the inputs.
        self._broadcast_shape = [1] * rank
        self._broadcast_shape[feature_axis] = features
        self._use_fused = self._fused_applies(rank) if self.fused is None else self.fused
        self.input_spec = keras.layers.InputSpec(ndim=rank, axes={feature_axis: features})

    def _fused_applies(self, rank: int) -> bool:
        return (
            rank == 4
            and self.axis in (-1, 3)
            and self.compute_dtype != "float64"
            and self.gradient == "full"
            and self.epsilon >= _FUSED_MIN_EPSILON
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None
    ) -> tf.Tensor:
        if not (training and self.trainable):
            mean = tf.convert_to_tensor(self.moving_mean)
            variance = tf.convert_to_tensor(self.moving_variance)
            if self._use_fused:
                return self._fused_kernel(inputs, mean, variance)[0]
            return self._normalize(inputs, mean, variance)
        if self._use_fused and mask is None:
            outputs, mean, unbiased = self._fused_kernel(inputs)
        else:
            mean, variance, unbiased = self._batch_statistics(inputs, mask)
            outputs = self._normalize(inputs, *self._as_differentiated(mean, variance))
        _move(self.moving_mean, mean, self.momentum)
        _move(self.moving_variance, unbiased, self.momentum)
        return outputs

    def _batch_statistics(
        self, inputs: tf.Tensor, mask: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Mean, variance (Alg. 1) and unbiased variance (Alg. 2, line 10), each (features,)."""
        x = tf.cast(inputs, self.variable_dtype)
        axes = self._reduction_axes
        if mask is None:
            size = tf.size(x, out_type=tf.int32) // x.shape[self.axis]
            count = tf.cast(size, x.dtype)
            mean = tf.reduce_mean(x, axes)
            variance = tf.reduce_mean(tf.square(x - self._spread(mean)), axes)
        else:
            weights = tf.cast(self._mask_of_positions(mask, x), x.dtype)
            count = tf.reduce_sum(weights, axes)  # (features,) or (1,)
            safe = tf.maximum(count, 1)
            mean = tf.reduce_sum(weights * x, axes) / safe
            variance = tf.reduce_sum(weights * tf.square(x - self._spread(mean)), axes) / safe
        unbiased = variance * (count / tf.maximum(count - 1, 1))
        return mean, variance, unbiased

    def _as_differentiated(
        self, mean: tf.Tensor, variance: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The batch's statistics, as constants where the gradient is not to flow through them."""
        if self.gradient != "full":  # the variance, computed before, keeps its own gradient
            mean = tf.stop_gradient(mean)
        if self.gradient == "none":
            variance = tf.stop_gradient(variance)
        return mean, variance

    def _mask_of_positions(self, mask: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        if mask.shape.rank != x.shape.rank - 1:
            raise ValueError(
                "mask must have the inputs' shape less the last axis; got "
                f"mask {mask.shape}, inputs {x.shape}"
            )
        return tf.broadcast_to(tf.expand_dims(mask, -1), tf.shape(x))

    def _normalize(self, inputs: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
        """gamma * (inputs - mean) / sqrt(variance + epsilon) + beta, as one affine map."""
        factor = tf.math.rsqrt(variance + self.epsilon)
        if self.gamma is not None:
            factor *= tf.convert_to_tensor(self.gamma)
        x = tf.cast(inputs, self.variable_dtype)
        outputs = (x - self._spread(mean)) * self._spread(factor)
        if self.beta is not None:
            outputs += self._spread(tf.convert_to_tensor(self.beta))
        return tf.cast(outputs, inputs.dtype)

    def _spread(self, vector: tf.Tensor) -> tf.Tensor:
        return tf.reshape(vector, self._broadcast_shape)

    def _fused_kernel(
        self, inputs: tf.Tensor, mean: Any = (), variance: Any = ()
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Outputs, mean and variance from one kernel; without statistics, by the batch's own.

        The kernel normalizes by the batch variance of Alg. 1 and returns it with Bessel's
        correction, as Alg. 2 wants it.
        """
        ones = tf.ones([inputs.shape[-1]], self.variable_dtype)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=ones if self.gamma is None else tf.convert_to_tensor(self.gamma),
            offset=tf.zeros_like(ones) if self.beta is None else tf.convert_to_tensor(self.beta),
            mean=mean,
            variance=variance,
            epsilon=self.epsilon,
            is_training=isinstance(mean, tuple),
        )
        return outputs, mean, variance

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for key in ("axis", "momentum", "epsilon", "center", "scale", "fused", "gradient"):
            config[key] = getattr(self, key)
        for key in ("beta", "gamma", "moving_mean", "moving_variance"):
            name = f"{key}_initializer"
            config[name] = keras.initializers.serialize(getattr(self, name))
        for key in ("beta", "gamma"):
            config[f"{key}_regularizer"] = keras.regularizers.serialize(
                getattr(self, f"{key}_regularizer")
            )
            config[f"{key}_constraint"] = keras.constraints.serialize(
                getattr(self, f"{key}_constraint")
            )
        return config


def _move(average: keras.Variable, value: tf.Tensor, momentum: float) -> None:
    """Moves a moving average one step towards the batch's value."""
    value = tf.stop_gradient(value)
    average.assign(momentum * tf.convert_to_tensor(average) + (1 - momentum) * value)


def set_population_statistics(model: keras.Model, batches: Iterable[tf.Tensor]) -> None:
    """Replaces the moving averages of every `BatchNorm` by exact ones (Alg. 2, lines 7-12).

    Runs the frozen network in training mode over the batches and averages each layer's batch
    means and unbiased batch variances. Weights do not change.

    Args:
        model: a built network that holds `BatchNorm` layers, at any depth.
        batches: its inputs, (batch, ...) each; all of one size, as Alg. 2 has it.

    Raises:
        ValueError: there is no batch.
    """
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, BatchNorm)]
    statistics = [var for layer in layers for var in (layer.moving_mean, layer.moving_variance)]
    momenta = [layer.momentum for layer in layers]

    @tf.function(reduce_retracing=True)
    def batch_statistics(inputs: tf.Tensor) -> list[tf.Tensor]:
        model(inputs, training=True)
        return [tf.convert_to_tensor(var) for var in statistics]

    sums = None
    count = 0
    try:
        for layer in layers:
            layer.momentum = 0.0  # the "average" is then the batch's own statistic
        for inputs in batches:
            values = [value.numpy().astype("float64") for value in batch_statistics(inputs)]
            sums = values if sums is None else [a + b for a, b in zip(sums, values, strict=True)]
            count += 1
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    if sums is None:
        raise ValueError("population statistics need at least one batch")
    for var, total in zip(statistics, sums, strict=True):
        var.assign(total / count)
