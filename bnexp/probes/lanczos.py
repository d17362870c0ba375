"""Lanczos's iteration: eigenvalues of a large symmetric matrix that is known by its products.

Its vectors are kept, 8 bytes a component each. Sums are NumPy's own: its BLAS would take all cores
at once, and runs beside this one have theirs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

ROUNDING = float(np.finfo(np.float32).eps)  # relative, of products in single precision


@dataclass(frozen=True)
class Ritz:
    """What the iteration finds: Ritz values and vectors, and a quadrature.

    Attributes:
        basis: orthonormal rows, the first along the start vector: (steps, size).
        values: ascending, (steps,).
        mixtures: column i is the i-th Ritz vector in that basis, (steps, steps).
    """

    basis: np.ndarray
    values: np.ndarray
    mixtures: np.ndarray

    @cached_property
    def weights(self) -> np.ndarray:
        """Of the values as nodes, (steps,): sum_i w_i f(theta_i) = v'f(A)v for the unit start v.

        Exact for polynomials f of degree up to 2 * steps - 1 (Golub & Welsch 1969). For a random
        v, the density of A's eigenvalues in expectation (Ghorbani et al. 2019, section 2).
        """
        return self.mixtures[0] ** 2

    def leading(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The largest values, descending, and their vectors as rows: (count,), (count, size)."""
        largest = np.arange(len(self.values))[::-1][:count]
        vectors = [np.einsum("k,ks->s", self.mixtures[:, i], self.basis) for i in largest]
        return self.values[largest], np.stack(vectors)


def ritz(
    product: Callable[[np.ndarray], np.ndarray],
    draw: Callable[[int], np.ndarray],
    steps: int,
) -> Ritz:
    """Lanczos's iteration with full re-orthogonalization, in float64.

    Where the vectors so far span an invariant subspace (eigenvalues that are multiple, or fewer
    than steps), it goes on from a random vector outside of it. So it also finds further copies of
    an eigenvalue; the quadrature stays that of the start vector.

    Args:
        product: A v for a vector v (size,).
        draw: random vectors (size,) by number: 0 the start, k where step k starts anew.
        steps: products to make; size, if that is less.

    Returns:
        What was found; NaN throughout where a product is not finite.
    """
    start = _unit(draw(0))
    steps = min(steps, start.size)
    basis = np.empty((steps, start.size))
    diagonal, beside = np.zeros(steps), np.zeros(steps)  # of the tridiagonal matrix
    basis[0] = start
    for k in range(steps):
        image = product(basis[k])
        if not np.isfinite(image).all():
            return Ritz(basis, np.full(steps, np.nan), np.full((steps, steps), np.nan))
        diagonal[k] = _dot(basis[k], image)
        if k + 1 == steps:
            break
        rest = image - diagonal[k] * basis[k] - (beside[k - 1] * basis[k - 1] if k else 0)
        rest = _outside(basis[: k + 1], rest)
        length = np.sqrt(_dot(rest, rest))
        largest = max(np.abs(diagonal).max(), beside.max())
        if length > ROUNDING * largest:
            beside[k], basis[k + 1] = length, rest / length
        else:
            basis[k + 1] = _fresh(basis[: k + 1], draw(k + 1))
    tridiagonal = np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1)
    return Ritz(basis, *np.linalg.eigh(tridiagonal))


def _fresh(basis: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """A unit vector outside the basis; twice, as little may be left of what was drawn."""
    return _unit(_outside(basis, _unit(_outside(basis, drawn))))


def _outside(basis: np.ndarray, vector: np.ndarray) -> np.ndarray:
    shares = np.einsum("ks,s->k", basis, vector)
    return vector - np.einsum("k,ks->s", shares, basis)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.sqrt(_dot(vector, vector))


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.einsum("s,s->", a, b))
