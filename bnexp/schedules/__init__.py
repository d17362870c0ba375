"""Schedules: one a file. A schedule gives, for the steps made so far, factors on the learning rate.

They are computed ahead of the compiled loop, which therefore serves all schedules.
"""

import numpy as np

from bnexp.config.errors import ConfigError
from bnexp.config.options import Option


def rates(optimizer: Option, schedule: Option, start: int, count: int, steps: int) -> np.ndarray:
    """The learning rates of `count` steps after the first `start`, float32 (count,).

    Raises:
        ConfigError: the schedule gives anything but a finite number for each step.
    """
    step = np.arange(start, start + count)
    factors = np.asarray(schedule(step=step, steps=steps), np.float32)
    if factors.shape not in ((), step.shape) or not np.isfinite(factors).all():
        raise ConfigError(f"{schedule.target}: gives no finite factor for each of {count} steps")
    warmup = schedule.common["warmup"]
    if warmup:
        factors = factors * np.minimum((step + 1) / warmup, 1).astype(np.float32)
    return np.broadcast_to(np.float32(optimizer["lr"]) * factors, step.shape).astype(np.float32)
