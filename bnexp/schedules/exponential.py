"""Exponential decay of the learning rate."""

from typing import Annotated

import numpy as np

from bnexp.config.types import Count, In


def exponential(
    rate: Annotated[float, In("(0, 1]")] = 0.5,
    every: Count = 1000,
    *,
    step: np.ndarray,
    steps: int,
) -> np.ndarray:
    """rate ** (step / every), smoothly.

    Args:
        rate: what the learning rate is multiplied by every `every` steps.
        every: steps.
    """
    return np.power(np.float32(rate), step.astype(np.float32) / np.float32(every))
