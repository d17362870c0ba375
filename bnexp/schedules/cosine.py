"""Cosine decay of the learning rate (Loshchilov & Hutter 2017)."""

import numpy as np

from bnexp.config.types import Share


def cosine(end: Share = 0.0, *, step: np.ndarray, steps: int) -> np.ndarray:
    """end + (1 - end) * (1 + cos(π step / steps)) / 2.

    Args:
        end: share of the learning rate that is left after the last step.
    """
    return end + (1 - end) * (1 + np.cos(np.pi * step / steps)) / 2
