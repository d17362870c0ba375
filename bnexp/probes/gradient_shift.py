"""Internal covariate shift as the optimizer meets it (Santurkar et al. 2018, Definition 2.1)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnexp.probes import Row

if TYPE_CHECKING:
    from bnexp.probes.scene import Scene


def gradient_shift(scene: "Scene") -> Iterator[Row]:
    """How the step of the layers before it changes a layer's gradient.

    G is the gradient by a layer's kernel, G' that after all that is trained before the layer has
    made the step of plain gradient descent at the schedule's learning rate, its own and later
    weights as they were; both on the training batch. `change`: |G - G'| / |G|; `cosine`: of G and
    G'. From the second layer on, the output layer included. In a network with branches, before a
    layer is what precedes it in the order by which layers are numbered: all that leads to it, and
    of the branches beside it those that are earlier arguments where they meet.
    """
    from bnexp.networks.structure import is_kernel, own_variables
    from bnexp.probes.surface import descended, flat, length

    surface, batch = scene.views.surface, scene.train_batch
    here = surface.here
    _, gradient = surface.loss_and_gradient(here, *batch)
    stepped = descended(here, gradient, scene.lr)
    places = {id(variable): place for place, variable in enumerate(surface.variables)}
    for number, layer in enumerate(scene.views.weight_layers[1:], start=2):
        own = [one for one in own_variables(layer) if id(one) in places]
        kernels = [places[id(one)] for one in own if is_kernel(one)]
        if not kernels:  # frozen
            continue
        first = places[id(own[0])]
        _, shifted = surface.loss_and_gradient([*stepped[:first], *here[first:]], *batch)
        before, after = (flat([each[k] for k in kernels]) for each in (gradient, shifted))
        found = {
            "change": length(before - after) / length(before),
            "cosine": (before * after).sum() / (length(before) * length(after)),
        }
        for name, value in found.items():
            yield Row("gradient_shift", str(number), name, float(value))
