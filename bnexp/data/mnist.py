"""MNIST, shipped with the package."""

from pathlib import Path

import numpy as np

from bnexp.data.arrays import Arrays

FILE = Path(__file__).with_name("mnist.npz")


def mnist() -> Arrays:
    """Handwritten digits, 28x28 in gray, 60,000 to train and 10,000 to test (LeCun et al. 1998).

    The customary split takes the last 5,000 training images for validation.
    """
    with np.load(FILE) as file:
        return Arrays(**file)
