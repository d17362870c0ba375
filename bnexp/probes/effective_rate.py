"""The learning rate that a layer has whose outputs are normalized (van Laarhoven 2017)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from bnexp.probes import Row

if TYPE_CHECKING:
    from bnexp.probes.scene import Scene


def effective_rate(scene: "Scene") -> Iterator[Row]:
    """By hidden layer lr / |W|^2, with the schedule's learning rate.

    The function that a normalized layer computes depends on the direction of W alone, and a step
    of plain gradient descent turns W as a step with this rate turns W / |W|. With
    optimizer=fixed_norm lr is the rate that it steps the layer by.
    """
    from bnexp.networks.structure import is_kernel, own_variables

    for number, layer in enumerate(scene.views.hidden, start=1):
        kernels = filter(is_kernel, own_variables(layer))
        square = sum(_square(kernel) / scene.rate_factor(kernel) for kernel in kernels)
        yield Row("effective_rate", str(number), "effective_rate", float(scene.lr / square))


def _square(kernel: Any) -> Any:
    return np.square(np.asarray(kernel), dtype=np.float64).sum()
