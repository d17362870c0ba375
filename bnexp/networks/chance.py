"""Builds that come out alike: the same names and values whatever was built before."""

import functools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state
from tensorflow.python.eager import context

# Keras's counters for names that it makes up, and its generator for draws without a seed.
_KERAS_STATE = ("object_name_uids", "global_seed_generator")


@contextmanager
def reproducible() -> Iterator[None]:
    """What is built inside gets the same names and initial values in every process.

    Python's, NumPy's, Keras's and TensorFlow's global generators start at a fixed state, and are
    put back afterwards (TensorFlow's at the start of its seed's sequence): a notebook's own draws
    do not become the same each time.
    """
    seed = context.global_seed()
    with detached():
        tf.random.set_seed(0)
        try:
            yield
        finally:
            tf.random.set_seed(seed)


@contextmanager
def detached() -> Iterator[None]:
    """What is built inside shifts neither the names nor the draws of what is built after it.

    For what only some arms have: the other layers' names and values are then those of all arms.
    """
    state = random.getstate(), np.random.get_state()
    kept = {key: global_state.get_global_attribute(key) for key in _KERAS_STATE}
    random.seed(0)
    np.random.seed(0)
    for key in _KERAS_STATE:
        global_state.set_global_attribute(key, None)
    try:
        yield
    finally:
        random.setstate(state[0])
        np.random.set_state(state[1])
        for key, value in kept.items():
            global_state.set_global_attribute(key, value)


def made_detached(make: Callable[[], keras.layers.Layer | None]) -> keras.layers.Layer | None:
    """A layer that only some arms have, made and later built `detached`."""
    with detached():
        layer = make()
    if layer is None:
        return None
    build = layer.build

    @functools.wraps(build)
    def build_detached(*args: Any, **kwargs: Any) -> None:
        with detached():
            build(*args, **kwargs)

    layer.build = build_detached
    return layer
