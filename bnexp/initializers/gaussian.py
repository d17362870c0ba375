"""Normally distributed initial weights."""

from dataclasses import dataclass
from typing import Any

import keras

from bnexp.config.types import Positive


@dataclass(frozen=True)
class Gaussian:
    """Normal with mean 0: "small random Gaussian values" (section 4.1).

    Args:
        stddev: standard deviation of the weights. The paper gives none; 0.05 is our choice.
        conv_stddev: standard deviation of convolution kernels (any kernel that is no matrix);
            null: as stddev.
    """

    stddev: Positive = 0.05
    conv_stddev: Positive | None = None

    def draw(self, shape: tuple[int, ...], seed: int) -> Any:
        """A kernel of this shape."""
        return keras.initializers.RandomNormal(0.0, self.deviation(shape), seed)(shape)

    def deviation(self, shape: tuple[int, ...]) -> float:
        """The standard deviation for a kernel of this shape."""
        is_convolution = len(shape) > 2
        return self.conv_stddev if is_convolution and self.conv_stddev else self.stddev
