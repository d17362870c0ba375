"""Whether TensorFlow is tracing a program for XLA."""

import os
import re

import tensorflow as tf
from tensorflow.python.ops import control_flow_util  # there is no public way to ask

_AUTOMATIC = re.compile(r"--tf_xla_auto_jit=(?!0|off)")


def inside_xla() -> bool:
    """True while `tf.function(jit_compile=True)` traces, however deep, or if XLA picks by itself.

    Known limit: a `tf.function` that was first traced outside XLA and is then called inside is
    not traced again, and what it was told holds there too.
    """
    graph = tf.compat.v1.get_default_graph()
    return bool(control_flow_util.GraphOrParentsInXlaContext(graph)) or _clusters_automatically()


def _clusters_automatically() -> bool:
    flags = os.environ.get("TF_XLA_FLAGS", "")
    return bool(tf.config.optimizer.get_jit() or _AUTOMATIC.search(flags))
