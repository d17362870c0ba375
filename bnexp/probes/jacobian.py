"""Singular values of the map from one layer's normalized inputs to the next's (section 3.3)."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from bnexp.config import Config, ConfigError
from bnexp.probes import Row

if TYPE_CHECKING:
    from bnexp.probes.scene import Scene
    from bnexp.probes.views import Views

IMAGES = 16  # singular values are costly
Elementwise: TypeAlias = Callable[[np.ndarray], np.ndarray]


def jacobian(scene: "Scene") -> Iterator[Row]:
    """Singular values s of the map from a layer's normalized inputs to the next's.

    For single images, the batch's statistics taken as constants: from what enters one
    nonlinearity through that, W and the normalization to what enters the next; units whose
    nonlinearity has slope 0 there are left out. `median_abs_log`: the median of |log s| over
    singular values and images; `condition`: the median over images of the largest s over the
    smallest. The layer is the one that is led to.
    """
    import tensorflow as tf

    from bnexp.networks.initial import kernel_of

    views = scene.views
    slope, function = SLOPES[views.activation]
    for number in range(1, len(views.hidden)):
        before = scene.activations[number - 1].astype(np.float64)
        kernel = kernel_of(views.hidden[number]).astype(np.float64)  # (units, next units)
        factor = _norm_factor(views, number, tf.matmul(function(before), kernel).numpy())
        logs, conditions = [], []
        for slopes in slope(before[:IMAGES]):
            active = slopes != 0
            jacobian = slopes[active, None] * kernel[active] * factor
            if not active.any() or not np.isfinite(jacobian).all():
                continue
            # TensorFlow's, on its threads: NumPy's would take all cores, and fight over them
            values = tf.linalg.svd(jacobian, compute_uv=False).numpy()
            logs.append(np.abs(np.log(values)))
            conditions.append(values[0] / values[-1])
        found = {
            "median_abs_log": np.median(np.concatenate(logs)) if logs else np.nan,
            "condition": np.median(conditions) if logs else np.nan,
        }
        for name, value in found.items():
            yield Row("jacobian", str(number + 1), name, float(value))


def check(config: Config) -> None:
    """Whether the probe is defined for a network.

    Raises:
        ConfigError: it is not.
    """
    plain = config.norm.kind == "none" or (config.norm.kind, config.norm["position"]) == (
        "batch",
        "pre",
    )
    known = config.model.get("activation") in SLOPES and config.model.get("skip", "none") == "none"
    if not (config.model.kind == "mlp" and plain and known):
        raise ConfigError(
            "probes.record=jacobian needs model=mlp with sigmoid, tanh or relu and without skips, "
            "and norm=none or batch with norm.position=pre"
        )


def _norm_factor(views: "Views", number: int, linear: np.ndarray) -> np.ndarray | float:
    """gamma / sqrt(Var + epsilon) of what normalizes a hidden layer; 1 where nothing does."""
    from bnexp.norms.batch import BatchNorm

    name = f"{views.hidden[number].name}_norm"
    layer = next((layer for layer in views.model.layers if layer.name == name), None)
    if not isinstance(layer, BatchNorm):
        return 1.0
    return np.asarray(layer.gamma) / np.sqrt(linear.var(axis=0) + layer.epsilon)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))


# activation -> (its slope, itself)
SLOPES: dict[str, tuple[Elementwise, Elementwise]] = {
    "sigmoid": (lambda x: _sigmoid(x) * _sigmoid(-x), _sigmoid),
    "tanh": (lambda x: 1 - np.tanh(x) ** 2, np.tanh),
    "relu": (lambda x: (x > 0).astype(x.dtype), lambda x: np.maximum(x, 0)),
}
