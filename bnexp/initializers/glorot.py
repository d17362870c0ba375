"""Initial weights that suit sigmoid and tanh."""

from typing import Any

import keras


class Glorot:
    """Uniform with variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010)."""

    def draw(self, shape: tuple[int, ...], seed: int) -> Any:
        """A kernel of this shape."""
        return keras.initializers.GlorotUniform(seed)(shape)
