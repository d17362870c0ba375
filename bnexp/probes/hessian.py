"""Eigenvalues of the loss's Hessian, and where the gradient lies among its eigenvectors."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bnexp.config import ConfigError
from bnexp.probes import Row
from bnexp.probes.lanczos import Ritz, ritz
from bnexp.training.seeds import generator

if TYPE_CHECKING:
    from bnexp.probes.scene import Scene

# Products with the Hessian. For the dense network, sigmoid and ReLU, with and without Batch
# Normalization, at steps 0, 500 and 2000, the eleven eigenvalues had residuals of 2e-4 or less.
STEPS = 80
EIGENVALUES = 11  # the top ones, and the first below them
TOP = 10  # as many as MNIST and CIFAR-10 have classes


def hessian(scene: "Scene") -> Iterator[Row]:
    """Eigenvalues of the Hessian of the mean cross-entropy by all that the network trains.

    On the training batch, in training mode, by Lanczos's iteration from a random vector that is
    the same wherever the number of weights is (Ghorbani et al. 2019, section 2). `loss`: in nats.
    `eigenvalue_1` to `eigenvalue_11`: the largest, descending; `eigenvalue_min`: the smallest.
    `gradient_share`: the share of the gradient's squared norm in the span of the eigenvectors of
    the first ten. `residual`: the largest |Hv - λv| / |λ1| of the eleven, 1e-6 or less where they
    are exact; above 0.01 one of them, mostly the last, has not converged. `node_1`, `weight_1` and
    so on: Ritz values, ascending, and their weights, which sum to 1: a quadrature of the density of
    all eigenvalues. A network of fewer weights has fewer of either.

    In bfloat16 products have three digits, and `residual` says what is left of the eigenvalues.

    Raises:
        ConfigError: TensorFlow knows no second derivative of an operation in the network.
    """
    from bnexp.probes.curvature import hessian_product
    from bnexp.probes.surface import flat

    views, batch = scene.views, scene.train_batch
    loss, slopes = views.surface.loss_and_gradient(views.surface.here, *batch)
    gradient = flat(slopes)
    product = partial(_product, views.compiled(hessian_product), batch)
    found = ritz(product, partial(_drawn, len(gradient)), STEPS)
    statistics = {"loss": loss} | _statistics(found, gradient, product)
    for name, value in statistics.items():
        yield Row("hessian", "", name, float(value))


def _statistics(
    found: Ritz, gradient: np.ndarray, product: Callable[[np.ndarray], np.ndarray]
) -> dict[str, float]:
    values, vectors = found.leading(EIGENVALUES)
    residuals = [product(v) - value * v for value, v in zip(values, vectors, strict=True)]
    shares = np.einsum("ks,s->k", vectors[:TOP], gradient) ** 2
    return {
        **{f"eigenvalue_{i}": value for i, value in enumerate(values, start=1)},
        "eigenvalue_min": found.values[0],
        "gradient_share": shares.sum() / np.sum(gradient**2),
        "residual": np.sqrt(np.max(np.sum(np.square(residuals), axis=1))) / np.abs(values[0]),
        **{f"node_{i}": value for i, value in enumerate(found.values, start=1)},
        **{f"weight_{i}": value for i, value in enumerate(found.weights, start=1)},
    }


def _drawn(size: int, number: int) -> np.ndarray:
    """Gaussian numbers, the same in every run."""
    return generator(0, "hessian", number).standard_normal(size)


def _product(compiled: Any, batch: tuple[Any, Any], vector: np.ndarray) -> np.ndarray:
    try:
        return compiled(*batch, vector).numpy()
    except LookupError as error:  # which KeyError is too
        if "gradient registry" not in str(error):
            raise
        operation = str(error).rpartition(": ")[2]
        raise ConfigError(
            f"probes.record=hessian: TensorFlow has no second derivative of {operation}, which is "
            "in this network"
        ) from error
