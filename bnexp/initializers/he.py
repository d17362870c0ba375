"""Initial weights that suit ReLU."""

from typing import Any

import keras


class He:
    """Normal, cut at two deviations, with variance 2 / fan_in (He et al. 2015)."""

    def draw(self, shape: tuple[int, ...], seed: int) -> Any:
        """A kernel of this shape."""
        return keras.initializers.HeNormal(seed)(shape)
