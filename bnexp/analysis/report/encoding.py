"""How columns of numbers stand in the page's data: as small whole numbers, which compress well."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

FINE, COARSE = 1.5e-4, 1e-2  # the unit of a piece as a share of its smallest value, at most
WIDE = 1e6  # values further apart than this, or larger, are written one by one
DIGITS = 5  # significant ones, of those

Piece: TypeAlias = list[Any]


def differences(values: ArrayLike, starts: Sequence[int], precision: float = FINE) -> list[Piece]:
    """Pieces of a column, each as [decimals, first, difference, difference, ...].

    The nth value is the sum of the first n numbers / 10**decimals; a value that is not finite is
    null, and the sum goes on behind it. Where values are too far apart for one unit, decimals is
    null and the values themselves follow.

    Args:
        values: the column, shape (rows,).
        starts: where the pieces begin; ascending, the first is 0; none is empty.
        precision: how large the unit may be, as a share of the piece's smallest value but 0.
    """
    column = np.asarray(values, float)
    if not len(column):
        return []
    first = np.asarray(starts, int)
    known = np.isfinite(column)
    size = np.where(known, np.abs(column), 0)
    least = np.minimum.reduceat(np.where(size > 0, size, np.inf), first)
    most = np.maximum.reduceat(size, first)
    plain = (most > WIDE * np.minimum(least, 1e6)) | (most > 1e12)
    decimals = _decimals(np.where(plain, np.inf, least), precision)
    piece = np.repeat(np.arange(len(first)), np.diff([*first, len(column)]))
    whole = np.rint(np.where(known, column, 0) * 10.0 ** decimals[piece])
    whole[plain[piece]] = 0
    decimals = _without_zeros(whole, decimals, piece, first)
    cells = np.empty(len(column), object)  # of None
    cells[known] = _steps(whole[known], piece[known]).astype(np.int64).tolist()
    heads: list[Any] = decimals.tolist()
    for row in np.flatnonzero(plain[piece] & known):
        cells[row] = float(f"{column[row]:.{DIGITS}g}")
    ends = [*first[1:].tolist(), len(column)]
    return [
        [None if alone else head, *cells[start:end].tolist()]
        for head, alone, start, end in zip(heads, plain, first.tolist(), ends, strict=True)
    ]


def _decimals(least: np.ndarray, precision: float) -> np.ndarray:
    """How many each piece needs; none where all is 0."""
    with np.errstate(divide="ignore"):
        needed = np.ceil(-np.log10(precision * least))
    return np.clip(np.where(np.isfinite(needed), needed, 0), 0, 18).astype(int)


def _without_zeros(
    whole: np.ndarray, decimals: np.ndarray, piece: np.ndarray, starts: np.ndarray
) -> np.ndarray:
    """Divides pieces of which every number ends in 0 by 10, as often as can be; in place."""
    while True:
        shorter = (decimals > 0) & np.logical_and.reduceat(whole % 10 == 0, starts)
        if not shorter.any():
            return decimals
        whole[shorter[piece]] /= 10
        decimals = decimals - shorter


def _steps(whole: np.ndarray, piece: np.ndarray) -> np.ndarray:
    """Each number less the one before in its piece."""
    before = np.concatenate([[0], whole[:-1]])
    before[np.concatenate([[True], piece[1:] != piece[:-1]])[: len(before)]] = 0
    return whole - before


def rounded(values: Iterable[float], digits: int = DIGITS) -> list[float | int | None]:
    """Numbers to some significant digits, as short as JSON can have them; else null."""
    return [_rounded(value, digits) for value in values]


def _rounded(value: float, digits: int) -> float | int | None:
    if not math.isfinite(value):
        return None
    if value == int(value) and abs(value) < 1e15:
        return int(value)
    return float(f"{value:.{digits}g}")


def values_of(piece: Piece) -> np.ndarray:
    """What the page's script reads in a piece."""
    decimals, *numbers = piece
    column = np.array(numbers, float)
    if decimals is None:
        return column
    known = ~np.isnan(column)
    column[known] = np.cumsum(column[known]) / 10.0**decimals
    return column
