"""Checks of the arguments of layers, each an error that names the argument and its range."""

import math
from typing import Any

import keras
import numpy as np


def whole(name: str, value: Any) -> int:
    """The value as an int.

    Raises:
        ValueError: it is no whole number.
    """
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (is_number and float(value).is_integer()):
        raise ValueError(f"{name}={value} is not a whole number")
    return int(value)


def count(name: str, value: Any) -> int:
    """The value as an int from 1.

    Raises:
        ValueError: it is none.
    """
    if whole(name, value) < 1:
        raise ValueError(f"{name}={value} is out of range: at least 1")
    return int(value)


def share(name: str, value: float) -> float:
    """The value as a float.

    Raises:
        ValueError: it is not from 0 to 1.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"{name}={value} is out of range: from 0 to 1")
    return float(value)


def at_least(smallest: float, name: str, value: float) -> float:
    """The value as a float.

    Raises:
        ValueError: it is smaller, or not finite.
    """
    if not (value >= smallest and math.isfinite(value)):
        raise ValueError(f"{name}={value} is out of range: a finite number of at least {smallest}")
    return float(value)


def epsilon(value: float, dtype: str) -> float:
    """What is added to a variance of this dtype before the square root; 0 only where it is meant.

    Raises:
        ValueError: it is negative, not finite, or too small for the dtype.
    """
    at_least(0, "epsilon", value)
    smallest = float(np.finfo(dtype).tiny)
    if 0 < value < smallest:
        raise ValueError(f"epsilon={value} is 0 in {dtype}: at least {smallest:.2g}, or 0")
    return float(value)


def check_backend(layer: str) -> None:
    """Makes sure that Keras computes with TensorFlow, as these layers do.

    Raises:
        RuntimeError: it does not.
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"{layer} computes with TensorFlow, and Keras here with {keras.backend.backend()}: set "
            "KERAS_BACKEND=tensorflow before Keras is imported"
        )
