"""Top-5 accuracy, as the paper reports it on ImageNet (section 4.2)."""

from typing import Any


def top_5(labels: Any, logits: Any) -> Any:
    """1 where the label is among the five largest logits."""
    import tensorflow as tf

    return tf.cast(tf.math.in_top_k(labels, logits, k=5), tf.float32)
