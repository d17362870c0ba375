"""A learning rate that falls in steps."""

from typing import Annotated

import numpy as np

from bnexp.config.types import Count, In


def step_down(
    factor: Annotated[float, In("(0, 1]")] = 0.5,
    parts: Count = 10,
    *,
    step: np.ndarray,
    steps: int,
) -> np.ndarray:
    """factor ** (how many of the equal parts of the run are over).

    Args:
        factor: what the learning rate is multiplied by at the end of each part.
        parts: equal parts of the run.
    """
    return np.power(factor, step * parts // steps)
