"""Normally distributed initial weights without large ones."""

from typing import Any

import keras

from bnexp.initializers.gaussian import Gaussian


class Truncated(Gaussian):
    """Normal with mean 0, redrawn beyond two standard deviations."""

    def draw(self, shape: tuple[int, ...], seed: int) -> Any:
        """A kernel of this shape."""
        return keras.initializers.TruncatedNormal(0.0, self.deviation(shape), seed)(shape)
