"""The lock of a run's folder: whoever trains there, or removes it, holds it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

FILE = ".lock"
LOOK_SECONDS = 0.2  # somebody who only looks, as `is_held`, lets go of it at once

__all__ = ["FILE", "Timeout", "held", "is_held"]


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Holds the lock within; the folder is made if it is not there.

    Raises:
        Timeout: another process holds it.
    """
    lock = FileLock(folder / FILE, timeout=LOOK_SECONDS, poll_interval=LOOK_SECONDS / 10)
    try:
        lock.acquire()
    except FileNotFoundError:  # the folder was being removed just then
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether a process holds the lock; nothing is written, also where one may not write."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows, where it is the same call
        return _is_held_elsewhere(folder)
    try:
        descriptor = os.open(folder / FILE, os.O_RDONLY)
    except OSError:  # there is none, or nobody may open it
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)  # and with it the lock
    return False


def _is_held_elsewhere(folder: Path) -> bool:
    if not (folder / FILE).exists():
        return False
    try:
        with FileLock(folder / FILE, timeout=0):
            return False
    except Timeout:
        return True
