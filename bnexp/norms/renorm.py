"""The correction of Batch Renormalization (Ioffe 2017), which `BatchNorm(renorm=True)` makes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

_BOUNDS = ("rmin", "rmax", "dmax")


class Correction(NamedTuple):
    """What turns values normalized by a batch into ones normalized by moving averages: x * r + d.

    Attributes:
        r: deviation of the batch by the moving one, constant to the gradient.
        d: what the batch's mean is above the moving one, in moving deviations; constant too.
    """

    r: tf.Tensor
    d: tf.Tensor


def checked_clipping(
    clipping: Mapping[str, float | None] | None,
) -> dict[str, float | None] | None:
    """The bounds of r and d as Keras writes them: any of rmin, rmax and dmax.

    Raises:
        ValueError: an unknown bound, or bounds that leave nothing between them.
    """
    if clipping is None:
        return None
    unknown = [key for key in clipping if key not in _BOUNDS]
    if unknown:
        raise ValueError(
            f"Received invalid keys for renorm_clipping: {', '.join(map(str, unknown))}; there are "
            f"{', '.join(_BOUNDS)}"
        )
    rmin, rmax, dmax = (clipping.get(key) for key in _BOUNDS)
    if rmin is not None and rmax is not None and not rmin <= rmax:
        raise ValueError(f"rmax should be at least rmin in renorm_clipping: {rmax} < {rmin}")
    if dmax is not None and not dmax >= 0:
        raise ValueError(f"dmax should be non-negative in renorm_clipping: {dmax}")
    return dict(clipping)


def correction(
    mean: tf.Tensor,
    deviation: tf.Tensor,
    moving_mean: tf.Tensor,
    moving_deviation: tf.Tensor,
    clipping: Mapping[str, float | None],
) -> Correction:
    """r and d of Alg. 1 of that paper, for the statistics of a batch and their moving averages."""
    r = deviation / moving_deviation
    d = (mean - moving_mean) / moving_deviation
    if clipping.get("rmin") is not None:
        r = tf.maximum(r, clipping["rmin"])
    if clipping.get("rmax") is not None:
        r = tf.minimum(r, clipping["rmax"])
    if (dmax := clipping.get("dmax")) is not None:
        d = tf.clip_by_value(d, -dmax, dmax)
    return Correction(tf.stop_gradient(r), tf.stop_gradient(d))


def square_root_of(initializer: keras.initializers.Initializer) -> Any:
    """An initializer of deviations, from that of variances."""

    def deviations(shape: tuple[int, ...], dtype: str | None = None) -> tf.Tensor:
        return tf.sqrt(tf.convert_to_tensor(initializer(shape, dtype=dtype)))

    return deviations
