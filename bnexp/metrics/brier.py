"""The Brier score (Brier 1950): how far the probabilities are from the labels."""

from typing import Any


def brier(labels: Any, logits: Any) -> Any:
    """Sum over classes of the squared difference of probability and one-hot label."""
    import tensorflow as tf

    wanted = tf.one_hot(labels, logits.shape[-1], dtype=tf.float32)
    return tf.reduce_sum(tf.square(tf.nn.softmax(logits) - wanted), axis=1)
