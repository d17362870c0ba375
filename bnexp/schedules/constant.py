"""A constant learning rate."""

import numpy as np


def constant(*, step: np.ndarray, steps: int) -> float:
    """The factor 1 at every step."""
    return 1.0
