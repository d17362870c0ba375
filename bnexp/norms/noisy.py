"""Batch Normalization followed by noise that changes with every step (Santurkar et al. 2018)."""

from collections.abc import Sequence
from typing import Annotated, Any

import keras
import tensorflow as tf

from bnexp.config.types import In, NonNegative, Share
from bnexp.norms import arguments
from bnexp.norms.batch import BatchNorm
from bnexp.norms.xla import inside_xla


@keras.saving.register_keras_serializable(package="bnexp")
class NoisyBatchNorm(BatchNorm):
    """`BatchNorm`, whose outputs y are disturbed in training: a * y + b.

    At each step every feature draws a mean and a deviation, and every value of it (of each example,
    at each location) then draws its own noise:

        mean ~ U(-noise_shift, noise_shift)               deviation ~ U(1, noise_scale)
        b ~ U(mean - noise_jitter, mean + noise_jitter)   a ~ N(deviation, noise_jitter)

    with noise_jitter the normal distribution's standard deviation. So the distribution of what the
    next layer sees changes with every step (section 2.1 of that paper). a and b are constant to the
    gradient. At inference and with `trainable=False` there is no noise, and y is that of
    `BatchNorm`, by its moving averages. Those are of what it saw in training, behind the noise of
    the layers before it; so is what `set_population_statistics` finds.

    Example:
        norm = NoisyBatchNorm(seed=0)
        norm(x, training=True)  # another outcome at every call
        norm(x)                 # without noise

    Args:
        noise_shift: largest absolute mean of the noise that is added.
        noise_scale: largest mean of the factor; at least 1, its smallest.
        noise_jitter: spread of both from one value to the next.
        seed: of the noise; None: another at every start.
        kwargs: as of `BatchNorm`.

    Raises:
        ValueError: an argument that is out of range.
    """

    def __init__(
        self,
        noise_shift: float = 0.5,
        noise_scale: float = 1.25,
        noise_jitter: float = 0.1,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.noise_shift = arguments.at_least(0, "noise_shift", noise_shift)
        self.noise_scale = arguments.at_least(1, "noise_scale", noise_scale)
        self.noise_jitter = arguments.at_least(0, "noise_jitter", noise_jitter)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None
    ) -> tf.Tensor:
        outputs = super().call(inputs, training=training, mask=mask)
        if not (training and self.trainable):
            return outputs
        factor, offset = self._noise(tf.shape(outputs))
        return tf.cast(factor, outputs.dtype) * outputs + tf.cast(offset, outputs.dtype)

    def _noise(self, shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """a and b for outputs of this shape, float32."""
        features, jitter = self._broadcast_shape, self.noise_jitter
        mean = self._draw(features, (-self.noise_shift, self.noise_shift))
        deviation = self._draw(features, (1.0, self.noise_scale))
        around = self._draw(shape, (-jitter, jitter))
        return deviation + jitter * self._draw(shape), mean + around

    def _draw(
        self, shape: Sequence[int] | tf.Tensor, bounds: tuple[float, float] | None = None
    ) -> tf.Tensor:
        """Uniform between bounds, or normal; of the generator that is fast: Threefry is in XLA
        alone, where Philox takes an MLP of 3 x 100 units 80% more time for a training step."""
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        algorithm = "threefry" if inside_xla() else "philox"
        if bounds is None:
            return tf.random.stateless_normal(shape, seed, alg=algorithm)
        return tf.random.stateless_uniform(shape, seed, *bounds, alg=algorithm)

    def get_config(self) -> dict[str, Any]:
        keys = ("noise_shift", "noise_scale", "noise_jitter", "seed")
        return super().get_config() | {key: getattr(self, key) for key in keys}


def noisy(
    momentum: Share = 0.99,
    epsilon: Annotated[float, In("[1.2e-38, inf)")] = 1e-3,
    shift: NonNegative = 0.5,
    scale: Annotated[float, In("[1, inf)")] = 1.25,
    jitter: NonNegative = 0.1,
    *,
    name: str,
    dtype: str,
) -> NoisyBatchNorm:
    """Batch Normalization, then in training noise whose mean and scale change with every step.

    After Santurkar et al. (2018, section 2.1): inputs of the next layer are then less stable than
    without a norm, and the question is whether that slows training. Each unit draws a mean from
    -shift to shift and a scale from 1 to `scale` at every step; each value is then multiplied by a
    number around the scale, to which one around the mean is added. The sizes are ours. At inference
    there is no noise, and the moving averages normalize; they are of what was seen under noise.

    Args:
        momentum: decay of the moving averages, per step, as of norm=batch.
        epsilon: added to the variance before the square root.
        shift: largest absolute mean of what is added.
        scale: largest mean of the factor.
        jitter: spread of both from one value to the next: half the width of a uniform distribution
            for what is added, the deviation of a normal one for the factor.
        name: of the layer.
        dtype: a Keras precision policy.
    """
    return NoisyBatchNorm(
        shift, scale, jitter, seed=0, momentum=momentum, epsilon=epsilon, name=name, dtype=dtype
    )


noisy.label = "Noisy Batch Normalization"  # type: ignore[attr-defined]
