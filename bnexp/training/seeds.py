"""Named streams of random numbers, so that a seed means the same in every arm.

Each use of chance draws from a stream named by (seed, purpose, index): what one use draws
cannot shift what another draws. Two runs of one seed that differ in normalization therefore
start from the same weights and see the same batches.
"""

import hashlib

import numpy as np


def stream_seed(seed: int, purpose: str, index: int) -> int:
    """A 31-bit seed for the stream of that name; the index counts layers or epochs."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def generator(seed: int, purpose: str, index: int) -> np.random.Generator:
    """A NumPy generator at the start of the stream of that name."""
    return np.random.Generator(np.random.Philox(stream_seed(seed, purpose, index)))
