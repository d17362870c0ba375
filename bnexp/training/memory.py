"""What a run will need of memory, told before it takes it."""

import os
from pathlib import Path

import keras

from bnexp.config import ConfigError
from bnexp.data import Dataset, memory_of
from bnexp.networks.hints import Hints, activation_bytes

PROGRAM = 900_000_000  # bytes of TensorFlow, Keras and a compiled program, as measured
BACKWARD = 3  # activations, their gradients, and what kernels need beside them
COPIES = 3  # of the data: as read, as split, and on the device


def estimated(dataset: Dataset, model: keras.Model, hints: Hints, batch_size: int) -> int:
    """Bytes that a run takes at its peak, roughly."""
    images = max(BACKWARD * batch_size, hints.eval_batch)
    weights = 4 * 4 * model.count_params()  # with gradients and the optimizer's state
    activations = images * activation_bytes(model)
    return PROGRAM + COPIES * memory_of(dataset) + weights + activations


def check(dataset: Dataset, model: keras.Model, hints: Hints, batch_size: int) -> list[str]:
    """A line for the log where a run will take half of what is free, or more.

    Raises:
        ConfigError: it will take more than there is.
    """
    needed, free = estimated(dataset, model, hints, batch_size), available()
    if free is None or needed < free / 2:
        return []
    told = f"about {needed / 1e9:.1f} GB, of {free / 1e9:.1f} GB free"
    if needed > free:
        raise ConfigError(
            f"this run needs more memory than there is ({told}); use smaller images, a smaller "
            "trainer.batch_size, or fewer images (data.train_size)"
        )
    return [f"memory: {told}"]


def available() -> int | None:
    """Bytes that this process may still take; None where the system does not tell."""
    limits = [_free_in_group(), _free_on_machine()]
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def _free_on_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return _free_by_pages()
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return found[0] if found else None


def _free_by_pages() -> int | None:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None


def _free_in_group() -> int | None:
    """What a container's or job's limit leaves (Linux, cgroup v2)."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text(encoding="utf-8").strip()
        used = int((folder / "memory.current").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return None if limit == "max" else int(limit) - used
