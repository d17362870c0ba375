"""How many directions activations fill, and how gradients grow, from layer to layer."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bnexp.probes import Row

if TYPE_CHECKING:
    from bnexp.probes.scene import Scene
    from bnexp.probes.views import Views


def rank(scene: "Scene") -> Iterator[Row]:
    """Soft rank of what enters each nonlinearity, and the norm of the loss's gradient by it.

    H: what enters a nonlinearity on the training batch, in training mode, (images x locations,
    units); with norm.position=post the linear map's outputs, at a shortcut the sum.
    `soft_rank`: (tr C)² / ‖C‖²_F with C = H'H / n, not centred. From 1, where all rows lie along
    one direction, to the number of units, where all directions are filled alike. It is r(H) of
    Daneshmand et al. 2020 (arXiv 2003.01652), their lower bound of the soft rank, which counts the
    singular values above a threshold. The bound is recorded because the count depends on the scale
    of H: that shrinks or grows with depth where nothing is normalized.
    `gradient_norm`: ‖∂L/∂H‖_F, with L the mean cross-entropy. In deep ReLU networks with Batch
    Normalization it grows at the start by √(π / (π - 1)) = 1.21 a layer toward the input (Yang et
    al. 2019, arXiv 1902.08129).
    """
    found = scene.views.compiled(_by_layer)(*scene.train_batch)
    for number, statistics in enumerate(found, start=1):
        for name, value in statistics.items():
            yield Row("rank", str(number), name, float(value))


def _by_layer(views: "Views", images: Any, labels: Any) -> list[dict[str, Any]]:
    import tensorflow as tf

    from bnexp.training.batches import scaled

    with tf.GradientTape() as tape:
        pixels = scaled(images)
        tape.watch(pixels)  # there may be no weights before a nonlinearity
        entering, logits = views.entering(pixels)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, entering, unconnected_gradients="zero")
    return [
        {"soft_rank": _soft_rank(values), "gradient_norm": _norm(gradient)}
        for values, gradient in zip(entering, gradients, strict=True)
    ]


def _soft_rank(values: Any) -> Any:
    import tensorflow as tf

    rows, _ = _by_largest(tf.reshape(values, [-1, values.shape[-1]]))
    return tf.reduce_sum(rows**2) ** 2 / tf.reduce_sum(tf.matmul(rows, rows, transpose_a=True) ** 2)


def _norm(gradient: Any) -> Any:
    import tensorflow as tf

    parts, largest = _by_largest(gradient)
    return largest * tf.norm(parts)


def _by_largest(values: Any) -> tuple[Any, Any]:
    """Values divided by the largest magnitude among them, and that: squares keep their range."""
    import tensorflow as tf

    values = tf.cast(values, tf.float32)
    largest = tf.reduce_max(tf.abs(values))
    return tf.math.divide_no_nan(values, largest), largest
